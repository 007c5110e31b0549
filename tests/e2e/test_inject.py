# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each system call fails in turn, by strace's injection: in the supervisor, in its guardian, and in a worker before it has
become its program. The server goes on, or it ends in order with a message. It never spins, and leaves nothing.

The ordinary run takes a sample of each group; AIT_E2E_FULL=1 takes all."""
import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

from harness import (FULL, SLOWER, Skip, check, check_equal, children_of, fail, fd_targets, main, need_program, need_root, read_proc,
                     scenario)

# What the manual pages promise of each call, and what an outer sandbox or an exhausted machine makes of it. EAGAIN of a call
# that reads is none of these: the kernel never says it of what it has just reported to be there.
GROUPS = {
    "files": {
        "openat": "EMFILE ENFILE ENOMEM EACCES EPERM EIO ENOENT",
        "newfstatat": "EACCES ENOENT ENOMEM EIO",
        "close": "EINTR EIO",
        "lseek": "EINVAL EBADF",
        "pread64": "EIO EINTR",
        "getdents64": "EIO ENOENT",
        "ftruncate": "EINTR EIO ENOSPC",
        "rename": "EACCES ENOSPC EROFS",
        "unlink": "EACCES EBUSY EROFS ENOENT",
        "mkdir": "EACCES ENOSPC EROFS EEXIST",
        "rmdir": "EBUSY ENOTEMPTY EROFS",
        "readlink": "EACCES ENOENT EIO",
        "fchmod": "EPERM EROFS",
        "chmod": "EPERM EROFS",
        "faccessat2": "EACCES ENOENT ENOSYS",
        "getcwd": "ENOENT",
        "statfs": "ENOSYS EACCES",
        "flock": "EINTR ENOLCK",
        "memfd_create": "EMFILE ENOMEM ENOSYS",
        "inotify_init1": "EMFILE ENOMEM",
        "inotify_add_watch": "ENOSPC EACCES ENOMEM",
    },
    "transfers": {
        "read": "EINTR EIO ENOMEM",
        "write": "EINTR EAGAIN EIO ENOSPC",
        "sendmsg": "EINTR EAGAIN ENOBUFS ECONNREFUSED EPERM",
        "recvmsg": "EINTR ENOMEM EPERM",
        "sendto": "EINTR EAGAIN ENOBUFS ECONNREFUSED",
    },
    "events": {
        "poll": "EINTR ENOMEM",
        "ppoll": "EINTR ENOMEM",
        "epoll_create1": "EMFILE ENOMEM",
        "epoll_ctl": "ENOMEM ENOSPC EPERM",
        "epoll_wait": "EINTR EPERM",
        "epoll_pwait2": "EINTR ENOSYS",
        "signalfd4": "EMFILE ENOMEM",
        "eventfd2": "EMFILE ENOMEM",
        "timerfd_create": "EMFILE ENOMEM",
        "timerfd_settime": "EINVAL",
        "pipe2": "EMFILE ENFILE",
        "fcntl": "EMFILE EPERM EACCES",
        "dup3": "EMFILE EBUSY EINTR",
    },
    "sockets": {
        "socket": "EMFILE ENOBUFS EAFNOSUPPORT EPERM",
        "socketpair": "EMFILE ENOMEM",
        "bind": "EADDRINUSE EACCES EROFS ENOMEM",
        "listen": "EADDRINUSE EOPNOTSUPP",
        "setsockopt": "ENOPROTOOPT EPERM ENOMEM",
        "getsockopt": "ENOPROTOOPT EPERM",
        "getsockname": "ENOBUFS",
        "shutdown": "ENOTCONN EPERM",
    },
    "processes": {
        "clone": "EAGAIN ENOMEM EPERM",
        "clone3": "EAGAIN ENOMEM ENOSYS EPERM",
        "fork": "EAGAIN ENOMEM",
        "vfork": "EAGAIN ENOMEM",
        "waitid": "ECHILD EINTR",
        "wait4": "ECHILD EINTR",
        "pidfd_open": "EMFILE ENOSYS EPERM",
        "pidfd_send_signal": "EPERM",
        "kill": "EPERM",
        "setsid": "EPERM",
        "setpgid": "EPERM",
        "prctl": "EINVAL EPERM",
        "prlimit64": "EPERM",
        "setpriority": "EACCES EPERM",
        "close_range": "ENOSYS EPERM EMFILE",
        "chdir": "EACCES ENOENT",
        "capset": "EPERM",
        "capget": "EPERM",
        "seccomp": "EINVAL ENOMEM EPERM",
        "landlock_create_ruleset": "EOPNOTSUPP ENOSYS EMFILE",
        "landlock_restrict_self": "EPERM E2BIG",
        "rt_sigprocmask": "EINVAL",
        "rt_sigaction": "EINVAL",
        "sched_getaffinity": "EPERM",
    },
    "memory": {
        "mmap": "ENOMEM",
        "munmap": "ENOMEM",
        "mprotect": "ENOMEM EACCES",
        "madvise": "EAGAIN ENOMEM EINVAL",
        "sigaltstack": "ENOMEM",
        "getrandom": "EAGAIN ENOSYS",
    },
}

SAMPLE = 5  # of a group in the ordinary run
EACH = 8  # so many first calls of a process fail each, then some of the later ones
SPIN = 4.0  # seconds of CPU
READY_PATIENCE = 20
STOP_PATIENCE = 15
FDS_PATIENCE = 5
RELOADED = re.compile(r"reload: (done|refused|\d+ |.*kept|.*keep running)")
# Said aloud: what went wrong, or what was done about it.
SAID = re.compile(r"warning|error|cannot|could not|failed|refused|stopped:|aiotools-sd: |loading shared|killed|gave up|out of memory|not ready")


def need_strace():
    need_root()
    need_program("strace")
    done = subprocess.run(["strace", "-f", "-b", "execve", "-e", "trace=none", "true"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Skip("strace cannot detach from what is executed, or may not trace here")


class Attempt:
    """One server, from its start to its end, in which the WHENth CALL of each process fails."""

    def __init__(self, pit, inject=None):
        self.pit, self.trace = pit, pit.file("strace")
        call, errno, when = inject or ("all", "", 0)
        self.call = call
        what = ["-e", f"trace={call}", *(["-e", f"inject={call}:error={errno}:when={when}"] if inject else [])]
        pit.notify.messages.clear()
        with open(pit.trace.path, "w"):
            pass
        self.server = pit.server("-n2", f"--listen=127.0.0.1:{pit.port()}", "--name=inject", "--start-timeout=2s", "--stop-timeout=2s",
                                 "--backoff=10ms..100ms", "--ready=notify", *pit.worker(),
                                 wrapper=("strace", "-f", "-qq", "-b", "execve", "-o", self.trace, *what))
        self.tracer, self.pid = self.server.pid, None

    def target(self):
        self.pid = next(iter(children_of(self.tracer)), None) or self.pid
        return self.pid

    def abort(self):
        """What has no end of its own."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.kill()
        self.pit.kill_left()

    def processes(self):
        """The one that strace has started, and those of its children that are aiotools-sd as well."""
        target = self.target()
        return [] if target is None else [target, *[p for p in children_of(target) if read_proc(p, "cmdline").startswith(b"aiotools-sd")
                                                    or b"/aiotools-sd\0" in read_proc(p, "cmdline")]]

    def cpu(self):
        total = 0.0
        for pid in self.processes():
            fields = read_proc(pid, "stat").rsplit(b")", 1)[-1].split()
            if len(fields) > 13:
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def log(self):
        return self.server.err.so_far()

    def said(self):
        return SAID.search(self.log())

    def wait(self, condition, patience):
        """What the condition says; "over" where the server has ended."""
        end = time.monotonic() + patience * max(1, SLOWER)
        while time.monotonic() < end:
            found = condition()
            if found or self.server.gone():
                return found or "over"
            time.sleep(0.02)
        return None

    def verdict(self, state):
        """After its end."""
        status, log = self.server.process.returncode, self.server.log()
        check(status >= 0, f"was killed by signal {-status}\n{log}")
        # What fails may be the very message.
        check(status == 0 or self.said() or self.call == "write", f"{state}: ended with status {status} without a word\n{log}")
        self.pit.wait_nothing_left()
        left = os.listdir(self.pit.runtime)
        for name in left:
            shutil.rmtree(self.pit.file(f"run/{name}"), ignore_errors=True)
        if left and not self.said():
            fail(f"{state}: {left} is left in the runtime directory\n{log}")
        return f"{state}, {status}"

    def stop(self, state):
        used = self.cpu()
        check(used < SPIN, f"{state}: {used:.1f} s of CPU\n{self.server.log()}")
        target = self.target()
        if target:
            os.kill(target, signal.SIGTERM)
        if not self.wait(self.server.gone, STOP_PATIENCE):
            fail(f"{state}: SIGTERM does not end it\n{self.server.log()}")
        return self.verdict(state)

    def run(self, bound=None):
        state = self.wait(lambda: self.pit.notify.find("READY", "1"), READY_PATIENCE)
        if state == "over":
            check(self.server.process.returncode != 0, f"ended with status 0 at once\n{self.server.log()}")
            return self.verdict("did not start")
        if state is None:
            check(self.said(), f"neither ready nor a word\n{self.server.log()}")
            return self.stop("never ready")
        os.kill(self.target(), signal.SIGHUP)
        state = self.wait(lambda: RELOADED.search(self.log()), READY_PATIENCE)
        if state == "over":
            return self.verdict("ended in the reload")
        if state is None:
            check(self.said(), f"the reload never ends\n{self.server.log()}")
            return self.stop("reload without an end")
        if bound is not None and self.wait(lambda: self.descriptors() <= bound, FDS_PATIENCE) is None:
            fail(f"{self.descriptors()} descriptors after the reload, not {bound}\n{self.server.log()}")
        self.fds = self.descriptors()
        return self.stop("goes on")

    def descriptors(self):
        return sum(len(fd_targets(p)) for p in self.processes())


