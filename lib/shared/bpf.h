/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An interpreter of classic BPF as seccomp(2) takes it: what a filter answers, found out by running it.
 *
 * It makes no system call and keeps no state.
 */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel would refuse is -EINVAL, and *ret_at (may be NULL) the instruction. */
int bpf_check(const struct sock_filter *program, size_t n, size_t *ret_at);
/* Of a program that bpf_check() has let through. */
uint32_t bpf_run(const struct sock_filter *program, size_t n, const struct seccomp_data *data);
uint32_t bpf_run_counted(const struct sock_filter *program, size_t n, const struct seccomp_data *data,
                         unsigned *ret_steps);
