#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""overview.py PAGE SOURCE OUTPUT HEADER... -- SANDBOX-HEADER...: completes the overview page from what it speaks of.

@HEADERS@ and @SANDBOX-HEADERS@ become a paragraph for each header: the first one of its block comment, and its functions
in their order; cleanup functions (whose names end in p) are left out. @QUICKSTART@ becomes the source file.
"""
import os
import re
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def roff(line):
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + line if line[:1] in (".", "'") else line


def first_paragraph(text):
    comment = re.search(r"^/\*\n(.*?)\*/", text, re.M | re.S)
    lines = [line.strip().lstrip("*").strip() for line in comment.group(1).splitlines()] if comment else []
    return " ".join(lines[:lines.index("")] if "" in lines else lines)


def functions(text):
    text = re.sub(r"^AIT_DEFINE_CLEANUP_.*$", "", text, flags=re.M)
    code = re.sub(r"/\*.*?\*/|^#.*?[^\\]$|\btypedef\b[^;{]*;", "", text, flags=re.S | re.M)
    names = list(dict.fromkeys(re.findall(r"\b(ait_\w+)\(", code)))
    return [name for name in names if not (name.endswith("p") and name[:-1] in names)]


def describe(path):
    text = read(path)
    names = functions(text)
    if not names:
        return ""
    lines = [".TP", rf".B <aiotools\-sd/{os.path.basename(path)}>", roff(first_paragraph(text)), ".br"]
    lines += [f".BR {name} ()," for name in names[:-1]] + [f".BR {names[-1]} ()."]
    return "\n".join(lines) + "\n"


def main():
    page, source, output, *headers = sys.argv[1:]
    example = "\n".join(roff(line) for line in read(source).splitlines() if "SPDX-" not in line)
    text = read(page).replace("@QUICKSTART@", example)
    at = headers.index("--")
    text = text.replace("@HEADERS@\n", "".join(map(describe, sorted(headers[:at]))))
    text = text.replace("@SANDBOX-HEADERS@\n", "".join(map(describe, sorted(headers[at + 1:]))))
    with open(output, "w", encoding="utf-8") as file:
        file.write(text)


main()
