# SPDX-License-Identifier: LGPL-2.1-or-later
"""The load client against a server that misbehaves in one way at a time: each kind of failure is counted, as itself,
and exactly as often as it happened."""
import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading

from harness import LOAD, Load, check, check_equal, main, scenario, wait_for

KINDS = ("refused", "reset", "closed_early", "bad_status", "timeout", "other")


class Misbehaving:
    """serve(connection, number) is called for each accepted connection, in a thread."""

    def __init__(self, pit, serve, address=("127.0.0.1", 0), family=socket.AF_INET, backlog=128):
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.bind(address)
        self.socket.listen(backlog)
        self.serve, self.accepted, self.pit = serve, 0, pit
        pit.defer(self.socket.close)
        threading.Thread(target=self.run, daemon=True).start()

    def target(self):
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.accepted += 1
                threading.Thread(target=self.one, args=(connection, self.accepted), daemon=True).start()

    def one(self, connection, number):
        with connection, contextlib.suppress(OSError):
            self.serve(connection, number)


def read_request(c):
    data = b""
    while b"\r\n\r\n" not in data:
        got = c.recv(4096)
        if not got:
            raise ConnectionResetError
        data += got
    return data


def answer(c, body=b"pid=42\n", headers=b"", status=b"200 OK", length=None):
    c.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" %
              (status, len(body) if length is None else length, headers, body))


def reset(c):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


def good(c, number):
    while True:
        read_request(c)
        answer(c)


# what the server does with a connection
def reset_at_once(c, number):
    read_request(c)
    reset(c)


def close_unanswered(c, number):
    read_request(c)


def close_in_head(c, number):
    read_request(c)
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-")


def close_in_body(c, number):
    read_request(c)
    answer(c, b"pid=4", length=100)


def reset_in_body(c, number):
    read_request(c)
    answer(c, b"pid=4", length=100)
    reset(c)


def say_500(c, number):
    while True:
        read_request(c)
        answer(c, status=b"500 Oh dear")


def say_garbage(c, number):
    read_request(c)
    c.sendall(b"pid=1\n\r\n\r\n")


def say_too_much(c, number):
    read_request(c)
    answer(c, b"pid=42\nmore", length=7)


def say_nothing(c, number):
    read_request(c)
    c.recv(1)


def second_closed_in_body(c, number):
    read_request(c)
    answer(c)
    close_in_body(c, number)


def second_closed_idle(c, number):
    read_request(c)
    answer(c)
    read_request(c)


def second_reset_idle(c, number):
    read_request(c)
    answer(c)
    read_request(c)
    reset(c)


def announce_close(c, number):
    read_request(c)
    answer(c, headers=b"Connection: close\r\n")


def end_with_connection(c, number):
    read_request(c)
    c.sendall(b"HTTP/1.1 200 OK\r\n\r\npid=42\n")


# (server, requests, counts): one connection at a time, so all is exact
CASES = [
    (good, 20, {"ok": 20, "connects": 1}),
    (announce_close, 20, {"ok": 20, "connects": 20}),
    (end_with_connection, 5, {"ok": 5, "connects": 5}),
    (reset_at_once, 3, {"reset": 3, "connects": 3}),
    (close_unanswered, 3, {"closed_early": 3}),
    (close_in_head, 3, {"closed_early": 3}),
    (close_in_body, 3, {"closed_early": 3}),
    (reset_in_body, 3, {("reset", "closed_early"): 3}),
    (say_500, 3, {"bad_status": 3, "connects": 3}),
    (say_garbage, 3, {"bad_status": 3}),
    (say_too_much, 3, {"bad_status": 3}),
    (say_nothing, 2, {"timeout": 2}),
    # the second request on a connection: broken after its first byte is a failure, before it is none
    (second_closed_in_body, 4, {"ok": 2, "closed_early": 2}),
    (second_closed_idle, 4, {"ok": 4, "idle_closed": 3, "connects": 4}),
    (second_reset_idle, 4, {"ok": 4, "idle_closed": 3, "connects": 4}),
]


def run_case(pit, serve, requests, wanted, *args):
    server = Misbehaving(pit, serve)
    load = Load(pit, server.target(), "-c1", f"-n{requests}", "-t300", *args)
    counts = load.finish()
    failed = 0
    for key, number in wanted.items():
        names = key if isinstance(key, tuple) else (key,)
        check_equal(sum(counts[n] for n in names), number, f"{serve.__name__}: {' or '.join(names)} in {counts}")
        failed += number if names[0] in KINDS else 0
    check_equal(counts["failed"], failed, f"{serve.__name__}: failed in {counts}")
    check_equal(counts["ok"] + failed, requests, f"{serve.__name__}: requests")
    check_equal(load.process.returncode, 1 if failed else 0, f"{serve.__name__}: exit status")
    if counts["ok"]:
        check_equal(counts["pids"], {"42": counts["ok"]}, f"{serve.__name__}: pids")


