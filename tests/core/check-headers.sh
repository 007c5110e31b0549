#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Usage: check-headers.sh HEADER-DIRECTORY COMPILER...
# Each public header compiles alone, as C99, C17 and C++, without a warning; and so does what its macros make of their arguments,
# nested on one line, too.
set -eu

headers=$1
shift
flags="-fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror -I$(dirname "$headers")"

# A program that uses each kind of options, and fills in two members of one.
uses_of_macros()
{
    echo "#include <aiotools-sd/aiotools-sd.h>"
    echo "#include <aiotools-sd/sandbox.h>"
    echo "#include <stdlib.h>"
    sed -n 's/^#define AIT_\([A-Z_]*\)_OPTIONS(\.\.\.).*/\1/p' "$headers"/*.h | while read -r name; do
        lower=$(echo "$name" | tr '[:upper:]' '[:lower:]')
        echo "size_t use_$lower(const ait_${lower}_options *options);"
        echo "size_t test_$lower(void);"
        echo "size_t test_$lower(void) { return use_$lower(AIT_${name}_OPTIONS()); }"
    done
    cat <<'END'
int named(const ait_task_options *options);
int program(char *const argv[]);
int test(char *last);
int named(const ait_task_options *options) { return options->size == sizeof(*options) && !options->stack_size; }
int program(char *const argv[]) { return argv[2] ? 0 : 1; }
int test(char *last)
{
    return named(AIT_TASK_OPTIONS(.flags = AIT_TASK_SHIELD, .name = "name")) + program(AIT_ARGV("program", last));
}
/* All on one line, and no name hides another. */
int one_line(void);
AIT_LOCAL(variable, NULL);
#define ALL_AT_ONCE(r) \
    AIT_DEFER(free, NULL); AIT_DEFER(free, NULL); AIT_LOCAL_SCOPED(variable, NULL); AIT_LOCAL_SCOPED(variable, NULL); \
    AIT_SHIELD_CLEANUP(1); AIT_SHIELD(1) AIT_SHIELD(2) AIT_TIMEOUT(r, 3) AIT_TIMEOUT(r, 4) AIT_MOVE_ON_AFTER(r, 5) r = 1
int one_line(void)
{
    int r = 0;
    ALL_AT_ONCE(r);
    return r;
}
END
}

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

uses_of_macros | "$@" -x c -std=c99 $flags -
for compiler in g++ clang++; do
    command -v $compiler >/dev/null || continue
    for standard in c++11 c++17 c++20; do
        uses_of_macros | $compiler -x c++ -std=$standard $flags -
    done
done
command -v c++ >/dev/null || echo "no C++ compiler: C only"
