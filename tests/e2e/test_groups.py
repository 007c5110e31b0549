# SPDX-License-Identifier: LGPL-2.1-or-later
"""Control groups: whatever a worker leaves behind ends with it, however it hides, and no group is left. cling.c leaves
what no scan of processes finds, or what outruns it."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess

from harness import (CMD, NOBODY, PYTHON, SANITIZED, Skip, alive, bound, check, check_equal, check_within, descendants_of,
                     group_directory, main, need_groups, need_nobody, need_program, need_root, own_group, read_proc, scenario, wait_for,
                     wait_gone)

CLING = os.environ.get("AIT_CLING", "")
REFUSE = os.environ.get("AIT_REFUSE", "")
AT_ONCE = 2  # seconds
N_CHAINS = 16
HIDE = ["--stop-timeout=200ms", "--backoff=1ms..1ms", "--stable=1ms", "--ready=exec"]


def group_of(pid):
    """Its directory; None: it is in none of a server's."""
    m = re.search(rf"^0::{re.escape(own_group())}/(aiotools-sd\.\S+)$", read_proc(pid, "cgroup").decode(), re.M)
    return m and os.path.join(group_directory(), m.group(1))


def check_no_group(group):
    """Neither its own nor the server's, which it is in."""
    for path in (group, os.path.dirname(group)):
        wait_for(f"the removal of {path}", lambda p=path: not os.path.exists(p), AT_ONCE)


def pids(path):
    with contextlib.suppress(FileNotFoundError), open(path) as f:
        return [int(line) for line in f]
    return []


def wait_pids(path, n):
    return wait_for(lambda: f"{n} pids in {path}, which has {pids(path)}", lambda: (lambda p: p if len(p) >= n else None)(pids(path)))


