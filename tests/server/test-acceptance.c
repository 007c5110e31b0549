/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queues as they are seen, look by look, and who is accused of accepting nothing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "supervise/acceptance.h"

#define SEC AIT_USEC_PER_SEC

/* A queue: how many come and are accepted each second, and how many it holds. */
struct traffic {
    const char *name;
    double come, accepted;
    size_t room;
    enum acceptance_finding finding;
    unsigned after; /* seconds: not earlier than this, and at most 3 later */
};

static const struct traffic traffics[] = {
    {"nobody comes", 0, 0, 100, ACCEPTANCE_SEEN, 0},
    {"nothing is accepted", 2, 0, 100, ACCEPTANCE_NONE, 10},
    {"a full queue, and nothing is accepted", 1000, 0, 100, ACCEPTANCE_HIDDEN, 10},
    {"many come, and nothing is accepted", 100, 0, 1000000, ACCEPTANCE_HIDDEN, 10},
    {"one a second is accepted", 1.2, 1, 100, ACCEPTANCE_SEEN, 0},
    {"a busy server, always full", 1000, 300, 100, ACCEPTANCE_SEEN, 0},
    {"overloaded a hundred times", 10000, 100, 4096, ACCEPTANCE_SEEN, 0},
};

/* Milliseconds at random, as at a real server, always the same ones. */
static unsigned short seed[3];

static bool chance(double per_second)
{
    return erand48(seed) < per_second / 10000;
}

static enum acceptance_finding play(const struct traffic *t, uint64_t *ret_now)
{
    struct acceptance a = {0};
    enum acceptance_finding f = ACCEPTANCE_UNKNOWN;
    uint64_t now = 1, look = 1;
    size_t waiting = t->come > 0, hidden = 0;

    for (; now < 120 * SEC; now += 100) {
        if (waiting < t->room && chance(t->come))
            waiting++;
        if (waiting > 0 && chance(t->accepted))
            waiting--;
        if (now < look)
            continue;
        f = acceptance_look(&a, waiting, waiting == t->room, now);
        hidden += f == ACCEPTANCE_HIDDEN;
        if (f == ACCEPTANCE_NONE || (t->finding == f && hidden > 0))
            break;
        look = now + acceptance_pause(&a);
    }
    *ret_now = now;
    return f;
}

static void test_traffic(void **state)
{
    for (size_t i = 0; i < sizeof(traffics) / sizeof(traffics[0]); i++) {
        const struct traffic *t = &traffics[i];
        uint64_t now;
        enum acceptance_finding f = play(t, &now);
        bool accused = t->finding != ACCEPTANCE_SEEN,
             found = f == ACCEPTANCE_NONE || (f == ACCEPTANCE_HIDDEN && accused);

        if (found != accused || (accused && f != t->finding) ||
            (accused && (now < t->after * SEC || now > (t->after + 3) * SEC)))
            fail_msg("%s: finding %d after %u ms", t->name, (int)f, (unsigned)(now / 1000));
    }
}

/* Hidden does not stay so for ever. */
static void test_patience(void **state)
{
    struct acceptance a = {0};
    enum acceptance_finding f = ACCEPTANCE_UNKNOWN;
    uint64_t now = 1;

    for (size_t waiting = 1; f != ACCEPTANCE_NONE && now < 200 * SEC; waiting++) {
        f = acceptance_look(&a, waiting, false, now);
        now += acceptance_pause(&a);
    }
    assert_in_range(now, 60 * SEC, 63 * SEC);
}

/* The first that is accepted takes it back, and then it begins anew. */
static void test_relief(void **state)
{
    struct acceptance a = {0};
    uint64_t now = 1;

    while (acceptance_look(&a, 5, false, now) != ACCEPTANCE_NONE)
        now += acceptance_pause(&a);
    a.stuck = true;
    assert_int_equal(acceptance_look(&a, 5, false, now += acceptance_pause(&a)), ACCEPTANCE_NONE);
    assert_int_equal(acceptance_look(&a, 4, false, now += acceptance_pause(&a)), ACCEPTANCE_SEEN);
    a.stuck = false;
    assert_int_equal(acceptance_look(&a, 4, false, now += acceptance_pause(&a)),
                     ACCEPTANCE_UNKNOWN);
    assert_int_equal(acceptance_look(&a, 0, false, now += acceptance_pause(&a)), ACCEPTANCE_SEEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traffic),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_relief),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
