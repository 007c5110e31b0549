#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""aiotools-sd sandbox: what each of its commands says of good and of bad input, and what it leaves behind."""
import ctypes
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile

from cases import PATIENCE, UNPRIVILEGED, Skip, another_user, case, check, check_equal, command, ended, main, run, wait_for

CMD, POLICIES = command(sys.argv[1]), os.path.abspath(sys.argv[2])


def sandbox(*words, **options):
    return run(CMD, "sandbox", *words, **options)


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def only_on_x86_64():
    if platform.machine() != "x86_64":
        raise Skip("numbers are those of x86_64")


# ---- groups, show ------------------------------------------------------------------------------------

@case
def groups():
    done = sandbox("groups")
    check_equal((done.returncode, done.stderr), (0, ""), "groups")
    found = dict(re.findall(r"^(@[a-z-]+) +(\S.*)$", done.stdout, re.M))
    check(len(found) >= 29 and len(found) == done.stdout.count("\n"), done.stdout)
    for name in "@default", "@system-service", "@file-system", "@known":
        check(name in found, f"{name} is not listed")


SHOWN = [
    ("@swap", "@swap: swap devices\n\n  swapoff                      168\n  swapon                       167\n"),
    ("swapon", "swapon: system call 167 on x86_64\ngroups: @privileged, @swap, @known\nservice: errno(EPERM)\nstrict: errno(EPERM)\n"),
    ("fstat64", "fstat64: not on x86_64\ngroups: @file-system, @system-service, @known\n"),
    ("435", "clone3: system call 435 on x86_64\ngroups: @process, @system-service, @known\nservice: enosys\nstrict: enosys\n"),
]


@case
def show():
    only_on_x86_64()
    for word, text in SHOWN:
        done = sandbox("show", word)
        check_equal((done.returncode, done.stdout, done.stderr), (0, text, ""), word)
    done = sandbox("show", "ioctl")
    check("service: allow, but\n  arg1 == TIOCSTI: errno(EPERM)\n" in done.stdout, done.stdout)
    done = sandbox("show", "@process")
    check("\n  fork " in done.stdout and done.returncode == 0, done.stdout)
    done = sandbox("show", "@system-service")
    check("\n  @basic-io\n    " in done.stdout, "a nested group is shown with its members")


@case
def show_policies():
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "a.policy", "policy 1\ndefault kill\nread\nwrite: errno(EBADF)\nlseek arg2 == 1\nclone3: enosys\n")
        done = sandbox("show", path)
        check_equal((done.returncode, done.stderr), (0, ""), "show FILE")
        head, allowed, *rest = done.stdout.split("\n\n")
        check(re.fullmatch(re.escape(path) + r": of \d+ system calls, 1 are allowed, \d+ are denied, and 1 depend on their arguments; "
                           r"others: kill", head), head)
        check_equal(allowed, "allow\n  read", "what is allowed")
        check_equal(rest[0], "errno(EBADF)\n  write", "what is denied")
        check_equal(rest[-1], "by arguments\n  lseek arg2 == 1: allow\n  lseek: else kill\n", "what is looked at")
        check("enosys\n  clone3" in rest, done.stdout)
        # A preset's name is never a file.
        write(folder, "service", "policy 1\n")
        check("0 are allowed" not in sandbox("show", "service", cwd=folder).stdout, "service is the preset")
        check("0 are allowed" in sandbox("show", "./service", cwd=folder).stdout, "./service is the file")


# ---- check -------------------------------------------------------------------------------------------

VERDICT = re.compile(r"\d+ system calls allowed, \d+ denied, \d+ by their arguments \(\d+ rules\); \d+ instructions, verified; [\d.]+ ms")

