# SPDX-License-Identifier: LGPL-2.1-or-later
"""The smallest ASGI application, for uvicorn, hypercorn and daphne: says which process answered. Where the server tells it
that it starts (lifespan, which daphne does not have), it says that it is ready."""
import os
import socket

BODY = b"pid=%d\n" % os.getpid()


def notify(text):
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(text, path)


async def lifespan(receive, send):
    while True:
        event = (await receive())["type"]
        if event == "lifespan.startup":
            notify(b"READY=1")
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(BODY)), (b"x-worker-pid", b"%d" % os.getpid())]})
    await send({"type": "http.response.body", "body": BODY})
