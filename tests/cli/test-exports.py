#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exported policies in the hands of those that they are for: systemd-analyze, and a container runtime that runs a program under the profile."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from cases import Skip, case, check, check_equal, main, run

CMD = sys.argv[1]

POLICIES = {
    "allow": "policy 1\ninclude base\n@system-service\nclone3: enosys\nmkdir: errno(EXDEV)\nptrace: kill\n",
    "deny": "policy 1\ndefault allow\n@clock: errno(EACCES)\n@mount: kill\n@keyring: enosys\nbpf: errno(1234)\n",
    "kill": "policy 1\ndefault kill\n@default\nread\nwrite: errno(EACCES)\n",
    "less": "policy 1\ndefault enosys\n@default\n!getppid\n",
}
PROGRAM = """
import os, socket
for call in lambda: os.mkdir("/tmp/folder"), os.uname, lambda: socket.socket(40, 1), lambda: socket.socket(1, 1), os.getppid:
    try:
        call()
        print("ok")
    except OSError as error:
        print(error.errno)
"""


def export(folder, text, to):
    path = os.path.join(folder, "a.policy")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    done = run(CMD, "sandbox", "export", f"--to={to}", path)
    check_equal((done.returncode, done.stderr), (0, ""), f"export of {text!r}")
    return done.stdout


@case
def systemd_takes_each_line():
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    with tempfile.TemporaryDirectory() as folder:
        unit = os.path.join(folder, "exported.service")
        for name, text in POLICIES.items():
            with open(unit, "w", encoding="utf-8") as file:
                file.write("[Service]\nExecStart=/bin/true\n" + export(folder, text, "systemd"))
            done = run("systemd-analyze", "verify", unit)
            # an older libseccomp does not know the newest calls; in the words of systemd 252, and of 257
            unknown = r"(Failed to parse system call, ignoring: [a-z0-9_]+|System call [a-z0-9_]+ is not known, ignoring\.)$"
            wrong = [line for line in done.stderr.splitlines()
                     if "exported.service:" in line and not re.search(unknown, line)]
            check_equal(wrong, [], f"what systemd says of {name}")
        with open(unit, "a", encoding="utf-8") as file:
            file.write("SystemCallFilter=nosuchcallatall\n")
        # Else nothing was shown.
        said = run("systemd-analyze", "verify", unit).stderr
        if "nosuchcallatall" not in said:
            raise Skip(f"systemd-analyze does not look at calls here: {said[-200:]}")


def make_bundle(folder, profile):
    root = os.path.join(folder, "rootfs")
    for name in "usr", "proc", "tmp", "dev", "etc":
        os.makedirs(os.path.join(root, name), exist_ok=True)
    for name in "bin", "sbin", "lib", "lib64":
        if os.path.islink(f"/{name}") and not os.path.lexists(os.path.join(root, name)):
            os.symlink(f"usr/{name}", os.path.join(root, name))
    linux = {"namespaces": [{"type": name} for name in ("pid", "mount", "ipc", "uts", "network")]}
    if profile:
        linux["seccomp"] = profile
    config = {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/usr/bin/python3", "-I", "-c", PROGRAM],
                    "env": ["PATH=/usr/bin:/bin"], "cwd": "/", "noNewPrivileges": True},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "bundle",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}],
        "linux": linux,
    }
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def run_bundle(runtime, folder):
    name = f"aiotools-sd-test-{os.getpid()}"
    done = subprocess.run([runtime, "run", "--bundle", folder, name], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    subprocess.run([runtime, "delete", "--force", name], capture_output=True, check=False)
    if os.path.ismount(os.path.join(folder, "rootfs", "usr")):
        os._exit(1)  # the folder must not be removed
    return done


def find_runtime(folder):
    """The first one that runs a container here without a profile."""
    if os.getuid() != 0 or not os.path.exists("/usr/bin/python3") or not os.path.islink("/lib"):
        raise Skip("needs root, /usr/bin/python3 and a system in /usr")
    reasons = []
    for runtime in "crun", "runc":
        if not shutil.which(runtime):
            reasons.append(f"{runtime} is not installed")
            continue
        make_bundle(folder, None)
        done = run_bundle(runtime, folder)
        if done.returncode == 0 and done.stdout.startswith("ok\nok\n"):
            return runtime
        reasons.append(f"{runtime} cannot run a container here: {done.stderr.strip()[-100:]}")
    raise Skip("; ".join(reasons))


@case
def runtime_enforces_a_profile():
    text = "policy 1\ndefault allow\nmkdir: errno(EXDEV)\nmkdirat: errno(EXDEV)\nuname: errno(EACCES)\nsocket arg0 == AF_VSOCK: errno(ELOOP)\n"
    with tempfile.TemporaryDirectory() as folder:
        runtime = find_runtime(folder)
        make_bundle(folder, json.loads(export(folder, text, "oci")))
        done = run_bundle(runtime, folder)
        check_equal(done.stdout.split(), ["18", "13", "40", "ok", "ok"], f"{runtime}: {done.stderr}")


main()
