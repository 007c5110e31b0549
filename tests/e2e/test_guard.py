# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first process of a server, the guardian, and the start after a sudden death: what a killed server has left is
waited for."""
import os
import signal

from harness import (NOBODY, SANITIZED, Skip, alive, check, check_equal, comm_of, descendants_of, main, need_nobody, need_program,
                     need_root, proc_stat, read_proc, scenario, wait_gone)


def tidy_up(pit):
    """The next server of that name takes over what a killed one has left."""
    pit.notify.messages.clear()
    pit.server("-n1", "--name=shop", *pit.worker()).wait_ready().stop()


# ---- the guardian --------------------------------------------------------------------------------------------

@scenario
def both_are_named(pit):
    """ps(1) shows what the first process is, and whose; the second one is what was started."""
    server = pit.server("-n1", "--name=shop", *pit.worker()).wait_ready()
    command = read_proc(server.pid, "cmdline").rstrip(b"\0").decode()
    check_equal(command, "aiotools-sd: guardian of shop", "its command line")
    check_equal(comm_of(server.pid), "aiotools-guard", "its name")
    check(b"--name=shop" in read_proc(server.supervisor, "cmdline"), "the command line of the supervisor")
    check_equal(proc_stat(server.supervisor)[2], server.supervisor, "the supervisor's session")
    check_equal(proc_stat(server.pid)[2], os.getsid(0), "the guardian's session")
    server.stop()


@scenario
def named_when_the_name_is_known(pit):
    port = pit.port()
    server = pit.server("-n1", f"--listen=127.0.0.1:{port}", *pit.worker()).wait_ready()
    check(read_proc(server.pid, "cmdline").startswith(b"aiotools-sd: guardian of worker-%d" % port), "its title")
    server.stop()


@scenario
def guardian_title_is_cut(pit):
    """To the room that there is: what lies behind it is not touched."""
    server = pit.server("-n1", f"--name={'x' * 40}", "--", "sleep", "1000", env={"PATH": "/usr/bin:/bin"})
    server.err.wait("started")
    check(read_proc(server.pid, "cmdline").startswith(b"aiotools-sd: guardian of xxxxx"), "the title")
    check(b"PATH=/usr/bin:/bin\0" in read_proc(server.pid, "environ") or read_proc(server.pid, "environ") == b"", "its environment")
    server.stop()


@scenario
def exit_status_is_passed_on(pit):
    for status in (0, 3, 255):
        server = pit.server("-n1", "--run-to-completion", "--ready=exec", "--", "sh", "-c", f"exit {status}")
        server.wait_exit(status)
    server = pit.server("-n1", f"--listen={pit.file('absent')}/x.sock", *pit.worker())
    server.wait_exit(78)


@scenario
def signals_of_the_supervisor(pit):
    """However it is killed, all ends at once, and the first process ends of the same signal, with one line."""
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGALRM):
        if SANITIZED and number != signal.SIGKILL:
            continue
        pit.notify.messages.clear()
        server = pit.server("-n2", "--name=shop", "--stop-timeout=1h", *pit.worker("--ignore=TERM", "--daemons=1")).wait_ready()
        doomed = descendants_of(server.pid)
        server.tell(number)
        server.wait_exit(-number)
        check_equal([p for p in doomed if alive(p)], [], "left when the first process has ended")
        check_equal(server.err.text().splitlines()[-1],
                    f"aiotools-sd: the supervisor (process {server.supervisor}) was killed by {number.name}; its workers and what "
                    "they had started have been killed", "its last line")
    tidy_up(pit)


@scenario
def aborted_by_the_manager(pit):
    """systemd sends SIGABRT to the first process, and waits another time-out if nothing comes of it."""
    if SANITIZED:
        return
    server = pit.server("-n1", "--stop-timeout=1h", *pit.worker("--ignore=TERM")).wait_ready()
    os.kill(server.pid, signal.SIGABRT)
    server.wait_exit(-signal.SIGABRT)
    tidy_up(pit)


@scenario
def either_takes_signals(pit):
    """A group of both gets a signal twice; that is no second one of somebody who is in a hurry."""
    for who in ("guardian", "supervisor", "both"):
        pit.notify.messages.clear()
        begun = len(pit.trace.of("exit"))
        server = pit.server("-n2", *pit.worker("--slow-stop=300")).wait_ready()
        for pid, whose in ((server.pid, "guardian"), (server.supervisor, "supervisor")):
            if who in (whose, "both"):
                os.kill(pid, signal.SIGINT)
        server.wait_exit(0)
        check_equal(len(pit.trace.of("exit")), begun + 2, "workers that stopped in order")


@scenario
def interrupted_from_a_terminal(pit):
    """^C is one SIGINT, as the supervisor is in another session."""
    try:
        master, slave = os.openpty()
    except OSError as e:
        raise Skip(f"no terminal can be had: {e.strerror}") from None
    server = pit.server("-n2", *pit.worker("--slow-stop=300"), stdin=slave,
                        wrapper=(need_program("setsid"), "--ctty", "--wait"))
    os.close(slave)
    pit.defer(lambda: os.close(master))
    server.wait_ready()
    os.write(master, b"\3")
    server.wait_exit(0)
    check_equal(len(pit.trace.of("exit")), 2, "workers that stopped in order")
    check("second SIGINT" not in server.err.text(), "a second one")


@scenario
def strangers_live_on(pit):
    """Children that a shell has left to the first process are not the server's."""
    for who in ("nobody", "guardian", "supervisor"):
        pit.notify.messages.clear()
        path = pit.file(f"stranger-{who}")
        server = pit.server("-n1", "--name=shop", "--stop-timeout=200ms", *pit.worker("--daemons=1"),
                            wrapper=("sh", "-c", 'sleep 1000 & echo $! >"$0"; exec "$@"', path)).wait_ready()
        stranger = int(open(path).read())
        doomed = [p for p in descendants_of(server.pid) if p != stranger]
        if who == "nobody":
            server.stop()
        else:
            server.kill(who)
        wait_gone(doomed, f"killed the {who}")
        check(alive(stranger), f"the child of the shell has ended with the {who}")
        os.kill(stranger, signal.SIGKILL)
    tidy_up(pit)


