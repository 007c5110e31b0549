# SPDX-License-Identifier: LGPL-2.1-or-later
"""--ready in all its forms, and --start-timeout."""
import os
import time

from harness import WORKER, check, check_equal, check_within, main, need_program, scenario, stays, wait_for


def timed_ready(server):
    begun = time.monotonic()
    server.wait_ready()
    return time.monotonic() - begun


def not_ready(pit, seconds=0.3):
    stays("not ready", lambda: not pit.notify.find("READY"), seconds)


@scenario
def notify(pit):
    gate = pit.file("gate")
    server = pit.server("-n2", "--ready=notify", *pit.worker(f"--ready-if={gate}"))
    pit.trace.wait("start", 2)
    not_ready(pit)
    pit.file("gate", "")
    server.wait_ready().stop()


@scenario
def daemon_says_it(pit):
    """A descendant in a session of its own, whose parent has ended, speaks for its worker."""
    need_program("systemd-notify")
    for workers in (1, 2):
        pit.notify.messages.clear()
        pit.server(f"-n{workers}", "--ready=notify", "--", "/bin/sh", "-c",
                   "(setsid sh -c 'sleep 0.2; systemd-notify --ready' &); exec sleep 1000").wait_ready().stop()


@scenario
def daemon_without_a_sign(pit):
    """The same, but its environment is another: believed where it can only be of this worker, or its control group
    tells."""
    need_program("systemd-notify")
    script = "(env -i NOTIFY_SOCKET=$NOTIFY_SOCKET setsid sh -c 'sleep 0.2; systemd-notify --ready; exec sleep 1000' &); exec sleep 1000"
    pit.server("-n1", "--ready=notify", "--", "/bin/sh", "-c", script).wait_ready().stop()
    pit.notify.messages.clear()
    server = pit.server("-n2", "--control-group=no", "--ready=notify", "--", "/bin/sh", "-c", script)
    server.err.wait("dropped: it is a daemon that has overwritten its environment|it has already ended")
    not_ready(pit)
    server.stop()


@scenario
def every_slot_once(pit):
    """READY upwards only when each slot has been ready; a helper of the worker may say it."""
    script = f'exec {WORKER} --ready-if={pit.file("gate")}.$AIOTOOLS_SD_SLOT'
    server = pit.server("-n3", "--ready=notify", "--", "/bin/sh", "-c", script)
    for slot in "01":
        pit.file(f"gate.{slot}", "")
        not_ready(pit)
    pit.file("gate.2", "")
    server.wait_ready().stop()


@scenario
def systemd_notify_helper(pit):
    helper = need_program("systemd-notify")
    server = pit.server("-n2", "--ready=notify", "--", "/bin/sh", "-c",
                        f'{helper} --ready --status=helped && exec {WORKER} --ready=none')
    server.wait_ready().stop()


@scenario
def exec_is_enough(pit):
    server = pit.server("-n2", "--ready=exec", *pit.worker("--ready=none"))
    check_within(timed_ready(server), 0, 4, "seconds until ready")
    server.reload(2)
    server.stop()


@scenario
def fd(pit):
    """Above the passed sockets."""
    gate = pit.file("gate")
    server = pit.server("-n2", "--ready=fd:5", f"--listen=127.0.0.1:{pit.port()}", f"--listen={pit.file('x.sock')}",
                        *pit.worker("--ready=fd:5", f"--ready-if={gate}"))
    pit.trace.wait("start", 2)
    not_ready(pit)
    pit.file("gate", "")
    server.wait_ready()
    server.reload(2)
    server.stop()


@scenario
def fd_without_sockets(pit):
    pit.server("-n1", "--ready=fd:3", *pit.worker("--ready=fd:3")).wait_ready().stop()
    pit.notify.messages.clear()
    pit.server("-n1", "--ready=fd:9", *pit.worker("--ready=fd:9")).wait_ready().stop()


@scenario
def delay(pit):
    server = pit.server("-n2", "--ready=delay:700ms", *pit.worker("--ready=none"))
    check_within(timed_ready(server), 0.65, 4, "seconds until ready")
    server.stop()


@scenario
def delay_is_no_help_to_the_dying(pit):
    """Dead before the delay is over: never ready."""
    status, _, err = pit.run("-n1", "--ready=delay:500ms", "--backoff=1ms..1ms", "--give-up=2/1min", *pit.worker("--exit=1"))
    check_equal(status, 69, f"exit status\n{err}")
    check(not pit.notify.find("READY"), "was told to be ready")


