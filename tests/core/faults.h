/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

/*
 * What the library takes from the system, counted, and refused when a test says so. Stands between the library's objects and libc by the
 * linker's --wrap (see meson.build), so that what libsystemd or cmocka allocate is neither counted nor refused.
 */

#include <stdbool.h>
#include <stddef.h>

struct faults {
    unsigned n_allocations; /* malloc, calloc, realloc, strdup */
    unsigned
        n_calls; /* these, and the system calls below: mmap, epoll_create1, epoll_ctl, eventfd, signalfd */
    long n_live; /* allocated and not freed */
    unsigned fail_at; /* the n-th call from now on; 0: none */
    bool for_ever;    /* and all after it */
    bool failed;      /* it has happened */
};

extern struct faults faults;

/* From now on the n-th call fails. */
void faults_arm(unsigned n, bool for_ever);
void faults_disarm(void);

#endif
