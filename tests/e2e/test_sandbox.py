#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sandbox as its users meet it: what workers cannot do, what they still can, and what the options say. What was denied is told in test_explain.py."""
import os
import re
import signal
import socket

from harness import (LANDLOCK_SCOPES, LANDLOCK_TRUNCATES, NOBODY, PYTHON, Skip, check, check_equal, landlock_abi, main, need_landlock, need_nobody, need_root, read_proc, scenario, wait_for)

ESCAPES = os.environ.get("AIT_ESCAPES", "")
USAGE, SANDBOX, CONFIG = 64, 77, 78
# Nothing but Landlock's scope is in their way, where both are of one user.
SCOPED = {"kill a sibling", "abstract socket outside"}
# Any Landlock domain keeps others out of these.
IN_A_DOMAIN = {"sibling's mem", "sibling's fd"}
# Where it is not there, the supervisor cannot even be opened for them.
WITH_A_PIDFD = {"pidfd_getfd the supervisor", "pidfd_send_signal to the supervisor"}


# A container, or a root file system with a sparse /dev, does not have it.
NO_DEVICE = set() if os.path.exists("/dev/userfaultfd") else {"ioctl of /dev/userfaultfd"}


def said(server, slot):
    """What the worker of a slot has written, line by line."""
    pattern = re.compile(rb"^[^ ]*\[%d:\d+\] (.*)$" % slot)
    found = (pattern.match(line) for line in list(server.out.lines))
    return [m.group(1).decode(errors="replace") for m in found if m]


def outcomes(lines):
    return dict(m.groups() for m in (re.match(r"(.*): (refused \(\w+\)|killed \(\w+\)|not here|sent .*|OPEN .*)$", line) for line in lines) if m)


def abstract_socket(pit):
    s = socket.socket(socket.AF_UNIX)
    name = f"escapes-{os.getpid()}-{pit.port()}"
    s.bind("\0" + name)
    s.listen()
    pit.defer(s.close)
    return name


def start_escapes(pit, *options, **keywords):
    """Two workers, each with the other one as its sibling."""
    if not ESCAPES:
        raise Skip("AIT_ESCAPES names no program")
    server = pit.server("-n2", "--ready=exec", f"--env=ESCAPE_ABSTRACT={abstract_socket(pit)}", *options, "--", ESCAPES, "--stay", **keywords)
    for slot in (0, 1):
        server.out.wait(rf"\[{slot}:\d+\] all \d+ ways were tried", patience=60)
    return server


def all_refused(pit, *options, **keywords):
    server = start_escapes(pit, *options, **keywords)
    scoped = set() if landlock_abi() >= LANDLOCK_SCOPES else SCOPED | WITH_A_PIDFD
    if not landlock_abi():
        scoped |= IN_A_DOMAIN
    if scoped:
        pit.note("no Landlock scopes: siblings can be signalled, abstract sockets reached")
    for slot in (0, 1):
        found = {name: what for name, what in outcomes(said(server, slot)).items() if name not in scoped}
        check(len(found) >= 60, f"slot {slot} has tried {len(found)} ways only: {found}")
        still_open = {name: what for name, what in found.items() if what.startswith("OPEN")}
        check(not still_open, f"slot {slot}: {still_open}")
        absent = {name for name, what in found.items() if what == "not here"} - NO_DEVICE
        check(not absent, f"slot {slot} has not tried {absent}")
        if "another slot's notify socket" in found and found["another slot's notify socket"].startswith("sent"):
            server.err.wait(f"slot {1 - slot}, .*notification of process .* dropped")
    pit.note(f"{len(found)} ways")
    check(b"status: escaped" not in b"\n".join(server.err.lines), "what another slot said was believed")
    server.stop()


@scenario
def escapes(pit):
    """As who we are; for root, the harder case: no file mode is in the way."""
    all_refused(pit)


@scenario
def escapes_of_an_ordinary_user(pit):
    need_nobody()
    all_refused(pit, uid=NOBODY)


