# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables of run.py: plain, and markdown for docs/performance.md; and the gate."""

import os
import platform
import re
import shutil
import statistics
from dataclasses import dataclass

import rows

VARIANTS = ("owned", "guest")
PEERS = ("go", "libuv", "asyncio")


def find_program(name):
    return shutil.which(name)


@dataclass
class Results:
    measured: dict  # run -> variant -> metric -> values
    counted: dict  # run -> variant -> instructions
    echo: dict  # connections -> server -> metric -> values


def number(value, unit=""):
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}" + (f" {unit}" if unit else "")


def middle(values):
    return statistics.median(values) if values else None


def ratio(values, base):
    """The median of the rounds' ratios."""
    pairs = [a / b for a, b in zip(values or [], base or []) if b > 0]
    return middle(pairs)


def all_lines(results):
    return [line for line in [*rows.LINES, *rows.MILLION_LINES] if line.run in results.measured]


def verdict(line, values, ratios, kind):
    bars = [(variant, line.bar(kind, variant)) for variant in VARIANTS]
    said = []
    for variant, bar in bars:
        value = ratios.get(variant) if line.of_ratio else values.get(variant)
        if bar is not None and value is not None:
            said.append("met" if value <= bar else "missed")
    return "/".join(said) if len(set(said)) > 1 else said[0] if said else "-"


def bar_text(line, kind):
    bars = [line.bar(kind, variant) for variant in VARIANTS]
    texts = [number(bar) for bar in bars if bar is not None]
    return "/".join(dict.fromkeys(texts)) or "-"


def cells_of(line, results):
    measured = results.measured[line.run]
    counted = results.counted.get(line.run, {})
    limit = measured.get("limit", {}).get(line.metric)
    values = {v: middle(measured.get(v, {}).get(line.metric)) for v in VARIANTS}
    ratios = {v: ratio(measured.get(v, {}).get(line.metric), limit) for v in VARIANTS}
    cells = [line.title, number(middle(limit), line.unit)]
    for variant in VARIANTS:
        cells.append(number(values[variant], line.unit))
        cells.append(number(ratios[variant]))
    shown = counted if line.metric == "cpu_ns" else {}
    cells.append(" / ".join(number(shown.get(v)) for v in ("limit", *VARIANTS)) if shown else "-")
    for kind in ("first", "goal"):
        cells += [bar_text(line, kind), verdict(line, values, ratios, kind)]
    return cells


HEAD = ["work", "limit", "owned", "ratio", "guest", "ratio", "instructions: limit / owned / guest",
        "first goal", "", "goal", ""]


def work_table(results):
    return [HEAD, *(cells_of(line, results) for line in all_lines(results))]


def echo_cells(connections, name, metrics, results):
    of_raw = ratio(metrics.get("cpu_ns"), metrics.get("base_cpu_ns"))
    cells = [f"{connections}", "raw epoll" if name == "limit" else name]
    cells += [number(middle(metrics.get("cpu_ns")), "ns"), number(of_raw)]
    syscalls = middle(metrics.get("syscalls"))
    cells += [f"{syscalls:.2f}" if syscalls else "-", number(results.counted.get("echo", {}).get(name))]
    for kind in ("first", "goal"):
        bar = rows.ECHO_CONNECTIONS[connections][kind]
        cells += [number(bar), "met" if of_raw <= bar else "missed"] if name in VARIANTS else ["-", "-"]
    return cells


def echo_table(results):
    table = [["connections", "server", "CPU a request", "of raw", "system calls", "user instructions",
              "first goal", "", "goal", ""]]
    for connections, servers in results.echo.items():
        for name, metrics in servers.items():
            table.append(echo_cells(connections, name, metrics, results))
    return table


def peer_table(results):
    """Where peers ran: CPU of each, beside ours."""
    table = [["work", "owned", *PEERS]]
    for line in all_lines(results):
        measured = results.measured[line.run]
        values = [middle(measured.get(name, {}).get(line.metric)) for name in ("owned", *PEERS)]
        if any(value is not None for value in values[1:]):
            table.append([line.title, *(number(value, line.unit) for value in values)])
    return table if len(table) > 1 else []


def tables(results):
    named = [("This library and the bare loop", work_table(results)), ("Echo over TCP, 64 bytes", echo_table(results)),
             ("Other libraries, the same work", peer_table(results))]
    return [(name, table) for name, table in named if len(table) > 1]


# ---- plain -----------------------------------------------------------------------------------------------------------

def align(table):
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def text(results):
    return "\n\n".join(f"{name}\n{align(table)}" for name, table in tables(results)) + "\n"


# ---- markdown --------------------------------------------------------------------------------------------------------

def pipe(cells):
    return "| " + " | ".join(cells) + " |"


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
    model = found.group(1) if found else platform.machine()
    return f"{os.cpu_count()} CPUs ({model}), Linux {platform.release().split('-')[0]}"


def markdown(results, command):
    parts = ["# Performance", "", f"Measured on {machine()}, by `meson test --benchmark`: medians of interleaved rounds, "
             "CPU nanoseconds (user and system) an operation. A ratio is the median of the rounds' ratios to the limit.", ""]
    for name, table in tables(results):
        parts += [f"## {name}", "", pipe(table[0]), pipe(["---"] * len(table[0]))]
        parts += [pipe(row) for row in table[1:]] + [""]
    return "\n".join(parts)


# ---- gate ------------------------------------------------------------------------------------------------------------

def gate_lines(results):
    for line in all_lines(results):
        measured, counted = results.measured[line.run], results.counted.get(line.run, {})
        for variant in VARIANTS:
            count = counted.get(variant)
            if line.instructions and count is not None and count > line.instructions:
                yield f"{line.title} ({variant}): {count:.0f} instructions, at most {line.instructions}"
            value, bar = middle(measured.get(variant, {}).get(line.metric)), line.bar("first", variant)
            if line.exact and bar is not None and value is not None and value > bar:
                yield f"{line.title} ({variant}): {value:.0f}, at most {bar}"


def gate_echo(results):
    for connections, servers in results.echo.items():
        raw = middle(servers["limit"].get("syscalls"))
        for variant in VARIANTS:
            calls = middle(servers[variant].get("syscalls"))
            if raw and calls and calls > raw + rows.ECHO_MORE_SYSCALLS:
                yield f"echo, {connections} connections ({variant}): {calls:.2f} system calls a request, raw {raw:.2f}"
    counted = results.counted.get("echo", {})
    for variant in VARIANTS:
        if variant in counted and counted[variant] > counted["limit"] + rows.ECHO_MORE_INSTRUCTIONS:
            yield f"echo ({variant}): {counted[variant]:.0f} instructions a request, raw {counted['limit']:.0f}"


def gate(results):
    return [*gate_lines(results), *gate_echo(results)]
