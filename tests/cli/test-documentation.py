#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is written down in more than one place says the same: options in --help, manual page and completion; symbols in the version script, the
headers and the overview page; the program of the README and the example that is built."""
import glob
import os
import re
import shutil
import sys

from cases import Skip, case, check, check_equal, main, run

CMD, COMPLETION, ROOT, BUILD = sys.argv[1:5]
OVERVIEW = os.path.join(BUILD, "docs", "libaiotools-sd.7")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def help_options():
    text = run(CMD, "run", "--help").stdout
    found = re.findall(r"^ +(?:-(\w), )?--([a-z-]+)(?:=(\S+))?", text, re.M)
    check(len(found) > 20, f"only {len(found)} options in --help")
    return found


def plain_roff(text):
    text = re.sub(r"\\f[BIRP]", "", text)
    return text.replace("\\-", "-").replace("\\(bu", "*").replace("\\|", "")


def manual_options():
    page = plain_roff(read("docs", "man", "aiotools-sd.1"))
    heads = re.findall(r"^\.TP\n(-.*)$", page, re.M)
    found = []
    for head in heads:
        for part in head.split(", --"):
            letter = re.match(r"-(\w)$", part)
            if letter:
                found.append(("letter", letter.group(1)))
                continue
            name, _, value = part.removeprefix("--").partition("=")
            match = re.match(r"-(\w), --", head)
            found.append((match.group(1) if match else "", name, value))
    return found


@case
def manual_page_has_each_option():
    wanted = {(letter, name, value) for letter, name, value in help_options()}
    got = {entry for entry in manual_options() if entry[0] != "letter"} - {("", "version", "")}
    check_equal(sorted(got), sorted(wanted), "options of the manual page")


@case
def manual_pages_format_without_warnings():
    if not shutil.which("man"):
        raise Skip("man is not installed")
    for page in os.path.join(ROOT, "docs", "man", "aiotools-sd.1"), OVERVIEW:
        done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page,
                   env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
        check_equal((done.returncode, done.stderr), (0, ""), page)


@case
def overview_page_has_each_symbol():
    symbols = set(re.findall(r"^\s+(ait_\w+);", read("lib", "libaiotools-sd.sym"), re.M))
    check(len(symbols) > 50, f"only {len(symbols)} symbols in the version script")
    page = plain_roff(read(OVERVIEW))
    headers = "".join(map(read, glob.glob(os.path.join(ROOT, "include", "aiotools-sd", "*.h"))))
    declared = set(re.findall(r"\b(ait_\w+)\(", re.sub(r"/\*.*?\*/", "", headers, flags=re.S)))
    for symbol in sorted(symbols):
        check(symbol in declared, f"{symbol} is exported, but in no header")
        cleanup = symbol.endswith("p") and symbol[:-1] in symbols
        check(cleanup or re.search(rf"\b{symbol}\b", page), f"{symbol} is not in libaiotools-sd(7)")
    for name in sorted(set(re.findall(r"\b(ait_\w+) \(\)", page))):
        check(name in symbols, f"libaiotools-sd(7) speaks of {name}, which is not exported")


@case
def readme_shows_the_example():
    source = "".join(line for line in read("examples", "quickstart.c").splitlines(True) if "SPDX-" not in line)
    check(f"```c\n{source}```" in read("README.md"), "README.md: its program is not examples/quickstart.c")


COMPLETIONS = [
    (["r"], ["run"]),
    (["--v"], ["--version"]),
    (["run", "--work"], ["--workers="]),
    (["run", "-n", "4", "--li"], ["--listen=", "--listeners="]),
    (["run", "--log", "="], ["prefix", "plain", "json"]),
    (["run", "--log", "=", "p"], ["prefix", "plain"]),
    (["run", "--log", "j"], ["json"]),
    (["run", "--restart", "=", "on"], ["on-failure"]),
    (["run", "--listen", "=", "web", "=", "127.0.0.1", ":", "80", "--sand"], ["--sandbox="]),
    (["run", "--workers", "4", "--sandbox", "=", "n"], ["none"]),
    (["run", "--run-to-completion", "--log", "=", "js"], ["json"]),
    (["run", "--", "cat", "/etc/passw"], ["/etc/passwd"]),
]


@case
def completion():
    if not shutil.which("bash"):
        raise Skip("bash is not installed")
    script = """
        source "$1"; shift
        compopt() { :; }
        COMP_WORDS=(aiotools-sd "$@"); COMP_CWORD=$#
        _aiotools_sd
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    for words, wanted in COMPLETIONS:
        done = run("bash", "-c", script, "bash", COMPLETION, *words)
        got = [word for word in done.stdout.split("\n") if word and not word.endswith("-")]
        check_equal((got, done.stderr), (wanted, ""), " ".join(words))
    for letter, name, value in help_options():
        done = run("bash", "-c", script, "bash", COMPLETION, "run", f"--{name}")
        check(f"--{name}{'=' if value else ''}" in done.stdout.split(), f"--{name} is not completed")


if __name__ == "__main__":
    main()
