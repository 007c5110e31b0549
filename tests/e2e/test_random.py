# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random deaths: of the guardian, of the supervisor, of both, of workers, in the start, the run, a reload and the stop. Workers have
children and daemons, also such that show no sign of whose they are. Whoever survives ends all the rest, or goes on.

AIT_E2E_KILLS says how many, AIT_E2E_SEED which; each scenario notes its seed."""
import collections
import contextlib
import glob
import os
import random
import shutil
import signal
import time

from harness import CMD, FULL, NOBODY, check, comm_of, descendants_of, main, need_groups, need_nobody, scenario, wait_for, wait_gone

KILLS = int(os.environ.get("AIT_E2E_KILLS", "500" if FULL else "12"))
SEED = int(os.environ.get("AIT_E2E_SEED", "0")) or random.randrange(1, 1 << 30)

PHASES = ("start", "run", "reload", "stop")
VICTIMS = ("guardian", "supervisor", "both", "worker", "workers", "daemon")


class Round:
    def __init__(self, pit, rng, options, groups, **kwargs):
        self.pit, self.rng, self.groups = pit, rng, groups
        self.phase, self.victim = rng.choice(PHASES), rng.choice(VICTIMS)
        self.stopped_first = rng.random() < 0.3  # SIGSTOP, and only then SIGKILL
        self.kin = [f"--children={rng.randrange(3)}", f"--daemons={rng.randrange(3)}", f"--nameless={rng.randrange(3)}"]
        self.n = rng.randrange(1, 4)
        ignore = ["--ignore=TERM,INT,HUP"] if rng.random() < 0.3 else []
        pit.notify.messages.clear()
        with open(pit.trace.path, "w"):
            pass
        self.server = pit.server(f"-n{self.n}", "--name=random", f"--listen={pit.file('sockets/x.sock')}", "--stop-timeout=200ms",
                                 "--backoff=1ms..10ms", "--give-up=1000/1min", "--stable=1ms", *options, *pit.worker(*self.kin, *ignore), **kwargs)

    def __str__(self):
        return f"{'stopped ' if self.stopped_first else ''}{self.victim} killed in {self.phase}, -n{self.n} {' '.join(self.kin)}"

    def moment(self, most=0.03):
        """A moment of its own: no state that a test could wait for."""
        when = time.monotonic() + self.rng.random() * most
        wait_for("the moment", lambda: time.monotonic() > when, step=0)

    def pids(self):
        """Of the victim; none, if it is not there yet."""
        server = self.server
        supervisor = server.find_supervisor()
        if self.victim == "guardian":
            return [server.pid]
        if self.victim == "supervisor":
            return [supervisor] if supervisor else []
        if self.victim == "both":
            return [p for p in (server.pid, supervisor) if p]
        workers = server.workers()
        if self.victim == "daemon":
            # Not what the supervisor asks a child of its own for.
            rest = [p for p in descendants_of(server.pid) if p not in (supervisor, *workers) and comm_of(p) != os.path.basename(CMD)[:15]]
            return rest[:1]
        return workers[:1] if self.victim == "worker" else workers

    def kill(self, pids):
        for number in (signal.SIGSTOP, signal.SIGKILL) if self.stopped_first else (signal.SIGKILL,):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        return bool(pids)

    def lead_up(self):
        if self.phase != "start":
            self.server.wait_ready()
        if self.phase == "reload":
            self.server.send(signal.SIGHUP)
        if self.phase == "stop":
            self.server.send(signal.SIGTERM)
        self.moment(0.06 if self.phase == "start" else 0.03)

    def play(self):
        self.lead_up()
        victims = self.pids()
        killed = self.kill(victims)
        if not killed or self.victim in ("worker", "workers", "daemon"):
            # It goes on, and its end is orderly.
            if self.phase == "start":
                wait_for(lambda: f"{self}: ready\n{self.server.log()}",
                         lambda: self.pit.notify.find("READY", "1") or self.server.gone())
            self.server.send(signal.SIGTERM)
            status = self.server.wait_exit()
            check(status == 0, f"{self}: exit status {status}\n{self.server.log()}")
        else:
            self.server.wait_exit()
        if self.victim == "both" and killed:
            wait_gone(victims, "guardian and supervisor")
            return self.both_died()
        self.nothing_left()
        return 0

    def nothing_left(self):
        wait_for(lambda: f"{self}: the end of {self.pit.left()}\n{self.server.log()}", lambda: not self.pit.left())

    def both_died(self):
        """Nobody is left who could end them: workers end with the supervisor, what they have started may not. A server of the
        same name that starts later finds the control group, where there was one."""
        left = len(self.pit.left())
        if self.groups:
            self.pit.notify.messages.clear()
            heir = self.pit.server("-n1", "--name=random", *self.pit.worker()).wait_ready()
            heir.stop()
            self.nothing_left()
        self.pit.kill_left()
        return left

    def tidy(self):
        for folder in (self.pit.runtime, self.pit.file("sockets")):
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def groups_there():
    """Control groups of servers of ours, wherever version 2 is mounted."""
    return set(glob.glob("/sys/fs/cgroup/**/aiotools-sd.random.*", recursive=True))


def kills(pit, *options, groups=False, **kwargs):
    rng = random.Random(SEED)
    os.chmod(pit.directory("sockets"), 0o777)
    seen, left = collections.Counter(), 0
    for _ in range(KILLS):
        r = Round(pit, rng, options, groups, **kwargs)
        begun = time.monotonic()
        left += r.play()
        if os.environ.get("AIT_E2E_VERBOSE"):
            print(f"  {time.monotonic() - begun:.2f} s: {r}", flush=True)
        r.tidy()
        seen[r.victim] += 1
        pit.servers[:] = pit.servers[-2:]
    pit.note(f"seed {SEED}, " + ", ".join(f"{n} {victim}" for victim, n in sorted(seen.items())) +
             f"; {left} processes outlived guardian and supervisor that died at once")


@scenario
def with_control_groups(pit):
    need_groups()
    before = groups_there()
    kills(pit, "--control-group=yes", groups=True)
    check(groups_there() <= before, f"control groups are left: {groups_there() - before}")


@scenario
def without_control_groups(pit):
    kills(pit, "--control-group=no")


@scenario
def as_user(pit):
    need_nobody()
    kills(pit, "--control-group=no", uid=NOBODY)


if __name__ == "__main__":
    main()
