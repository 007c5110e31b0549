/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An interpreter of classic BPF as seccomp(2) runs it. It finds out what a filter answers.
 *
 * It makes no system call and keeps no state.
 */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* -EINVAL: the kernel would refuse the program; *ret_at (may be NULL) is the instruction. */
int bpf_check(const struct sock_filter *program, size_t n, size_t *ret_at);
/* The program must have passed bpf_check(). */
uint32_t bpf_run(const struct sock_filter *program, size_t n, const struct seccomp_data *data);
uint32_t bpf_run_counted(const struct sock_filter *program, size_t n,
                         const struct seccomp_data *data, unsigned *ret_steps);
