#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is written down in more than one place says the same: options in --help, manual page and completion; symbols in the version script, the
headers and the overview page; the program of the README and the example that is built."""
import glob
import os
import re
import shutil
import sys
import tempfile

from cases import Skip, case, check, check_equal, main, run

CMD, COMPLETION, ROOT, BUILD = sys.argv[1:5]
OVERVIEW = os.path.join(BUILD, "docs", "libaiotools-sd.7")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def help_options(*command):
    text = run(CMD, *command, "--help").stdout
    found = re.findall(r"^ +(?:-(\w), )?--([a-z-]+)(?:=(\S+))?", text, re.M)
    check(len(found) > (20 if command == ("run",) else 0), f"only {len(found)} options in {command} --help")
    return found


def sandbox_commands():
    listed = run(CMD, "sandbox").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^  ([a-z]+) ", listed, re.M)
    check(len(found) >= 6, listed)
    return found


def plain_roff(text):
    text = re.sub(r"\\f[BIRP]", "", text)
    return text.replace("\\-", "-").replace("\\(bu", "*").replace("\\|", "")


def manual_options(page):
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


def check_options(section, *command):
    wanted = {(letter, name, value) for letter, name, value in help_options(*command)}
    got = {entry for entry in manual_options(section) if entry[0] != "letter"} - {("", "version", "")}
    check_equal(sorted(got), sorted(wanted), f"{' '.join(command)}: options of the manual page")


@case
def manual_page_has_each_option():
    page = plain_roff(read("docs", "man", "aiotools-sd.1"))
    options, _, rest = page.partition(".SH SANDBOX POLICIES\n")
    check_options(options, "run")
    sections = re.split(r"^\.SS (?=sandbox )", rest.partition("\n.SH ")[0], flags=re.M)[1:]
    check_equal([section.split()[1] for section in sections], sandbox_commands(), "commands of the manual page")
    for section in sections:
        if section.split()[1] != "groups":  # it has --help alone, of which nobody needs to be told
            check_options(section, "sandbox", section.split()[1])


@case
def policy_page_has_each_group():
    page = plain_roff(read("docs", "man", "libaiotools-sd-policy.7"))
    wanted = [(name, text[0].upper() + text[1:] + ".") for name, text in
              re.findall(r"^(@\S+) +(.*)$", run(CMD, "sandbox", "groups").stdout, re.M)]
    check_equal(re.findall(r"^\.TP\n\.B (@\S+)\n(.*)$", page, re.M), wanted, "groups of libaiotools-sd-policy(7)")


@case
def policies_of_the_manual_are_right():
    page = plain_roff(read("docs", "man", "libaiotools-sd-policy.7"))
    found = [text for text in re.findall(r"^\.EX\n(.*?)^\.EE$", page, re.M | re.S) if text.startswith("policy 1\n")]
    check(len(found) >= 5, f"only {len(found)} policies in libaiotools-sd-policy(7)")
    with tempfile.TemporaryDirectory() as folder:
        for text in found:
            path = os.path.join(folder, "example.policy")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            done = run(CMD, "sandbox", "check", path)
            check(done.returncode == 0 and "verified" in done.stdout, f"{text}\n{done.stdout}{done.stderr}")


@case
def readme_says_how_to_begin():
    """On a machine that is fresh, and before anything is installed."""
    text = read("README.md")
    install = text.index("apt-get install")
    check("apt-get update" in text[:install], "apt-get install without apt-get update before it")
    pages = re.findall(r"man -l (\S+)`", text)
    check(len(pages) >= 2, f"how pages are read before the installation: {pages}")
    for page in pages:
        path = os.path.join(BUILD, page.removeprefix("build/")) if page.startswith("build/") else os.path.join(ROOT, page)
        check(os.path.exists(path), f"{page} is not there")


@case
def manual_pages_format_without_warnings():
    if not shutil.which("man"):
        raise Skip("man is not installed")
    for page in os.path.join(ROOT, "docs", "man", "aiotools-sd.1"), os.path.join(ROOT, "docs", "man", "libaiotools-sd-policy.7"), OVERVIEW:
        done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page,
                   env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
        check_equal((done.returncode, done.stderr), (0, ""), page)


@case
def overview_page_has_each_symbol():
    scripts = read("lib", "libaiotools-sd.sym") + read("lib", "libaiotools-sd-sandbox.sym")
    symbols = set(re.findall(r"^\s+(ait_\w+);", scripts, re.M))
    check(len(symbols) > 50, f"only {len(symbols)} symbols in the version script")
    page = plain_roff(read(OVERVIEW))
    headers = "".join(map(read, glob.glob(os.path.join(ROOT, "include", "aiotools-sd", "*.h"))))
    declared = set(re.findall(r"\b(ait_\w+)\(", re.sub(r"/\*.*?\*/", "", headers, flags=re.S)))
    for symbol in sorted(symbols):
        check(symbol in declared, f"{symbol} is exported, but in no header")
        check(re.search(rf"\b{symbol}\b", page), f"{symbol} is not in libaiotools-sd(7)")
    for name in sorted(set(re.findall(r"\b(ait_\w+) \(\)", page))):
        check(name in symbols or re.search(rf"^static inline .*\b{name}\(", headers, re.M), f"libaiotools-sd(7) speaks of {name}, which is not exported")


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
    (["run", "--deny", "=", "k"], ["kill"]),
    (["run", "--read-"], ["--read-only=", "--read-write="]),
    (["run", "--policy", "=", "/etc/passw"], ["/etc/passwd"]),
    (["run", "--run-to-completion", "--log", "=", "js"], ["json"]),
    (["run", "--", "cat", "/etc/passw"], ["/etc/passwd"]),
    (["sand"], ["sandbox"]),
    (["sandbox", "ex"], ["export", "explain"]),
    (["sandbox", "--h"], ["--help"]),
    (["sandbox", "check", "serv"], ["service"]),
    (["sandbox", "check", "--from", "=", "o"], ["oci"]),
    (["sandbox", "check", "/etc/passw"], ["/etc/passwd"]),
    (["sandbox", "export", "strict", "--t"], ["--to="]),
    (["sandbox", "export", "strict", "--to", "=", "b"], ["bpf"]),
    (["sandbox", "learn", "-o", "x", "--", "cat", "/etc/passw"], ["/etc/passwd"]),
    (["sandbox", "learn", "--by"], ["--by-count"]),
    (["sandbox", "explain", "1"], []),
    (["doctor", "x"], []),
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
    for letter, name, value in help_options("run"):
        done = run("bash", "-c", script, "bash", COMPLETION, "run", f"--{name}")
        check(f"--{name}{'=' if value else ''}" in done.stdout.split(), f"--{name} is not completed")


if __name__ == "__main__":
    main()