@scenario
def escapes_of_a_worker_with_a_user(pit):
    need_nobody()
    all_refused(pit, "--user=nobody")


@scenario
def escapes_without_sandbox(pit):
    """The program that tries can tell: most ways are open to root."""
    need_root()
    server = start_escapes(pit, "--sandbox=none")
    found = outcomes(said(server, 0))
    count = sum(what.startswith("OPEN") for what in found.values())
    check(count >= 40, f"{count} of {len(found)} ways are open without a sandbox: {found}")
    for name in ("supervisor's mem", "kill the supervisor", "kill a sibling", "abstract socket outside", "sibling's mem", "sched_setaffinity of the supervisor",
                 "setpriority of the supervisor", "ioprio_set of the supervisor"):
        check(found[name].startswith("OPEN"), f"{name}: {found[name]}")
    pit.note(f"{count} open")
    server.stop()


def make_outside(pit):
    """What confined root must not reach: a file, two sockets that only root may use, and a file that it may read."""
    folder = pit.directory("outside", 0o777)
    pit.file("outside/file", "text")
    pit.directory("given", 0o755)
    for name, kind in (("stream", socket.SOCK_STREAM), ("seqpacket", socket.SOCK_SEQPACKET)):
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(f"{folder}/{name}")
        os.chmod(f"{folder}/{name}", 0o600)
        s.listen()
        pit.defer(s.close)
    return [folder, pit.file("given/readable", "text", 0o644), pit.directory("own", 0o755)]


def remove_outside(paths):
    """Where something has got out, also what it has made."""
    for name in os.listdir(paths[0]):
        os.unlink(f"{paths[0]}/{name}")


def looks(paths):
    """All that can be known of files and of what lies in them, but when they were read."""
    found = {}
    for top in paths:
        for path in [top, *(f"{top}/{name}" for name in (os.listdir(top) if os.path.isdir(top) else ()))]:
            st = os.lstat(path)
            text = read_file(path) if os.path.isfile(path) else ""
            found[path] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_mtime_ns, st.st_ctime_ns, os.listxattr(path), text)
    return found


# Neither SYS_ADMIN nor, so, a mount namespace.
UNPRIVILEGED = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]


def confined_root(pit, paths, *options, **keywords):
    return pit.run("-n1", "--restart=no", "--log=plain", "--sandbox=strict", "--env=ASAN_OPTIONS=detect_leaks=0", f"--read-only={os.path.dirname(paths[1])}", f"--env=ESCAPE_OUTSIDE={paths[0]}",
                   f"--env=ESCAPE_READABLE={paths[1]}", f"--env=ESCAPE_WRITABLE={paths[2]}", f"--read-write={paths[2]}", *options, "--", ESCAPES,
                   "--files", **keywords)


def need_escapes():
    need_root()
    need_landlock(1)
    if not ESCAPES:
        raise Skip("AIT_ESCAPES names no program")


def escapes_to_files(pit, *options, **keywords):
    need_escapes()
    paths = make_outside(pit)
    before = looks(paths[:2])
    status, out, err = confined_root(pit, paths, *options, **keywords)
    found = outcomes(out.splitlines())
    still_open = {name: what for name, what in found.items() if what.startswith("OPEN")}
    check_equal((status, still_open), (0, {}), f"what is open: {out}{err}")
    check(len(found) >= 60, f"{len(found)} ways only: {out}")
    absent = {name for name, what in found.items() if what == "not here"} - NO_DEVICE - {"sysrq-trigger", "core_pattern", "cgroup of the supervisor"}
    check(not absent, f"has not tried {absent}")
    check_equal(looks(paths[:2]), before, "the files")
    remove_outside(paths)
    pit.note(f"{len(found)} ways")
    return found, err


@scenario
def escapes_of_confined_root(pit):
    """To files outside: all that is no opening, making or removing of them, which Landlock does not see."""
    found, err = escapes_to_files(pit)
    check("root: files outside are read-only" in err, err)
    check_equal(found["fchmodat"], "refused (EROFS)", "fchmodat")


