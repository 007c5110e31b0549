/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How much of the log's buffer each slot holds, and may hold. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "log/shares.h"

/* ---- a buffer that somebody reads ------------------------------------------------------------ */

struct buffer {
    struct shares shares;
    uint64_t written;
    size_t used;
};

static bool put(struct buffer *b, int slot, bool event, size_t n)
{
    uint64_t start = b->written + b->used;

    if (!shares_admit(shares_of(&b->shares, slot), event, n, b->used))
        return false;
    b->used += n;
    shares_add(&b->shares, slot, event, start, start + n);
    return true;
}

static void take(struct buffer *b, size_t n)
{
    b->written += n;
    b->used -= n;
    shares_wrote(&b->shares, b->written);
}

static size_t fill(struct buffer *b, int slot, bool event, size_t n)
{
    size_t sum = 0;

    while (put(b, slot, event, n))
        sum += n;
    return sum;
}

/* ---- what a slot may hold -------------------------------------------------------------------- */

static void test_floods(void **state)
{
    struct buffer b = {0};

    assert_in_range(fill(&b, 0, false, 100), SHARES_LINES / 2 - 200, SHARES_LINES / 2);
    assert_in_range(fill(&b, 1, false, 100), SHARES_LINES / 4 - 300, SHARES_LINES / 4);
    for (int slot = 2; slot < 12; slot++)
        assert_true(fill(&b, slot, false, 100) >= 300);
    assert_true(b.used <= SHARES_LINES);
    assert_false(put(&b, 0, false, 100));
    /* Where all are equal, all get the same. */
    take(&b, b.used);
    for (unsigned i = 0; i < 100000; i++)
        for (int slot = 0; slot < 4; slot++)
            (void)put(&b, slot, false, 100);
    for (int slot = 0; slot < 4; slot++)
        assert_in_range(shares_of(&b.shares, slot)->lines, SHARES_LINES / 5 - 500,
                        SHARES_LINES / 5 + 500);
    shares_done(&b.shares);
}

/* Whatever workers print, there is room for what we say; and what we say about one has its end. */
static void test_events(void **state)
{
    struct buffer b = {0};

    for (int slot = 0; slot < 100; slot++)
        (void)fill(&b, slot, false, 1000);
    assert_in_range(fill(&b, 0, true, 100), SHARES_EVENTS / 2 - 200, SHARES_SIZE / 2);
    assert_true(fill(&b, 1, true, 100) > SHARES_EVENTS / 5);
    assert_true(put(&b, -1, true, 10000));
    (void)fill(&b, -1, true, 100);
    assert_in_range(b.used, SHARES_SIZE - 100, SHARES_SIZE);
    take(&b, b.used);
    shares_done(&b.shares);
}

/* ---- slowly, before anything is lost --------------------------------------------------------- */

static void test_pause(void **state)
{
    struct buffer b = {0};
    uint64_t pause, before = 0;

    while (put(&b, 0, false, 1000)) {
        pause = shares_pause(shares_of(&b.shares, 0), b.used);
        assert_true(pause >= before);
        assert_int_equal(shares_pause(shares_of(&b.shares, 1), b.used), 0);
        before = pause;
    }
    assert_in_range(before, 1000, 20000);
    for (int slot = 1; slot < 9; slot++) {
        assert_true(fill(&b, slot, false, 1000) > 0);
        pause = shares_pause(shares_of(&b.shares, slot), b.used);
        assert_in_range(pause, before, 80000);
        before = pause;
    }
    assert_false(shares_recovers(shares_of(&b.shares, 0), b.used));
    take(&b, b.used);
    assert_true(shares_recovers(shares_of(&b.shares, 0), b.used));
    shares_done(&b.shares);
}

/* ---- the account ----------------------------------------------------------------------------- */

/* Against a model that knows each byte. */
static void test_account(void **state)
{
    enum { SLOTS = 7, SIZE = 1 << 16 };
    struct {
        size_t n;
        int slot;
        bool event;
    } *lines = calloc(SIZE, sizeof(*lines));
    size_t first = 0, n = 0, held[SLOTS][2] = {0};
    struct buffer b = {0};
    unsigned short seed[3] = {0};

    assert_non_null(lines);
    for (unsigned i = 0; i < SIZE; i++) {
        size_t size = 1 + (size_t)(nrand48(seed) % 300), gone;

        lines[n].slot = (int)(nrand48(seed) % (SLOTS + 1)) - 1;
        lines[n].event = nrand48(seed) % 5 == 0;
        lines[n].n = size;
        if (put(&b, lines[n].slot, lines[n].event, size)) {
            if (lines[n].slot >= 0)
                held[lines[n].slot][lines[n].event] += size;
            n++;
        }
        gone = nrand48(seed) % 3 == 0 ? (size_t)(nrand48(seed) % 800) : 0;
        gone = gone < b.used ? gone : b.used;
        take(&b, gone);
        while (gone > 0) {
            size_t part = gone < lines[first].n ? gone : lines[first].n;

            if (lines[first].slot >= 0)
                held[lines[first].slot][lines[first].event] -= part;
            lines[first].n -= part;
            first += lines[first].n == 0;
            gone -= part;
        }
        for (int slot = 0; slot < SLOTS; slot++) {
            assert_int_equal(shares_of(&b.shares, slot)->lines, held[slot][0]);
            assert_int_equal(shares_of(&b.shares, slot)->events, held[slot][1]);
        }
    }
    take(&b, b.used);
    assert_int_equal(b.shares.n_segments, 0);
    assert_null(shares_of(&b.shares, -1));
    shares_done(&b.shares);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_account),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
