# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad luck and bad manners: processes stopped or traced by others, things that happen at the same moment, a system
that lacks what is always there."""
import ctypes
import os
import re
import shutil
import signal
import subprocess

from harness import (CMD, SANITIZED, Skip, alive, check, check_equal, main, need_program, need_root, proc_stat,
                     read_proc, scenario, seconds, status_field, stays, wait_for, wait_gone)

STUBBORN = "--ignore=TERM,INT,QUIT,HUP,USR1,USR2"
LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 0x4206, 0x4207, 0x40000000


def ptrace(request, pid):
    if LIBC.ptrace(request, pid, None, None) != 0:
        raise Skip(f"ptrace: {os.strerror(ctypes.get_errno())}")


def at_once(server, *acts):
    """All of these while the supervisor is held: it finds them together. Not by SIGSTOP, since SIGCONT throws away what
    has come of SIGTTIN and SIGTTOU."""
    ptrace(PTRACE_SEIZE, server.supervisor)
    ptrace(PTRACE_INTERRUPT, server.supervisor)
    os.waitpid(server.supervisor, WALL)
    for act in acts:
        act()
    ptrace(PTRACE_DETACH, server.supervisor)


def cpu_ticks(pid):
    text = read_proc(pid, "stat").decode()
    fields = text[text.rindex(")") + 2:].split()
    return int(fields[11]) + int(fields[12])


def pending_signals(pid):
    return int(status_field(pid, "ShdPnd"), 16)


def slots_of(pit):
    return {e[1]: e[2] for e in pit.trace.of("start")}


def ready_in_reload(server):
    """Begins a reload. The pid of slot 0's new worker, once it is ready."""
    server.err.wait("workers are ready")
    since = server.err.mark()
    server.send(signal.SIGHUP)
    return int(server.err.wait(r"slot 0, pid (\d+): ready", since=since)[1])


# ---- stopped and traced --------------------------------------------------------------------------------------

@scenario
def stopped_worker_stops(pit):
    """A worker that somebody has stopped is woken to take its TERM, rather than killed at the end of its time."""
    server = pit.server("-n2", "--stop-timeout=1h", *pit.worker()).wait_ready()
    for pid in server.workers():
        os.kill(pid, signal.SIGSTOP)
    server.stop(patience=10)
    check_equal(len(pit.trace.of("exit")), 2, "workers that left by themselves")


@scenario
def stopped_guardian_goes(pit):
    server = pit.server("-n1", *pit.worker()).wait_ready()
    """It is woken to see how the supervisor has ended."""
    server.supervisor  # while it can be found
    server.send(signal.SIGSTOP)
    server.tell(signal.SIGTERM)
    server.wait_exit(0)


@scenario
def stopped_supervisor(pit):
    """What has come meanwhile is done when it goes on."""
    server = pit.server("-n2", "--backoff=1ms..1ms", *pit.worker()).wait_ready()
    old = server.workers()
    server.tell(signal.SIGSTOP)
    wait_for("the supervisor to stop", lambda: proc_stat(server.supervisor)[1] == "T")
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    server.tell(signal.SIGCONT)
    server.wait_replaced(old, 2)
    server.stop()


@scenario
def traced_worker(pit):
    """A dead worker whose tracer has not looked yet cannot be reaped. That is no reason to spin."""
    server = pit.server("-n1", "--stable=1ms", "--backoff=1ms..1ms", *pit.worker()).wait_ready()
    old = server.workers()
    ptrace(PTRACE_SEIZE, old[0])
    os.kill(old[0], signal.SIGKILL)
    wait_for("its end", lambda: proc_stat(old[0])[1] == "Z")
    before = cpu_ticks(server.supervisor)
    stays("hardly busy", lambda: cpu_ticks(server.supervisor) - before < 0.12 * os.sysconf("SC_CLK_TCK"), 1)
    os.waitpid(old[0], 0)
    server.wait_replaced(old, 1)
    server.stop()


# ---- at the same moment --------------------------------------------------------------------------------------

@scenario
def worker_added_and_reload(pit):
    """TTIN and HUP together: the new slot takes part in the reload before its own task has run."""
    server = pit.server("-n2", "--max-surge=100%", *pit.worker()).wait_ready()
    old = server.workers()
    at_once(server, lambda: server.tell(signal.SIGTTIN), lambda: server.tell(signal.SIGHUP))
    server.err.wait("reload: done")
    server.wait_replaced(old, 3)
    server.stop()


