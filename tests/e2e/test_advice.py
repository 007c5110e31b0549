# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the log says about the end of a worker: that it is the fix, and that it is said once."""
import http.client
import os
import re
import shlex
import signal
import socket

from harness import (APPS, PYTHON, Skip, check, check_equal, main, need_landlock, need_program, need_root, scenario, wait_for)

# Opens the address by itself, as redis-server, memcached and php -S do, and takes a lock first if it is told to.
OPENS = """
import fcntl, os, socket, sys, time
where, lock, serve = sys.argv[1], sys.argv[2], sys.argv[3:]
if lock:
    held = open(lock, "w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(os.environ.get("COMPLAINT", "another instance is already running"))
if where:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", int(where)))
    except OSError as e:
        sys.exit(os.environ.get("COMPLAINT") or f"cannot listen: {e}")
    s.listen()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
    n.connect(os.environ["NOTIFY_SOCKET"])
    n.send(b"READY=1")
while True:
    time.sleep(60)
"""

QUICK = ["--backoff=1ms..1ms", "--settle=0", "--ready=notify"]
LISTEN_FDS = "does it take its sockets from LISTEN_FDS[?] if it opens its port itself, leave out --listen"
IN_PLACE = "--max-surge=0 --max-unavailable=1"


def opens(where, lock=""):
    return [PYTHON, "-c", OPENS, str(where), lock]


# Where the program lies in /tmp, workers may not write there.
TEMPORARY = "/var/tmp" if APPS.startswith("/tmp/") else "/tmp"


def count(pattern, text):
    return len(re.findall(pattern, text))


def gives_up(pit, *args, **kwargs):
    """The log of a server whose only slot gives up."""
    status, out, err = pit.run(*args, **kwargs)
    check_equal(status, 69, f"exit status\n{err}")
    return out + err


# ---- addresses and locks -------------------------------------------------------------------------------------

@scenario
def opens_the_address_of_listen(pit):
    """In all words in which servers say it, at the second end, once."""
    for complaint in ("", "Error: listen EADDRINUSE: address already in use 0.0.0.0:3000", "bind: address in use",
                      "could not bind: Address in use", "memcached: failed to listen on TCP port 11211: Address already in use",
                      "listen tcp :8080: bind: address already in use", "Os { code: 98, kind: AddrInUse }", "Error: EADDRINUSE",
                      "OSError: [Errno 98] Adresse wird bereits verwendet", "Error: That port is already in use."):
        port = pit.port()
        for n, ends in ((4, 1),) if complaint else ((1, 0), (2, 1), (4, 1)):
            log = gives_up(pit, "-n1", f"--listen=127.0.0.1:{port}", f"--give-up={n}/1h", *QUICK, f"--env=COMPLAINT={complaint}",
                           "--", *opens(port))
            check_equal(count(LISTEN_FDS, log), ends, f"{complaint!r}, {n} ends: times it is said\n{log}")
    several = gives_up(pit, "-n2", f"--listen=127.0.0.1:{port}", "--give-up=3/1h", *QUICK, "--", *opens(port))
    check_equal(count(LISTEN_FDS + r", and run one worker \(-n 1\)", several), 1, several)


@scenario
def two_open_one_address(pit):
    server = pit.server("-n2", "--give-up=1000/1h", *QUICK, "--", *opens(pit.port()))
    server.err.wait(r"only one worker can have a port that the program opens itself; run one \(-n 1\)")
    server.stop()


@scenario
def another_process_has_the_address(pit):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        log = gives_up(pit, "-n1", "--give-up=3/1h", *QUICK, "--", *opens(port))
        check_equal(count("a process outside this server has the address; `ss -lntup` shows which", log), 1, log)


@scenario
def an_old_end_is_no_reason(pit):
    """What a worker has written that was told to end is not looked at."""
    server = pit.server("-n1", *QUICK, "--ready=exec", f"--listen=127.0.0.1:{pit.port()}", "--", "sh", "-c",
                        "echo Address already in use; exec sleep 60")
    server.err.wait("workers are ready")
    for _ in range(2):
        since = server.err.mark()
        server.send(signal.SIGHUP)
        server.err.wait("reload: done", since=since)
    server.stop()
    check_equal(count("LISTEN_FDS[?]|-n 1|max-surge|ss -l|confined", server.log()), 0, server.log())


@scenario
def ends_well_without_its_address(pit):
    """As daphne does."""
    server = pit.server("-n1", *QUICK, f"--listen=127.0.0.1:{pit.port()}", "--", "sh", "-c",
                        "echo \"Listen failure: Couldn't listen on 127.0.0.1:9812: [Errno 98] Address already in use.\"")
    server.err.wait(LISTEN_FDS)
    server.stop()


@scenario
def replacement_needs_the_address(pit):
    port = pit.port()
    server = pit.server("-n1", *QUICK, "--", *opens(port))
    server.err.wait("workers are ready")
    server.send(signal.SIGHUP)
    server.err.wait(f"the worker that it is to replace has an address that it needs; .*: {IN_PLACE}")
    server.err.wait("reload: rolled-back")
    server.stop()
    check_equal(count(IN_PLACE, server.log()), 1, server.log())
    server = pit.server("-n1", *IN_PLACE.split(), *QUICK, "--", *opens(port))
    server.err.wait("workers are ready")
    server.reload(1)
    server.err.wait("reload: done")
    server.stop()


