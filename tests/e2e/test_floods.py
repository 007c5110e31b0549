# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that floods the supervisor is slowed, and nobody else: the other slots are served, signals are answered."""
import os
import re
import select
import signal
import subprocess
import threading
import time
import tty

from harness import PYTHON, SANITIZED, Skip, bound, check, check_equal, comm_of, main, need_program, need_root, proc_stat, read_proc, scenario, wait_for

FLOODER = os.environ.get("AIT_FLOODER", "")
TICKS = os.sysconf("SC_CLK_TCK")
N_ORPHANS = 100 if SANITIZED else 300


def cpu(pid):
    """Seconds of CPU time that a process has used."""
    fields = read_proc(pid, "stat").decode().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def worker_of(server, slot):
    """Its pid, as the log says."""
    server.err.wait(f"slot {slot}, pid [0-9]+: started$")
    text = bytes(server.err.raw).decode()
    started = [line for line in text.splitlines() if f"slot {slot}, pid " in line and line.endswith(": started")]
    return int(started[-1].split("pid ")[1].split(":")[0])


def others_live(pit, server, said):
    """Slot 1 is replaced when it dies, the server goes on and ends, and it has hardly been busy."""
    server.err.wait(said)
    before, begun = cpu(server.supervisor), os.times().elapsed
    for _ in range(3):
        old = worker_of(server, 1)
        os.kill(old, signal.SIGKILL)
        wait_for("another worker in slot 1", lambda: worker_of(server, 1) != old)
    new = worker_of(server, 1)
    server.err.wait(rf"slot 1, pid {new}: ready")
    wait_for("a second", lambda: os.times().elapsed - begun > 1)
    share = (cpu(server.supervisor) - before) / (os.times().elapsed - begun)
    server.stop(patience=10)
    pit.note(f"the supervisor used {share * 100:.0f} % of a CPU")
    check(share < 0.6 or SANITIZED, f"the supervisor used {share * 100:.0f} % of a CPU")


def flooded(pit, *arguments, slots=2):
    return pit.server(f"-n{slots}", "--name=web", "--ready=notify", "--backoff=10ms..10ms", "--give-up=100/1min", "--", FLOODER,
                      *arguments).wait_ready()


@scenario
def notifications(pit):
    server = flooded(pit, "notify", 4, "READY=1")
    others_live(pit, server, r"slot 0, pid \d+: warning: floods its notification socket: \d+ notifications in ")
    told = server.err.text().count("floods its notification")
    check(told == 1, f"told {told} times")


@scenario
def big_notifications(pit):
    others_live(pit, flooded(pit, "empty", 4), "floods its notification socket")


@scenario
def status_texts(pit):
    """Each is a line of ours in the log: the first ones are, and then one a second."""
    server = flooded(pit, "notify", 2, "STATUS=busy")
    others_live(pit, server, "floods its notification socket")
    said = server.err.text().count("status: busy")
    check(32 <= said < 32 + bound(30), f"{said} lines")


@scenario
def every_kind(pit):
    """Whatever can be said."""
    text = "STOPPING=1\nSTATUS=x\nEXTEND_TIMEOUT_USEC=1000000\nWATCHDOG=1\nRELOADING=1\nBARRIER=1\nX_AIOTOOLS_REQUESTS=1"
    server = flooded(pit, "notify", 4, text)
    others_live(pit, server, "floods its notification socket")
    said = server.err.text().count("slot 0, pid")
    check(said < 60 + bound(30), f"{said} lines of slot 0")


@scenario
def denied_calls(pit):
    """Whoever makes very many waits for the answers."""
    server = pit.server("-n2", "--name=web", "--ready=notify", "--deny=explain", "--backoff=10ms..10ms", "--give-up=100/1min", "--",
                        FLOODER, "deny", 8).wait_ready()
    others_live(pit, server, "sandbox denied mount")


@scenario
def orphans(pit):
    """Each death is a signal to the supervisor, which does not look at all that live for each of them."""
    server = flooded(pit, "orphans", N_ORPHANS)
    server.out.wait(rf"{N_ORPHANS} orphans")
    others_live(pit, server, "ready")


@scenario
def dead_orphans(pit):
    """They are reaped, also behind a worker that has died and is not reaped for long."""
    script = ('[ $AIOTOOLS_SD_SLOT = 0 ] || exec sleep 1000; (trap "" TERM; sleep 1000) & '
              'i=0; while [ $i -lt 50 ]; do (sleep 0.0$i & exit 0); i=$((i+1)); done; trap "exit 0" TERM; echo left; wait')
    server = pit.server("-n2", "--name=web", "--ready=exec", "--stop-timeout=1h", "--", "/bin/sh", "-c", script).wait_ready()
    server.out.wait("left")
    pid = worker_of(server, 0)
    server.send(signal.SIGTERM)
    wait_for("the death of the worker", lambda: (proc_stat(pid) or (0, "Z"))[1] == "Z")
    wait_for("one zombie, the worker's", lambda: zombies(server) <= {pid})
    server.send(signal.SIGQUIT)
    server.wait_exit(0)