@scenario
def escapes_of_confined_root_without_mounts(pit):
    """Where there is no mount namespace, the calls are denied."""
    found, err = escapes_to_files(pit, wrapper=UNPRIVILEGED)
    check("no mount namespace: Operation not permitted" in err, err)
    check_equal(found["fchmodat"], "refused (EPERM)", "fchmodat")


@scenario
def escapes_of_the_own_user(pit):
    """An ordinary user's own sockets lead to programs that start others (systemd --user, an agent); attributes of its files do not."""
    need_nobody()
    need_escapes()
    paths = make_outside(pit)
    for path in [*paths, f"{paths[0]}/file", f"{paths[0]}/stream", f"{paths[0]}/seqpacket"]:
        os.chown(path, NOBODY, NOBODY)
    _, out, err = confined_root(pit, paths, uid=NOBODY)
    found = outcomes(out.splitlines())
    check("own user: sockets of files are refused" in err, err)
    for name, what in found.items():
        if re.match(r"socket|mq_|shm|sem|msg|ioctl|fcntl|.*(set-user-ID|set-group-ID|own file)", name):
            check_equal(what, "refused (ENOSYS)" if name.startswith("openat2") else "refused (EPERM)", name)
    check_equal(found["chmod of a named file"], "OPEN (it has worked)", "chmod of what belongs to the user")
    remove_outside(paths)
    status, out, err = pit.run("-n1", "--restart=no", "--log=plain", "--sandbox=strict", "--user=nobody", "--", PYTHON, "-c",
                               "import socket; socket.socket(socket.AF_UNIX)")
    check_equal((status, "own user" in err), (0, False), f"with a user of its own: {err}")


@scenario
def escapes_of_unconfined_root(pit):
    """The program that tries can tell: nearly all is open."""
    need_escapes()
    paths = make_outside(pit)
    status, out, err = pit.run("-n1", "--restart=no", "--log=plain", f"--env=ESCAPE_OUTSIDE={paths[0]}", f"--env=ESCAPE_READABLE={paths[1]}",
                               f"--env=ESCAPE_WRITABLE={paths[2]}", "--", ESCAPES, "--files")
    found = outcomes(out.splitlines())
    count = sum(what.startswith("OPEN") for what in found.values())
    check_equal(status, 1, out + err)
    check(count >= 55, f"{count} of {len(found)}: {found}")
    remove_outside(paths)


OWN_FILES = """
import os, socket, sqlite3, tempfile
os.chdir(os.environ["PIT"] + "/rw")
with open("own", "w") as f: f.write("x")
os.chmod("own", 0o600); os.utime("own", (1, 1)); os.chown("own", 1, 1); os.setxattr("own", "user.x", b"y")
os.fchmod(os.open("own", os.O_RDWR), 0o640)
os.rename("own", os.getcwd() + "/moved")
a, b = socket.socketpair(); a.send(b"x")
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
db = sqlite3.connect("db"); db.execute("pragma journal_mode=wal"); db.execute("create table if not exists t (x)"); db.commit()
print("own files work")
"""


@scenario
def confined_root_and_its_own_files(pit):
    """Inside its paths root does with files what root does; whatever its current directory was."""
    need_root()
    need_landlock(1)
    for cwd in ("/", pit.directory("rw", 0o777)):
        out = run_script(pit, OWN_FILES, f"--env=PIT={pit.path}", "--sandbox=strict", f"--read-write={pit.path}/rw", wrapper=["env", "-C", cwd])
        check("own files work" in out, out)
        os.unlink(f"{pit.path}/rw/moved")


EXCEPTIONS = """
import os, socket
def tried(what, f):
    try: f(); print(what, "yes")
    except OSError as e: print(what, e.strerror)
P = os.environ["PIT"]
tried("chmod", lambda: os.chmod(P + "/rw/file", 0o600))
tried("fchmod", lambda: os.fchmod(os.open(P + "/rw/file", os.O_RDWR), 0o600))
tried("fchmod-0", lambda: os.fchmod(os.open(P + "/rw/file", os.O_RDWR), 0))
tried("stream", lambda: socket.socket(socket.AF_UNIX))
tried("inet", lambda: socket.socket())
"""


