# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a worker leaves on its listening sockets does not meet its successors: after a reload each address answers, whatever
the worker of slot 0 has done to its sockets; of each kind, its own, shared, and passed by a service manager."""
import contextlib
import os
import socket

from harness import APPS, PYTHON, check, check_equal, main, need_nobody, need_root, scenario

SPOILER = [PYTHON, f"{APPS}/spoiler.py"]
DEEDS = ["shutdown", "connect", "filter", "filter lock", "steal", "steal lock", "detach", "ttl", "backlog", "buffer", "defer",
         "lowat", "alone", "shutdown connect filter lock ttl backlog"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def addresses(pit, unix=True, dgram=False):
    found = [f"127.0.0.1:{pit.port()}", f"udp:127.0.0.1:{pit.port(socket.SOCK_DGRAM)}"]
    if has_ipv6():
        found += [f"[::1]:{pit.port(family=socket.AF_INET6)}", f"udp:[::1]:{pit.port(socket.SOCK_DGRAM, socket.AF_INET6)}"]
    if unix:
        found += [pit.file("stream.sock"), f"seqpacket:{pit.file('packets.sock')}"]
    if dgram:
        found += [f"dgram:{pit.file('datagrams.sock')}"]
    return found


def client_of(pit, address):
    """A socket, and where it sends to."""
    word = address.split(":")[0]
    kind = {"udp": socket.SOCK_DGRAM, "dgram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}.get(word, socket.SOCK_STREAM)
    rest = address if kind == socket.SOCK_STREAM else address.removeprefix(word + ":")
    if rest[0] == "/":
        s = socket.socket(socket.AF_UNIX, kind)
        if kind == socket.SOCK_DGRAM:
            s.bind("")
        return s, rest
    host, port = rest.rsplit(":", 1)
    return socket.socket(socket.AF_INET6 if host[0] == "[" else socket.AF_INET, kind), (host.strip("[]"), int(port))


def ask(pit, address):
    """The pid that answers, or why none does."""
    s, target = client_of(pit, address)
    with s:
        s.settimeout(2)
        try:
            s.connect(target)
            s.send(b"x")
            return int(s.recv(100).split()[1])
        except OSError as e:
            return f"{address}: {e}"


def spoil(pit, deed, *options, wrapper=(), n=2):
    """A reload after which the workers are good. All that were spoiled, and the server."""
    good = pit.file("good")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(good)
    server = pit.server(f"-n{n}", *options, "--ready=notify", "--sandbox=none", "--backoff=50ms..100ms", f"--env=SPOIL={deed}",
                        f"--env=GOOD={good}", "--", *SPOILER, wrapper=wrapper)
    server.wait_ready()
    server.out.wait("spoiled 0")
    with open(good, "w", encoding="ascii"):
        pass
    if "die" not in deed:
        server.wait_workers(n)
        return server, server.reload(n)
    server.out.wait("good 0")
    return server, server.wait_workers(n)


def check_answers(pit, server, workers, where, what):
    for address in where:
        for _ in range(3):
            got = ask(pit, address)
            # Or one that was started for connections that waited where the old one listened.
            later = server.err.so_far().partition(f"pid {workers[0]}: started")[2]
            check(got in workers or f"pid {got}: started" in later, f"{what}: {got} at {address}, workers {workers}\n{server.log()}")


def try_all(pit, *options, n=2, deeds=DEEDS, **kinds):
    for deed in deeds:
        where = addresses(pit, **kinds)
        server, workers = spoil(pit, deed, *(f"--listen={a}" for a in where), *options, n=n)
        check_answers(pit, server, workers, where, deed)
        server.stop()
    pit.note(f"{len(deeds)} deeds at {len(where)} addresses")


@scenario
def own(pit):
    need_root()  # to attach filters
    try_all(pit)


@scenario
def own_alone(pit):
    """With one worker, the only member of each group."""
    try_all(pit, n=1, unix=False)


@scenario
def shared(pit):
    need_root()  # to attach filters
    try_all(pit, "--listeners=shared")


@scenario
def as_another_user(pit):
    need_nobody()
    try_all(pit, "--user=nobody", deeds=DEEDS[:6], unix=False)
    try_all(pit, "--user=nobody", "--listeners=shared", deeds=DEEDS[:6], unix=False)


@scenario
def after_its_death(pit):
    """The next worker of the slot gets the same sockets."""
    need_root()
    try_all(pit, n=1, deeds=[d + " die" for d in DEEDS])
    try_all(pit, "--listeners=shared", n=1, deeds=["filter lock die", "connect die", "ttl die"])


@scenario
def signatures(pit):
    """Keys of TCP_MD5SIG cannot be read; who may ask for the state of sockets sees them nevertheless."""
    need_root()
    for options in ([], ["--listeners=shared"]):
        where = [a for a in addresses(pit, unix=False) if not a.startswith("udp")]
        for deed in ("md5", "md5 die"):
            server, workers = spoil(pit, deed, *(f"--listen={a}" for a in where), *options, n=1)
            check_answers(pit, server, workers, where, deed)
            server.stop()


def is_beyond(deed, address):
    """Only a new socket would help, which we cannot open in place of a service manager."""
    word = address.split(":")[0]
    if deed == "shutdown":
        return word == "udp" or "/" in address
    if deed == "connect":
        return address.startswith("udp:[")
    return deed == "filter lock" and (word == "dgram" or "/" not in address)


@scenario
def passed(pit):
    """Sockets that a service manager has opened: the same, but what only a new socket helps is for the manager."""
    need_root()
    for deed in DEEDS[:-1]:
        where = addresses(pit, dgram=True)
        lost = [a for a in where if is_beyond(deed, a)]
        server, workers = spoil(pit, deed, wrapper=[PYTHON, f"{APPS}/activate.py", *where, "--"])
        check_answers(pit, server, workers, [a for a in where if a not in lost], deed)
        for address in lost:
            server.err.wait("inherited socket .*" + address.split(":")[-1].replace(".", "[.]") + ".*restart the socket unit")
        server.stop()
        for path in (a.split(":")[-1] for a in where if "/" in a):
            os.unlink(path)


@scenario
def told(pit):
    """While they run, of what all share; when one has ended, of its own. Of what servers set nothing is said."""
    need_root()
    port = pit.port()
    server, _ = spoil(pit, "ttl die", f"--listen=127.0.0.1:{port}", n=1)
    server.err.wait(f"slot 0: warning: a worker has changed options of its socket 127.0.0.1:{port} [(]IP_TTL, IP_MINTTL[)], which are as they were")
    server.stop()
    server, _ = spoil(pit, "filter lock die", f"--listen=127.0.0.1:{port}", n=1)
    server.err.wait(f"slot 0: warning: a worker has changed options of its socket 127.0.0.1:{port} that cannot be put back [(]SO_ATTACH_FILTER[)]; there is a new socket")
    server.stop()
    server, _ = spoil(pit, "defer die", f"--listen=127.0.0.1:{port}", n=1)
    server.stop()
    check("has changed" not in server.err.text(), server.log())
    os.unlink(pit.file("good"))
    server = pit.server("-n2", f"--listen=127.0.0.1:{port}", "--listeners=shared", "--ready=notify", "--sandbox=none", "--env=SPOIL=filter",
                        f"--env=GOOD={pit.file('good')}", "--", *SPOILER)
    server.err.wait(f"a worker has changed options of 127.0.0.1:{port}, which all workers share [(]SO_ATTACH_FILTER[)]; .*SIGHUP", patience=20)
    server.stop()
    check_equal(server.err.text().count("has changed"), 1, "times it is said")


@scenario
def denied_by_default(pit):
    """The sandbox does not let them do what could not be undone."""
    for deed in ("lock", "md5", "device"):
        good, port = pit.file("good"), pit.port()
        server = pit.server("-n1", f"--listen=127.0.0.1:{port}", "--ready=notify", f"--env=SPOIL={deed}", f"--env=GOOD={good}", "--", *SPOILER)
        server.out.wait(f"failed: {deed} 3 .*Operation not permitted")
        server.stop()


if __name__ == "__main__":
    main()
