# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same work by what else Debian packages: Go, libuv, Python's asyncio. Sources in peers/, built outside the tree."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "peers")

# asyncio is two orders of magnitude away: the same work a sample would take minutes.
FEWER_REPEATS = {"asyncio": 50}
FEWER_SAMPLES = {"asyncio": 2, "go": 3}
ROUNDS = 2


def build_with(command, program, directory, environment=None):
    if not shutil.which(command[0]):
        print(f"peer left out: {command[0]} is not installed", file=sys.stderr)
        return None
    done = subprocess.run(command, cwd=directory, env={**os.environ, **(environment or {})}, stderr=subprocess.PIPE,
                          text=True, timeout=300)
    if done.returncode != 0:
        print(f"peer left out: {' '.join(command[:2])}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return [program]


def build_go(directory):
    program = os.path.join(directory, "peer-go")
    return build_with(["go", "build", "-o", program, os.path.join(SOURCES, "peer.go")], program, directory,
                      {"GOCACHE": os.path.join(directory, "go-cache"), "GO111MODULE": "off"})


def build_libuv(directory):
    program = os.path.join(directory, "peer-uv")
    return build_with(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-o", program, os.path.join(SOURCES, "peer_uv.c"),
                       os.path.join(HERE, "harness.c"), "-luv"], program, directory)


def build(directory):
    """name -> the beginning of its command, for each peer that is there."""
    found = {"go": build_go(directory), "libuv": build_libuv(directory)}
    if sys.version_info >= (3, 11):
        found["asyncio"] = [sys.executable, os.path.join(SOURCES, "peer_asyncio.py")]
    return {name: command for name, command in found.items() if command}


def commands(run, programs):
    found = {}
    for name, command in programs.peers.items():
        repeats = max(run.repeats // FEWER_REPEATS.get(name, 1), 1)
        samples = min(run.samples, FEWER_SAMPLES.get(name, run.samples))
        found[name] = [*command, run.row, "-n", str(run.size), "-r", str(repeats), "-s", str(samples)]
    return found


def echo_commands(programs):
    return {name: [*command, "echo"] for name, command in programs.peers.items()}
