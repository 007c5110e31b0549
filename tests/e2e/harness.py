# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs `aiotools-sd run` for a test and knows what is true of it.

A test file defines scenarios with @scenario, and ends with main(). `test_x.py NAME` runs one, `test_x.py --list`
prints their names. A scenario is a function of a Sandpit: a temporary directory, ports, and the processes it started.
When it returns, the Sandpit asserts that nothing is left: no process that descends from it (it is a subreaper, and
every process it starts carries a mark in its environment), no file in the runtime directory, no socket file.

Waits are for events, with a generous bound: a datagram, the end of a process (pidfd), a line of the trace that
worker.c writes, a state of /proc. No test sleeps for a time and hopes. The few tests of the kind "this must not
happen" watch for a while and say so (`stays`).

Paths come from the environment, set by meson.build: AIT_CMD, AIT_LOAD, AIT_WORKER, AIT_HTTP_HELLO, which
../reachable.py replaces by copies where another user could not run them;
AIT_E2E_CONTROL_GROUP=no where no worker is to have a control group; AIT_SANITIZED=1 where times and sizes mean nothing; AIT_SLOWER=N on a machine so many times slower, such as an emulated
one; AIT_E2E_FULL=1 for the long variants. A scenario that cannot run
raises Skip with the reason: exit status 77.
"""
import contextlib
import ctypes
import errno
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.dirname(HERE))
import reachable  # noqa: E402

# Workers of another user have to reach what they run.
for variable in ("AIT_CLING", "AIT_CMD", "AIT_DENIED", "AIT_ESCAPES", "AIT_FLOODER", "AIT_HTTP_HELLO", "AIT_LEARN", "AIT_LOAD", "AIT_REFUSE", "AIT_STRAYER",
                 "AIT_WORKER"):
    if os.path.exists(os.environ.get(variable, "")):
        os.environ[variable] = reachable.program(os.environ[variable])

APPS = reachable.tree(os.path.join(HERE, "apps"))
CMD = os.environ.get("AIT_CMD", "")
LOAD = os.environ.get("AIT_LOAD", "")
WORKER = os.environ.get("AIT_WORKER", "")
HTTP_HELLO = os.environ.get("AIT_HTTP_HELLO", "")
SANITIZED = os.environ.get("AIT_SANITIZED") == "1"
FULL = os.environ.get("AIT_E2E_FULL") == "1"
CONTROL_GROUP = os.environ.get("AIT_E2E_CONTROL_GROUP", "")
SLOWER = float(os.environ.get("AIT_SLOWER", "1")) * (4 if SANITIZED else 1)
PATIENCE = 30 * SLOWER
NOBODY = 65534
PYTHON = "/usr/bin/python3"
GUARDIAN = "aiotools-guard"  # in /proc/PID/comm

PR_SET_CHILD_SUBREAPER = 36
SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK_TRUNCATES, LANDLOCK_SCOPES = 3, 6  # the first ABI that confines them


class Skip(Exception):
    pass


class Failure(AssertionError):
    pass


def fail(text):
    raise Failure(text)


def check(condition, text):
    if not condition:
        fail(text)


def check_equal(got, wanted, what):
    if got != wanted:
        fail(f"{what}: {got!r}, not {wanted!r}")


def bound(patience):
    """How long a wait may take, in seconds on an ordinary machine."""
    return PATIENCE if patience is None else patience * SLOWER


def seconds(n):
    """A timeout for the command's options that is n seconds on an ordinary machine."""
    return f"{n * SLOWER:g}s"


def milliseconds(n):
    """The same for options of the load client."""
    return round(n * 1000 * SLOWER)


def wait_for(what, condition, patience=None, step=0.005):
    """The value of condition() once it is true. For states that nothing announces, such as those of /proc."""
    end = time.monotonic() + bound(patience)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            fail(f"waited in vain for {what() if callable(what) else what}")
        time.sleep(step)