GOOD = [
    "policy 1\n",
    "# first\n\npolicy 1 # with a comment\n",
    "policy 1\r\nread\r\n",
    "policy 1\ndefault allow\n",
    "policy 1\ninclude service\ninclude strict\n",
    "policy 1\ninclude service\n@system-service: allow\n!@mount\n",
    "policy 1\npersonality arg0 == -1\nlseek (arg1 & 0xff) != 020 && arg2 <= 2: log\n",
    "policy 1\nclone arg0 & (CLONE_NEWUSER|CLONE_NEWNS) == 0\n",
    "policy 1\nfstat64\nsocketcall arg0 == 1: trap\n",
    "policy 1\nread: notify\nwrite: notify(EACCES)\nclose: errno(9)\n",
    "@system-service\n~@resources:EACCES swapon\n",
    "[Service]\nExecStart=/bin/true\nSystemCallFilter=@system-service\nSystemCallErrorNumber=EACCES\n",
    "[Service]\nSystemCallFilter=~@mount\nSystemCallErrorNumber=kill\n",
    '{"defaultAction": "SCMP_ACT_ALLOW"}\n',
    '{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}}}\n',
]


@case
def good_policies():
    with tempfile.TemporaryDirectory() as folder:
        for text in GOOD:
            path = write(folder, "good.policy", text)
            done = sandbox("check", path)
            check_equal(done.returncode, 0, f"{text!r}: {done.stderr}")
            verdict, as_root = [line.removeprefix(path + ": ") for line in done.stdout.splitlines()]
            check(VERDICT.fullmatch(verdict) and as_root.startswith("as root with confined files, "), f"{text!r}: {done.stdout!r}")
        several = sandbox("check", "service", "strict", "base", os.path.join(POLICIES, "container.json"))
        check_equal((several.returncode, several.stdout.count("verified")), (0, 4), several.stderr)


@case
def kept_for_root():
    """What a user names in our own language stays open to root whose files are confined; what others name for it does not."""
    stream = "arg0 == AF_UNIX && arg1 & 0xf == SOCK_STREAM"
    cases = (("policy 1\ninclude service\n", None), ("policy 1\n@file-system\n@chown\n", None), ("policy 1\ndefault allow\n", None),
             ("policy 1\nchmod\nutimensat arg1 == 0\n", "chmod, utimensat"), ("policy 1\nchmod: errno(EACCES)\n", None), ("policy 1\nsocket\n", None),
             (f"policy 1\ninclude service\nsocket {stream}\n", "socket"), (f"policy 1\nsocket {stream}: errno(EACCES)\n", None),
             ("policy 1\nsocket arg0 == AF_INET\nsocket arg0 == AF_UNIX && arg1 & 0xf == SOCK_DGRAM\n", None), ("policy 1\nchmod\n!@known\n", "chmod"),
             ("policy 1\nioctl arg1 == FS_IOC_SETFLAGS\n", "ioctl"), ("policy 1\nioctl arg1 == TCGETS\n", None), ("policy 1\nmq_open\n", "mq_open"),
             ("@system-service chmod mq_open\n", None), ('{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ALLOW"}]}', None))
    with tempfile.TemporaryDirectory() as folder:
        lower = write(folder, "lower.policy", "policy 1\nchmod\n")
        for text, kept in (*cases, (f"policy 1\ninclude {lower}\n", "chmod"), (f"policy 1\ninclude {lower}\n!chmod\n", None),
                           (f"policy 1\ninclude {lower}\nchmod: kill\n", None)):
            done = sandbox("check", write(folder, "root.policy", text))
            found = re.search(r"; it names ([a-z_, ]+): files outside", done.stdout)
            check_equal((done.returncode, found and found[1]), (0, kept), f"{text!r}: {done.stdout}{done.stderr}")