@scenario
def replacement_needs_the_lock(pit):
    for n, complaint in enumerate((
            "another instance is already running", "Error: Already running on PID 4711 (or pid file '/run/x.pid' is stale)",
            'FATAL:  lock file "postmaster.pid" already exists', "IO error: lock /data/LOCK: Resource temporarily unavailable",
            "A server is already running (pid: 1, file: tmp/pids/server.pid)", "Unable to lock ./ibdata1 error: 11",
            "DBException: database is locked", "failed to acquire lock on /var/lib/x", "pidfile: already locked")):
        lock = pit.file(f"lock{n}")
        options = [*QUICK, f"--env=COMPLAINT={complaint}"]
        server = pit.server("-n1", *options, "--", *opens("", lock))
        server.err.wait("workers are ready")
        server.send(signal.SIGHUP)
        server.err.wait(f"seems to hold a lock that it needs; .*: {IN_PLACE}")
        server.err.wait("reload: rolled-back")
        server.stop()
    server = pit.server("-n1", *IN_PLACE.split(), *options, "--", *opens("", lock))
    server.err.wait("workers are ready")
    server.reload(1)
    server.stop()
    server = pit.server("-n2", "--give-up=1000/1h", *options, "--", *opens("", lock))
    server.err.wait(r"another worker seems to hold a lock that it needs; .*: run one worker|run one worker \(-n 1\)")
    server.stop()


# ---- files ---------------------------------------------------------------------------------------------------

ADVICE = r"files are confined: (.*); add (--read.*)"


def follow(pit, options, program, wanted, cwd, works, listen=()):
    """Adds what the log says until it works."""
    need_landlock(1)
    added = []
    for _ in range(8):
        server = pit.server("-n1", *listen, "--sandbox=strict", "--give-up=1/1h", "--ready=exec", *options, *added, "--", *program,
                            cwd=cwd)
        wait_for(lambda: f"advice or success after {added}\n{server.log()}",
                 lambda: works(server) or re.search(ADVICE.encode(), b"\n".join(server.err.lines)))
        found = re.search(ADVICE.encode(), b"\n".join(server.err.lines))
        if not found:
            server.stop()
            break
        server.wait_exit({69, 78})
        new = shlex.split(found[2].decode())
        check(not set(new) & set(added), f"the same advice again\n{server.log()}")
        check_equal(count(ADVICE, server.log()), 1, f"times it is said\n{server.log()}")
        added += new
    check(not found, f"{added}: that was not enough\n{server.log()}")
    pit.note(f"{os.path.basename(program[0])}: {' '.join(added)}")
    if wanted is not None:
        check_equal(sorted(added), sorted(wanted), "options that were recommended")
    return added


def answers(port):
    def works(server):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.5)
            connection.request("GET", "/")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
    return works


def says(pattern):
    return lambda server: re.search(pattern, b"\n".join(server.out.lines + server.err.lines))


def follow_http(pit, program, wanted, cwd, options=(), port=None):
    port = port or pit.port()
    return follow(pit, options, program, wanted, cwd, answers(port), [f"--listen=127.0.0.1:{port}"])


@scenario
def confined_program(pit):
    """What is read, what is written, what is made; in the words of the program or, where it has none, from where it starts."""
    site, data = pit.directory("site"), pit.directory("data")
    inner = pit.directory("site/inner")
    text = pit.file("site/inner/text", "x")
    for script, options, cwd, wanted in (
            (f"open({text!r})", [], "/", [f"--read-only={inner}"]),
            (f"open({text!r})", [], site, [f"--read-only={site}"]),
            (f"open({text!r})", [f"--chdir={site}"], "/", [f"--read-only={site}"]),
            ("open('inner/text')", [], site, [f"--read-only={site}"]),
            (f"open('{data}/made', 'w')", [], "/", [f"--read-write={data}"]),
            (f"open('{data}/made', 'a')", [f"--read-only={data}"], "/", [f"--read-write={data}"]),
            ("import sys, inner; sys.exit(0 if inner.__file__ is None else 1) if not inner.__path__ else 0", [], site,
             [f"--read-only={site}"]),
            (f"try: open({text!r})\nexcept OSError: raise SystemExit(3)", [], site, [f"--read-only={site}"])):
        follow(pit, options, [PYTHON, "-c", f"import time\n{script}\nprint('it works', flush=True)\ntime.sleep(600)"], wanted, cwd,
               says(b"it works"))
    main_file = pit.file("site/main.py", "import time\nprint('it works', flush=True)\ntime.sleep(600)\n")
    follow(pit, [], [PYTHON, main_file], [f"--read-only={site}"], "/", says(b"it works"))


