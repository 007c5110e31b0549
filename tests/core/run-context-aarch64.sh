#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Usage: run-context-aarch64.sh SOURCE... INCLUDE-DIRECTORY
# Builds the test of the context switch for aarch64, both ways, and runs it under qemu. 77: skipped.
set -eu

compiler=${AARCH64_CC:-aarch64-linux-gnu-gcc}
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)

if ! command -v "$compiler" >/dev/null; then
    echo "SKIP: no $compiler (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross)"
    exit 77
fi
if [ -z "$emulator" ]; then
    echo "SKIP: no qemu-aarch64 (Debian: qemu-user)"
    exit 77
fi

for include; do :; done
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
for define in -DNATIVE -DAIT_CONTEXT_PORTABLE; do
    sources=
    for argument; do
        [ "$argument" = "$include" ] || sources="$sources $argument"
    done
    # shellcheck disable=SC2086
    "$compiler" -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -static \
        -mbranch-protection=bti "$define" -I"$include" -o "$directory/test" $sources -lm
    "$emulator" "$directory/test"
    echo "ok $define"
done