@scenario
def exceptions_for_confined_root(pit):
    """A policy that names a call opens it, and the start says what that means; a group, a preset or a list of systemd does not."""
    need_root()
    need_landlock(1)
    pit.directory("rw", 0o777)
    pit.file("rw/file", "text")
    no, yes = "Operation not permitted", "yes"
    for text, wanted, opened in (
            ("policy 1\ninclude service\n", [no, no, no, no, yes], ""),
            ("policy 1\ninclude service\n@file-system\n@network-io\n", [no, no, no, no, yes], ""),
            ("@system-service chmod fchmod socket\n", [no, no, no, no, yes], ""),
            ("policy 1\ninclude service\nchmod\nsocket\n", [yes, no, no, no, yes], "chmod"),
            ("policy 1\ninclude service\nfchmod arg1 == 0\n", [no, no, yes, no, yes], "fchmod"),
            ("policy 1\ninclude service\nsocket arg0 == AF_UNIX && arg1 & 0xf == SOCK_STREAM\n", [no, no, no, yes, yes], "socket")):
        path = pit.file("root.policy", text)
        status, out, err = pit.run("-n1", "--restart=no", "--log=plain", f"--env=PIT={pit.path}", "--sandbox=strict", f"--read-write={pit.path}/rw",
                                   f"--policy={path}", "--", PYTHON, "-c", EXCEPTIONS, wrapper=UNPRIVILEGED)
        found = dict(line.split(" ", 1) for line in out.splitlines() if re.match(r"[a-z-]+[0-9]? [A-Zy]", line))
        check_equal((status, list(found.values())), (0, wanted), f"{text!r}: {out}{err}")
        check_equal(err.count("but the policy names"), int(bool(opened)), f"{text!r}: {err}")
        check(not opened or "warning: sandbox: " in err and f"the policy names {opened}: " in err, f"{text!r}: {err}")


@scenario
def supervisor_shows_nothing(pit):
    """To others of its own user: its files in /proc belong to root, and cannot be opened."""
    need_nobody()
    server = pit.server("-n1", *pit.worker(), uid=NOBODY).wait_ready()
    check_equal(os.stat(f"/proc/{server.supervisor}/environ").st_uid, 0, "owner of the supervisor's environ")
    check_equal(os.stat(f"/proc/{server.workers()[0]}/environ").st_uid, NOBODY, "owner of the worker's environ")
    server.stop()


def run_script(pit, script, *options, **keywords):
    """A Python program to its end. What it wrote."""
    status, out, err = pit.run("-n1", "--restart=no", "--log=plain", *options, "--", PYTHON, "-c", script, **keywords)
    check(status == 0, f"exit status {status}: {out}{err}")
    return out


TRY_FILES = """
import os
def tried(what, f):
    try: f(); print(what, "yes")
    except OSError as e: print(what, e.strerror)
P = os.environ["PIT"]
tried("read-shadow", lambda: open("/etc/shadow").read())
tried("read-hosts", lambda: open("/etc/hosts").read())
tried("list-root", lambda: os.listdir("/"))
tried("read-ro", lambda: open(P + "/ro/file").read())
tried("write-ro", lambda: open(P + "/ro/file", "w"))
tried("make-rw", lambda: open(P + "/rw/new", "w").write("x"))
tried("truncate-ro", lambda: os.truncate(P + "/ro/file", 0))
tried("rename-out", lambda: os.rename(P + "/rw/new", P + "/ro/new"))
tried("exec-ro", lambda: os.spawnv(os.P_WAIT, P + "/ro/true", ["true"]) and 1 / 0)
tried("exec-rw", lambda: os.posix_spawn(P + "/rw/true", ["true"], {}))
tried("null", lambda: open("/dev/null", "w").write("x"))
import ssl, json, socket, threading
def lookup():
    try: return bool(socket.getaddrinfo("localhost", 80))
    except socket.gaierror: return False
print("localhost", lookup())
"""


