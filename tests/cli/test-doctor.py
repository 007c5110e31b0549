#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What doctor says, here and on systems that lack something: the system call that it tries is made to fail."""
import os
import re
import shutil
import sys

from cases import Skip, case, check, check_equal, main, run

CMD = sys.argv[1]
# A leak checker traces its process, and so does strace.
TRACED = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}

# the call that fails, with what, the row, and what its line has to say
TABLE = [
    ("pidfd_open", "ENOSYS", "process file descriptors", "5.10"),
    ("close_range", "ENOSYS", "close_range", "/proc/self/fd"),
    ("epoll_pwait2", "ENOSYS", "epoll_pwait2", "millisecond"),
    ("madvise", "EINVAL", "guard pages by advice", "vm.max_map_count"),
    ("landlock_create_ruleset", "ENOSYS", "Landlock: files", "not in this kernel; --read-only"),
    ("landlock_create_ruleset", "EOPNOTSUPP", "Landlock: ports", "switched off at boot; --connect"),
    *((call, "EPERM", "mount namespace", "Operation not permitted; workers that run as root") for call in ("unshare", "mount", "mount_setattr")
      if os.geteuid() == 0),
    ("seccomp", "EINVAL", "seccomp notification", "--deny=explain"),
    ("seccomp", "ENOSYS", "seccomp filters", "77"),
    ("connect", "ENOENT", "journal", "systemd"),
]


def rows(text):
    """Name of a row to its verdict and the rest of the line."""
    found = re.findall(r"^  (ok|missing) +(\S.{0,24}?)  +(.*)$", text, re.M)
    return {name: (verdict, rest) for verdict, name, rest in found}


@case
def whole():
    done = run(CMD, "doctor")
    check_equal((done.returncode, done.stderr), (0, ""), "doctor")
    found = rows(done.stdout + "\n")
    check(len(found) >= 15, done.stdout)
    for name, (verdict, rest) in found.items():
        check(verdict == "ok" or rest, f"{name} is missing, and nothing is said to be lost")
        check("  " not in rest.strip(), f"{name}: {rest!r}")


@case
def what_is_missing():
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    probe = run("strace", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=ENOSYS", "true")
    if probe.returncode != 0:
        raise Skip(f"strace does not work here: {probe.stderr.strip()}")
    for call, error, row, text in TABLE:
        done = run("strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}", CMD,
                   "doctor", env=TRACED)
        check_equal(done.returncode, 0, f"{call}: {done.stderr}")
        verdict, rest = rows(done.stdout + "\n").get(row, (None, None))
        check_equal(verdict, "missing", f"{call} fails with {error}: {row}: {done.stdout}")
        check(text in rest, f"{row}: says nothing of {text!r}: {rest!r}")


if __name__ == "__main__":
    main()