@scenario
def workers_removed_in_reload(pit):
    """TTOU down to 1 while replacements start: after the reload, and none too many."""
    gate = pit.file("gate", "")
    server = pit.server("-n4", "--ready=notify", *pit.worker(f"--ready-if={gate}")).wait_ready()
    os.unlink(gate)
    server.send(signal.SIGHUP)
    pit.trace.wait("start", 5)
    for _ in range(5):  # the last two are refused
        server.tell(signal.SIGTTOU)
        wait_for("SIGTTOU to be taken", lambda: not pending_signals(server.supervisor) & 1 << (signal.SIGTTOU - 1))
    pit.file("gate", "")
    server.err.wait("scaled from 4 to 1 workers")
    server.wait_workers(1)
    server.stop()


@scenario
def worker_dies_as_it_is_replaced_in_place(pit):
    """It has ended by itself in the moment in which the reload stops it: the back-off is not waited for."""
    server = pit.server("-n2", "--max-surge=0", "--max-unavailable=1", "--backoff=1h..1h", *pit.worker()).wait_ready()
    old = server.workers()
    victim = [p for p in old if slots_of(pit)[p] == "0"][0]
    at_once(server, lambda: os.kill(victim, signal.SIGKILL), lambda: server.tell(signal.SIGHUP))
    server.wait_replaced(old, 2)
    server.err.wait("reload: done")
    server.stop()


@scenario
def failed_slot_does_not_hold_up_a_reload_in_place(pit):
    """It counts as unavailable, but waiting for it would be waiting for ever: it comes first."""
    broken = pit.file("broken.1", "")
    server = pit.server("-n3", "--max-surge=0", "--max-unavailable=1", "--backoff=1ms..2ms", "--give-up=2/1min",
                        *pit.worker(f"--broken-if={pit.file('broken')}"))
    pit.trace.wait("ready", 2)
    server.err.wait("gave up")
    os.unlink(broken)
    old = server.wait_workers(2)
    since = len(pit.trace.of("start"))
    server.send(signal.SIGHUP)
    server.err.wait("reload: done")
    server.wait_replaced(old, 3)
    check_equal(pit.trace.of("start")[since][2], "1", "the first slot of the reload")
    server.stop()


@scenario
def replacement_that_is_all_there_is_stays(pit):
    """The old worker died meanwhile: rolling back would leave its slot with nobody."""
    server = pit.server("-n2", "--max-surge=2", "--ready=notify", f"--start-timeout={seconds(2)}",
                        *pit.worker(f"--mute-if={pit.file('mute')}")).wait_ready()
    old = server.workers()
    pit.file("mute.1", "")
    new = ready_in_reload(server)
    os.kill([p for p in old if slots_of(pit)[p] == "0"][0], signal.SIGKILL)
    server.err.wait("reload: partial; 1 of 2 workers were replaced")
    check(alive(new), "slot 0's only worker was taken back")
    check_equal(len(pit.trace.of("start")), 4, "workers started")
    os.unlink(pit.file("mute.1"))
    server.stop()


@scenario
def replacement_that_has_gone_again(pit):
    """Ready, and dead before the rest of its batch was: its old worker must not be stopped for it."""
    gate = pit.file("gate")
    code = f"""[ $AIOTOOLS_SD_SLOT$AIOTOOLS_SD_GENERATION != 11 ] || exec "$0" --ready-if={gate} "$@"; exec "$0" "$@\""""
    worker = pit.worker()
    server = pit.server("-n2", "--max-surge=2", "--ready=notify", "--", "sh", "-c", code, *worker[1:]).wait_ready()
    old = server.workers()
    new = ready_in_reload(server)
    os.kill(new, signal.SIGKILL)
    wait_gone([new], "the new worker")
    pit.file("gate", "")
    server.err.wait("reload: rolled-back")
    check_equal(sorted(server.wait_workers(2)), sorted(old), "workers")
    server.stop()


@scenario
def interrupted_twice_in_reload(pit):
    server = pit.server("-n3", "--stop-timeout=1h", "--ready=notify", *pit.worker(STUBBORN)).wait_ready()
    server.send(signal.SIGHUP)
    pit.trace.wait("ignored TERM", 1)
    server.send(signal.SIGINT)
    server.err.wait(": stopping$")
    server.stop(number=signal.SIGINT, patience=10)


# ---- what is said, and when ----------------------------------------------------------------------------------

@scenario
def reload_before_ready_is_not_ready(pit):
    """The service manager hears READY=1 when every slot has been ready, not at the end of a reload that failed."""
    server = pit.server("-n2", "--ready=notify", "--start-timeout=1s", "--backoff=1h..1h",
                        *pit.worker(f"--ready-if={pit.file('never')}"))
    pit.trace.wait("start", 2)
    server.send(signal.SIGHUP)
    server.err.wait("reload: rolled-back")
    pit.notify.wait("STATUS", "rolled-back")
    check(not pit.notify.find("READY") and not pit.notify.find("RELOADING"), f"said {pit.notify.messages}")
    server.stop()


