#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Usage: check-symbols.sh LIBRARY VERSION-SCRIPT HEADER...
# The library exports what the version script names, and its headers declare the same: nothing more, nothing less.
set -eu

library=$1 script=$2
shift 2
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
export LC_ALL=C

sed -n 's/^ *\(ait_[a-z0-9_]*\);$/\1/p' "$script" | sort >"$directory/script"
nm -D --defined-only "$library" | sed -n 's/^[0-9a-f]* [TDBRWV] \([^@]*\).*/\1/p' | grep -v '^LIBAIOTOOLS_SD_' |
    sort -u >"$directory/library"
# A declaration begins in the first column, a name is followed by its arguments.
cat "$@" | grep -E '^(static inline )?[a-z]' | grep -vE '^(typedef|static|extern|enum|struct [a-z_]+;)' |
    grep -oE '\bait_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$directory/headers"

status=0
diff -u "$directory/script" "$directory/library" || status=1
diff -u "$directory/script" "$directory/headers" || status=1
exit $status
