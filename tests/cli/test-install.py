#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library as its users meet it: installed into a folder, then used from plain cc in C99, C11 and C++, from another meson project, and as a
subproject of one. Each program is run."""
import glob
import json
import os
import re
import shutil
import sys
import tempfile

from cases import Skip, case, check, check_equal, main, run

BUILD, ROOT = sys.argv[1:3]
LIBRARIES = "libaiotools-sd", "libaiotools-sd-sandbox"

CONSUMER = """
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

static int child(void *userdata)
{
    int r = ait_sleep(1000);
    if (r >= 0)
        ++*(int *)userdata;
    return r;
}

static int run_program(void)
{
    AIT_CHILD(program);
    int r = ait_spawn(&program, AIT_ARGV("true"), AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDOUT_NULL));

    return r;
}

static int run_children(void *userdata)
{
    ait_scope *scope = NULL;
    int i, r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);

    for (i = 0; i < 10 && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, child, userdata, AIT_TASK_OPTIONS(.name = "child"));
    r = ait_scope_exit(scope, r < 0 ? r : 0);
    ait_scope_leave(scope);
    return r < 0 ? r : run_program();
}

int main(void)
{
    int ended = 0;
    int r = ait_run(run_children, &ended, 0);

    printf("%d %d\\n", r, ended);
    return r < 0 || ended != 10;
}
"""

# Neither loop nor task.
SANDBOX = """
#include <aiotools-sd/sandbox.h>
#include <stdio.h>

int main(void)
{
    ait_policy *policy = NULL;
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    int r = ait_policy_from_preset(&policy, "service", &problem);

    printf("%d %d\\n", r, policy != NULL);
    ait_policy_unref(policy);
    return r < 0;
}
"""

MESON = """
project('consumer', '{language}')
aiotools = dependency('libaiotools-sd', fallback : ['aiotools-sd', 'libaiotools_dep'])
test('consumer', executable('consumer', 'consumer.{suffix}', dependencies : aiotools))
"""


class Installed:
    """The tree, installed once; its pkg-config file as if it had been configured for this place."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        destination = os.path.join(self.folder.name, "root")
        done = run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", destination)
        check_equal(done.returncode, 0, done.stdout + done.stderr)
        options = json.loads(run("meson", "introspect", "--buildoptions", BUILD).stdout)
        self.options = {option["name"]: option["value"] for option in options}
        self.prefix = destination + self.options["prefix"]
        self.lib = self.path("libdir")
        self.pkgconfig = os.path.join(self.lib, "pkgconfig")
        for name in LIBRARIES:
            path = os.path.join(self.pkgconfig, name + ".pc")
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(path, "w", encoding="utf-8") as file:
                file.write(re.sub(r"^prefix=.*$", f"prefix={self.prefix}", text, flags=re.M))
        self.env = {**os.environ, "PKG_CONFIG_PATH": self.pkgconfig, "LD_LIBRARY_PATH": self.lib}

    def path(self, option, *names):
        return os.path.join(self.prefix, self.options[option], *names)


_installed = None


def installed():
    global _installed
    _installed = _installed or Installed()
    return _installed


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


@case
def files():
    tree = installed()
    wanted = [tree.path("bindir", "aiotools-sd"), tree.path("mandir", "man1", "aiotools-sd.1"),
              tree.path("mandir", "man7", "libaiotools-sd.7"), tree.path("mandir", "man7", "libaiotools-sd-policy.7"),
              tree.path("datadir", "bash-completion", "completions", "aiotools-sd")]
    wanted += [tree.path("libdir", *path) for name in LIBRARIES
               for path in ((name + ".so",), (name + ".so.0",), ("pkgconfig", name + ".pc"))]
    wanted += [tree.path("includedir", "aiotools-sd", name)
               for name in os.listdir(os.path.join(ROOT, "include", "aiotools-sd")) if name.endswith((".h", ".hpp"))]
    for path in wanted:
        check(os.path.exists(path) or os.path.exists(path + ".gz"), f"{path} is not installed")
    # One page of the manual a symbol, which the test "manual" counts; gdb's script; the files that libraries' names lead to.
    manual, debugger = tree.path("mandir", "man3"), tree.path("datadir", "gdb")
    found = [os.path.join(folder, name) for folder, _, names in os.walk(tree.prefix) for name in names
             if folder != manual and not folder.startswith(debugger)]
    check(len(found) <= len(wanted) + 2, f"more is installed than there should be: {sorted(set(found) - set(wanted))}")


