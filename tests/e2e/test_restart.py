# SPDX-License-Identifier: LGPL-2.1-or-later
"""--restart, --backoff, --stable, --give-up, and what a worker's exit status means."""
import os
import signal

from harness import check, check_equal, check_within, main, milliseconds, scenario, stays, wait_for, wait_gone


@scenario
def always(pit):
    """Also after status 0."""
    server = pit.server("-n2", "--backoff=1ms..5ms", *pit.worker("--exit=0", "--exit-after=20"))
    pit.trace.wait("start", 6)
    server.stop()


@scenario
def on_failure(pit):
    """A worker that ended well has done its work; one that failed has not."""
    server = pit.server("-n2", "--restart=on-failure", "--backoff=1ms..5ms", "--stable=1ms",
                        *pit.worker("--exit=0", "--exit-slot=1", "--exit-after=20")).wait_ready()
    pit.trace.wait("exit", 1)
    other = server.wait_workers(1)
    stays("one worker", lambda: server.workers() == other)
    os.kill(other[0], signal.SIGKILL)
    pit.trace.wait("start", 3)
    server.stop()


@scenario
def on_failure_all_done(pit):
    status, _, err = pit.run("-n2", "--restart=on-failure", *pit.worker("--exit=0", "--exit-after=20"))
    check_equal(status, 0, f"exit status\n{err}")


@scenario
def on_failure_restarts_failures(pit):
    server = pit.server("-n1", "--restart=on-failure", "--backoff=1ms..5ms", *pit.worker("--exit=3", "--exit-after=5"))
    pit.trace.wait("start", 4)
    server.stop()


@scenario
def to_completion(pit):
    """The server ends when all workers have, with the highest status."""
    for option in ("--restart=no", "--run-to-completion"):
        for wanted in (0, 5):
            status, _, err = pit.run("-n3", option, *pit.worker(f"--exit={wanted}", "--exit-after=20"))
            check_equal(status, wanted, f"{option}: exit status\n{err}")
    check_equal(len(pit.trace.of("start")), 12, "workers started")
    script = 'exit $((AIOTOOLS_SD_SLOT * 3))'
    status, _, err = pit.run("-n3", "--restart=no", "--", "/bin/sh", "-c", script)
    check_equal(status, 6, f"the highest of 0, 3 and 6: exit status\n{err}")


@scenario
def to_completion_waits_for_all(pit):
    server = pit.server("-n2", "--restart=no", *pit.worker("--exit=4", "--exit-slot=0", "--exit-after=20"))
    pit.trace.wait("exit", 1)
    other = server.wait_workers(1)
    stays("the other goes on", lambda: server.workers() == other)
    os.kill(other[0], signal.SIGTERM)
    server.wait_exit(4)


def gaps(pit, slot="0"):
    """Seconds from each exit to the next start."""
    found, left = [], None
    for usec, _, s, _, what in pit.trace.events():
        if s == slot and what == "exit":
            left = usec
        elif s == slot and what == "start" and left:
            found.append((usec - left) / 1e6)
    return found


@scenario
def backoff_grows(pit):
    """min(CAP, BASE * 1.5^(n-1)) with 10 % jitter. Never early; late only by what a busy machine adds."""
    base, cap = 0.1, 0.4
    server = pit.server("-n1", "--backoff=100ms..400ms", *pit.worker("--exit=1"))
    pit.trace.wait("start", 8)
    server.stop()
    measured = gaps(pit)
    for n, gap in enumerate(measured[:7], 1):
        wanted = min(cap, base * 1.5 ** (n - 1))
        check_within(gap, wanted * 0.89, wanted * 1.11 + 3, f"wait after failure {n}")
    pit.note(" ".join(f"{g * 1000:.0f}" for g in measured) + " ms")


@scenario
def stable_is_replaced_at_once(pit):
    """Ready for --stable: no wait, and the count begins again."""
    server = pit.server("-n1", "--backoff=20s..20s", "--stable=100ms", *pit.worker())
    for i in range(3):
        ready = pit.trace.wait("ready", i + 1)[-1]
        # Longer than --stable after the supervisor can have heard of it.
        stays("alive", lambda: server.workers(), 0.25)
        os.kill(ready[1], signal.SIGKILL)
    pit.trace.wait("ready", 4, patience=10)
    server.stop()


@scenario
def unstable_waits(pit):
    """The same, but dead before --stable."""
    server = pit.server("-n1", "--backoff=1h..1h", "--stable=1h", *pit.worker()).wait_ready()
    victim = server.wait_workers(1)[0]
    os.kill(victim, signal.SIGKILL)
    wait_gone([victim], "the worker")
    stays("no worker", lambda: not server.workers())
    server.stop()


