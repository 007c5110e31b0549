/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "nearest.h"
#include "scan.h"
#include "syscalls/syscalls.h"

/* Sorted; made of constants.list. */
const struct policy_constant policy_constants[] = {
#include "policy-constants.inc"
};
const size_t policy_n_constants = sizeof(policy_constants) / sizeof(policy_constants[0]);

struct key {
    const char *name;
    size_t n;
};

static int compare(const void *a, const void *b)
{
    const struct key *key = a;
    const struct policy_constant *constant = b;
    int r = strncmp(key->name, constant->name, key->n);

    return r != 0 ? r : -(int)(unsigned char)constant->name[key->n];
}

const struct policy_constant *policy_constant_find(const char *name, size_t n)
{
    struct key key = {name, n};

    return bsearch(&key, policy_constants, policy_n_constants, sizeof(policy_constants[0]),
                   compare);
}

const char *policy_constant_nearest(const char *name, size_t n)
{
    struct nearest nearest = {.word = name, .n = n, .distance = 2 + (unsigned)n / 5};

    for (size_t i = 0; i < policy_n_constants; i++)
        (void)nearest_offer(&nearest, policy_constants[i].name);
    return nearest.best;
}