@case
def command_runs():
    tree = installed()
    done = run(tree.path("bindir", "aiotools-sd"), "--version", env=tree.env)
    check(done.returncode == 0 and done.stdout.startswith("aiotools-sd "), done.stdout + done.stderr)


@case
def exported_symbols():
    if not shutil.which("nm"):
        raise Skip("nm is not installed")
    tree = installed()
    for name in LIBRARIES:
        text = run("nm", "-D", "--defined-only", os.path.join(tree.lib, name + ".so.0")).stdout
        got = {line.split()[2].split("@")[0] for line in text.splitlines() if line.split()[1] != "A"}
        with open(os.path.join(ROOT, "lib", name + ".sym"), encoding="utf-8") as file:
            wanted = set(re.findall(r"^\s+(ait_\w+);", file.read(), re.M))
        check_equal(sorted(got), sorted(wanted), f"exported symbols of {name}")


def plain_compiler(compiler, suffix, *options, library="libaiotools-sd", text=CONSUMER, printed="0 10\n"):
    if not shutil.which(compiler):
        raise Skip(f"{compiler} is not installed")
    tree = installed()
    with tempfile.TemporaryDirectory() as folder:
        source = write(folder, "consumer." + suffix, text)
        flags = run("pkg-config", "--cflags", "--libs", library, env=tree.env).stdout.split()
        check(flags, "pkg-config says nothing")
        program = os.path.join(folder, "consumer")
        done = run(compiler, *options, "-Wall", "-Wextra", "-Wpedantic", "-Wno-unused-parameter", "-Werror", source,
                   "-o", program, *flags)
        check_equal((done.returncode, done.stderr), (0, ""), f"{compiler} {' '.join(options)}")
        done = run(program, env=tree.env)
        check_equal((done.returncode, done.stdout), (0, printed), "the program")


@case
def plain_cc_c99():
    plain_compiler("cc", "c", "-std=c99")


@case
def plain_cc_gnu17():
    plain_compiler("cc", "c", "-std=gnu17")


@case
def sandbox_alone():
    for compiler, suffix, option in ("cc", "c", "-std=c99"), ("c++", "cc", "-std=c++17"):
        plain_compiler(compiler, suffix, option, library="libaiotools-sd-sandbox", text=SANDBOX, printed="0 1\n")


@case
def plain_cplusplus():
    plain_compiler("c++", "cc", "-std=c++11")


@case
def plain_clang_cplusplus():
    plain_compiler("clang++", "cc", "-std=c++20")


# What recipes need besides.
RECIPES = {"recipe-curl": "libcurl", "recipe-libpq": "libpq", "recipe-openssl": "openssl"}


@case
def examples_with_plain_cc():
    """As the README says it."""
    tree = installed()
    with tempfile.TemporaryDirectory() as folder:
        for source in glob.glob(os.path.join(ROOT, "examples", "*.c")):
            name = os.path.basename(source)[:-2]
            library = RECIPES.get(name, "")
            if library and run("pkg-config", "--exists", library).returncode != 0:
                continue
            done = run("/bin/sh", "-c", f'"$@" $(pkg-config --cflags --libs libaiotools-sd {library})', "sh", "cc",
                       "-D_GNU_SOURCE", "-Wall", "-Wextra", source, "-o", os.path.join(folder, name), env=tree.env)
            check_equal((done.returncode, done.stderr), (0, ""), f"cc {name}.c")


def meson_project(folder, env, language="c", suffix="c", options=()):
    write(folder, "meson.build", MESON.format(language=language, suffix=suffix))
    write(folder, "consumer." + suffix, CONSUMER)
    build = os.path.join(folder, "build")
    for command in (["meson", "setup", build, folder, *options], ["ninja", "-C", build, "consumer"],
                    ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "consumer"]):
        done = run(*command, env=env)
        check_equal(done.returncode, 0, " ".join(command) + "\n" + done.stdout + done.stderr)


@case
def meson_project_c():
    with tempfile.TemporaryDirectory() as folder:
        meson_project(folder, installed().env, options=["--wrap-mode=nofallback"])


@case
def meson_project_cplusplus():
    if not shutil.which("c++"):
        raise Skip("c++ is not installed")
    with tempfile.TemporaryDirectory() as folder:
        meson_project(folder, installed().env, "cpp", "cc", ["--wrap-mode=nofallback"])


@case
def meson_subproject():
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "subprojects"))
        os.symlink(ROOT, os.path.join(folder, "subprojects", "aiotools-sd"))
        meson_project(folder, dict(os.environ), options=["--wrap-mode=forcefallback", "-Daiotools-sd:tests=false"])


if __name__ == "__main__":
    main()
