#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How workers end that are more than one process: what the main process leaves behind is asked to stop, too, has the
rest of the time, and is named where it has to be killed."""
import os
import re
import signal
import time

from harness import (Load, PYTHON, Skip, WORKER, alive, check, check_equal, check_within, main, need_program, need_root, scenario, stays,
                     status_field, wait_gone)

# Says that it got TERM, and goes on for as long as $1 says.
CHILD = """child() { trap "echo child got TERM; sleep $1; echo child ends; exit" TERM
                     echo child is there
                     while :; do sleep 0.02; done; }; """


def shell(script):
    return ["--", "/bin/sh", "-c", script]


@scenario
def wrapper_that_does_not_exec(pit):
    """It dies by the stop signal at once; the server in it finishes its requests."""
    listen = f"127.0.0.1:{pit.port()}"
    command = f"sh -c 'LISTEN_PID=$$ exec {WORKER} --trace={pit.trace.path} --answer-after=1000'; echo wrapper ends"
    server = pit.server("-n2", f"--listen={listen}", *shell(command)).wait_ready()
    load = pit.load(listen, "-c8", "-C")
    load.wait_ok(8)
    server.send(signal.SIGHUP)
    server.err.wait("reload: (done|2 of 2)")
    load.wait_ok(8)
    Load.check_lossless(load.stop())
    server.stop()
    check_equal(len(pit.trace.of("exit")), 4, "workers that left by themselves")
    check(not re.search("SIGKILL|; killed|killed what", server.err.text()), "somebody was killed")


@scenario
def main_process_first(pit):
    """Its children get the signal only when it has ended: many servers end their processes themselves."""
    server = pit.server("-n1", "--ready=exec", *shell(
        CHILD + "child 0 & trap 'sleep 0.5; echo main ends; exit' TERM; echo go; while :; do sleep 0.02; done"))
    server.out.wait("go")
    server.stop()
    said = re.findall("main ends|child got TERM|child ends", server.out.text())
    check_equal(said, ["main ends", "child got TERM", "child ends"], "the order")


@scenario
def rest_of_the_stop_timeout(pit):
    """What has not ended by then is killed, and named."""
    server = pit.server("-n1", "--stop-timeout=600ms", "--ready=notify",
                        *shell(f"{WORKER} --trace={pit.trace.path} --ignore=TERM --children=9; :"))
    pit.trace.wait("child", 9)
    pit.trace.wait("ready", 1)
    one = pit.trace.pids("ready")[0]
    begun = time.monotonic()
    server.stop()
    check_within(time.monotonic() - begun, 0.5, 10, "seconds until killed")
    line = re.search(r".*warning: has ended, but 10 of its processes did not within 600ms of SIGTERM; killed: .*",
                     server.err.text())
    check(line, "the log does not say who was killed")
    check(line.group().count("worker[") == 5 and "and 5 more" in line.group(), line.group())
    check(not alive(one), "the worker lives")


@scenario
def waits_ever_more_rarely(pit):
    """With --stop-timeout=infinity it may be for ever, and each look reads all of /proc."""
    server = pit.server("-n1", "--stop-timeout=infinity", "--ready=notify", "--control-group=no",
                        *shell(f"{WORKER} --trace={pit.trace.path} --ignore=TERM; :"))
    pit.trace.wait("ready", 1)
    server.send(signal.SIGTERM)
    server.err.wait("has ended, but 1 of its processes has not: .* are waited for")
    before = int(status_field(server.supervisor, "voluntary_ctxt_switches"))
    time.sleep(2)  # what is counted: the looks of two seconds
    looks = int(status_field(server.supervisor, "voluntary_ctxt_switches")) - before
    check(0 < looks < 25, f"{looks} looks in the two seconds after the first")
    server.stop(number=signal.SIGQUIT)


@scenario
def main_process_does_not_stop(pit):
    """It is killed with its children, and all are named."""
    server = pit.server("-n1", "--stop-timeout=300ms", *pit.worker("--ignore=TERM", "--children=1")).wait_ready()
    child = pit.trace.wait("child")[0][1]
    server.stop()
    check(re.search(rf"did not stop within 300ms of SIGTERM; killed, and its processes worker\[{child}\]",
                    server.err.text()), "the log does not name the child")


@scenario
def main_process_dies(pit):
    """Unplanned: its children are asked to stop and have two seconds, then the slot is restarted."""
    server = pit.server("-n1", "--ready=exec", "--backoff=1ms..1ms", *shell(
        CHILD + "child 0.3 & echo go $$; while :; do sleep 0.02; done"))
    victim = int(server.out.wait(r"go (\d+)").group(1))
    server.out.wait("child is there")
    seen = server.out.mark()
    os.kill(victim, signal.SIGKILL)
    server.out.wait("child ends")
    server.out.wait(r"go \d", since=seen)
    server.stop()
    check("killed:" not in server.err.text(), "the child was killed")


@scenario
def main_process_dies_and_children_stay(pit):
    """The slot is not without a worker for longer than these two seconds, whatever --stop-timeout is."""
    server = pit.server("-n1", "--stop-timeout=1h", "--backoff=1ms..1ms", *pit.worker("--children=1", "--daemons=1")).wait_ready()
    doomed = [pit.trace.wait("child")[0][1], pit.trace.wait("daemon")[0][1]]
    begun = time.monotonic()
    os.kill(pit.trace.pids("ready")[0], signal.SIGKILL)
    pit.trace.wait("ready", 2)
    check_within(time.monotonic() - begun, 1.9, 10, "seconds until restarted")
    wait_gone(doomed, "a child")
    found = server.err.wait(r"has ended, but 2 of its processes did not within 2.00s of SIGTERM; killed: (.*)").group(1).decode()
    check(all(f"worker[{pid}]" in found for pid in doomed), found)
    pit.trace.wait("child", 2)
    pit.trace.wait("daemon", 2)
    server.stop(number=signal.SIGQUIT)


@scenario
def a_hurry_ends_the_wait(pit):
    """A second INT, while only children are left."""
    server = pit.server("-n1", "--stop-timeout=1h", *pit.worker("--children=1")).wait_ready()
    one = server.wait_workers(1)
    pit.trace.wait("child")
    server.send(signal.SIGINT)
    wait_gone(one, "the worker")
    server.err.wait(r"has ended, but 1 of its processes has not: worker\[\d+\]")
    stays("waiting for the child", lambda: not server.gone())
    server.stop(number=signal.SIGINT, patience=10)


@scenario
def helpers_end_without_a_word(pit):
    """They end with their input, or by the signal."""
    bash = need_program("bash")
    server = pit.server("-n1", "--ready=notify", "--", bash, "-c",
                        f"exec > >(cat); sleep 1000 & exec {WORKER} --trace={pit.trace.path} --lines=3").wait_ready()
    pit.trace.wait("wrote")
    server.out.wait("line 2 of slot 0")
    server.stop()
    text = server.err.text()
    check("warning: workers run as root" in text or "warning" not in text, "a warning")
    check("; killed" not in text and "cat[" not in text, "the log is noisy")


DAEMONS = ("env -i setsid sh -c 'trap \"sleep 0.2; echo yes > {done}; exit\" TERM; : >{done}.1; while :; do sleep 0.02; done' "
           ">/dev/null 2>&1 &"
           "env -i setsid sh -c 'trap : TERM; : >{done}.2; while :; do sleep 0.02; done' >/dev/null 2>&1 &"
           "while ! [ -e {done}.1 -a -e {done}.2 ]; do sleep 0.02; done; echo go; exec sleep 1000")


@scenario
def daemons_nobody_recognises(pit):
    """A session and an environment of their own: they end with the worker, in order, or are named."""
    done = pit.file("done")
    server = pit.server("-n1", "--ready=exec", "--control-group=no", "--stop-timeout=1s", *shell(DAEMONS.format(done=done)))
    server.out.wait("go")
    server.stop()
    check(os.path.exists(done), "the daemon was not asked")
    check(re.search(r"has ended, but . of its processes did not within 1\.00s of SIGTERM; killed: .*sh\[\d+\]", server.err.text()),
          "nobody was named")


@scenario
def daemons_in_a_control_group(pit):
    """The same are recognised, and end with their worker. Without a group, with the server."""
    done = pit.file("done")
    server = pit.server("-n1", "--ready=exec", "--stop-timeout=1s", *shell(DAEMONS.format(done=done)))
    server.out.wait("go")
    server.stop()
    check(os.path.exists(done), "the daemon was not asked")
    check(re.search(r"killed(: | what workers had left behind: ).*sh\[\d+\]", server.err.text()), "nobody was named")


@scenario
def goes_into_the_background(pit):
    """The log says at once, and once, that a worker must stay in the foreground."""
    server = pit.server("-n2", "--backoff=1ms..1ms", "--give-up=3/1min", *shell("(exec setsid sleep 1000) & exit 0"))
    line = server.err.wait(r"exited with status 0 after \S+ and left \w+\[\d+\] behind; .* foreground").string.decode()
    check("--nodaemon" in line, line)
    server.wait_exit(69)
    check_equal(server.err.text().count("must stay in the foreground"), 1, "how often it says so")


@scenario
def background_of_known_servers(pit):
    """With the option that this server has for it, whatever its environment looks like afterwards."""
    sleep = need_program("sleep")
    for name, option in (("nginx", "daemon off;"), ("php-fpm8.2", "--nodaemonize"), ("redis-server", "--daemonize no")):
        os.symlink(sleep, pit.file(name))
        server = pit.server("-n1", "--backoff=1ms..1ms", "--give-up=2/1min",
                            *shell(f"(exec env -i setsid {pit.file(name)} 1000) & sleep 0.2; exit 0"))
        check(option in server.err.wait(rf"left {re.escape(name)}\[\d+\] behind").string.decode(), "the option")
        server.wait_exit(69)
        script = pit.file(f"bin-{name}", "#!/bin/sh\nexit 0\n", 0o755)
        os.makedirs(pit.file("bin"), exist_ok=True)
        os.rename(script, pit.file(f"bin/{name}"))
        status, _, err = pit.run("-n1", "--backoff=1ms..1ms", "--give-up=2/1min", "--", pit.file(f"bin/{name}"))
        check(re.search(rf"before it was ready; if it goes into the background, .*{option}", err), err)


@scenario
def background_without_a_sign(pit):
    """Servers overwrite their environment. What they leave is stopped all the same, before the next one is started."""
    sleep = need_program("sleep")
    server = pit.server("-n2", "--backoff=1ms..1ms", "--give-up=3/1min",
                        *shell(f"(exec env -i setsid {sleep} 1000) & sleep 0.2; exit 0"))
    server.err.wait("gave up")
    server.wait_exit(69)
    check("killed" not in server.err.text(), "a daemon was left to the end")


@scenario
def a_job_is_not_in_the_background(pit):
    for options in (["--restart=no"], ["--restart=on-failure"]):
        status, _, err = pit.run("-n1", *options, "--", "/bin/true")
        check("foreground" not in err, err)


def own_memory_group():
    """(folder, file of the limit, file of the processes) of a new control group with a limit of 96M."""
    need_root()
    for root, limit in (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        folder = f"{root}/ait-e2e-{os.getpid()}"
        try:
            os.mkdir(folder)
            with open(f"{folder}/{limit}", "r+") as f:  # it exists, in a control group
                f.write(str(96 << 20))
            return folder
        except OSError:
            if os.path.isdir(folder):
                os.rmdir(folder)
    raise Skip("no control group with a limit of memory can be made here")


@scenario
def out_of_memory(pit):
    """The OOM killer is named, with the limit; another's SIGKILL is not taken for its."""
    folder = own_memory_group()
    try:
        hungry = pit.file("hungry.py", "import os, time\n"
                          "open('/proc/self/oom_score_adj', 'w').write('1000')\n"
                          "time.sleep(0.2)\na = []\n"
                          "while True: a.append(os.urandom(1 << 20))\n")
        for command, end in (([PYTHON, hungry], "was killed by SIGKILL"),
                             (["/bin/sh", "-c", f"{PYTHON} {hungry}; exit $?"], "exited with status 137")):
            server = pit.server("-n1", "--backoff=1h..1h", "--sandbox=none", "--", *command,
                                wrapper=["/bin/sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"])
            server.err.wait(r"out of memory: the kernel's OOM killer has ended 1 process of this control group, whose limit is 96M; .*MemoryMax=")
            server.err.wait(rf"{end} \(by the OOM killer\) after")
            server.stop()
        server = pit.server("-n1", "--backoff=1h..1h", "--sandbox=none", "--ready=exec", "--", "/bin/sleep", 1000,
                            wrapper=["/bin/sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"]).wait_ready()
        os.kill(server.wait_workers(1)[0], signal.SIGKILL)
        server.err.wait(r"was killed by SIGKILL \(not by aiotools-sd\) after")
        server.stop()
        check("out of memory" not in server.err.text(), "the OOM killer is blamed")
    finally:
        for _ in range(100):
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.05)


if __name__ == "__main__":
    main()
