/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When a worker is drained: a queue, look by look, and after how many milliseconds it is over. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervise/drain.h"

enum { STEPS = 8 };

/* From at_msec on so many connections wait; the worker can accept from ready_msec on. */
static const struct row {
    const char *name;
    uint64_t moment_msec, ready_msec;
    struct {
        uint64_t at_msec;
        size_t pending;
    } steps[STEPS];
    uint64_t over_msec;
    size_t left;
} rows[] = {
    {"nothing waits", 500, 0, {{0, 0}}, 500, 0},
    {"nothing waits, no moment", 0, 0, {{0, 0}}, 0, 0},
    {"some wait", 500, 0, {{0, 3}, {100, 1}, {200, 0}}, 700, 0},
    {"some wait, no moment", 0, 0, {{0, 3}, {100, 1}, {200, 0}}, 200, 0},
    {"a handshake was under way", 500, 0, {{0, 0}, {400, 1}, {420, 0}}, 920, 0},
    {"a long queue, slowly",
     10,
     0,
     {{0, 4}, {4000, 3}, {8000, 2}, {12000, 1}, {16000, 0}},
     16010,
     0},
    {"a long moment", 90000, 0, {{0, 1}, {100, 0}}, 90100, 0},
    {"it accepts nothing", 500, 0, {{0, 7}}, 5000, 7},
    {"it accepts nothing any more", 500, 0, {{0, 7}, {1000, 4}}, 6000, 4},
    {"more come, and none is accepted", 500, 0, {{0, 1}, {2000, 3}, {4000, 5}}, 5000, 5},
    {"it is not ready yet", 500, 20000, {{0, 7}, {20100, 0}}, 20600, 0},
    {"it was never ready", 500, 90000, {{0, 7}}, 94980, 7},
};

static size_t pending_at(const struct row *row, uint64_t msec)
{
    size_t pending = row->steps[0].pending;

    for (unsigned i = 1; i < STEPS && row->steps[i].at_msec > 0; i++)
        if (msec >= row->steps[i].at_msec)
            pending = row->steps[i].pending;
    return pending;
}

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        uint64_t begin = 12345, now = begin, moment = row->moment_msec * AIT_USEC_PER_MSEC,
                 msec = 0;
        struct drain d = {0};

        while (!drain_look(&d, pending_at(row, msec), msec >= row->ready_msec, now, moment)) {
            assert_true(drain_next(&d, now, moment) > now);
            now = drain_next(&d, now, moment);
            msec = (now - begin) / AIT_USEC_PER_MSEC;
        }
        if (msec != row->over_msec || d.left != row->left)
            fail_msg("%s: over after %u ms with %zu left", row->name, (unsigned)msec, d.left);
    }
}

/* One that accepts without end, since new ones come all the same. */
static void test_limit(void **state)
{
    struct drain d = {0};
    uint64_t now = 0;

    for (size_t i = 0; !drain_look(&d, 5 + i % 2, true, now, 1000); i++)
        now += DRAIN_PAUSE;
    assert_int_equal(now, DRAIN_LIMIT);
    assert_true(d.left > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
