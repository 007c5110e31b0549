# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a worker finds when it starts: environment, descriptors, credentials, sandbox, sockets of its own and inherited."""
import os
import re
import socket

from harness import (APPS, CMD, NOBODY, PYTHON, WORKER, check, check_equal, main, milliseconds, need_nobody, scenario, stays,
                     wait_for)


class Dump:
    """What worker.c wrote about one worker."""

    def __init__(self, directory, pid):
        self.pid = pid
        self.text = {k: self.read(directory, k) for k in ("fds", "environ", "status", "misc")}
        self.environ = dict(line.split("=", 1) for line in self.text["environ"].splitlines() if "=" in line)
        self.fds = {int(a): b for a, b in (line.split(" ", 1) for line in self.text["fds"].splitlines())}
        self.misc = dict(line.split(" ", 1) for line in self.text["misc"].splitlines())

    def read(self, directory, kind):
        with open(f"{directory}/{kind}.{self.pid}", errors="replace") as f:
            return f.read()

    def status(self, name):
        return re.search(rf"^{name}:[ \t]*(.*)$", self.text["status"], re.M).group(1)


def dumps(pit, *arguments, n=2, **kwargs):
    """Starts n workers that write down what they see. (server, [Dump] by slot)"""
    directory = pit.file("dump")
    if not os.path.isdir(directory):
        os.chmod(pit.directory("dump"), 0o777)
    pit.notify.messages.clear()
    server = pit.server(f"-n{n}", *arguments, *pit.worker(f"--dump={directory}"), **kwargs).wait_ready()
    found = [Dump(directory, pid) for pid in server.wait_workers(n)]
    return server, sorted(found, key=lambda d: int(d.environ["AIOTOOLS_SD_SLOT"]))


@scenario
def environment(pit):
    server, found = dumps(pit, "--name=shop", f"--listen=web=127.0.0.1:{pit.port()}", f"--listen={pit.file('x.sock')}",
                          "--env=COLOUR=green", "--env=EMPTY=", "--env=COLOUR=blue=ish",
                          env={"OUTER": "stays", "AIOTOOLS_SD_SLOT": "77", "WATCHDOG_USEC": "1000000", "LISTEN_FDS": "9"})
    for slot, d in enumerate(found):
        e = d.environ
        check_equal((e["LISTEN_PID"], e["LISTEN_FDS"]), (str(d.pid), "2"), "LISTEN_PID, LISTEN_FDS")
        names = e["LISTEN_FDNAMES"].split(":")
        check_equal((len(names), names[0]), (2, "web"), f"LISTEN_FDNAMES {names}")
        check_equal((e["AIOTOOLS_SD_PROTO"], e["AIOTOOLS_SD_NAME"], e["AIOTOOLS_SD_SLOT"], e["AIOTOOLS_SD_WORKERS"]),
                    ("1", "shop", str(slot), "2"), "AIOTOOLS_SD_*")
        check(e["AIOTOOLS_SD_GENERATION"].isdigit(), e["AIOTOOLS_SD_GENERATION"])
        check_equal((e["COLOUR"], e["EMPTY"], e["OUTER"]), ("blue=ish", "", "stays"), "--env and what was there")
        check("WATCHDOG_USEC" not in e and "WATCHDOG_PID" not in e, "a watchdog that nobody asked for")
        check(e["NOTIFY_SOCKET"] != pit.notify.path, "NOTIFY_SOCKET is the supervisor's")
    check(found[0].environ["NOTIFY_SOCKET"] != found[1].environ["NOTIFY_SOCKET"], "NOTIFY_SOCKET is not private")
    before = found[0].environ["AIOTOOLS_SD_GENERATION"]
    workers = server.reload(2)
    after = Dump(pit.file("dump"), workers[0]).environ["AIOTOOLS_SD_GENERATION"]
    check(int(after) > int(before), f"generation {before}, after a reload {after}")
    server.stop()


@scenario
def environment_without_sockets(pit):
    server, found = dumps(pit)
    for d in found:
        check(not [k for k in d.environ if k.startswith("LISTEN_")], f"LISTEN_* without a socket: {d.environ}")
    server.stop()


