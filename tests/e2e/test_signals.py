# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the supervisor does on signals, and how workers are stopped."""
import os
import signal
import time

from harness import Load, check, check_equal, check_within, main, scenario, stays, wait_for, wait_gone

STUBBORN = "--ignore=TERM,INT,QUIT,HUP,USR1,USR2"


@scenario
def term_drains(pit):
    """Requests in flight are answered, nothing new is taken, exit status 0."""
    stats = pit.directory("stats", 0o777)
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n2", f"--listen={listen}", *pit.worker("--answer-after=400", f"--stats={stats}")).wait_ready()
    load = pit.load(listen, "-c6", "-n6")

    def in_flight():
        return sum(int.from_bytes(open(f"{stats}/{p}", "rb").read(8), "little") for p in os.listdir(stats))

    wait_for("six connections", lambda: in_flight() == 6)
    since = pit.notify.mark()
    server.stop()
    Load.check_lossless(load.finish(), least=6)
    pit.notify.wait("STOPPING", "1", since=since)
    check_equal(len(pit.trace.of("stop TERM")), 2, "workers that got TERM")
    check_equal(len(pit.trace.of("exit")), 2, "workers that left by themselves")


@scenario
def int_drains_too(pit):
    server = pit.server("-n2", *pit.worker()).wait_ready()
    server.stop(number=signal.SIGINT)
    check_equal(len(pit.trace.of("exit")), 2, "workers that left by themselves")


@scenario
def signals_for_later(pit):
    """USR1 and USR2 have nothing to do yet; they say so, and end nobody."""
    server = pit.server("-n2", *pit.worker()).wait_ready()
    workers = server.wait_workers(2)
    for number, said in ((signal.SIGUSR1, "SIGUSR1"), (signal.SIGUSR2, "SIGUSR2")):
        server.send(number)
        server.err.wait(said)
    check_equal(sorted(server.workers()), sorted(workers), "workers")
    server.stop()


@scenario
def second_int_hurries(pit):
    server = pit.server("-n2", "--stop-timeout=1h", *pit.worker(STUBBORN)).wait_ready()
    server.send(signal.SIGINT)
    pit.trace.wait("ignored TERM", 2)
    stays("waiting for the workers", lambda: not server.gone())
    server.stop(number=signal.SIGINT, patience=10)
    check_equal(len(pit.trace.of("exit")), 0, "workers that left by themselves")


@scenario
def quit_after_term_hurries(pit):
    """A TERM and then QUIT: the stronger one counts."""
    server = pit.server("-n2", "--stop-timeout=1h", *pit.worker(STUBBORN)).wait_ready()
    server.send(signal.SIGTERM)
    pit.trace.wait("ignored TERM", 2)
    server.stop(number=signal.SIGQUIT, patience=10)


@scenario
def quit_stops_at_once(pit):
    server = pit.server("-n2", "--stop-timeout=1h", *pit.worker(STUBBORN, "--children=1", "--daemons=1")).wait_ready()
    begun = time.monotonic()
    server.stop(number=signal.SIGQUIT, patience=10)
    pit.note(f"{(time.monotonic() - begun) * 1000:.0f} ms")


@scenario
def stop_timeout(pit):
    """A worker that ignores TERM is killed when its time is up, and the exit status is 0 all the same."""
    server = pit.server("-n2", "--stop-timeout=700ms", *pit.worker(STUBBORN, "--children=1")).wait_ready()
    begun = time.monotonic()
    server.stop()
    check_within(time.monotonic() - begun, 0.6, 10, "seconds until killed")
    check_equal(len(pit.trace.of("ignored TERM")), 2, "workers that got TERM first")
    check_equal(len(pit.trace.of("exit")), 0, "workers that left by themselves")


@scenario
def no_stop_timeout(pit):
    """0 is no limit, as in systemd."""
    for none in ("0", "infinity"):
        pit.notify.messages.clear()
        begun = len(pit.trace.of("exit"))
        server = pit.server("-n1", f"--stop-timeout={none}", *pit.worker("--slow-stop=300")).wait_ready()
        server.stop()
        check_equal(len(pit.trace.of("exit")), begun + 1, "workers that left by themselves")
        check("killed" not in server.err.text(), "killed")


@scenario
def stop_timeout_in_reload(pit):
    server = pit.server("-n2", "--stop-timeout=300ms", *pit.worker(STUBBORN)).wait_ready()
    server.reload(2)
    server.stop()


@scenario
def stop_timeout_extended(pit):
    """EXTEND_TIMEOUT_USEC: 1.2 s to stop where 300 ms are allowed, each extension reaching 200 ms ahead."""
    server = pit.server("-n1", "--stop-timeout=300ms", *pit.worker("--slow-stop=1200", "--extend-stop")).wait_ready()
    begun = time.monotonic()
    server.stop()
    check_within(time.monotonic() - begun, 1.1, 10, "seconds until stopped")
    check_equal(len(pit.trace.of("exit")), 1, "workers that left by themselves")


