# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other libraries from tasks: each recipe against the real thing. test-recipes.py NAME=PROGRAM...; a recipe that was not built, or whose
counterpart is not installed, is skipped."""
import contextlib
import glob
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from cases import PATIENCE, Skip, case, check, check_equal, main, run, wait_for

PROGRAMS = dict(argument.split("=", 1) for argument in sys.argv[1:])


def program(name):
    if name not in PROGRAMS:
        raise Skip(f"the library of {name} is not installed")
    return PROGRAMS[name]


def tool(name):
    path = shutil.which(name)
    if not path:
        raise Skip(f"{name} is not installed")
    return path


class Listening:
    """A program that is given one listening socket as fd 3."""

    def __init__(self, *command):
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]

        # The shell becomes the program, so that LISTEN_PID is right.
        self.process = subprocess.Popen(["/bin/sh", "-c", 'exec 3<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh",
                                         str(listener.fileno()), *command],
                                        pass_fds=[listener.fileno()], stderr=subprocess.PIPE, text=True)
        listener.close()

    def __enter__(self):
        return self

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def stop(self):
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        check_equal((status, self.process.stderr.read()), (0, ""), "the end of the server")

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


# ---- OpenSSL -------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def tls_server():
    command, openssl = program("openssl"), tool("openssl")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,DNS:localhost.", "-days", "2", "-keyout", f"{folder}/key", "-out", f"{folder}/cert"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Listening(command, "serve", f"{folder}/cert", f"{folder}/key") as server:
            server.cert = f"{folder}/cert"
            yield server


def tls_client(server):
    context = ssl.create_default_context(cafile=server.cert)
    return context.wrap_socket(server.connect(), server_hostname="localhost")


def echoes(server, text=b"hello"):
    with tls_client(server) as client:
        client.sendall(text + b"\n")
        got = b""
        while not got.endswith(b"\n"):
            got += client.recv(65536) or b"(end)\n"
        return got == text + b"\n"


@case
def openssl_s_client():
    with tls_server() as server:
        with subprocess.Popen([tool("openssl"), "s_client", "-quiet", "-verify_return_error", "-CAfile", server.cert, "-servername",
                               "localhost", "-connect", f"127.0.0.1:{server.port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as client:
            for line in ("one\n", "two\n"):
                client.stdin.write(line)
                client.stdin.flush()
                check_equal(client.stdout.readline(), line, "echo")
            client.terminate()
        check(echoes(server), "no echo")
        server.stop()


@case
def openssl_own_client():
    """Our client, which checks the name in the certificate."""
    with tls_server() as server:
        done = run(program("openssl"), "echo", "localhost", str(server.port), server.cert, "hello")
        check_equal((done.returncode, done.stdout, done.stderr), (0, "hello\n", ""), "the client")
        done = run(program("openssl"), "echo", "127.0.0.1", str(server.port), server.cert, "hello")
        check_equal(done.returncode, 1, "a name that is not in the certificate")
        server.stop()


@case
def openssl_many_and_large():
    with tls_server() as server:
        clients = [tls_client(server) for _ in range(20)]
        for i, client in enumerate(clients):
            client.sendall(b"%d\n" % i)
        for i, client in enumerate(clients):
            check_equal(client.recv(100), b"%d\n" % i, "echo")
            client.close()
        check(echoes(server, b"x" * 60000), "no echo of a long line")
        server.stop()


def first_flight():
    """What a client sends before it hears anything."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@case
def openssl_handshake_cut_at_each_byte():
    """By the end of the connection and by rubbish: no other connection notices."""
    with tls_server() as server:
        flight, bystander = first_flight(), tls_client(server)
        for i in range(len(flight)):
            with server.connect() as client:
                client.sendall(flight[:i] + (b"\xff" * 64 if i % 2 else b""))
            if i % 50 == 0:
                bystander.sendall(b"%d\n" % i)
                check_equal(bystander.recv(100), b"%d\n" % i, "the bystander's echo")
        # The error queue of one connection is not another's.
        check(echoes(server), "no echo afterwards")
        bystander.close()
        server.stop()


