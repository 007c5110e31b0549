# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
#
# Shared by the scripts beside it: which packages are needed, how they are installed, where things are built. Sourced with
# $root set to the top of the source tree.

# To build and to try.
packages_build="gcc libc6-dev dpkg-dev meson ninja-build pkgconf libsystemd-dev libseccomp-dev libjansson-dev libcap-dev"
packages_demo="curl ca-certificates"
# Tests cannot be built or run without these.
packages_test="libcmocka-dev python3 procps"
# Tests that need one of these are skipped where it is absent.
packages_recipes="libssl-dev openssl libpq-dev postgresql libcurl4-openssl-dev"
packages_servers="gunicorn uwsgi-core uwsgi-plugin-python3 nginx nodejs $packages_recipes"
packages_inspect="systemd gdb systemtap-sdt-dev strace valgrind iproute2 man-db g++"
packages_tools="$packages_inspect qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross mmdebstrap"
# The matrix of .ci/run; its steps that need one of the second list are skipped where it is absent.
packages_matrix="clang libclang-rt-dev"
packages_steps="abigail-tools clang-format-14 valgrind"
# packaging/try-kernels
packages_kernels="qemu-system-x86 mmdebstrap e2fsprogs"

say()
{
    printf '%s\n' "$*"
}

die()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

missing_packages()
{
    for package in "$@"; do
        # shellcheck disable=SC2016 # a format of dpkg-query
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        *' installed') ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

# Servers come in as programs to run, not as services to start.
with_services_kept_down()
{
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    status=0
    "$@" || status=$?
    rm -f "$policy"
    trap - EXIT HUP INT TERM
    return "$status"
}

# What apt says is shown where it fails.
apt()
{
    apt_log=$(mktemp) || return 1
    apt_status=0
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$apt_log" 2>&1 ||
        apt_status=$?
    [ "$apt_status" -eq 0 ] || tail -n 30 "$apt_log" >&2
    rm -f "$apt_log"
    return "$apt_status"
}

# The lists of a fresh machine are empty or old.
install_packages()
{
    say "installing: $*"
    apt update || say "apt-get update failed; going on with the package lists that are here"
    with_services_kept_down apt install --no-install-recommends "$@"
}

# What cannot be done without
require_packages()
{
    command -v dpkg-query >/dev/null || {
        say "no dpkg here: make sure of what Debian calls $*"
        return 0
    }
    # shellcheck disable=SC2046,SC2086 # lists of words
    set -- $(missing_packages "$@")
    [ $# -eq 0 ] && return 0
    if [ "$(id -u)" -eq 0 ]; then
        install_packages "$@" || die "apt-get could not install: $*"
    else
        die "packages are missing; as root: apt-get install $*"
    fi
}

# What some tests need; says what will be skipped.
want_packages()
{
    command -v dpkg-query >/dev/null || return 0
    # shellcheck disable=SC2046,SC2086 # lists of words
    set -- $(missing_packages "$@")
    [ $# -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "tests of these will be skipped; as root: apt-get install $*"
        return 0
    fi
    install_packages "$@" && return 0
    for package in "$@"; do
        with_services_kept_down apt install --no-install-recommends "$package" ||
            say "$package cannot be installed here: its tests will be skipped"
    done
}

# The build folder of this name: in the tree, or where that belongs to somebody else, in a cache of one's own.
build_folder()
{
    for base in "$root/build" "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/aiotools-sd/build" \
        "${TMPDIR:-/tmp}/aiotools-sd-build-$(id -u)"; do
        if mkdir -p "$base/$1" 2>/dev/null && [ -w "$base/$1" ] && [ -O "$base/$1" ]; then
            printf '%s\n' "$base/$1"
            return 0
        fi
    done
    die "no folder to build in: make $root writable, or set TMPDIR"
}

# Tests that cannot pass there. ThreadSanitizer: more fibers than it can count (tree), a library that is unloaded
# from under it (unload), clone() made to fail, which it has a version of its own of (memory-rest), mappings that it
# keeps of each thread (own-end). Valgrind: libc's state of a lookup whose thread lives on (resolve),
# pidfd_send_signal() (inherited), an accept4() beyond the limit, whose connection it closes (serve). qemu 7.2 knows
# neither CLONE_PIDFD nor SO_PEEK_OFF (numbers), and does not survive a fork with threads (the others).
not_under_tsan=tree,unload,memory-rest,own-end
not_under_valgrind=unload,resolve,inherited,serve
not_under_qemu=process,process-end,group,inherited,numbers,memory-rest,fork,offload,growth
valgrind_command="valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite"

# try_aarch64 SEEDS: builds the library and its tests for aarch64, and runs those of core and tasks under qemu.
try_aarch64()
{
    arm=$(build_folder aarch64-root) || return 1
    status=0
    "$root/packaging/aarch64-root" "$arm" || status=$?
    [ "$status" -eq 0 ] || return "$status"
    configure_and_build aarch64 --cross-file "$arm/cross.ini" -Dbuildtype=debugoptimized
    "$root/packaging/try-seeds" --seeds "$1" --patience 8 --except "$not_under_qemu" \
        --wrapper "qemu-aarch64 -L $arm/root" "$build"
}

# configure_and_build NAME [MESON-OPTION...]: sets $build. Builds the tree, or what is in $source_tree. The log is shown where
# it fails.
configure_and_build()
{
    build=$(build_folder "$1") || exit 1
    shift
    say "building in $build"
    [ -e "$build/build.ninja" ] && reconfigure=--reconfigure || reconfigure=
    # shellcheck disable=SC2086 # none or one word
    meson setup $reconfigure "$build" "${source_tree:-$root}" "$@" >"$build/setup.log" 2>&1 </dev/null || {
        cat "$build/setup.log" >&2
        die "meson setup failed, see above"
    }
    ninja -C "$build" >"$build/build.log" 2>&1 </dev/null || {
        tail -n 100 "$build/build.log" >&2
        die "the build failed, see above or $build/build.log"
    }
}
