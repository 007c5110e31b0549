# SPDX-License-Identifier: LGPL-2.1-or-later
"""What does not want to end with its worker: sessions of their own, no parent, no environment, and chains of processes
that fork and end faster than anybody can look. Nothing outlives its worker, a reload, a stop, or a kill -9."""
import os
import signal
import socket
import time

from harness import (NOBODY, SLOWER, all_pids, alive, check, check_equal, check_within, main, need_nobody, need_program,
                     read_proc, scenario, stays, wait_for, wait_gone)

STRAYER = os.environ.get("AIT_STRAYER", "")
CHAINS = 16
NO_GROUP = "--control-group=no"  # where there are some, nobody has to be recognised
LIMIT = 600  # processes of the user: what the zombies of the chains may fill


def strays(worker=None):
    """Living ones, of one worker or of all."""
    found = []
    for pid in all_pids():
        words = read_proc(pid, "cmdline").split(b"\0")
        if words[0] == b"stray" and (worker is None or words[1] == b"%d" % worker) and alive(pid):
            found.append(pid)
    return found


def none_left(worker=None, looks=20):
    """A look at /proc may miss a chain between two of its processes."""
    return not any(strays(worker) for _ in range(looks))


def wait_none(what, worker=None, seconds=2):
    begun = time.monotonic()
    wait_for(lambda: f"the end of {len(strays(worker))} strays: {what}", lambda: none_left(worker), patience=30)
    took = time.monotonic() - begun
    check(took < seconds * SLOWER, f"{what}: strays for {took:.1f} s")
    return took


def straying(pit, kind, n, *options, workers=1, limited=False, **kwargs):
    listen = f"127.0.0.1:{pit.port()}"
    wrapper = ()
    if limited:
        need_nobody()
        wrapper = (need_program("prlimit"), f"--nproc={LIMIT}")
        kwargs["uid"] = NOBODY
    given = [o for o in options if not o.startswith("--")]
    server = pit.server(f"-n{workers}", f"--listen={listen}", "--name=stray", "--ready=exec", "--stop-timeout=300ms",
                        "--stable=1ms", "--backoff=1ms..1ms", *[o for o in options if o.startswith("--")],
                        "--", STRAYER, kind, str(n), *given, wrapper=wrapper, **kwargs)
    server.listen = listen
    server.wait_ready()
    server.out.wait(f"started {kind}")
    return server


def answers(server):
    """Who answers at the listener: a stray, or nobody within the time."""
    host, port = server.listen.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=1) as s:
        s.settimeout(0.5)
        try:
            return s.recv(100)
        except TimeoutError:
            return b""


def forgive(pit):
    for name in os.listdir(pit.runtime):
        os.unlink(os.path.join(pit.runtime, name))


def each_end(pit, kind, n, *options, **kwargs):
    """Kills the worker, reloads, stops, kills the supervisor, kills the guardian."""
    took = {}
    for what in ("worker", "reload", "TERM", "supervisor", "guardian"):
        pit.notify.messages.clear()
        server = straying(pit, kind, n, *options, **kwargs)
        worker = server.wait_workers(1)[0]
        wait_for("strays", lambda: strays(worker))
        begun = time.monotonic()
        if what == "worker":
            os.kill(worker, signal.SIGKILL)
            wait_gone([worker], "the worker")
            wait_none("its worker was killed", worker, seconds=4)  # two of them, in which a stop signal is obeyed
        elif what == "reload":
            server.send(signal.SIGHUP)
            server.err.wait("reload: done")
            wait_none("its worker was replaced", worker)
        if what in ("worker", "reload", "TERM"):
            server.stop()
        else:
            server.kill(what)
        check(none_left(), f"strays after {what}")
        took[what] = time.monotonic() - begun
        forgive(pit)
    pit.note(", ".join(f"{what} {t:.1f} s" for what, t in took.items()))
    return took


@scenario
def sleepers(pit):
    each_end(pit, "sleep", 3)


@scenario
def sleepers_without_control_group(pit):
    each_end(pit, "sleep", 3, NO_GROUP)


@scenario
def stubborn_sleepers_of_a_user(pit):
    need_nobody()
    each_end(pit, "sleep", 3, "stubborn", NO_GROUP, uid=NOBODY)


@scenario
def nobody_answers_for_the_dead(pit):
    """The next worker's listener is its own."""
    server = straying(pit, "sleep", 2, NO_GROUP)
    wait_for("a stray that answers", lambda: answers(server).startswith(b"stray"))
    old = server.wait_workers(1)[0]
    server.send(signal.SIGHUP)
    server.err.wait("reload: done")
    check(none_left(old), "strays of the replaced worker")
    server.stop()


@scenario
def with_the_next_worker_at_the_latest(pit):
    """Strays of a worker that lives: they end with it, or with another one that ends before, and its own children stay."""
    server = straying(pit, "sleep", 2, NO_GROUP, workers=2)
    one, other = server.wait_workers(2)
    wait_for("strays of both", lambda: len(strays(one)) == 2 and len(strays(other)) == 2)
    os.kill(one, signal.SIGKILL)
    wait_gone([one], "the worker")
    wait_none("its worker was killed", one, seconds=4)
    check(alive(other), "the other worker has ended")
    server.stop()
    check(none_left(), "strays after the stop")


@scenario
def marked_ones_stay(pit):
    """Another worker's daemons that can be told from its own are not touched."""
    server = pit.server("-n2", NO_GROUP, "--stable=1ms", "--backoff=1ms..1ms", "--stop-timeout=300ms",
                        *pit.worker("--daemons=2", "--children=1")).wait_ready()
    pit.trace.wait("daemon", 4)
    one, other = server.wait_workers(2)
    slots = {e[1]: e[2] for e in pit.trace.of("start")}
    its = [e[1] for e in pit.trace.events() if e[4] in ("child", "daemon") and e[2] == slots[other]]
    os.kill(one, signal.SIGKILL)
    pit.trace.wait("daemon", 6)
    stays("the other's", lambda: all(alive(p) for p in its))
    server.stop()


@scenario
def chains(pit):
    took = each_end(pit, "chain", CHAINS, NO_GROUP, limited=True)
    for what, seconds in took.items():
        check_within(seconds, 0, 6, f"chains after {what}")


@scenario
def stubborn_chains(pit):
    took = each_end(pit, "chain", CHAINS, "stubborn", NO_GROUP, limited=True)
    for what, seconds in took.items():
        check_within(seconds, 0, 6, f"chains after {what}")


@scenario
def chains_of_many_workers(pit):
    """Each slot has some; the server stops in order all the same."""
    server = straying(pit, "chain", 4, "stubborn", NO_GROUP, workers=4, limited=True)
    server.wait_workers(4)
    begun = time.monotonic()
    server.stop()
    check_within(time.monotonic() - begun, 0, 6, "seconds to stop")
    check(none_left(), "strays after the stop")
    pit.note(f"{time.monotonic() - begun:.1f} s")


@scenario
def daemons_that_are_the_server(pit):
    """A worker that goes into the background again and again leaves nothing behind."""
    server = straying(pit, "sleep", 1, "exit", NO_GROUP, "--give-up=3/1min")
    server.wait_exit(69)
    check_equal(strays(), [], "strays")


if __name__ == "__main__":
    main()