@scenario
def one_slot_waits_others_serve(pit):
    """Back-off is a matter of one slot."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n2", f"--listen={listen}", "--backoff=1h..1h", "--stable=1h", *pit.worker()).wait_ready()
    victim = server.wait_workers(2)[0]
    os.kill(victim, signal.SIGKILL)
    server.err.wait(rf"\b{victim}\b.*(?i:kill)")
    stays("one worker", lambda: len(server.workers()) == 1)
    counts = pit.load(listen, "-C", "-c4", "-n200", f"-t{milliseconds(5)}").finish()
    check(counts["timeout"] == 0 and counts["failed"] == 0, f"connections went to the slot without a worker: {counts}")
    server.stop()


@scenario
def give_up(pit):
    """All slots over the limit: 69."""
    status, _, err = pit.run("-n2", "--backoff=1ms..2ms", "--give-up=5/1min", *pit.worker("--exit=1"))
    check_equal(status, 69, f"exit status\n{err}")
    starts = [len([e for e in pit.trace.of("start") if e[2] == slot]) for slot in "01"]
    check_equal(starts, [5, 5], "starts by slot")


@scenario
def give_up_at_the_nth(pit):
    """N unplanned exits are the end; 0 is no limit."""
    for n in (1, 2, 3):
        with open(pit.trace.path, "w"):
            pass
        status, _, err = pit.run("-n1", "--backoff=1ms..2ms", f"--give-up={n}/1min", *pit.worker("--exit=1"))
        check_equal(status, 69, f"exit status\n{err}")
        check_equal(len(pit.trace.of("start")), n, "starts")
        check(f"gave up after {n} unplanned exit" in err, err)
    for never in ("0/1min", "3/0"):
        with open(pit.trace.path, "w"):
            pass
        server = pit.server("-n1", "--backoff=1ms..2ms", f"--give-up={never}", *pit.worker("--exit=1"))
        pit.trace.wait("start", 30)
        server.stop()


@scenario
def give_up_one_slot(pit):
    """One slot failed, the others serve; nothing is lost to the failed one."""
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n3", f"--listen={listen}", "--backoff=1ms..2ms", "--give-up=3/1min",
                        *pit.worker("--exit=1", "--exit-slot=1"))
    wait_for("the failed slot", lambda: len([e for e in pit.trace.of("exit") if e[2] == "1"]) >= 3)
    server.err.wait("(?i)fail|gave up|give.up")
    stays("two workers", lambda: len(server.wait_workers(2)) == 2)
    counts = pit.load(listen, "-C", "-c4", "-n200", f"-t{milliseconds(5)}").finish()
    check_equal((counts["ok"], counts["failed"]), (200, 0), f"{counts}\n{counts['details']}")
    server.stop()


@scenario
def status_78_fails_at_once(pit):
    """A wrong configuration does not become right by trying again."""
    status, _, err = pit.run("-n2", "--backoff=1ms..2ms", *pit.worker("--exit=78"))
    check_equal(status, 78, f"exit status\n{err}")
    check_equal(len(pit.trace.of("start")), 2, "workers started")


@scenario
def status_78_of_one(pit):
    server = pit.server("-n2", "--backoff=1ms..2ms", *pit.worker("--exit=78", "--exit-slot=0"))
    pit.trace.wait("exit", 1)
    pit.trace.wait("ready", 1)
    stays("one worker", lambda: len(server.wait_workers(1)) == 1)
    check_equal(len(pit.trace.of("start")), 2, "workers started")
    server.stop()


@scenario
def status_125_fails_at_once(pit):
    status, _, err = pit.run("-n2", "--backoff=1ms..2ms", *pit.worker("--exit=125"))
    check_equal(status, 69, f"exit status\n{err}")
    check_equal(len(pit.trace.of("start")), 2, "workers started")


@scenario
def reload_revives_failed_slots(pit):
    """Whoever mends the program and reloads wants all slots back."""
    broken = pit.file("broken.1", "")
    server = pit.server("-n2", "--backoff=1ms..2ms", "--give-up=2/1min", *pit.worker(f"--broken-if={pit.file('broken')}"))
    pit.trace.wait("ready", 1)
    wait_for("the failed slot", lambda: len([e for e in pit.trace.of("exit") if e[2] == "1"]) >= 2)
    server.err.wait("(?i)fail|gave up|give.up")
    os.unlink(broken)
    old = server.wait_workers(1)
    server.send(signal.SIGHUP)
    server.wait_replaced(old, 2)
    server.stop()


if __name__ == "__main__":
    main()