@scenario
def descriptors(pit):
    """0, 1, 2, the sockets, and nothing else: whatever the supervisor itself was given or has opened."""
    leaky = f'exec 7</dev/null 8>{pit.file("leak", "")} 9</; exec "$@"'
    server, found = dumps(pit, f"--listen=127.0.0.1:{pit.port()}", f"--listen={pit.file('x.sock')}", n=4,
                          wrapper=["/bin/sh", "-c", leaky, "sh"])
    for d in found:
        check_equal(sorted(d.fds), [0, 1, 2, 3, 4], f"descriptors {d.fds}")
        check_equal(d.fds[0], "/dev/null", "stdin")
        check(d.fds[1].startswith("pipe:") or d.fds[1].startswith("socket:"), f"stdout {d.fds[1]}")
        check(all(d.fds[i].startswith("socket:") for i in (3, 4)), f"sockets {d.fds}")
    check_equal(len({d.fds[1] for d in found}), 4, "stdouts")
    check_equal(len({d.fds[3] for d in found}), 4, "TCP listeners, one a slot")
    check_equal(len({d.fds[4] for d in found}), 1, "unix listeners, one for all")
    server.reload(4)
    server.stop()


@scenario
def descriptors_with_ready_fd(pit):
    directory = pit.directory("dump", 0o777)
    server = pit.server("-n1", f"--listen=127.0.0.1:{pit.port()}", "--ready=fd:9",
                        *pit.worker(f"--dump={directory}", "--ready=fd:9")).wait_ready()
    d = Dump(directory, server.wait_workers(1)[0])
    check_equal(sorted(d.fds), [0, 1, 2, 3, 9], f"descriptors {d.fds}")
    server.stop()


@scenario
def order_of_sockets(pit):
    """As on the command line."""
    ports = [pit.port() for _ in range(3)]
    server, found = dumps(pit, *[f"--listen=n{i}=127.0.0.1:{p}" for i, p in enumerate(ports)], n=1)
    check_equal(found[0].environ["LISTEN_FDNAMES"], "n0:n1:n2", "LISTEN_FDNAMES")
    with open("/proc/net/tcp") as f:
        inodes = {line.split()[9]: int(line.split()[1].split(":")[1], 16) for line in list(f)[1:] if line.split()[3] == "0A"}
    got = [inodes.get(found[0].fds[3 + i][8:-1]) for i in range(3)]
    check_equal(got, ports, "ports of fd 3, 4, 5")
    server.stop()


@scenario
def both_families(pit):
    """A port alone is [::]: IPv4 and IPv6."""
    port = pit.port()
    server = pit.server("-n2", f"--listen={port}", *pit.worker()).wait_ready()
    for host in ("127.0.0.1", "[::1]"):
        check_equal(pit.load(f"{host}:{port}", "-n50", "-C").finish()["ok"], 50, f"served on {host}")
    server.stop()


@scenario
def datagram_and_seqpacket(pit):
    server, found = dumps(pit, f"--listen=udp:127.0.0.1:{pit.port(socket.SOCK_DGRAM)}",
                          f"--listen=seqpacket:{pit.file('s.sock')}", n=2)
    for d in found:
        check_equal(sorted(d.fds), [0, 1, 2, 3, 4], f"descriptors {d.fds}")
    check_equal(len({d.fds[3] for d in found}), 2, "UDP sockets, one a slot")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(pit.file("s.sock"))
    server.stop()


@scenario
def process_state(pit):
    """No signal blocked or ignored, a session and a process group of its own."""
    ignoring = 'trap "" USR1 HUP PIPE; exec "$@"'
    server, found = dumps(pit, wrapper=["/bin/sh", "-c", ignoring, "sh"])
    for d in found:
        check_equal(int(d.status("SigBlk"), 16), 0, "blocked signals")
        check_equal(int(d.status("SigIgn"), 16), 0, "ignored signals")
        check_equal((d.misc["pgid"], d.misc["sid"]), (str(d.pid), str(d.pid)), "process group and session")
        check_equal(d.misc["cwd"], pit.path, "working directory")
    server.stop()


@scenario
def sandbox(pit):
    """On by default, off when told."""
    server, found = dumps(pit, n=1)
    check_equal((found[0].status("NoNewPrivs"), found[0].status("Seccomp")), ("1", "2"), "NoNewPrivs, Seccomp")
    server.stop()
    server, found = dumps(pit, "--sandbox=none", n=1)
    check_equal(found[0].status("Seccomp"), "0", "Seccomp with --sandbox=none")
    server.stop()


@scenario
def sandbox_denies(pit):
    """A first taste of the service preset, by what a shell can try; its own tests have the rest."""
    script = 'mount -t tmpfs none /mnt 2>&1; echo "mount $?"; unshare -U true 2>&1; echo "userns $?"; echo >$DONE; sleep 100'
    done = pit.file("done")
    server = pit.server("-n1", f"--env=DONE={done}", "--ready=exec", "--", "/bin/sh", "-c", script)
    server.out.wait(r"mount ([1-9]\d*)$")
    server.out.wait(r"userns ([1-9]\d*)$")
    server.stop()


