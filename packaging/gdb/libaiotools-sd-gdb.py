# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks of libaiotools-sd in gdb, of a live process or from a core dump.

    ait tasks               the loops, and the tree of scopes and tasks in each
    ait bt TASK             the backtrace of a task: its number in that list, its name, or its address
    ait bt all              of each task
    ait apply TASK COMMAND  runs a command with the task's frame selected, such as "ait apply worker info locals"

gdb loads this by itself where it is installed as share/gdb/auto-load/<path of the library>-gdb.py; else "source" it. It needs the
debug information of the library. Nothing is written to the process: the frames of a suspended task are made visible by an unwinder that takes
gdb from the innermost frame of the thread to the one that the task was left in, which works for a core dump as well.
"""
import re

import gdb
import gdb.unwinder

# struct context: how to come back to it. Of each architecture the registers sp, pc, frame pointer.
REGISTERS = {"i386:x86-64": ("rsp", "rip", "rbp"), "aarch64": ("sp", "pc", "x29")}

# enum task_state
READY, RUNNING, PARKED, WAITING, RELOCKING, ENDED = range(6)

# Flags of scopes, by their bits
FLAGS = ("shield", "supervisor", "fail-fast", "move-on", "propagate")
HAS_SETS, OF_SET = 1 << 6, 1 << 7

# What the waits have for an object: a time, an fd, a future, a scope, code; else an address
WAITS_FOR_FD = ("read", "write", "poll")
FOR_EVER = 2**64 - 1


class NotThere(gdb.GdbError):
    """What cannot be found is said in one line."""


# ---- reading the library's data -------------------------------------------------------------------

def library_value(name):
    symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if symbol is None:
        raise NotThere("no debug information of libaiotools-sd, or it is not in this program")
    return symbol.value()


def pointer_to(type_name):
    return gdb.lookup_type("struct " + type_name).pointer()


def container(pointer, type_name, member):
    target = pointer_to(type_name)
    offset = next(f.bitpos // 8 for f in target.target().fields() if f.name == member)
    return (pointer.cast(gdb.lookup_type("char").pointer()) - offset).cast(target)


def text(pointer, default=""):
    return pointer.string(errors="replace") if pointer else default


def loops():
    loop = library_value("ait_debug_loops")
    while loop:
        yield loop
        loop = loop["next_loop"]


def children(scope):
    for i in range(int(scope["n_children"])):
        task = scope["children"][i]
        if task:
            yield task["root"].address


def sets(scope):
    if not int(scope["flags"]) & HAS_SETS:
        return
    head = scope["extra"]["sets"].address
    link = head["next"]
    while link != head:
        yield container(link, "ait_taskset", "link")["scope"].address
        link = link["next"]


def walk(loop):
    """Each scope of a loop with its depth, from top to bottom. A tree may be deep: no recursion."""
    stack = [(loop["root"].address, 0)]
    while stack:
        scope, depth = stack.pop()
        yield scope, depth
        below = [*children(scope), *sets(scope)]
        if scope["inner"]:
            below.append(scope["inner"])
        stack.extend((s, depth + 1) for s in reversed(below))


def task_of(scope):
    return scope["owner"] if scope["is_root"] and scope["owner"] else None


def all_tasks():
    """[(number, task)]: numbered as "ait tasks" does."""
    tasks = [task_of(scope) for loop in loops() for scope, _ in walk(loop)]
    return list(enumerate((t for t in tasks if t is not None), 1))


def task_name(task):
    return text(task["name"], "task")


# ---- describing -----------------------------------------------------------------------------------

def place(address, back=0):
    """A place in code as function+offset, with its line where that is known."""
    address = int(address) - back
    found = gdb.execute(f"info symbol {address:#x}", to_string=True).split(" in section")[0].strip()
    name = found.replace(" + ", "+") if not found.startswith("No symbol") else f"{address:#x}"
    line = gdb.find_pc_line(address)
    return f"{name} ({line.symtab.filename}:{line.line})" if line.symtab else name


def scope_words(scope):
    flags = int(scope["flags"])
    words = [name for i, name in enumerate(FLAGS) if flags & 1 << i]
    if int(scope["deadline"]) != FOR_EVER and not scope["expired"]:
        words.append(f"deadline at {int(scope['deadline']) / 1e6:.6f} s")
    if scope["expired"]:
        words.append("expired")
    if int(scope["cancel_count"]):
        words.append(f"cancelled {int(scope['cancel_count'])}x")
    words += [name for name in ("failed", "aborted") if scope[name]]
    if scope["effective"] and not scope["expired"] and not int(scope["cancel_count"]):
        words.append("cancelled from outside")
    return words


def scope_name(scope):
    return f" '{text(scope['extra']['name'])}'" if scope["extra"] and scope["extra"]["name"] else ""


def wait_words(wait):
    kind, value = text(wait["kind"]), int(wait["value"])
    if kind in WAITS_FOR_FD:
        return f"{kind} of fd {value}"
    if kind == "sleep":
        return "sleep: for ever" if value == FOR_EVER else f"sleep: until {value / 1e6:.6f} s"
    if kind in ("future", "start of"):
        future = wait["object"].cast(pointer_to("ait_future"))
        if int(future["kind"]) == 1:  # FUTURE_TASK
            return f"{'end of' if kind == 'future' else kind} task '{task_name(container(future, 'ait_task', 'future'))}'"
    if kind == "offload":
        return f"{kind} of {place(value)}"
    return f"{kind} {value:#x}"


def state_words(task):
    state = int(task["state"])
    if state in (PARKED, WAITING, RELOCKING):
        return "waits for " + (wait_words(task["wait"]) if task["wait"] else "something")
    return {READY: "ready", RUNNING: "running"}.get(state, "ended")


def task_line(number, task):
    words = [state_words(task), *scope_words(task["root"])]
    return (f"{number:3} task '{task_name(task)}' {int(task):#x}: {', '.join(words)}; {place(task['entry'])}, "
            f"spawned at {place(task['site'], 1)}")


def scope_line(scope):
    kind = "task set" if int(scope["flags"]) & OF_SET else "scope"
    words = [f"{int(scope['n_live'])} tasks", *scope_words(scope)]
    return f"    {kind}{scope_name(scope)} {int(scope):#x}: {', '.join(words)}"


def print_tasks():
    number = 0
    for loop in loops():
        for scope, depth in walk(loop):
            task = task_of(scope)
            if task is not None:
                number += 1
                line = task_line(number, task)
            elif depth == 0:
                line = (f"    loop {int(loop):#x}: {'guest' if loop['guest'] else 'owned'}, {int(loop['n_tasks'])} tasks"
                        + "".join(", " + word for word in scope_words(scope)))
            else:
                line = scope_line(scope)
            # The number first, then the tree.
            print(line[:4] + "  " * min(depth, 30) + line[4:])


# ---- backtraces -----------------------------------------------------------------------------------

class FrameId:
    """For gdb 13, which has none of its own."""

    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp).cast(gdb.lookup_type("void").pointer())
        self.pc = gdb.Value(pc).cast(gdb.lookup_type("void").pointer())


class Detour(gdb.unwinder.Unwinder):
    """From the thread's innermost frame to where a task was left: the only frame that it takes is that one."""

    def __init__(self):
        super().__init__("libaiotools-sd")
        self.enabled = False
        self.target = None  # (sp, pc, fp) of the task
        self.real_sp = None
        self.registers = None

    def __call__(self, pending):
        if self.target is None or int(pending.read_register(self.registers[0])) != self.real_sp:
            return None
        # Below the task's frame, or gdb would take the step to another stack for a broken one.
        info = pending.create_unwind_info(FrameId(self.target[0] - 64, int(pending.read_register(self.registers[1]))))
        for register, value in zip(self.registers, self.target):
            info.add_saved_register(register, gdb.Value(value).cast(pending.read_register(register).type))
        return info


