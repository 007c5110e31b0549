# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whose connections are whose: each worker has a listener of its own, so that an old one is let alone before it is
stopped, and what happens to a listener is noticed at once."""
import os
import signal
import socket

from harness import APPS, PYTHON, Load, check, check_equal, main, scenario, seconds, wait_for

HASTY = [PYTHON, f"{APPS}/hasty.py"]
RELOADS = 20


def hasty(pit, *options, n=2, listen=None, env=()):
    listen = listen or f"127.0.0.1:{pit.port()}"
    server = pit.server(f"-n{n}", f"--listen={listen}", "--ready=notify", *(f"--env={e}" for e in env), *options, "--", *HASTY)
    server.wait_ready()
    server.wait_workers(n)
    return server, listen


def reloads_under_load(pit, server, listen, n, reloads):
    load = pit.load(listen, "-c4", "-C")
    load.wait_ok(50)
    for _ in range(reloads):
        server.reload(n)
        load.wait_ok(5)
    return load.stop()


@scenario
def drained(pit):
    """A server that drops what it has just accepted loses nothing: by then nobody has been sent to it for a moment."""
    server, listen = hasty(pit, f"--drain={seconds(0.5)}", "--max-surge=2")
    counts = reloads_under_load(pit, server, listen, 2, RELOADS)
    Load.check_lossless(counts, least=RELOADS * 5)
    check(len(counts["pids"]) > RELOADS, f"answers came from {len(counts['pids'])} workers only")
    server.stop()
    pit.note(f"{RELOADS} reloads, {counts['ok']} requests, 0 failed")


@scenario
def not_drained(pit):
    """The same without the moment does lose some: the test above can fail."""
    server, listen = hasty(pit, "--drain=0")
    load = pit.load(listen, "-c8", "-C")
    load.wait_ok(50)
    for _ in range(100):
        server.reload(2)
        load.wait_ok(5)
        if load.snapshot()["failed"]:
            break
    check(load.stop()["failed"] > 0, "nothing was lost")
    server.stop()


@scenario
def drained_in_place(pit):
    """With --max-surge=0 the others serve while one is let alone."""
    server, listen = hasty(pit, f"--drain={seconds(0.5)}", "--max-surge=0", "--max-unavailable=1")
    counts = reloads_under_load(pit, server, listen, 2, RELOADS // 4)
    Load.check_lossless(counts, least=RELOADS)
    server.stop()


@scenario
def drained_before_scaling_down(pit):
    server, listen = hasty(pit, f"--drain={seconds(0.5)}", n=3)
    load = pit.load(listen, "-c4", "-C")
    load.wait_ok(50)
    for n in (2, 1, 2, 1):
        server.send(signal.SIGTTOU if len(server.workers()) > n else signal.SIGTTIN)
        server.wait_workers(n)
        load.wait_ok(20)
    Load.check_lossless(load.stop(), least=80)
    server.stop()


@scenario
def shut_down_while_stopping(pit):
    """A worker that shuts down its listener when it is told to stop, and then takes its time, takes nothing from its
    successor: with one worker, every connection would meet it."""
    server, listen = hasty(pit, "--drain=20ms", n=1, env=["HASTY=shut"])
    counts = reloads_under_load(pit, server, listen, 1, 5)
    Load.check_lossless(counts, least=25)
    server.stop()
    check("shut down" not in server.err.text(), f"said of one that stops\n{server.log()}")


def answered(path_or_port):
    family = socket.AF_UNIX if isinstance(path_or_port, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(2)
        try:
            s.connect(path_or_port if family == socket.AF_UNIX else ("127.0.0.1", path_or_port))
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return b"pid=" in s.recv(4096)
        except OSError:
            return False


@scenario
def shut_down_by_a_living_worker(pit):
    """It listens again at once, and the log says who it was; no other worker is started for that."""
    for options, who in (([], "has shut down its listening socket 127.0.0.1:"), (["--listeners=shared"], "a worker has shut down 127.0.0.1:")):
        port = pit.port()
        server, _ = hasty(pit, *options, n=1, listen=f"127.0.0.1:{port}")
        worker = server.workers()
        for _ in range(3):
            check(answered(port), "no answer before")
            os.kill(worker[0], signal.SIGUSR1)
            server.err.wait(who)
            wait_for("an answer", lambda p=port: answered(p))
        check_equal(server.workers(), worker, "workers")
        server.stop()
        check_equal(server.err.text().count(who), 1, "warnings")


@scenario
def shut_down_for_all(pit):
    """What cannot listen again is made anew; whoever has the old one is replaced by a reload, as the log says."""
    path = pit.file("x.sock")
    server, _ = hasty(pit, n=2, listen=path)
    check(answered(path), "no answer before")
    os.kill(server.workers()[0], signal.SIGUSR1)
    server.err.wait("a worker has shut down .*x.sock, which all workers share; .*SIGHUP")
    server.reload(2)
    wait_for("an answer", lambda: answered(path))
    server.stop()


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=60)
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return s


def answers(s):
    with s:
        return b"pid=" in s.recv(4096)


@scenario
def nobody_accepts(pit):
    """Workers that are stopped, hang, or listen elsewhere: the log says so, and others get the connections."""
    port, other, path = pit.port(), pit.port(), pit.file("x.sock")
    server, listen = hasty(pit, n=3, listen=f"127.0.0.1:{port}")
    stopped, deaf, _ = server.workers()
    os.kill(stopped, signal.SIGSTOP)
    os.kill(deaf, signal.SIGUSR2)
    # Neither takes its socket.
    elsewhere = pit.server("-n1", f"--listen=127.0.0.1:{other}", f"--listen={path}", "--ready=exec", "--", "sleep", "1000",
                           env={"RUNTIME_DIRECTORY": pit.directory("elsewhere")})
    elsewhere.err.wait("all 1 workers are ready")
    waiting = [connect(port) for _ in range(30)]
    waiting += [connect(other) for _ in range(3)]
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        server.err.wait(f"pid {stopped}: warning: [0-9]+ connections wait, and none was accepted for 1[0-9.]+s; new ones go to other workers; .*kill -CONT {stopped}",
                        patience=40)
        server.err.wait(f"pid {deaf}: warning: [0-9]+ connections wait, .*does it hang, or .*LISTEN_FDS", patience=40)
        elsewhere.err.wait("warning: 3 connections wait, and none was accepted for 1[0-9.]+s; does it hang, or .*LISTEN_FDS", patience=40)
        elsewhere.err.wait("1 connections wait at .*x.sock, and no worker has accepted one for 1[0-9.]+s; .*fd 4", patience=40)
    elsewhere.stop()
    # The third worker gets all now.
    check(all(answered(port) for _ in range(20)), f"a connection still goes where nobody accepts\n{server.log()}")
    os.kill(stopped, signal.SIGCONT)
    server.err.wait(f"pid {stopped}: accepts connections again", patience=40)
    # Whoever replaces the one that hangs accepts what waits for it.
    server.reload(3)
    check(all(answers(s) for s in waiting[:30]), "a connection that waited has got no answer")
    server.stop()
    check_equal(server.err.text().count("none was accepted"), 2, "accusations")


if __name__ == "__main__":
    main()