# the text, line and column, what is said
BAD = [
    ("", "", "not a policy"),
    ("\n# nothing\n", "", "not a policy"),
    ("policy 1\npolicy 1\n", "2:1", "before"),
    ("policy 2\n", "1:8", "version 1"),
    ("policy 1\ndefault maybe\n", "2:9", "an action is expected"),
    ("policy 1\ndefault allow\ndefault kill\n", "3:1", "before"),
    ("policy 1\nread\ninclude service\n", "3:1", "before the first rule"),
    ("policy 1\ninclude\n", "2:8", "a preset or a path"),
    ("policy 1\n\nopenatt\n", "3:1", "unknown system call 'openatt': is it openat?"),
    ("policy 1\n@netwrok-io\n", "2:1", "unknown group '@netwrok-io': is it @network-io?"),
    ("policy 1\nread write\n", "2:6", "an argument is expected"),
    ("policy 1\nread: errno(EPREM)\n", "2:13", "an error's name"),
    ("policy 1\nread: errno\n", "2:12", "errno(EPERM)"),
    ("policy 1\nread: errno(0)\n", "2:13", "1 to 4095"),
    ("policy 1\nioctl arg6 == 1\n", "2:7", "arg0 to arg5"),
    ("policy 1\nioctl arg1 = 1\n", "2:12", "a comparison is expected"),
    ("policy 1\nioctl arg1 == TIOCSTY\n", "2:15", "is it TIOCSTI?"),
    ("policy 1\nioctl arg1 & 0 == 0\n", "2:14", "mask of 0"),
    ("policy 1\nioctl arg1 & 1 == 2\n", "2:7", "is never true"),
    ("policy 1\nioctl arg1 >= 0\n", "2:7", "is always true"),
    ("policy 1\nioctl arg1 == 0x100000000\n", "2:15", "32 bits"),
    ("policy 1\nioctl arg1 == 99999999999999999999\n", "2:15", "64 bits"),
    ("policy 1\nioctl arg1 == 1 && arg1 == 2\n", "2:20", "exclude each other"),
    ("policy 1\nioctl arg1 == 1 || arg1 == 2\n", "2:17", "a second rule"),
    ("policy 1\n@aio arg0 == 1\n", "2:6", "a group takes no conditions"),
    ("policy 1\n!read: allow\n", "2:6", "nothing may follow"),
    ("policy 1\nread\n!read\n", "2:1", "leave one of them out"),
    ("policy 1\nread: kill\nread: allow\n", "3:1", "conflicting: line 2"),
    ("policy 1\nread arg0 == 1: kill\nread arg2 == 1: allow\n", "3:1", "conflicting"),
    ("policy 1\nlseek arg1 < 5\nlseek arg1 > 9\n", "3:1", "a second comparison"),
    ("policy 1\nread %\n", "2:6", "':' and an action are expected"),
    (b"policy 1\nre\0ad\n", "2:3", "a NUL byte"),
    (b"@aio\nre\0ad\n", "", "NUL byte"),
    ("policy 1\n" + "#" * 5000 + "\n", "2:4097", "4096 characters"),
    ("policy 1\n" + "read\n" * 100000, "16386", "more than 16384 rules"),
    ("policy 1\n" + "".join(f"ioctl arg1 == {i}\n" for i in range(300)), "258:1", "too many rules"),
    ("policy 1\n" + "# " + "x" * 70 + "\n" + "#\n" * 600000, "", "1 MiB"),
    ("policy 1\ninclude bad.policy\n", "2:1", "include each other"),
    ("policy 1\ninclude nowhere.policy\n", "2:1", "No such file"),
    ("policy 1\ninclude .\n", "2:1", "a directory"),
    ("@system-service openatt\n", "1:17", "is it openat?"),
    ("read\nioctl arg1 == TIOCSTI: errno(EPERM)\n", "2:7", 'begins with the line "policy 1"'),
    ("ExecStart=/bin/true\n", "", "not a policy"),
    ("{\n", "", "JSON"),
    ('{"defaultAction": "SCMP_ACT_ALLOW",\n "syscalls": [{"names": [3], "action": "SCMP_ACT_LOG"}]}\n', "", ": /syscalls/0/names/0: the name of a system call"),
]


@case
def bad_policies():
    with tempfile.TemporaryDirectory() as folder:
        for text, place, said in BAD:
            path = write(folder, "bad.policy", text)
            done = sandbox("check", path)
            what = f"{text[:60]!r}: {done.stderr!r}"
            check_equal((done.returncode, done.stdout), (78, ""), what)
            check(done.stderr.count("\n") == 1 and said in done.stderr, what)
            check(done.stderr.startswith(f"{path}:{place}: " if place else path), what)