@scenario
def user_and_group(pit):
    need_nobody()
    server, found = dumps(pit, "--user=nobody", f"--chdir={pit.directory('home')}")
    for d in found:
        check_equal((d.misc["uid"], d.misc["gid"]), (str(NOBODY), str(NOBODY)), "uid, gid")
        check_equal(d.status("Uid").split(), [str(NOBODY)] * 4, "all four uids")
        check_equal(d.status("Groups").split() in ([], [str(NOBODY)]), True, f"groups {d.status('Groups')}")
        check_equal(int(d.status("CapEff"), 16), 0, "effective capabilities")
        check_equal(int(d.status("CapPrm"), 16), 0, "permitted capabilities")
        check_equal(d.misc["cwd"], pit.file("home"), "working directory")
        check_equal((d.environ.get("USER"), d.environ.get("LOGNAME")), ("nobody", "nobody"), "USER, LOGNAME")
    server.reload(2)
    server.stop()
    server, found = dumps(pit, f"--user={NOBODY}", "--group=daemon", n=1)
    check_equal((found[0].misc["uid"], found[0].misc["gid"]), (str(NOBODY), "1"), "uid, gid")
    server.stop()


@scenario
def user_may_use_the_sockets(pit):
    """Low ports and unix sockets are opened before the privileges go; the socket can be reached."""
    need_nobody()
    path = pit.file("x.sock")
    server = pit.server("-n2", "--user=nobody", "--listen=127.0.0.1:81", f"--listen={path}", *pit.worker())
    server.wait_ready()
    for target in ("127.0.0.1:81", path):
        check_equal(pit.load(target, "-n50", "-C").finish()["ok"], 50, f"served on {target}")
    server.stop()


@scenario
def ordinary_user(pit):
    need_nobody()
    listen = f"127.0.0.1:{pit.port()}"
    server, found = dumps(pit, f"--listen={listen}", uid=NOBODY)
    check_equal({d.misc["uid"] for d in found}, {str(NOBODY)}, "uids")
    check_equal(found[0].status("Seccomp"), "2", "Seccomp")
    load = pit.load(listen, "-c4")
    load.wait_ok(50)
    server.reload(2)
    load.wait_ok(50)
    load.check_lossless(load.stop())
    server.stop()


# ---- sockets from above --------------------------------------------------------------------------------------

def activate(*addresses, **options):
    return [PYTHON, f"{APPS}/activate.py", *[f"--{k}={v}" for k, v in options.items()], *addresses, "--"]


@scenario
def inherited(pit):
    """In the order given, before those of --listen; shared, and reloaded without loss."""
    first, second, third = (f"127.0.0.1:{pit.port()}" for _ in range(3))
    server, found = dumps(pit, f"--listen=own={third}", wrapper=activate(first, second, names="a:b"))
    for d in found:
        check_equal((d.environ["LISTEN_FDS"], d.environ["LISTEN_FDNAMES"]), ("3", "a:b:own"), "LISTEN_FDS, names")
        check_equal(sorted(d.fds), [0, 1, 2, 3, 4, 5], f"descriptors {d.fds}")
    check_equal([len({d.fds[i] for d in found}) for i in (3, 4, 5)], [1, 1, 2], "different sockets of two slots")
    loads = [pit.load(a, "-c4", "-C", "-p1") for a in (first, second, third)]
    for load in loads:
        load.wait_ok(20)
    server.reload(2)
    for load in loads:
        load.wait_ok(20)
        load.check_lossless(load.stop())
    server.stop()


@scenario
def inherited_matches(pit):
    """A --listen that an inherited socket matches, by address or by name, opens nothing."""
    tcp, path = f"127.0.0.1:{pit.port()}", pit.file("x.sock")
    for options, names in (([f"--listen={path}", f"--listen={tcp}"], "a:b"), ([f"--listen=a={tcp}"], "a:b"),
                           ([f"--listen=b={path}", f"--listen=a={tcp}"], "a:b")):
        server, found = dumps(pit, *options, wrapper=activate(tcp, path, names=names), n=1)
        check_equal((found[0].environ["LISTEN_FDS"], found[0].environ["LISTEN_FDNAMES"]), ("2", names), f"{options}")
        server.stop()
        check(os.path.exists(path), "an inherited socket's file was removed: it is not ours")
        os.unlink(path)