def stays(what, condition, seconds=0.3):
    """The opposite: condition() has to hold all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(condition(), f"did not stay: {what}")
        time.sleep(0.005)


# ---- /proc ---------------------------------------------------------------------------------------------------

def read_proc(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            return f.read()
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM):
            return b""
        raise


def proc_stat(pid):
    """(ppid, state, session), or None where the process is gone."""
    text = read_proc(pid, "stat").decode(errors="replace")
    if not text:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return int(fields[1]), fields[0], int(fields[3])


def all_pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def children_of(pid, states="RSDTtIW"):
    """Its children; zombies only where asked for."""
    try:
        text = "".join(read_proc(pid, f"task/{t}/children").decode() for t in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return []
    found = [(int(p), proc_stat(p)) for p in text.split()]
    return [p for p, s in found if s and s[1] in states]


def descendants_of(pid):
    found, front = [], [pid]
    while front:
        front = [c for p in front for c in children_of(p)]
        found += front
    return found


def exe_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def comm_of(pid):
    return read_proc(pid, "comm").decode(errors="replace").strip()


def alive(pid):
    s = proc_stat(pid)
    return s is not None and s[1] not in "ZX"


def status_field(pid, name):
    m = re.search(rf"^{name}:[ \t]*(.*)$", read_proc(pid, "status").decode(), re.M)
    return m.group(1) if m else None


def kilobytes(pid, name):
    return int(status_field(pid, name).split()[0])


def fd_count(pid):
    """How many descriptors it has; always 0 where they cannot be seen: the supervisor's only by root."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


def fd_targets(pid):
    """{fd: what it is}"""
    found = {}
    try:
        fds = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        raise Skip("needs root to see the descriptors of the supervisor") from None
    for fd in fds:
        with contextlib.suppress(FileNotFoundError):
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def describe(pid):
    parent, state, session = proc_stat(pid) or (0, "?", 0)
    command = read_proc(pid, "cmdline").replace(bytes(1), b" ").decode(errors="replace").strip()
    return f"{pid} [{state}, parent {parent}, session {session}: {command[:100]}]"


def wait_gone(pids, what, patience=None):
    """Until none of these processes lives, by their pidfds."""
    end = time.monotonic() + bound(patience)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                    fail(f"{what}: {describe(pid)} still lives")
            finally:
                os.close(fd)


# ---- outputs -------------------------------------------------------------------------------------------------

class Output:
    """Lines of a pipe, collected by a thread; wait() is woken by each."""

    def __init__(self, pipe, what):
        self.what, self.lines, self.raw = what, [], bytearray()
        self.condition, self.ended = threading.Condition(), False
        self.pipe = pipe
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        rest = b""
        while True:
            chunk = os.read(self.pipe.fileno(), 65536)
            with self.condition:
                if len(self.raw) < 64 << 20:
                    self.raw += chunk
                *lines, rest = (rest + chunk).split(b"\n")
                self.lines += lines
                if not chunk and rest:
                    self.lines.append(rest)
                self.ended = not chunk
                self.condition.notify_all()
            if not chunk:
                return

    def wait(self, pattern, since=0, patience=None):
        """The match in the first line, from number `since` on, in which the pattern is found."""
        compiled, at = re.compile(pattern.encode()), since
        end = time.monotonic() + bound(patience)
        with self.condition:
            while True:
                while at < len(self.lines):
                    m = compiled.search(self.lines[at])
                    if m:
                        return m
                    at += 1
                left = end - time.monotonic()
                if left <= 0 or self.ended:
                    fail(f"{self.what}: no line matches {pattern!r}; the last are:\n{self.tail()}")
                self.condition.wait(left)

    def mark(self):
        with self.condition:
            return len(self.lines)

    def tail(self, n=12):
        return "\n".join("    | " + line[:300].decode(errors="replace") for line in self.lines[-n:])

    def so_far(self):
        with self.condition:
            return bytes(self.raw).decode(errors="replace")

    def text(self):
        """All of it, once the writer has ended."""
        self.thread.join(PATIENCE)
        check(not self.thread.is_alive(), f"{self.what} is still held open by somebody")
        return bytes(self.raw).decode(errors="replace")