@scenario
def auto_with_notify(pit):
    check_within(timed_ready(pit.server("-n2", *pit.worker())), 0, 4.5, "seconds until ready")
    pit.servers[0].stop()


@scenario
def auto_without_notify(pit):
    """Alive for 5 s."""
    server = pit.server("-n2", *pit.worker("--ready=none"))
    check_within(timed_ready(server), 4.8, 15, "seconds until ready")
    for slot in "01":
        server.err.wait(f"slot {slot}, .*: ready after 5")
    told = [line for line in server.err.lines if b"it has not sent READY=1, so --ready=auto waited for 5.00s; --ready=delay:TIME" in line]
    check_equal(len(told), 1, "lines that say why, and what to do")
    server.stop()


@scenario
def auto_remembers(pit):
    """Who has ever said READY=1 has to say it from then on: being alive for 5 s is not enough any more."""
    mute = pit.file("mute")
    server = pit.server("-n2", "--start-timeout=6s", *pit.worker(f"--mute-if={mute}")).wait_ready()
    old = server.wait_workers(2)
    pit.file("mute", "")
    server.send(1)
    server.err.wait("rolled.back")
    server.wait_workers(2)
    check_equal(sorted(server.workers()), sorted(old), "workers")
    server.stop()


@scenario
def settle(pit):
    """Ready, for the service manager too, is who has stayed alive for --settle."""
    server = pit.server("-n2", "--settle=800ms", *pit.worker())
    pit.trace.wait("ready", 2)
    server.wait_ready()
    last = max(e[0] for e in pit.trace.of("ready")) / 1e6
    check(time.monotonic() - last >= 0.8, f"ready {time.monotonic() - last:.3f} s after the last worker, not 0.8")
    server.stop()


@scenario
def settle_of_the_dying(pit):
    """At the first start as well: who dies soon after READY=1 was never ready."""
    status, _, err = pit.run("-n2", "--settle=10s", "--backoff=1ms..1ms", "--give-up=3/1min", *pit.worker("--exit=3", "--exit-after=50"))
    check_equal(status, 69, f"exit status\n{err}")
    check("ready after" in err and "workers are ready" not in err, f"all were ready:\n{err}")
    check(not pit.notify.find("READY"), "was told to be ready")


@scenario
def settle_counts_age(pit):
    """Alive for a time is what the delay proves already: it is not waited for twice."""
    server = pit.server("-n2", "--ready=delay:1s", "--settle=1s", *pit.worker("--ready=none"))
    server.wait_ready()
    for line in ("slot 0, .*ready after", "slot 1, .*ready after"):
        server.err.wait(line)
    begun = min(e[0] for e in pit.trace.of("start")) / 1e6
    check_within(time.monotonic() - begun, 0.95, 1.9, "seconds until ready")
    server.stop()


@scenario
def no_start_timeout(pit):
    """0 is no limit, as in systemd."""
    for none in ("0", "0s", "infinity"):
        pit.notify.messages.clear()
        gate = pit.file(f"gate{none}")
        begun = len(pit.trace.of("start"))
        server = pit.server("-n1", "--ready=notify", f"--start-timeout={none}", *pit.worker(f"--ready-if={gate}"))
        pit.trace.wait("start", begun + 1)
        not_ready(pit)
        pit.file(f"gate{none}", "")
        server.wait_ready().stop()
        check_equal(len(pit.trace.of("start")), begun + 1, "starts")
        check("killed" not in server.err.text(), "killed")


@scenario
def start_timeout(pit):
    """Not ready in time: killed, and that is a failure like others."""
    status, _, err = pit.run("-n2", "--ready=notify", "--start-timeout=300ms", "--backoff=10ms..20ms", "--give-up=2/1min",
                             *pit.worker("--ready=none", "--children=1"))
    check_equal(status, 69, f"exit status\n{err}")
    check("--start-timeout" in err or "start timeout" in err or "not ready" in err, f"does not say why:\n{err}")
    check_equal(len(pit.trace.of("exit")), 0, "workers that left by themselves")


@scenario
def status_is_passed_on(pit):
    """What a worker says of itself is told upwards, or in the log; READY=1 with it."""
    server = pit.server("-n1", *pit.worker("--status=warming the kettle")).wait_ready()
    wait_for("the worker's status", lambda: pit.notify.find("STATUS", "kettle") or
             any(b"kettle" in line for line in server.err.lines), patience=5)
    server.stop()


if __name__ == "__main__":
    main()