# The first call of our own in a process that the dynamic loader has started.
OWN = ("prctl", "signalfd4", "eventfd2", "epoll_create1", "pidfd_open", "memfd_create", "seccomp", "rt_sigaction")


def counted(trace):
    """For each call (before, n): the process that makes it most often makes it n times, the dynamic loader some of them before."""
    counts, before = collections.Counter(), {}
    with open(trace, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.match(r"(\d+) +(\w+)\(", line)
            if not m:
                continue
            if m[2] in OWN and not before:
                before = {call: n for (_, call), n in counts.items()}
            counts[m[1], m[2]] += 1
    highest = {}
    for (_, call), n in counts.items():
        highest[call] = (before.get(call, 0), max(highest.get(call, (0, 0))[1], n))
    return highest


def cases(group, highest):
    """Spread over calls, errnos and positions, so that a sample has something of all."""
    found = []
    for call, errnos in GROUPS[group].items():
        before, n = highest.get(call, (0, 0))
        n -= before
        whens = sorted({*range(1, min(n, EACH) + 1), *(n * k // 8 for k in range(1, 9) if n * k // 8 > EACH)})
        found += [(call, errno, before + when) for when in whens for errno in errnos.split()]
    return found


def inject(pit, group):
    need_strace()
    normal = Attempt(pit)
    check_equal(normal.run(), "goes on, 0", "without a failure")
    todo = cases(group, counted(normal.trace))
    if not FULL:
        todo = [todo[(2 * i + 1) * len(todo) // (2 * SAMPLE)] for i in range(SAMPLE)] if len(todo) > SAMPLE else todo
    ends, failures = collections.Counter(), []
    for case in todo:
        attempt = Attempt(pit, case)
        try:
            ends[attempt.run(normal.fds + 1)] += 1
        except AssertionError as e:
            failures.append(f"{':'.join(map(str, case))}: {e}")
            attempt.abort()
            if FULL:
                print(f"  {failures[-1]}", flush=True)
    pit.note(f"{len(todo)} failed calls: " + ", ".join(f"{n} times {state}" for state, n in sorted(ends.items())))
    check(not failures, "\n".join(failures))


@scenario
def files(pit):
    inject(pit, "files")


@scenario
def transfers(pit):
    inject(pit, "transfers")


@scenario
def events(pit):
    inject(pit, "events")


@scenario
def sockets(pit):
    inject(pit, "sockets")


@scenario
def processes(pit):
    inject(pit, "processes")


@scenario
def memory(pit):
    inject(pit, "memory")


if __name__ == "__main__":
    main()
