#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Section 3 of the manual and the pages of docs/: each exported symbol has its page, what is said to exist does, and what is shown compiles."""
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from cases import Skip, case, check, check_equal, main, run

ROOT, BUILD, COMPILER = sys.argv[1], sys.argv[2], sys.argv[3:]
PAGES = os.path.join(BUILD, "docs")
INCLUDE = os.path.join(ROOT, "include")
SCRIPTS = "libaiotools-sd.sym", "libaiotools-sd-sandbox.sym"


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def exported():
    found = [name for script in SCRIPTS for name in re.findall(r"^\s+(ait_\w+);", read("lib", script), re.M)]
    check(len(found) > 100, f"only {len(found)} symbols in the version script")
    return found + inline()


def inline():
    """Functions that are in the headers only, cleanup functions above all."""
    text = "".join(map(read, glob.glob(os.path.join(INCLUDE, "aiotools-sd", "*.h"))))
    found = [name + "p" for name in re.findall(r"^AIT_DEFINE_CLEANUP_\(\w+, (\w+)\)", text, re.M)]
    found += re.findall(r"^static inline [\w *]*?\b(ait_\w+)\(", text, re.M)
    check(len(found) > 25, f"only {len(found)} inline functions")
    return found


def declared():
    """All names that the public headers define: functions, types, macros, constants."""
    text = "".join(map(read, glob.glob(os.path.join(INCLUDE, "aiotools-sd", "*.h"))))
    return set(re.findall(r"\b(?:ait|AIT)_\w+", re.sub(r"/\*.*?\*/", "", text, flags=re.S))).union(inline())


def pages():
    """Of the group pages, not of the aliases: name, the names that it is about, text."""
    for path in sorted(glob.glob(os.path.join(PAGES, "*.3"))):
        text = read(path)
        if not text.startswith(".so "):
            head = re.search(r"^\.SH NAME\n(.*?)^\.SH", text, re.M | re.S).group(1).split(r" \-")[0]
            yield os.path.basename(path), re.findall(r"\w+", head), text


@case
def each_symbol_has_a_page():
    told = {}
    for page, names, _ in pages():
        for name in names:
            check(name not in told, f"{name} is in {page} and in {told.get(name)}")
            told[name] = page
    missing = [symbol for symbol in exported() if symbol not in told]
    check_equal(missing, [], "symbols without a page of the manual (docs/man)")
    for symbol in exported():
        check(os.path.exists(os.path.join(PAGES, symbol + ".3")), f"{symbol}.3 is not made")


@case
def each_page_names_its_library():
    for script in SCRIPTS:
        library = script.removesuffix(".sym")
        symbols = set(re.findall(r"^\s+(ait_\w+);", read("lib", script), re.M))
        for page, names, text in pages():
            if symbols.intersection(names):
                check(f"pkg-config {library})" in plain(text), f"{page} does not say that it is about {library}")


# What headers are made of, and no program uses.
PLUMBING = {"AIT_BEGIN_DECLS", "AIT_END_DECLS", "AIT_MUST_CHECK", "AIT_PUBLIC", "AIT_UNUSED", "AIT_UNIQUE", "AIT_PROCESS_SIGINFO"}


@case
def each_type_and_constant_has_a_page():
    headers = re.findall(r"[\w-]+\.h", read("include", "aiotools-sd", "meson.build"))
    check(len(headers) > 20, f"only {len(headers)} headers are installed")
    for header in headers:
        text = re.sub(r"/\*.*?\*/", "", read("include", "aiotools-sd", header), flags=re.S)
        names = re.findall(r"^#define (AIT_\w+)|^\} (ait_\w+);|^typedef struct \w+ (ait_\w+);|^typedef [^;{]*?\(\*(ait_\w+)\)", text, re.M)
        names = [name for match in names for name in match if name]
        for body in re.findall(r"^(?:typedef )?enum[^{;]*\{(.*?)\}", text, re.M | re.S):
            names += re.findall(r"(AIT_\w+)\s*(?:=[^,]*)?(?:,|$)", body.strip())
        for name in names:
            if name not in PLUMBING and not name.endswith(("_", "_H")):
                check(os.path.exists(os.path.join(PAGES, name + ".3")), f"{header}: no page of the manual is about {name}")


