# SPDX-License-Identifier: LGPL-2.1-or-later
"""--log: every line says whose it is, no worker can block or confuse the log, and no reader can block a worker."""
import json
import os
import re
import time

from harness import Output, SANITIZED, WORKER, bound, check, check_equal, main, scenario, wait_for

LINES = 200


def finished(pit, *arguments, workers=2, log="prefix"):
    """Runs workers that write and then stop; (server, stdout, stderr)."""
    server = pit.server(f"-n{workers}", "--name=web", f"--log={log}", *pit.worker(*arguments)).wait_ready()
    pit.trace.wait("wrote", workers)
    server.stop()
    return server, server.out.text(), server.err.text()


@scenario
def prefix(pit):
    """web[SLOT:PID] text. Stdout to stdout, stderr to stderr, in the order in which a worker wrote."""
    _, out, err = finished(pit, f"--lines={LINES}")
    pids = {e[2]: e[1] for e in pit.trace.of("start")}
    for slot in "01":
        for text, kind in ((out, "line"), (err, "error")):
            found = re.findall(rf"^web\[{slot}:{pids[slot]}\] {kind} (\d+) of slot {slot}$", text, re.M)
            check_equal(found, [str(i) for i in range(LINES)], f"{kind}s of slot {slot}")
    stray = [line for line in out.splitlines() if not re.match(r"web\[[01]:\d+\] line ", line)]
    check(not stray, f"on stdout, and no line of a worker: {stray[:5]}")


@scenario
def plain(pit):
    _, out, err = finished(pit, f"--lines={LINES}", log="plain")
    for slot in "01":
        found = re.findall(rf"^line (\d+) of slot {slot}$", out, re.M)
        check_equal(found, [str(i) for i in range(LINES)], f"lines of slot {slot}")
    check_equal(len(out.splitlines()), 2 * LINES, "lines on stdout")
    check_equal(len(re.findall(r"^error \d+ of slot \d$", err, re.M)), 2 * LINES, "errors on stderr")


@scenario
def json_lines(pit):
    _, out, err = finished(pit, f"--lines={LINES}", log="json")
    pids = {e[2]: e[1] for e in pit.trace.of("start")}
    for stream, text, kind in (("stdout", out, "line"), ("stderr", err, "error")):
        records = [json.loads(line) for line in text.splitlines()]
        for slot in "01":
            found = [r["message"] for r in records if r.get("slot") == int(slot) and r.get("pid") == pids[slot] and
                     r.get("stream") == stream]
            check_equal(found, [f"{kind} {i} of slot {slot}" for i in range(LINES)], f"{kind}s of slot {slot}")
        check(all("time" in r and r["name"] == "web" for r in records), "time and name in each record")
    events = [r for r in map(json.loads, err.splitlines()) if "level" in r]
    check(any(r.get("slot") == 0 and "ready" in r["message"] for r in events), f"no event of readiness: {events[:5]}")


@scenario
def binary_garbage(pit):
    """In any format: one record a line, no control characters among prefixed lines, valid JSON, and no end of it."""
    for log in ("prefix", "json", "plain"):
        _, out, err = finished(pit, "--binary=200000", log=log, workers=1)
        check("" != out, f"{log}: nothing")
        if log == "json":
            messages = [json.loads(line)["message"] for line in out.splitlines()]
            check(sum(map(len, messages)) > 100000, "the garbage has been lost")
        if log == "prefix":
            bad = [line for line in out.split("\n")[:-1] if not line.startswith("web[0:")]
            check(not bad, f"lines without a prefix: {bad[:3]}")
        with open(pit.trace.path, "w"):
            pass
        pit.notify.messages.clear()


