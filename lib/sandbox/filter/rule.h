/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A rule as tests, one after the other, in the words that libseccomp has: at most one comparison an argument, and under a mask for equality
 * only.
 *
 * What cannot be said so becomes prefixes: an argument is less than a constant where it begins like the constant up to some bit,
 * and has a 0 there where the constant has a 1. Inequality is a test that must fail. So a rule never becomes the product of what its
 * comparisons allow, and no test has more than one comparison of order, two of which libseccomp 2.5.4 gets wrong (GHSA-4q85-33p6-j5g6).
 */

#include <seccomp.h>

#include "policy/model.h"

#define RULE_PREFIXES_MAX 65 /* a comparison: 64 bits, and the constant itself */

struct rule_test {
    bool negative; /* the rule goes on where this does not hold */
    /* All of these hold; or, instead, one of the prefixes of order. */
    unsigned n;
    struct scmp_arg_cmp compares[6];
    const ait_policy_compare *order;
};

struct rule_tests {
    bool never; /* whatever the arguments are */
    unsigned n; /* 0: it always holds */
    struct rule_test tests[POLICY_COMPARES_MAX + 1];
};

/* Borrows the rule's comparisons. */
void rule_tests(const struct policy_rule *rule, struct rule_tests *ret);

/* The values that a comparison takes, as equalities under a mask, of which never two hold at once; returns how many. */
unsigned rule_prefixes(const ait_policy_compare *compare, struct scmp_arg_cmp ret[RULE_PREFIXES_MAX]);