class Notify:
    """The socket that a service manager would have: what the supervisor says upwards. A thread reads it at once, since
    its queue is short."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.messages = []  # (sender, {name: value})
        self.condition = threading.Condition()
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        with contextlib.suppress(OSError):
            while True:
                data, ancillary, _, _ = self.socket.recvmsg(65536, 4096)
                if data == b"":
                    return
                with self.condition:
                    self.messages.append(self.parse(data, ancillary))
                    self.condition.notify_all()

    @staticmethod
    def parse(data, ancillary):
        sender = 0
        for level, kind, content in ancillary:
            if kind == socket.SCM_CREDENTIALS:
                sender = int.from_bytes(content[:4], sys.byteorder)
            elif kind == socket.SCM_RIGHTS:
                for i in range(0, len(content) - 3, 4):
                    os.close(int.from_bytes(content[i:i + 4], sys.byteorder))
        return sender, dict(line.split("=", 1) for line in data.decode().split("\n") if "=" in line)

    def mark(self):
        with self.condition:
            return len(self.messages)

    def find(self, name, value=None, since=0):
        """(index, fields) of the first such message."""
        for i in range(since, len(self.messages)):
            fields = self.messages[i][1]
            if name in fields and (value is None or re.search(value, fields[name])):
                return i, fields
        return None

    def wait(self, name, value=None, since=0, patience=None, gave_up=lambda: False):
        end = time.monotonic() + bound(patience)
        with self.condition:
            while not (found := self.find(name, value, since)):
                if time.monotonic() > end or gave_up():
                    fail(f"the supervisor has not said {name}={value or ''}; it said "
                         f"{[m for _, m in self.messages[since:]]}")
                self.condition.wait(0.2)
            return found

    def close(self):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.path)
        self.socket.close()


class Trace:
    """The events that workers append to one file, in order. See worker.c."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "trace")
        with open(self.path, "w"):
            pass
        os.chmod(self.path, 0o666)

    def events(self):
        """[(usec, pid, slot, generation, what)]"""
        with open(self.path) as f:
            text = f.read()
        found = []
        for line in text[:text.rfind("\n") + 1].splitlines():
            usec, pid, slot, generation, what = line.split(" ", 4)
            found.append((int(usec), int(pid), slot, generation, what))
        return found

    def tail(self):
        return "\n".join(f"    | {e}" for e in self.events()[-20:])

    def of(self, what):
        return [e for e in self.events() if e[4] == what]

    def pids(self, what):
        return [e[1] for e in self.of(what)]

    def wait(self, what, count=1, patience=None):
        """Until so many workers have written it; all these events."""
        def enough():
            found = self.of(what)
            return found if len(found) >= count else None
        return wait_for(lambda: f"{count} times '{what}' in the trace, which ends with\n{self.tail()}", enough, patience)


# ---- processes -----------------------------------------------------------------------------------------------