def knows_localhost():
    """A minimal system has no /etc/hosts, and so no localhost."""
    try:
        return bool(socket.getaddrinfo("localhost", 80))
    except socket.gaierror:
        return False


@scenario
def strict(pit):
    """Files are confined to the program, its libraries, and what is given."""
    need_landlock(1)
    for name in ("ro", "rw"):
        pit.directory(name, 0o777)
        os.system(f"cp /bin/true {pit.file(name)}/true")
    pit.file("ro/file", "text")
    options = [f"--env=PIT={pit.path}", "--sandbox=strict", f"--read-only={pit.file('ro')}", f"--read-write={pit.file('rw')}"]
    # The default locale's encoding is no matter here; Python's own files are among the libraries.
    found = dict(line.split(" ", 1) for line in run_script(pit, TRY_FILES, *options).splitlines() if re.match(r"[a-z-]+ [A-Zyo]", line))
    denied, gone = "Permission denied", "Invalid cross-device link"
    hosts = "yes" if os.path.exists("/etc/hosts") else "No such file or directory"
    wanted = {"read-shadow": denied, "read-hosts": hosts, "list-root": denied, "read-ro": "yes", "write-ro": denied, "make-rw": "yes",
              "truncate-ro": denied, "exec-ro": "yes", "exec-rw": denied, "null": "yes", "localhost": str(knows_localhost())}
    if os.geteuid() == 0:  # a mount namespace says it in other words; without one, truncate() is refused
        for name in ("write-ro", "truncate-ro"):
            check(found[name] in (denied, "Read-only file system", "Operation not permitted"), f"{name}: {found[name]}")
            found[name] = denied
    elif landlock_abi() < LANDLOCK_TRUNCATES:  # only by its name, without opening it
        wanted["truncate-ro"] = "yes"
    check(found.pop("rename-out", None) in (denied, gone, "Read-only file system"), "moved out of what may be written")
    check_equal(found, wanted, "what strict lets through")
    check_equal(read_file(pit.file("ro/file")), "text" if wanted["truncate-ro"] == denied else "", "the file")


def read_file(path):
    with open(path) as f:
        return f.read()


@scenario
def strict_script(pit):
    """A script needs its interpreter, found along PATH by env."""
    need_landlock(1)
    path = pit.file("script", "#!/usr/bin/env python3\nprint('it runs')\n", 0o755)
    status, out, err = pit.run("-n1", "--restart=no", "--log=plain", "--sandbox=strict", "--", path,
                               env={"PATH": "/usr/bin:/bin"})
    check_equal((status, "it runs" in out), (0, True), out + err)
    shell = pit.file("shell", "#!/bin/sh\necho it runs; cat /dev/null || echo no cat\n", 0o755)
    status, out, err = pit.run("-n1", "--restart=no", "--log=plain", "--sandbox=strict", "--", shell)
    check("it runs" in out and "no cat" in out, out + err)


@scenario
def strict_after_an_installation(pit):
    """Landlock knows files, not names: a new file of the same name is the program all the same."""
    need_landlock(1)
    path, text = pit.file("script"), "#!/bin/sh\necho version {}\nexec {} --trace={}\n"
    worker = pit.worker()[1]
    pit.file("script", text.format(1, worker, pit.trace.path), 0o755)
    server = pit.server("-n2", "--sandbox=strict", f"--read-write={pit.trace.path}", f"--read-only={os.path.dirname(worker)}",
                        "--", path).wait_ready()
    pit.file("script.new", text.format(2, worker, pit.trace.path), 0o755)
    os.rename(pit.file("script.new"), path)
    server.reload(2)
    for slot in (0, 1):
        server.out.wait(rf"\[{slot}:\d+\] version 2")
    server.stop()


TRY_PORTS = """
import socket
def tried(what, f):
    try: f(); print(what, "yes")
    except OSError as e: print(what, e.strerror)
def connect(port, family=socket.AF_INET, host="127.0.0.1"):
    s = socket.socket(family)
    s.connect((host, port))
tried("allowed", lambda: connect({allowed}))
tried("other", lambda: connect({other}))
tried("fast-open", lambda: socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", {other})))
tried("mptcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
tried("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", {other})))
tried("listen", lambda: socket.socket().listen())
"""