@scenario
def first_process_of_a_namespace(pit):
    """PID 1 of a container cannot die of a signal: 128 + 9. What comes to it is reaped."""
    need_root()
    unshare = need_program("unshare")
    for who, status in (("supervisor", 137), ("term", 0)):
        pit.notify.messages.clear()
        server = pit.server("-n2", "--name=shop", "--stop-timeout=200ms", *pit.worker("--daemons=1"),
                            wrapper=(unshare, "--fork", "--pid", "--mount-proc", "--kill-child"))
        server.wait_ready()
        doomed = descendants_of(server.pid)
        guardian = server.find_guardian()
        if who == "term":
            os.kill(guardian, signal.SIGTERM)
        else:
            server.tell(signal.SIGKILL)
        server.wait_exit(status)
        wait_gone(doomed, "the end of the namespace")
    tidy_up(pit)


# ---- a start after kill -9 -----------------------------------------------------------------------------------

def restart_at_once(pit, listen, *options, rounds=4, **kwargs):
    """kill -9, and the next start at once: it waits until the guardian of the one before has ended its workers."""
    hard = pit.worker("--children=3", "--daemons=3", "--ignore=TERM,INT,QUIT,HUP,USR1,USR2")
    for i in range(rounds):
        server = pit.server("-n4", f"--listen={listen}", *options, *hard, **kwargs).wait_ready()
        pit.notify.messages.clear()
        # Nobody waits for the end of the other.
        os.kill(server.supervisor if i % 2 else server.pid, signal.SIGKILL)
        if i % 2 == 0:
            server.process.wait()
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