def zombies(server):
    text = read_proc(server.supervisor, f"task/{server.supervisor}/children").decode()
    return {int(p) for p in text.split() if (proc_stat(int(p)) or (0, "?"))[1] == "Z"}


@scenario
def output(pit):
    """One slot prints for ever, and the reader is slow: what the others print arrives, and what we say, denials too."""
    script = (f'[ $AIOTOOLS_SD_SLOT = 0 ] && exec {FLOODER} print; '
              'i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo "audit $i"; echo "audit $i" >&2; '
              '[ $((i % 5)) = 0 ] && /usr/sbin/chroot /tmp true; sleep 0.03; done; exec sleep 1000')
    server = pit.server("-n2", "--name=web", "--ready=exec", "--deny=explain", "--", "/bin/sh", "-c", script,
                        read_output=False)
    heard = [SlowReader(server.process.stdout), SlowReader(server.process.stderr)]
    for reader in heard:
        wait_for("the last line", lambda: "audit 60" in reader.kept())
        lines = re.findall(r"^web\[1:\d+\] audit (\d+)$", reader.kept(), re.M)
        check_equal(lines, [str(i) for i in range(1, 61)], "lines")
    server.send(signal.SIGTERM)
    server.wait_exit(0, patience=20)
    for reader in heard:
        reader.thread.join()
    text = heard[1].kept()
    check_equal(text.count("sandbox denied chroot"), 12, "denials")
    for words in ("slot 1, pid [0-9]*: the sandbox denied it 12 calls", "web: stopping", "web: stopped"):
        check(re.search(words, text), f"{words} is missing in {text[-3000:]}")
    check(not re.search(r"slot 1\S* warning: \d+ lines? dropped", text + heard[0].kept()), "lines of slot 1 were dropped")
    pit.note(f"{heard[0].n >> 20} and {heard[1].n >> 20} MiB read")


class SlowReader:
    """Takes some MB a second, and keeps what slot 0 has not printed."""

    def __init__(self, file):
        self.file, self.n, self.lines = file, 0, []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        rest = b""
        while data := os.read(self.file.fileno(), 65536):
            self.n += len(data)
            *lines, rest = (rest + data).split(b"\n")
            self.lines += [line for line in lines if not line.endswith(b"ffff")]
            time.sleep(0.02)

    def kept(self):
        return "\n".join(line.decode() for line in self.lines) + "\n"


@scenario
def all_listeners_shut_down(pit):
    """At once, so that the supervisor is told of more than it reads in one go."""
    script = ("import os, socket, time\n"
              "for fd in range(3, 3 + int(os.environ['LISTEN_FDS'])):\n"
              "    socket.socket(fileno=fd).shutdown(socket.SHUT_RDWR)\n"
              "time.sleep(1000)\n")
    addresses = [f"--listen=127.0.0.1:{pit.port()}" for _ in range(20)]
    server = pit.server("-n2", "--name=web", *addresses, "--ready=exec", "--", PYTHON, "-c", script).wait_ready()
    for slot in "01":
        server.err.wait(rf"slot {slot}, pid \d+: warning: has shut down its listening socket")
    server.send(signal.SIGTTIN)
    server.err.wait(r"slot 2, pid \d+: ready")
    server.stop(patience=10)


def injected(pit, what, fault, *arguments):
    """A server of which reads from such descriptors fail: strace's paths and faults."""
    strace = need_program("strace")
    call = fault.split(":")[0]
    return pit.server(*arguments, env={"ASAN_OPTIONS": "detect_leaks=0"}, wrapper=[strace, "-f", "-qq", "-o", pit.file("strace"), *(f"--trace-path={p}" for p in what),
                                           "-e", f"trace={call}", "-e", f"inject={fault}"])


@scenario
def reads_that_fail(pit):
    """Once or twice, and unexpectedly: it is said, and all goes on."""
    need_root()  # to trace what is not dumpable
    for path, words in (("anon_inode:[signalfd]", ["cannot receive signals: Input/output error; it is tried again",
                                                   "cannot reap the processes of workers: Input/output error; it is tried again"]),
                        ("anon_inode:inotify", [r"cannot be told what is removed \(inotify: Input/output error\)"])):
        server = injected(pit, [path], "read:error=EIO:when=1..2", "-n2", "--name=web", *pit.worker()).wait_ready()
        for line in words:
            server.err.wait(line)
        old = server.workers()
        server.tell(signal.SIGHUP)
        server.wait_replaced(old, 2)
        server.tell(signal.SIGTERM)
        server.wait_exit(0)
        pit.notify.messages.clear()


