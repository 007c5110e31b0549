#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the presets as C: embed.py OUTPUT FILE.policy..."""

import pathlib
import sys


def literal(line):
    return '"' + line.replace('\\', '\\\\').replace('"', '\\"') + '\\n"'


def main():
    output, files = sys.argv[1], [pathlib.Path(name) for name in sys.argv[2:]]
    lines = ['#include "policy/parse.h"', '', 'const struct policy_preset policy_presets[] = {']
    for file in files:
        lines.append('    {"%s",' % file.stem)
        lines += ['     ' + literal(line) for line in file.read_text(encoding='utf-8').splitlines()]
        lines.append('    },')
    lines += ['};', 'const size_t policy_n_presets = %d;' % len(files), '']
    pathlib.Path(output).write_text('\n'.join(lines), encoding='utf-8')


main()
