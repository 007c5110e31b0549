#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How workers end that are more than one process: what the main process leaves behind is asked to stop, too, has the
rest of the time, and is named where it has to be killed."""
import os
import re
import signal
import time

from harness import (Load, WORKER, alive, check, check_equal, check_within, main, need_program, scenario, stays,
                     wait_gone)

# Says that it got TERM, and goes on for as long as $1 says.
CHILD = """child() { trap "echo child got TERM; sleep $1; echo child ends; exit" TERM
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
    check("killed" not in server.err.text(), "somebody was killed")


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
    seen = server.out.mark()
    os.kill(victim, signal.SIGKILL)
    server.out.wait("child ends")
    server.out.wait("go", since=seen)
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
    server.stop()
    text = server.err.text()
    check("warning: workers run as root" in text or "warning" not in text, "a warning")
    check("killed" not in text and "cat[" not in text, "the log is noisy")
    check("line 2 of slot 0" in server.out.text(), "the helper's output")


@scenario
def daemons_nobody_recognises(pit):
    """A session and an environment of their own: they end with the server, in order, or are named."""
    done = pit.file("done")
    server = pit.server("-n1", "--ready=exec", *shell(
        f"env -i setsid sh -c 'trap \"sleep 0.2; echo yes > {done}; exit\" TERM; while :; do sleep 0.02; done' &"
        "env -i setsid sh -c 'trap : TERM; while :; do sleep 0.02; done' &"
        "sleep 0.3; echo go; exec sleep 1000"))
    server.out.wait("go")
    server.stop()
    check(os.path.exists(done), "the daemon was not asked")
    check(re.search(r"were left behind by workers, and are killed: .*sh\[\d+\]", server.err.text()), "nobody was named")


if __name__ == "__main__":
    main()
