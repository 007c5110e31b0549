# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that know nothing of us, unmodified, as workers: served, reloaded under load without loss, stopped."""
import os
import signal

from harness import (APPS, FULL, HTTP_HELLO, PYTHON, WORKER, Load, Skip, alive, check, check_equal, compiled_rust, main, milliseconds,
                     need_program, scenario, seconds)
from servers import RECIPES

RELOADS = 20 if FULL else 3


def serve(pit, listen, options, program, kept=True, workers=2, **kwargs):
    server = pit.server(f"-n{workers}", f"--listen={listen}", *options, "--", *program, **kwargs)
    server.wait_ready(patience=60)
    return under_load(pit, server, listen, kept, workers)


def under_load(pit, server, listen, kept, workers=2, ended=None):
    server.wait_workers(workers)
    loads = [pit.load(listen, "-c4", "-C", "-p2")] + ([pit.load(listen, "-c4")] if kept else [])
    for load in loads:
        load.wait_ok(50)
    for _ in range(RELOADS):
        server.reload(workers)
        for load in loads:
            load.wait_ok(20)
    seen = set(loads[0].snapshot()["pids"])
    check(len(seen) > RELOADS, f"answers came from {len(seen)} processes only")
    counts = [load.stop() for load in loads]
    for c in counts:
        Load.check_lossless(c)
    server.stop()
    if ended:
        ended()
    check_equal([p for p in seen if alive(int(p))], [], "processes that are left")
    pit.note(f"{RELOADS} reloads, {' + '.join(str(c['ok']) for c in counts)} requests, 0 failed")


def served_as(name):
    """Each server of the table, as docs/servers.md says."""
    def run(pit):
        recipe = RECIPES[name](pit)
        drain = ["--drain=500ms"] if recipe.cuts else []  # as by default, which the harness changes
        server = pit.server(*recipe.arguments(*drain, workers=2)).wait_ready(patience=60)
        end_front = recipe.front()
        under_load(pit, server, recipe.target, recipe.kept, ended=end_front)
    run.__name__ = name.replace("-", "_")
    return scenario(run)


for each in RECIPES:
    served_as(each)


def broken_deploy(pit, options, preload):
    """An import that fails. gunicorn says READY=1 before it loads the application, unless with --preload."""
    program = need_program("gunicorn")
    listen = f"127.0.0.1:{pit.port()}"
    directory = pit.directory("site")
    with open(f"{APPS}/wsgi.py") as f:
        text = f.read()
    pit.file("site/wsgi.py", text)
    server = pit.server("-n4", f"--listen={listen}", *options, "--", program, *preload, "--chdir", directory, "wsgi:application")
    server.wait_ready(patience=60)
    old = server.wait_workers(4)
    load = pit.load(listen, "-c4", "-C", "-p2")
    load.wait_ok(50)
    pit.file("site/wsgi.py", "import no_such_module\n" + text)
    server.send(signal.SIGHUP)
    how = server.err.wait("reload: the replacement exited with status [13](.*); see its output above")[1]
    check_equal(b"after it was ready" in how, not preload, "it had said READY=1")
    server.err.wait(r"reload: rolled-back; 0 of 4 workers were replaced in .*, since the new one of slot \d exited with status [13]")
    check_equal(sorted(server.wait_workers(4)), sorted(old), "workers")
    load.wait_ok(50)
    pit.file("site/wsgi.py", text)
    server.reload(4, patience=90)
    load.wait_ok(50)
    Load.check_lossless(load.stop())
    server.stop()


@scenario
def gunicorn_broken(pit):
    broken_deploy(pit, [f"--settle={seconds(3)}"], [])


@scenario
def gunicorn_broken_preload(pit):
    broken_deploy(pit, ["--settle=0"], ["--preload"])


@scenario
def gunicorn_unix(pit):
    recipe = RECIPES["gunicorn"](pit, pit.file("x.sock"))
    serve(pit, recipe.listen, [f"--chdir={recipe.site}"], recipe.command(), kept=False)


@scenario
def nginx_unix(pit):
    recipe = RECIPES["nginx"](pit, pit.file("x.sock"))
    serve(pit, recipe.listen, [f"--chdir={recipe.site}", *recipe.options], recipe.command())


