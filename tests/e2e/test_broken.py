#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Broken deploys of each server of docs/servers.md: the application, the configuration, the interpreter of the program, and a
program that dies a second after it was ready. The reload is rolled back, the old workers serve on and lose nothing, and one
line says why."""
import os
import re
import signal

from harness import FULL, Load, Skip, check, check_equal, main, scenario, seconds
from servers import RECIPES

# The others take long, or are of the same kind.
ORDINARILY = ("gunicorn", "haproxy", "node", "php-fpm")
START = "#!@SITE@/sh\nexec \"$@\"\n"
DYING = "#!@SITE@/sh\n(sleep @SECONDS@; kill -KILL $$) &\nexec \"$@\"\n"


class Deploy:
    """A site whose files are replaced as a deploy does it, and put back. Its program is a script, as of a virtual environment,
    whose interpreter can go away."""

    def __init__(self, recipe):
        self.site, self.before = recipe.site, {}
        os.symlink("/bin/sh", f"{self.site}/sh")
        self.write("environment", "")
        self.write("start", self.script(START))

    def script(self, text, after=0):
        return text.replace("@SITE@", self.site).replace("@SECONDS@", str(after))

    def write(self, name, text):
        path = os.path.join(self.site, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "w") as f:
            f.write(text)
        os.chmod(f"{path}.new", 0o755)
        os.rename(f"{path}.new", path)

    def replace(self, files):
        for name, text in files.items():
            path = os.path.join(self.site, name)
            if os.path.exists(path):
                os.rename(path, f"{path}.before")
            self.before[path] = os.path.exists(f"{path}.before")
            if text is not None:
                self.write(name, text)

    def put_back(self):
        for path, existed in self.before.items():
            if existed:
                os.rename(f"{path}.before", path)
            else:
                os.unlink(path)
        self.before = {}


def rejected(pit, server, load, old):
    """HUP. One line says that nothing was replaced, and why."""
    since = server.err.mark()
    server.send(signal.SIGHUP)
    why = server.err.wait(r"reload: (rolled.back; 0 of \d+ .*|refused.*)", since=since, patience=90).group(0).decode()
    check(re.search(r"since the new one of slot \d+ .|refused, .*: .", why), f"does not say why: {why}")
    check_equal(sorted(server.wait_workers(len(old))), sorted(old), "workers")
    load.wait_ok(30)
    return why


def broken_deploys(name):
    def run(pit):
        if not FULL and name not in ORDINARILY:
            raise Skip("one of the long variants (AIT_E2E_FULL=1)")
        recipe = RECIPES[name](pit)
        deploy = Deploy(recipe)
        arguments = recipe.arguments(f"--env-file={recipe.site}/environment", f"--settle={seconds(3)}", "--drain=500ms", workers=2)
        cut = arguments.index("--") + 1
        server = pit.server(*arguments[:cut], f"{recipe.site}/start", *arguments[cut:]).wait_ready(patience=60)
        end_front = recipe.front()
        old = server.wait_workers(2)
        load = pit.load(recipe.target, "-c4", "-C", "-p5")
        load.wait_ok(50)
        dying = {"start": deploy.script(DYING, recipe.slow_start + 1)}
        for what, files in {**recipe.broken, "interpreter": {"sh": None}, "death": dying}.items():
            deploy.replace(files)
            pit.note(f"\n      {what}: {rejected(pit, server, load, old)}")
            deploy.put_back()
        server.reload(2, patience=90)
        load.wait_ok(30)
        Load.check_lossless(load.stop())
        server.stop()
        if end_front:
            end_front()
    run.__name__ = name.replace("-", "_")
    return scenario(run)


for each in RECIPES:
    broken_deploys(each)


if __name__ == "__main__":
    main()