@case
def openssl_cut_in_the_middle():
    """A connection that is reset without goodbye ends only itself."""
    with tls_server() as server:
        for _ in range(20):
            client = tls_client(server)
            client.sendall(b"line without an end")
            socket.socket(fileno=os.dup(client.fileno())).shutdown(socket.SHUT_RDWR)
            client.close()
        check(echoes(server), "no echo afterwards")
        server.stop()


# ---- PostgreSQL ----------------------------------------------------------------------------------------------

@contextlib.contextmanager
def postgres():
    """A server of our own, in a folder of its own, that listens on a unix socket only. It refuses to run as root."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin")) + [os.path.dirname(shutil.which("initdb") or "")]
    if not found[0]:
        raise Skip("the PostgreSQL server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        prefix = []
        if os.geteuid() == 0:
            prefix = [tool("runuser"), "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        log = open(f"{folder}/../{os.path.basename(folder)}.log", "w+b")
        os.unlink(log.name)
        done = subprocess.run([*prefix, f"{found[0]}/initdb", "-A", "trust", "-U", "me", "-D", f"{folder}/data"], stdout=log, stderr=log, cwd=folder,
                              env={**os.environ, "LC_ALL": "C"}, check=False)
        if done.returncode != 0:
            log.seek(0)
            raise Skip(f"initdb: {log.read()[-200:]}")
        server = subprocess.Popen([*prefix, f"{found[0]}/postgres", "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses="], stdout=log,
                                  stderr=log, cwd=folder)
        try:
            wait_for("PostgreSQL", lambda: server.poll() is not None or os.path.exists(f"{folder}/.s.PGSQL.5432"))
            check_equal(server.poll(), None, "the exit status of PostgreSQL")
            yield f"host={folder} user=me dbname=postgres", server
        finally:
            server.terminate()
            server.wait(PATIENCE)


@case
def libpq_session():
    command = program("libpq")
    with postgres() as (conninfo, _):
        end = time.monotonic() + PATIENCE
        while True:
            done = run(command, conninfo)
            if "starting up" not in done.stderr or time.monotonic() > end:
                break
        lines = done.stdout.splitlines()
        check_equal((done.returncode, done.stderr), (0, ""), "the session")
        check_equal([line for line in lines if not line.startswith("LINE") and "^" not in line and not line.startswith("HINT")],
                    ["hello", "too slow", "42", "error: ERROR:  function no_such_function() does not exist", "notified: ding"], "what it says")


@case
def libpq_without_server():
    done = run(program("libpq"), "host=/nonexistent user=me")
    check_equal(done.returncode, 1, "its status")
    check("/nonexistent" in done.stderr, done.stderr)


# ---- libcurl -------------------------------------------------------------------------------------------------

class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        size = int(self.path[1:]) if self.path[1:].isdigit() else 0
        self.send_response(200 if size else 404)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def log_message(self, *_):
        pass


@case
def curl_many():
    """Over few connections and many, small and large, one that is refused."""
    command = program("curl")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    with socket.create_server(("127.0.0.1", 0)) as unused:
        refused = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    sizes = [1, 100, 5000, 1000000, 300000, 7, 70, 700, 7000, 70000]
    done = run(command, *(f"{base}/{size}" for size in sizes), f"{base}/none", refused)
    server.shutdown()
    check_equal((done.returncode, done.stderr), (0, ""), "curl")
    wanted = {f"{base}/{size}: 200, {size} bytes" for size in sizes} | {f"{base}/none: 404, 0 bytes"}
    got = set(done.stdout.splitlines())
    check(wanted <= got, f"{wanted - got}")
    check(any(line.startswith(refused) and "connect" in line for line in got), done.stdout)


@case
def curl_is_cancelled():
    """SIGTERM while servers do not answer."""
    command = program("curl")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with subprocess.Popen([command, *[url] * 8], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            silent.settimeout(PATIENCE)
            connections = [silent.accept()[0] for _ in range(8)]
            client.terminate()
            client.communicate(timeout=PATIENCE)
            check_equal(client.returncode, 1, "its status")
            for connection in connections:
                connection.close()


if __name__ == "__main__":
    main()