@scenario
def start_timeout_extended(pit):
    pit.server("-n1", "--start-timeout=300ms", "--ready=notify",
               *pit.worker("--slow-start=1200", "--extend-start")).wait_ready().stop()
    check_equal(len(pit.trace.of("start")), 1, "workers started")


@scenario
def stop_signal(pit):
    for name in ("USR1", "SIGWINCH"):
        server = pit.server("-n2", f"--stop-signal={name}", *pit.worker("--ignore=TERM")).wait_ready()
        pit.notify.messages.clear()
        server.stop()
        check_equal(len(pit.trace.of(f"stop {name.removeprefix('SIG')}")), 2, f"workers that got {name}")
    check_equal(len(pit.trace.of("ignored TERM")), 0, "workers that got TERM")


@scenario
def term_while_starting(pit):
    """Workers that are not ready yet are stopped as well."""
    server = pit.server("-n3", "--ready=notify", *pit.worker(f"--ready-if={pit.file('never')}"))
    pit.trace.wait("start", 3)
    server.stop(patience=10)
    check_equal(len(pit.trace.of("ready")), 0, "workers that became ready")


@scenario
def term_at_any_moment(pit):
    """From the first instruction on: it ends, and leaves nothing. Before it takes signals, TERM ends it by itself."""
    for i in range(30):
        server = pit.server("-n2", f"--listen={pit.file('x.sock')}", *pit.worker())
        if i > 0:
            stays("a while", lambda: True, 0.004 * i)
        server.send(signal.SIGTERM)
        server.wait_exit({0, -signal.SIGTERM}, patience=10)
        pit.wait_nothing_left()
        check(not os.path.exists(pit.file("x.sock")), f"round {i}: the socket file is left")


@scenario
def term_as_soon_as_it_listens(pit):
    """The worst moment: there is something to tidy up, and hardly anything else yet."""
    path = pit.file("x.sock")
    for i in range(20):
        server = pit.server("-n2", f"--listen={path}", *pit.worker())
        wait_for("the socket", lambda: os.path.exists(path), step=0)
        server.send(signal.SIGTERM)
        server.wait_exit({0, -signal.SIGTERM}, patience=10)
        pit.wait_nothing_left()
        check(not os.path.exists(path), f"round {i}: the socket file is left")


@scenario
def term_during_backoff(pit):
    server = pit.server("-n2", "--backoff=1h..1h", *pit.worker("--exit=1"))
    pit.trace.wait("exit", 2)
    server.stop(patience=10)


@scenario
def more_and_fewer_workers(pit):
    """TTIN and TTOU, under load: nothing is lost by either."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n2", f"--listen={listen}", "--listeners=slot", *pit.worker()).wait_ready()
    load, closing = pit.load(listen, "-c6"), pit.load(listen, "-c4", "-C", "-p1")
    load.wait_ok(100)
    for number, signals in ((3, [signal.SIGTTIN]), (5, [signal.SIGTTIN] * 2), (4, [signal.SIGTTOU]),
                            (1, [signal.SIGTTOU] * 3), (2, [signal.SIGTTIN])):
        for s in signals:
            before = len(server.workers())
            server.send(s)
            server.wait_workers(before + (1 if s == signal.SIGTTIN else -1))
        check_equal(len(server.workers()), number, "workers")
        load.wait_ok(50), closing.wait_ok(50)
    check_equal(len(server.reload(2)), 2, "workers after a reload")
    Load.check_lossless(load.stop())
    Load.check_lossless(closing.stop())
    server.stop()


@scenario
def fewer_workers_on_unix_sockets(pit):
    listen = pit.file("x.sock")
    server = pit.server("-n3", f"--listen={listen}", *pit.worker()).wait_ready()
    load = pit.load(listen, "-c4", "-C", "-p1")
    load.wait_ok(50)
    server.send(signal.SIGTTOU)
    server.wait_workers(2)
    load.wait_ok(50)
    Load.check_lossless(load.stop())
    server.stop()


@scenario
def harmless_signals(pit):
    """What a terminal or a closed reader sends does not end a server."""
    server = pit.server("-n1", *pit.worker()).wait_ready()
    for s in (signal.SIGPIPE, signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD, signal.SIGCONT):
        server.send(s)
    server.reload(1)
    check(not server.gone(), "ended by a harmless signal")
    server.stop()


@scenario
def stopped_worker(pit):
    """A worker under SIGSTOP cannot hold up the end."""
    server = pit.server("-n1", "--stop-timeout=500ms", *pit.worker()).wait_ready()
    worker = server.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    server.stop(patience=10)
    wait_gone([worker], "the stopped worker", 1)


if __name__ == "__main__":
    main()
