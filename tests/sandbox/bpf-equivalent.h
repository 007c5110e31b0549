/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whether two seccomp programs answer the same to whatever they may be asked: every path of the one
 * is followed, and under what holds there every path of the other. A proof, not a sample.
 *
 * Knows programs as compilers write them: loads of words of seccomp_data, a mask, jumps on
 * constants, and constant answers. Exponential in the worst case: for small programs.
 */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

/* 1: they do; 0: they do not, and *ret_difference (may be NULL) is what they answer differently;
 * -EOPNOTSUPP: an instruction that is not known here. */
int bpf_equivalent(const struct sock_filter *a, size_t n_a, const struct sock_filter *b, size_t n_b,
                   struct seccomp_data *ret_difference);
