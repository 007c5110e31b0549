/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "draft.h"

bool compare_is_ordering(const ait_policy_compare *c)
{
    return c->op != AIT_POLICY_EQ && c->op != AIT_POLICY_NE;
}

/* An argument under a mask is at most the mask. */
bool compare_never(const ait_policy_compare *c)
{
    switch ((ait_policy_op)c->op) {
    case AIT_POLICY_EQ:
        return c->value & ~c->mask;
    case AIT_POLICY_LT:
        return c->value == 0;
    case AIT_POLICY_GT:
        return c->value >= c->mask;
    case AIT_POLICY_GE:
        return c->value > c->mask;
    case AIT_POLICY_NE:
        return c->mask == 0 && c->value == 0;
    case AIT_POLICY_LE:
        return false;
    }
    return false;
}

bool compare_always(const ait_policy_compare *c)
{
    switch ((ait_policy_op)c->op) {
    case AIT_POLICY_EQ:
        return c->mask == 0 && c->value == 0;
    case AIT_POLICY_NE:
        return c->value & ~c->mask;
    case AIT_POLICY_LT:
        return c->value > c->mask;
    case AIT_POLICY_LE:
        return c->value >= c->mask;
    case AIT_POLICY_GE:
        return c->value == 0;
    case AIT_POLICY_GT:
        return false;
    }
    return false;
}

/* To differ from a value in one bit is to equal the other. */
static ait_policy_compare canonical(const ait_policy_compare *c)
{
    ait_policy_compare r = *c;

    if (c->op == AIT_POLICY_NE && c->mask && (c->mask & (c->mask - 1)) == 0) {
        r.op = AIT_POLICY_EQ;
        r.value = c->value ^ c->mask;
    }
    return r;
}

/* a is an equality that settles all that b looks at. */
static bool settles(const ait_policy_compare *a, const ait_policy_compare *b)
{
    return a->op == AIT_POLICY_EQ && (b->mask & ~a->mask) == 0;
}

static bool holds_for(const ait_policy_compare *c, uint64_t x)
{
    uint64_t args[6] = {x, x, x, x, x, x};

    return policy_compare_holds(c, args);
}

/*
 * With the bits that an equality fixes, the other's masked value lies between least and most: if it
 * is an ordering, these two decide.
 */
static bool excludes(const ait_policy_compare *equal, const ait_policy_compare *other)
{
    if (equal->op != AIT_POLICY_EQ || (!settles(equal, other) && !compare_is_ordering(other)))
        return false;
    return !holds_for(other, equal->value) && !holds_for(other, equal->value | ~equal->mask);
}

bool compare_contradicts(const ait_policy_compare *first, const ait_policy_compare *second)
{
    ait_policy_compare a = canonical(first), b = canonical(second);

    if (a.arg != b.arg)
        return false;
    if (a.op == AIT_POLICY_EQ && b.op == AIT_POLICY_EQ)
        return (a.value ^ b.value) & a.mask & b.mask;
    return excludes(&a, &b) || excludes(&b, &a);
}

bool rule_disjoint(const struct draft_rule *a, const struct draft_rule *b)
{
    for (unsigned i = 0; i < a->n_compares; i++)
        for (unsigned k = 0; k < b->n_compares; k++)
            if (compare_contradicts(&a->compares[i], &b->compares[k]))
                return true;
    return false;
}

/* Whenever b holds, a does. */
static bool implied(const ait_policy_compare *first, const ait_policy_compare *second)
{
    ait_policy_compare a = canonical(first), b = canonical(second);

    if (a.arg != b.arg)
        return false;
    if (a.op == b.op && a.mask == b.mask && a.value == b.value)
        return true;
    return settles(&b, &a) && holds_for(&a, b.value);
}

bool rule_covers(const struct draft_rule *a, const struct draft_rule *b)
{
    for (unsigned i = 0; i < a->n_compares; i++) {
        bool found = false;
        for (unsigned k = 0; k < b->n_compares && !found; k++)
            found = implied(&a->compares[i], &b->compares[k]);
        if (!found)
            return false;
    }
    return true;
}
