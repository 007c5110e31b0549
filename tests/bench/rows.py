# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured, against what, and the goals.

A Run is one program invoked for each variant with the same sizes; a Line is one number of it in the table. Goals are of
two kinds: `goal` is where the project wants to be, `first` the bar that --gate holds. What has no clock in it (bytes, instructions,
system calls) gates; times are printed beside it.
"""

from dataclasses import dataclass, field


@dataclass
class Run:
    key: str
    row: str  # of bench-ait and bench-limit
    size: int = 1000
    repeats: int = 1
    samples: int = 3
    limit: str = ""  # row of bench-limit where it has another name
    guest: bool = True
    count: dict = field(default_factory=dict)  # size, repeats under the instruction counter; empty: not counted

    def arguments(self, samples=None, counted=False):
        size, repeats = self.size, self.repeats
        if counted:
            size, repeats = self.count["size"], self.count["repeats"]
        return ["-n", str(size), "-r", str(repeats), "-s", str(samples or self.samples)]

    def counted_operations(self):
        repeats = self.count["repeats"]
        return repeats if self.count.get("single") else self.count["size"] * repeats


@dataclass
class Line:
    run: str
    title: str
    metric: str = "cpu_ns"
    unit: str = "ns"
    goal: object = None  # a number, or one a variant
    first: object = None
    of_ratio: bool = False  # goals are of the ratio to the limit
    instructions: int = 0  # at most so many an operation; 0: no gate
    exact: bool = False  # no clock in it: `first` gates

    def bar(self, kind, variant):
        value = getattr(self, kind)
        return value.get(variant) if isinstance(value, dict) else value


RUNS = [
    Run("spawn-live", "spawn-live", 1000, 200, 5, count=dict(size=1000, repeats=5)),
    Run("spawn-end", "spawn-end", 1, 200000, 5, count=dict(size=1, repeats=5000)),
    Run("switch-2", "switch-same", 2, 500000, 5, count=dict(size=2, repeats=5000)),
    Run("switch-1000", "switch-same", 1000, 1000, 5, count=dict(size=1000, repeats=8)),
    Run("sites-16", "switch-sites", 16, 50000, 5, count=dict(size=16, repeats=400)),
    Run("sites-1000", "switch-sites", 1000, 1000, 5, count=dict(size=1000, repeats=8)),
    Run("deep-1000", "switch-deep", 1000, 400, 5, count=dict(size=1000, repeats=4)),
    Run("park", "park", 100000, guest=False),
    Run("cancel", "cancel", 100000, 1, 3, count=dict(size=20000, repeats=1)),
    Run("timers", "timers", 100000, 1, 4, count=dict(size=20000, repeats=1)),
    Run("process", "process", 1024, 20, 3, guest=False),
    Run("pingpong", "pingpong", 1, 20000, 5, limit="sdevent-pingpong"),
]

LINES = [
    Line("spawn-live", "spawn + join, 1000 tasks live at once", goal=100, first=250, instructions=500),
    Line("spawn-end", "spawn + join, task ends at once", goal=45, instructions=600),
    Line("switch-2", "switch, same call site, 2 tasks", goal=12, first=20, instructions=200),
    Line("switch-1000", "switch, same call site, 1000 tasks", first=20, instructions=200),
    Line("sites-16", "switch, 64 call sites, 16 tasks", goal=24),
    Line("sites-1000", "switch, 64 call sites, 1000 tasks", goal=24),
    Line("deep-1000", "switch, 16 calls deep, 1000 tasks"),
    Line("park", "resident bytes a parked task, 100 000 of them", "resident_bytes", "B", goal=4200, first=4400, exact=True),
    Line("park", "page tables a parked task", "table_bytes", "B"),
    Line("park", "mappings of the process then", "mappings", "", first=65530, exact=True),
    Line("cancel", "cancel + join 100 000 sleeping tasks, each", goal=280, instructions=1300),
    Line("timers", "100 000 tasks sleep 1 to 100 ms, cold stacks", "cold_cpu_ns", goal=3700),
    Line("timers", "100 000 tasks sleep 1 to 100 ms, warm stacks", "cpu_ns", goal=1450, instructions=1300),
    Line("process", "start and reap a process from 1 GiB, against vfork", "wall_ns", goal=1.2, of_ratio=True),
    Line("pingpong", "one fd, ping-pong, against plain sd-event", goal=dict(owned=0.90, guest=1.0), of_ratio=True),
]

# A million parked tasks: on demand, it takes 5 GB.
MILLION = Run("million", "park", 1000000, guest=False)
MILLION_LINES = [
    Line("million", "resident bytes a parked task, a million of them", "resident_bytes", "B", goal=4200, exact=True),
    Line("million", "page tables a parked task, a million of them", "table_bytes", "B"),
    Line("million", "mappings of the process then", "mappings", "", exact=True),
]

# Beside the raw loop's a request; user instructions a request above the raw loop's that still gate.
ECHO_CONNECTIONS = {64: dict(goal=1.05, first=1.15), 1000: dict(goal=1.12, first=1.15)}
ECHO_MORE_SYSCALLS = 0.1
ECHO_MORE_INSTRUCTIONS = 900