@scenario
def connect(pit):
    """To the ports that are given, and by no other way."""
    need_landlock(4)
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    allowed, other = (s.getsockname()[1] for s in listeners)
    script = TRY_PORTS.format(allowed=allowed, other=other)
    everywhere = run_script(pit, script)
    check("other yes" in everywhere, everywhere)
    found = dict(line.split(" ", 1) for line in run_script(pit, script, f"--connect={allowed}").splitlines() if re.match(r"[a-z-]+ [A-Zy]", line))
    check_equal(found, {"allowed": "yes", "other": "Permission denied", "fast-open": "Operation not supported",
                        "mptcp": "Protocol not supported", "udp": "yes", "listen": "yes"}, "with one port")
    check("allowed Permission denied" in run_script(pit, script, "--connect=none"), "--connect=none")
    for s in listeners:
        s.close()


@scenario
def capabilities(pit):
    need_root()
    script = "print(*[l for l in open('/proc/self/status') if l.startswith('Cap')])"
    own = int(read_proc("self", "status").decode().split("CapBnd:")[1].split()[0], 16)
    for option, mask in (("chown,CAP_NET_BIND_SERVICE", 0x401), ("none", 0), ("Chown chown", 1), ("service", 0x218045fb)):
        out = run_script(pit, script, f"--capabilities={option}")
        for name in ("CapPrm", "CapEff", "CapBnd"):
            check_equal(int(re.search(rf"{name}:\s*(\w+)", out).group(1), 16), mask & own, f"{name} with {option}")
        check_equal(int(re.search(r"CapAmb:\s*(\w+)", out).group(1), 16), 0, "CapAmb")
    out = run_script(pit, script, "--capabilities=all")
    check_equal(int(re.search(r"CapBnd:\s*(\w+)", out).group(1), 16), own, "CapBnd with all")


UNAME = "import os\ntry: print('nodename', os.uname().nodename)\nexcept OSError as e: print('refused', e.errno)"


@scenario
def policies(pit):
    """A file in our language, systemd's lists bare and in a unit file; and what is wrong with others."""
    native = pit.file("native.policy", "# ours\n\npolicy 1\ninclude service\nuname: errno(EACCES)\n")
    unit = pit.file("unit.conf", "[Service]\n# a list\nSystemCallFilter=@system-service\nSystemCallFilter=~uname\nSystemCallErrorNumber=EACCES\nUser=x\n")
    bare = pit.file("bare", "@system-service\n~uname:EACCES\n")
    for path in (native, unit, bare):
        out = run_script(pit, UNAME, f"--policy={path}")
        check("refused 13" in out, f"{path}: {out}")
    check("nodename" in run_script(pit, UNAME), "without a policy")
    check("nodename" in run_script(pit, UNAME, f"--policy={native}", "--deny=log"), "--deny=log")
    for text, pattern in (("policy 1\nunames: errno(EPERM)\n", r"bad:2(:\d+)?: .*uname"), ("policy 2\n", r"bad:1"), ("hello = there\n", "policy 1"),
                          ("policy 1\ninclude nowhere.policy\n", r"bad:2"), ("{}", r"bad: \"defaultAction\""), ("SystemCallErrorNumber=EWHAT\n@io\n", "bad:1")):
        path = pit.file("bad", text)
        status, out, err = pit.run("-n1", f"--policy={path}", "--", "/bin/true")
        check_equal((status, out), (CONFIG, ""), f"{text!r}: {err}")
        check(re.search(pattern, err), f"{text!r}: {err}")
        check_equal(err.count("\n"), 1, f"lines of {err!r}")


