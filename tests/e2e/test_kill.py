# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sudden deaths: of a worker under load, of the supervisor, of the guardian. What could be served is served, and
nothing outlives its supervisor."""
import os
import random
import shutil
import signal
import time

from harness import (FULL, NOBODY, SANITIZED, check, check_equal, descendants_of, fd_targets, kilobytes, main, need_nobody,
                     proc_stat, scenario, wait_for, wait_gone)

KILLS = int(os.environ.get("AIT_E2E_KILLS", "100" if FULL else "20"))


# ---- of a worker ---------------------------------------------------------------------------------------------

def kill_under_load(pit, listen, *options):
    """Only connections that the dead worker had accepted may fail. Each worker keeps their number in a file, which
    shows after the kill how many these were."""
    stats = pit.directory("stats", 0o777)
    server = pit.server("-n4", f"--listen={listen}", "--stable=1ms", "--backoff=1ms..5ms", "--give-up=1000/1min", *options,
                        *pit.worker(f"--stats={stats}")).wait_ready()
    kept, closing = pit.load(listen, "-c6"), pit.load(listen, "-c4", "-C", "-p1")
    kept.wait_ok(100), closing.wait_ok(100)
    accepted = 0
    for i in range(KILLS):
        workers = server.wait_workers(4)
        victim = random.choice(workers)
        os.kill(victim, signal.SIGKILL)
        wait_gone([victim], "the killed worker")
        with open(f"{stats}/{victim}", "rb") as f:
            accepted += int.from_bytes(f.read(8), "little") + 1  # one may be accepted and not yet counted
        pit.trace.wait("ready", 4 + i + 1)
        kept.wait_ok(10), closing.wait_ok(10)
    counts = [kept.stop(), closing.stop()]
    failed = sum(c["failed"] for c in counts)
    check(failed <= accepted, f"{failed} requests failed, the dead workers had accepted {accepted}: {counts}")
    for kind in ("refused", "bad_status", "timeout", "other"):
        check_equal(sum(c[kind] for c in counts), 0, f"{kind}: {counts[0]['details']}{counts[1]['details']}")
    server.stop()
    pit.note(f"{KILLS} kills, {sum(c['ok'] for c in counts)} requests, {failed} failed of {accepted} that were accepted "
             f"by the dead, worst latency {max(c['max_usec'] for c in counts) // 1000} ms")


@scenario
def worker_slot_tcp(pit):
    kill_under_load(pit, f"127.0.0.1:{pit.port()}", "--listeners=slot")


@scenario
def worker_shared_tcp(pit):
    kill_under_load(pit, f"127.0.0.1:{pit.port()}", "--listeners=shared")


@scenario
def worker_unix(pit):
    kill_under_load(pit, pit.file("x.sock"))


@scenario
def all_workers_at_once(pit):
    """What was not yet accepted waits for the replacements: nothing is refused."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n4", f"--listen={listen}", "--stable=1ms", "--backoff=1ms..5ms", *pit.worker()).wait_ready()
    load = pit.load(listen, "-c4", "-C", "-p1")
    load.wait_ok(50)
    for i in range(5):
        for pid in server.wait_workers(4):
            os.kill(pid, signal.SIGKILL)
        pit.trace.wait("ready", 8 + 4 * i)
        load.wait_ok(20)
    counts = load.stop()
    check_equal(counts["refused"] + counts["timeout"] + counts["other"], 0, f"{counts}")
    server.stop()


def family(pit, slot=None):
    """Children and daemons that workers have started so far."""
    return [e[1] for e in pit.trace.events() if e[4] in ("child", "daemon") and slot in (None, e[2])]


@scenario
def worker_that_forks(pit):
    """Its children and the daemons that it made go with it: when it is killed, when it is replaced, when it dies, and
    when all is stopped (that is what is asserted at the end of each scenario)."""
    server = pit.server("-n2", "--stable=1ms", "--backoff=1ms..5ms", "--stop-timeout=300ms",
                        *pit.worker("--children=2", "--daemons=2")).wait_ready()
    pit.trace.wait("daemon", 4)
    pit.trace.wait("child", 4)
    victim = server.wait_workers(2)[0]
    slot = {e[1]: e[2] for e in pit.trace.of("start")}[victim]
    doomed = family(pit, slot)
    check_equal(len(doomed), 4, "children and daemons of one worker")
    os.kill(victim, signal.SIGKILL)
    wait_gone(doomed, "a child of the killed worker")
    pit.trace.wait("daemon", 6)
    pit.trace.wait("child", 6)
    doomed = family(pit)
    server.reload(2)
    wait_gone(doomed, "a child of a replaced worker")
    pit.trace.wait("daemon", 10)
    server.stop()


# ---- of the supervisor ---------------------------------------------------------------------------------------

def kill_supervisor(pit, *options, how=signal.SIGKILL, **kwargs):
    """Whatever the workers have started, and however they cling to life."""
    path = pit.file("sockets/x.sock")
    if not os.path.isdir(pit.file("sockets")):
        os.chmod(pit.directory("sockets"), 0o777)
    begun = len(pit.trace.of("daemon"))
    arguments = ["-n3", f"--listen={path}", "--name=victim", "--stop-timeout=200ms", *options,
                 *pit.worker("--children=2", "--daemons=2", "--ignore=TERM,INT,QUIT,HUP,USR1,USR2")]
    server = pit.server(*arguments, **kwargs).wait_ready()
    pit.trace.wait("daemon", begun + 6)
    pit.trace.wait("child", begun + 6)
    doomed = descendants_of(server.pid)
    check(len(doomed) >= 3 + 6 + 6, f"only {len(doomed)} processes to begin with")
    server.tell(how)
    server.wait_exit(-how)
    server.err.wait(rf"^aiotools-sd: the supervisor \(process {server.supervisor}\) was killed by {how.name}; its workers")
    wait_gone(doomed, "killed the supervisor")
    pit.wait_nothing_left()
    pit.note(f"{len(doomed)} processes")
    return server, arguments


