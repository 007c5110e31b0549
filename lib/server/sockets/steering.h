/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * steering: the classic BPF program that picks a socket of a SO_REUSEPORT group.
 *
 * It draws a number below n_indices, at random or from a hash of the sender, and finds the index
 * for it in a binary tree over runs of consecutive indices. The tree is a single leaf if all
 * sockets are chosen. Indices are ascending, so at most half of the sockets begin a run. The tree
 * over 1000 runs fits into BPF_MAXINSNS; of more, the last ones are left out. Pure; the struct owns
 * its arrays.
 */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

struct steering_run;

struct steering {
    struct sock_filter *code;
    size_t n, capacity;
    struct steering_run *runs;
    unsigned n_runs;
};

/*
 * These build into a zeroed struct. -EINVAL: no index. Call steering_done() in any case.
 */
int steering_random(struct steering *s, const unsigned *indices, unsigned n_indices);
int steering_by_sender(struct steering *s, const unsigned *indices, unsigned n_indices,
                       uint32_t seed);
void steering_done(struct steering *s);
