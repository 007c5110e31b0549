/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The policy as the compiler and the verifier see it.
 *
 * Invariants:
 * - calls[] has an element a number, from 0 to SYSCALL_NEWEST; a number without a name has the
 *   fallback.
 * - rules are tried in order, and the first of which all comparisons hold decides; where none does,
 *   otherwise.
 * - Two rules of one call with different actions never hold for the same arguments (the parser
 *   refuses what it cannot prove), but for those that policy_protect() and policy_add_root() put
 *   first. Compiler and verifier keep the order.
 * - A comparison has a mask within the bits of the argument that the kernel reads: the others are
 *   noise that must not hide a value.
 * - At most one ordering comparison (LT, LE, GT, GE) a call, over all its rules: libseccomp 2.5.4
 *   compiles two of one 64-bit argument fail-open (GHSA-4q85-33p6-j5g6).
 * - The whole is bounded (POLICY_RULES_MAX, POLICY_COMPARES_MAX) before libseccomp sees it.
 *
 * What this is not: it knows neither libseccomp nor BPF, nor where a rule came from.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/policy.h>

#include "syscalls/syscalls.h"

#define POLICY_RULES_MAX    4096 /* that look at arguments, over all calls */
#define POLICY_COMPARES_MAX 12   /* a rule */
#define POLICY_RULES_A_CALL 256

struct policy_rule {
    ait_policy_action action;
    bool own;            /* said by a user in our own language, and not by a preset */
    unsigned n_compares; /* at least 1 */
    ait_policy_compare *compares;
};

struct policy_call {
    ait_policy_action otherwise;
    bool own; /* otherwise is said by name, by a user */
    unsigned n_rules;
    struct policy_rule *rules;
};

/* What is worth knowing but not wrong, for those who ask (ait_policy_foreach_note). */
struct policy_note {
    struct policy_note *next;
    ait_sandbox_problem text;
};

struct ait_policy {
    unsigned refs;
    char *name;
    struct policy_note *notes;  /* in order */
    ait_policy_action fallback; /* of known calls without an entry */
    unsigned n_rules;           /* over all calls */
    struct policy_call calls[SYSCALL_NEWEST + 1];
};

/* A policy in which every call has the fallback. */
int policy_new(ait_policy **ret, const char *name, ait_policy_action fallback);
/* Copies the comparisons. -E2BIG: a limit is exceeded. */
int policy_add_rule(ait_policy *policy, int number, ait_policy_action action,
                    const ait_policy_compare *compares, size_t n_compares);

static inline struct policy_rule *policy_last_rule(struct policy_call *call)
{
    return &call->rules[call->n_rules - 1];
}

/* What was said by name was not meant for us: it is from a list for another program. */
void policy_disown(ait_policy *policy);

/* The same actions for the same arguments, by the same rules in the same order. */
bool policy_equal(const ait_policy *a, const ait_policy *b);
struct policy_note *policy_notes_free(struct policy_note *notes);

/* As if the call did not exist, so that programs fall back. */
static inline bool policy_action_is_absent(ait_policy_action action)
{
    return action.kind == AIT_POLICY_ERRNO && action.error == ENOSYS;
}

bool policy_compare_holds(const ait_policy_compare *compare, const uint64_t args[6]);
bool policy_rule_holds(const struct policy_rule *rule, const uint64_t args[6]);
