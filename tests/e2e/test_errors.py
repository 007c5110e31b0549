# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input: one line on stderr that names the cause and the remedy, the exit status of the manual page, and nothing
left: no worker has run, no socket file, no process."""
import os
import re
import signal
import socket

from harness import (NOBODY, SANITIZED, WORKER, Skip, check, check_equal, main, need_nobody, need_root, scenario, wait_for)

USAGE, UNAVAILABLE, OS, SANDBOX, CONFIG = 64, 69, 71, 77, 78


def expect(pit, arguments, status, pattern, **kwargs):
    """`pattern` names the cause. Whatever it is, the line has a remedy."""
    what = " ".join(map(str, arguments))
    got, out, err = pit.run(*arguments, patience=10, **kwargs)
    lines = err.splitlines()
    statuses = status if isinstance(status, tuple) else (status,)
    check(got in statuses, f"{what}: exit status {got}, not {status}\n{err}")
    check_equal(len(lines), 1, f"{what}: lines on stderr\n{err}")
    check(re.search(pattern, lines[0]), f"{what}: {pattern!r} is not in {lines[0]!r}")
    check(REMEDY.search(lines[0]), f"{what}: no remedy in {lines[0]!r}")
    check(lines[0].isprintable(), f"{what}: control characters in {lines[0]!r}")
    check_equal(out, "", f"{what}: stdout")
    check_equal(pit.trace.events(), [], f"{what}: a worker ran")
    pit.assert_clean()


# After the cause, set off from it, what can be done; or the cause says what is wanted.
REMEDY = re.compile(r"[;(] ?.{8,}|is not .* with ")


def expect_all(pit, cases, tail=None):
    for arguments, status, pattern in cases:
        expect(pit, [*arguments, *(pit.worker() if tail is None else tail)], status, pattern)
    pit.note(f"{len(cases)} cases")


@scenario
def options(pit):
    expect_all(pit, [
        (["--bogus"], USAGE, "--bogus"),
        (["--wrokers=4"], USAGE, "--wrokers.*--workers"),
        (["-Z"], USAGE, "-Z"),
        (["--workers"], USAGE, "--workers"),
        (["--workers="], USAGE, "--workers"),
        (["--workers=0"], USAGE, "--workers"),
        (["--workers=-1"], USAGE, "--workers"),
        (["--workers=4x"], USAGE, "--workers=4x"),
        (["--workers=many"], USAGE, "--workers=many"),
        (["--workers=99999999999999999999"], USAGE, "--workers"),
        (["-n", "1.5"], USAGE, "1.5"),
        (["--start-timeout=soon"], USAGE, "--start-timeout=soon"),
        (["--start-timeout=-1s"], USAGE, "--start-timeout"),
        (["--stop-timeout=5 parsecs"], USAGE, "--stop-timeout"),
        (["--stop-timeout=999999999999999999999d"], USAGE, "--stop-timeout"),
        (["--stop-signal=TREM"], USAGE, "--stop-signal"),
        (["--stop-signal=99"], USAGE, "--stop-signal"),
        (["--restart=sometimes"], USAGE, "--restart=sometimes"),
        (["--run-to-completion=yes"], USAGE, "--run-to-completion"),
        (["--backoff=1s"], USAGE, "--backoff"),
        (["--backoff=5s..1s"], USAGE, "--backoff"),
        (["--backoff=a..b"], USAGE, "--backoff"),
        (["--stable=ever"], USAGE, "--stable"),
        (["--give-up=3"], USAGE, "--give-up"),
        (["--give-up=x/1min"], USAGE, "--give-up"),
        (["--give-up=3/whenever"], USAGE, "--give-up"),
        (["--max-surge=lots"], USAGE, "--max-surge"),
        (["--max-surge=-1"], USAGE, "--max-surge"),
        (["--max-unavailable=5%%"], USAGE, "--max-unavailable"),
        (["--max-surge=0"], USAGE, "--max-surge.*--max-unavailable|--max-unavailable.*--max-surge"),
        (["--max-surge=0", "--max-unavailable=0"], USAGE, "--max-surge|--max-unavailable"),
        (["--listeners=both"], USAGE, "--listeners=both"),
        (["--log=xml"], USAGE, "--log=xml"),
        (["--sandbox=maybe"], USAGE, "--sandbox=maybe"),
        (["--ready=perhaps"], USAGE, "--ready=perhaps"),
        (["--ready=fd:"], USAGE, "--ready=fd:"),
        (["--ready=fd:2"], USAGE, "--ready=fd:2"),
        (["--ready=fd:-3"], USAGE, "--ready=fd:"),
        (["--ready=delay:"], USAGE, "--ready=delay:"),
        (["--ready=delay:x"], USAGE, "--ready=delay:x"),
        (["--env=NOVALUE"], USAGE, "--env"),
        (["--env==x"], USAGE, "--env"),
        (["--name="], USAGE, "--name"),
        (["--name=a/b"], USAGE, "--name"),
        (["--name=.."], USAGE, "--name"),
        (["--name=" + "x" * 300], USAGE, "--name"),
        (["--name=a\nb"], USAGE, "--name"),
    ])


@scenario
def no_program(pit):
    expect_all(pit, [([], USAGE, "(?i)program"), (["--"], USAGE, "(?i)program"),
                     (["-n2", "--listen=127.0.0.1:1"], USAGE, "(?i)program"),
                     (["--", ""], (USAGE, CONFIG), "(?i)program")], tail=[])


@scenario
def commands(pit):
    for arguments, pattern in (([], "(?i)command"), (["frobnicate"], "frobnicate"), (["rum"], "rum.*run"),
                               (["--bogus"], "--bogus")):
        status, out, err = pit.run(*arguments, prefix=())
        check_equal((status, out, len(err.splitlines())), (USAGE, "", 1), f"{arguments}: {err}")
        check(re.search(pattern, err) and REMEDY.search(err), f"{arguments}: {err}")


@scenario
def help_and_version(pit):
    for arguments, pattern in ((["--help"], r"\brun\b"), (["--version"], r"\d+\.\d+"), (["run", "--help"], "--max-surge")):
        status, out, err = pit.run(*arguments, prefix=())
        check_equal((status, err), (0, ""), f"{arguments}")
        check(re.search(pattern, out), f"{arguments}: {out}")


@scenario
def help_names_every_option(pit):
    _, out, _ = pit.run("--help")
    for option in ("workers listen listeners name ready start-timeout stop-timeout stop-signal restart run-to-completion "
                   "backoff stable give-up max-surge max-unavailable env chdir user group log sandbox policy deny "
                   "read-only read-write connect capabilities").split():
        check(f"--{option}" in out, f"run --help does not know --{option}")


@scenario
def addresses(pit):
    bad = ["", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "300.0.0.1:80",
           "1.2.3:80", "[::1]", "[::1", "[::1]:", "[::1]80", "[::g]:80", "::1:80", "99999", "0x50", "80 ", "@",
           "relative/x.sock", "/" + "x" * 200, "@" + "x" * 200, "udp:", "udp:x", "seqpacket:80", "=80", "a b=80",
           "x:y=80"]
    expect_all(pit, [([f"--listen={a}"], USAGE, "--listen") for a in bad])


@scenario
def one_bad_address_among_good(pit):
    """Nothing of the good ones is left."""
    path = pit.file("x.sock")
    expect(pit, [f"--listen={path}", "--listen=nonsense:", *pit.worker()], USAGE, "--listen=nonsense:")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        expect(pit, [f"--listen={path}", f"--listen=127.0.0.1:{s.getsockname()[1]}", *pit.worker()], OS,
               str(s.getsockname()[1]))
    check(not os.path.exists(path), "the socket file is left")


@scenario
def same_address_twice(pit):
    port = pit.port()
    expect(pit, [f"--listen=127.0.0.1:{port}", f"--listen=127.0.0.1:{port}", *pit.worker()], (USAGE, OS), str(port))


@scenario
def slot_listeners_where_there_can_be_none(pit):
    expect(pit, ["--listeners=slot", f"--listen={pit.file('x.sock')}", *pit.worker()], USAGE, "--listeners=slot")
    expect(pit, ["--listeners=slot", "--listen=@x", *pit.worker()], USAGE, "--listeners=slot")


@scenario
def ready_fd_among_sockets(pit):
    port = pit.port()
    expect(pit, ["--ready=fd:3", f"--listen=127.0.0.1:{port}", *pit.worker()], USAGE, "--ready=fd:3")


# ---- ports and paths in use ----------------------------------------------------------------------------------

@scenario
def port_in_use(pit):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as s:
            s.bind((host, 0))
            s.listen()
            address = f"[{host}]" if family == socket.AF_INET6 else host
            for mode in ("slot", "shared"):
                expect(pit, [f"--listen={address}:{s.getsockname()[1]}", f"--listeners={mode}", *pit.worker()], OS,
                       str(s.getsockname()[1]))


@scenario
def port_in_use_by_another_of_us(pit):
    """Two servers of one user must not share a port in silence through SO_REUSEPORT."""
    listen = f"--listen=127.0.0.1:{pit.port()}"
    server = pit.server("--name=one", "-n2", listen, *pit.worker(trace=False)).wait_ready()
    second = {"RUNTIME_DIRECTORY": pit.directory("run2")}
    for mode in ("slot", "shared"):
        status, _, err = pit.run("--name=two", "-n2", listen, f"--listeners={mode}", *pit.worker(), env=second)
        check_equal((status, len(err.splitlines())), (OS, 1), f"{mode}: {err}")
        check(listen in err and REMEDY.search(err), err)
    check_equal(pit.trace.events(), [], "workers of the second")
    server.stop()


@scenario
def port_shared_on_purpose_by_others(pit):
    """Somebody else's SO_REUSEPORT socket is no invitation."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(("127.0.0.1", 0))
        s.listen()
        expect(pit, ["-n2", f"--listen=127.0.0.1:{s.getsockname()[1]}", *pit.worker()], OS, str(s.getsockname()[1]))


