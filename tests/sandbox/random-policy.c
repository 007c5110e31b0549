/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random-policy.h"

/* splitmix64 */
uint64_t random_draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t n)
{
    return random_draw(state) % n;
}

static ait_policy_action draw_action(uint64_t *state)
{
    static const uint16_t errors[] = {EPERM, EACCES, ENOSYS, EAFNOSUPPORT, 4095};
    ait_policy_action action = {.kind = (uint16_t)random_below(state, AIT_POLICY_KILL + 1)};

    if (random_below(state, 2) == 0)
        action.kind = random_below(state, 2) == 0 ? AIT_POLICY_ALLOW : AIT_POLICY_ERRNO;
    if (action.kind == AIT_POLICY_ERRNO || action.kind == AIT_POLICY_NOTIFY)
        action.error = errors[random_below(state, sizeof(errors) / sizeof(errors[0]))];
    return action;
}

static uint64_t draw_value(uint64_t *state)
{
    uint64_t x = random_draw(state);

    switch (random_below(state, 6)) {
    case 0:
        return x & 0xf;
    case 1:
        return x & UINT16_MAX;
    case 2:
        return x & UINT32_MAX;
    case 3:
        return UINT64_C(1) << (x & 63);
    case 4:
        return (x & 1 ? UINT64_MAX : UINT32_MAX) - (x >> 60);
    default:
        return x;
    }
}

static uint64_t draw_mask(uint64_t *state)
{
    static const uint64_t masks[] = {UINT32_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX,
                                     0xf,        0xf000,     0x7e020080, UINT64_MAX << 32};
    size_t i = random_below(state, 10);

    return i < sizeof(masks) / sizeof(masks[0]) ? masks[i] : draw_value(state) | 1;
}

static ait_policy_compare draw_compare(uint64_t *state, unsigned *orders)
{
    ait_policy_compare compare = {.arg = (uint8_t)random_below(state, 6), .op = AIT_POLICY_EQ};
    bool order = *orders > 0 && random_below(state, 4) == 0;

    compare.mask = draw_mask(state);
    compare.value = draw_value(state) & compare.mask;
    if (order) {
        compare.op = (uint8_t)(AIT_POLICY_LT + random_below(state, 4));
        --*orders;
    } else if (random_below(state, 4) == 0)
        compare.op = AIT_POLICY_NE;
    return compare;
}

/* `key` tells rules with different actions apart; it is the whole of the argument that no other
 * comparison looks at. */
static void draw_rule(uint64_t *state, ait_policy *policy, int number, ait_policy_action action,
                      const ait_policy_compare *key, unsigned *orders)
{
    ait_policy_compare compares[POLICY_COMPARES_MAX];
    size_t n = 0, wanted = 1 + random_below(state, 3);

    if (key)
        compares[n++] = *key;
    while (n < wanted) {
        ait_policy_compare compare = draw_compare(state, orders);
        /* A second inequality or order of one argument is the product of two covers. */
        if (!key || compare.arg != key->arg)
            compares[n++] = compare;
    }
    assert_int_equal(policy_add_rule(policy, number, action, compares, n), 0);
}

static void draw_call(uint64_t *state, ait_policy *policy, int number, unsigned orders)
{
    unsigned n_rules = 1 + (unsigned)random_below(state, 4),
             n_actions = 1 + (unsigned)random_below(state, 2);
    ait_policy_action actions[2] = {draw_action(state), draw_action(state)};
    ait_policy_compare key = {
        .arg = (uint8_t)random_below(state, 6), .op = AIT_POLICY_EQ, .mask = draw_mask(state)};

    policy->calls[number].otherwise = draw_action(state);
    for (unsigned i = 0; i < n_rules; i++) {
        unsigned pick = (unsigned)random_below(state, n_actions);
        key.value = pick == 0 ? 0 : key.mask & -key.mask;
        draw_rule(state, policy, number, actions[pick], n_actions > 1 ? &key : NULL, &orders);
    }
}

ait_policy *random_policy(uint64_t seed, unsigned flags)
{
    uint64_t state = seed;
    ait_policy *policy;

    assert_int_equal(policy_new(&policy, "random", draw_action(&state)), 0);
    for (uint64_t n = random_below(&state, 12); n > 0; n--)
        policy->calls[random_below(&state, SYSCALL_NEWEST + 1)].otherwise = draw_action(&state);
    for (uint64_t n = random_below(&state, 5); n > 0; n--) {
        int number = (int)random_below(&state, SYSCALL_NEWEST + 1);
        if (policy->calls[number].n_rules == 0)
            draw_call(&state, policy, number, flags & RANDOM_TWO_ORDERS ? 2 : 1);
    }
    return policy;
}

static uint64_t near(uint64_t *state, const ait_policy_compare *compare)
{
    uint64_t x = compare->value;

    switch (random_below(state, 8)) {
    case 0:
        return x + 1;
    case 1:
        return x - 1;
    case 2:
        return x ^ UINT64_C(1) << random_below(state, 64);
    case 3:
        return x | (random_draw(state) & ~compare->mask);
    case 4:
        return x ^ random_draw(state) << 32;
    case 5:
        return random_draw(state);
    default:
        return x;
    }
}

void random_args(uint64_t *state, const ait_policy *policy, int number, uint64_t ret_args[6])
{
    const struct policy_call *call = &policy->calls[number];

    for (unsigned arg = 0; arg < 6; arg++)
        ret_args[arg] = random_below(state, 2) ? 0 : draw_value(state);
    for (uint64_t n = call->n_rules ? 1 + random_below(state, 2) : 0; n > 0; n--) {
        const struct policy_rule *rule = &call->rules[random_below(state, call->n_rules)];
        for (unsigned i = 0; i < rule->n_compares; i++)
            ret_args[rule->compares[i].arg] = near(state, &rule->compares[i]);
    }
}
