# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that know nothing of us, unmodified, as workers: served, reloaded under load without loss, stopped."""
import os
import signal

from harness import (APPS, FULL, HTTP_HELLO, PYTHON, WORKER, Load, Skip, alive, check, check_equal, compiled_go, compiled_rust,
                     main, milliseconds, need_program, scenario, seconds)

RELOADS = 20 if FULL else 3


def serve(pit, listen, options, program, kept=True, workers=2, **kwargs):
    server = pit.server(f"-n{workers}", f"--listen={listen}", *options, "--", *program, **kwargs)
    server.wait_ready(patience=60)
    return under_load(pit, server, listen, kept, workers)


def under_load(pit, server, listen, kept, workers=2):
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
    check_equal([p for p in seen if alive(int(p))], [], "processes that are left")
    pit.note(f"{RELOADS} reloads, {' + '.join(str(c['ok']) for c in counts)} requests, 0 failed")


@scenario
def gunicorn(pit):
    program = need_program("gunicorn")
    serve(pit, f"127.0.0.1:{pit.port()}", [], [program, "--chdir", APPS, "--workers=2", "wsgi:application"], kept=False)


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
    server.err.wait("reload: rolled-back; 0 of 4 workers were replaced in .*, since a new one exited with status [13]")
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
    program = need_program("gunicorn")
    serve(pit, pit.file("x.sock"), [], [program, "--chdir", APPS, "wsgi:application"], kept=False)


@scenario
def uwsgi(pit):
    program = need_program("uwsgi")
    if not os.path.exists("/usr/lib/uwsgi/plugins/python3_plugin.so"):
        raise Skip("uwsgi's python3 plugin is not installed")
    serve(pit, f"127.0.0.1:{pit.port()}", [],
          [program, "--plugin", "python3", "--protocol", "http", "--master", "--need-app", "--chdir", APPS, "--wsgi-file",
           f"{APPS}/wsgi.py", "--hook-master-start", "unix_signal:15 gracefully_kill_them_all"], kept=False)


def nginx_prefix(pit, address):
    directory = pit.directory("nginx", 0o777)
    with open(f"{APPS}/nginx.conf") as f:
        text = f.read().replace("@ADDRESS@", address).replace("@DIRECTORY@", directory)
    pit.file("nginx.conf", text)
    return ["-p", directory, "-c", pit.file("nginx.conf"), "-e", "stderr"]


def nginx_options():
    """As root, nginx wants to change its user by itself, which the sandbox does not allow: we do it."""
    # It accepts from what it inherits as it finds it: a blocking socket that two of them share hangs one of them, sooner or later.
    return ["--stop-signal=QUIT", "--non-blocking", '--env=NGINX=3;', *(["--user=nobody"] if os.geteuid() == 0 else [])]


@scenario
def non_blocking(pit):
    """The mode of the sockets is as it was asked for, for every kind of them."""
    script = "import os, sys; sys.exit(sum(os.get_blocking(fd) for fd in (3, 4)))"
    for options, blocking in (([], 2), (["--non-blocking"], 0)):
        server = pit.server("-n1", "--run-to-completion", f"--listen=127.0.0.1:{pit.port()}",
                            f"--listen={pit.file('x.sock')}", *options, "--", PYTHON, "-c", script)
        server.wait_exit({blocking})


@scenario
def nginx(pit):
    program = need_program("nginx")
    listen = f"127.0.0.1:{pit.port()}"
    serve(pit, listen, [*nginx_options(), "--ready=delay:300ms"], [program, *nginx_prefix(pit, listen)])


@scenario
def nginx_unix(pit):
    program = need_program("nginx")
    listen = pit.file("x.sock")
    serve(pit, listen, [*nginx_options(), "--ready=delay:300ms"], [program, *nginx_prefix(pit, f"unix:{listen}")])


@scenario
def node(pit):
    program = need_program("node")
    serve(pit, f"127.0.0.1:{pit.port()}", ["--ready=fd:4", "--env=READY_FD=4"], [program, f"{APPS}/server.js"])


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
def go(pit):
    """Its runtime makes system calls of its own, without libc."""
    serve(pit, f"127.0.0.1:{pit.port()}", [], [compiled_go(pit)], kept=False)


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
