# SPDX-License-Identifier: LGPL-2.1-or-later
"""--deny=explain: what the sandbox denies a worker is named in the log, at once; and what a worker does can be learned and enforced."""
import calendar
import itertools
import json
import os
import re
import signal
import subprocess
import time
from statistics import median

from harness import (APPS, CMD, FULL, LANDLOCK_SCOPES, PATIENCE, PYTHON, WORKER, Load, Skip, check, check_equal, children_of, compiled_go,
                     compiled_rust, fd_targets, landlock_abi, main, need_landlock, need_program, need_root, read_proc, scenario, seconds, wait_for, wait_gone)

DENIED = os.environ.get("AIT_DENIED", "")
LEARN = os.environ.get("AIT_LEARN", "")
ESCAPES = os.environ.get("AIT_ESCAPES", "")
LISTENER = "anon_inode:seccomp notify"
AT_ONCE = 100_000  # us, for half of them: another one may have waited for a CPU
SYS_MOUNT = {"x86_64": 165, "aarch64": 40}


def records(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def denials(text):
    return [r for r in records(text) if r.get("event") == "sandbox-denied"]


def totals(text):
    return [r for r in records(text) if r.get("event") == "sandbox-totals"]


def usec(record):
    """The log's time, in microseconds since the epoch."""
    whole, fraction = record["time"].rstrip("Z").split(".")
    parts = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(parts) * 1_000_000 + int(fraction)


def finished(pit, *arguments, options=(), log="json"):
    """Runs the program that tries what is denied, once; (stdout, stderr)."""
    server = pit.server("-n1", "--name=web", f"--log={log}", "--deny=explain", "--run-to-completion", *options, "--", DENIED,
                        *arguments)
    server.wait_exit(0)
    return server.out.text(), server.err.text()


@scenario
def named_at_once(pit):
    """Each refusal is in the log within 100 ms of the call, in order, with all that there is to know."""
    out, err = finished(pit)
    tried = [r["message"].split() for r in records(out)]
    found = denials(err)
    check(len(tried) > 30, f"only {len(tried)} attempts: {out[-500:]}")
    check_equal([name for name, error, _ in tried if error != "1"], [], "attempts that did not fail with EPERM")
    check_equal([r["syscall"] for r in found], [name for name, _, _ in tried], "what the log names")
    late = [usec(r) - int(before) for r, (_, _, before) in zip(found, tried)]
    check(median(late) < AT_ONCE, f"named after {median(late)} us")
    pid = found[0]["pid"]
    for r in found:
        check_equal((r["slot"], r["pid"], r["thread"], r["worker"], r["command"], r["action"], r["level"], len(r["args"])),
                    (0, pid, pid, pid, "denied", "errno(EPERM)", "warning", 6), r["syscall"])
    counts = totals(err)[0]
    check_equal(counts["denied"], len(tried), "denials in the totals")
    check_equal(counts["syscalls"]["ioctl"], 3, "ioctl in the totals")
    pit.note(f"{len(found)} calls, the slowest named after {max(late)} us")


@scenario
def escapes_are_named(pit):
    """Every way out that the filter closes, in the order in which they are tried. (Signals to outside are Landlock's, and no_new_privs is not told.)"""
    if not ESCAPES:
        raise Skip("AIT_ESCAPES names no program")
    server = pit.server("-n1", "--log=json", "--deny=explain", "--run-to-completion", "--env=ASAN_OPTIONS=detect_leaks=0", "--",
                        ESCAPES)
    server.wait_exit(0)
    tried = [r for r in records(server.out.text()) if r["message"].endswith("refused (EPERM)") and
             not re.match("kill|pidfd_send_signal|set-user-ID", r["message"])]
    # Without Landlock's scope it is the filter that refuses signals to the supervisor, and to open it for them.
    signals = set() if landlock_abi() >= LANDLOCK_SCOPES else {"kill", "pidfd_open"}
    found = [r for r in denials(server.err.text()) if r["syscall"] not in signals]
    check_equal(len(found), len(tried), f"events; tried: {[r['message'] for r in tried]}; named: {[r['syscall'] for r in found]}")
    check(len(found) > 40, f"only {len(found)} ways")
    late = [usec(event) - usec(line) for event, line in zip(found, tried)]
    check(median(late) < AT_ONCE, f"named {median(late)} us after it was refused")
    for event, line in zip(found, tried):
        name = line["message"].split()[0].rstrip(":")
        check(name not in {r["syscall"] for r in found} or event["syscall"] == name, f"{line['message']}: {event['syscall']}")
    pit.note(f"{len(found)} ways")


@scenario
def escapes_of_root_are_named(pit):
    """Those that the filter refuses because files are confined."""
    need_root()
    need_landlock(1)
    if not ESCAPES:
        raise Skip("AIT_ESCAPES names no program")
    pit.file("readable", "text")
    server = pit.server("-n1", "--log=json", "--deny=explain", "--run-to-completion", "--sandbox=strict", f"--read-only={pit.file('readable')}",
                        "--env=ASAN_OPTIONS=detect_leaks=0", f"--env=ESCAPE_OUTSIDE={pit.path}", f"--env=ESCAPE_READABLE={pit.file('readable')}",
                        f"--env=ESCAPE_WRITABLE={pit.directory('own', 0o755)}", f"--read-write={pit.path}/own",
                        "--", ESCAPES, "--files", wrapper=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    server.wait_exit(None)
    tried = [r["message"] for r in records(server.out.text()) if r["message"].endswith("refused (EPERM)")]
    found = [r["syscall"] for r in denials(server.err.text())]
    check_equal(len(found), len(tried), f"events; tried: {tried}; named: {found}")
    check(len(found) > 35, f"only {len(found)} ways")
    for event, line in zip(found, tried):
        name = re.split("[ :,]", line)[0]
        check(name not in found or event == name, f"{line}: {event}")
    pit.note(f"{len(found)} ways")


@scenario
def in_words(pit):
    """The same for people, in both forms of the log."""
    for log in ("prefix", "plain"):
        _, err = finished(pit, log=log)
        check(re.search(r'^web: slot 0, pid (\d+): warning: sandbox denied mount\(0x0, .*\) to "denied", thread \1: errno\(EPERM\)$',
                        err, re.M), err[:2000])
        check(re.search(r"^web: slot 0, pid \d+: the sandbox denied it \d+ calls: .*\bmount 1\b", err, re.M), err[-2000:])


@scenario
def a_loop_does_not_flood(pit):
    count = 20000
    begun = time.monotonic()
    _, err = finished(pit, f"--repeat={count}")
    seconds = time.monotonic() - begun
    found = denials(err)
    check(1 <= len(found) <= 40 + seconds, f"{len(found)} lines in {seconds:.1f} s")
    last = totals(err)[0]
    check_equal((last["denied"], last["syscalls"]), (count, {"mount": count}), "totals")
    check_equal(len(found) + last["untold"], count, "told and left out")
    pit.note(f"{count} denials, {len(found)} lines, {seconds:.1f} s")


@scenario
def descendants_and_threads(pit):
    """A child and its thread are told apart from the worker."""
    out, err = finished(pit, "--fork")
    child = int(records(out)[0]["message"].split()[1])
    first, second = denials(err)[:2]
    check_equal((first["pid"], first["thread"], second["pid"]), (child, child, child), "who it was")
    check(second["thread"] != child and first["worker"] != child, f"{first} {second}")


@scenario
def the_listener_is_ours_alone(pit):
    """One a worker, in the supervisor and nowhere else; gone with the worker."""
    server = pit.server("-n3", "--deny=explain", *pit.worker()).wait_ready()

    def listeners(pid):
        return [fd for fd, target in fd_targets(pid).items() if target == LISTENER]

    server.wait_workers(3)
    check_equal(len(listeners(server.supervisor)), 3, "listeners in the supervisor")
    for pid in children_of(server.supervisor):
        check_equal(listeners(pid), [], f"listeners in {pid}")

    before = len(fd_targets(server.supervisor))  # at most one more than at rest: it may be telling that it is ready
    server.reload(3)
    wait_for("the listeners of the old workers to be closed", lambda: len(listeners(server.supervisor)) == 3)
    for pid in children_of(server.supervisor):
        check_equal(listeners(pid), [], f"listeners in {pid} after a reload")
    wait_for("no more descriptors than before", lambda: len(fd_targets(server.supervisor)) <= before)
    server.stop()


@scenario
def the_supervisor_is_killed_meanwhile(pit):
    """A call that waits for its answer does not keep the worker alive."""
    number = SYS_MOUNT.get(os.uname().machine)
    if number is None:
        raise Skip("the number of mount(2) is not known here")
    for stopped, who in ((False, "supervisor"), (True, "supervisor"), (False, "guardian"), (True, "guardian")):
        server = pit.server("-n2", "--ready=exec", "--deny=explain", "--", DENIED, "--forever").wait_ready()
        server.err.wait("sandbox denied mount")
        workers = server.wait_workers(2)
        if stopped:
            server.tell(signal.SIGSTOP)
            for pid in workers:  # all of them wait for the answer
                wait_for("the call", lambda pid=pid: read_proc(pid, "syscall").startswith(b"%d " % number))
        server.kill(who)
        wait_gone(workers, "a worker of a killed supervisor")
        server.wait_exit(-9)
        # Nobody was left to remove them.
        pit.allowed_files.update(f"{pit.runtime}/{name}" for name in os.listdir(pit.runtime))


@scenario
def only_one_can_listen(pit):
    """Inside of a sandbox that explains, there is no second listener: 77, and why."""
    server = pit.server("-n1", "--deny=explain", "--run-to-completion", f"--env=RUNTIME_DIRECTORY={pit.directory('inner')}",
                        "--env=ASAN_OPTIONS=detect_leaks=0", "--", CMD, "run", "-n1", "--deny=explain",
                        "--run-to-completion", "--", "/bin/true")
    server.wait_exit(77)
    text = server.out.text() + server.err.text()
    check(re.search(r"listen", text) and "resource busy" in text, text[-1500:])


@scenario
def a_program_that_cannot_be_executed(pit):
    """The exec fails while the supervisor holds the listener already: said as always, and nothing is left. Nor where the policy does not
    even allow the process to end itself."""
    path = pit.file("program", "\x7fELF and no more", 0o755)
    policy = pit.file("nothing.policy", "policy 1\n")
    for options in ((), (f"--policy={policy}",)):
        status, _, err = pit.run("-n1", "--deny=explain", "--run-to-completion", *options, "--", path)
        check_equal(status, 78, f"exit status; {err}")
        check("not in a format" in err, err)


@scenario
def workers_that_die_in_a_row(pit):
    """No listener and no other descriptor stays."""
    server = pit.server("-n1", "--deny=explain", "--ready=exec", "--backoff=1ms..1ms", "--give-up=1000/1min", "--", DENIED,
                        "--repeat=1")
    server.err.wait("sandbox denied mount")
    seen = server.err.mark()
    for _ in range(30):
        server.err.wait("exited with status 0", since=seen)
        seen = server.err.mark()
    check(len([t for t in fd_targets(server.supervisor).values() if t == LISTENER]) <= 2, str(fd_targets(server.supervisor)))
    server.stop()


@scenario
def reloads_lose_nothing(pit):
    """Starting without CLONE_VFORK, and stopping with a listener, are as quiet as otherwise."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n2", f"--listen={listen}", "--deny=explain", "--", PYTHON, f"{APPS}/pyserver.py").wait_ready(60)
    server.wait_workers(2)
    loads = [pit.load(listen, "-c4", "-C", "-p2"), pit.load(listen, "-c4")]
    for load in loads:
        load.wait_ok(50)
    for _ in range(20 if FULL else 3):
        server.reload(2)
        for load in loads:
            load.wait_ok(20)
    for load in loads:
        Load.check_lossless(load.stop())
    server.stop()


# ---- learn, then enforce ---------------------------------------------------------------------------------------

class Work:
    """A server and what is asked of it, to be done again and again."""

    def __init__(self, pit, program, options=(), requests=200):
        self.pit, self.program, self.options, self.requests = pit, program, list(options), requests
        self.n_learned = 0

    def listen(self):
        return f"127.0.0.1:{self.pit.port()}"

    def learned(self):
        """The policy that it needs, as text."""
        self.n_learned += 1
        directory = self.pit.directory(f"learn{self.n_learned}", 0o777)
        path, file = f"{directory}/socket", f"{directory}/learned.policy"
        holder = subprocess.Popen([LEARN, "hold", path, file], env=self.pit.environment())
        self.pit.own.add(holder.pid)
        self.pit.defer(holder.kill)
        wait_for("the holder", lambda: os.path.exists(path))
        server, listen = self.start(["--sandbox=none"], [LEARN, "enter", path], ready=True)
        self.ask(listen)
        server.stop()
        check_equal(holder.wait(PATIENCE), 0, "the holder's status")
        os.unlink(path)
        with open(file) as f:
            return f.read()

    def start(self, options, wrapper=(), ready=False):
        listen, since = self.listen(), self.pit.notify.mark()
        program = self.program(listen) if callable(self.program) else self.program
        server = self.pit.server("-n1", f"--listen={listen}", "--log=json", *self.options, *options, "--", *wrapper, *program)
        if ready:
            self.pit.notify.wait("READY", "1", since=since, patience=60, gave_up=server.gone)
        return server, listen

    def ask(self, listen):
        for arguments in (("-c4", "-C"), ("-c2",)):
            counts = self.pit.load(listen, *arguments, f"-n{self.requests}").finish()
            check(counts["ok"] >= self.requests and counts["failed"] == 0, str(counts))

    def enforced(self, text):
        """The log of the same work under the policy."""
        server, listen = self.start([f"--policy={self.pit.file('enforced.policy', text)}", "--deny=explain"], ready=True)
        self.ask(listen)
        server.stop()
        return server.err.text()

    def missed(self, text, name):
        """Whether the log names the call, sooner or later."""
        since = self.pit.notify.mark()
        server, listen = self.start([f"--policy={self.pit.file('enforced.policy', text)}", "--deny=explain", "--give-up=1/1min",
                                     f"--start-timeout={seconds(3)}", f"--stop-timeout={seconds(2)}"])
        pattern = f'"event":"sandbox-denied".*"syscall":"{name}"'

        def named():
            return any(re.search(pattern.encode(), line) for line in server.err.lines)

        def settled():
            return named() or server.gone() or self.pit.notify.find("READY", "1", since)

        wait_for("a start, or the end", settled)
        for arguments in (("-c4", "-C"), ("-c2",)):
            if not named() and not server.gone():
                load = self.pit.load(listen, *arguments, "-n50")
                wait_for("the load", lambda: named() or server.gone() or load.process.poll() is not None)
                load.kill()
        if not named() and not server.gone():
            server.send(signal.SIGTERM)
            wait_for("the end", lambda: named() or server.gone())
        if not server.gone():
            server.send(signal.SIGQUIT)
            server.wait_exit()
        server.err.text()
        return named()


def learned_lines(text):
    """(name, line) of what the policy allows beyond the base."""
    found = []
    for line in text.splitlines():
        m = re.match(r"([a-z_0-9]+)\b.*# (?!restriction kept)", line)
        if m:
            found.append((m.group(1), line))
    return found


def learn_then_enforce(work, every=1):
    if not LEARN:
        raise Skip("the learner is not built")
    # Some calls come once in a machine's life, such as the folder for compiled modules, and some by chance: learned twice,
    # allowed where seen at all, removed where seen both times.
    first, text = work.learned(), work.learned()
    lines = learned_lines(text)
    check(len(lines) > 5, text)
    before, now = dict(learned_lines(first)), dict(lines)
    text += "".join(f"{line}\n" for name, line in before.items() if name not in now)
    lines = [(name, line) for name, line in lines if name in before]
    log = work.enforced(text)
    check_equal(sorted({r["syscall"] for r in denials(log)}), [], f"denied on the same work; learned:\n{text}")
    sample = lines if FULL else lines[::every]
    silent = [line for name, line in sample
              if not work.missed("".join(f"{x}\n" for x in text.splitlines() if x != line), name)]
    check_equal(silent, [], "lines that can be removed without a word")
    work.pit.note(f"{len(lines)} lines learned, 0 denials, {len(sample)} removed and named")


@scenario
def learn_worker(pit):
    learn_then_enforce(Work(pit, [WORKER]))


@scenario
def learn_python(pit):
    learn_then_enforce(Work(pit, [PYTHON, f"{APPS}/pyserver.py"]))


@scenario
def learn_gunicorn(pit):
    program = need_program("gunicorn")
    learn_then_enforce(Work(pit, [program, "--chdir", APPS, "--workers=1", "wsgi:application"]), every=5)


@scenario
def learn_uwsgi(pit):
    program = need_program("uwsgi")
    if not os.path.exists("/usr/lib/uwsgi/plugins/python3_plugin.so"):
        raise Skip("uwsgi's python3 plugin is not installed")
    learn_then_enforce(Work(pit, [program, "--plugin", "python3", "--protocol", "http", "--master", "--need-app", "--chdir", APPS,
                                  "--wsgi-file", f"{APPS}/wsgi.py", "--hook-master-start",
                                  "unix_signal:15 gracefully_kill_them_all"], ["--ready=delay:1500ms"]), every=5)


@scenario
def learn_nginx(pit):
    program = need_program("nginx")
    number = itertools.count()

    def command(listen):
        directory = pit.directory(f"nginx-{next(number)}", 0o777)
        with open(f"{APPS}/nginx.conf") as f:
            text = f.read().replace("@ADDRESS@", listen).replace("@DIRECTORY@", directory)
        return [program, "-p", directory, "-c", pit.file("nginx.conf", text), "-e", "stderr"]

    options = ["--stop-signal=QUIT", "--non-blocking", "--env=NGINX=3;", *(["--user=nobody"] if os.geteuid() == 0 else [])]
    learn_then_enforce(Work(pit, command, [*options, "--ready=delay:300ms"]), every=4)


@scenario
def learn_node(pit):
    program = need_program("node")
    learn_then_enforce(Work(pit, [program, f"{APPS}/server.js"], ["--ready=fd:4", "--env=READY_FD=4"]), every=4)


@scenario
def learn_go(pit):
    learn_then_enforce(Work(pit, [compiled_go(pit)]))


@scenario
def learn_rust(pit):
    learn_then_enforce(Work(pit, [compiled_rust(pit)]))


if __name__ == "__main__":
    main()
