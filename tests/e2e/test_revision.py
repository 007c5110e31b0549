#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A reload that is rolled back changes nothing, ever: an old worker that dies afterwards comes back as it was, whatever names lead to by then. And a
reload that succeeds has looked everything up again."""
import os
import signal

from harness import (check, check_equal, main, need_root, read_proc, scenario, seconds, status_field, stays, wait_for,
                     wait_gone)

SLOW = ("-n2", "--ready=delay:300ms", "--backoff=10ms..10ms")


def put(path, text, mode=0o755):
    """In one step, as installers do it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


def point(link, target):
    os.symlink(target, link + ".new")
    os.rename(link + ".new", link)


def sleeper(seconds, condition="true"):
    return f"#!/bin/sh\n{condition} || exit 1\nexec sleep {seconds}\n"


def arguments(pid):
    return read_proc(pid, "cmdline").decode().split("\0")[:-1]


def rolled_back(server, change, same):
    """What was changed makes new workers fail: HUP is rolled back, and a killed worker comes back so that same(pid) holds."""
    old = server.wait_workers(2)
    for pid in old:
        wait_for("the worker's program", lambda pid=pid: same(pid))
    change()
    server.send(signal.SIGHUP)
    server.err.wait("reload: rolled-back")
    check_equal(sorted(server.wait_workers(2)), sorted(old), "workers after the roll-back")
    for _ in range(2):
        mark = server.err.mark()
        victim = server.wait_workers(2)[0]
        os.kill(victim, signal.SIGKILL)
        wait_gone([victim], "the killed worker")
        server.err.wait("ready after", since=mark)
        workers = server.wait_workers(2)
        check(victim not in workers and all(map(same, workers)), f"workers {workers} are not what they were\n{server.log()}")


def committed(server, different):
    """What was changed has been mended: HUP brings it."""
    workers = server.reload(2)
    wait_for("the new workers' program", lambda: all(map(different, workers)))
    server.stop()


@scenario
def policy(pit):
    """The issue's own: a policy that kills, appended; kill -9 of an old worker afterwards."""
    base = "policy 1\ninclude service\n"
    path = pit.file("live.policy", base)
    server = pit.server(*SLOW, f"--policy={path}", "--", "sleep", "1000").wait_ready()
    rolled_back(server, lambda: put(path, base + "clock_nanosleep: kill\n"), lambda pid: arguments(pid) == ["sleep", "1000"])
    put(path, base)
    committed(server, lambda pid: arguments(pid) == ["sleep", "1000"])


@scenario
def program(pit):
    """A link to the program, switched to one that fails."""
    good, bad, link = (pit.file(name) for name in ("app-1", "app-2", "app"))
    put(good, sleeper(1001)), put(bad, sleeper(1002, "false"))
    os.symlink(good, link)
    server = pit.server(*SLOW, "--", link).wait_ready()
    rolled_back(server, lambda: point(link, bad), lambda pid: arguments(pid) == ["sleep", "1001"])
    put(bad, sleeper(1002))
    committed(server, lambda pid: arguments(pid) == ["sleep", "1002"])


@scenario
def program_is_installed_over(pit):
    """The file itself is replaced: the old one is gone, and the log says that another is started."""
    app = pit.file("app")
    put(app, sleeper(1001))
    server = pit.server(*SLOW, "--", app).wait_ready()
    workers = server.wait_workers(2)
    victim = workers[0]
    wait_for("the workers' program", lambda: all(arguments(pid) == ["sleep", "1001"] for pid in workers))
    put(app, sleeper(1002))
    os.kill(victim, signal.SIGKILL)
    server.err.wait("has been replaced since generation 0")
    wait_for("the other program", lambda: sorted(arguments(pid)[-1:] for pid in server.workers()) == [["1001"], ["1002"]])
    server.stop()


