# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server on all its sockets, of whatever kind, whose worker in slot 0 spoils them first: with the deeds of SPOIL, a word
each, until the file GOOD exists. It answers "SLOT PID". With "die" it ends afterwards."""
import contextlib
import os
import select
import socket
import struct
import sys
import time

SO_ATTACH_FILTER, SO_LOCK_FILTER, SO_ATTACH_REUSEPORT_CBPF, SO_DETACH_REUSEPORT_BPF = 26, 44, 51, 68
RETURN_0 = struct.pack("HBBI", 6, 0, 0, 0)
slot = os.environ["AIOTOOLS_SD_SLOT"]
listeners = [socket.socket(fileno=fd) for fd in range(3, 3 + int(os.environ["LISTEN_FDS"]))]


def program(s, option):
    import ctypes
    code = ctypes.create_string_buffer(RETURN_0)
    s.setsockopt(socket.SOL_SOCKET, option, struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))


def connect(s):
    if s.type == socket.SOCK_STREAM and s.family != socket.AF_UNIX:
        s.shutdown(socket.SHUT_RDWR)
        s.setblocking(False)
    s.connect(s.getsockname())


def md5(s):
    key = struct.pack("H126s", s.family, b"") + struct.pack("BBHI", 1, 0, 4, 0) + b"abcd".ljust(80, b"\0")
    s.setsockopt(socket.IPPROTO_TCP, 32, key)


def ttl(s):
    level, hops, least = (41, 16, 73) if s.family == socket.AF_INET6 else (0, 2, 21)
    s.setsockopt(level, hops, 1)
    s.setsockopt(level, least, 255)


DEEDS = {
    "shutdown": lambda s: s.shutdown(socket.SHUT_RDWR),
    "connect": connect,
    "filter": lambda s: program(s, SO_ATTACH_FILTER),
    "steal": lambda s: program(s, SO_ATTACH_REUSEPORT_CBPF),
    "detach": lambda s: s.setsockopt(socket.SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0),
    "lock": lambda s: s.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1),
    "ttl": ttl,
    "md5": md5,
    "device": lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"spoiled0"),
    "backlog": lambda s: s.listen(0),
    "buffer": lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1),
    "defer": lambda s: s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 3600),
    "lowat": lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100000),
    "alone": lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0),
}


def ready():
    notify = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"READY=1", "\0" + notify[1:] if notify[0] == "@" else notify)


def serve(s):
    word = f"{slot} {os.getpid()}".encode()
    if s.type == socket.SOCK_DGRAM:
        s.sendto(word, s.recvfrom(100)[1])
        return
    connection = s.accept()[0]
    with connection:
        connection.settimeout(1)
        connection.recv(100)
        connection.sendall(word)


good = os.path.exists(os.environ["GOOD"])
evil = slot == "0" and not good
if evil:
    for deed in os.environ["SPOIL"].split():
        for s in listeners if deed in DEEDS else []:
            try:
                DEEDS[deed](s)
                print("done:", deed, s.fileno(), flush=True)
            except OSError as e:
                print("failed:", deed, s.fileno(), e, flush=True)
ready()
print("good" if good else "spoiled", slot, flush=True)
if evil and "die" in os.environ["SPOIL"]:
    time.sleep(0.2)
    sys.exit(1)
for s in listeners if not good else []:
    s.setblocking(False)
while True:
    readable = select.select(listeners, [], [], 1)[0]
    for s in readable:
        with contextlib.suppress(OSError):
            serve(s)
    if readable and evil:
        time.sleep(0.01)  # a dead listener is always readable
