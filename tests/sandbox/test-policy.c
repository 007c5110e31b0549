/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy.h"

#define COVER_MAX 1024

struct cover {
    struct {
        uint32_t mask, value;
    } items[COVER_MAX];
    size_t n;
};

static int collect(uint32_t mask, uint32_t value, void *userdata)
{
    struct cover *c = userdata;
    assert_true(c->n < COVER_MAX);
    c->items[c->n].mask = mask;
    c->items[c->n++].value = value;
    return 0;
}

static int refuse(uint32_t mask, uint32_t value, void *userdata)
{
    return -E2BIG;
}

static size_t hits(const struct cover *c, uint32_t value)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += (value & c->items[i].mask) == c->items[i].value;
    return n;
}

/* How many values the prefixes hold together: with no value in two, that decides completeness. */
static uint64_t size_of(const struct cover *c)
{
    uint64_t size = 0;
    for (size_t i = 0; i < c->n; i++)
        size += UINT64_C(1) << __builtin_popcount(~c->items[i].mask);
    return size;
}

static void check_set(const uint32_t *values, size_t n)
{
    struct cover c = {0};

    assert_int_equal(policy_for_other_values(values, n, collect, &c), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(hits(&c, values[i]), 0);
    assert_true(size_of(&c) == (UINT64_C(1) << 32) - n);
    for (size_t i = 0; i < c.n; i++)
        assert_int_equal(hits(&c, c.items[i].value), 1);
}

static void other_values_are_covered_once(void **state)
{
    static const uint32_t one[] = {0}, ends[] = {0, UINT32_MAX}, pair[] = {6, 7},
                          personalities[] = {0, 8, 0x20000, 0x20008, UINT32_MAX};
    check_set(one, 1);
    check_set(ends, 2);
    check_set(pair, 2);
    check_set(personalities, 5);
    srandom(1);
    for (int round = 0; round < 200; round++) {
        uint32_t values[8];
        for (size_t i = 0; i < 8; i++)
            values[i] = (uint32_t)i | (uint32_t)random() << 3;
        check_set(values, 8);
    }
    assert_int_equal(policy_for_other_values(one, 1, refuse, NULL), -E2BIG);
}

static void rules_are_sound(void **state)
{
    for (size_t i = 0; i < policy_service_n_rules; i++) {
        const struct policy_rule *rule = &policy_service_rules[i];
        assert_true(rule->number <= POLICY_NEWEST_SYSCALL);
        assert_true(rule->error == EPERM || rule->error == ENOSYS);
        for (size_t m = 0; m < POLICY_MATCHES_MAX; m++) {
            assert_true(rule->match[m].arg < 6);
            assert_int_equal(rule->match[m].value & ~rule->match[m].mask, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_values_are_covered_once),
        cmocka_unit_test(rules_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
