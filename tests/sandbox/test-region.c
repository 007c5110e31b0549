/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is said of a region, against all of the values that there are: facts about eight bits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "filter/region.h"
#include "random-policy.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define FACTS    12
#define REGIONS  (RANDOM_FEWER ? 2000 : 20000)
#define LOW      4 /* the words of the first argument */
#define HIGH     5

/* Four bits of each half. */
#define N_VALUES 256
static uint64_t value_of(unsigned i)
{
    return (uint64_t)(i >> 4) << 32 | (i & 15);
}

static void draw_region(uint64_t *state, struct fact *facts, unsigned n)
{
    static const uint16_t ops[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};

    /* Nothing else is set, so that all values can be tried. */
    facts[0] = (struct fact){NULL, LOW, BPF_JGT, false, UINT32_MAX, 15};
    facts[1] = (struct fact){&facts[0], HIGH, BPF_JGT, false, UINT32_MAX, 15};
    for (unsigned i = 2; i < n; i++)
        facts[i] = (struct fact){
            .before = &facts[i - 1],
            .word = random_below(state, 2) ? LOW : HIGH,
            .op = ops[random_below(state, N(ops))],
            .holds = random_below(state, 3) == 0,
            .mask = random_below(state, 2) ? UINT32_MAX : (uint32_t)random_below(state, 16),
            .k = (uint32_t)random_below(state, 17),
        };
}

static bool region_contains(const struct fact *region, uint64_t x)
{
    return region_has(region, LOW, (uint32_t)x) && region_has(region, HIGH, (uint32_t)(x >> 32));
}

static ait_policy_compare draw_compare(uint64_t *state)
{
    uint64_t mask = random_below(state, 2)
                        ? UINT64_MAX
                        : random_below(state, 16) << 32 | random_below(state, 16);

    return (ait_policy_compare){
        .arg = 0,
        .op = (uint8_t)random_below(state, AIT_POLICY_GE + 1),
        .mask = mask,
        .value = random_below(state, 17) << 32 | random_below(state, 17),
    };
}

static void facts_are_read_as_programs_read_them(void **unused)
{
    const struct {
        struct fact fact;
        uint32_t yes, no;
    } cases[] = {
        {{NULL, 4, BPF_JEQ, true, 0xff, 0x12}, 0x3412, 0x3413},
        {{NULL, 4, BPF_JEQ, false, 0xff, 0x12}, 0x3413, 0x3412},
        {{NULL, 4, BPF_JGT, true, UINT32_MAX, 7}, 8, 7},
        {{NULL, 4, BPF_JGE, true, UINT32_MAX, 7}, 7, 6},
        {{NULL, 4, BPF_JGT, true, 0xf, 7}, 0x18, 0x17},
        {{NULL, 4, BPF_JSET, true, UINT32_MAX, 6}, 2, 9},
        {{NULL, 4, BPF_JSET, false, 3, 6}, 4, 2},
    };

    for (size_t i = 0; i < N(cases); i++) {
        assert_true(region_has(&cases[i].fact, 4, cases[i].yes));
        assert_false(region_has(&cases[i].fact, 4, cases[i].no));
        assert_true(region_has(&cases[i].fact, 5, cases[i].no));
    }
}

static void check_emptiness(const struct fact *region, unsigned word)
{
    uint32_t value;
    bool any = false;

    for (uint32_t x = 0; x < 16; x++)
        any |= region_has(region, word, x);
    assert_int_equal(region_find(region, word, &value), any);
    if (any)
        assert_true(region_has(region, word, value));
}

static void a_value_is_found_if_there_is_one(void **unused)
{
    struct fact facts[FACTS];
    uint64_t state = 1;

    for (unsigned i = 0; i < REGIONS; i++) {
        draw_region(&state, facts, FACTS);
        check_emptiness(&facts[FACTS - 1], LOW);
        check_emptiness(&facts[FACTS - 1], HIGH);
    }
}

static bool check_rule(const struct fact *region, const struct policy_rule *rule)
{
    struct seccomp_data data;
    bool inside = false, some = false, all = true;

    for (unsigned i = 0; i < N_VALUES; i++) {
        const uint64_t args[6] = {value_of(i)};

        if (!region_contains(region, args[0]))
            continue;
        inside = true;
        some |= policy_rule_holds(rule, args);
        all &= policy_rule_holds(rule, args);
    }
    if (!inside)
        return false;
    assert_int_equal(region_may(region, rule, &data), some);
    assert_int_equal(region_must(region, rule), all);
    if (some) {
        uint64_t args[6];

        memcpy(args, data.args, sizeof(args));
        assert_true(region_contains(region, args[0]));
        assert_true(policy_rule_holds(rule, args));
    }
    return true;
}

static void rules_may_hold_or_must(void **unused)
{
    struct fact facts[FACTS];
    uint64_t state = 2;
    unsigned tried = 0;

    for (unsigned i = 0; i < REGIONS; i++) {
        ait_policy_compare compares[2] = {draw_compare(&state), draw_compare(&state)};
        const struct policy_rule rule = {.n_compares = 1 + (unsigned)random_below(&state, 2),
                                         .compares = compares};
        unsigned n = 2 + (unsigned)random_below(&state, FACTS - 1);

        draw_region(&state, facts, n);
        tried += check_rule(&facts[n - 1], &rule);
    }
    assert_true(tried > REGIONS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_read_as_programs_read_them),
        cmocka_unit_test(a_value_is_found_if_there_is_one),
        cmocka_unit_test(rules_may_hold_or_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