@scenario
def too_late_is_not_ready(pit):
    """Both times are over when it is looked at: one of them counts."""
    for _ in range(10):
        _, _, err = pit.run("-n1", "--start-timeout=1us", "--restart=no", "--", "/bin/sleep", 0.3)
        check(("not ready within" in err) != ("ready after" in err), f"neither or both:\n{err}")


# ---- a poor system -------------------------------------------------------------------------------------------

@scenario
def without_proc(pit):
    """What a worker has started goes with it also where nobody can look for it."""
    need_root()
    need_program("unshare")
    if SANITIZED:
        raise Skip("the sanitizers cannot do without /proc")
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("unshare --mount does not work here (in a chroot, the root is no mount point)")
    code = "mount -t tmpfs none /proc && exec \"$0\" \"$@\""
    server = pit.server("-n2", "--stable=1ms", "--backoff=1ms..1ms", *pit.worker("--children=2"),
                        wrapper=("unshare", "--mount", "sh", "-c", code),
                        env={"LD_LIBRARY_PATH": os.path.join(os.path.dirname(CMD), "..", "lib")}).wait_ready()
    server.err.wait("warning: there is no /proc: .*mount -t proc")
    old = wait_for("workers and their children", lambda: (lambda p: p if len(p) == 2 + 4 else None)(
        [p for p in pit.marked() if p not in (server.pid, server.supervisor)]))
    for pid in [p for p in old if proc_stat(p)[2] == p and p in pit.trace.pids("start")]:
        os.kill(pid, signal.SIGKILL)
    pit.trace.wait("ready", 4)
    server.stop()
    pit.wait_nothing_left()


@scenario
def proc_of_others(pit):
    """By a number from another pid namespace the wrong process would be killed: nothing is started."""
    need_root()
    unshare = need_program("unshare")
    if subprocess.run([unshare, "--pid", "--fork", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("unshare --pid does not work here")
    status, _, err = pit.run("-n1", *pit.worker(), wrapper=(unshare, "--pid", "--fork", "--kill-child"))
    check(status == 71 and "another pid namespace" in err and "mount -t proc" in err, f"status {status}:\n{err}")
    status, _, err = pit.run("-n1", *pit.worker(), wrapper=(unshare, "--pid"))
    check(status == 71 and "unshare --pid --fork --mount-proc" in err, f"status {status}:\n{err}")
    check(not pit.trace.pids("start"), "a worker was started")


@scenario
def few_descriptors(pit):
    """One line says what is missing, and it ends when told to."""
    prlimit = need_program("prlimit")
    server = pit.server("-n8", "--listen=127.0.0.1:0", *pit.worker(), wrapper=(prlimit, "--nofile=24"))
    server.err.wait("limit of open files|limits of memory and of open files")
    server.stop(status={0, 71})


@scenario
def epoll_pwait2_refused(pit):
    """By a sandbox that says EPERM to all that it does not know."""
    strace = need_program("strace")
    log = pit.file("strace")
    server = pit.server("-n1", *pit.worker(), wrapper=(
        strace, "-f", "-qq", "-o", log, "-e", "trace=epoll_pwait2,epoll_wait", "-e", "inject=epoll_pwait2:error=EPERM"))
    server.wait_ready()
    supervisor = server.supervisor
    os.kill(server.find_guardian(), signal.SIGTERM)
    server.wait_exit()
    text = "".join(line for line in open(log) if line.startswith(f"{supervisor} "))
    refused = len(re.findall("epoll_pwait2.*EPERM", text))
    if refused == 0:
        check("epoll_wait" in text, f"no wait at all:\n{text}")
    check(refused <= 1, f"{refused} times refused, and asked again")


@scenario
def socket_directory_vanishes(pit):
    directory = pit.directory("sockets")
    server = pit.server("-n2", f"--listen={directory}/x.sock", *pit.worker()).wait_ready()
    shutil.rmtree(directory)
    server.reload(2)
    server.stop()


@scenario
def program_vanishes(pit):
    """The reload fails with the reason, and what runs goes on; the program back, all is well."""
    program, away = pit.file("program"), pit.file("away")
    command = pit.worker()
    shutil.copy(command[1], program)
    server = pit.server("-n2", command[0], program, *command[2:]).wait_ready()
    old = server.workers()
    os.rename(program, away)
    server.send(signal.SIGHUP)
    server.err.wait("reload: refused, .*no such file")
    check_equal(sorted(server.workers()), sorted(old), "workers")
    os.rename(away, program)
    server.reload(2)
    server.stop()


if __name__ == "__main__":
    main()