@scenario
def long_line(pit):
    """A line of a megabyte arrives in pieces, whole, and each piece says whose it is."""
    size = 1 << 20
    _, out, _ = finished(pit, f"--long-line={size}", "--lines=1")
    for slot in "01":
        pieces = re.findall(rf"^web\[{slot}:\d+\] (x+)( \\)?$", out, re.M)
        check_equal(sum(len(p) for p, _ in pieces), size, f"bytes of slot {slot}")
        check(all(mark for _, mark in pieces[:-1]) and not pieces[-1][1], "pieces are not marked as such")


@scenario
def unfinished_last_line(pit):
    """What a worker wrote without a newline before it died is not lost."""
    server = pit.server("-n1", "--name=web", "--backoff=1h..1h", "--", "/bin/sh", "-c", "printf 'last words'; exit 1")
    server.out.wait(r"^web\[0:\d+\] last words$")
    server.stop()


@scenario
def last_words_of_the_killed(pit):
    server = pit.server("-n1", "--name=web", "--backoff=1h..1h", "--restart=no", "--", "/bin/sh", "-c",
                        "echo out; echo err >&2; kill -KILL $$")
    server.wait_exit()
    check("] out\n" in server.out.text() and "] err\n" in server.err.text(), "lost")


@scenario
def flood(pit):
    """Read as it is written: nothing is dropped while somebody reads fast enough, and whatever is dropped is counted."""
    size = (4 << 20) if SANITIZED else (16 << 20)
    begun = time.monotonic()
    _, out, err = finished(pit, f"--flood={size}", workers=1)
    seconds = time.monotonic() - begun
    lines = len(re.findall(r"^web\[0:\d+\] f{79}$", out, re.M))
    wanted = -(-size // 8000) * 100
    dropped = sum(int(n) for n in re.findall(r"(\d+) lines", "\n".join(
        line for line in (out + err).splitlines() if "drop" in line)))
    check_equal(lines + dropped, wanted, "lines read and dropped")
    pit.note(f"{size >> 20} MiB in {seconds:.1f} s, {dropped} of {wanted} lines dropped")


@scenario
def nobody_reads(pit):
    """The pipe behind us is full: the worker writes on, more slowly, the supervisor does its work, and later says
    how much was dropped."""
    size = 8 << 20
    listen = f"127.0.0.1:{pit.port()}"
    server = pit.server("-n1", "--name=web", f"--listen={listen}", *pit.worker(f"--flood={size}", "--lines=10"),
                        read_output=False).wait_ready()
    pit.trace.wait("wrote", 1)
    check_equal(pit.load(listen, "-n50").finish()["ok"], 50, "served")
    old = server.workers()
    server.send(1)
    server.wait_replaced(old, 1)
    pit.trace.wait("wrote", 2)
    server.read_output()
    server.out.wait(r"\b[1-9]\d* lines?\b.*drop|drop.*\b[1-9]\d*\b.*line")
    server.stop()


@scenario
def nobody_reads_at_the_end(pit):
    """A reader that never comes cannot hold up the end."""
    server = pit.server("-n2", "--name=web", *pit.worker(f"--flood={4 << 20}"), read_output=False).wait_ready()
    pit.trace.wait("wrote", 2)
    begun = time.monotonic()
    server.stop()
    check(time.monotonic() - begun < bound(15), "the end took too long")


def lines_and_losses(*texts):
    """Whole lines of seq that arrived, and what is reported as dropped."""
    text = "\n".join(t[:t.rfind("\n") + 1] for t in texts)
    return (len(re.findall(r"^web\[0:\d+\] \d+$", text, re.M)),
            sum(int(n) for n in re.findall(r"(\d+) lines? dropped", text)))


@scenario
def slow_reader_at_the_end(pit):
    """It gets all of it, however late it begins."""
    server = pit.server("-n1", "--name=web", "--restart=no", "--", "seq", 1, 50000, read_output=False)
    server.err = Output(server.process.stderr, "aiotools-sd's stderr")
    server.err.wait("stopped")
    server.err.wait(r"\d+ lines wait for the reader of standard output; SIGTERM or SIGINT ends the wait")
    server.out = Output(server.process.stdout, "aiotools-sd's stdout")
    server.wait_exit(0)
    got, told = lines_and_losses(server.out.text(), server.err.text())
    check_equal((got, told), (50000, 0), "lines that arrived, and were dropped")


@scenario
def hurry_at_the_end(pit):
    """TERM ends the wait for a reader, and the loss is told."""
    server = pit.server("-n1", "--name=web", "--restart=no", "--", "seq", 1, 50000, read_output=False)
    server.err = Output(server.process.stderr, "aiotools-sd's stderr")
    server.err.wait("lines wait for the reader")
    server.stop(patience=5)
    server.out = Output(server.process.stdout, "aiotools-sd's stdout")
    got, told = lines_and_losses(server.out.text(), server.err.text())
    check_equal(got + told, 50000, "lines that arrived, or were told as dropped")
    check(told > 0, "nothing was lost, so nothing was tried")


@scenario
def full_disk(pit):
    """Standard output, or error, on a device that is full: the other one says how much was lost."""
    for redirect, script in ((">/dev/full", "seq 1 300"), ("2>/dev/full", "seq 1 300 >&2")):
        server = pit.server("-n1", "--name=web", "--restart=no", "--", "/bin/sh", "-c", script,
                            wrapper=["/bin/sh", "-c", f'exec "$@" {redirect}', "sh"])
        server.wait_exit(0)
        text = server.out.text() + server.err.text()
        got, told = lines_and_losses(text)
        check_equal(got, 0, "lines that arrived")
        check(told >= 300, f"told: {told}\n{text}")
        check("No space left on device" in text, text)


@scenario
def reader_that_ends(pit):
    """What it has not read is told on the other output."""
    server = pit.server("-n1", "--name=web", "--restart=no", "--", "seq", 1, 100000, read_output=False)
    server.err = Output(server.process.stderr, "aiotools-sd's stderr")
    check(os.read(server.process.stdout.fileno(), 10) != b"", "nothing to read")
    server.process.stdout.close()
    server.wait_exit(0)
    text = server.err.text()
    _, told = lines_and_losses(text)
    check("Broken pipe" in text and told > 50000, text)


@scenario
def one_floods_others_are_heard(pit):
    """A flooding worker does not drown the others: they are read, served and reloaded meanwhile."""
    listen = f"127.0.0.1:{pit.port()}"
    script = (f'[ $AIOTOOLS_SD_SLOT = 0 ] && exec yes $(printf %060d 0); exec {WORKER} --lines=5')
    server = pit.server("-n2", "--name=web", f"--listen={listen}", "--ready=exec", "--", "/bin/sh", "-c", script).wait_ready()
    server.err.wait(r"^web\[1:\d+\] error 4 of slot 1$")
    server.stop(patience=20)


@scenario
def daemon_keeps_the_pipe(pit):
    """A process that outlives nothing but holds the worker's stdout open does not hold up the worker's end."""
    server = pit.server("-n1", "--name=web", "--restart=no", "--", "/bin/sh", "-c", "(trap '' TERM HUP; sleep 1000) & exit 0")
    server.wait_exit(0, patience=10)
    wait_for("all to end", lambda: not pit.left())


@scenario
def file_and_terminal(pit):
    """Into a file, where nothing ever blocks."""
    path = pit.file("log")
    server = pit.server("-n1", "--name=web", *pit.worker(f"--lines={LINES}", f"--flood={1 << 20}"),
                        wrapper=["/bin/sh", "-c", f'exec "$@" >{path} 2>&1', "sh"]).wait_ready()
    pit.trace.wait("wrote", 1)
    server.stop()
    with open(path) as f:
        text = f.read()
    check_equal(len(re.findall(r"\] line \d+ of", text)), LINES, "lines")
    check_equal(len(re.findall(r"\] f{79}$", text, re.M)), -(-(1 << 20) // 8000) * 100, "lines of the flood")


if __name__ == "__main__":
    main()
