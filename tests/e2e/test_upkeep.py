# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others remove while the server runs: the runtime directory, sockets in it, the paths that it listens on. It is there
again at once, with one warning, and the workers that run are reached through it as before."""
import os
import shutil
import socket
import stat
import time

from harness import (NOBODY, PYTHON, Load, check, check_equal, main, need_nobody, need_root, scenario, stays, wait_for)

REFUSE = os.environ.get("AIT_REFUSE", "")

# Notifies on request: each line of its FIFO is a status.
TALKER = """
import os, socket, sys
def say(text, s=None):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as once:
        once.sendto(text, os.environ["NOTIFY_SOCKET"])
kept = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
kept.connect(os.environ["NOTIFY_SOCKET"])
say(b"READY=1")
for line in open(sys.argv[1]):
    how, text = line.split()
    (kept.send if how == "kept" else say)(b"STATUS=" + text.encode())
"""


class Talker:
    def __init__(self, pit, *options, **kwargs):
        self.fifo = pit.file("fifo")
        os.mkfifo(self.fifo)
        os.chmod(self.fifo, 0o666)
        self.server = pit.server("-n1", "--ready=notify", "--name=shop", *options, "--", PYTHON, "-c", TALKER, self.fifo, **kwargs)
        self.server.wait_ready()
        self.pit = pit
        self.open()

    def open(self):
        """Waits for a reader, who may be another one after a reload."""
        self.pipe = open(self.fifo, "w", buffering=1)
        self.pit.defer(self.pipe.close)

    def says(self, text, how="once"):
        self.pipe.write(f"{how} {text}\n")
        self.server.err.wait(f"status: {text}$")


def count(server, words):
    return sum(words.encode() in line for line in server.err.lines)


def sockets_in(directory):
    return [n for n in os.listdir(directory) if n.startswith("notify-")] if os.path.isdir(directory) else []


# ---- the runtime directory -----------------------------------------------------------------------------------

@scenario
def directory_is_removed(pit):
    """One warning; the running worker notifies as before, whether it has kept a socket connected or not; reload and restart
    work, and a second server of the name is refused."""
    mode = stat.S_IMODE(os.stat(pit.runtime).st_mode)
    talker = Talker(pit)
    server = talker.server
    talker.says("a")
    for i in range(2):
        seen = server.err.mark()
        shutil.rmtree(pit.runtime)
        server.err.wait("the runtime directory .* had been removed; it is there again", since=seen)
        server.err.wait("the notification sockets of 1 workers had been removed", since=seen)
        check_equal(stat.S_IMODE(os.stat(pit.runtime).st_mode), mode, "its mode")
        talker.says(f"b{i}")
        talker.says(f"c{i}", "kept")
    check_equal(count(server, "it is there again"), 2, "warnings")
    status, _, err = pit.run("-n1", "--name=shop", *pit.worker())
    check_equal(status, 71, err)
    check("a server of this name is already running" in err, err)
    server.reload(1)
    talker.open()
    talker.says("d")
    server.stop()


@scenario
def directory_is_removed_at_once_again(pit):
    """Who removes it a moment after it has come meets each step of its repair, also those at which nobody watches it yet."""
    talker = Talker(pit)
    for moment in range(30):
        wait_for("the runtime directory", lambda: os.path.isdir(pit.runtime), step=0)
        time.sleep(moment * 0.0001)
        shutil.rmtree(pit.runtime, ignore_errors=True)
    wait_for("its files", lambda: len(sockets_in(pit.runtime)) == 1 and os.path.exists(os.path.join(pit.runtime, "guardian")))
    talker.says("a")
    talker.server.stop()


def own_directory(pit, options=(), **kwargs):
    """$XDG_RUNTIME_DIR/aiotools-sd/NAME, as an ordinary user; what a logout and a login do."""
    need_nobody()
    home = pit.directory("xdg", 0o700)
    os.chown(home, NOBODY, NOBODY)
    server = pit.server("-n2", "--name=shop", *options, *pit.worker(), env={"XDG_RUNTIME_DIR": home, "RUNTIME_DIRECTORY": ""},
                        uid=NOBODY, **kwargs).wait_ready()
    return server, home


@scenario
def own_directory_is_removed(pit):
    server, home = own_directory(pit)
    for victim in ("aiotools-sd", "aiotools-sd/shop"):
        seen = server.err.mark()
        shutil.rmtree(os.path.join(home, victim))
        server.err.wait("had been removed; it is there again", since=seen)
        wait_for("the sockets", lambda: len(sockets_in(f"{home}/aiotools-sd/shop")) == 2)
        st = os.stat(f"{home}/aiotools-sd/shop")
        check_equal((st.st_uid, stat.S_IMODE(st.st_mode)), (NOBODY, 0o700), "owner and mode")
    server.reload(2)
    server.stop()
    check_equal(os.listdir(home), [], "left behind")


@scenario
def place_is_gone(pit):
    """A logout: not even the place for it is there. Another one is chosen, and the log says so once."""
    server, home = own_directory(pit)
    shutil.rmtree(home)
    server.err.wait(f"the runtime directory {home}/aiotools-sd/shop was removed and cannot be made again; "
                    f"/tmp/aiotools-sd-{NOBODY}/shop takes its place")
    server.reload(2)
    check_equal(len(sockets_in(f"/tmp/aiotools-sd-{NOBODY}/shop")), 2, "sockets")
    check_equal(count(server, "takes its place"), 1, "warnings")
    server.stop()
    check(not os.path.exists(f"/tmp/aiotools-sd-{NOBODY}/shop"), "left behind")


@scenario
def given_place_is_gone(pit):
    """Of a directory that was given there is no other one. It is reported once, tried again, and used when it is there."""
    parent = pit.directory("parent")
    home = os.path.join(parent, "run")
    os.mkdir(home, 0o700)
    server = pit.server("-n2", "--name=shop", *pit.worker(), env={"RUNTIME_DIRECTORY": home}).wait_ready()
    shutil.rmtree(parent)
    server.err.wait("runtime directory .* was removed, and cannot be made again: No such file")
    stays("one error", lambda: count(server, "cannot be made again") == 1)
    os.mkdir(parent)
    server.err.wait("the notification sockets of 2 workers had been removed; they are there again")
    check_equal(len(sockets_in(home)), 2, "sockets")
    server.reload(2)
    server.stop()
    check_equal(os.listdir(home), [], "left behind")


@scenario
def parents_are_moved(pit):
    """Not the directory itself: nothing happens in it."""
    parent = pit.directory("a")
    home = os.path.join(parent, "b", "run")
    os.makedirs(home, 0o700)
    server = pit.server("-n2", "--name=shop", *pit.worker(), env={"RUNTIME_DIRECTORY": home}).wait_ready()
    os.rename(parent, pit.file("aside"))
    server.err.wait("cannot be made again: No such file")
    os.makedirs(os.path.join(parent, "b"))
    server.err.wait("had been removed; it is there again")
    server.reload(2)
    server.stop()
    check_equal(os.listdir(home), [], "left behind")
    shutil.rmtree(pit.file("aside"))


@scenario
def place_is_taken(pit):
    """By a link, a file, or the directory of another user: it is not used, and not touched."""
    need_root()
    parent, elsewhere = pit.directory("parent"), pit.directory("elsewhere")
    home = os.path.join(parent, "run")
    for make in (lambda: os.symlink(elsewhere, home), lambda: open(home, "w").close(),
                 lambda: (os.mkdir(home), os.chown(home, NOBODY, NOBODY))):
        os.mkdir(home, 0o700)
        server = pit.server("-n1", "--name=shop", *pit.worker(), env={"RUNTIME_DIRECTORY": home}).wait_ready()
        pit.notify.messages.clear()
        seen = server.err.mark()
        aside = home + ".aside"
        os.rename(home, aside)
        make()
        server.err.wait("is not a directory, or belongs to another user", since=seen)
        check_equal(os.listdir(elsewhere), [], "where the link leads")
        check(not os.path.isdir(home) or not os.listdir(home), "something in the directory of another")
        server.stop()
        shutil.rmtree(aside)
        os.unlink(home) if not os.path.isdir(home) or os.path.islink(home) else os.rmdir(home)


@scenario
def sockets_and_locks_are_removed(pit):
    """Each alone: a cleaner takes what is old."""
    talker = Talker(pit)
    server = talker.server
    name, = sockets_in(pit.runtime)
    os.unlink(os.path.join(pit.runtime, name))
    server.err.wait("the notification sockets of 1 workers had been removed; they are there again")
    check_equal(sockets_in(pit.runtime), [name], "the socket")
    talker.says("a")
    talker.says("b", "kept")
    for lock in ("lock", "guardian"):
        os.unlink(os.path.join(pit.runtime, lock))
        wait_for(f"the file {lock}", lambda: os.path.exists(os.path.join(pit.runtime, lock)))
    status, _, err = pit.run("-n1", "--name=shop", *pit.worker())
    check_equal(status, 71, err)
    talker.says("c")
    server.stop()


@scenario
def without_inotify(pit):
    """Its limit is used up, or it is refused: the looks are fewer, and each start looks."""
    need_root()
    server = pit.server("-n2", "--name=shop", *pit.worker(), wrapper=[REFUSE, "ENOSYS", "inotify_init1", "--"]).wait_ready()
    shutil.rmtree(pit.runtime)
    server.reload(2)
    server.err.wait("had been removed; it is there again")
    server.stop()


# ---- paths of --listen ---------------------------------------------------------------------------------------

@scenario
def path_is_removed(pit):
    """The workers that run are reached again through it, with the owner and mode that it had; one warning each time."""
    path = pit.file("s.sock")
    server = pit.server("-n2", f"--listen={path}", *pit.worker()).wait_ready()
    workers = server.wait_workers(2)
    os.chmod(path, 0o660)
    inode = os.stat(path).st_ino
    for remove in (os.unlink, lambda p: os.rename(p, p + ".aside"), os.unlink):
        seen = server.err.mark()
        remove(path)
        server.err.wait(r"--listen=.*s\.sock: the file had been removed; it is there again$", since=seen)
        check_equal((os.stat(path).st_ino, stat.S_IMODE(os.stat(path).st_mode)), (inode, 0o660), "the file")
        load = pit.load(path, "-c2", "-n100")
        Load.check_lossless(load.finish(), 100)
    check_equal(count(server, "it is there again"), 3, "warnings")
    check_equal(sorted(server.wait_workers(2)), sorted(workers), "workers")
    os.unlink(path + ".aside")
    server.stop()
    check_equal([n for n in os.listdir(pit.path) if "s.sock" in n], [], "files left")


@scenario
def second_name_is_removed(pit):
    """It is made again, too; and where both are gone, the next workers get another socket."""
    path, spare = pit.file("s.sock"), pit.file(".s.sock.spare")
    server = pit.server("-n1", f"--listen={path}", *pit.worker()).wait_ready()
    os.unlink(spare)
    wait_for("the second name", lambda: os.path.exists(spare))
    os.unlink(path)
    server.err.wait("the file had been removed; it is there again$")
    seen = server.err.mark()
    os.unlink(spare), os.unlink(path)
    server.err.wait("it is there again as another socket.*SIGHUP|it is there again$", since=seen)
    server.reload(1)
    load = pit.load(path, "-c1", "-n20")
    Load.check_lossless(load.finish(), 20)
    server.stop()


@scenario
def path_is_taken(pit):
    """What somebody has bound in its place stays; it is told once, and when that goes, the path comes back."""
    path = pit.file("s.sock")
    server = pit.server("-n1", f"--listen={path}", *pit.worker()).wait_ready()
    other = socket.socket(socket.AF_UNIX)
    other.bind(path + ".new")
    other.listen()
    os.rename(path + ".new", path)
    server.err.wait("another one is in its place, which stays")
    server.reload(1)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        other.accept()[0].close()
    check_equal(count(server, "another one is in its place"), 1, "messages")
    other.close()
    os.unlink(path)
    server.err.wait("the file had been removed; it is there again")
    load = pit.load(path, "-c1", "-n20")
    Load.check_lossless(load.finish(), 20)
    server.stop()


@scenario
def directory_of_path_is_removed(pit):
    """And made again by somebody later. The workers serve those who have got in before."""
    home = pit.directory("sockets")
    path = os.path.join(home, "s.sock")
    server = pit.server("-n1", f"--listen={path}", *pit.worker()).wait_ready()
    load = pit.load(path, "-c1")
    load.wait_ok(10)
    shutil.rmtree(home)
    server.err.wait("the directory does not exist.*it is tried again")
    load.wait_ok(10)
    os.mkdir(home)
    server.err.wait("it is there again as another socket.*SIGHUP")
    load.wait_ok(10)
    Load.check_lossless(load.stop())
    server.reload(1)
    load = pit.load(path, "-c1", "-n20")
    Load.check_lossless(load.finish(), 20)
    server.stop()


if __name__ == "__main__":
    main()
