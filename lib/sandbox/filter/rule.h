/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A rule as a sequence of tests in terms of libseccomp: at most one comparison per argument, and
 * masks only with equality.
 *
 * What cannot be expressed that way becomes prefixes: an argument is less than a constant if it
 * begins like the constant up to some bit, and has a 0 there where the constant has a 1. Inequality
 * is a test that must fail. So a rule never becomes the product of its comparisons, and no test has
 * more than one ordering comparison, two of which libseccomp 2.5.4 compiles wrongly
 * (GHSA-4q85-33p6-j5g6).
 */

#include <seccomp.h>

#include "policy/model.h"

#define RULE_PREFIXES_MAX 65 /* a comparison: 64 bits, and the constant itself */

struct rule_test {
    bool negative; /* the rule continues if this is not true */
    /* All of these are true; or, instead, one of the prefixes of order. */
    unsigned n;
    struct scmp_arg_cmp compares[6];
    const ait_policy_compare *order;
};

struct rule_tests {
    bool never; /* whatever the arguments are */
    unsigned n; /* 0: always true */
    struct rule_test tests[POLICY_COMPARES_MAX + 1];
};

/* Borrows the rule's comparisons. */
void rule_tests(const struct policy_rule *rule, struct rule_tests *ret);

/*
 * The values that a comparison accepts, as equalities under a mask, of which at most one is true.
 * Returns their number.
 */
unsigned rule_prefixes(const ait_policy_compare *compare,
                       struct scmp_arg_cmp ret[RULE_PREFIXES_MAX]);