@case
def the_others_are_still_checked():
    with tempfile.TemporaryDirectory() as folder:
        bad = write(folder, "bad.policy", "policy 1\nreed\n")
        done = sandbox("check", bad, "/nonexistent", folder, "service")
        check_equal(done.returncode, 78, done.stderr)
        check_equal([line.partition(":")[0] for line in done.stderr.splitlines()], [bad, "/nonexistent", folder], "what is wrong")
        check(done.stdout.startswith("service: ") and done.stdout.count("\n") == 2, done.stdout)


@case
def notes():
    only_on_x86_64()
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "a.policy", "policy 1\ninclude service\nfstat64\nopen: errno(EPERM)\n")
        done = sandbox("check", path)
        check_equal(done.returncode, 0, done.stderr)
        lines = done.stderr.splitlines()
        check_equal(lines[0], f"{path}:3:1: note: this architecture has no system call fstat64: the rule is skipped", "the first note")
        check(lines[1].startswith(f"{path}:4:1: note: open is denied") and "openat" in lines[1], lines[1])
        path = write(folder, "a.json", '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["open"], "action": "SCMP_ACT_ERRNO"}]}')
        done = sandbox("check", path)
        check(done.returncode == 0 and done.stderr.startswith(f"{path}: note: open is denied"), done.stderr)
        unit = write(folder, "a.service", "[Service]\nSystemCallFilter=@system-service openatt\nSystemCallErrorNumber=EPERM\nRestrictRealtime=perhaps\n")
        os.mkdir(unit + ".d")
        dropin = write(folder, "a.service.d/10.conf", "[Service]\nSystemCallFilter=~uname\n")
        done = sandbox("check", unit)
        check_equal((done.returncode, done.stderr), (0,
            f"{unit}:2:34: note: unknown system call 'openatt': is it openat?; it is ignored, as by systemd\n"
            f"{unit}:4:18: note: RestrictRealtime: 'perhaps' is not understood; it is ignored, as by systemd\n"
            f"{dropin}: note: this drop-in of the unit has been read, as by systemd\n"), "notes of a unit")
        write(folder, "a.json", """{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["setns", "reed"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["setns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}""")
        done = sandbox("check", path)
        check_equal(done.returncode, 0, done.stderr)
        check_equal(done.stderr.splitlines()[-2:], [
            f"{path}: note: /syscalls/0/names/1: unknown system call 'reed': is it read?; it is skipped, as container runtimes do",
            f"{path}: note: /syscalls/1: setns: enosys never applies; container runtimes let /syscalls/0 decide, which comes first (allow)",
        ], "notes of a profile")


@case
def includes():
    with tempfile.TemporaryDirectory() as folder:
        for i in range(10):
            write(folder, f"{i}.policy", f"policy 1\ninclude {i + 1}.policy\n")
        write(folder, "10.policy", "policy 1\nread\n")
        check_equal(sandbox("check", os.path.join(folder, "2.policy")).returncode, 0, "8 includes deep")
        done = sandbox("check", os.path.join(folder, "1.policy"))
        check_equal(done.returncode, 78, done.stderr)
        check("nested more than 8 deep" in done.stderr and "9.policy" in done.stderr, done.stderr)
        write(folder, "10.policy", "policy 1\nreed\n")
        done = sandbox("check", os.path.join(folder, "5.policy"))
        check("10.policy:2:1: unknown system call" in done.stderr, done.stderr)


# ---- export ------------------------------------------------------------------------------------------

def export(name, to, *words):
    done = sandbox("export", name, f"--to={to}", *words)
    check_equal((done.returncode, done.stderr), (0, ""), f"export {name} --to={to}")
    return done.stdout


