#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-gdb.py SCRIPT TARGET: the gdb script on a live process, and on the core dump of one that aborted. Exits with 77 where it cannot be tried."""
import glob
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

SCRIPT, TARGET = map(os.path.abspath, sys.argv[1:3])
SKIP = 77

COMMANDS = ("ait tasks", "ait bt all", "ait bt nobody", "ait apply worker backtrace -full", "backtrace")

# In the order of the output; each must be found behind the one before.
EXPECTED = (
    # ait tasks
    r"loop 0x[0-9a-f]+: owned, 4 tasks",
    r"  1   task 'main' 0x[0-9a-f]+: running; body.*, spawned at ait_run",
    r"scope 'clients' 0x[0-9a-f]+: 3 tasks, fail-fast, deadline at \d+\.\d+ s",
    r"  2       task 'worker' 0x[0-9a-f]+: waits for read of fd \d+; worker.*gdb-target.c:\d+\), spawned at body",
    r"  3       task 'waiter' 0x[0-9a-f]+: waits for event 0x",
    r"  4       task 'cancelled' 0x[0-9a-f]+: ready, cancelled 1x",
    # ait bt all
    r"task 'main'", r"it is running",
    r"task 'worker'", r"#\d+ .*\bait_read \(fd=\d+", r"#\d+ .*\bread_request \(", r"#\d+ .*\bserve_client \(",
    r"#\d+ .*\bworker \(", r"#\d+ .*context_main",
    r"task 'waiter'", r"#\d+ .*ait_event_wait", r"#\d+ .*\bwaiter \(",
    r"there is no task nobody",
    # ait apply
    r"serve_client", r"answer = 42",
    # and gdb is itself again
    r"#0 .*\n(.*\n)*#\d+ .*\bbody \(",
)


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(SKIP)


def gdb(*arguments):
    words = [word for command in COMMANDS for word in ("-ex", command)]
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "set width 0",
                           "-ex", f"source {SCRIPT}", *arguments[:-1], *words, arguments[-1]],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "ASAN_OPTIONS": "detect_leaks=0"})
    return done.stdout + done.stderr


def check(output, what):
    # gdb's errors come by another pipe than the rest.
    ordered = [pattern for pattern in EXPECTED if "nobody" not in pattern]
    at = 0
    if not re.search("there is no task nobody", output):
        sys.exit(f"{what}: no word about the task that there is not\n{output}")
    for pattern in ordered:
        match = re.search(pattern, output[at:])
        if not match:
            sys.exit(f"{what}: not found, or not in its place: {pattern}\n{output}")
        at += match.end()
    print(f"ok: {what}")


def try_live():
    output = gdb("-ex", "break all_are_parked", "-ex", "run", TARGET)
    for reason in ("Operation not permitted", "Cannot PTRACE", "Could not trace", "not being run"):
        if reason in output and "loop 0x" not in output:
            skip(f"gdb cannot run the program here: {reason}")
    if "no debug information" in output:
        skip("the library was built without debug information")
    if "portable context switch" in output:
        skip("built with the portable context switch")
    check(output, "live process")


def try_core():
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
        pattern = file.read().strip()
    if "/" in pattern or pattern.startswith("|"):
        skip(f"core dumps go elsewhere: {pattern}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([TARGET, "abort"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False, timeout=100,
                       env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:disable_coredump=0:handle_abort=0"},
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (limit(), limit())))
        cores = glob.glob(os.path.join(folder, "*"))
        if not cores:
            skip("the kernel writes no core dump here")
        check(gdb("-core", cores[0], TARGET), "core dump")


def limit():
    return resource.getrlimit(resource.RLIMIT_CORE)[1]


def main():
    if not shutil.which("gdb"):
        skip("gdb is not installed")
    if "python" not in subprocess.run(["gdb", "-nx", "-batch", "-ex", "python print('python')"],
                                      capture_output=True, text=True, check=False).stdout:
        skip("this gdb has no Python")
    try_live()
    try_core()


main()
