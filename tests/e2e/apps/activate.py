# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hands listening sockets to a program, as a service manager does, but exactly as told:
    activate.py [--names=A:B] [--pid=PID] ADDRESS... -- PROGRAM [ARG...]
ADDRESS: HOST:PORT, /path, @abstract or udp:HOST:PORT; and seqpacket:/path, dgram:/path."""
import os
import socket
import sys


TYPES = {"udp": socket.SOCK_DGRAM, "dgram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}


def opened(address):
    word = address.split(":")[0]
    kind = TYPES.get(word, socket.SOCK_STREAM)
    address = address.removeprefix(word + ":") if word in TYPES else address
    if address[0] in "/@":
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
    else:
        host, port = address.rsplit(":", 1)
        s = socket.socket(socket.AF_INET6 if host[0] == "[" else socket.AF_INET, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host.strip("[]"), int(port)))
    if kind != socket.SOCK_DGRAM:
        s.listen(128)
    return s


cut = sys.argv.index("--")
options = dict(a[2:].split("=", 1) for a in sys.argv[1:cut] if a.startswith("--"))
sockets = [opened(a) for a in sys.argv[1:cut] if not a.startswith("--")]
high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + len(high), 200)
os.environ["LISTEN_FDS"] = str(len(high))
os.environ["LISTEN_PID"] = options.get("pid", str(os.getpid()))
if "names" in options:
    os.environ["LISTEN_FDNAMES"] = options["names"]
os.execvp(sys.argv[cut + 1], sys.argv[cut + 1:])
