#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""fill-example.py PAGE SOURCE OUTPUT: copies a manual page, with the line @QUICKSTART@ replaced by a source file."""
import sys


def roff(line):
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + line if line[:1] in (".", "'") else line


page, source, output = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    lines = file.read().splitlines()
lines = [line for line in lines if "SPDX-" not in line]
with open(page, encoding="utf-8") as file:
    text = file.read()
with open(output, "w", encoding="utf-8") as file:
    file.write(text.replace("@QUICKSTART@", "\n".join(map(roff, lines))))
