# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rolling reloads: nothing is lost, every worker is new, and a replacement that fails changes nothing for users."""
import os
import re
import signal
import socket

from harness import (FULL, HTTP_HELLO, SANITIZED, WORKER, Load, Skip, check, check_equal, fd_count, kilobytes,
                     main, milliseconds, scenario, seconds, stays, status_field, wait_for)

RELOADS = int(os.environ.get("AIT_E2E_RELOADS", "1000" if FULL else "20" if SANITIZED else "100"))


def reload_under_load(pit, listen, program, *options, reloads=RELOADS):
    server = pit.server("-n4", f"--listen={listen}", *options, "--", *program).wait_ready()
    workers = set(server.wait_workers(4))
    # One kind of client alone would miss half of the ways in which a request can be lost.
    kept, closing = pit.load(listen, "-c6"), pit.load(listen, "-c4", "-C", "-p1")
    kept.wait_ok(100), closing.wait_ok(100)
    fds = None
    for i in range(reloads):
        now = server.reload(4)
        check(not set(now) & workers, f"reload {i}: workers {set(now) & workers} again")
        workers |= set(now)
        kept.wait_ok(10), closing.wait_ok(10)
        fds = fds or fd_count(server.supervisor)
    counts = [kept.stop(), closing.stop()]
    for c in counts:
        Load.check_lossless(c, least=reloads * 10)
    check(set(counts[0]["pids"]) | set(counts[1]["pids"]) <= set(map(str, workers)), "answers from elsewhere")
    wait_for(lambda: f"{fds} descriptors as after the first reload, there are {fd_count(server.supervisor)}",
             lambda: fd_count(server.supervisor) <= fds)
    check_equal(status_field(server.supervisor, "Threads"), "1", "threads of the supervisor")
    anonymous = kilobytes(server.supervisor, "RssAnon")
    server.stop()
    pit.note(f"{reloads} reloads, {counts[0]['ok']} + {counts[1]['ok']} requests, 0 failed, "
             f"{counts[0]['idle_closed']} idle connections closed, p99 {counts[0]['p99_usec']} us, RssAnon {anonymous} kB")


def hello():
    if not HTTP_HELLO:
        raise Skip("examples/http-hello is not built")
    return [HTTP_HELLO]