@scenario
def unix_path_in_use(pit):
    path = pit.file("x.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen()
        pit.allowed_files.add(path)
        expect(pit, [f"--listen={path}", *pit.worker()], OS, re.escape(path))
        check(os.path.exists(path), "another server's socket was removed")
        with socket.socket(socket.AF_UNIX) as c:
            c.connect(path)
    # Nobody listens there any more: a stale file is no obstacle.
    server = pit.server("-n1", f"--listen={path}", *pit.worker(trace=False)).wait_ready()
    check_equal(pit.load(path, "-n5").finish()["ok"], 5, "served")
    server.stop()
    check(not os.path.exists(path), "the socket file is left")


@scenario
def path_that_is_no_socket(pit):
    path = pit.file("precious", "data")
    expect(pit, [f"--listen={path}", *pit.worker()], (OS, CONFIG), "precious")
    with open(path) as f:
        check_equal(f.read(), "data", "content of somebody's file")


@scenario
def path_that_cannot_be(pit):
    expect(pit, [f"--listen={pit.file('absent/x.sock')}", *pit.worker()], (OS, CONFIG), "absent")
    expect(pit, [f"--listen={pit.directory('folder')}", *pit.worker()], (OS, CONFIG), "folder")


@scenario
def abstract_in_use(pit):
    name = os.path.basename(pit.path)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("\0" + name)
        s.listen()
        expect(pit, [f"--listen=@{name}", *pit.worker()], OS, name)


@scenario
def address_not_ours(pit):
    expect(pit, [f"--listen=192.0.2.1:{pit.port()}", *pit.worker()], (OS, CONFIG), r"192\.0\.2\.1")


@scenario
def privileged_port(pit):
    need_nobody()
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as f:
        if int(f.read()) <= 81:
            raise Skip("this system lets everybody listen on port 81")
    os.chown(pit.runtime, NOBODY, NOBODY)
    expect(pit, ["--listen=127.0.0.1:81", *pit.worker()], OS, "127.0.0.1:81", uid=NOBODY)


# ---- limits --------------------------------------------------------------------------------------------------

def under(limit, value):
    return ["/bin/sh", "-c", f'ulimit -{limit} {value} && exec "$@"', "sh"]


@scenario
def limit_of_open_files(pit):
    """Wherever they run out: the message names the limit, its value, and where it is set."""
    refused = 0
    for n in range(5, 50):
        status, _, err = pit.run("-n2", "--restart=no", f"--listen=127.0.0.1:{pit.port()}", "--", "true", wrapper=under("n", n))
        check(status in (0, OS), f"{n} files: exit status {status}\n{err}")
        if status == OS:
            refused += 1
            check(f"the limit of open files is {n}; raise it (ulimit -n, LimitNOFILE=)" in err, f"{n} files: {err}")
            check(err.count("open files is") == 1 and "bug" not in err, f"{n} files: {err}")
    check(refused > 5 and status == 0, f"{refused} refused")
    for n in range(5, 40):
        pit.run("-n1", "--restart=no", "--name=few", "--", "true", wrapper=under("n", n),
                env={"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": pit.runtime})
    for parent in ("/run/aiotools-sd", f"{pit.runtime}/aiotools-sd"):
        check(not os.path.exists(f"{parent}/few"), "the runtime directory is left")
    pit.note(f"{refused} limits refused")


@scenario
def limit_of_address_space(pit):
    if SANITIZED:
        raise Skip("a sanitizer needs more address space than any limit leaves")
    refused = 0
    for kib in range(14000, 200000, 2000):
        status, _, err = pit.run("-n1", "--restart=no", "--", "true", wrapper=under("v", kib))
        if status == 0:
            break
        if status == OS:
            refused += 1
            check(f"the limit of address space is {kib} KiB; raise it (ulimit -v, LimitAS=)" in err, f"{kib} KiB: {err}")
    check(refused > 0 and status == 0, f"{refused} refused\n{err}")


# ---- programs ------------------------------------------------------------------------------------------------

@scenario
def programs(pit):
    cases = [
        ("/no/such/program", "/no/such/program"),
        ("no-such-program-in-path", "no-such-program-in-path"),
        (pit.file("plain", "#!/bin/sh\n", 0o644), "plain"),
        (pit.directory("folder"), "folder"),
        (pit.file("script", "#!/no/such/interpreter\n", 0o755), "(?s)script.*interpreter"),
        (pit.file("plain") + "/below", "plain"),
        (pit.file("empty", "", 0o755), "empty"),
    ]
    for program, pattern in cases:
        expect(pit, ["-n2", f"--listen={pit.file('x.sock')}", "--", program], CONFIG, pattern)
    pit.note(f"{len(cases)} cases")


@scenario
def program_of_no_format(pit):
    """Only exec can tell, so by then the log is open: no worker, the same status, and the cause in a line of it."""
    program = pit.file("noise", "\x00\x01\x02 no program", 0o755)
    status, _, err = pit.run("-n2", f"--listen={pit.file('x.sock')}", "--", program, patience=10)
    check_equal(status, CONFIG, f"exit status\n{err}")
    causes = [line for line in err.splitlines() if program in line and "format" in line]
    check(causes and REMEDY.search(causes[0]), f"no cause with a remedy in\n{err}")


@scenario
def program_not_for_this_user(pit):
    need_nobody()
    secret = pit.file("secret", "#!/bin/sh\nexit 0\n", 0o700)
    os.chown(pit.runtime, NOBODY, NOBODY)
    expect(pit, ["-n2", "--", secret], CONFIG, "secret", uid=NOBODY)


@scenario
def program_not_for_that_user(pit):
    need_nobody()
    secret = pit.file("secret", "#!/bin/sh\nexit 0\n", 0o700)
    expect(pit, ["-n2", "--user=nobody", "--", secret], CONFIG, "secret")


# ---- users, groups, directories ------------------------------------------------------------------------------

@scenario
def users(pit):
    expect_all(pit, [
        (["--user=no-such-user"], CONFIG, "--user=no-such-user"),
        (["--group=no-such-group"], CONFIG, "--group=no-such-group"),
        (["--user="], USAGE, "--user"),
        (["--user=-5"], (USAGE, CONFIG), "--user=-5"),
        (["--user=99999999999"], (USAGE, CONFIG), "--user"),
        (["--chdir=/no/such/directory"], CONFIG, "--chdir=/no/such/directory"),
        ([f"--chdir={pit.file('plain', '')}"], CONFIG, "--chdir.*plain"),
    ])


@scenario
def user_without_being_root(pit):
    need_nobody()
    os.chown(pit.runtime, NOBODY, NOBODY)
    expect(pit, ["--user=root", *pit.worker()], (OS, SANDBOX, CONFIG), "--user|root", uid=NOBODY)


@scenario
def directory_not_for_that_user(pit):
    need_nobody()
    expect(pit, ["--user=nobody", f"--chdir={pit.directory('secret', 0o700)}", *pit.worker()], (OS, CONFIG), "secret")


# ---- instances -----------------------------------------------------------------------------------------------

@scenario
def second_instance(pit):
    server = pit.server("--name=twin", "-n1", *pit.worker(trace=False)).wait_ready()
    status, _, err = pit.run("--name=twin", "-n1", *pit.worker())
    check(status in (OS, UNAVAILABLE, CONFIG), f"exit status {status}: {err}")
    check_equal(len(err.splitlines()), 1, f"lines on stderr\n{err}")
    check("twin" in err and REMEDY.search(err), err)
    check_equal(pit.trace.events(), [], "workers of the second")
    check(server.workers() and not server.gone(), "the first was disturbed")
    server.stop()


@scenario
def runtime_directory_of_root(pit):
    """Without $RUNTIME_DIRECTORY, below /run as root; it is gone afterwards."""
    need_root()
    name = "e2e-" + os.path.basename(pit.path)
    server = pit.server(f"--name={name}", "-n1", *pit.worker(), runtime=False).wait_ready()
    check(os.path.isdir(f"/run/aiotools-sd/{name}"), f"no /run/aiotools-sd/{name}")
    server.stop()
    check(not os.path.exists(f"/run/aiotools-sd/{name}"), f"/run/aiotools-sd/{name} is left")


@scenario
def runtime_directory_of_a_user(pit):
    need_nobody()
    name = "e2e-" + os.path.basename(pit.path)
    home = pit.directory("xdg", 0o700)
    os.chown(home, NOBODY, NOBODY)
    server = pit.server(f"--name={name}", "-n1", *pit.worker(), runtime=False, uid=NOBODY, env={"XDG_RUNTIME_DIR": home})
    server.wait_ready()
    found = [os.path.join(d, n) for d, names, _ in os.walk(home) for n in names]
    check(any(name in f for f in found), f"nothing of {name} below $XDG_RUNTIME_DIR: {found}")
    server.stop()
    check(not any(name in os.path.join(d, n) for d, names, files in os.walk(home) for n in names + files), "left behind")


@scenario
def runtime_directory_nowhere(pit):
    """Neither variable, no root: a private directory of ours in /tmp."""
    need_nobody()
    name = "e2e-" + os.path.basename(pit.path)
    server = pit.server(f"--name={name}", "-n1", *pit.worker(), runtime=False, uid=NOBODY).wait_ready()
    server.stop()
    check(not [n for n in os.listdir("/tmp") if name in n], f"left behind in /tmp: {name}")


@scenario
def default_name(pit):
    """The program's base name and the first port."""
    port = pit.port()
    server = pit.server("-n1", f"--listen=127.0.0.1:{port}", *pit.worker("--lines=1")).wait_ready()
    server.out.wait(rf"^{os.path.basename(WORKER)}[-:.@_]?{port}\[0:\d+\] line 0 of slot 0$")
    server.stop()


# ---- workers that die at once --------------------------------------------------------------------------------

def dies_at_once(pit, arguments, status, pattern):
    got, _, err = pit.run("-n2", f"--listen={pit.file('x.sock')}", f"--listen=127.0.0.1:{pit.port()}",
                          "--backoff=1ms..5ms", "--give-up=3/1min", *arguments)
    check_equal(got, status, f"{arguments}: exit status\n{err}")
    check(len(err.splitlines()) < 60, f"{arguments}: {len(err.splitlines())} lines on stderr")
    check(re.search(pattern, err), f"{arguments}: {pattern!r} is not in\n{err}")
    errors = [line for line in err.splitlines() if "error: " in line]
    check(any(REMEDY.search(line) for line in errors), f"{arguments}: no error with a remedy in\n{err}")
    check(not os.path.exists(pit.file("x.sock")), "the socket file is left")
    pit.assert_clean()


@scenario
def workers_die_at_once(pit):
    dies_at_once(pit, pit.worker("--exit=1"), UNAVAILABLE, r"\b1\b")
    dies_at_once(pit, ["--", "/bin/false"], UNAVAILABLE, r"false")
    dies_at_once(pit, ["--", "/bin/sh", "-c", "echo the reason is this >&2; exit 3"], UNAVAILABLE, "the reason is this")
    dies_at_once(pit, ["--", "/bin/sh", "-c", "kill -SEGV $$"], UNAVAILABLE, "(?i)SEGV|signal 11")
    dies_at_once(pit, pit.worker("--exit=78"), CONFIG, "78")


@scenario
def closed_standard_streams(pit):
    """Whoever closes our stderr gets the exit status all the same, and no socket of ours in its place."""
    for redirection in ("2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        status, _, _ = pit.run("--bogus", wrapper=["/bin/sh", "-c", f'exec "$@" {redirection}', "sh"])
        check_equal(status, USAGE, f"with {redirection}: exit status")
    server = pit.server("-n1", f"--listen=127.0.0.1:{pit.port()}", *pit.worker("--lines=3"),
                        wrapper=["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]).wait_ready()
    wait_for("a worker", lambda: len(server.workers()) == 1)
    server.stop()


@scenario
def reader_of_the_log_goes(pit):
    """A closed pipe on stdout and stderr is no reason to end."""
    server = pit.server("-n1", *pit.worker("--lines=10"), read_output=False)
    server.process.stdout.close()
    server.process.stderr.close()
    server.wait_ready()
    os.kill(server.wait_workers(1)[0], signal.SIGKILL)
    pit.trace.wait("ready", 2)
    server.stop()


if __name__ == "__main__":
    main()