@scenario
def directory(pit):
    """The commonest of all deployments: --chdir is a link to the current release."""
    one, two, link = pit.directory("release-1"), pit.directory("release-2"), pit.file("current")
    put(one + "/app", sleeper(1001)), put(two + "/app", sleeper(1002, "false"))
    os.symlink(one, link)
    server = pit.server(*SLOW, f"--chdir={link}", "--", "./app").wait_ready()

    def runs(release, seconds):
        return lambda pid: (os.readlink(f"/proc/{pid}/cwd"), arguments(pid)) == (release, ["sleep", seconds])

    rolled_back(server, lambda: point(link, two), runs(one, "1001"))
    put(two + "/app", sleeper(1002))
    committed(server, runs(two, "1002"))


@scenario
def environment_file(pit):
    """The file makes workers fail; --env beats it, as ever."""
    path = pit.file("env")
    put(path, "# of the site\nMODE='good'\nOTHER=file\n", 0o600)
    app = pit.file("app")
    put(app, sleeper(1000, '[ "$MODE" != bad ]'))
    server = pit.server(*SLOW, f"--env-file={path}", "--env=OTHER=option", "--", app).wait_ready()

    def has(mode):
        return lambda pid: {f"MODE={mode}", "OTHER=option"} <= set(read_proc(pid, "environ").decode().split("\0"))

    rolled_back(server, lambda: put(path, "MODE=bad\n", 0o600), has("good"))
    put(path, "MODE=better\n", 0o600)
    committed(server, has("better"))


@scenario
def account(pit):
    """The user has another number by then, with which the program fails. In a mount namespace with a user database of its own."""
    need_root()
    passwd = pit.file("passwd", "root:x:0:0::/root:/bin/sh\nsite:x:5001:5001::/:/bin/sh\n")
    app = pit.file("app")
    put(app, sleeper(1000, '[ "$(id -u)" != 5002 ]'))
    wrapper = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', passwd)
    server = pit.server(*SLOW, "--user=site", "--", app, wrapper=wrapper).wait_ready()

    def number(uid):
        """Of the database that the server sees: the file itself is what is mounted."""
        with open(passwd, "r+", encoding="utf-8") as file:
            text = file.read()
            file.seek(0)
            file.write(text.replace(":5001:", f":{uid}:", 1).replace(":5002:", f":{uid}:", 1))
            file.truncate()

    def runs_as(uid):
        return lambda pid: status_field(pid, "Uid").split()[0] == str(uid)

    rolled_back(server, lambda: number(5002), runs_as(5001))
    put(app, sleeper(1000))
    committed(server, runs_as(5002))


@scenario
def refused(pit):
    """What cannot even be looked up refuses the reload, and says so."""
    link, release = pit.file("current"), pit.directory("release")
    put(release + "/app", sleeper(1000))
    os.symlink(release, link)
    server = pit.server(*SLOW, f"--chdir={link}", "--", "./app").wait_ready()
    old = server.wait_workers(2)
    os.unlink(link)
    server.send(signal.SIGHUP)
    server.err.wait("reload: refused, all workers keep running unchanged: --chdir=")
    check_equal(sorted(server.workers()), sorted(old), "workers")
    os.symlink(release, link)
    server.reload(2)
    server.stop()


def only_worker_ends(pit, *options):
    """The one worker that there is ends for good while its replacement starts: that one may mend it, and nothing is over before it is."""
    server = pit.server("-n1", "--ready=notify", *options, *pit.worker(f"--ready-if={pit.file('gate', '')}")).wait_ready()
    old, = server.wait_workers(1)
    os.unlink(pit.file("gate"))
    server.send(signal.SIGHUP)
    pit.trace.wait("start", 2)
    os.kill(old, signal.SIGKILL)
    wait_gone([old], "the killed worker")
    return server


def mended(pit, *options):
    server = only_worker_ends(pit, *options)
    stays("the server runs", lambda: not server.gone())
    pit.file("gate", "")
    server.err.wait("reload: done")
    server.wait_workers(1)
    server.stop()


@scenario
def given_up_and_mended(pit):
    mended(pit, "--give-up=1/1min")


@scenario
def ended_and_mended(pit):
    mended(pit, "--restart=no")


@scenario
def given_up_and_not_mended(pit):
    """The replacement is never ready: then it is over."""
    server = only_worker_ends(pit, "--give-up=1/1min", f"--start-timeout={seconds(1)}")
    server.wait_exit(69)


if __name__ == "__main__":
    main()
