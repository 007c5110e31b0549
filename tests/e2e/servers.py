#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers of others as our workers: how each is run, and a table of the requests that it loses.

    tests/e2e/servers.py [--build=FOLDER] [--reloads=N] [--alone] [--options='...'] [NAME...]

serves each one with four workers, loads it with new connections and with kept ones, reloads it N times by SIGHUP, each
one awaited, and prints a row of docs/servers.md. With --alone the same processes run without us: one socket is handed to all
of them, and one after the other is replaced and stopped, N rounds.

The recipes are also what test_servers.py and test_broken.py run.
"""
import argparse
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    parser = argparse.ArgumentParser(description="A table of the requests that servers lose in reloads.")
    parser.add_argument("--build", help="build folder (the newest below build/)")
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--options", default="--settle=200ms --drain=500ms", help="more options of `aiotools-sd run` (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="without us, to see what is a server's own flaw")
    parser.add_argument("names", nargs="*", metavar="NAME")
    return parser.parse_args()


def programs_of(build):
    """Names what was built to the harness, as meson does for the tests."""
    folders = [build] if build else sorted(glob.glob(os.path.join(HERE, "../../build/*/")), key=os.path.getmtime)
    if not folders:
        sys.exit("build it first: meson setup build/release -Dbuildtype=release && ninja -C build/release")
    for variable, path in (("AIT_CMD", "cli/aiotools-sd"), ("AIT_LOAD", "tests/e2e/load"), ("AIT_WORKER", "tests/e2e/worker"),
                           ("AIT_HTTP_HELLO", "examples/http-hello")):
        os.environ.setdefault(variable, os.path.abspath(os.path.join(folders[-1], path)))
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")


ARGUMENTS = None
if __name__ == "__main__":
    ARGUMENTS = arguments()
    programs_of(ARGUMENTS.build)

from harness import APPS, Notify, Sandpit, Skip, check, compiled_go, fail, need_program, prepare, wait_for  # noqa: E402

NOBODY = ["--user=nobody"] if os.geteuid() == 0 else []
STOP_UWSGI = "unix_signal:15 gracefully_kill_them_all"


class Recipe:
    """How one server is run. Its files lie in a folder of their own, the site, which is the working directory of its workers."""
    name = program = None
    version = ("--version",)  # what makes it say its version
    files = ()                # of apps/, copied to the site
    options = ()              # of `aiotools-sd run`
    kept = True               # serves many requests on one connection
    slow_start = 0.5          # seconds, about: from its start to ready
    broken = {}               # how a deploy breaks its application and its configuration: {file: text}
    cuts = False              # when it is stopped, it closes what it has just accepted: it needs --drain

    def __init__(self, pit, listen=None):
        self.path = self.find()
        self.pit, self.site = pit, pit.directory("site", 0o777)  # workers may be of another user
        self.listen = self.target = listen or f"127.0.0.1:{pit.port()}"
        for f in self.files:
            shutil.copy(f"{APPS}/{f}", self.site)
        self.prepare()

    def find(self):
        return need_program(self.program)

    def prepare(self):
        """What else the site needs."""

    def command(self):
        raise NotImplementedError

    def fill(self, name):
        """@ADDRESS@ and @DIRECTORY@ in a file of the site."""
        path = os.path.join(self.site, name)
        with open(path) as f:
            text = f.read().replace("@DIRECTORY@", self.site)
        text = text.replace("@ADDRESS@", f"unix:{self.listen}" if self.listen[0] == "/" else self.listen)
        with open(path, "w") as f:
            f.write(text)

    def arguments(self, *options, workers=4):
        """Those of `aiotools-sd run`."""
        return [f"-n{workers}", f"--listen={self.listen}", f"--chdir={self.site}", *self.options, *options, "--", *self.command()]

    def front(self):
        """Starts what is needed to speak HTTP to it. What ends that."""
        return None

    def version_text(self):
        text = subprocess.run([self.path, *self.version], capture_output=True, text=True, check=False)
        return re.search(r"\d+(\.\d+)+", text.stdout + text.stderr).group(0)


class Gunicorn(Recipe):
    name = program = "gunicorn"
    files = ("wsgi.py",)
    kept = False  # its sync workers close after each answer
    broken = {"application": {"wsgi.py": "import nonesuch\n"}, "configuration": {"gunicorn.conf.py": "threads = nonesuch\n"}}
    slow_start = 1.3

    def command(self):
        return [self.path, "--preload", "wsgi:application"]


class Uvicorn(Recipe):
    name = program = "uvicorn"
    cuts = True
    files = ("asgi.py",)
    broken = {"application": {"asgi.py": "import nonesuch\n"}, "configuration": {"environment": "UVICORN_LOG_LEVEL=nonesuch\n"}}

    def command(self):
        return [self.path, "--fd=3", "--no-access-log", "asgi:application"]


class Hypercorn(Recipe):
    name = program = "hypercorn"
    version = None
    files = ("asgi.py", "hypercorn.toml")
    broken = {"application": {"asgi.py": "import nonesuch\n"}, "configuration": {"hypercorn.toml": "nonesuch\n"}}

    def command(self):
        return [self.path, "--config=hypercorn.toml", "--bind=fd://3", "asgi:application"]

    def version_text(self):
        return package_version("hypercorn")


class Daphne(Recipe):
    name = program = "daphne"
    cuts = True
    version = None
    files = ("asgi.py",)
    options = ("--ready=delay:1s",)  # it never says so, nor does it tell the application
    broken = {"application": {"asgi.py": "import nonesuch\n"}, "configuration": {"environment": "nonesuch\n"}}
    slow_start = 1

    def command(self):
        return [self.path, "--fd=3", "--verbosity=0", "asgi:application"]

    def version_text(self):
        return package_version("daphne")


class Puma(Recipe):
    name = program = "puma"
    cuts = True
    files = ("config.ru",)
    broken = {"application": {"config.ru": "require 'nonesuch'\n"}, "configuration": {"config/puma.rb": "nonesuch 1\n"}}

    def command(self):
        return [self.path, "--bind-to-activated-sockets=only", "--environment=production", "--silent"]


class Uwsgi(Recipe):
    name = program = "uwsgi"
    files = ("wsgi.py", "uwsgi.ini")
    kept = False
    broken = {"application": {"wsgi.py": "import nonesuch\n"},
              "configuration": {"uwsgi.ini": "[uwsgi]\nstrict = true\nnonesuch = 1\n"}}

    def find(self):
        if not os.path.exists("/usr/lib/uwsgi/plugins/python3_plugin.so"):
            raise Skip("uwsgi's python3 plugin is not installed")
        return super().find()

    def command(self):
        return [self.path, "--ini=uwsgi.ini", "--plugin=python3", "--protocol=http", "--master", "--need-app", "--wsgi-file=wsgi.py",
                f"--hook-master-start={STOP_UWSGI}"]


class Nginx(Recipe):
    """As root it wants to change its user by itself, which the sandbox does not allow: we do it. It accepts from what it inherits
    as it finds it: a blocking socket that two of them share hangs one of them, sooner or later."""
    name = program = "nginx"
    version = ("-v",)
    files = ("nginx.conf",)
    options = ("--ready=delay:300ms", "--stop-signal=QUIT", "--non-blocking", "--env=NGINX=3;", *NOBODY)
    broken = {"application": {"nginx.conf": "daemon off;\nevents {}\ninclude nonesuch.conf;\n"},
              "configuration": {"nginx.conf": "daemon off;\nevents {}\nnonesuch;\n"}}

    def prepare(self):
        self.fill("nginx.conf")

    def command(self):
        return [self.path, "-p", self.site, "-c", f"{self.site}/nginx.conf", "-e", "stderr"]


class Haproxy(Recipe):
    name = program = "haproxy"
    version = ("-v",)
    files = ("haproxy.cfg",)
    options = ("--stop-signal=USR1",)
    broken = {"application": {"haproxy.cfg": "frontend hello\n    bind fd@3\n    mode http\n    default_backend nonesuch\n"},
              "configuration": {"haproxy.cfg": "nonesuch\n"}}

    def command(self):
        return [self.path, "-Ws", "-f", "haproxy.cfg"]


class Node(Recipe):
    name = program = "node"
    cuts = True
    files = ("app.js",)
    options = ("--ready=fd:4",)
    broken = {"application": {"app.js": "require('nonesuch');\n"}, "configuration": {"environment": "NODE_OPTIONS=--nonesuch\n"}}

    def command(self):
        return [self.path, "app.js"]


class Go(Recipe):
    name = program = "go"
    version = ("version",)
    broken = {"application": {"nethttp": "\x7fELF, the half of it"}, "configuration": {"environment": "GOMEMLIMIT=nonesuch\n"}}

    def prepare(self):
        compiled_go(self.pit, f"{self.site}/nethttp")

    def command(self):
        return [f"{self.site}/nethttp"]


class PhpFpm(Recipe):
    """It speaks FastCGI only. nginx in front of it asks it once for each request, on a new connection, and tries nothing again."""
    name = "php-fpm"
    kept = False
    version = ("-v",)
    files = ("php-fpm.conf", "index.php", "preload.php", "front.conf")
    broken = {"application": {"preload.php": "<?php nonesuch();\n"}, "configuration": {"php-fpm.conf": "nonesuch\n"}}
    options = ("--stop-signal=QUIT", *NOBODY)

    def find(self):
        found = sorted(glob.glob("/usr/sbin/php-fpm*"))
        if not found:
            raise Skip("php-fpm is not installed")
        self.nginx = need_program("nginx")
        return found[-1]

    def prepare(self):
        self.target = f"127.0.0.1:{self.pit.port()}"
        self.fill("php-fpm.conf")

    def command(self):
        return [self.path, "--nodaemonize", "--force-stderr", f"--fpm-config={self.site}/php-fpm.conf",
                "-d", f"opcache.preload={self.site}/preload.php"]

    def arguments(self, *options, workers=4):
        return super().arguments(f"--env=FPM_SOCKETS={self.listen}=3", *options, workers=workers)

    def front(self):
        directory = self.pit.directory("front", 0o777)
        with open(f"{self.site}/front.conf") as f:
            text = f.read()
        for name, value in (("@FRONT@", self.target), ("@ADDRESS@", self.listen), ("@DIRECTORY@", directory), ("@SITE@", self.site)):
            text = text.replace(name, value)
        conf = self.pit.file("front.conf", text)
        process = subprocess.Popen([self.nginx, "-p", directory, "-c", conf, "-e", "stderr"], env=self.pit.environment(),
                                   stdin=subprocess.DEVNULL)
        self.pit.own.add(process.pid)

        def end():
            process.terminate()
            process.wait()
        self.pit.defer(end)
        host, port = self.target.rsplit(":", 1)
        wait_for("nginx in front of php-fpm", lambda: socket.socket().connect_ex((host, int(port))) == 0)
        return end


RECIPES = {r.name: r for r in (Gunicorn, Uvicorn, Hypercorn, Daphne, Puma, Uwsgi, Nginx, Haproxy, Node, Go, PhpFpm)}


def package_version(name):
    """For those that cannot say it themselves."""
    text = subprocess.run(["/usr/bin/python3", "-c", f"import importlib.metadata as m; print(m.version('{name}'))"],
                          capture_output=True, text=True, check=False)
    return text.stdout.strip()


# ---- with us -------------------------------------------------------------------------------------------------

def loads_of(pit, recipe):
    """New connections, and kept ones where the server keeps them; few enough to leave the machine some air."""
    return [pit.load(recipe.target, "-c4", "-C", "-p10")] + ([pit.load(recipe.target, "-c4", "-p10")] if recipe.kept else [])


def reload_once(server):
    """HUP, until the log says how it went."""
    since = server.err.mark()
    server.send(signal.SIGHUP)
    line = server.err.wait("reload: (done|refused|partial|rolled-back).*", since=since, patience=120).group(0).decode()
    check(line.startswith("reload: done"), line)


def reloaded(pit, recipe, reloads, workers, options):
    server = pit.server(*recipe.arguments(*options, workers=workers)).wait_ready(patience=60)
    server.wait_workers(workers)
    recipe.front()
    loads = loads_of(pit, recipe)
    for load in loads:
        load.wait_ok(50)
    for _ in range(reloads):
        reload_once(server)
        for load in loads:
            load.wait_ok(10)
    counts = [load.stop() for load in loads]
    server.stop()
    return counts


# ---- without us ----------------------------------------------------------------------------------------------

class Alone:
    """The same processes with the same signals, and nobody else: one socket, handed to each; one after the other is replaced, the
    successor being ready before the predecessor is stopped."""

    def __init__(self, pit, recipe):
        self.pit, self.recipe = pit, recipe
        host, port = recipe.listen.rsplit(":", 1)
        self.socket = socket.create_server((host, int(port)), backlog=1024)
        self.socket.setblocking("--non-blocking" not in recipe.options)
        settings = [o.removeprefix("--env=").split("=", 1) for o in recipe.arguments() if o.startswith("--env=")]
        self.environment = {**pit.environment(), **dict(settings), "LISTEN_FDS": "1"}
        signals = [o.removeprefix("--stop-signal=") for o in recipe.options if o.startswith("--stop-signal=")]
        self.signal = getattr(signal, f"SIG{(signals or ['TERM'])[0]}")

    def start(self):
        notify = Notify(self.pit.directory(f"notify-{time.monotonic_ns()}", 0o777))
        self.pit.defer(notify.close)
        ready, writer = os.pipe()
        script = 'export LISTEN_PID=$$; exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        fds = [self.socket.fileno(), writer]
        process = subprocess.Popen(["bash", "-c", script, "bash", *map(str, fds), *self.recipe.command()], pass_fds=fds,
                                   cwd=self.recipe.site, env={**self.environment, "NOTIFY_SOCKET": notify.path},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   user="nobody" if "--user=nobody" in self.recipe.options else None)
        os.close(writer)
        self.pit.own.add(process.pid)
        self.pit.defer(process.kill)
        kind = next((o for o in self.recipe.options if o.startswith("--ready=")), "--ready=notify")
        if kind == "--ready=notify":
            notify.wait("READY", "1")
        elif kind.startswith("--ready=fd"):
            check(os.read(ready, 1) == b"\n", f"{self.recipe.name} has not said that it is ready")
        else:
            time.sleep(1)
        os.close(ready)
        return process

    def stop(self, process):
        process.send_signal(self.signal)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            fail(f"has not ended 60 s after {self.signal.name}")


def replaced_alone(pit, recipe, reloads, workers):
    alone = Alone(pit, recipe)
    processes = [alone.start() for _ in range(workers)]
    recipe.front()
    loads = loads_of(pit, recipe)
    for load in loads:
        load.wait_ok(50)
    for _ in range(reloads):
        for i, old in enumerate(processes):
            processes[i] = alone.start()
            alone.stop(old)
    counts = [load.stop() for load in loads]
    for process in processes:
        alone.stop(process)
    alone.socket.close()
    return counts


# ---- the table -----------------------------------------------------------------------------------------------

def lost(counts):
    """What has failed, by kind."""
    kinds = {k: sum(c[k] for c in counts) for k in ("refused", "reset", "closed_early", "bad_status", "timeout", "other")}
    total = sum(c["failed"] for c in counts)
    told = ", ".join(f"{n} {k.replace('_', ' ')}" for k, n in kinds.items() if n)
    return f"{total} ({told})" if total else "0"


def row(name, alone):
    pit = Sandpit(name)
    try:
        recipe = RECIPES[name](pit)
        begun = time.monotonic()
        counts = replaced_alone(pit, recipe, ARGUMENTS.reloads, ARGUMENTS.workers) if alone else \
            reloaded(pit, recipe, ARGUMENTS.reloads, ARGUMENTS.workers, ARGUMENTS.options.split())
        seconds = time.monotonic() - begun
        print(f"| {name} | {recipe.version_text()} | {ARGUMENTS.reloads} | {' + '.join(str(c['ok']) for c in counts)} | {lost(counts)} "
              f"| {seconds:.0f} s |", flush=True)
        for c in counts:
            if c["failed"]:
                print(c["details"], file=sys.stderr, flush=True)
        return sum(c["failed"] for c in counts)
    except Skip as e:
        print(f"| {name} | not measured: {e} |", flush=True)
        return 0
    except AssertionError as e:
        print(f"{name}: {e}", file=sys.stderr, flush=True)
        return 1
    finally:
        pit.close()


def main():
    prepare()
    unknown = set(ARGUMENTS.names) - set(RECIPES)
    if unknown:
        sys.exit(f"unknown: {' '.join(unknown)}; known are {' '.join(RECIPES)}")
    print("| server | version | reloads | requests: new connections + kept | lost | time |\n|---|---|---|---|---|---|", flush=True)
    sys.exit(1 if sum([row(name, ARGUMENTS.alone) for name in ARGUMENTS.names or RECIPES]) else 0)


if __name__ == "__main__":
    main()