DETOUR = Detour()


class Visit:
    """with Visit(task): the frames above number 0 are the task's."""

    def __init__(self, task):
        context = task["context"]
        if "sp" not in [field.name for field in context.type.fields()]:
            raise NotThere("the library was built with the portable context switch, whose registers cannot be read")
        self.target = tuple(int(context[name]) for name in ("sp", "ip", "bp"))

    def __enter__(self):
        gdb.newest_frame().select()
        architecture = gdb.newest_frame().architecture().name()
        if architecture not in REGISTERS:
            raise NotThere(f"unknown architecture {architecture}")
        DETOUR.registers = REGISTERS[architecture]
        DETOUR.real_sp = int(gdb.newest_frame().read_register(DETOUR.registers[0]))
        DETOUR.target = self.target
        DETOUR.enabled = True
        gdb.invalidate_cached_frames()
        older = gdb.newest_frame().older()
        if older is None:
            self.__exit__()
            raise NotThere("the frames of the task cannot be reached")
        older.select()

    def __exit__(self, *unused):
        DETOUR.enabled = False
        DETOUR.target = None
        gdb.invalidate_cached_frames()
        gdb.newest_frame().select()


def renumbered(backtrace):
    """Frame 0 is the thread's, not the task's."""
    for line in backtrace.splitlines():
        match = re.match(r"#(\d+) +(.*)", line)
        if not match:
            yield line
        elif int(match.group(1)) > 0:
            yield f"#{int(match.group(1)) - 1:<2} {match.group(2)}"


def print_backtrace(number, task):
    print(task_line(number, task))
    if int(task["state"]) == RUNNING:
        print("    it is running: its frames are those of its thread")
        return
    with Visit(task):
        print("\n".join(renumbered(gdb.execute("backtrace", to_string=True))))


def find_tasks(what):
    tasks = all_tasks()
    if what == "all":
        return tasks
    found = [(n, t) for n, t in tasks if what in (str(n), task_name(t), f"{int(t):#x}")]
    if not found:
        raise NotThere(f"there is no task {what}")
    return found


# ---- commands -------------------------------------------------------------------------------------

class Ait(gdb.Command):
    """Tasks of libaiotools-sd."""

    def __init__(self):
        super().__init__("ait", gdb.COMMAND_STACK, prefix=True)


class AitTasks(gdb.Command):
    """ait tasks: the loops of the process, and the tree of scopes and tasks in each."""

    def __init__(self):
        super().__init__("ait tasks", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        print_tasks()


class AitBacktrace(gdb.Command):
    """ait bt TASK|all: the backtrace of a task, given by its number, name or address."""

    def __init__(self):
        super().__init__("ait bt", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        if not arg:
            raise NotThere("ait bt: which task? Give a number, a name, an address, or all")
        for number, task in find_tasks(arg.strip()):
            print_backtrace(number, task)


class AitApply(gdb.Command):
    """ait apply TASK COMMAND: runs a command with the frame selected that the task was left in."""

    def __init__(self):
        super().__init__("ait apply", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        words = arg.split(None, 1)
        if len(words) < 2:
            raise NotThere("ait apply: give a task and a command")
        for number, task in find_tasks(words[0]):
            print(task_line(number, task))
            if int(task["state"]) == RUNNING:
                gdb.execute(words[1])
                continue
            with Visit(task):
                gdb.execute(words[1])


gdb.unwinder.register_unwinder(None, DETOUR, replace=True)
Ait()
AitTasks()
AitBacktrace()
AitApply()
