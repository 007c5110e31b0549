# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an outer sandbox refuses, one system call at a time, with EPERM and with ENOSYS: containers and hardened units do. The
command works, perhaps with a warning that names what is lost; or it ends with one line that names the call and what to do.
It never loops, hangs or loses something in silence."""
import os
import re
import shutil
import signal
import socket
import subprocess

from harness import (NOBODY, SANITIZED, Failure, Skip, check, check_equal, landlock_abi, main, need_nobody, need_program,
                     need_root, scenario, wait_for)

REFUSE = os.environ.get("AIT_REFUSE", "")
OS, SANDBOX = 71, 77

WORKS = ("works",)  # and says nothing


def warns(pattern):
    return "warns", pattern


def ends(status, pattern):
    return "ends", status, pattern


def need_calls():
    if SANITIZED:
        raise Skip("the sanitizers make calls of their own")


def warnings(server):
    lines = [line.decode() for line in server.err.lines if re.search(rb"(warning|error): ", line)]
    # Without steering, a connection may arrive at a worker that is about to go.
    return [line for line in lines if not re.search("run as root|connections wait for a worker that has gone", line)]


def serves(port):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.settimeout(10)
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        check(s.recv(100).startswith(b"HTTP/1.1 200"), "no answer")


def outcome(server, expected):
    """Which of the expected ones it is, once the server is ready or has ended."""
    wait_for(lambda: f"ready or ended\n{server.log()}", lambda: server.gone() or server.pit.notify.find("READY"))
    if not server.gone():
        return next((e for e in expected if e[0] != "ends"), None) or f"it is ready:\n{server.log()}"
    server.err.thread.join(5)
    lines = [line.decode() for line in server.err.lines]
    for e in expected:
        if e[0] == "ends" and server.process.returncode == e[1] and len(lines) == 1 and re.search(e[2], lines[0]):
            return e
    return f"it ended with status {server.process.returncode}:\n{server.log()}"


def try_one(pit, refused, number, expected, options):
    pit.notify.messages.clear()
    port = pit.port()
    server = pit.server("-n2", f"--listen=127.0.0.1:{port}", "--give-up=4/10s", "--ready=notify", *options, *pit.worker(),
                        wrapper=[REFUSE, number, refused, "--"])
    found = outcome(server, expected)
    check(isinstance(found, tuple), found)
    if found[0] == "ends":
        return
    server.reload(2)
    serves(port)
    said = warnings(server)
    if number == "EPERM":
        server.stop()
    else:
        server.kill()
    pit.wait_nothing_left()
    if found[0] == "works":
        check_equal(said, [], "warnings")
    else:
        check_equal(len(said), 1, f"warnings:\n{server.log()}")
        check(re.search(found[1], said[0]), said[0])
    for name in os.listdir(pit.runtime):
        os.unlink(os.path.join(pit.runtime, name))


def table(pit, rows, *options):
    need_calls()
    wrong = []
    for refused, *expected in rows:
        for number in ("EPERM", "ENOSYS"):
            try:
                try_one(pit, refused, number, expected, options)
            except Failure as e:
                wrong.append(f"{refused} refused with {number}: {e}")
    for name in os.listdir(pit.runtime):
        os.unlink(os.path.join(pit.runtime, name))
    check(not wrong, "\n".join(wrong))
    pit.note(f"{len(rows)} calls")


def refused(call):
    return rf"{call}\(2\) is refused .*allow the call in the container's seccomp profile"


PR = {"PDEATHSIG": 1, "GET_DUMPABLE": 3, "DUMPABLE": 4, "NAME": 15, "CAPBSET_READ": 23, "CAPBSET_DROP": 24, "SECUREBITS": 28,
      "CHILD_SUBREAPER": 36, "NO_NEW_PRIVS": 38, "CAP_AMBIENT": 47}


def prctl(name):
    return f"prctl:0={PR[name]}"


@scenario
def processes(pit):
    table(pit, [
        ("clone3", WORKS),
        ("close_range", WORKS),
        ("execveat", WORKS),
        ("kcmp", WORKS),
        ("pidfd_getfd", WORKS),
        ("pidfd_open", ends(OS, "guardian.*" + refused("pidfd_open"))),
        ("pidfd_send_signal", ends(OS, "guardian.*" + refused("pidfd_send_signal"))),
        (prctl("CHILD_SUBREAPER"), ends(OS, refused("prctl"))),
        (prctl("DUMPABLE"), warns("PR_SET_DUMPABLE.*refused")),
        (prctl("GET_DUMPABLE"), WORKS),
        (prctl("NAME"), WORKS),
        (prctl("PDEATHSIG"), ends(OS, refused("prctl"))),
        ("process_madvise", WORKS),
        ("process_mrelease", WORKS),
        ("rseq", WORKS),
        ("set_robust_list", WORKS),
        ("setns", WORKS),
        ("setsid", ends(OS, refused("setsid"))),
        ("unshare", WORKS),
        ("waitid", WORKS),
        ("waitid:0=3", WORKS),
    ])


@scenario
def events(pit):
    table(pit, [
        ("epoll_create1", ends(OS, refused("epoll_create1"))),
        ("epoll_pwait", WORKS),
        ("epoll_pwait2", WORKS),
        ("eventfd2", ends(OS, refused("eventfd2"))),
        ("futex_waitv", WORKS),
        ("inotify_add_watch", WORKS),
        ("inotify_init1", WORKS),
        ("io_uring_setup", WORKS),
        ("pipe2", ends(OS, refused("pipe2"))),
        ("recvmsg", ends(OS, refused("recvmsg"))),
        ("sendmsg", ends(OS, refused("sendmsg"))),
        ("setsockopt:2=16", ends(OS, refused("setsockopt"))),
        ("setsockopt:2=33", WORKS),
        ("setsockopt:2=51", warns("cannot be kept away.*outer sandbox refuses")),
        ("signalfd4", ends(OS, refused("signalfd4"))),
        ("socketpair", ends(OS, refused("socketpair"))),
        ("timerfd_create", WORKS),
        ("timerfd_settime", WORKS),
    ])


@scenario
def files_and_memory(pit):
    table(pit, [
        ("cachestat", WORKS),
        ("faccessat2", WORKS),
        ("fchmodat2", WORKS),
        ("flock", ends(OS, refused("flock"))),
        ("linkat", WORKS),
        ("madvise", WORKS),
        ("membarrier", WORKS),
        ("memfd_secret", WORKS),
        ("mremap", WORKS),
        ("openat2", WORKS),
        ("prlimit64", WORKS),
        ("renameat2", WORKS),
        ("sched_setaffinity", WORKS),
        ("statx", WORKS),
    ])


@scenario
def sandbox(pit):
    need_root()
    rows = [
        ("bpf", WORKS),
        ("capget", ends(SANDBOX, refused("capget or capset"))),
        ("capset", ends(SANDBOX, refused("capget or capset"))),
        ("getrandom", ends(SANDBOX, r"getrandom\(2\).*outer sandbox")),
        ("memfd_create", ends(SANDBOX, r"memfd_create\(2\).*outer sandbox")),
        # Nothing is lost: with no_new_privs an exec does not gain what is left in the bounding set.
        (prctl("CAPBSET_DROP"), WORKS, ends(SANDBOX, refused("prctl"))),
        (prctl("CAPBSET_READ"), WORKS),
        (prctl("CAP_AMBIENT"), WORKS),
        (prctl("NO_NEW_PRIVS"), ends(SANDBOX, refused("prctl"))),
        (prctl("SECUREBITS"), WORKS),
        ("seccomp", ends(SANDBOX, r"seccomp\(2\)")),
        ("seccomp:0=1", ends(SANDBOX, r"seccomp\(2\)")),
        ("seccomp:0=2", WORKS),
        ("seccomp:0=3", WORKS),
    ]
    if landlock_abi() >= 2:
        rows += [
            ("landlock_add_rule", WORKS),
            ("landlock_create_ruleset", warns(r"landlock_create_ruleset\(2\) is refused by an outer sandbox.*not confined")),
            ("landlock_restrict_self", ends(SANDBOX, refused("landlock_restrict_self"))),
        ]
    table(pit, rows)


@scenario
def files_confined(pit):
    need_root()
    if landlock_abi() < 3:
        raise Skip("this kernel's Landlock cannot confine files")
    table(pit, [
        ("landlock_add_rule", ends(SANDBOX, r"landlock_add_rule\(2\) is refused .*outer sandbox")),
        ("landlock_create_ruleset", ends(SANDBOX, r"landlock_create_ruleset\(2\) is refused by an outer sandbox")),
        ("landlock_restrict_self", ends(SANDBOX, refused("landlock_restrict_self"))),
        # Without its mount namespace root changes no attributes of files.
        *((call, WORKS) for call in ("unshare", "mount", "open_tree", "mount_setattr", "move_mount")),
    ], "--sandbox=strict", "--read-only=/", f"--read-write={pit.path}")


@scenario
def explained(pit):
    table(pit, [
        ("ioctl", WORKS),
        ("pidfd_getfd", WORKS),
        ("process_vm_readv", WORKS),
        ("seccomp", ends(SANDBOX, r"seccomp\(2\)|user notification.*outer sandbox")),
        ("seccomp:0=3", ends(SANDBOX, refused("seccomp or ioctl") + ".*--deny=explain")),
    ], "--deny=explain")


@scenario
def without_sandbox(pit):
    table(pit, [
        ("capset", WORKS),
        ("getrandom", ends(OS, refused("getrandom"))),
        ("landlock_create_ruleset", WORKS),
        ("memfd_create", WORKS),
        (prctl("DUMPABLE"), WORKS),
        (prctl("NO_NEW_PRIVS"), WORKS),
        ("seccomp", WORKS),
    ], "--sandbox=none")


@scenario
def another_user(pit):
    need_nobody()
    unknown = ends(OS, "cannot become user .*start aiotools-sd as root")
    table(pit, [
        ("close_range", WORKS),
        ("faccessat2", WORKS),
        (prctl("GET_DUMPABLE"), WORKS),
        ("setgroups", unknown, ends(OS, refused("setgroups.*"))),
        ("setresgid", unknown, ends(OS, refused("setgroups.*"))),
        ("setresuid", unknown, ends(OS, refused("setgroups.*"))),
    ], "--user=nobody")


@scenario
def statuses_are_known(pit):
    """Where waitid() is refused, how a worker ended is found out in another way."""
    need_calls()
    for number in ("EPERM", "ENOSYS"):
        for call in ("waitid", "waitid:0=3"):
            for script, status, words in (("exit 3", 3, "exited with status 3"), ("kill -KILL $$", 137, "was killed by SIGKILL")):
                got, _, err = pit.run("-n1", "--restart=no", "--", "sh", "-c", script, wrapper=[REFUSE, number, call, "--"])
                check_equal(got, status, f"{call}: exit status\n{err}")
                check(words in err, err)


# ---- locks ---------------------------------------------------------------------------------------------------

def refused_lock(pit, pattern, **kwargs):
    status, _, err = pit.run("-n1", "--name=shop", *pit.worker(), **kwargs)
    check_equal(status, OS, err)
    check_equal(len(err.splitlines()), 1, err)
    check("already running" not in err, err)
    check(re.search(pattern, err), err)


@scenario
def locks_that_cannot_be_had(pit):
    """For reasons of their own: no other server of this name is blamed."""
    need_calls()
    for number, words in (("ENOLCK", "no locks left.*RUNTIME_DIRECTORY"), ("EPERM", refused("flock")), ("ENOSYS", refused("flock"))):
        refused_lock(pit, words, wrapper=[REFUSE, number, "flock", "--"])
    for name in os.listdir(pit.runtime):
        os.unlink(os.path.join(pit.runtime, name))
    refused_lock(pit, "cannot lock .*No such file.*RUNTIME_DIRECTORY", env={"RUNTIME_DIRECTORY": pit.file("absent")})
    refused_lock(pit, "cannot lock .*Not a directory.*RUNTIME_DIRECTORY", env={"RUNTIME_DIRECTORY": pit.file("file", "x")})
    os.symlink(pit.file("elsewhere"), os.path.join(pit.runtime, "lock"))
    refused_lock(pit, "cannot lock .*symbolic links.*RUNTIME_DIRECTORY")
    check(not os.path.exists(pit.file("elsewhere")), "a link was followed")
    os.unlink(os.path.join(pit.runtime, "lock"))


@scenario
def directory_of_another_name(pit):
    """One RUNTIME_DIRECTORY for two servers: another --name would not help."""
    server = pit.server("-n1", "--name=one", *pit.worker()).wait_ready()
    refused_lock(pit, "RUNTIME_DIRECTORY=.*: the server one uses this directory; give each server a directory of its own")
    server.stop()


@scenario
def locks_of_others(pit):
    need_nobody()
    lock = os.path.join(pit.runtime, "lock")
    open(lock, "w").close()
    os.chmod(lock, 0o600)
    refused_lock(pit, f"cannot lock .*Permission denied, as uid {NOBODY}.*RUNTIME_DIRECTORY", uid=NOBODY)
    os.unlink(lock)
    os.chown(pit.runtime, 0, 0)
    refused_lock(pit, f"cannot lock .*Permission denied, as uid {NOBODY}.*RUNTIME_DIRECTORY", uid=NOBODY,
                 env={"RUNTIME_DIRECTORY": pit.directory("roots")})
    home = pit.directory("xdg")
    os.chown(home, NOBODY, NOBODY)
    os.mkdir(os.path.join(home, "aiotools-sd"))
    refused_lock(pit, "belongs to another user; remove it", uid=NOBODY, env={"XDG_RUNTIME_DIR": home, "RUNTIME_DIRECTORY": ""})


@scenario
def locks_on_a_read_only_file_system(pit):
    need_root()
    need_program("unshare")
    home = pit.directory("readonly")
    mount = f"mount -t tmpfs -o ro none {home} && exec \"$0\" \"$@\""
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("nothing can be mounted here")
    refused_lock(pit, "cannot lock .*Read-only file system.*RUNTIME_DIRECTORY", wrapper=("unshare", "--mount", "sh", "-c", mount),
                 env={"RUNTIME_DIRECTORY": home, "LD_LIBRARY_PATH": os.path.join(os.path.dirname(os.environ["AIT_CMD"]), "..", "lib")})
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
