#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad command lines: one line on stderr that names the cause and the remedy, the exit status of the manual page, and nothing on
stdout. None of these gets as far as starting a worker."""
import os
import sys
import tempfile

from cases import Skip, case, check, check_equal, main, run

CMD = sys.argv[1]

# words after the command, exit status, what the line has to say
TABLE = [
    ([], 64, ["no command", "--help"]),
    (["rum"], 64, ["rum", "did you mean run?"]),
    (["xyzzy"], 64, ["xyzzy", "--help"]),
    (["sh", "-c", "true"], 64, ["sh: unknown command", "aiotools-sd run [OPTION...] -- sh"]),
    (["run", "sh -c true"], 78, ["sh -c true", "separate words"]),
    (["run", "--", "-n", "4", "true"], 78, ["program -n", "before the --"]),
    (["run", "--nice=5", "true"], 64, ["--nice:", "nice(1)"]),
    (["run", "--watchdog=5s", "true"], 64, ["--watchdog:", "leave it out"]),
    (["run", "--listen=80,443", "true"], 64, ["--listen once for each"]),
    (["--verzion"], 64, ["--verzion", "did you mean --version?"]),
    (["doctor", "me"], 64, ["me", "no arguments"]),
    (["sandbox", "chekc"], 64, ["sandbox chekc", "did you mean sandbox check?"]),
    (["sandbox", "xyzzy"], 64, ["sandbox xyzzy", "sandbox --help"]),
    (["sandbox", "--frmo=x"], 64, ["--frmo"]),
    (["sandbox", "groups", "@aio"], 64, ["@aio", "sandbox show @aio"]),
    (["sandbox", "show"], 64, ["sandbox show", "@group"]),
    (["sandbox", "show", "read", "write"], 64, ["write", "only one argument"]),
    (["sandbox", "show", "--form=oci", "x"], 64, ["--form", "did you mean --from?"]),
    (["sandbox", "show", "opneat"], 78, ["opneat", "did you mean openat?"]),
    (["sandbox", "show", "@netwrok-io"], 78, ["@netwrok-io", "did you mean @network-io?"]),
    (["sandbox", "show", "99999"], 78, ["99999", "no system call has this number"]),
    (["sandbox", "show", "./nowhere"], 78, ["./nowhere", "No such file"]),
    (["sandbox", "check"], 64, ["sandbox check", "file"]),
    (["sandbox", "check", "--from=xml", "x"], 64, ["--from=xml", "auto, native, systemd or oci"]),
    (["sandbox", "export", "service"], 64, ["--to", "native, systemd, oci or bpf"]),
    (["sandbox", "export", "--to=elf", "service"], 64, ["--to=elf", "native, systemd, oci or bpf"]),
    (["sandbox", "export", "--to=native"], 64, ["sandbox export", "preset"]),
    (["sandbox", "export", "--to=native", "nowhere"], 78, ["nowhere", "No such file"]),
    (["sandbox", "export", "--to=systemd", "service"], 78, ["service", "arguments"]),
    (["sandbox", "export", "--to=native", "-o", "/no/where", "service"], 78, ["/no/where", "cannot be written"]),
    (["sandbox", "learn"], 64, ["no program", "PROGRAM"]),
    (["sandbox", "learn", "--timeout=0", "true"], 64, ["--timeout=0", "30s"]),
    (["sandbox", "learn", "--timeout=soon", "true"], 64, ["--timeout=soon"]),
    (["sandbox", "learn", "--by-count=3", "true"], 64, ["--by-count", "takes no value"]),
    (["sandbox", "learn", "no-such-program-here"], 78, ["no-such-program-here", "PATH"]),
    (["sandbox", "learn", "-o", "/no/where", "true"], 78, ["/no/where", "cannot be written"]),
    (["sandbox", "explain"], 64, ["sandbox explain", "process"]),
    (["sandbox", "explain", "me"], 64, ["me", "number"]),
    (["sandbox", "explain", "0"], 64, ["0", "number"]),
    (["sandbox", "explain", "4194304"], 1, ["4194304", "no such process"]),
    (["run"], 64, ["no program", "PROGRAM"]),
    (["run", "--"], 64, ["no program"]),
    (["run", "--wrokers=3", "true"], 64, ["--wrokers", "did you mean --workers?"]),
    (["run", "--listen-address=8080", "true"], 64, ["--listen-address", "did you mean --listen?"]),
    *((["run", word, "true"], 64, [word.partition("=")[0], f"did you mean {ours}?"]) for words, ours in {
        "--bind=0.0.0.0:8000 -b --port=8000 -p --host --http --uds --unix_socket": "--listen",
        "--processes=4 --worker-processes -w --concurrency": "--workers",
        "--timeout=30 --graceful-timeout -t --timeout-graceful-shutdown --TimeoutStopSec=5": "--stop-timeout",
        "--kill-signal=INT": "--stop-signal",
        "--cwd=/srv --directory --working-dir --app-dir": "--chdir",
        "--environment=A=1 -e --setenv": "--env",
        "--uid=33 -u": "--user",
        "--gid=33 -g": "--group",
        "--cap-add=chown": "--capabilities",
        "--volume=/srv": "--read-write",
        "--reuse-port": "--listeners",
    }.items() for word in words.split()),
    (["run", "--daemon", "true"], 64, ["--daemon", "foreground"]),
    (["run", "-D", "true"], 64, ["-D", "foreground"]),
    (["run", "--pid=/run/x.pid", "true"], 64, ["--pid:", "leave it out"]),
    (["run", "--config=x.py", "true"], 64, ["--config:", "after its name"]),
    (["run", "--threads=4", "true"], 64, ["--threads:", "-- PROGRAM"]),
    (["run", "--reload", "true"], 64, ["--reload:", "SIGHUP"]),
    (["run", "--qqqqqqqqq", "true"], 64, ["--qqqqqqqqq: unknown option", "--help"]),
    (["run", "-x", "true"], 64, ["-x", "unknown option"]),
    (["run", "--st=3", "true"], 64, ["--start-timeout", "--stop-timeout", "--stable"]),
    (["run", "-n"], 64, ["--workers", "needs a value"]),
    (["run", "--help=3"], 64, ["--help", "takes no value"]),
    (["run", "-n0", "true"], 64, ["--workers=0", "1 to 1024"]),
    (["run", "-n", "-3", "true"], 64, ["--workers=-3"]),
    (["run", "--workers=many", "true"], 64, ["--workers=many", "auto"]),
    (["run", "--listen=nonsense", "true"], 64, ["--listen=nonsense", "8080"]),
    (["run", "--listen=127.0.0.1:99999", "true"], 64, ["--listen=127.0.0.1:99999"]),
    (["run", "--listen=http://0.0.0.0:8080", "true"], 64, ["is a URL", "did you mean --listen=0.0.0.0:8080?"]),
    (["run", "--listen=web=localhost:80", "true"], 64, ["names are not", "did you mean --listen=web=127.0.0.1:80?"]),
    (["run", "--listen=:8080", "true"], 64, ["did you mean --listen=8080?"]),
    (["run", "--listen=::1:8080", "true"], 64, ["brackets", "did you mean --listen=[::1]:8080?"]),
    (["run", "--listen=8080:80", "true"], 64, ["did you mean --listen=8080?"]),
    (["run", "--listen=unix:x.sock", "true"], 64, ["--listen=unix:x.sock", "/run/name.sock"]),
    (["run", "--listen=tcp:/run/x.sock", "true"], 64, ["is not a TCP address", "did you mean --listen=/run/x.sock?"]),
    (["run", "--listen=fd://3", "true"], 64, ["passed", "leave it out"]),
    (["run", "--listen=/" + "x" * 200, "true"], 64, ["--listen=/xxx"]),
    (["run", "--listeners=both", "true"], 64, ["--listeners=both", "slot", "shared"]),
    (["run", "--name=a/b", "true"], 64, ["--name=a/b", "letters"]),
    (["run", "--name=", "true"], 64, ["--name="]),
    (["run", "--ready=soon", "true"], 64, ["--ready=soon", "notify", "delay:TIME"]),
    (["run", "--ready=fd:2", "true"], 64, ["--ready=fd:2", "3"]),
    (["run", "--ready=fd:3", "--listen=8080", "true"], 64, ["--ready=fd:3", "4"]),
    (["run", "--ready=delay:1h", "true"], 64, ["--ready=delay", "--start-timeout"]),
    (["run", "--start-timeout=soon", "true"], 64, ["--start-timeout=soon", "500ms"]),
    (["run", "--stop-timeout=-1s", "true"], 64, ["--stop-timeout=-1s"]),
    (["run", "--stop-signal=FOO", "true"], 64, ["--stop-signal=FOO", "TERM"]),
    (["run", "--restart=sometimes", "true"], 64, ["--restart=sometimes", "always, on-failure or no"]),
    (["run", "--run-to-completion=yes", "true"], 64, ["--run-to-completion", "takes no value"]),
    (["run", "--backoff=3", "true"], 64, ["--backoff=3", "100ms..30s"]),
    (["run", "--backoff=30s..1s", "true"], 64, ["--backoff=30s..1s"]),
    (["run", "--stable=x", "true"], 64, ["--stable=x"]),
    (["run", "--give-up=often", "true"], 64, ["--give-up=often", "20/5min"]),
    (["run", "--max-surge=0", "true"], 64, ["--max-surge=0", "--max-unavailable=0"]),
    (["run", "-n4", "--max-surge=0", "--max-unavailable=10%", "true"], 64, ["--max-unavailable=10%", "4 workers"]),
    (["run", "--max-surge=x", "true"], 64, ["--max-surge=x"]),
    (["run", "--env=PATH", "true"], 64, ["--env=PATH", "NAME=VALUE"]),
    (["run", "--env==x", "true"], 64, ["--env==x", "NAME=VALUE"]),
    (["run", "--umask=999", "true"], 64, ["--umask=999", "octal"]),
    (["run", "--sandbox=maybe", "true"], 64, ["--sandbox=maybe", "service, strict, log or none"]),
    (["run", "--policy=/no/such/policy", "true"], 78, ["--policy=/no/such/policy", "No such file"]),
    (["run", "--policy=/dev/null", "true"], 78, ["--policy=/dev/null", "policy 1"]),
    (["run", "--deny=maybe", "true"], 64, ["--deny=maybe", "errno, kill, log or explain"]),
    (["run", "--read-only=", "true"], 64, ["--read-only="]),
    (["run", "--read-only=/no/such/path", "true"], 78, ["--read-only=/no/such/path", "exists"]),
    (["run", "--read-write=/no/such/path", "true"], 78, ["--read-write=/no/such/path", "exists"]),
    (["run", "--connect=http", "true"], 64, ["--connect=http", "65535"]),
    (["run", "--connect=0", "true"], 64, ["--connect=0", "65535"]),
    (["run", "--capabilities=net_bind", "true"], 64, ["--capabilities=net_bind", "net_bind_service"]),
    (["run", "--capabilities=chown,all", "true"], 64, ["--capabilities=chown,all"]),
    (["run", "--sandbox=none", "--deny=errno", "true"], 64, ["--deny", "--sandbox=none"]),
    (["run", "--sandbox=none", "--policy=x", "true"], 64, ["--policy", "--sandbox=none"]),
    (["run", "--sandbox=none", "--connect=1", "true"], 64, ["--connect", "--sandbox=none"]),
    (["run", "--sandbox=log", "--read-only=/", "true"], 64, ["--read-only", "--sandbox=log"]),
    (["run", "--sandbox=log", "--capabilities=all", "true"], 64, ["--capabilities", "--sandbox=log"]),
    (["run", "--sandbox=log", "--deny=kill", "true"], 64, ["--deny=kill", "--sandbox=log"]),
    (["run", "--log=xml", "true"], 64, ["--log=xml", "prefix, plain or json"]),
    (["run", "--chdir=/nonexistent", "true"], 78, ["--chdir=/nonexistent", "directory"]),
    (["run", "--chdir=/etc/passwd", "true"], 78, ["--chdir=/etc/passwd", "not a directory"]),
    (["run", "--user=no-such-user-here", "true"], 78, ["--user=no-such-user-here", "no such user"]),
    (["run", "--user=no-such-user:daemon", "true"], 78, ["--user=no-such-user", "no such user"]),
    (["run", "--user=root:no-such-group", "true"], 78, ["--group=no-such-group", "no such group"]),
    (["run", "--user=root:root", "--group=root", "true"], 64, ["--user=root:root", "--group=root", "leave one"]),
    (["run", "--user=root:", "true"], 64, ["--user=root:", "USER:GROUP"]),
    (["run", "--group=no-such-group-here", "true"], 78, ["--group=no-such-group-here", "no such group"]),
    (["run", "no-such-program-here"], 78, ["no-such-program-here", "PATH"]),
    (["run", "/no/such/program"], 78, ["/no/such/program"]),
    (["run", "/etc/passwd"], 78, ["/etc/passwd", "not executable"]),
    (["run", "/etc"], 78, ["/etc", "directory"]),
]


def check_refused(words, status, texts, **options):
    done = run(CMD, *words, **options)
    said = f"{' '.join(words)}: {done.stderr!r}"
    check_equal(done.returncode, status, said)
    check_equal(done.stdout, "", said)
    check(done.stderr.startswith("aiotools-sd: ") and done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), said)
    for text in texts:
        check(text in done.stderr, f"{said}: says nothing of {text!r}")


@case
def bad_command_lines():
    for words, status, texts in TABLE:
        check_refused(words, status, texts)


@case
def control_characters_stay_one_line():
    check_refused(["run", "--workers=a\nb\x1b[31m", "true"], 64, ["--workers=a?b?[31m"])


@case
def interpreter_that_is_absent():
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="utf-8") as file:
            file.write("#!/no/such/interpreter\n")
        os.chmod(script, 0o755)
        check_refused(["run", script], 78, ["script", "/no/such/interpreter"])


@case
def closed_standard_streams():
    """Also without stdin, stdout and stderr the status is right."""
    done = run("/bin/sh", "-c", f"'{CMD}' run --workers=0 true <&- >&- 2>&-")
    check_equal(done.returncode, 64, "status with closed streams")


@case
def full_disk():
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full here")
    done = run("/bin/sh", "-c", f"'{CMD}' run --help >/dev/full")
    check_equal(done.returncode, 71, "status of --help on a full disk")
    check("standard output" in done.stderr, done.stderr)


@case
def help_and_version():
    for words, text in ([["--help"], "run"], [["-h"], "run"], [["run", "--help"], "--workers=N|auto"],
                        [["run", "-h"], "--listen"], [["doctor", "-h"], "doctor"],
                        [["sandbox"], "learn"], [["sandbox", "-h"], "explain"], [["sandbox", "show", "-h"], "@GROUP"],
                        [["sandbox", "check", "-h"], "--from"], [["sandbox", "export", "service", "-h"], "--to"],
                        [["sandbox", "learn", "-h"], "--timeout"], [["sandbox", "explain", "-h"], "PID"],
                        [["--version"], "aiotools-sd "]):
        done = run(CMD, *words)
        check_equal((done.returncode, done.stderr), (0, ""), " ".join(words))
        check(text in done.stdout, f"{words}: {done.stdout!r}")
        for line in done.stdout.splitlines():
            check(len(line) <= 100, f"{words}: a line of {len(line)} columns: {line!r}")


if __name__ == "__main__":
    main()
