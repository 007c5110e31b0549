# SPDX-License-Identifier: LGPL-2.1-or-later
"""The least of a test runner: @case functions, run one after the other, reported in cmocka's words."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import reachable  # noqa: E402

UNPRIVILEGED = 65534
PATIENCE = 60 * float(os.environ.get("AIT_SLOWER", "1"))  # on a machine so many times slower, such as an emulated one
_cases = []


class Skip(Exception):
    """raised with the reason"""


def case(function):
    _cases.append(function)
    return function


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < end, f"waited in vain for {what}")
        time.sleep(0.005)


def run(*argv, **options):
    """The finished process, with its output as text."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE, check=False, **options)


def command(path):
    """The command, or a copy of it that every user can run."""
    return reachable.program(path)


@contextlib.contextmanager
def another_user(*paths):
    """A directory that is a user's who is not root, and the words that make subprocess start something as that user."""
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    if not next(reachable.places(), None) or not reachable.can_reach(*paths):
        raise Skip("there is no temporary directory that another user may enter and run programs from")
    folder = reachable.directory("ait-cli-")
    os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
    try:
        yield folder, {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def directory_for_sockets():
    """A temporary directory with a path short enough for the address of a socket, whatever TMPDIR says."""
    folder = reachable.directory("ait-cli-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def ended(process):
    """Whatever happens, the process is gone afterwards."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def main():
    # Under nohup, or in the background, they are ignored, and what is started here would inherit that.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = skipped = 0
    for function in _cases:
        name = function.__name__
        print(f"[ RUN      ] {name}", flush=True)
        try:
            function()
            print(f"[       OK ] {name}", flush=True)
        except Skip as reason:
            skipped += 1
            print(f"SKIP: {reason}\n[  SKIPPED ] {name}", flush=True)
        except Exception:  # any failure of a case is reported, the others still run
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {name}", flush=True)
    if failed:
        sys.exit(1)
    sys.exit(77 if skipped == len(_cases) else 0)
