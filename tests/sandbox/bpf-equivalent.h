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
#include <stdint.h>

/* 1: they do; 0: they do not, and *ret_difference (may be NULL) is what they answer differently;
 * -EOPNOTSUPP: an instruction that is not known here. */
int bpf_equivalent(const struct sock_filter *a, size_t n_a, const struct sock_filter *b, size_t n_b,
                   struct seccomp_data *ret_difference);

struct bpf_program {
    const struct sock_filter *code;
    size_t n;
};

/* The programs of a process, the oldest first. None: all is allowed. */
struct bpf_stack {
    const struct bpf_program *programs;
    size_t n;
};

/* 1: go on; anything else ends the comparison, and is its result. */
typedef int (*bpf_difference_cb)(const struct seccomp_data *data, uint32_t a, uint32_t b,
                                 void *userdata);

/* Compares what the kernel makes of two stacks for one call, with all arguments that it may have;
 * halves of arguments that masks (may be NULL) leave out are 0. differ is called for each pair of
 * paths with different answers. */
int bpf_compare_stacks(struct bpf_stack a, struct bpf_stack b, uint32_t arch, uint32_t number,
                       const uint64_t masks[6], bpf_difference_cb differ, void *userdata);
