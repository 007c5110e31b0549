# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server with the flaws of some popular ones: it accepts at once, reads a moment later, and on TERM drops what it has
accepted and not read. On USR1 it shuts down its listener; with HASTY=shut it does so on TERM too, and takes its time to
end; with HASTY=deaf it accepts nothing after USR2."""
import os
import select
import signal
import socket
import time

MOMENT = 0.01
listener = socket.socket(fileno=3)
listener.setblocking(False)
mode = os.environ.get("HASTY", "")
accepted = []  # (when, connection)
deaf = stopping = False


def on_term(*_):
    global stopping
    if mode != "shut":
        os._exit(0)
    listener.shutdown(socket.SHUT_RDWR)
    stopping = True


def on_usr1(*_):
    listener.shutdown(socket.SHUT_RDWR)


def on_usr2(*_):
    global deaf
    deaf = True


def answer(connection):
    connection.settimeout(5)
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(4096)
        if not got:
            return
        data += got
    body = b"pid=%d\n" % os.getpid()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))


signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGUSR1, on_usr1)
signal.signal(signal.SIGUSR2, on_usr2)
notify = os.environ["NOTIFY_SOCKET"]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto(b"READY=1", "\0" + notify[1:] if notify[0] == "@" else notify)
end = None
while not (stopping and not accepted and time.monotonic() > end):
    if stopping and end is None:
        end = time.monotonic() + 1
    readable = [] if deaf else select.select([listener], [], [], MOMENT / 4 if accepted or stopping else 1)[0]
    if deaf:
        time.sleep(MOMENT)
    if readable:
        try:
            accepted.append((time.monotonic(), listener.accept()[0]))
        except BlockingIOError:
            pass
        except OSError:  # it was shut down
            time.sleep(MOMENT)
    while accepted and time.monotonic() - accepted[0][0] > MOMENT:
        with accepted.pop(0)[1] as c:
            try:
                answer(c)
            except OSError:
                pass
