#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Usage: check-headers.sh HEADER-DIRECTORY COMPILER...
# Each public header compiles alone, as C99, C17 and C++, without a warning.
set -eu

headers=$1
shift
flags="-fsyntax-only -Wall -Wextra -Wpedantic -Werror -I$(dirname "$headers")"

for header in "$headers"/*.h; do
    name=$(basename "$header")
    for standard in c99 gnu99 c17 gnu17; do
        echo "#include <aiotools-sd/$name>" | "$@" -x c -std=$standard $flags -
    done
    if command -v c++ >/dev/null; then
        for standard in c++11 c++17; do
            echo "#include <aiotools-sd/$name>" | c++ -x c++ -std=$standard $flags -
        done
    fi
done
command -v c++ >/dev/null || echo "no C++ compiler: C only"