def answers(port):
    """Whether anybody does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=bound(1)) as s:
            return s.recv(100)
    except OSError:
        return b""


# ---- orphans -------------------------------------------------------------------------------------------------

def leave_orphan(pit, *options, what="orphan", name="shop", **kwargs):
    path = pit.file(f"pids-{name}")
    if not os.path.exists(path):
        pit.file(f"pids-{name}", "", 0o666)
    port = pit.port()
    known = len(pids(path))
    server = pit.server("-n1", f"--name={name}", f"--listen=127.0.0.1:{port}", *HIDE, *options, "--", CLING, what, path, **kwargs)
    orphan = wait_pids(path, known + 1)[-1]
    server.out.wait("go")
    return server, port, path, orphan


@scenario
def is_in_its_group(pit):
    need_groups()
    server, port, path, orphan = leave_orphan(pit)
    worker, = server.wait_workers(1)
    group = group_of(worker)
    check(group, "the worker is in no group")
    check_equal(group_of(orphan), group, "the group of the orphan")
    check_equal(group_of(server.pid), None, "the group of the first process")
    check_equal(group_of(server.supervisor), None, "the group of the supervisor")
    check(answers(port).startswith(b"orphan"), "the orphan does not answer")
    server.stop()
    wait_gone([orphan], "the orphan after the stop", AT_ONCE)
    check_no_group(group)


@scenario
def end_of_a_worker(pit):
    need_groups()
    server, _, path, orphan = leave_orphan(pit)
    worker, = server.wait_workers(1)
    group = group_of(worker)
    os.kill(worker, signal.SIGKILL)
    # It is asked to stop, and has the rest of --stop-timeout.
    wait_gone([orphan], "the orphan of a dead worker", AT_ONCE)
    server.err.wait(r"has ended, but 1 of its processes did not within 200ms of SIGTERM; killed: cling\[\d+\]")
    wait_for("the removal of the group", lambda: not os.path.exists(group), AT_ONCE)
    wait_pids(path, 2)
    other, = server.wait_workers(1)
    check(group_of(other) not in (None, group), "the group of the next worker")
    server.stop()
    check_no_group(group_of(other) or group)


@scenario
def reload(pit):
    need_groups()
    server, port, path, orphan = leave_orphan(pit)
    old = server.wait_workers(1)
    server.send(signal.SIGHUP)
    wait_pids(path, 2)
    server.wait_replaced(old, 1)
    wait_gone([orphan], "the orphan of a replaced worker", AT_ONCE)
    for _ in range(4):
        check(b"orphan %d\n" % orphan != answers(port), "the old orphan answers")
    server.stop()


def kill_one(pit, who, **kwargs):
    server, port, path, orphan = leave_orphan(pit, **kwargs)
    group = group_of(orphan)
    check(group, "the orphan is in no group")
    os.kill(server.pid if who == "guardian" else server.supervisor, signal.SIGKILL)
    wait_gone([orphan], f"the orphan after kill -9 of the {who}", AT_ONCE)
    check_equal(answers(port), b"", "what answers")
    check_no_group(group)
    server.wait_exit(-signal.SIGKILL)
    pit.wait_nothing_left()


def tidy_up(pit):
    """The next server of the name takes over what a killed one has left in its runtime directory."""
    pit.notify.messages.clear()
    pit.server("-n1", "--name=shop", *pit.worker()).wait_ready().stop()


@scenario
def kill_of_the_supervisor(pit):
    need_groups()
    kill_one(pit, "supervisor")
    tidy_up(pit)


@scenario
def kill_of_the_guardian(pit):
    need_groups()
    kill_one(pit, "guardian")
    tidy_up(pit)


@scenario
def kill_of_both(pit):
    """Nobody is left who could do anything. The next server of the name does, before its sockets are opened."""
    need_groups()
    for again in range(2):
        server, port, path, orphan = leave_orphan(pit)
        group = group_of(orphan)
        # Neither must see the end of the other.
        os.kill(server.pid, signal.SIGSTOP)
        os.kill(server.supervisor, signal.SIGSTOP)
        os.kill(server.supervisor, signal.SIGKILL)
        os.kill(server.pid, signal.SIGKILL)
        server.wait_exit(-signal.SIGKILL)
        check(answers(port).startswith(b"orphan"), "the orphan does not hold the port: this shows nothing")
        pit.notify.messages.clear()
        listen = [f"--listen=127.0.0.1:{port}"] if again else []
        fresh = pit.server("-n1", "--name=shop", *listen, *pit.worker()).wait_ready()
        wait_gone([orphan], "the orphan", AT_ONCE)
        fresh.err.wait(r"the server of this name was killed together with its guardian, and has left 1 process in its "
                       rf"control group; killed: cling\[{orphan}\]$")
        check_no_group(group)
        fresh.stop()
        pit.notify.messages.clear()


# ---- those that outrun a scan --------------------------------------------------------------------------------

# The first process of a pid namespace: starts the server, and when that has ended says how long others live.
INIT = """
import os, sys, time
def left():
    found = []
    for p in os.listdir("/proc"):
        if p.isdigit() and int(p) != 1:
            try:
                found.append(open(f"/proc/{p}/stat").read().rpartition(")")[2].split()[0])
            except OSError:
                pass
    return [s for s in found if s not in "ZX"]
pid = os.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    ended, status = os.waitpid(-1, 0)
    if ended == pid:
        break
begun = time.monotonic()
while left() and time.monotonic() - begun < 10:
    time.sleep(0.01)