@scenario
def kinds_of_failure(pit):
    for serve, requests, wanted in CASES:
        run_case(pit, serve, requests, wanted)
    pit.note(f"{len(CASES)} cases")


@scenario
def refused(pit):
    for target in (f"127.0.0.1:{pit.port()}", pit.file("absent"), f"@ait-absent-{os.getpid()}"):
        counts = Load(pit, target, "-c1", "-n3").finish()
        check_equal((counts["ok"], counts["refused"], counts["failed"]), (0, 3, 3), f"{target}: {counts}")


@scenario
def closing_on_request(pit):
    """With --close each request has a connection of its own, and a server that closes late counts as no failure."""
    def serve(c, number):
        check(b"Connection: close" in read_request(c), "no Connection: close")
        answer(c)
        reset(c) if number % 2 else None

    server = Misbehaving(pit, serve)
    counts = Load(pit, server.target(), "-C", "-c1", "-n10").finish()
    check_equal((counts["ok"], counts["failed"], counts["connects"]), (10, 0, 10), str(counts))


@scenario
def families(pit):
    targets = [(socket.AF_UNIX, pit.file("x.sock")), (socket.AF_UNIX, f"\0ait-load-{os.getpid()}"),
               (socket.AF_INET6, ("::1", 0))]
    for family, address in targets:
        server = Misbehaving(pit, good, address, family)
        target = server.target() if family == socket.AF_INET6 else address.replace("\0", "@")
        counts = Load(pit, target, "-c4", "-n50").finish()
        check_equal((counts["ok"], counts["failed"]), (50, 0), f"{target}: {counts}")
    os.unlink(pit.file("x.sock"))


@scenario
def full_backlog_is_no_failure(pit):
    """A unix socket whose backlog is full says EAGAIN to a non-blocking connect."""
    path, gate = pit.file("full.sock"), threading.Event()

    def serve(c, number):
        gate.wait(10)
        good(c, number)

    server = Misbehaving.__new__(Misbehaving)
    server.socket = socket.socket(socket.AF_UNIX)
    server.socket.bind(path)
    server.socket.listen(0)
    server.serve, server.accepted = serve, 0
    load = Load(pit, path, "-c8", "-n40")
    wait_for("a full backlog", lambda: load.snapshot()["backlog_full"] > 0)
    gate.set()
    threading.Thread(target=server.run, daemon=True).start()
    counts = load.finish()
    check_equal((counts["ok"], counts["failed"]), (40, 0), str(counts))
    server.socket.close()
    os.unlink(path)


@scenario
def ends_in_order(pit):
    """SIGTERM finishes what is in flight; SIGUSR1 tells the counts meanwhile."""
    gate = threading.Event()

    def serve(c, number):
        read_request(c)
        answer(c)
        read_request(c)
        gate.wait(10)
        answer(c)
        good(c, number)

    load = Load(pit, Misbehaving(pit, serve).target(), "-c4")
    wait_for("four answers", lambda: load.snapshot()["ok"] == 4)
    load.process.send_signal(signal.SIGTERM)
    load.snapshot()  # so TERM has been taken
    check(load.process.poll() is None, "ended with requests in flight")
    gate.set()
    counts = load.finish()
    check_equal((counts["ok"], counts["failed"], load.process.returncode), (8, 0, 0), str(counts))


@scenario
def latencies(pit):
    """Percentiles are those of the answers: one in ten takes 50 ms or more."""
    def serve(c, number):
        n = 0
        while True:
            read_request(c)
            n += 1
            if n % 10 == 0:
                threading.Event().wait(0.05)
            answer(c)

    counts = Load(pit, Misbehaving(pit, serve).target(), "-c1", "-n100").finish()
    check(counts["p50_usec"] < 50000 <= counts["p99_usec"] * 1.04, f"percentiles: {counts}")
    check(counts["p50_usec"] <= counts["p90_usec"] <= counts["p99_usec"] <= counts["max_usec"] * 1.04, str(counts))


@scenario
def usage(pit):
    for args in ([], ["nowhere"], ["-c0", "127.0.0.1:1"], ["127.0.0.1:1", "127.0.0.1:2"], ["--what", "@x"]):
        r = subprocess.run([LOAD, *args], capture_output=True)
        check_equal((r.returncode, r.stdout), (64, b""), f"load {args}")


if __name__ == "__main__":
    main()
