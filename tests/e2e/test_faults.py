# SPDX-License-Identifier: LGPL-2.1-or-later
"""System calls of the supervisor that fail while it runs, each in turn: it goes on or says what it cannot do, does not
spin, answers SIGTERM, and leaves nothing behind."""
import os
import signal
import subprocess

from harness import FULL, SANITIZED, Skip, check, main, need_program, need_root, read_proc, scenario, status_field, wait_for

WAITS = "poll epoll_pwait2 epoll_wait read recvmsg waitid wait4 epoll_ctl".split()
FILES = "openat getdents64 newfstatat fcntl close write rename chmod unlink readlink pipe2 dup3 inotify_add_watch".split()
REST = "socket bind setsockopt sendmsg kill pidfd_send_signal mmap munmap madvise rt_sigprocmask clone clone3 getrandom".split()
ERRORS = ("EIO", "ENOMEM", "EINTR") if FULL else ("EIO",)
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    fields = read_proc(pid, "stat").decode().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def with_faults(pit, call, error):
    """The first three of these calls fail. How many did, and what the server ended with."""
    server = pit.server("-n2", "--name=web", f"--listen=127.0.0.1:{pit.port()}", "--backoff=10ms..10ms", "--give-up=100/1min",
                        "--stop-timeout=2s", "--start-timeout=5s", *pit.worker()).wait_ready()
    old, log = server.workers(), pit.file("strace")
    faults = subprocess.Popen([need_program("strace"), "-qq", "-p", str(server.supervisor), "-o", log, "-e", f"trace={call}", "-e",
                               f"inject={call}:error={error}:when=1..3"], stderr=subprocess.DEVNULL)
    pit.own.add(faults.pid)
    wait_for("strace", lambda: faults.poll() is not None or status_field(server.supervisor, "TracerPid") != "0")
    if faults.poll() is not None:
        raise Skip("strace cannot trace here")
    os.kill(old[0], signal.SIGKILL)
    wait_for("two workers", lambda: len([p for p in server.workers() if p != old[0]]) >= 2)
    server.tell(signal.SIGHUP)
    server.err.wait(r"reload: (done|refused|partial|rolled|stopped|.*went back|none)")
    before, begun = cpu(server.supervisor), os.times().elapsed
    wait_for("a moment", lambda: os.times().elapsed - begun > 0.2)
    used = cpu(server.supervisor) - before
    faults.terminate()
    faults.wait()
    check(used < 0.15 or SANITIZED, f"{call} {error}: {used} s of CPU time in 0.2 s\n{server.log()}")
    server.send(signal.SIGTERM)
    server.wait_exit(0, patience=15)
    pit.notify.messages.clear()
    with open(log) as f:
        return f.read().count("INJECTED")


def with_all(pit, calls):
    need_root()
    injected = {call: sum(with_faults(pit, call, error) for error in ERRORS) for call in calls}
    check(sum(n > 0 for n in injected.values()) >= len(calls) // 2, f"hardly anything was tried: {injected}")
    pit.note(", ".join(f"{call} {n}" for call, n in injected.items()))


@scenario
def waits(pit):
    with_all(pit, WAITS)


@scenario
def files(pit):
    with_all(pit, FILES)


@scenario
def the_rest(pit):
    with_all(pit, REST)


if __name__ == "__main__":
    main()
