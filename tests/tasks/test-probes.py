#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-probes.py LIBRARY: the static probes that the manual names (ait_loop_dump(3)) are in the library."""
import re
import shutil
import subprocess
import sys

WANTED = {"scope__cancel": 2, "scope__expire": 2, "task__end": 2, "task__spawn": 3}

if not shutil.which("readelf"):
    print("SKIP: readelf is not installed")
    sys.exit(77)
notes = subprocess.run(["readelf", "--notes", "--wide", sys.argv[1]], stdout=subprocess.PIPE, text=True, check=True).stdout
found = {}
for name, arguments in re.findall(r"Provider: aiotools_sd\s+Name: (\w+)\s.*?Arguments: ([^\n]*)", notes, re.S):
    found[name] = len(arguments.split())
if found != WANTED:
    sys.exit(f"probes and their arguments: got {found}, want {WANTED}")
