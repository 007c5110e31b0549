# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guardian, and the start after a sudden death: no worker runs unguarded, and what a killed server has left is waited
for."""
import os
import re
import signal

from harness import (NOBODY, SANITIZED, check, check_equal, comm_of, main, need_nobody, proc_stat, read_proc, scenario, stays,
                     wait_for, wait_gone)


def kill_guardian(server, n=1):
    """One after the other, each as soon as it stands guard, which it does asleep."""
    for _ in range(n):
        guardian, = wait_for(lambda: f"a guardian\n{server.log()}",
                             lambda: [g for g in server.guardians() if (proc_stat(g) or (0, ""))[1] == "S"])
        os.kill(guardian, signal.SIGKILL)
        wait_gone([guardian], "the guardian")


# ---- the guardian --------------------------------------------------------------------------------------------

@scenario
def guardian_is_named(pit):
    """ps(1) shows what the second process is, and whose."""
    server = pit.server("-n1", "--name=shop", *pit.worker()).wait_ready()
    guardian, = server.guardians()
    command = read_proc(guardian, "cmdline").rstrip(b"\0").decode()
    check_equal(command, "aiotools-sd: guardian of shop", "its command line")
    check_equal(comm_of(guardian), "aiotools-guard", "its name")
    check_equal(proc_stat(guardian)[2], guardian, "its session")
    server.stop()


@scenario
def guardian_title_is_cut(pit):
    """To the room that there is: what lies behind it is not touched."""
    server = pit.server("-n1", f"--name={'x' * 40}", "--", "sleep", "1000", env={"PATH": "/usr/bin:/bin"})
    server.err.wait("started")
    guardian, = server.guardians()
    check(read_proc(guardian, "cmdline").startswith(b"aiotools-sd: guardian of xxxxx"), "the title")
    check(b"PATH=/usr/bin:/bin\0" in read_proc(guardian, "environ") or read_proc(guardian, "environ") == b"", "its environment")
    server.stop()


@scenario
def guardian_dies_again_and_again(pit):
    """The first is replaced at once, the next ones later and later; the workers serve on."""
    server = pit.server("-n2", *pit.worker()).wait_ready()
    workers = server.wait_workers(2)
    kill_guardian(server)
    server.err.wait("the guardian was killed by SIGKILL; starting another$")
    for _ in range(4):
        seen = server.err.mark()
        kill_guardian(server)
        # One that is killed before it has reported has not been started.
        server.err.wait("the guardian was killed by SIGKILL; starting another in .*, and no worker before that|"
                        "cannot start the guardian", since=seen)
    pauses = re.findall("starting another in ([^ ,]*),", b"".join(server.err.lines).decode())
    steps = ["100ms", "200ms", "400ms", "800ms", "1.60s", "3.20s"]
    check(pauses and set(pauses) <= set(steps) and sorted(set(pauses), key=steps.index) == pauses, f"pauses {pauses}")
    check_equal(sorted(server.workers()), sorted(workers), "workers")
    wait_for("a guardian", server.guardians)
    server.kill()
    wait_gone(workers, "a worker after the kill")
    pit.wait_nothing_left()
    for name in os.listdir(pit.runtime):
        os.unlink(os.path.join(pit.runtime, name))


@scenario
def nothing_starts_unguarded(pit):
    """While there is no guardian, a dead worker is not replaced, and a stop is obeyed all the same."""
    server = pit.server("-n1", "--stable=1ms", "--backoff=1ms..1ms", *pit.worker()).wait_ready()
    worker, = server.wait_workers(1)
    kill_guardian(server, 6)
    server.err.wait("starting another in 1.60s")
    os.kill(worker, signal.SIGKILL)
    server.err.wait(r"slot 0.*was killed by SIGKILL")
    stays("no worker", lambda: not server.workers() or server.guardians())
    server.wait_workers(1)
    check(server.guardians(), "a worker without a guardian")
    kill_guardian(server)
    os.kill(server.wait_workers(1)[0], signal.SIGKILL)
    server.err.wait("starting another in 3.20s")
    server.stop()


@scenario
def not_ready_unguarded(pit):
    """Neither the log nor the service manager hears of a server that is ready while nothing guards it."""
    gate = pit.file("gate")
    server = pit.server("-n1", "--ready=notify", *pit.worker(f"--ready-if={gate}"))
    pit.trace.wait("start")
    kill_guardian(server, 6)
    server.err.wait("starting another in 1.60s")
    pit.file("gate", "")
    server.err.wait("ready after")
    check(not server.guardians(), "there is a guardian already: the test was too slow")
    stays("not ready", lambda: server.guardians() or not pit.notify.find("READY"))
    pit.notify.wait("READY", "1")
    check(server.guardians(), "ready, and no guardian")
    server.err.wait("all 1 workers are ready")
    server.stop()


# ---- a start after kill -9 -----------------------------------------------------------------------------------

def restart_at_once(pit, listen, *options, rounds=4, **kwargs):
    """kill -9, and the next start at once: it waits until the guardian of the one before has ended its workers."""
    hard = pit.worker("--children=3", "--daemons=3", "--ignore=TERM,INT,QUIT,HUP,USR1,USR2")
    for _ in range(rounds):
        server = pit.server("-n4", f"--listen={listen}", *options, *hard, **kwargs).wait_ready()
        pit.notify.messages.clear()
        server.kill()
    server = pit.server("-n1", f"--listen={listen}", *options, *pit.worker(), **kwargs).wait_ready()
    load = pit.load(listen, "-n20")
    check_equal(load.finish()["ok"], 20, "served after the restart")
    server.stop()
    pit.note(f"{rounds} kills")


@scenario
def restart_tcp(pit):
    restart_at_once(pit, f"127.0.0.1:{pit.port()}")


@scenario
def restart_tcp_named(pit):
    restart_at_once(pit, f"127.0.0.1:{pit.port()}", "--name=shop")


@scenario
def restart_tcp_shared(pit):
    restart_at_once(pit, f"127.0.0.1:{pit.port()}", "--listeners=shared")


@scenario
def restart_unix(pit):
    restart_at_once(pit, pit.file("x.sock"), "--name=shop")


@scenario
def restart_as_user(pit):
    need_nobody()
    os.chmod(pit.directory("sockets"), 0o777)
    restart_at_once(pit, pit.file("sockets/x.sock"), uid=NOBODY)
    restart_at_once(pit, f"127.0.0.1:{pit.port()}", uid=NOBODY, rounds=2)


@scenario
def restart_by_another_name(pit):
    """The port is what they have in common; locks and directory differ."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n4", f"--listen={listen}", "--name=one", *pit.worker("--children=3", "--daemons=3")).wait_ready()
    pit.notify.messages.clear()
    server.kill()
    other = pit.directory("other")
    server = pit.server("-n1", f"--listen={listen}", "--name=two", *pit.worker(), env={"RUNTIME_DIRECTORY": other}).wait_ready()
    server.stop()
    check_equal(os.listdir(other), [], "left in the runtime directory")
    for name in os.listdir(pit.runtime):
        os.unlink(os.path.join(pit.runtime, name))


@scenario
def restart_without_sockets(pit):
    """Nothing but the name: the new workers do not run beside the old ones."""
    server = pit.server("-n2", "--name=queue", *pit.worker("--children=2", "--daemons=2")).wait_ready()
    old = server.wait_workers(2)
    pit.notify.messages.clear()
    server.kill()
    server = pit.server("-n1", "--name=queue", *pit.worker()).wait_ready()
    check(not [p for p in old if (proc_stat(p) or (0, "Z"))[1] not in "ZX"], "an old worker beside the new one")
    server.stop()


@scenario
def running_server_is_not_waited_for(pit):
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n1", f"--listen={listen}", "--name=one", *pit.worker()).wait_ready()
    for options, words in (([f"--listen={listen}"], "address already in use"), (["--name=one"], "a server of this name is already running")):
        status, _, err = pit.run("-n1", *options, *pit.worker(), patience=2 if not SANITIZED else None)
        check_equal(status, 71, err)
        check(words in err, err)
    server.stop()


if __name__ == "__main__":
    main()