@case
def each_struct_can_grow_or_is_frozen():
    tested = set(re.findall(r"^NO_PADDING\((\w+),", read("tests", "core", "test-growth.c"), re.M))
    found = 0
    for path in glob.glob(os.path.join(INCLUDE, "aiotools-sd", "*.h")):
        for about, name, first in re.findall(r"(/\*(?:(?!\*/).)*?\*/\n)?^typedef struct (\w+) \{\n *([^;]*;)", read(path), re.M | re.S):
            found += 1
            if first == "size_t size;":
                check(name in tested, f"{name} can grow, and is not in tests/core/test-growth.c")
            else:
                check("Frozen" in about, f"{name} cannot grow, and does not say that it is frozen")
    check(found > 20, f"only {found} structs in the headers")


@case
def each_source_is_used():
    for path in glob.glob(os.path.join(ROOT, "docs", "man", "*.3*")):
        name = os.path.basename(path)
        check(name.endswith(".3.in"), f"docs/man/{name}: pages are NAME.3.in, and aliases are made")
        check(os.path.exists(os.path.join(PAGES, name.removesuffix(".in"))), f"{name} is not in docs/meson.build")


@case
def each_name_exists():
    known = declared()
    for page, names, text in pages():
        for name in names[1:] if page == names[0] + ".3" else names:
            check(name in known, f"{page} is about {name}, which is in no header")
        for name in re.findall(r"(?<![a-z_])(ait_\w+)(?=\\f[RP]\(\)| \(3\)|\(\))", text):
            check(name in known or os.path.exists(os.path.join(PAGES, name + ".3")), f"{page} speaks of {name}")


@case
def each_function_is_described():
    symbols = set(exported())
    for page, names, text in pages():
        body = text.split(".SH DESCRIPTION", 1)[-1]
        for name in sorted(symbols.intersection(names)):
            if name.endswith("p") and name[:-1] in symbols:
                continue  # for AIT_CLEANUP()
            check(re.search(rf"(?<![a-z_]){name}\b", body), f"{page} does not describe {name}")
        check(re.search(r"\b0\.1\b", text), f"{page} does not say since when")
        check(".SH EXAMPLES" in text, f"{page} has no example")


@case
def pages_format_without_warnings():
    if not shutil.which("man"):
        raise Skip("man is not installed")
    for page, _, _ in pages():
        done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", os.path.join(PAGES, page),
                   env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "120"})
        check_equal((done.returncode, done.stderr), (0, ""), page)