print(f"left {len(left())} after {time.monotonic() - begun:.3f}", flush=True)
"""


def start_chains(pit, *options):
    need_root()
    need_groups()
    wrapper = [need_program("unshare"), "--fork", "--pid", "--mount-proc", "--kill-child", PYTHON, "-c", INIT]
    server = pit.server("-n1", "--name=shop", *HIDE, *options, "--", CLING, "chains", N_CHAINS, wrapper=wrapper)
    server.out.wait("go")
    worker, = server.wait_workers(1)
    group = group_of(worker)
    wait_for("chains", lambda: len(read_file(f"{group}/cgroup.procs").split()) > N_CHAINS / 2)
    return server, worker, group


def check_chains_end(pit, server, group):
    seconds = float(server.out.wait(r"left 0 after ([\d.]+)").group(1))
    check_within(seconds, 0, AT_ONCE, "seconds that chains live on")
    check_no_group(group)
    server.wait_exit()
    pit.note(f"{seconds * 1000:.0f} ms")


@scenario
def chains_and_the_end_of_a_worker(pit):
    server, worker, group = start_chains(pit)
    os.kill(worker, signal.SIGKILL)
    wait_for("the removal of the group", lambda: not os.path.exists(group), AT_ONCE)
    wait_for("another worker", lambda: [w for w in server.workers() if w != worker], AT_ONCE)
    os.kill(server.supervisor, signal.SIGTERM)
    check_chains_end(pit, server, group)


@scenario
def chains_and_a_reload(pit):
    server, worker, group = start_chains(pit)
    os.kill(server.supervisor, signal.SIGHUP)
    wait_gone([worker], "the old worker")
    wait_for("the removal of the group", lambda: not os.path.exists(group), AT_ONCE)
    os.kill(server.supervisor, signal.SIGTERM)
    check_chains_end(pit, server, group)


@scenario
def chains_and_a_stop(pit):
    server, _, group = start_chains(pit)
    os.kill(server.supervisor, signal.SIGTERM)
    check_chains_end(pit, server, group)


@scenario
def chains_and_a_kill_of_the_supervisor(pit):
    server, _, group = start_chains(pit)
    os.kill(server.supervisor, signal.SIGKILL)
    check_chains_end(pit, server, group)
    tidy_up(pit)


@scenario
def chains_and_a_kill_of_the_guardian(pit):
    server, _, group = start_chains(pit)
    os.kill(server.find_guardian(), signal.SIGKILL)
    check_chains_end(pit, server, group)
    tidy_up(pit)


# ---- whose groups they are -----------------------------------------------------------------------------------

BOOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sandbox", "systemd", "boot.sh")
SERVICE = """[Service]
Type=notify
NotifyAccess=main
RuntimeDirectory=%N
Environment=LD_LIBRARY_PATH=/opt/ait
ExecStart=/opt/ait/aiotools-sd run -n1 --ready=exec --sandbox=none --control-group={mode} -- /bin/sleep {seconds}
{more}
"""


def remove_groups(place):
    """As soon as nobody is in it any more."""
    def gone():
        subprocess.run(["find", place, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], stderr=subprocess.DEVNULL, check=False)
        return not os.path.exists(place)
    wait_for(f"the removal of {place}", gone, 10)


def own_place(pit):
    """A control group for what makes groups of its own."""
    place = os.path.join(group_directory(), f"ait-e2e.{os.getpid()}")
    os.mkdir(place)
    pit.defer(lambda: remove_groups(place))
    return place


def enter(place):
    return ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', place]


def install(root):
    """The command, with what of it is not the system's."""
    place = os.path.join(root, "opt", "ait")
    os.makedirs(place)
    shutil.copy(CMD, os.path.join(place, "aiotools-sd"))
    said = subprocess.run(["ldd", CMD], stdout=subprocess.PIPE, check=True).stdout.decode()
    for path in re.findall(r"=> (/\S+)", said):
        if not path.startswith(("/lib", "/usr/lib")):
            shutil.copy(path, place)


def booted(pit, units):
    """A systemd in namespaces of its own that has started the units. Its first process is a descendant of ours."""
    root = pit.directory("units")
    install(root)
    wants = os.path.join(root, "etc", "systemd", "system", "idle.target.wants")
    os.makedirs(wants)
    for name, text in units.items():
        with open(os.path.join(root, "etc", "systemd", "system", name), "w") as f:
            f.write(text)
        os.symlink(f"../{name}", os.path.join(wants, name))
    with open(os.path.join(root, "etc", "systemd", "system", "idle.target"), "w") as f:
        f.write("[Unit]\nDescription=the units under test\n")
    place = own_place(pit)
    with open(pit.file("console"), "wb") as console:
        outer = subprocess.Popen([*enter(place), "unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--propagation",
                                  "private", "--kill-child=KILL", BOOT, "/", root, pit.file("booted")],
                                 stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd="/")
    pit.own.add(outer.pid)
    pit.defer(lambda: (outer.kill(), outer.wait()))
    wait_for("the mounts of the booted system", lambda: os.path.exists(pit.file("booted")) or outer.poll() is not None)
    if outer.poll() is not None:
        raise Skip("no systemd can be booted here: " + open(pit.file("console")).read().strip()[-200:])
    return outer


