# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens to a listener is noticed at once."""
import os
import signal
import socket

from harness import APPS, PYTHON, check, check_equal, main, scenario, wait_for

HASTY = [PYTHON, f"{APPS}/hasty.py"]


def hasty(pit, *options, n=2, listen=None, env=()):
    listen = listen or f"127.0.0.1:{pit.port()}"
    server = pit.server(f"-n{n}", f"--listen={listen}", "--ready=notify", *(f"--env={e}" for e in env), *options, "--", *HASTY)
    server.wait_ready()
    server.wait_workers(n)
    return server, listen


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


if __name__ == "__main__":
    main()
