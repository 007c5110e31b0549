/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "rule.h"

static bool takes_less(uint8_t op)
{
    return op == AIT_POLICY_LT || op == AIT_POLICY_LE || op == AIT_POLICY_NE;
}

static bool takes_greater(uint8_t op)
{
    return op == AIT_POLICY_GT || op == AIT_POLICY_GE || op == AIT_POLICY_NE;
}

static bool takes_equal(uint8_t op)
{
    return op == AIT_POLICY_EQ || op == AIT_POLICY_LE || op == AIT_POLICY_GE;
}

static struct scmp_arg_cmp equal(uint8_t arg, uint64_t mask, uint64_t value)
{
    return (struct scmp_arg_cmp){
        .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

/*
 * From the highest bit on: a value that first differs from the constant at a bit is less or
 * greater, whatever follows.
 */
unsigned rule_prefixes(const ait_policy_compare *compare,
                       struct scmp_arg_cmp ret[RULE_PREFIXES_MAX])
{
    uint64_t mask = 0, value = 0;
    unsigned n = 0;

    for (int i = 63; i >= 0; i--) {
        uint64_t bit = UINT64_C(1) << i, one = compare->value & bit;
        if (!(compare->mask & bit) && !one)
            continue;
        if (!(compare->mask & bit)) {
            if (takes_less(compare->op))
                ret[n++] = equal(compare->arg, mask, value);
            return n;
        }
        mask |= bit;
        if (one ? takes_less(compare->op) : takes_greater(compare->op))
            ret[n++] = equal(compare->arg, mask, value | (one ^ bit));
        value |= one;
    }
    if (takes_equal(compare->op))
        ret[n++] = equal(compare->arg, mask, value);
    return n;
}

static bool always_holds(const ait_policy_compare *compare)
{
    return (compare->op == AIT_POLICY_GE && compare->value == 0) ||
           (compare->op == AIT_POLICY_LE && compare->value >= compare->mask);
}

static struct rule_test *new_test(struct rule_tests *tests)
{
    struct rule_test *test = &tests->tests[tests->n++];
    *test = (struct rule_test){0};
    return test;
}

/* Equalities of one argument become one. */
static void join(struct rule_tests *tests, struct rule_test *all, struct scmp_arg_cmp compare)
{
    for (unsigned i = 0; i < all->n; i++) {
        struct scmp_arg_cmp *other = &all->compares[i];
        if (other->arg != compare.arg)
            continue;
        if ((other->datum_b ^ compare.datum_b) & other->datum_a & compare.datum_a)
            tests->never = true;
        other->datum_a |= compare.datum_a;
        other->datum_b |= compare.datum_b;
        return;
    }
    all->compares[all->n++] = compare;
}

static struct scmp_arg_cmp plain_order(const ait_policy_compare *compare)
{
    static const enum scmp_compare operations[] = {
        [AIT_POLICY_LT] = SCMP_CMP_LT,
        [AIT_POLICY_LE] = SCMP_CMP_LE,
        [AIT_POLICY_GT] = SCMP_CMP_GT,
        [AIT_POLICY_GE] = SCMP_CMP_GE,
    };
    return (struct scmp_arg_cmp){
        .arg = compare->arg, .op = operations[compare->op], .datum_a = compare->value};
}

static void add_wide(struct rule_tests *tests, const ait_policy_compare *compare)
{
    struct rule_test *test = new_test(tests);

    if (compare->op == AIT_POLICY_NE) {
        test->negative = true;
        test->compares[test->n++] = equal(compare->arg, compare->mask, compare->value);
    } else if (compare->mask == UINT64_MAX)
        test->compares[test->n++] = plain_order(compare);
    else
        test->order = compare;
}

/* all: the first test, which takes what is one equality. */
static void add_compare(struct rule_tests *tests, struct rule_test *all,
                        const ait_policy_compare *compare)
{
    struct scmp_arg_cmp prefixes[RULE_PREFIXES_MAX];
    unsigned n = rule_prefixes(compare, prefixes);

    if (n == 0)
        tests->never = true;
    else if (prefixes[0].datum_a == 0 || always_holds(compare))
        return;
    else if (n == 1)
        join(tests, all, prefixes[0]);
    else
        add_wide(tests, compare);
}

void rule_tests(const struct policy_rule *rule, struct rule_tests *ret)
{
    struct rule_test *all;

    ret->never = false;
    ret->n = 0;
    all = new_test(ret);
    for (unsigned i = 0; i < rule->n_compares; i++)
        add_compare(ret, all, &rule->compares[i]);
    if (all->n > 0)
        return;
    ret->n--;
    for (unsigned i = 0; i < ret->n; i++)
        ret->tests[i] = ret->tests[i + 1];
}