@scenario
def slot_tcp(pit):
    reload_under_load(pit, f"127.0.0.1:{pit.port()}", [WORKER], "--listeners=slot", reloads=RELOADS // 5)


@scenario
def shared_tcp(pit):
    reload_under_load(pit, f"127.0.0.1:{pit.port()}", [WORKER], "--listeners=shared", reloads=RELOADS // 5)


@scenario
def unix_socket(pit):
    reload_under_load(pit, pit.file("x.sock"), [WORKER], reloads=RELOADS // 5)


@scenario
def abstract_socket(pit):
    reload_under_load(pit, f"@{os.path.basename(pit.path)}", [WORKER], reloads=RELOADS // 5)


@scenario
def ipv6(pit):
    reload_under_load(pit, f"[::1]:{pit.port()}", [WORKER], reloads=RELOADS // 5)


@scenario
def hello_slot(pit):
    reload_under_load(pit, f"127.0.0.1:{pit.port()}", hello(), "--listeners=slot")


@scenario
def hello_shared(pit):
    reload_under_load(pit, f"127.0.0.1:{pit.port()}", hello(), "--listeners=shared")


@scenario
def hello_unix(pit):
    reload_under_load(pit, pit.file("x.sock"), hello())


# ---- replacements that fail ----------------------------------------------------------------------------------

def failing(pit, *options, n=4):
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server(f"-n{n}", f"--listen={listen}", f"--start-timeout={seconds(1)}", "--ready=notify", "--backoff=10ms..20ms",
                        *options, *pit.worker(f"--broken-if={pit.file('broken')}", f"--mute-if={pit.file('mute')}"))
    server.wait_ready()
    load = pit.load(listen, "-c4", "-p1")
    load.wait_ok(50)
    return server, load


def told(server, pit, state, since):
    """Said to people and to the service manager."""
    server.err.wait(state)
    pit.notify.wait("STATUS", state, since=since)


def failed_reload(server, pit, state):
    since = pit.notify.mark()
    server.send(signal.SIGHUP)
    told(server, pit, state, since)


def check_serving(server, load, workers):
    stays(f"the workers are {workers}", lambda: sorted(server.workers()) == sorted(workers))
    load.wait_ok(50)


@scenario
def broken_program_rolls_back(pit):
    """The first replacement dies at once: nothing was replaced."""
    server, load = failing(pit)
    workers = server.wait_workers(4)
    pit.file("broken", "")
    failed_reload(server, pit, "rolled.back")
    check_serving(server, load, workers)
    check_equal(len(pit.trace.of("start")), 5, "it stops at the first: workers started")
    os.unlink(pit.file("broken"))
    server.reload(4)
    load.wait_ok(50)
    Load.check_lossless(load.stop())
    server.stop()


@scenario
def mute_program_rolls_back(pit):
    """The first replacement is not ready within --start-timeout; it goes, the old one stays."""
    server, load = failing(pit)
    workers = server.wait_workers(4)
    pit.file("mute", "")
    failed_reload(server, pit, "rolled.back")
    server.wait_workers(4)
    check_serving(server, load, workers)
    Load.check_lossless(load.stop())
    server.stop()


@scenario
def partial(pit):
    """The third one fails: replaced slots stay new, the others old."""
    server, load = failing(pit)
    old = set(server.wait_workers(4))
    pit.file("broken.2", "")
    failed_reload(server, pit, "partial")
    now = server.wait_workers(4)
    check_serving(server, load, now)
    slots = {e[1]: e[2] for e in pit.trace.of("start")}
    fresh = sorted(slots[p] for p in now if p not in old)
    check(fresh in (["0", "1"], ["3"]), f"slot by slot up to slot 2, but replaced are {fresh}")
    check_equal(sorted(slots[p] for p in now), ["0", "1", "2", "3"], "slots")
    os.unlink(pit.file("broken.2"))
    check(not set(server.reload(4)) & set(now), "not all replaced by the reload after it")
    Load.check_lossless(load.stop())
    server.stop()


@scenario
def whole_surge_rolls_back_whole(pit):
    """With --max-surge=100% all start before any stops, so one that fails leaves all as they were."""
    server, load = failing(pit, "--max-surge=100%")
    workers = server.wait_workers(4)
    pit.file("broken.2", "")
    failed_reload(server, pit, "rolled.back")
    server.wait_workers(4)
    check_serving(server, load, workers)
    os.unlink(pit.file("broken.2"))
    server.reload(4)
    Load.check_lossless(load.stop())
    server.stop()


# ---- replacements that fail once they were ready -------------------------------------------------------------

def by_generation(pit, old, new):
    """Workers whose options depend on how often the server had been reloaded when they were started."""
    command = pit.worker()
    code = f'[ $AIOTOOLS_SD_GENERATION = 0 ] && exec "$0" "$@" {old}; exec "$0" "$@" {new}'
    return ["--", "sh", "-c", code, *command[1:]]


@scenario
def dies_after_ready(pit):
    """READY=1 is a promise. What breaks it within --settle replaces nobody."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n4", f"--listen={listen}", f"--settle={seconds(3)}", *by_generation(pit, "", "--exit=3 --exit-after=1000"))
    server.wait_ready()
    old = server.wait_workers(4)
    load = pit.load(listen, "-c4", "-p1")
    load.wait_ok(50)
    failed_reload(server, pit, "rolled-back")
    server.err.wait(r"slot 0, pid \d+: error: reload: the replacement exited with status 3, [\d.]+m?s after it was ready")
    server.err.wait(r"reload: rolled-back; 0 of 4 workers were replaced in .*, since the new one of slot 0 exited with status 3, .*; fix the cause")
    check_serving(server, load, old)
    check_equal(len(pit.trace.of("start")), 5, "workers started")
    Load.check_lossless(load.stop())
    server.stop()


@scenario
def dies_after_the_commit(pit):
    """A new worker that dies while the reload still runs stops it, and its slot goes back."""
    gate = pit.file("gate")
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n2", f"--listen={listen}", "--ready=notify",
                        *by_generation(pit, "", f"--ready-if={gate}.$AIOTOOLS_SD_SLOT"))
    server.wait_ready()
    old = server.wait_workers(2)
    slots = {e[1]: e[2] for e in pit.trace.of("start")}
    pit.file("gate.0", "")
    server.send(signal.SIGHUP)
    second = pit.trace.wait("start", 4)
    os.kill(second[2][1], signal.SIGKILL)
    server.err.wait(r"slot 0, pid \d+: error: reload: the new worker was killed by SIGKILL.*, .* goes back to what it ran before")
    server.err.wait("reload: rolled-back; 0 of 2 workers were replaced")
    now = server.wait_workers(2)
    check_equal([p for p in old if slots[p] == "1"], [p for p in now if p in old], "old workers that are left")
    pit.trace.wait("ready", 4)
    check_equal([e[2:4] for e in pit.trace.of("start")][-1], ("0", "0"), "slot and generation of the last start")
    server.stop()


@scenario
def dies_soon_after_the_reload(pit):
    """The reload is done, and for --settle the slot can still go back."""
    server = pit.server("-n1", f"--settle={seconds(1)}", "--ready=notify",
                        *by_generation(pit, "", f"--exit=3 --exit-after={milliseconds(1.5)}")).wait_ready()
    since = pit.notify.mark()
    server.send(signal.SIGHUP)
    server.err.wait("reload: done; 1 of 1 workers were replaced")
    server.err.wait("slot 0, pid .*: error: reload: the new worker exited with status 3, .*; the slot goes back to what it ran before; "
                    "see its output above, fix the cause, and reload again")
    pit.trace.wait("ready", 3)
    check_equal(pit.trace.of("start")[-1][3], "0", "generation of the last start")
    pit.notify.wait("STATUS", "1 went back", since=since)
    server.stop()


@scenario
def settles_before_it_is_committed(pit):
    """The old worker is not asked to stop before the new one has stayed alive for --settle."""
    settle = 700
    server = pit.server("-n2", f"--settle={settle}ms", *pit.worker()).wait_ready()
    server.reload(2)
    events = pit.trace.events()
    stopped = [e for e in events if e[4].startswith("stop")]
    ready = [e for e in events if e[4] == "ready" and e[3] == "1"]
    check_equal((len(stopped), len(ready)), (2, 2), "stops, new workers ready")
    for r, s in zip(ready, stopped):
        check(s[0] - r[0] >= settle * 1000, f"stopped {s[0] - r[0]} us after the new one was ready, not {settle} ms")
    server.err.wait("reload: done; 2 of 2 workers were replaced in .*, generation 1")
    server.stop()


@scenario
def old_workers_are_told(pit):
    """Who was asked to stop, when each ended and how, and what became of all of them."""
    command = pit.worker()
    code = '[ $AIOTOOLS_SD_SLOT$AIOTOOLS_SD_GENERATION = 10 ] && exec "$0" "$@" --ignore=TERM; exec "$0" "$@"'
    server = pit.server("-n2", "--stop-timeout=300ms", "--", "sh", "-c", code, *command[1:]).wait_ready()
    slots = {e[2]: e[1] for e in pit.trace.of("start")}
    server.reload(2)
    server.err.wait(f"slot 0, pid {slots['0']}: asked to stop by SIGTERM")
    server.err.wait(f"slot 0, pid {slots['0']}: exited with status 0, \\d+ms after SIGTERM")
    server.err.wait(f"slot 1, pid {slots['1']}: asked to stop by SIGTERM")
    server.err.wait(f"slot 1, pid {slots['1']}: warning: did not stop within 300ms of SIGTERM; killed")
    server.err.wait("reload: done; 2 of 2 workers were replaced in .*, generation 1; "
                    "of the old ones 1 ended within .*, 1 was killed after ")
    server.stop()


@scenario
def old_worker_that_never_ends(pit):
    """It holds up the reload, which says so; the next one goes on without it."""
    command = pit.worker()
    code = '[ $AIOTOOLS_SD_SLOT$AIOTOOLS_SD_GENERATION = 00 ] && exec "$0" "$@" --ignore=TERM; exec "$0" "$@"'
    server = pit.server("-n2", "--stop-timeout=infinity", "--", "sh", "-c", code, *command[1:]).wait_ready()
    stuck = [e[1] for e in pit.trace.of("start") if e[2] == "0"][0]
    server.send(signal.SIGHUP)
    server.err.wait(f"slot 0, pid {stuck}: reload: has waited 5.*s for the old worker to end; the limit is --stop-timeout=infinity, "
                    "and SIGHUP begins anew")
    server.send(signal.SIGHUP)
    server.err.wait("warning: reload: partial; 1 of 2 workers were replaced in .*, since another reload was asked for; .*the next reload begins")
    server.err.wait("reload: done; 2 of 2 workers were replaced in .*, generation 2")
    check(stuck in server.workers(), "the old worker was killed")
    check_equal(len(server.wait_workers(3)), 3, "workers")
    os.kill(stuck, signal.SIGKILL)
    server.wait_workers(2)
    server.stop()


# ---- more than one wish at a time ----------------------------------------------------------------------------

def gated(pit, *options):
    """Workers become ready only while the gate exists."""
    pit.file("gate", "")
    server = pit.server("-n4", f"--listen=127.0.0.1:{pit.port()}", "--ready=notify", *options,
                        *pit.worker(f"--ready-if={pit.file('gate')}")).wait_ready()
    server.wait_workers(4)
    os.unlink(pit.file("gate"))
    return server


@scenario
def hup_during_reload(pit):
    """However many: one more reload after the running one."""
    server = gated(pit)
    first = server.workers()
    server.send(signal.SIGHUP)
    pit.trace.wait("start", 5)
    second = [e[1] for e in pit.trace.of("start")][-1]
    for _ in range(3):
        server.tell(signal.SIGHUP)
        # Signals merge where they are not taken in between; the status file shows when this one has been.
        wait_for("HUP to be taken", lambda: int(status_field(server.supervisor, "ShdPnd"), 16) == 0)
    pit.file("gate", "")
    pit.trace.wait("start", 12)
    pit.trace.wait("exit", 8)
    server.wait_workers(4)
    check(not set(server.workers()) & set(first + [second]), "workers of before the last HUP are left")
    stays("twelve starts", lambda: len(pit.trace.of("start")) == 12)
    server.stop()


@scenario
def term_during_reload(pit):
    server = gated(pit)
    server.send(signal.SIGHUP)
    pit.trace.wait("start", 5)
    server.stop(patience=10)
    check_equal(len(pit.trace.of("start")), 5, "workers started")


@scenario
def death_during_reload(pit):
    """An old worker dies while the replacement of another starts: both come back, and the reload goes on."""
    server = gated(pit, "--stable=1ms", "--backoff=1ms..10ms")
    old = server.workers()
    slots = {e[1]: e[2] for e in pit.trace.of("start")}
    server.send(signal.SIGHUP)
    starting = pit.trace.wait("start", 5)[-1][2]
    victim = [p for p in old if slots[p] != starting][0]
    os.kill(victim, signal.SIGKILL)
    pit.trace.wait("start", 6)
    pit.file("gate", "")
    server.wait_replaced(old, 4)
    server.stop()


@scenario
def replacement_killed_during_reload(pit):
    """The replacement is killed from outside before it is ready: a failed reload, and all goes on."""
    server = gated(pit)
    old = server.workers()
    since = pit.notify.mark()
    server.send(signal.SIGHUP)
    os.kill(pit.trace.wait("start", 5)[-1][1], signal.SIGKILL)
    told(server, pit, "rolled.back", since)
    check_equal(sorted(server.wait_workers(4)), sorted(old), "workers")
    pit.file("gate", "")
    server.reload(4)
    server.stop()


# ---- surge and unavailability --------------------------------------------------------------------------------

def extremes(events):
    """(most alive, fewest ready) from the first moment at which four were ready."""
    living, ready = set(), set()
    most, fewest, complete = 0, 99, False
    for _, pid, _, _, what in events:
        if what == "start":
            living.add(pid)
        elif what == "ready":
            ready.add(pid)
        elif what.startswith("stop"):
            ready.discard(pid)
        elif what == "exit":
            ready.discard(pid)
            living.discard(pid)
        complete = complete or len(ready) == 4
        if complete:
            most, fewest = max(most, len(living)), min(fewest, len(ready))
    return most, fewest


# options, most alive, fewest ready: exactly, since a reload that uses less than it may is slower than it could be
SURGES = [
    ([], 5, 4),
    (["--max-surge=1"], 5, 4),
    (["--max-surge=2"], 6, 4),
    (["--max-surge=50%"], 6, 4),
    (["--max-surge=100%"], 8, 4),
    (["--max-surge=0", "--max-unavailable=1"], 4, 3),
    (["--max-surge=0", "--max-unavailable=2"], 4, 2),
    (["--max-surge=0", "--max-unavailable=50%"], 4, 2),
]


@scenario
def surge_bounds(pit):
    for options, most, fewest in SURGES:
        # Slow both ways, so that what may overlap does.
        server = pit.server("-n4", "--ready=notify", *options,
                            *pit.worker("--slow-start=150", "--slow-stop=50")).wait_ready()
        server.reload(4)
        stopping = len(pit.trace.events())
        events = pit.trace.events()[:stopping]
        server.stop()
        check_equal(extremes(events), (most, fewest), f"{options}: most alive, fewest ready")
        with open(pit.trace.path, "w"):
            pass
        pit.notify.messages.clear()
    pit.note(f"{len(SURGES)} settings")


# ---- what the service manager hears --------------------------------------------------------------------------

@scenario
def upward_notifications(pit):
    """One READY when all are ready; RELOADING with its time, then READY; STOPPING. All from the main process."""
    pit.file("gate", "")
    server = pit.server("-n2", f"--listen=127.0.0.1:{pit.port()}", *pit.worker(f"--ready-if={pit.file('gate')}.on",
                                                                            "--ready=notify"))
    pit.trace.wait("start", 2)
    stays("no READY before the workers", lambda: not (pit.notify.find("READY")))
    pit.file("gate.on", "")
    server.wait_ready()
    since = pit.notify.mark()
    server.reload(2)
    at, fields = pit.notify.wait("RELOADING", "1", since=since)
    check(re.fullmatch(r"\d+", fields.get("MONOTONIC_USEC", "")), f"RELOADING without MONOTONIC_USEC: {fields}")
    pit.notify.wait("READY", "1", since=at + 1)
    check_equal(len([1 for _, m in pit.notify.messages if "READY" in m]), 2, "READY was told, times")
    since = pit.notify.mark()
    server.stop()
    pit.notify.wait("STOPPING", "1", since=since)
    senders = {s for s, _ in pit.notify.messages}
    check_equal(senders, {server.pid}, "senders")


@scenario
def deaf_manager(pit):
    """Nobody reads what is said upwards, as where a wrapper only waits for READY=1: its queue of ten is full soon. Signals are heard all the same."""
    path = pit.file("deaf")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as deaf:
        deaf.bind(path)
        pit.allowed_files.add(path)
        server = pit.server("-n2", "--ready=exec", "--", "sleep", "1000", env={"NOTIFY_SOCKET": path})
        server.wait_workers(2)
        server.err.wait("all 2 workers are ready")
        for _ in range(5):
            server.reload(2)
        server.stop()


if __name__ == "__main__":
    main()