@scenario
def reload_reads_the_policy_again(pit):
    """HUP brings a policy into force; one that is wrong, or gone, refuses the reload, and nothing changes."""
    script = "import os, signal, time\n" \
             "try: os.uname(); print('uname works', flush=True)\n" \
             "except OSError as e: print('uname fails', flush=True)\n" \
             "signal.pause()"
    path = pit.file("live.policy", "policy 1\ninclude service\n")
    server = pit.server("-n1", "--ready=exec", f"--policy={path}", "--", PYTHON, "-c", script)
    server.out.wait("uname works")
    pit.file("live.policy", "policy 1\ninclude service\nuname: errno(EACCES)\n")
    server.reload(1)
    server.out.wait("uname fails")
    workers = server.workers()
    pit.file("live.policy", "policy 1\ninclude service\nunameee\n")
    server.send(signal.SIGHUP)
    server.err.wait(r"reload: refused, all workers keep running unchanged: .*live.policy:3:1: unknown system call 'unameee'")
    os.unlink(path)
    server.send(signal.SIGHUP)
    server.err.wait(r"reload: refused, .*live.policy.*No such file")
    check_equal(server.workers(), workers, "workers after two refused reloads")
    pit.file("live.policy", "policy 1\ninclude service\n")
    server.reload(1)
    server.stop()


@scenario
def policy_from_a_pipe(pit):
    """One that nobody writes to is no reason to wait for ever, with signals blocked."""
    fifo = pit.file("fifo")
    os.mkfifo(fifo)
    server = pit.server("-n1", f"--policy={fifo}", "--", "/bin/true")
    server.wait_exit(CONFIG)
    server.err.wait("this is not a policy")


@scenario
def deny_kills(pit):
    path = pit.file("uname.policy", "policy 1\ninclude service\nuname: errno(EACCES)\n")
    server = pit.server("-n1", "--restart=no", f"--policy={path}", "--deny=kill", "--", PYTHON, "-c", UNAME)
    check_equal(server.wait_exit(), 128 + 31, "exit status")
    check("SIGSYS" in server.err.text() + server.out.text(), server.log())


@scenario
def start_line(pit):
    """Says what is in force."""
    server = pit.server("-n1", *pit.worker()).wait_ready()
    text = wait_for("the line", lambda: b"\n".join(server.out.lines + server.err.lines).decode() if any(
        b"sandbox: " in line for line in server.out.lines + server.err.lines) else None)
    check(re.search(r"sandbox: .*policy service.*no_new_privs.*", text), text)
    server.stop()


@scenario
def root_is_warned(pit):
    """Once, at the start, where root's files are open to workers; and nowhere else."""
    need_root()
    confined = [(["--read-only=/"], 0), (["--sandbox=strict"], 0), (["--read-only=/bin", "--read-write=/var/tmp"], 0),
                (["--read-write=/etc"], 1), (["--read-write=/sys", "--user=nobody"], 0)] if landlock_abi() else []
    for options, warned in (([], 1), (["--capabilities=none"], 1), (["--user=nobody"], 0), *confined,
                            (["--sandbox=log"], 0), (["--sandbox=none"], 0)):
        status, out, err = pit.run("-n2", "--restart=no", *options, "--", "/bin/true")
        check_equal(status, 0, out + err)
        check_equal((out + err).count("workers run as root"), warned, f"warnings with {options}: {out}{err}")


@scenario
def no_landlock(pit):
    """Where the kernel cannot do what an option needs, no worker runs; here, because an outer sandbox denies it."""
    deny = pit.file("outer.policy", "policy 1\ndefault allow\nlandlock_create_ruleset: errno(EOPNOTSUPP)\n")
    inner = [os.environ["AIT_CMD"], "run", "-n1", "--restart=no", "--name=inner", "--read-only=/", "--", "/bin/true"]
    status, out, err = pit.run("-n1", "--restart=no", f"--policy={deny}", "--capabilities=all",
                               f"--env=RUNTIME_DIRECTORY={pit.directory('inner', 0o700)}", "--", *inner)
    check_equal(status, SANDBOX, out + err)
    check(re.search(r"read-only needs Landlock", out + err), out + err)


if __name__ == "__main__":
    main()
