#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures the library beside its limit programs, interleaved in one run, and prints a table with ratios.

Each round runs every variant of a row once, in an order that turns with the round; a cell is the median of the rounds' medians, a ratio the
median of the rounds' ratios. Nothing else is comparable on a machine that does other things as well. Times are CPU (user and system).
Instructions are counted by Valgrind in a second, smaller pass: two runs that differ in the number of samples alone, subtracted.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree may be read-only, and is not ours to fill

import peers  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402


class Skip(Exception):
    """The row cannot run here; the argument says why."""


def parse_output(text):
    values = {}
    for line in text.splitlines():
        key, _, value = line.rpartition(" ")
        values.setdefault(key, []).append(float(value))
    return values


def run_program(command, timeout=120):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    if done.returncode == 77:
        raise Skip(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    return {key: statistics.median(values) for key, values in parse_output(done.stdout).items()}


def commands_of(run, programs, **kw):
    """The variants of a run: name -> command."""
    arguments = run.arguments(**kw)
    commands = {"limit": [programs.limit, run.limit or run.row, *arguments],
                "owned": [programs.ait, run.row, *arguments]}
    if run.guest:
        commands["guest"] = [programs.ait, run.row, "-g", *arguments]
    return commands


def turned(items, n):
    items = list(items)
    n %= len(items)
    return items[n:] + items[:n]


def measure(run, programs, rounds):
    """variant -> metric -> one value a round."""
    commands = commands_of(run, programs)
    others = peers.commands(run, programs)
    results = {name: {} for name in [*commands, *others]}
    for n in range(rounds):
        # Peers are far enough away for a round or two to tell.
        these = {**commands, **others} if n < peers.ROUNDS else commands
        for name, command in turned(these.items(), n):
            try:
                values = run_program(command)
            except Skip:
                others.pop(name, None)
                commands.pop(name, None)
                continue
            for metric, value in values.items():
                results[name].setdefault(metric, []).append(value)
    return results


# ---- instructions ----------------------------------------------------------------------------------------------------

VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]


def instructions_in(log):
    with open(log, encoding="ascii", errors="replace") as file:
        found = re.search(r"I\s+refs:\s+([\d,]+)", file.read())
    if not found:
        raise RuntimeError("valgrind printed no instruction count")
    return int(found.group(1).replace(",", ""))


def count_program(command, directory):
    log = os.path.join(directory, "instructions")
    run_program([*VALGRIND, f"--log-file={log}", *command])
    return instructions_in(log)


def count(run, programs, directory):
    """variant -> instructions an operation."""
    few = commands_of(run, programs, samples=2, counted=True)
    many = commands_of(run, programs, samples=4, counted=True)
    counts = {}
    for name in few:
        try:
            difference = count_program(many[name], directory) - count_program(few[name], directory)
        except Skip:
            continue
        counts[name] = difference / (2 * run.counted_operations())
    return counts


# ---- echo ------------------------------------------------------------------------------------------------------------

class Server:
    """A server that a benchmark talks to; says "port N" first."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().split()
        if line[:1] != ["port"]:
            self.process.kill()
            raise RuntimeError(f"{' '.join(command)}: did not start")
        self.address = f"{self.process.pid}:{line[1]}"
        self.fds_at_first = self.count_fds()

    def count_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settle(self):
        """Until it has closed its connections, which is work as well and must not be cut short at random."""
        for _ in range(1000):
            if self.count_fds() <= self.fds_at_first:
                return
            time.sleep(0.01)

    def stop(self, signo=signal.SIGKILL):
        self.process.send_signal(signo)
        self.process.wait(timeout=60)
        self.process.stdout.close()


def echo_commands(programs):
    return {"limit": [programs.limit, "echo"], "owned": [programs.ait, "echo"],
            "guest": [programs.ait, "echo", "-g"]}


def load(programs, servers, connections, requests, rounds):
    command = [programs.load, "-c", str(connections), "-n", str(requests), "-r", str(rounds)]
    done = subprocess.run([*command, *(s.address for s in servers)], stdout=subprocess.PIPE, text=True, timeout=150)
    if done.returncode != 0:
        raise RuntimeError("the load client failed")
    results = {s.name: {} for s in servers}
    for key, values in parse_output(done.stdout).items():
        index, metric = key.split()
        results[servers[int(index)].name][metric] = values
    return results


def load_together(programs, commands, connections, requests, rounds):
    """Bursts to one server after the other; each server's metrics, and what the first one took in the same rounds."""
    servers = []
    try:
        for name, command in commands.items():
            servers.append(Server(name, command))
        results = load(programs, servers, connections, requests, rounds)
    finally:
        for server in servers:
            server.stop()
    base = next(iter(results.values()))["cpu_ns"]
    for metrics in results.values():
        metrics["base_cpu_ns"] = base
    return results


