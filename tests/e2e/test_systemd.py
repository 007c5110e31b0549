# SPDX-License-Identifier: LGPL-2.1-or-later
"""As a service of a real systemd, booted in namespaces: Type=notify, NotifyAccess=main, socket activation, and what it
makes of a kill -9 of either process."""
import contextlib
import os
import re
import shutil
import subprocess

from harness import CMD, HERE, SANITIZED, Skip, WORKER, check, check_equal, main, need_program, need_root, scenario, wait_for

BOOT = os.path.join(os.path.dirname(HERE), "sandbox", "systemd", "boot.sh")
SERVICE = """[Service]
Type=notify
NotifyAccess=main
Environment=LD_LIBRARY_PATH=/opt/ait
ExecStart=/opt/ait/aiotools-sd run -n2 --ready=notify --settle=0 --drain=0 --stop-timeout=300ms {options} -- /opt/ait/worker --daemons=1 --children=1
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=0
RuntimeDirectory=shop
TimeoutStopSec=20
"""
SOCKET = "[Socket]\nListenStream=/run/shop.sock\n"


class Systemd:
    def __init__(self, pit, units):
        self.console, ready = pit.file("console"), pit.file("booted")
        with open(self.console, "wb") as console:
            self.outer = subprocess.Popen(
                [need_program("unshare"), "--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--propagation",
                 "private", "--kill-child=KILL", BOOT, "/", units, ready],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd="/")
        self.init, self.ready = 0, ready
        pit.own.add(self.outer.pid)
        pit.defer(self.end)
        wait_for("the boot", self.is_up)

    def end(self):
        """It takes all with it."""
        self.outer.kill()
        self.outer.wait()

    def is_up(self):
        if self.outer.poll() is not None:
            said = open(self.console, errors="replace").read().strip().rpartition("\n")[2]
            raise Skip(f"systemd does not boot: {said}")
        with open(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children") as f:
            self.init = int((f.read().split() or ["0"])[0])
        return self.init and self.run("systemctl", "is-active", "idle.target") == "active"

    def run(self, *command):
        return subprocess.run(["nsenter", "-t", str(self.init), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root",
                               "--wdns=/", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout.strip()

    def show(self, name):
        return self.run("systemctl", "show", "--value", f"--property={name}", "shop.service")

    def children(self, pid):
        return self.run("cat", f"/proc/{pid}/task/{pid}/children").split()

    def comm(self, pid):
        return self.run("cat", f"/proc/{pid}/comm")

    def alive(self, pids):
        return [p for p in pids if re.search(r"^State:\s+[^ZX]", self.run("cat", f"/proc/{p}/status"), re.M)]

    def processes(self):
        """Of the unit."""
        found = []
        for line in self.run("ps", "-e", "-o", "pid=,args=").split("\n"):
            pid, _, args = line.strip().partition(" ")
            if "aiotools-sd: guardian" in args or "/opt/ait/" in args:
                found.append(pid)
        return found

    def wait_active(self, restarts):
        wait_for(lambda: f"an active unit after {restarts} restarts\n{self.run('systemctl', 'status', '--full', 'shop.service')}",
                 lambda: self.show("ActiveState") == "active" and self.show("NRestarts") == str(restarts) and
                 self.show("StatusText") == "2 of 2 workers ready", step=0.05)


def booted(pit, options="", socket=False):
    need_root()
    need_program("nsenter")
    if SANITIZED:
        raise Skip("the libraries of the sanitizers are not in the booted system")
    if not os.access("/lib/systemd/systemd", os.X_OK):
        raise Skip("systemd is not installed")
    units = pit.directory("units")
    where, programs = os.path.join(units, "etc/systemd/system"), os.path.join(units, "opt/ait")
    os.makedirs(where)
    os.makedirs(programs)
    for program, name in ((CMD, "aiotools-sd"), (WORKER, "worker")):
        shutil.copy(program, os.path.join(programs, name))
    for directory in os.environ.get("LD_LIBRARY_PATH", os.path.join(os.path.dirname(CMD), "..", "lib")).split(":"):
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(directory):
                if ".so" in name and os.path.isfile(os.path.join(directory, name)):
                    shutil.copy(os.path.join(directory, name), os.path.join(programs, name))
    for name, text in (("idle.target", "[Unit]\nDescription=idle\n"), ("shop.service", SERVICE.format(options=options)),
                       *([("shop.socket", SOCKET)] if socket else [])):
        with open(os.path.join(where, name), "w") as f:
            f.write(text)
    systemd = Systemd(pit, units)
    if socket:
        check_equal(systemd.run("systemctl", "start", "shop.socket"), "", "the start of the socket")
    systemd.run("systemctl", "start", "shop.service")
    systemd.wait_active(0)
    return systemd


@scenario
def kill_of_either(pit):
    """The unit is restarted, nothing of before is left, and the guardian is the main process."""
    systemd = booted(pit)
    for restarts, who in enumerate(("guardian", "supervisor", "guardian"), 1):
        main_pid = systemd.show("MainPID")
        check_equal(systemd.comm(main_pid), "aiotools-guard", "the main process")
        supervisor, = systemd.children(main_pid)
        before = systemd.processes()
        check(len(before) >= 2 + 2 + 4, f"only {before}")
        systemd.run("kill", "-9", main_pid if who == "guardian" else supervisor)
        systemd.wait_active(restarts)
        check_equal(systemd.alive(before), [], f"left of before the kill of the {who}")
    systemd.run("systemctl", "stop", "shop.service")
    check_equal((systemd.show("ActiveState"), systemd.show("Result"), systemd.show("ExecMainStatus")), ("inactive", "success", "0"),
                "after the stop")
    check_equal(systemd.processes(), [], "left after the stop")
    systemd.end()


@scenario
def activated_and_reloaded(pit):
    """LISTEN_PID names the guardian; its child takes the sockets all the same. RELOADING and READY come from it, too."""
    systemd = booted(pit, socket=True)
    workers = systemd.processes()
    ask = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/shop.sock'); s.send(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.recv(99))"
    check("HTTP" in systemd.run("python3", "-c", ask), "no answer at the socket")
    systemd.run("systemctl", "reload", "shop.service")
    wait_for("other workers", lambda: len(systemd.alive(workers)) == 2, step=0.05)
    systemd.wait_active(0)
    systemd.run("systemctl", "kill", "--signal=INT", "shop.service")  # to both, and to the workers
    wait_for("the stop", lambda: systemd.show("ActiveState") == "inactive", step=0.05)
    check_equal(systemd.show("Result"), "success", "after INT to all")
    systemd.end()


if __name__ == "__main__":
    main()