def plain(roff):
    roff = re.sub(r"\\f[BIRP]", "", roff).replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\(dq", '"')
    return roff.replace("\\&", "").replace("\\e", "\\")


@case
def examples_compile():
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for page, _, text in pages():
            examples = re.findall(r"^\.EX\n(.*?)^\.EE", text.split(".SH EXAMPLES", 1)[-1], re.M | re.S)
            check(examples, f"{page}: its example is not between .EX and .EE")
            for i, example in enumerate(examples):
                sources.append(os.path.join(folder, f"{page[:-2]}-{i}.c"))
                with open(sources[-1], "w", encoding="utf-8") as file:
                    file.write(plain(example))
        flags = ["-std=gnu17", "-D_GNU_SOURCE", "-S", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
        done = subprocess.run([*COMPILER, *flags, "-I" + INCLUDE, *sources], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, check=False, cwd=folder)
        check_equal((done.returncode, done.stderr), (0, ""), shlex.join(COMPILER))


# As the system calls of these names, whose manual shows them.
SYSTEM = {"readv", "recvfrom", "recvmsg", "send", "sendfile", "sendmsg", "sendto", "splice", "writev"}


# Their examples need a bus, a signal, a client, or privileges.
NOT_ALONE = {"ait_bus.3", "ait_explainer.3", "ait_io.3", "ait_sandbox.3", "ait_signals.3", "ait_stream.3"}


@case
def examples_run():
    options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", BUILD], stdout=subprocess.PIPE, check=True).stdout)
    if next(option["value"] for option in options if option["name"] == "b_sanitize") != "none":
        raise Skip("a sanitizer has to be in the program as well")
    library, n = os.path.join(BUILD, "lib"), 0
    with tempfile.TemporaryDirectory() as folder:
        for page, _, text in pages():
            for example in re.findall(r"^\.EX\n(.*?)^\.EE", text.split(".SH EXAMPLES", 1)[-1], re.M | re.S):
                if page in NOT_ALONE or "int main(void)" not in example:
                    continue
                n += 1
                program = os.path.join(folder, f"example-{n}")
                done = subprocess.run([*COMPILER, "-xc", "-D_GNU_SOURCE", "-I" + INCLUDE, "-o", program, "-", "-L" + library,
                                       "-Wl,-rpath," + library, "-laiotools-sd", "-laiotools-sd-sandbox", "-lsystemd", "-lpthread"],
                                      input=plain(example), stderr=subprocess.PIPE, text=True, check=False)
                check_equal((done.returncode, done.stderr), (0, ""), f"{page}: {example}")
                done = run(program, env={key: value for key, value in os.environ.items() if key != "AIT_SHUFFLE"})
                check_equal((done.returncode, done.stderr), (0, ""), f"{page}: {example}")
    check(n > 30, f"only {n} examples can be run")


@case
def each_function_has_a_use():
    """What is exported is used by our own programs, or shown; else nobody would miss it."""
    used = ""
    for pattern in "examples/*.c", "docs/man/examples/*.c", "cli/**/*.c", "lib/server/**/*.c":
        used += "".join(map(read, glob.glob(os.path.join(ROOT, pattern), recursive=True)))
    headers = "".join(map(read, glob.glob(os.path.join(INCLUDE, "aiotools-sd", "*.h"))))
    used += "".join(re.findall(r"^#define (?:[^\n]*\\\n)*[^\n]*|^static inline.*?^\}|^AIT_DEFINE_CLEANUP_.*?$", headers, re.M | re.S))
    known = set(re.findall(r"\bait_\w+", used))
    missing = [name for name in exported() if name not in known and not name.endswith("_ref") and name[4:] not in SYSTEM]
    check_equal(sorted(set(missing) - set(inline())), [], "exported functions that no program of ours and no example uses")


@case
def documents_name_what_exists():
    known = declared().union(page[:-2] for page, _, _ in pages())
    for page in "aiotools.md", "tutorial.md":
        for name in sorted(set(re.findall(r"\b(?:ait|AIT)_\w+", read("docs", page)))):
            check(name in known, f"docs/{page} speaks of {name}")


@case
def conformance_table_names_tests_that_exist():
    found = 0
    for path, rest in re.findall(r"`((?:core|tasks)/test-[\w-]+)`: \"([^\"]+)\"", read("docs", "aiotools.md")):
        found += 1
        source = re.sub(r'"\s*\n\s*"', "", read("tests", path + ".c"))
        check(f'"{rest}"' in source or f"cmocka_unit_test({rest})" in source, f"{path}.c has no {rest!r}")
    check(found > 100, f"only {found} tests are named")


@case
def conformance_table_is_complete():
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \| ([^|]+) \|$", read("docs", "aiotools.md").split("## Behaviour", 1)[1], re.M)
    tests = [test for cells in rows for test in re.findall(r"`(\w+)`", cells[0])]
    check_equal(len(tests), 135, "tests of aiotools in the table")
    for names, _, here in rows:
        check("`: \"" in here or here.startswith("Differs: "), f"{names}: neither a test nor a reason")


@case
def tutorial_shows_its_programs():
    text = read("docs", "tutorial.md")
    programs = re.findall(r"<!-- (examples/[\w-]+\.c) -->\n```c\n(.*?)```\n\n```text\n(.*?)```", text, re.S)
    wanted = sorted(os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "examples", "tutorial-*.c")))
    check_equal(sorted(name for name, _, _ in programs), wanted, "programs of the tutorial")
    for name, shown, printed in programs:
        source = "".join(line for line in read(name).splitlines(True) if "SPDX-" not in line)
        check_equal(shown, source, name)
        program = os.path.join(BUILD, name.removesuffix(".c"))
        done = run(program, env={key: value for key, value in os.environ.items() if key != "AIT_SHUFFLE"})
        check_equal((done.returncode, done.stderr, done.stdout), (0, "", printed), program)


if __name__ == "__main__":
    main()