@scenario
def inherited_name_with_other_address(pit):
    status, _, err = pit.run(f"--listen=web=127.0.0.1:{pit.port()}", *pit.worker(),
                             wrapper=activate(f"127.0.0.1:{pit.port()}", names="web"), patience=10)
    check_equal((status, len(err.splitlines())), (78, 1), f"exit status, lines: {err}")
    check("web" in err, err)


@scenario
def inherited_for_somebody_else(pit):
    """LISTEN_PID is not ours: the variables are ignored, and the descriptors reach no worker."""
    listen = f"127.0.0.1:{pit.port()}"
    server, found = dumps(pit, f"--listen={listen}", n=1, wrapper=activate(f"127.0.0.1:{pit.port()}", pid=1))
    check_equal((found[0].environ["LISTEN_FDS"], sorted(found[0].fds)), ("1", [0, 1, 2, 3]), "LISTEN_FDS, descriptors")
    server.stop()


@scenario
def inherited_cannot_be_slots(pit):
    address = f"127.0.0.1:{pit.port()}"
    status, _, err = pit.run("--listeners=slot", f"--listen={address}", *pit.worker(), wrapper=activate(address),
                             patience=10)
    check_equal((status, len(err.splitlines())), (64, 1), f"exit status, lines: {err}")


@scenario
def under_itself(pit):
    """A supervisor whose worker is a supervisor: the inner one takes its sockets from above, and both stop in order."""
    listen = f"127.0.0.1:{pit.port()}"
    home = pit.directory("inner", 0o777)
    # Both inner ones live for a moment during a reload, so each needs a directory of its own.
    script = f'export RUNTIME_DIRECTORY={home}/$$; mkdir $RUNTIME_DIRECTORY; exec "$@"'
    server = pit.server("--name=outer", "-n1", f"--listen={listen}", "--", "/bin/sh", "-c", script, "sh", CMD, "run",
                        "--name=inner", "-n2", *pit.worker()).wait_ready()
    check_equal(pit.load(listen, "-n50", "-C").finish()["ok"], 50, "served")
    pit.trace.wait("ready", 2)
    load = pit.load(listen, "-c4", "-p1")
    load.wait_ok(50)
    server.reload(1)
    load.wait_ok(50)
    load.check_lossless(load.stop())
    server.stop()
    wait_for("all to end", lambda: not pit.left())


# ---- a worker's own misuse of what it was given --------------------------------------------------------------

@scenario
def worker_shuts_its_listener_down(pit):
    """shutdown(2) on a listener kills it for all who hold it: noticed, and listened on again."""
    listen = f"127.0.0.1:{pit.port()}"
    script = ('import os, socket, signal\ns = socket.socket(fileno=3)\n'
              f'if os.path.exists({pit.file("harm")!r}):\n    os.unlink({pit.file("harm")!r})\n'
              '    s.shutdown(socket.SHUT_RDWR)\n    os._exit(1)\n'
              f'os.execv({WORKER!r}, ["worker", "--trace={pit.trace.path}"])\n')
    server = pit.server("-n1", f"--listen={listen}", "--backoff=1ms..5ms", "--stable=1ms", "--", PYTHON, "-IS", "-c", script)
    server.wait_ready()
    pit.file("harm", "", 0o666)
    os.kill(server.wait_workers(1)[0], 9)
    pit.trace.wait("ready", 2)
    check_equal(pit.load(listen, "-n20", "-c2", f"-t{milliseconds(5)}").finish()["ok"], 20, "served after a shutdown of the listener")
    server.stop()


@scenario
def forged_notifications(pit):
    """Another slot's socket: a sender that does not belong there is not believed."""
    directory = pit.directory("dump", 0o777)
    gate = pit.file("gate")
    server = pit.server("-n2", "--ready=notify", *pit.worker(f"--dump={directory}", f"--ready-if={gate}"))
    pit.trace.wait("start", 2)
    found = [Dump(directory, pid) for pid in server.wait_workers(2)]
    for d in found:
        for text in (b"READY=1", b"READY=1\n" * 200, b"\xff\xfe=\x00", b"", b"X" * 60000, b"READY=1\nEXTEND_TIMEOUT_USEC=-1"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.setblocking(False)
                try:
                    s.sendto(text, d.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
                except OSError:
                    pass  # refused at once is as good
    stays("not ready by our word", lambda: not pit.notify.find("READY"))
    check(not server.gone(), "ended by a forged notification")
    pit.file("gate", "")
    server.wait_ready().stop()


if __name__ == "__main__":
    main()
