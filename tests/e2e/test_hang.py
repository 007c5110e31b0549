# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing that a worker can hold up holds up the supervisor: others are served and replaced meanwhile, and SIGTERM is
answered at once.

Whoever owns a file may take a lease on it: an exec by others then waits, for up to
/proc/sys/fs/lease-break-time seconds. Whoever closes a descriptor last waits for what it refers to: data of a socket
with SO_LINGER that nobody reads, or a file of a file system that does not answer."""
import os
import re
import signal
import subprocess

from harness import FULL, PYTHON, WORKER, Skip, check, main, read_proc, scenario, seconds, stays, wait_for

PROMPT = 5  # seconds, far below any lease-break-time

LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "rb")
try:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
except OSError as e:
    print(e.errno, flush=True)
    sys.exit(1)
print(0, flush=True)
signal.pause()
while True:
    signal.pause()
"""


class Lease:
    """Held by a process of its own, as a worker would."""

    def __init__(self, pit, path):
        with open("/proc/sys/fs/lease-break-time") as f:
            if int(f.read()) < 2 * PROMPT:
                raise Skip("the kernel takes leases away too soon")
        # A shell that still reads the file is in the way for a moment.
        self.process = wait_for(f"a lease on {path}", lambda: self.take(path))
        pit.own.add(self.process.pid)
        pit.defer(self.give_up)

    @staticmethod
    def take(path):
        process = subprocess.Popen([PYTHON, "-c", LEASE, path], stdout=subprocess.PIPE, text=True)
        if process.stdout.readline().strip() == "0":
            return process
        process.wait()
        return None

    def give_up(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def program(pit):
    """Nobody has it open, once the shell has executed the worker."""
    return pit.file("program", f"#!/bin/sh\nexec {WORKER} --trace={pit.trace.path} \"$@\"\n", 0o755)


def is_responsive(server):
    """It answers a signal that changes nothing."""
    mark = server.err.mark()
    server.send(signal.SIGUSR1)
    server.err.wait("SIGUSR1 ignored", since=mark, patience=PROMPT)


# ---- descriptors ---------------------------------------------------------------------------------------------

PASSING = """
import array, os, signal, socket, struct, sys
signal.signal(signal.SIGTERM, lambda *args: os._exit(0))

def lingering():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    s = socket.socket()
    s.connect(listener.getsockname())
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    globals()["reader"] = listener
    return s.detach()

def send(text, fd=None):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
    s.sendmsg([text.encode()], control, 0, os.environ["NOTIFY_SOCKET"])

what, times, then = sys.argv[1], int(sys.argv[2]), sys.argv[3]
send("READY=1")
if os.environ["AIOTOOLS_SD_SLOT"] == "0":
    if os.fork() == 0:
        fd = lingering() if what == "linger" else os.open(what, os.O_RDONLY)
        for i in range(times):
            send("X_NUMBER=%d" % i, fd if i % 8 == 0 or what != "linger" else None)
        send("STATUS=all sent")
        if what == "linger" and then == "stay":
            os.close(fd)
            signal.pause()
        os._exit(0)
    if then == "die":
        os.wait()
        os._exit(1)
while True:
    signal.pause()
"""


def passing(pit, *args):
    return ["--", PYTHON, pit.file("passing.py", PASSING), *args]


class StuckFiles:
    """A directory with files that hang. What hangs at its end goes on."""

    def __init__(self, pit):
        self.path = pit.directory("stuck")
        self.process = subprocess.Popen([os.environ["AIT_STUCK"], self.path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        pit.own.add(self.process.pid)
        pit.defer(self.end)
        if self.process.stdout.readline() != "ready\n":
            raise Skip(f"no file system of our own here: {self.process.stderr.read().strip()}")

    def end(self):
        self.process.communicate()


@scenario
def passed_sockets_linger(pit):
    """So that the supervisor closes them last: others are queued before them, and the sender has gone."""
    server = pit.server("-n2", *passing(pit, "linger", "64", "stay")).wait_ready()
    server.err.wait("status: all sent", patience=PROMPT)
    is_responsive(server)
    server.stop(patience=PROMPT)


@scenario
def queued_sockets_linger(pit):
    """The worker dies with them in its socket, again and again."""
    server = pit.server("-n2", "--backoff=10ms..10ms", "--give-up=0/1s", *passing(pit, "linger", "32", "die")).wait_ready()
    mark = server.err.mark()
    for _ in range(5):
        server.err.wait("slot 0, .*exited with status 1", since=mark, patience=PROMPT)
        mark = server.err.mark()
        is_responsive(server)
    server.stop(patience=PROMPT)


@scenario
def passed_files_hang(pit):
    """Few are tried. The other slot is served and replaced, and when they are free all goes on."""
    stuck = StuckFiles(pit)
    server = pit.server("-n2", *passing(pit, os.path.join(stuck.path, "flush"), "8", "stay")).wait_ready()
    server.err.wait("its notifications wait: descriptors that it has passed", patience=PROMPT)
    is_responsive(server)
    other = [p for p in server.workers() if b"AIOTOOLS_SD_SLOT=1" in read_proc(p, "environ")]
    mark = server.err.mark()
    os.kill(other[0], signal.SIGKILL)
    server.err.wait("slot 1, .*: started", since=mark, patience=PROMPT)
    stuck.end()
    server.err.wait("slot 0, .*status: all sent", patience=PROMPT)
    server.stop(patience=PROMPT)


# ---- leases --------------------------------------------------------------------------------------------------

@scenario
def lease_at_restart(pit):
    """The start of the one waits, and everything else goes on."""
    port = pit.port()
    server = pit.server("-n2", f"--listen=127.0.0.1:{port}", "--backoff=10ms..10ms", "--", program(pit)).wait_ready()
    load = pit.load(f"127.0.0.1:{port}", "-c4")
    lease = Lease(pit, pit.file("program"))
    first = server.wait_workers(2)
    os.kill(first[0], signal.SIGKILL)
    server.err.wait(rf"its program is still not executed: process {lease.process.pid} \(python3\) holds a lease on "
                    + re.escape(pit.file("program")))
    is_responsive(server)
    load.wait_ok(50)
    # The other one dies as well, and that is noticed.
    mark = server.err.mark()
    os.kill(first[1], signal.SIGKILL)
    server.err.wait("was killed by SIGKILL", since=mark, patience=PROMPT)
    is_responsive(server)
    lease.give_up()
    new = server.wait_workers(2)
    check(not set(new) & set(first), "an old worker lives")
    pit.trace.wait("ready", 4)
    load.wait_ok(50)
    load.stop()
    server.stop()


@scenario
def term_while_a_start_hangs(pit):
    server = pit.server("-n2", "--backoff=10ms..10ms", "--", program(pit)).wait_ready()
    lease = Lease(pit, pit.file("program"))
    for pid in server.wait_workers(2):
        os.kill(pid, signal.SIGKILL)
    server.err.wait("its program is still not executed")
    server.stop(patience=PROMPT)
    lease.give_up()


@scenario
def start_timeout_while_a_start_hangs(pit):
    """The time of a start counts from its beginning, and its end says what has held it up."""
    server = pit.server("-n1", "--backoff=10ms..10ms", f"--start-timeout={seconds(2)}", "--", program(pit)).wait_ready()
    lease = Lease(pit, pit.file("program"))
    os.kill(server.wait_workers(1)[0], signal.SIGKILL)
    server.err.wait(rf"not ready within --start-timeout=\S+, since its program was not executed: process {lease.process.pid} .*; killed")
    is_responsive(server)
    lease.give_up()
    server.wait_workers(1)
    server.stop()


@scenario
def lease_at_reload(pit):
    """What cannot be looked at is not started: the reload is refused, with words."""
    environment, policy = pit.file("environment", "A=1\n"), pit.file("policy", "policy 1\ninclude service\n")
    server = pit.server("-n2", f"--env-file={environment}", f"--policy={policy}", "--", program(pit)).wait_ready()
    old = server.wait_workers(2)
    for path in (pit.file("program"), environment, policy):
        lease, mark = Lease(pit, path), server.err.mark()
        server.send(signal.SIGHUP)
        server.err.wait(rf"reload: refused, .*{re.escape(path)}: .* holds a lease on it", since=mark, patience=PROMPT)
        stays("the workers", lambda: sorted(server.workers()) == sorted(old))
        lease.give_up()
    server.reload(2)
    server.stop()


@scenario
def reload_that_cannot_be_looked_up(pit):
    """It is refused after a time, and all else goes on; SIGTERM ends it, too."""
    stuck = StuckFiles(pit)
    server = pit.server("-n2", "--backoff=10ms..10ms", f"--start-timeout={seconds(2)}", "--", program(pit)).wait_ready()
    old = server.wait_workers(2)
    os.rename(pit.file("program"), pit.file("other"))
    os.symlink(os.path.join(stuck.path, "program"), pit.file("program"))
    server.send(signal.SIGHUP)
    is_responsive(server)
    stays("the workers", lambda: sorted(server.workers()) == sorted(old))
    server.err.wait("reload: refused, .* takes longer than --start-timeout")
    os.rename(pit.file("other"), pit.file("program"))
    stuck.end()
    server.reload(2)
    server.stop(patience=PROMPT)


@scenario
def program_that_cannot_be_read(pit):
    """Its file system does not answer."""
    stuck = StuckFiles(pit)
    server = pit.server("-n2", "--backoff=10ms..10ms", "--", program(pit)).wait_ready()
    os.symlink(os.path.join(stuck.path, "program"), pit.file("link"))
    os.replace(pit.file("link"), pit.file("program"))
    os.kill(server.wait_workers(2)[0], signal.SIGKILL)
    server.err.wait("its program is still not executed: does the file system of .* answer")
    is_responsive(server)
    if FULL:
        # Nobody can kill a process that waits for it. The server ends without it, and says so.
        server.stop(patience=11 * PROMPT)
        check("cannot be killed (in uninterruptible sleep?)" in server.err.text(), server.log())
        stuck.end()
    else:
        stuck.end()
        server.stop(patience=PROMPT)


if __name__ == "__main__":
    main()