@case
def exports_are_read_again():
    with tempfile.TemporaryDirectory() as folder:
        plain = write(folder, "plain.policy", "policy 1\ndefault errno(EACCES)\n@system-service\n!clone3\nswapon: kill\nacct: errno(ENOSPC)\n")
        for name, formats in ("service", ["native"]), ("strict", ["native", "oci"]), (plain, ["native", "oci", "systemd"]):
            native = export(name, "native")
            for to in formats:
                path = write(folder, f"export.{to}", export(name, to))
                again = export(path, to)
                check_equal(again, read(path).decode(), f"{name} to {to} and again")
                if name == plain:
                    check_equal(export(path, "native"), native, f"{name} through {to}")
        profile = json.loads(export("strict", "oci"))
        check_equal((profile["defaultAction"], profile["defaultErrnoRet"]), ("SCMP_ACT_ERRNO", 1), "strict as JSON")
        check(export(os.path.join(POLICIES, "container.json"), "native").startswith("policy 1\ndefault enosys\n"), "native of JSON")


@case
def export_fails_whole():
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "out", "as it was\n")
        for to in "systemd", "oci":
            done = sandbox("export", "service", f"--to={to}", "-o", path)
            check_equal((done.returncode, read(path)), (78, b"as it was\n"), done.stderr)
            check("arguments" in done.stderr, done.stderr)
        done = sandbox("export", "base", "--to=systemd", "-o", path)
        check_equal((done.returncode, done.stdout), (0, ""), done.stderr)
        check(read(path).startswith(b"SystemCallErrorNumber="), read(path))
        link = os.path.join(folder, "link")
        os.symlink("out", link)
        check_equal(sandbox("export", "base", "--to=native", "-o", link).returncode, 0, "through a link")
        check(os.path.islink(link) and read(path).startswith(b"policy 1\n"), "a link is followed")
        check_equal(sorted(os.listdir(folder)), ["link", "out"], "nothing else is left")
        check_equal(sandbox("export", "base", "--to=native", "-o", "/dev/null").returncode, 0, "to a device")
        for where in os.path.join(folder, "no/where"), folder:
            done = sandbox("export", "base", "--to=native", "-o", where)
            check(done.returncode == 78 and where in done.stderr, done.stderr)
        if os.path.exists("/dev/full"):
            done = sandbox("export", "base", "--to=native", "-o", "/dev/full")
            check_equal(done.returncode, 71, done.stderr)


class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


