/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the library takes from the system, counted, and refused when a test says so. Stands between
 * the library's objects and libc by the linker's --wrap (see meson.build), so that what libsystemd
 * or cmocka allocate is neither counted nor refused. Jobs on threads count, too.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct faults {
    atomic_uint n_allocations; /* malloc, calloc, realloc, strdup */
    atomic_uint n_calls;       /* these, and the system calls below: mmap, epoll_create1, epoll_ctl,
                                  eventfd, signalfd */
    atomic_long n_live;        /* allocated and not freed */
    atomic_uint fail_at;       /* the n-th call from now on; 0: none */
    atomic_bool for_ever;      /* and all after it */
    atomic_bool failed;        /* it has happened */
};

extern struct faults faults;

/* From now on the n-th call fails. */
void faults_arm(unsigned n, bool for_ever);
void faults_disarm(void);

/* For what stands before one more call: counts it, and says whether it is the one. errno is set. */
bool faults_refuse(void);