def sleeper(outer, seconds):
    """The control group of the worker, found by its argument."""
    def found():
        for pid in descendants_of(outer.pid):
            if read_proc(pid, "cmdline") == b"/bin/sleep\0%d\0" % seconds:
                return read_proc(pid, "cgroup").decode()
        return None
    text = wait_for(f"a worker that sleeps {seconds}", found)
    return re.search(r"^0::(.*)$", text, re.M).group(1)


@scenario
def units_of_systemd(pit):
    """Below a service, groups are systemd's, unless its unit delegates them."""
    need_root()
    need_groups()
    if SANITIZED or not os.path.exists("/lib/systemd/systemd"):
        raise Skip("needs a systemd, and a command without sanitizers")
    outer = booted(pit, {
        "plain.service": SERVICE.format(mode="auto", seconds=1001, more=""),
        "delegated.service": SERVICE.format(mode="auto", seconds=1002, more="Delegate=yes"),
        "user.service": SERVICE.format(mode="yes", seconds=1003, more="Delegate=yes\nUser=nobody"),
        "refused.service": SERVICE.format(mode="yes", seconds=1004, more="StandardError=file:/run/said"),
    })
    check(re.fullmatch(r".*/plain\.service", sleeper(outer, 1001)), "a unit that is not delegated")
    for unit, seconds in (("delegated", 1002), ("user", 1003)):
        check(re.fullmatch(rf".*/{unit}\.service/aiotools-sd\.sleep-\d+\.\d+/slot-0\.\d+", sleeper(outer, seconds)),
              f"{unit}: {sleeper(outer, seconds)}")
    init = wait_for("the first process", lambda: next(iter(descendants_of(outer.pid)), None))
    said = wait_for("the refusal", lambda: read_file(f"/proc/{init}/root/run/said"))
    check("no control group can be had: refused.service may make no groups; set Delegate=yes in its unit" in said, said)
    outer.kill()
    outer.wait()


def read_file(path):
    with contextlib.suppress(OSError), open(path) as f:
        return f.read()
    return ""


# ---- where one cannot be had -----------------------------------------------------------------------------------

@scenario
def no_clone3(pit):
    """Outer sandboxes refuse it. Then the worker has entered its group before it does anything."""
    need_groups()
    server = pit.server("-n1", "--stop-timeout=200ms", *pit.worker("--daemons=1"), wrapper=[REFUSE, "EPERM", "clone3", "--"]).wait_ready()
    pit.trace.wait("daemon")
    check(group_of(pit.trace.pids("daemon")[0]), "no group")
    server.stop()


def place_of_its_own(pit):
    """A control group to start servers in, and the words that do."""
    place = os.path.join(group_directory(), f"ait-e2e-none.{os.getpid()}")
    os.mkdir(place)
    pit.defer(lambda: os.rmdir(place))
    return place, ["/bin/sh", "-c", f'echo $$ >{place}/cgroup.procs && exec "$@"', "sh"]


def limit_groups(place, text):
    """Above the server's own group, which it would put right."""
    with open(os.path.join(place, "cgroup.max.descendants"), "w") as f:
        f.write(text)


@scenario
def none_for_a_worker(pit):
    """It is started without, which is said once; with --control-group=yes it is not."""
    need_groups()
    place, wrapper = place_of_its_own(pit)
    for mode in ("auto", "yes"):
        limit_groups(place, "max")
        pit.notify.messages.clear()
        server = pit.server("-n2", f"--control-group={mode}", "--backoff=1ms..1ms", "--give-up=3/10s", "--stable=1ms",
                            *pit.worker(), wrapper=wrapper).wait_ready()
        workers = server.wait_workers(2)
        limit_groups(place, "0")
        for w in workers:
            os.kill(w, signal.SIGKILL)
        if mode == "yes":
            server.err.wait("cannot start: --control-group=yes: no control group for it: Resource temporarily unavailable")
            server.wait_exit((69, 71))
            continue
        server.err.wait("warning: no control group for it .*; what it starts is found by its descent")
        wait_for("other workers", lambda w=workers, s=server: len([p for p in s.workers() if p not in w]) == 2)
        server.reload(2)
        server.stop()
        check_equal(server.err.text().count("no control group for it"), 1, "how often it is said")