@scenario
def confined_gunicorn(pit):
    follow_http(pit, [need_program("gunicorn"), "wsgi:application"], [f"--read-only={APPS}", f"--read-write={TEMPORARY}"], APPS)


@scenario
def confined_uvicorn(pit):
    site = pit.directory("site")
    pit.file("site/app.py", """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})
""")
    follow_http(pit, [need_program("uvicorn"), "--fd", "3", "--lifespan=off", "app:app"], [f"--read-only={site}"], site)


@scenario
def confined_node(pit):
    follow_http(pit, [need_program("node"), "server.js"], [f"--read-only={APPS}"], APPS)


@scenario
def confined_puma(pit):
    site, port = pit.directory("site"), pit.port()
    pit.file("site/config.ru", "run ->(env) { [200, {}, ['x']] }\n")
    follow_http(pit, [need_program("puma"), "-b", f"tcp://127.0.0.1:{port}", "config.ru"], [f"--read-only={site}"], site, port=port)


@scenario
def confined_nginx(pit):
    site, port = pit.directory("nginx", 0o777), pit.port()
    with open(f"{APPS}/nginx.conf") as f:
        pit.file("nginx.conf", f.read().replace("@ADDRESS@", f"127.0.0.1:{port}").replace("@DIRECTORY@", site))
    os.chmod(pit.path, 0o755)
    options = ["--stop-signal=QUIT", "--non-blocking", "--env=NGINX=3;", *(["--user=nobody"] if os.geteuid() == 0 else [])]
    follow_http(pit, [need_program("nginx"), "-p", site, "-c", pit.file("nginx.conf"), "-e", "stderr"],
                [f"--read-only={pit.path}", f"--read-write={site}"], "/", options, port)


@scenario
def confined_php_fpm(pit):
    need_root()
    program = next((p for p in map("/usr/sbin/php-fpm{}".format, ("8.2", "8.4", "8.3", "")) if os.path.exists(p)), None)
    if not program:
        raise Skip("php-fpm is not installed")
    path, site, made = pit.file("fpm.sock"), pit.directory("fpm"), pit.directory("made")
    conf = pit.file("fpm/fpm.conf", f"[global]\nerror_log = /proc/self/fd/2\npid = {made}/fpm.pid\n[www]\nuser = nobody\n"
                                    f"listen = {path}\npm = static\npm.max_children = 1\n")
    follow(pit, ["--stop-signal=QUIT", f"--env=FPM_SOCKETS={path}=3"], [program, "-F", "-y", conf],
           [f"--read-only={site}", f"--read-write={made}"], "/", says(b"ready to handle connections"), [f"--listen={path}"])


@scenario
def warning_recommends_what_works(pit):
    """Workers that run as root: the options in the warning, and no others."""
    need_root()
    need_landlock(1)
    for program in (["gunicorn", "wsgi:application"], ["node", "server.js"]):
        command = ["--", need_program(program[0]), *program[1:]]
        port = pit.port()
        listen = f"--listen=127.0.0.1:{port}"
        server = pit.server("-n1", listen, *command, cwd=APPS)
        options = server.err.wait("confine their files: (--sandbox=strict [^,]*),")[1].decode().split()
        server.err.wait("workers are ready")
        server.stop()
        check(f"--read-only={APPS}" in options, f"{options}")
        server = pit.server("-n1", listen, *options, *command, cwd=APPS)
        wait_for(lambda: server.log(), lambda: answers(port)(server))
        server.stop()
        check_equal(count("warning|exited with status [1-9]", server.log()), 0, server.log())


@scenario
def refused_to_confined_root(pit):
    """What neither a file nor a folder would help with."""
    need_root()
    need_landlock(1)
    for script in ("socket.socket(socket.AF_UNIX)", "os.open('made', os.O_CREAT | os.O_WRONLY, 0o4755)"):
        status, out, err = pit.run("-n1", "--restart=no", "--sandbox=strict", f"--read-write={pit.path}", f"--chdir={pit.path}", "--", PYTHON, "-c",
                                   f"import os, socket; {script}")
        check("files are confined: root may not open unix sockets then" in err, err)
        check(not re.search(ADVICE, err), err)


@scenario
def certificates_without_keys(pit):
    """Whom TLS trusts can be read; the keys beside that cannot, even by root."""
    need_landlock(1)
    tried = ["/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/usr/share", "/etc/ssl/private", "/etc/ssl", "/etc/shadow"]
    tried = [path for path in tried if os.path.exists(path)]
    script = ("import os, sys\nfor p in sys.argv[1:]:\n try:\n  os.listdir(p) if os.path.isdir(p) else open(p)\n  print(p, 'yes')\n"
              " except OSError as e:\n  print(p, 'no')\n")
    status, out, err = pit.run("-n1", "--restart=no", "--log=plain", "--sandbox=strict", "--", PYTHON, "-c", script, *tried)
    check_equal(status, 0, err)
    found = dict(line.split() for line in out.splitlines())
    check_equal(found, {p: "no" if p in ("/etc/ssl/private", "/etc/ssl", "/etc/shadow") else "yes" for p in tried}, "what can be read")


if __name__ == "__main__":
    main()
