# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the supervisor costs: memory with 16 workers, time to a replacement, wake-ups when nothing happens."""
import os
import signal
import statistics
import time

from harness import (Failure, SANITIZED, SLOWER, Skip, check, fd_count, kilobytes, main, scenario, status_field, wait_for, wait_gone)

WORKERS, KILLS = 16, 100


def no_sanitizer():
    if SANITIZED:
        raise Skip("sizes and times mean nothing under a sanitizer")


def sizes(server):
    return kilobytes(server.supervisor, "RssAnon"), kilobytes(server.supervisor, "VmRSS")


def at_rest(server):
    """Some milliseconds after a start or a reload, what they have needed is given back."""
    try:
        wait_for("memory to be given back", lambda: sizes(server)[0] < 950 and sizes(server)[1] < 4096, patience=5)
    except Failure:
        pass
    return sizes(server)


@scenario
def memory(pit):
    """RssAnon below 950 kB, VmRSS below 4 MB, with 16 workers; the same after they were all replaced, five times."""
    no_sanitizer()
    # meson sets it, and then every page of every buffer counts.
    os.environ.pop("MALLOC_PERTURB_", None)
    server = pit.server(f"-n{WORKERS}", f"--listen=127.0.0.1:{pit.port()}", "--max-surge=25%", *pit.worker("--lines=20"))
    server.wait_ready()
    server.wait_workers(WORKERS)
    first = at_rest(server)
    for _ in range(5):
        server.reload(WORKERS)
    last = at_rest(server)
    server.stop()
    pit.note(f"RssAnon {first[0]} kB, VmRSS {first[1]} kB; after five reloads {last[0]}, {last[1]} kB")
    for anonymous, resident in (first, last):
        check(anonymous < 950, f"RssAnon {anonymous} kB: {pit.notes}")
        check(resident < 4096, f"VmRSS {resident} kB: {pit.notes}")


@scenario
def memory_does_not_grow(pit):
    """A thousand deaths later as large as after a hundred, and as many descriptors."""
    no_sanitizer()
    # A slot remembers as many deaths as it may have: with 100000, there are 3 MB of memory that is hardly used, of which
    # kernels that like huge pages make one, of 2 MB.
    server = pit.server("-n4", f"--listen=127.0.0.1:{pit.port()}", "--backoff=1ms..1ms", "--give-up=2000/1s",
                        *pit.worker("--exit=0", "--exit-after=1"))
    pit.trace.wait("exit", 100)
    first, fds = sizes(server), fd_count(server.supervisor)
    pit.trace.wait("exit", 1000, patience=120)
    last = sizes(server)
    check(last[0] <= first[0] + 100, f"RssAnon {first[0]} kB after 100 deaths, {last[0]} kB after 1000")
    # Four workers come and go at any moment, each with a few descriptors.
    check(fd_count(server.supervisor) <= fds + 4 * 6, f"{fds} descriptors after 100 deaths, {fd_count(server.supervisor)} after 1000")
    server.stop()
    pit.note(f"RssAnon {first[0]} kB after 100 deaths, {last[0]} kB after 1000")


def kill_one_after_the_other(pit, order, seen):
    """Milliseconds from the kill of a worker to the first instruction of its replacement, a hundred times."""
    times = []
    for i in range(seen, seen + KILLS):
        victim = order.pop(0)
        killed = time.monotonic_ns() // 1000
        os.kill(victim, signal.SIGKILL)
        wait_gone([victim], "the killed worker")
        usec, pid = pit.trace.wait("start", WORKERS + i + 1)[-1][:2]
        pit.trace.wait("ready", WORKERS + i + 1)
        times.append((usec - killed) / 1000)
        order.append(pid)
    return sorted(times)


@scenario
def replacement(pit):
    """From the kill of a worker to the first instruction of its replacement: below 10 ms, median of a hundred. Each
    victim has been ready for long, as those before it in the round were killed first: no back-off. A machine that
    is busy with something else gets three tries."""
    no_sanitizer()
    server = pit.server(f"-n{WORKERS}", f"--listen=127.0.0.1:{pit.port()}", "--stable=1ms", "--give-up=1000/1min",
                        *pit.worker()).wait_ready()
    order = server.wait_workers(WORKERS)
    for attempt in range(3):
        times = kill_one_after_the_other(pit, order, attempt * KILLS)
        median = statistics.median(times)
        pit.note(f"median {median:.2f} ms, 90 % {times[KILLS * 9 // 10]:.2f} ms, worst {times[-1]:.2f} ms")
        if median < 10 * SLOWER:
            break
    server.stop()
    check(median < 10 * SLOWER, f"{pit.notes}: {times}")


@scenario
def idle(pit):
    """Nothing happens, so nothing runs: no timer ticks, nothing polls."""
    no_sanitizer()
    server = pit.server("-n4", f"--listen=127.0.0.1:{pit.port()}", "--stable=1ms", *pit.worker()).wait_ready()
    server.wait_workers(4)

    def switches():
        return int(status_field(server.supervisor, "voluntary_ctxt_switches"))

    def rests():
        begin = switches()
        time.sleep(0.1)
        return switches() == begin

    wait_for("the supervisor to come to rest", rests)
    before = switches()
    time.sleep(1.5)
    woken = switches() - before
    server.stop()
    check(woken <= 3, f"woken {woken} times in 1.5 s of nothing")
    pit.note(f"woken {woken} times in 1.5 s")


if __name__ == "__main__":
    main()
