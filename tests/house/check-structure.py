#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The drawn structure of the house (docs/design.md), checked where it is built.

    check-structure.py SOURCE BUILD

A layer uses only those below it: a header of any other layer is not found by its compiler flags, and its objects name no symbol of one. Inside a
layer folders come one after the other: their includes make no circle, so that no two files of different folders include each other. What lies in no
folder counts by itself, as a module: NAME.c and NAME.h. Each public header has a .c of its name.
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

# Layer: its folder, where its objects lie, the layers below, and the libraries that it uses through their exported symbols.
LAYERS = {
    "shared": ("lib/shared", "lib/shared/libshared.a.p", [], []),
    "core": ("lib/core", "lib/core/libcore.a.p", ["shared"], []),
    "tasks": ("lib/tasks", "lib/tasks/libtasks.a.p", ["core", "shared"], []),
    "sandbox": ("lib/sandbox", "lib/sandbox/libsandbox.a.p", ["shared"], []),
    "server": ("lib/server", "lib/server/libserver.a.p", ["shared"], ["core", "tasks", "sandbox"]),
    "cli": ("cli", "cli/aiotools-sd.p", ["server", "shared"], ["core", "tasks", "sandbox"]),
}
LIBRARIES = ["lib/libaiotools-sd.so", "lib/libaiotools-sd-sandbox.so"]
HEADERS_ALONE = {"aiotools-sd", "base", "policy"}  # the first two have no code; a policy is a folder

problems = []


# ---- what there is -----------------------------------------------------------------------------------------------------

def files_of(source, layer, *endings):
    top = os.path.join(source, LAYERS[layer][0])
    found = []
    for where, _, names in os.walk(top):
        found += [os.path.relpath(os.path.join(where, name), top) for name in names if name.endswith(endings)]
    return sorted(found)


def commands_of(build):
    """Object file to compiler flags (without those that name files)."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    found = {}
    for entry in entries:
        words, flags = shlex.split(entry["command"]), []
        skip = False
        for word in words:
            if skip or word in ("-MD", "-c", entry["file"]):
                skip = False
            elif word in ("-MQ", "-MF", "-o"):
                skip = True
            else:
                flags.append(word)
        found[entry["output"]] = flags
    return found


def objects_of(commands, layer):
    return sorted(o for o in commands if o.startswith(LAYERS[layer][1] + "/"))


# ---- headers -------------------------------------------------------------------------------------------------------------

def includes(build, flags, header):
    """The files that this header would come from, among others; None where it does not compile."""
    done = subprocess.run([*flags, "-w", "-M", "-x", "c", "-"], cwd=build, input=f'#include "{header}"\n', text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        return None
    words = done.stdout.replace("\\\n", " ").split()[1:]
    return {os.path.realpath(os.path.join(build, word)) for word in words}


def check_header(source, build, layer, flags, owner, header):
    path = os.path.realpath(os.path.join(source, LAYERS[owner][0], header))
    found = includes(build, flags, header)
    may = owner == layer or owner in LAYERS[layer][2]
    if may and found is None:
        return f"{layer} cannot include {owner}'s {header}"
    if not may and found is not None and path in found:
        return f"{layer} can include {owner}'s {header}"
    return None


def check_headers(source, build, commands):
    jobs = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for layer in LAYERS:
            flags = commands[objects_of(commands, layer)[0]]
            for owner in LAYERS:
                jobs += [pool.submit(check_header, source, build, layer, flags, owner, header)
                         for header in files_of(source, owner, ".h")]
        for job in jobs:
            if job.result():
                problems.append(job.result())
    return len(jobs)


# ---- who includes whom ---------------------------------------------------------------------------------------------------

def stem(path):
    return os.path.splitext(path)[0]


def graph_of(source, layer):
    """Module to the modules of the same layer that it includes."""
    top = os.path.join(source, LAYERS[layer][0])
    files = files_of(source, layer, ".c", ".h")
    graph = {stem(path): set() for path in files}
    for path in files:
        with open(os.path.join(top, path), encoding="utf-8") as file:
            names = re.findall(r'^\s*#\s*include\s+"([^"]+)"', file.read(), re.M)
        for name in names:
            for where in (os.path.dirname(path), ""):
                target = os.path.normpath(os.path.join(where, name))
                if os.path.exists(os.path.join(top, target)):
                    if stem(target) != stem(path):
                        graph[stem(path)].add(stem(target))
                    break
    return graph


def circles(graph):
    """Sets of nodes that reach each other (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def folder(module):
    return os.path.dirname(module) or module


def folders_of(graph):
    folders = {folder(module): set() for module in graph}
    for module, others in graph.items():
        folders[folder(module)] |= {folder(other) for other in others} - {folder(module)}
    return folders


def arrows_between(graph, folders):
    return sorted(f"{a} -> {b}" for a, others in graph.items() for b in others
                  if folder(a) != folder(b) and {folder(a), folder(b)} <= set(folders))


def check_includes(source):
    for layer in LAYERS:
        graph = graph_of(source, layer)
        for circle in circles(folders_of(graph)):
            problems.append(f"{layer}: a circle of {', '.join(circle)}: {'; '.join(arrows_between(graph, circle))}")


# ---- names ---------------------------------------------------------------------------------------------------------------

def check_names(source):
    """A reader of include/aiotools-sd/X.h looks for X.c."""
    headers = {stem(name) for name in os.listdir(os.path.join(source, "include/aiotools-sd")) if name.endswith(".h")}
    sources = {stem(os.path.basename(path)) for layer in ("core", "tasks", "sandbox") for path in files_of(source, layer, ".c")}
    for name in sorted(headers - sources - HEADERS_ALONE):
        problems.append(f"include/aiotools-sd/{name}.h has no {name}.c")


# ---- symbols -------------------------------------------------------------------------------------------------------------

def symbols(build, arguments, paths):
    done = subprocess.run(["nm", *arguments, *paths], cwd=build, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True)
    return {line.split()[-1].split("@")[0] for line in done.stdout.splitlines() if re.search(r" [A-Za-z] \S+$", line)}


def check_symbols(build, commands):
    exported = symbols(build, ["-D", "--defined-only"], LIBRARIES)
    defined = {layer: symbols(build, ["--defined-only", "--extern-only"], objects_of(commands, layer)) for layer in LAYERS}
    for layer, (_, _, below, by_export) in LAYERS.items():
        needed = symbols(build, ["--undefined-only"], objects_of(commands, layer)) - defined[layer]
        for other in below:
            needed -= defined[other]
        for other in LAYERS:
            used = needed & defined[other]
            if other in by_export:
                used -= exported
            for name in sorted(used):
                problems.append(f"{layer} names {other}'s {name}")
    return sum(map(len, defined.values()))


def main():
    source, build = map(os.path.realpath, sys.argv[1:3])
    commands = commands_of(build)
    print(f"{check_headers(source, build, commands)} pairs of a layer and a header")
    check_includes(source)
    check_names(source)
    print(f"{check_symbols(build, commands)} symbols")
    for line in problems:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
