/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The presets as data: which system calls are refused, on which arguments, with which errno. Everything that no
 * rule names is allowed, up to the newest number that we have looked at.
 *
 * Invariants: arguments are compared as masked 32-bit values only, since that is what the kernel reads of them
 * (high halves are noise that must not hide a value), and since ordering comparisons make libseccomp 2.5.4 emit
 * wrong programs (GHSA-4q85-33p6-j5g6). The tables are constant.
 *
 * What this is not: it knows neither libseccomp nor BPF. */

#include <stddef.h>
#include <stdint.h>

/* The newest system call of Linux 6.18. What is newer answers ENOSYS, so that libc falls back. */
#define POLICY_NEWEST_SYSCALL 469

#define POLICY_MATCHES_MAX 2

/* (argument & mask) == value; mask 0 ends the list. */
struct policy_match {
    unsigned arg;
    uint32_t mask;
    uint32_t value;
};

/* Refused where all matches hold. number < 0: this architecture has no such call. */
struct policy_rule {
    int number;
    int error; /* EPERM, or ENOSYS where libc or a runtime has a fallback */
    struct policy_match match[POLICY_MATCHES_MAX];
};

/* Refused unless the argument is one of the values. */
struct policy_allowed_values {
    int number;
    int error;
    unsigned arg;
    const uint32_t *values;
    size_t n_values;
};

extern const struct policy_rule policy_service_rules[];
extern const size_t policy_service_n_rules;
extern const struct policy_allowed_values policy_service_values[];
extern const size_t policy_service_n_values;

/* What a root worker keeps: what servers use to bind, to read their files and to become their own user. */
extern const uint64_t policy_service_capabilities;

/* All 32-bit values outside a set, as masked prefixes: calls fn for each (mask, value) of a disjoint cover, and
 * stops at the first negative result, which it returns. */
int policy_for_other_values(const uint32_t *values, size_t n_values,
                            int (*fn)(uint32_t mask, uint32_t value, void *userdata), void *userdata);