class Load:
    """The load client, running."""

    def __init__(self, pit, target, *args):
        # Inherited, so that a signal sent before the client has come to take signals waits for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1, signal.SIGTERM))
        self.process = subprocess.Popen([LOAD, f"-t{milliseconds(10)}", *args, target], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=pit.environment())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1, signal.SIGTERM))
        pit.own.add(self.process.pid)
        self.out = Output(self.process.stdout, "load")
        self.err = Output(self.process.stderr, "load's stderr")
        pit.defer(self.kill)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def snapshot(self):
        seen = self.out.mark()
        self.process.send_signal(signal.SIGUSR1)
        self.out.wait(r"^\{", since=seen)
        return json.loads(self.out.lines[seen])

    def wait_ok(self, count):
        """Until `count` more requests have been answered. Says what happened up to then."""
        first = self.snapshot()
        return wait_for(lambda: f"{count} more answers; now {self.snapshot()}",
                        lambda: (lambda s: s if s["ok"] >= first["ok"] + count else None)(self.snapshot()), step=0.02)

    def stop(self):
        """Ends it in order. The counts."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self):
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            fail(f"the load has not ended: {self.snapshot()}")
        self.out.text()
        counts = json.loads(self.out.lines[-1])
        counts["details"] = self.err.text()
        return counts

    @staticmethod
    def check_lossless(counts, least=1):
        check(counts["ok"] >= least, f"only {counts['ok']} requests were served: {counts}")
        check(counts["failed"] == 0, f"{counts['failed']} of {counts['ok'] + counts['failed']} requests failed: "
              f"{ {k: v for k, v in counts.items() if k not in ('pids', 'details')} }\n{counts['details']}")


def quick(args):
    """Options of `run`. Workers are trusted as soon as they are ready, and stopped as soon as they have accepted what
    waits, except where --settle or --drain is what is tested. On
    a slow machine, programs have more time to start."""
    given = {a.split("=")[0] for a in args}
    slow = [f"--start-timeout={int(30 * SLOWER)}s"] if SLOWER > 4 and "--start-timeout" not in given else []
    groups = [f"--control-group={CONTROL_GROUP}"] if CONTROL_GROUP and "--control-group" not in given else []
    return [*(f"{o}=0" for o in ("--settle", "--drain") if o not in given), *slow, *groups, *args]


class Server:
    """`aiotools-sd run`, running. The first process, pid, is the guardian. Its child is the supervisor, whose children
    that run another program than it does are the workers."""

    def __init__(self, pit, args, env=None, uid=None, wrapper=(), read_output=True, cwd=None, runtime=True, stdin=None):
        self.pit = pit
        command = [*wrapper, CMD, "run", *quick(args)]
        environment = pit.environment(runtime=runtime, uid=uid)
        environment.update(env or {})
        credentials = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        self.process = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment, cwd=cwd or pit.path, **credentials)
        self.pid = self.process.pid
        self.found_supervisor = None
        pit.own.add(self.pid)
        self.out = self.err = None
        if read_output:
            self.read_output()
        pit.servers.append(self)
        pit.defer(self.kill)

    def read_output(self):
        self.out = Output(self.process.stdout, "aiotools-sd's stdout")
        self.err = Output(self.process.stderr, "aiotools-sd's stderr")

    def log(self):
        if not self.err:
            return "    | (not read)"
        if self.gone():
            self.err.thread.join(1)  # its last words may be on the way still
        return self.err.tail(20)

    def find_guardian(self):
        """Itself, or a descendant of what it was wrapped in. An outer sandbox may refuse it its name."""
        return next((p for p in [self.pid, *descendants_of(self.pid)]
                     if comm_of(p) == GUARDIAN or read_proc(p, "cmdline").startswith(b"aiotools-sd: guardian")), None)

    def find_supervisor(self):
        guardian = self.find_guardian()
        own = os.path.basename(CMD)[:15]
        return next((p for p in children_of(guardian) if comm_of(p) == own), None) if guardian else None

    @property
    def supervisor(self):
        """Its pid, as long as the server lives and afterwards."""
        if not self.found_supervisor:
            self.found_supervisor = wait_for(lambda: f"the supervisor\n{self.log()}", self.find_supervisor)
        return self.found_supervisor

    def kill(self, who="guardian"):
        """kill -9 of one of the two, and the end of the other."""
        if self.process.poll() is None:
            other = self.found_supervisor or self.find_supervisor()
            if who == "guardian":
                self.process.kill()
            else:
                os.kill(self.supervisor, signal.SIGKILL)
            self.process.wait()
            wait_gone([other] if other else [], "the supervisor after the guardian")

    def send(self, number):
        self.process.send_signal(number)

    def tell(self, number):
        """The same to the supervisor, which the guardian would pass it on to."""
        os.kill(self.supervisor, number)

    def gone(self):
        return self.process.poll() is not None

    def wait_ready(self, patience=None):
        try:
            self.pit.notify.wait("READY", "1", patience=patience, gave_up=self.gone)
        except Failure as e:
            if self.gone():
                fail(f"ended with status {self.process.returncode} before it was ready\n{self.log()}")
            fail(f"{e}\n{self.log()}")
        return self

    def workers(self):
        """Pids of living workers."""
        supervisor = self.found_supervisor or self.find_supervisor()
        if not supervisor:
            return []
        own = self.identity(supervisor)
        return [p for p in children_of(supervisor)
                if self.identity(p) not in (own, self.GONE) and (proc_stat(p) or (0, 0, 0))[2] == p]

    GONE = ("", b"")

    @staticmethod
    def identity(pid):
        """A child that has not yet exec'ed has these in common with the supervisor. A worker has
        another program or, where that is aiotools-sd again, another environment. Orphans of workers, which come to the
        supervisor too, lead no session. What is not dumpable shows neither to others than root: then it is the command line."""
        exe = exe_of(pid)
        return (exe, read_proc(pid, "environ")) if exe else (exe, read_proc(pid, "cmdline"))

    def wait_workers(self, count, patience=None):
        return wait_for(lambda: f"{count} workers; there are {[describe(p) for p in self.workers()]}\n{self.log()}",
                        lambda: (lambda w: w if len(w) == count else None)(self.workers()), patience)

    def wait_replaced(self, old, count, patience=None):
        """Until all the old workers have gone, and `count` others live."""
        wait_gone(old, "an old worker after the reload", patience)
        workers = self.wait_workers(count, patience)
        check(not set(old) & set(workers), f"workers {set(old) & set(workers)} were not replaced")
        return workers

    def reload(self, count, patience=None):
        """HUP, and wait until it is complete. Old workers stop only when new ones are ready, so their end says so."""
        old = self.workers()
        check_equal(len(old), count, "workers before the reload")
        self.send(signal.SIGHUP)
        try:
            return self.wait_replaced(old, count, patience)
        except Failure as e:
            fail(f"{e}\n{self.log()}")

    def wait_exit(self, status=None, patience=None):
        try:
            got = self.process.wait(bound(patience))
        except subprocess.TimeoutExpired:
            fail(f"has not ended\n{self.log()}")
        if status is not None:
            wanted = status if isinstance(status, (set, tuple, list)) else (status,)
            check(got in wanted, f"exit status {got}, not {status}\n{self.log()}")
        return got

    def stop(self, status=0, number=signal.SIGTERM, patience=None):
        self.send(number)
        return self.wait_exit(status, patience)


class Sandpit:
    def __init__(self, name):
        self.name = name
        self.path = reachable.directory("ait-e2e-")
        self.runtime = os.path.join(self.path, "run")
        os.mkdir(self.runtime)
        self.mark = f"AIT_E2E_MARK={os.path.basename(self.path)}"
        self.notify = Notify(self.path)
        self.trace = Trace(self.path)
        self.servers, self.cleanups, self.notes, self.own = [], [], [], set()
        self.allowed_files = set()

    # -- what scenarios use

    def note(self, text):
        self.notes.append(text)

    def defer(self, f):
        self.cleanups.append(f)

    def file(self, name, content=None, mode=0o644):
        path = os.path.join(self.path, name)
        if content is not None:
            with open(path, "w") as f:
                f.write(content)
            os.chmod(path, mode)
        return path

    def directory(self, name, mode=0o755):
        path = os.path.join(self.path, name)
        os.mkdir(path)
        os.chmod(path, mode)
        return path

    def environment(self, runtime=False, uid=None):
        keep = ("PATH", "LANG", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LLVM_PROFILE_FILE",
                "LD_PRELOAD")
        env = {k: v for k, v in os.environ.items() if k in keep}
        env.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        env["HOME"] = "/nonexistent"
        name, value = self.mark.split("=")
        env[name] = value
        env["NOTIFY_SOCKET"] = self.notify.path
        if runtime:
            env["RUNTIME_DIRECTORY"] = self.runtime
            if uid is not None:
                os.chown(self.runtime, uid, uid)
        return env

    def server(self, *args, **kwargs):
        return Server(self, [str(a) for a in args], **kwargs)

    def worker(self, *args, trace=True):
        """The command line of a worker, as the tail of server()'s arguments."""
        return ["--", WORKER, *([f"--trace={self.trace.path}"] if trace else []), *args]

    def load(self, target, *args):
        return Load(self, target, *args)

    def port(self, kind=socket.SOCK_STREAM, family=socket.AF_INET):
        """A free one outside of the range from which clients' ports are taken."""
        for _ in range(200):
            port = random.randrange(10000, 32000)
            with socket.socket(family, kind) as s:
                with contextlib.suppress(OSError):
                    s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
                    return port
        raise Skip("no free port")

    def run(self, *args, env=None, uid=None, wrapper=(), patience=None, prefix=("run",)):
        """To its end. (status, stdout, stderr)"""
        args = [str(a) for a in args]
        command = [*wrapper, CMD, *prefix, *(quick(args) if tuple(prefix) == ("run",) else args)]
        environment = self.environment(runtime=True, uid=uid)
        environment.update(env or {})
        credentials = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment, cwd=self.path, **credentials)
        self.own.add(process.pid)
        try:
            out, err = process.communicate(timeout=bound(patience))
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            fail(f"{' '.join(command[:12])} has not ended; stderr:\n{err.decode(errors='replace')}")
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    # -- what is left

    def marked(self):
        """Processes with our mark, wherever they have got to."""
        found, mark = [], self.mark.encode()
        for pid in all_pids():
            if pid != os.getpid() and alive(pid) and mark in read_proc(pid, "environ").split(b"\0"):
                found.append(pid)
        return found

    def reap(self):
        """Orphans only: the others are for those who wait for their exit status."""
        for pid in children_of(os.getpid(), "Z"):
            if pid not in self.own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def left(self):
        self.reap()
        return sorted(set(self.marked()) | set(descendants_of(os.getpid())))

    def wait_nothing_left(self, patience=10):
        """Orphans come to us, who are a subreaper."""
        wait_for(lambda: f"the end of {[describe(p) for p in self.left()]}; the trace ends with\n{self.trace.tail()}",
                 lambda: not self.left(), patience)

    def assert_clean(self):
        self.wait_nothing_left()
        found = []
        for directory, names, files in os.walk(self.path):
            for n in files + names:
                path = os.path.join(directory, n)
                is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
                if (is_socket or directory.startswith(self.runtime)) and path != self.notify.path \
                        and path not in self.allowed_files:
                    found.append(path)
        check(not found, f"files left behind: {found}")

    def kill_left(self):
        for _ in range(100):
            left = self.left()
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.02)

    def close(self):
        for f in reversed(self.cleanups):
            with contextlib.suppress(Exception):
                f()
        self.kill_left()
        self.notify.close()
        shutil.rmtree(self.path, ignore_errors=True)


