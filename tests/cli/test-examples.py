#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples, with a socket passed as systemd does it: requests, bad requests, and what happens to connections in each state when
SIGTERM comes."""
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys

from cases import PATIENCE, case, check, check_equal, directory_for_sockets, ended, main, run

HTTP_HELLO, QUICKSTART = sys.argv[1:3]


class Server:
    def __init__(self, program, address=("127.0.0.1", 0), family=socket.AF_INET):
        self.program, self.family = program, family
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(address)
        self.listener.listen(128)
        self.address = self.listener.getsockname()

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        folder = self.stack.enter_context(directory_for_sockets())
        notify = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notify.bind(folder + "/notify")
        notify.settimeout(PATIENCE)
        fd = self.listener.fileno()
        os.set_inheritable(fd, True)
        # the shell becomes the server: LISTEN_PID is its own pid
        self.process = self.stack.enter_context(ended(subprocess.Popen(
            ["/bin/sh", "-c", f'exec 3<&{fd}; LISTEN_PID=$$ exec "$0"', self.program], pass_fds=[fd],
            env={**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": folder + "/notify"}, stdin=subprocess.DEVNULL)))
        check_equal(notify.recv(4096), b"READY=1", "first notification")
        return self

    def __exit__(self, *details):
        self.listener.close()
        return self.stack.__exit__(*details)

    def connect(self):
        connection = self.stack.enter_context(socket.socket(self.family, socket.SOCK_STREAM))
        connection.settimeout(PATIENCE)
        connection.connect(self.address)
        return connection

    def stop(self):
        self.process.send_signal(signal.SIGTERM)

    def expect_end(self):
        check_equal(self.process.wait(PATIENCE), 0, "exit status")


def answer(connection):
    """One whole answer: status line, fields, body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        check(more, f"the connection ended after {data!r}")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    while len(body) < int(fields["Content-Length"]):
        body += connection.recv(65536)
    return lines[0], fields, body


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

# request, status line, value of Connection
REQUESTS = [
    (REQUEST, "HTTP/1.1 200 OK", None),
    (b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK", "close"),
    (b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK", "close"),
    (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "HTTP/1.1 200 OK", "keep-alive"),
    (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK", None),
    (b"GET /sleep/5 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", None),
    (b"nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request", "close"),
    (b"\r\n\r\n", "HTTP/1.1 400 Bad Request", "close"),
    (b"GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 400 Bad Request", "close"),
    (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 Bad Request", "close"),
    (b"POST / HTTP/1.1\r\nContent-Length: 9999999999999\r\n\r\n", "HTTP/1.1 400 Bad Request", "close"),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 411 Length Required", "close"),
    (b"GET / HTTP/1.1\r\na: " + b"b" * 4000 + b"\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large", "close"),
]


@case
def http_requests():
    with Server(HTTP_HELLO) as server:
        pid = server.process.pid
        for request, status, kept in REQUESTS:
            connection = server.connect()
            connection.sendall(request)
            got, fields, body = answer(connection)
            check_equal((got, fields.get("Connection")), (status, kept), request)
            check_equal((fields["X-Worker-Pid"], body), (str(pid), b"pid=%d\n" % pid), request)
            if kept == "close":
                check_equal(connection.recv(1), b"", "after the last answer")
        server.stop()
        server.expect_end()


@case
def http_pipelining_and_pieces():
    """Requests back to back, and cut at every byte."""
    with Server(HTTP_HELLO) as server:
        requests = REQUEST + b"POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" + REQUEST
        for cut in range(len(requests) + 1):
            connection = server.connect()
            connection.sendall(requests[:cut])
            connection.sendall(requests[cut:])
            data = b""
            while data.count(b"pid=") < 3 or not data.endswith(b"\n"):
                more = connection.recv(65536)
                check(more, f"cut at {cut}: ended after {data!r}")
                data += more
            connection.close()


@case
def http_head_has_no_body():
    with Server(HTTP_HELLO) as server:
        connection = server.connect()
        connection.sendall(b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
        data = b""
        while more := connection.recv(65536):
            data += more
        check(data.startswith(b"HTTP/1.1 200 OK\r\n") and data.endswith(b"\r\n\r\n"), repr(data))


@case
def http_drain():
    """SIGTERM: what is idle is closed; what waits for its first answer, or has a request under way, gets it, and a close."""
    with Server(HTTP_HELLO) as server:
        idle, sleeping, fresh, begun = (server.connect() for _ in range(4))
        idle.sendall(REQUEST)
        answer(idle)
        sleeping.sendall(b"GET /sleep/300 HTTP/1.1\r\n\r\n")
        begun.sendall(REQUEST[:10])
        # one more round trip on a new connection: the others are accepted by then
        other = server.connect()
        other.sendall(REQUEST)
        answer(other)

        server.stop()
        check_equal(idle.recv(100), b"", "idle connection")
        check_equal(other.recv(100), b"", "idle connection")
        fresh.sendall(REQUEST)
        begun.sendall(REQUEST[10:])
        for connection in (fresh, begun, sleeping):
            status, fields, _ = answer(connection)
            check_equal((status, fields.get("Connection")), ("HTTP/1.1 200 OK", "close"), "answer while draining")
            check_equal(connection.recv(100), b"", "after the last answer")
            connection.close()
        server.expect_end()


@case
def http_queue_is_served():
    """Connections that are still in the accept queue when SIGTERM comes are served, on TCP and unix sockets."""
    with directory_for_sockets() as folder:
        for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, folder + "/s")):
            with Server(HTTP_HELLO, address, family) as server:
                server.process.send_signal(signal.SIGSTOP)
                connections = [server.connect() for _ in range(50)]
                for connection in connections:
                    connection.sendall(REQUEST)
                server.stop()
                server.process.send_signal(signal.SIGCONT)
                for connection in connections:
                    check_equal(answer(connection)[0], "HTTP/1.1 200 OK", "answer")
                    connection.close()
                server.expect_end()


@case
def http_without_socket():
    done = run(HTTP_HELLO, env={k: v for k, v in os.environ.items() if not k.startswith("LISTEN_")})
    check_equal((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
    check("--listen" in done.stderr, done.stderr)


@case
def quickstart():
    with Server(QUICKSTART) as server:
        connections = [server.connect() for _ in range(10)]
        for i, connection in enumerate(connections):
            connection.sendall(b"line %d" % i)
            check_equal(connection.recv(100), b"line %d" % i, "echo")
        server.stop()
        connections[0].sendall(b"goodbye")
        check_equal(connection_answer(connections[0]), b"goodbye", "echo in the grace period")
        for connection in connections:
            check_equal(connection_answer(connection), b"", "after the grace period")
        server.expect_end()


def connection_answer(connection):
    check(select.select([connection], [], [], PATIENCE)[0], "the connection stays silent")
    return connection.recv(100)


if __name__ == "__main__":
    main()