@scenario
def output_that_cannot_be_read(pit):
    """Nor notifications. Nothing is closed, which would break the worker's next write, but read again."""
    need_root()  # to trace what is not dumpable
    strace = need_program("strace")
    script = "while sleep 0.01; do echo alive; done"
    for call, what, command in (("read", "its output", ["/bin/sh", "-c", script]),
                                ("recvmsg", "its notifications", [FLOODER, "notify", 1, "STATUS=alive"])):
        server = pit.server("-n1", "--name=web", "--ready=exec", "--", *command).wait_ready()
        told = server.out if call == "read" else server.err
        told.wait("alive")
        faults = subprocess.Popen([strace, "-qq", "-p", str(server.supervisor), "-o", pit.file(call), "-e", f"trace={call}", "-e",
                                   f"inject={call}:error=EIO:when=1..2"], stderr=subprocess.DEVNULL)
        pit.own.add(faults.pid)
        server.err.wait(f"cannot read {what}: Input/output error; it is tried again")
        seen = told.mark()
        told.wait("alive", since=seen)
        faults.terminate()
        faults.wait()
        server.stop()
        pit.notify.messages.clear()


@scenario
def signals_that_cannot_be_read(pit):
    """Never again: the server ends, in order."""
    need_root()  # to trace what is not dumpable
    server = injected(pit, ["anon_inode:[signalfd]"], "read:error=EIO:when=1+", "-n1", "--name=web", *pit.worker()).wait_ready()
    server.err.wait("so the server stops", patience=60)
    server.wait_exit(71)


def priority(pid):
    """(nice value, oom_score_adj)"""
    return int(read_proc(pid, "stat").decode().rsplit(")", 1)[1].split()[16]), int(read_proc(pid, "oom_score_adj") or 0)


@scenario
def priorities(pit):
    """Supervisor and guardian come before the workers, which have what they would have without."""
    need_root()
    _, oom = priority(os.getpid())
    server = pit.server("-n2", "--name=web", "--user=nobody", "--ready=exec", "--", "sleep", 1000,
                        wrapper=["/usr/bin/nice", "-n", "5"]).wait_ready()
    own = os.nice(0) + 5
    server.err.wait("all 2 workers are ready")
    for pid in (worker_of(server, 0), worker_of(server, 1)):
        wait_for("the program", lambda: comm_of(pid) == "sleep")
        check_equal(priority(pid), (own, oom), "nice value and oom_score_adj of a worker")
    nice, ours = priority(server.supervisor)
    check_equal(priority(server.pid), (nice, ours), "those of the guardian")
    groups = [read_proc(pid, "autogroup").decode().strip() for pid in (server.supervisor, worker_of(server, 0))]
    server.stop()
    if nice == own:
        raise Skip("CAP_SYS_NICE is missing")
    check_equal(nice, max(own - 10, -20), "nice value of the supervisor")
    if all(groups):
        check_equal([g.split("nice ")[1] for g in groups], ["-10", "0"], "nice values of the autogroups")
    check(ours in (oom, -900), f"oom_score_adj of the supervisor: {ours}")
    pit.note("nice value " + ("and oom_score_adj" if ours != oom else "only: CAP_SYS_RESOURCE is missing"))


EVIL = r"\x1b]0;title\x07\x1b[2J\x0dweb: stopped\xc2\x9b31m"
SEEN = r"\x1b]0;title\x07\x1b[2J\x0dweb: stopped\xc2\x9b31m"
RAW = "\x1b]0;title\x07\x1b[2J\rweb: stopped\x9b31m"


@scenario
def control_characters_in_a_pipe(pit):
    """What a worker prints arrives as it is; our own lines have none of it, whatever a worker is called or says."""
    server = pit.server("-n1", "--name=web", "--ready=notify", "--", FLOODER, "speak", EVIL).wait_ready()
    server.err.wait(r"status: ")
    server.out.wait("title")
    server.stop()
    out, err = server.out.text(), server.err.text()
    check(f"] {RAW}\n" in out, repr(out))
    ours = [line for line in err.split("\n") if line and not line.startswith("web[")]
    check(not [line for line in ours if not line.startswith("web: ") or not line.isprintable()], repr(ours))


@scenario
def control_characters_on_a_terminal(pit):
    """There is nothing that it would act on."""
    master, slave = os.openpty()
    tty.setraw(slave)
    server = pit.server("-n1", "--name=web", "--ready=notify", "--", FLOODER, "speak", EVIL,
                        wrapper=["/bin/sh", "-c", f'exec "$@" >{os.ttyname(slave)} 2>&1', "sh"]).wait_ready()
    text = b""
    while text.count(SEEN.encode()) < 2 or b"status: " not in text:
        check(select.select([master], [], [], bound(None))[0], f"nothing more on the terminal than {text}")
        text += os.read(master, 65536)
    server.stop()
    os.close(slave)
    os.close(master)
    lines = text.decode().split("\n")
    check(all(line.isprintable() for line in lines), repr(lines))


if __name__ == "__main__":
    main()
