#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# boot.sh ROOT UNITS READY: the systemd of the root file system ROOT as the first process of fresh namespaces, which the
# caller has made, over a throw-away overlay of ROOT with the files of UNITS. Becomes it. READY is made when all mounts are.
set -eu
root=$1
units=$2
ready=$3

# The overlay's own folders lie in memory, and /tmp and /run of the host are out of its sight.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
cd /mnt/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
    mknod -m 666 "dev/${node% *}" c 1 "${node#* }"
done
mkdir dev/shm dev/pts
ln -s /proc/self/fd dev/fd
mkdir -p run/lock
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
cp -a "$units/." .
: >"$ready"
export container=other
exec chroot . /lib/systemd/systemd --system --unit=idle.target --log-target=console --show-status=no
