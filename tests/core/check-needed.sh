#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Usage: check-needed.sh LIBRARY NAME...
# The library needs these libraries and that of C, no more and no fewer: a program with tasks does not load libseccomp, one with a sandbox no libsystemd.
set -eu

library=$1
shift
export LC_ALL=C

# ld-linux: where the loader itself is asked for thread-local variables.
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | grep -v '^ld-linux' | sort)
wanted=$(printf '%s\n' libc.so.6 "$@" | sort)
[ "$needed" = "$wanted" ] && exit 0
printf '%s needs\n%s\nand should need\n%s\n' "$library" "$needed" "$wanted"
exit 1
