#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of arguments that are narrower than 64 bits, as initialisers of C: widths.py INPUT OUTPUT.

INPUT has paragraphs "ARGUMENT[/BITS]...: CALL...", of 32 bits where it does not say; lines that begin with a space
continue; # begins a comment.
"""
import pathlib
import sys

source, output = map(pathlib.Path, sys.argv[1:])
text = "\n".join(line.partition("#")[0] for line in source.read_text(encoding="utf-8").splitlines())
entries = []
for paragraph in text.replace("\n ", " ").splitlines():
    arguments, _, calls = paragraph.partition(":")
    bits = ["64"] * 6
    for argument in arguments.split():
        number, _, width = argument.partition("/")
        bits[int(number)] = width or "32"
    entries += [(call, ", ".join(bits)) for call in calls.split()]
if len({call for call, _ in entries}) < len(entries):
    sys.exit(f"{source}: a call is there twice")
output.write_text("".join(f'{{"{call}", {{{bits}}}}},\n' for call, bits in sorted(entries)), encoding="utf-8")