INSIDE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
data = open(sys.argv[1], "rb").read()
buffer = ctypes.create_string_buffer(data)
program = Program(len(data) // 8, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
r = libc.syscall(167, None, 0)  # swapon
print(r, ctypes.get_errno(), flush=True)
sys.stdin.readline()
"""


@case
def program_is_what_the_kernel_takes():
    only_on_x86_64()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "policy.bpf")
        export("service", "bpf", "-o", path)
        check(len(read(path)) % 8 == 0 and read(path), "instructions of 8 bytes")
        done = run(sys.executable, "-c", INSIDE, path)
        check_equal(done.stdout, "-1 1\n", done.stderr)


# ---- learn -------------------------------------------------------------------------------------------

def learn(*words, **options):
    done = sandbox("learn", *words, **options)
    if done.returncode == 77:
        raise Skip(done.stderr.strip())
    return done


@case
def learn_writes_a_policy():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "learned.policy")
        done = learn("-o", path, "--", "/bin/sh", "-c", "cat /etc/passwd >/dev/null; exit 7")
        check_equal((done.returncode, done.stdout), (7, ""), done.stderr)
        check(re.fullmatch(r"aiotools-sd: learned from \d+ calls of \d+ kinds, written to .*\n", done.stderr), done.stderr)
        text = read(path).decode()
        check(text.startswith("policy 1\n") and "include base\n" in text and "execve" in text, text)
        check_equal(os.listdir(folder), ["learned.policy"], "nothing else is left")
        check_equal(sandbox("check", path).returncode, 0, "what was learned is right")
        # Without -o, behind the program's own output.
        done = learn("--by-count", "/bin/sh", "-c", "echo first")
        check(done.returncode == 0 and done.stdout.startswith("first\npolicy 1\n"), done.stdout)


@case
def learn_passes_signals_on():
    script = "trap 'exit 9' TERM HUP; echo ready; while :; do sleep 0.05; done"
    for signo in signal.SIGTERM, signal.SIGHUP:
        with tempfile.TemporaryDirectory() as folder:
            path = write(folder, "a.policy", "as it was\n")
            process = subprocess.Popen([CMD, "sandbox", "learn", "-o", path, "--", "/bin/sh", "-c", script],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            with ended(process):
                check_equal(process.stdout.readline(), "ready\n", "the program")
                check_equal(read(path), b"as it was\n", "the file while the program runs")
                process.send_signal(signo)
                _, errors = process.communicate(timeout=PATIENCE)
                check_equal(process.returncode, 9, errors)
                check(read(path).startswith(b"policy 1\n"), "the policy is written")


@case
def learn_passes_sockets_on():
    """The program finds them as ours, and a variable that is meant for somebody else is left alone."""
    script = f"exec {CMD} sandbox learn -o /dev/null -- /bin/sh -c 'test $LISTEN_PID = $$'"
    for own, status in ("$$", 0), ("1", 1):
        done = run("/bin/sh", "-c", f"LISTEN_PID={own}; export LISTEN_PID; {script}")
        check_equal(done.returncode, status, f"LISTEN_PID={own}: {done.stderr}")


WORKER = """
import os, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
"""


@case
def learn_then_enforce():
    """What a worker was seen to do is enough for it, and nothing of it can be left out unnoticed."""
    program = ["/usr/bin/env", "-u", "PYTHONHOME", sys.executable, "-S", "-c", WORKER]
    options = ["--workers=1", "--restart=no", "--name=learned"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "worker.policy")
        done = run(CMD, "run", *options, "--sandbox=none", "--", CMD, "sandbox", "learn", "-o", path, "--", *program)
        if done.returncode == 77:
            raise Skip(done.stderr.strip())
        check_equal(done.returncode, 0, done.stderr)
        done = run(CMD, "run", *options, f"--policy={path}", "--deny=explain", "--", *program)
        check_equal(done.returncode, 0, done.stderr)
        check("denied" not in done.stderr, done.stderr)
        text = read(path).decode()
        check(re.search(r"^sendto\b", text, re.M), text)
        write(folder, "worker.policy", re.sub(r"^sendto\b.*\n", "", text, flags=re.M))
        done = run(CMD, "run", *options, f"--policy={path}", "--deny=explain", "--", *program)
        check(done.returncode != 0 and re.search(r"denied.*sendto|sendto.*denied", done.stderr), done.stderr)


@case
def learn_ends():
    done = learn("--timeout=100ms", "--", "sleep", "1000")
    check_equal(done.returncode, 128 + signal.SIGTERM, done.stderr)
    # Who is left behind is waited for.
    done = learn("--", "/bin/sh", "-c", "(sleep 0.2; echo late) & exit 3")
    check(done.returncode == 3 and done.stdout.startswith("late\n"), done.stdout)
    check("has ended; learning continues" in done.stderr, done.stderr)
    process = subprocess.Popen([CMD, "sandbox", "learn", "-o", "/dev/null", "--", "/bin/sh", "-c", "sleep 1000 & exit 4"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with ended(process):
        line = process.stderr.readline()
        check("has ended; learning continues" in line, line)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
        check_equal(process.returncode, 4, errors)


@case
def learn_fails_before_it_starts():
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "a.policy", "as it was\n")
        marker = os.path.join(folder, "marker")
        wrong = write(folder, "wrong", b"\x7fELF, but no program\n")
        os.chmod(wrong, 0o755)
        for words, status in ([["-o", path, "--", "no-such-program-here"], 78], [["-o", path, "--", wrong], 78],
                              [["-o", "/no/where", "--", "touch", marker], 78]):
            done = learn(*words)
            check_equal((done.returncode, done.stdout), (status, ""), f"{words}: {done.stderr}")
            check(done.stderr.count("\n") == 1, done.stderr)
        check_equal(read(path), b"as it was\n", "the file")
        check(not os.path.exists(marker), "the program ran")


@case
def learn_as_an_ordinary_user():
    with another_user(CMD) as (folder, credentials):
        path = os.path.join(folder, "a.policy")
        done = learn("-o", path, "--", "/bin/true", **credentials)
        check_equal((done.returncode, os.stat(path).st_uid), (0, UNPRIVILEGED), done.stderr)


# ---- explain -----------------------------------------------------------------------------------------

def process_state(pid):
    return re.search(r"^State:\s+(\S)", read(f"/proc/{pid}/status").decode(), re.M).group(1)


@case
def explain_a_free_process():
    done = sandbox("explain", str(os.getpid()))
    if "not filtered" not in done.stdout:
        raise Skip("the tests run inside a filter")
    check_equal((done.returncode, done.stderr), (0, ""), "explain")
    check(done.stdout.startswith(f"process {os.getpid()}, user {os.getuid()}: "), done.stdout)
    for word in "no_new_privs", "effective", "permitted", "inheritable", "bounding set", "ambient":
        check(f"\n  {word}" in done.stdout, f"{word}: {done.stdout}")


@case
def explain_a_filtered_process():
    only_on_x86_64()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "policy.bpf")
        export("service", "bpf", "-o", path)
        process = subprocess.Popen([sys.executable, "-c", INSIDE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with ended(process):
            check_equal(process.stdout.readline(), "-1 1\n", "the process inside")
            wait_for("it to read", lambda: process_state(process.pid) == "S")
            done = sandbox("explain", str(process.pid))
            check("1 filter\n" in done.stdout and re.search(r"no_new_privs +yes", done.stdout), done.stdout)
            check(process_state(process.pid) in "RSD", "it does not go on")
            if os.getuid() != 0 or "CAP_SYS_ADMIN" in done.stderr:
                check_equal(done.returncode, 1, done.stderr)
                raise Skip("only root is told of filters")
            check_equal((done.returncode, done.stderr), (0, ""), "explain as root")
            check(re.search(r"^  errno\(EPERM\)\n(    .*\n)*    .*\bswapon\b", done.stdout, re.M), done.stdout)
            check(re.search(r"^  enosys\n    .*\bclone3$", done.stdout, re.M), done.stdout)
            check(re.search(r"x32 +enosys\n  i386 +kill\n", done.stdout), done.stdout)
            # One that is stopped stays so, and one that a debugger has is left to it.
            process.send_signal(signal.SIGSTOP)
            wait_for("it to stop", lambda: process_state(process.pid) == "T")
            check_equal(sandbox("explain", str(process.pid)).returncode, 0, "of a stopped process")
            # It runs for a moment when it is let go, before it sees that it is to be stopped.
            wait_for("it to be stopped again", lambda: process_state(process.pid) == "T")
            process.send_signal(signal.SIGCONT)
            explain_as_nobody(process.pid)
            explain_what_is_traced(process.pid)


def explain_as_nobody(pid):
    with another_user(CMD) as (_, credentials):
        done = sandbox("explain", str(pid), **credentials)
    check(done.returncode == 1 and "needs root" in done.stderr and "1 filter\n" in done.stdout, done.stderr)


def explain_what_is_traced(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(0x4206, pid, None, None) != 0:  # PTRACE_SEIZE
        return
    done = sandbox("explain", str(pid))
    check_equal(done.returncode, 1, done.stderr)
    check(f"process {os.getpid()} traces it" in done.stderr, done.stderr)


@case
def explain_nothing():
    done = sandbox("explain", "4194304")
    check_equal((done.returncode, done.stdout), (1, ""), done.stderr)
    check_equal(done.stderr, "aiotools-sd: 4194304: there is no such process\n", "no such process")


if __name__ == "__main__":
    main()
