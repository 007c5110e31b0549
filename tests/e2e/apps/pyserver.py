# SPDX-License-Identifier: LGPL-2.1-or-later
"""A python3 program as a worker: standard library only, sockets from fd 3 on, READY=1, drains on TERM."""
import os
import selectors
import signal
import socket

selector = selectors.DefaultSelector()
stopping = False


def notify(text):
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(text, "\0" + path[1:] if path.startswith("@") else path)


class Connection:
    def __init__(self, sock):
        self.socket, self.answered, self.data = sock, False, b""
        selector.register(sock, selectors.EVENT_READ, self.receive)
        connections.add(self)

    def close(self):
        selector.unregister(self.socket)
        self.socket.close()
        connections.discard(self)

    def receive(self):
        try:
            got = self.socket.recv(4096)
        except ConnectionError:
            got = b""
        if not got:
            return self.close()
        self.data += got
        if b"\r\n\r\n" in self.data:
            self.answer()

    def answer(self):
        last = stopping or b"Connection: close" in self.data
        body = b"pid=%d\n" % os.getpid()
        self.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Worker-Pid: %d\r\n%s\r\n%s" %
                            (len(body), os.getpid(), b"Connection: close\r\n" if last else b"", body))
        self.answered, self.data = True, b""
        if last:
            self.close()


def accept(listener):
    try:
        while True:
            Connection(listener.accept()[0])
    except BlockingIOError:
        pass


def stop(*_):
    global stopping
    stopping = True


connections = set()
listeners = []
assert os.environ["LISTEN_PID"] == str(os.getpid())
for fd in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    listener = socket.socket(fileno=fd)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, lambda l=listener: accept(l))
    listeners.append(listener)

# The wake-up fd makes TERM an event among the others, so none is lost before select().
ours, theirs = socket.socketpair()
ours.setblocking(False)
theirs.setblocking(False)
signal.set_wakeup_fd(theirs.fileno())
signal.signal(signal.SIGTERM, stop)
selector.register(ours, selectors.EVENT_READ, lambda: ours.recv(64))
notify(b"READY=1\nSTATUS=python serves")

draining = False
while not draining or connections:
    for key, _ in selector.select():
        if key.fileobj.fileno() >= 0:
            key.data()
    if stopping and not draining:
        draining = True
        for listener in listeners:
            selector.unregister(listener)
        for c in [c for c in connections if c.answered and not c.data]:
            c.close()