def measure_echo(programs, connections, rounds):
    ours = echo_commands(programs)
    raw = {"limit": ours["limit"]}
    results = load_together(programs, ours, connections, 10000, 4 * rounds)
    # Apart, so that the bursts that are compared closely stay close in time; and few where each costs much.
    others = [(peers.echo_commands(programs), 5000, rounds),
              ({"sd-event": [programs.limit, "sdevent-echo"]}, 2000, 3)]
    for commands, requests, times in others:
        if commands:
            found = load_together(programs, {**raw, **commands}, connections, requests, times)
            results.update({name: found[name] for name in commands})
    return results


def count_echo(programs, connections, wrapper, total_in):
    """variant -> what a wrapped server's log says a request: the difference of two runs of different length."""
    counts = {}
    for name in ("limit", "owned", "guest"):
        totals = []
        for rounds in (1, 5):
            server = Server(name, [*wrapper, *echo_commands(programs)[name]])
            try:
                load(programs, [server], connections, 2000, rounds)
                server.settle()
            finally:
                server.stop(signal.SIGTERM)
            totals.append(total_in())
        counts[name] = (totals[1] - totals[0]) / (4 * 2000)
    return counts


def count_echo_instructions(programs, directory):
    log = os.path.join(directory, "instructions")
    return count_echo(programs, 64, [*VALGRIND, f"--log-file={log}"], lambda: instructions_in(log))


def syscalls_in(log):
    """strace writes its summary when the server has gone, which nobody can wait for."""
    for _ in range(1000):
        with open(log, encoding="ascii", errors="replace") as file:
            found = re.search(r"^\s*100\.00\s+\S+\s+\d+\s+(\d+)\s.*total$", file.read(), re.MULTILINE)
        if found:
            os.unlink(log)
            return int(found.group(1))
        time.sleep(0.01)
    raise RuntimeError("strace printed no summary")


def count_echo_syscalls(programs, directory, echo):
    """Where the kernel's own counter is closed to us: who may not use tracepoints may still trace his own processes."""
    log = os.path.join(directory, "syscalls")
    wrapper = ["strace", "-D", "-f", "-c", "-o", log]
    for connections, servers in echo.items():
        if "syscalls" in servers["limit"]:
            continue
        for name, calls in count_echo(programs, connections, wrapper, lambda: syscalls_in(log)).items():
            servers[name]["syscalls"] = [calls]


# ---- all of it -------------------------------------------------------------------------------------------------------

def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ait", required=True, help="the bench-ait program")
    parser.add_argument("--limit", required=True, help="the bench-limit program")
    parser.add_argument("--load", required=True, help="the bench-load program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="keys of rows, separated by commas; \"echo\" is one")
    parser.add_argument("--million", action="store_true", help="park a million tasks too (5 GB)")
    parser.add_argument("--no-peers", action="store_true", help="the library and its limits only")
    parser.add_argument("--no-instructions", action="store_true", help="times only")
    parser.add_argument("--gate", action="store_true", help="fail where a bar without a clock in it is missed")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there, as docs/performance.md keeps them")
    return parser.parse_args()


def measure_all(arguments, directory):
    wanted = set(filter(None, arguments.only.split(",")))
    runs = [*rows.RUNS, rows.MILLION] if arguments.million else rows.RUNS
    measured, counted, echo = {}, {}, {}
    valgrind = not arguments.no_instructions and report.find_program("valgrind")
    for run in runs:
        if wanted and run.key not in wanted:
            continue
        print(f"measuring {run.key}", file=sys.stderr)
        measured[run.key] = measure(run, arguments, arguments.rounds if run.size < 1000000 else 1)
        if run.count and valgrind:
            counted[run.key] = count(run, arguments, directory)
    if not wanted or "echo" in wanted:
        for connections in rows.ECHO_CONNECTIONS:
            print(f"measuring echo, {connections} connections", file=sys.stderr)
            echo[connections] = measure_echo(arguments, connections, arguments.rounds)
        if valgrind:
            counted["echo"] = count_echo_instructions(arguments, directory)
        if report.find_program("strace"):
            count_echo_syscalls(arguments, directory, echo)
    return report.Results(measured, counted, echo)


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="aiotools-sd-bench-") as directory:
        arguments.peers = {} if arguments.no_peers else peers.build(directory)
        results = measure_all(arguments, directory)
    print(report.text(results))
    if arguments.markdown:
        with open(arguments.markdown, "w", encoding="utf-8") as file:
            file.write(report.markdown(results, sys.argv))
    missed = report.gate(results)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if arguments.gate and missed else 0


if __name__ == "__main__":
    sys.exit(main())