def restart_after_kill(pit, *options, **kwargs):
    """The dead one could not tidy up. The next of the same name takes over what it left."""
    _, arguments = kill_supervisor(pit, *options, **kwargs)
    pit.notify.messages.clear()
    server = pit.server(*arguments, **kwargs).wait_ready()
    load = pit.load(pit.file("sockets/x.sock"), "-n20")
    check_equal(load.finish()["ok"], 20, "served after the restart")
    server.stop()


@scenario
def supervisor(pit):
    restart_after_kill(pit)


@scenario
def supervisor_of_a_user(pit):
    need_nobody()
    restart_after_kill(pit, uid=NOBODY)


@scenario
def supervisor_with_user(pit):
    need_nobody()
    restart_after_kill(pit, "--user=nobody")


@scenario
def supervisor_without_sandbox(pit):
    restart_after_kill(pit, "--sandbox=none")


@scenario
def supervisor_segfaults(pit):
    # A sanitizer would catch the other.
    kill_supervisor(pit, how=signal.SIGKILL if SANITIZED else signal.SIGSEGV)
    forgive(pit)


def forgive(pit):
    """Files that a killed supervisor could not remove, in a scenario that starts no other to do it."""
    for directory in (pit.file("sockets"), pit.runtime):
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            os.unlink(os.path.join(directory, name))


@scenario
def supervisor_while_starting(pit):
    """From its first moment to READY, there is none in which a worker, or what it has just forked, could escape. Many
    servers at once, each killed at a moment of its own: they disturb one another, and the short moments become long."""
    rounds, servers = 150 if FULL else 15, 8
    for i in range(rounds):
        with open(pit.trace.path, "w"):
            pass
        homes, due = [pit.directory(f"run{k}") for k in range(servers)], []
        for home in homes:
            server = pit.server("-n4", "--name=victim", *pit.worker("--children=1", "--daemons=1"),
                                env={"RUNTIME_DIRECTORY": home})
            due.append((time.monotonic() + random.random() * 0.06, server))
        for when, server in sorted(due, key=lambda d: d[0]):
            wait_for("the moment", lambda: time.monotonic() > when, step=0)
            server.kill(random.choice(["guardian", "supervisor"]))
        pit.wait_nothing_left()
        for home in homes:
            shutil.rmtree(home)
    pit.note(f"{rounds} rounds of {servers}")


# ---- of the guardian -----------------------------------------------------------------------------------------

@scenario
def guardian(pit):
    """The supervisor ends all, says so, and tidies up; another signal than KILL does not end a guardian at all."""
    for _ in range(3):
        begun = len(pit.trace.of("daemon"))
        server = pit.server("-n3", "--name=victim", f"--listen={pit.file('x.sock')}", "--stop-timeout=1h",
                            *pit.worker("--children=2", "--daemons=2", "--ignore=TERM,INT,QUIT,HUP,USR1,USR2")).wait_ready()
        pit.trace.wait("daemon", begun + 6)
        pit.notify.messages.clear()
        doomed = descendants_of(server.pid)
        server.kill()
        wait_gone(doomed, "killed the guardian")
        server.err.wait("the guardian, the first process of this server, was killed; killing all workers")
        check_equal(os.listdir(pit.runtime), [], "files in the runtime directory")
        check(not os.path.exists(pit.file("x.sock")), "the socket is left")


@scenario
def guardian_of_a_stopped_supervisor(pit):
    """Its end wakes it up."""
    server = pit.server("-n2", *pit.worker("--children=1", "--daemons=1")).wait_ready()
    doomed = descendants_of(server.pid)
    server.tell(signal.SIGSTOP)
    wait_for("the supervisor to stop", lambda: proc_stat(server.supervisor)[1] == "T")
    server.kill()
    wait_gone(doomed, "killed the guardian of a stopped supervisor")


@scenario
def guardian_is_small_and_quiet(pit):
    """It holds nothing open but its end of a socket pair, a signalfd, stderr and a lock: no socket of a worker, no stdout,
    nothing that was inherited."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n2", f"--listen={listen}", *pit.worker()).wait_ready()
    # Two more are its control group.
    wait_for("what it sends on to be sent", lambda: len(fd_targets(server.pid)) in (4, 6))
    ours, its = fd_targets(server.supervisor), fd_targets(server.pid)
    theirs = {t for t in ours.values() if t.startswith("socket:")} | {ours[1]}
    check(not theirs & set(its.values()), f"the guardian holds {theirs & set(its.values())} of the supervisor's")
    if not SANITIZED:
        check(kilobytes(server.pid, "RssAnon") < 500, f"RssAnon of the guardian: {kilobytes(server.pid, 'RssAnon')} kB")
        pit.note(f"guardian: RssAnon {kilobytes(server.pid, 'RssAnon')} kB, VmRSS {kilobytes(server.pid, 'VmRSS')} kB")
    server.stop()


if __name__ == "__main__":
    main()
