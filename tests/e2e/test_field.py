#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults that operators found, each named by its kind."""
import os
import re

from harness import Load, check, check_equal, main, need_nobody, need_program, need_root, scenario


@scenario
def user_and_group_are_numbers(pit):
    """Options are judged together: a number without an entry will do as --user where --group says which group."""
    need_root()
    status, out, err = pit.run("-n1", "--restart=no", "--user=54322", "--group=54323", "--", "id")
    check_equal(status, 0, f"exit status\n{err}")
    check("uid=54322 gid=54323" in out, out)
    for options, words in ((["--user=54322"], "--user=54322: .*--group"), (["--user=54322", "--group=nonesuch"], "--group=nonesuch"),
                           (["--user=nonesuch", "--group=54323"], "--user=nonesuch")):
        status, out, err = pit.run("-n1", *options, "--", "id")
        check_equal(status, 78, f"exit status of {options}")
        check(re.search(words, err), f"{options}: {err}")


AGAIN = """echo plain; for name in /dev/stdout /dev/fd/1 /proc/self/fd/1 /dev/stderr /dev/fd/2 /proc/self/fd/2; do
           echo $name again >$name; done; echo over >/dev/fd/7; exec sleep 1000"""


@scenario
def standard_streams_can_be_opened_again(pit):
    """/dev/stdout and its like, and the descriptor of --ready: by the user that the worker has become, however it did."""
    need_nobody()
    change = [need_program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
    for options, wrapper in ((["--user=nobody"], []), (["--user=nobody", "--sandbox=strict"], []), (["--group=nogroup"], []),
                             ([], []), (["--sandbox=none"], change), (["--user=root"], change)):
        for log in "prefix", "plain":
            pit.notify.messages.clear()
            server = pit.server("-n1", "--ready=fd:7", f"--log={log}", *options, "--", *wrapper, "/bin/sh", "-c", AGAIN).wait_ready()
            server.stop()
            out, err = server.out.text(), server.err.text()
            for number, name, text in ((1, "stdout", out), (2, "stderr", err)):
                for path in (f"/dev/{name}", f"/dev/fd/{number}", f"/proc/self/fd/{number}"):
                    check(f"{path} again" in text, f"{options}, {log}: {path}: {text}")
            check("plain" in out, out)


@scenario
def socket_file_is_removed(pit):
    """By a worker that cleans up behind itself: at the next start it is there again, and the log says so."""
    path = pit.file("s.sock")
    server = pit.server("-n1", f"--listen={path}", *pit.worker()).wait_ready()
    os.unlink(path)
    server.reload(1)
    server.err.wait(r"s\.sock: the file had been removed; it is there again")
    load = pit.load(path, "-c1")
    load.wait_ok(10)
    Load.check_lossless(load.stop())
    server.stop()
    check(not os.path.exists(path), "the socket file is left")


if __name__ == "__main__":
    main()