@scenario
def non_blocking(pit):
    """The mode of the sockets is as it was asked for, for every kind of them."""
    script = "import os, sys; sys.exit(sum(os.get_blocking(fd) for fd in (3, 4)))"
    for options, blocking in (([], 2), (["--non-blocking"], 0)):
        server = pit.server("-n1", "--run-to-completion", f"--listen=127.0.0.1:{pit.port()}",
                            f"--listen={pit.file('x.sock')}", *options, "--", PYTHON, "-c", script)
        server.wait_exit({blocking})


@scenario
def node_without_readiness(pit):
    """It says nothing, so it is ready when it has lived for 5 s; once is enough to show that."""
    program = need_program("node")
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n1", f"--listen={listen}", "--", program, f"{APPS}/server.js").wait_ready()
    check_equal(pit.load(listen, "-n50").finish()["ok"], 50, "served")
    server.stop()


@scenario
def python(pit):
    serve(pit, f"127.0.0.1:{pit.port()}", [], [PYTHON, f"{APPS}/pyserver.py"])


@scenario
def python_unix(pit):
    serve(pit, pit.file("x.sock"), [], [PYTHON, f"{APPS}/pyserver.py"])


@scenario
def python_http_server(pit):
    """Of the standard library, on fd 3: it cuts requests when it is stopped, so it is only served from."""
    listen = f"127.0.0.1:{pit.port()}"
    script = ("import http.server, socket\n"
              "s = http.server.ThreadingHTTPServer(('', 0), http.server.SimpleHTTPRequestHandler, False)\n"
              "s.socket = socket.socket(fileno=3)\ns.serve_forever()\n")
    directory = pit.directory("site")
    with open(f"{directory}/index.html", "w") as f:
        f.write("<p>hello\n")
    server = pit.server("-n2", f"--listen={listen}", "--ready=delay:500ms", f"--chdir={directory}", "--", PYTHON, "-c",
                        script).wait_ready()
    counts = pit.load(listen, "-n100", "-C").finish()
    check_equal((counts["ok"], counts["failed"]), (100, 0), str(counts))
    server.stop()


@scenario
def rust(pit):
    serve(pit, f"127.0.0.1:{pit.port()}", [], [compiled_rust(pit)], kept=False)


@scenario
def http_hello(pit):
    if not HTTP_HELLO:
        raise Skip("examples/http-hello is not built")
    serve(pit, f"127.0.0.1:{pit.port()}", [], [HTTP_HELLO], workers=4)


@scenario
def shell_wrapper(pit):
    """A wrapper that execs keeps LISTEN_PID right."""
    serve(pit, f"127.0.0.1:{pit.port()}", [], ["/bin/sh", "-c", f"exec {WORKER}"])


def socket_activate(pit, listen, program, options=()):
    """systemd-socket-activate starts us at the first connection, and passes on only what it is told to."""
    activate = need_program("systemd-socket-activate")
    keep = pit.environment(runtime=True)
    passed = [a for k, v in keep.items() if k not in ("PATH", "HOME") for a in ("-E", f"{k}={v}")]
    server = pit.server("-n2", *options, "--", *program, wrapper=[activate, "-l", listen, *passed])
    server.err.wait("Listening on")
    # That it listens is said before it polls; the connection waits in the backlog.
    load = pit.load(listen, "-n20", f"-t{milliseconds(60)}")
    server.wait_ready(patience=60)
    check_equal(load.finish()["ok"], 20, "served")
    return server


@scenario
def socket_activated(pit):
    listen = f"127.0.0.1:{pit.port()}"
    server = socket_activate(pit, listen, [HTTP_HELLO or WORKER])
    under_load(pit, server, listen, True)


@scenario
def socket_activated_unix(pit):
    listen = pit.file("x.sock")
    server = socket_activate(pit, listen, [WORKER])
    under_load(pit, server, listen, True)
    check(os.path.exists(listen), "the socket file was removed: it is not ours")
    os.unlink(listen)


@scenario
def socket_activated_gunicorn(pit):
    program = need_program("gunicorn")
    listen = f"127.0.0.1:{pit.port()}"
    server = socket_activate(pit, listen, [program, "--chdir", APPS, "wsgi:application"])
    under_load(pit, server, listen, False)


if __name__ == "__main__":
    main()
