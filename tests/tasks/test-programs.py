#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-programs.py FOLDER: the examples in it, run as their readers would. Nothing leaves the loopback."""
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

FOLDER = os.path.abspath(sys.argv[1])
PATIENCE = 60


def program(name):
    return os.path.join(FOLDER, name)


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def check_equal(got, want, what):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


class Started:
    """A program with its output at hand; killed where the test leaves it behind."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        check(ready, "the program says nothing")
        return self.process.stdout.readline().rstrip("\n")

    def end(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.file = self.socket.makefile("rw", newline="\n")

    def say(self, text):
        self.file.write(text + "\n")
        self.file.flush()

    def hear(self):
        return self.file.readline().rstrip("\n")


# ---- the tests ------------------------------------------------------------------------------------

def join(port, name, *others):
    client = Client(port)
    check_equal(client.hear(), "Your name?", "greeting")
    client.say(name)
    for other in others:
        check_equal(other.hear(), f"* {name} has come", "arrival")
    return client


def chat_server():
    with Started(program("chat-server")) as server:
        port = int(server.line().rsplit(":", 1)[1])
        anna = join(port, "anna")
        ben = join(port, "ben", anna)
        carl = join(port, "carl", anna, ben)
        anna.say("hello")
        for client in anna, ben, carl:
            check_equal(client.hear(), "anna: hello", "message")
        ben.socket.shutdown(socket.SHUT_WR)
        for client in anna, carl:
            check_equal(client.hear(), "* ben has gone", "departure")
        check_equal(ben.hear(), "", "end of ben's connection")
        # One who does not read holds up nobody, and finds the latest when he does.
        for i in range(400):
            anna.say(f"{i} " + "y" * 20000)
            check(anna.hear().startswith(f"anna: {i} "), "anna hears herself")
        carl.hear()
        while not carl.hear().startswith("anna: 399 "):
            pass
        server.process.send_signal(signal.SIGTERM)
        while True:
            line = anna.hear()
            if line == "* The room is closing":
                break
            check(line, "a farewell for anna")
        check_equal(anna.hear(), "", "end of anna's connection")
        check_equal(server.end(), (0, "", ""), "chat-server")


def port_scanner():
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = sorted(listener.getsockname()[1] for listener in listeners)
    first, last = max(1, ports[0] - 200), min(65535, ports[0] + 200)
    inside = [port for port in ports if port <= last]
    with Started(program("port-scanner"), "127.0.0.1", str(first), str(last), "20") as scanner:
        status, out, err = scanner.end()
    check_equal((status, err), (0, ""), "port-scanner")
    found = {int(port) for port in re.findall(r"^(\d+) is open$", out, re.M)}
    check(set(inside) <= found, f"{inside} not all in {found}")
    check(f"of {last - first + 1} ports are open" in out, out)
    with Started(program("port-scanner"), "127.0.0.1", "9", "8") as scanner:
        check_equal(scanner.end()[0], 2, "wrong range")


def loopback_name():
    """A minimal system has no /etc/hosts, and so no localhost."""
    try:
        socket.getaddrinfo("localhost", None, socket.AF_INET)
        return "localhost"
    except OSError:
        return "127.0.0.1"


def happy_eyeballs():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        with Started(program("happy-eyeballs"), loopback_name(), str(port)) as client:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as file:
                client.process.stdin.write("ping\n")
                client.process.stdin.flush()
                check_equal(file.readline(), "ping\n", "request")
                file.write("pong\n")
                file.flush()
            status, out, err = client.end()
        check_equal((status, out), (0, "pong\n"), "happy-eyeballs")
        check(f"connected to 127.0.0.1 port {port}" in err, err)
    with Started(program("happy-eyeballs"), "127.0.0.1", str(port)) as client:
        status, _, err = client.end()
        check(status == 1 and "Connection refused" in err, f"nobody there: {status} {err}")


def graceful_shutdown():
    begin = time.monotonic()
    with Started(program("graceful-shutdown")) as server:
        check_equal(server.line(), "serving", "first line")
        # Until a request is done: then three more run.
        check_equal(server.line(), "request done", "a request")
        server.process.send_signal(signal.SIGTERM)
        status, out, err = server.end()
    check_equal((status, err), (0, ""), "graceful-shutdown")
    done = re.search(r"journal closed: (\d+) requests done, 0 cut short", out)
    check(done and int(done.group(1)) >= 3, f"requests that had begun: {out}")
    check(time.monotonic() - begin < PATIENCE, "in time")
    with Started(program("graceful-shutdown"), "1") as server:
        status, out, _ = server.end()
    check(status == 0 and "1 requests done" in out, out)


def producer_consumer():
    with Started(program("producer-consumer"), "100") as run:
        check_equal(run.end(), (0, "200 items, sum 10100\n", ""), "producer-consumer")
    with Started(program("producer-consumer"), "0") as run:
        check_equal(run.end(), (0, "0 items, sum 0\n", ""), "nothing to do")


def main():
    for test in chat_server, port_scanner, happy_eyeballs, graceful_shutdown, producer_consumer:
        test()
        print(f"ok: {test.__name__}", flush=True)


main()