# ---- the runner ----------------------------------------------------------------------------------------------

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def need_nobody():
    """Root, and a place that an ordinary user can reach."""
    need_root()
    if not next(reachable.places(), None) or not reachable.can_reach(CMD, WORKER, APPS):
        raise Skip("there is no temporary directory that an ordinary user may enter and run programs from")


def landlock_abi():
    """0 where the kernel has no Landlock, or it is switched off."""
    return max(0, ctypes.CDLL(None).syscall(SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def need_landlock(abi):
    if landlock_abi() < abi:
        raise Skip(f"this kernel has Landlock ABI {landlock_abi()}, not {abi}")


def own_group():
    """Of our control group, as /proc tells it; None: this kernel has no version 2."""
    m = re.search(r"^0::(/.*)$", read_proc("self", "cgroup").decode(), re.M)
    return m and m.group(1).rstrip("/")


def group_directory():
    """Where our control group is. Skips the scenario if no groups can be made there."""
    path = own_group()
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        place = f"{mount}{path}"
        if path is not None and os.access(f"{place}/cgroup.procs", os.W_OK):
            return place
    raise Skip("no control group of version 2 that we may write")


def need_groups():
    """The command's own word: doctor makes one."""
    group_directory()
    said = subprocess.run([CMD, "doctor"], stdout=subprocess.PIPE, check=False).stdout.decode()
    line = re.search(r"^ *(\w+) +control groups +(.*)$", said, re.M)
    if line.group(1) != "ok":
        raise Skip(f"no control group can be had: {line.group(2)}")


def need_program(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def check_within(value, low, high, what):
    """Seconds; a slower machine may take longer."""
    high *= SLOWER
    check(low <= value <= high, f"{what}: {value:.3f}, not within {low} and {high}")


def run_scenario(name):
    """0, 1 or 77; prints one line, or the failure."""
    begun = time.monotonic()
    pit = Sandpit(name)
    try:
        SCENARIOS[name](pit)
        pit.assert_clean()
        notes = "; ".join(pit.notes)
        print(f"ok    {name} ({time.monotonic() - begun:.1f} s){': ' + notes if notes else ''}", flush=True)
        return 0
    except Skip as e:
        print(f"SKIP  {name}: {e}", flush=True)
        return 77
    except Exception as e:
        print(f"FAIL  {name} ({time.monotonic() - begun:.1f} s): {e}", flush=True)
        if not isinstance(e, Failure) or os.environ.get("AIT_E2E_TRACEBACK"):
            traceback.print_exc()
        for s in pit.servers[-6:]:
            print(f"  aiotools-sd {s.pid}, exit status {s.process.poll()}, log:\n{s.log()}", flush=True)
        return 1
    finally:
        pit.close()


def check_programs():
    for variable in ("AIT_CMD", "AIT_LOAD", "AIT_WORKER", "AIT_HTTP_HELLO"):
        path = os.environ.get(variable)
        if path is None or (path and not os.access(path, os.X_OK)):
            sys.exit(f"{variable} has to name the program that was built (see harness.py), it is {path!r}")


def compiled(pit, command, environment):
    """What a compiler makes of a program of ours; a compiler that cannot is none of our concern."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=pit.path,
                          env={**os.environ, "HOME": pit.path, **environment}, timeout=250, check=False)
    if done.returncode != 0:
        raise Skip(f"{command[0]} cannot compile: {done.stdout[-300:]}")
    return command[command.index("-o") + 1]


def compiled_go(pit, program=None):
    return compiled(pit, [need_program("go"), "build", "-o", program or f"{pit.path}/nethttp", f"{APPS}/nethttp.go"],
                    {"GOCACHE": pit.directory("cache"), "GOFLAGS": "", "GO111MODULE": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})


def compiled_rust(pit):
    home, rustc = os.path.expanduser("~"), shutil.which("rustc")
    if not rustc:
        raise Skip("rustc is not installed")
    return compiled(pit, [rustc, "--edition=2021", "-O", "-o", f"{pit.path}/server", f"{APPS}/server.rs"],
                    {"RUSTUP_HOME": os.environ.get("RUSTUP_HOME", f"{home}/.rustup"), "CARGO_HOME": os.environ.get("CARGO_HOME", f"{home}/.cargo")})


def prepare():
    """Once, before the first Sandpit."""
    check_programs()
    # Under nohup, or in the background, they are ignored, and what is started here would inherit that.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        print("\n".join(SCENARIOS))
        return
    prepare()
    results = [run_scenario(n) for n in names or SCENARIOS]
    sys.exit(1 if 1 in results else 77 if results and all(r == 77 for r in results) else 0)