@scenario
def cannot_enter(pit):
    """A group is made, but nobody can enter it: what is below a threaded group is no place for a process of its own."""
    need_root()
    need_groups()
    server = pit.server("-n1", "--control-group=auto", "--backoff=1s..1s", *pit.worker("--daemons=1")).wait_ready()
    worker, = server.wait_workers(1)
    group = os.path.dirname(group_of(worker))
    pit.trace.wait("daemon")
    for pid in [worker, *pit.trace.pids("daemon")]:
        os.kill(pid, signal.SIGKILL)
    wait_for("an empty group", lambda: "populated 0" in read_file(f"{group}/cgroup.events"))
    with open(f"{group}/cgroup.type", "w") as f:
        f.write("threaded")
    server.err.wait("warning: no control group for it .Operation not permitted.; what it starts is found by its descent")
    other, = server.wait_workers(1)
    check_equal(group_of(other), None, "its group")
    pit.trace.wait("daemon", 2)
    server.send(signal.SIGQUIT)
    server.wait_exit(0)


# ---- with and without ----------------------------------------------------------------------------------------

@scenario
def who_leaves_the_group(pit):
    """Root may. What has left is found by its descent still, and ends with the server."""
    need_root()
    need_groups()
    server, _, path, orphan = leave_orphan(pit, "--sandbox=none", what="moved")
    check_equal(group_of(orphan), None, "its group")
    server.stop()
    wait_gone([orphan], "the orphan that has left its group", AT_ONCE)


@scenario
def option_no(pit):
    need_groups()
    server = pit.server("-n1", "--control-group=no", *pit.worker()).wait_ready()
    check_equal(group_of(server.wait_workers(1)[0]), None, "its group")
    server.stop()


@scenario
def option_yes(pit):
    """Nothing is started where there are none."""
    need_groups()
    server = pit.server("-n1", "--control-group=yes", *pit.worker()).wait_ready()
    check(group_of(server.wait_workers(1)[0]), "no group")
    server.stop()


@scenario
def read_only(pit):
    """As in most containers: auto does without, yes ends with a line that says why."""
    need_root()
    need_groups()
    wrapper = [need_program("unshare"), "--mount", "sh", "-c",
               'for m in $(findmnt -n -o TARGET -t cgroup2); do mount -o remount,bind,ro "$m" || exit 77; done; exec "$@"', "sh"]
    server = pit.server("-n1", *pit.worker(), wrapper=wrapper).wait_ready()
    check_equal(group_of(server.wait_workers(1)[0]), None, "its group")
    server.stop()
    status, _, err = pit.run("-n1", "--control-group=yes", *pit.worker(), wrapper=wrapper)
    check_equal(status, 71, err)
    check("--control-group=yes: no control group can be had: " in err and "Read-only file system; mount it writable" in err, err)


@scenario
def not_for_this_user(pit):
    need_nobody()
    need_groups()
    server = pit.server("-n1", *pit.worker(), uid=NOBODY).wait_ready()
    check_equal(group_of(server.wait_workers(1)[0]), None, "its group")
    server.stop()
    status, _, err = pit.run("-n1", "--control-group=yes", *pit.worker(), uid=NOBODY)
    check_equal(status, 71, err)
    check("Permission denied; give the directory to this user" in err, err)


@scenario
def delegated_to_a_user(pit):
    """A group that belongs to the server's user, as Delegate=yes with User= makes it."""
    need_nobody()
    need_groups()
    place = own_place(pit)
    for name in (".", "cgroup.procs", "cgroup.subtree_control"):
        os.chown(os.path.join(place, name), NOBODY, NOBODY)
    drop = [need_program("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    os.chown(pit.runtime, NOBODY, NOBODY)
    server = pit.server("-n1", "--control-group=yes", "--stop-timeout=200ms", *pit.worker("--daemons=2"), wrapper=[*enter(place), *drop]).wait_ready()
    pit.trace.wait("daemon", 2)
    worker, = server.wait_workers(1)
    check(re.search(rf"^0::{re.escape(own_group())}/ait-e2e\.\d+/aiotools-sd\.", read_proc(worker, "cgroup").decode(), re.M),
          "the group of the worker")
    server.stop()
    check_equal([n for n in os.listdir(place) if os.path.isdir(os.path.join(place, n))], [], "groups that are left")


if __name__ == "__main__":
    main()
