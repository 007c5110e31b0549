# SPDX-License-Identifier: LGPL-2.1-or-later
"""The smallest application, for gunicorn and uwsgi: says which process answered."""
import os


def application(environ, start_response):
    body = b"pid=%d\n" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))),
                              ("X-Worker-Pid", str(os.getpid()))])
    return [body]
