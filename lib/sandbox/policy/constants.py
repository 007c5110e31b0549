#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of constants, sorted, as initialisers of C: constants.py INPUT OUTPUT.

Words of INPUT are NAME, whose value the C compiler knows from the headers, or NAME=VALUE; # begins a comment.
"""
import pathlib
import sys

source, output = map(pathlib.Path, sys.argv[1:])
lines = source.read_text(encoding="utf-8").splitlines()
words = " ".join(line.partition("#")[0] for line in lines).split()
entries = sorted((name, value or name) for name, _, value in (word.partition("=") for word in words))
output.write_text("".join(f'{{"{name}", {value}}},\n' for name, value in entries), encoding="utf-8")
