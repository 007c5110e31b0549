/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How fast notifications are read, and what they may make the server say. On a clock of its own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/flood.h"

#define SEC  UINT64_C(1000000)
#define MSEC UINT64_C(1000)

/* A worker that sends as many a second as it is let, into a queue of the kernel with some room. */
struct sender {
    const char *name;
    unsigned per_second, room; /* of the queue: a full one blocks the sender */
    unsigned most, least;      /* that may be read in ten seconds */
    bool told;
};

static const struct sender senders[] = {
    {"a heartbeat", 2, 512, 25, 15, false},
    {"a talkative one", 240, 512, 2410, 2390, false},
    {"one above the rate", 1500, 512, 4600, 3000, true},
    {"a flood", 1000000, 512, 4600, 3000, true},
    {"a flood, and a short queue", 1000000, 10, 4600, 2000, true},
};

struct play {
    struct flood flood;
    unsigned read, longest, reports;
};

static void play(const struct sender *s, struct play *p)
{
    uint64_t waiting = 0, due = 0, until = 0, n, usec;

    *p = (struct play){0};
    for (uint64_t now = SEC; now < 11 * SEC; now += 100) {
        for (due += s->per_second; due >= 10000; due -= 10000)
            waiting += waiting < s->room;
        if (now < until || waiting == 0)
            continue;
        unsigned batch = waiting < FLOOD_BATCH ? (unsigned)waiting : FLOOD_BATCH;
        waiting -= batch;
        p->read += batch;
        uint64_t pause = flood_account(&p->flood, batch, batch == FLOOD_BATCH, now);
        p->reports += flood_report(&p->flood, now, &n, &usec);
        until = now + pause;
        if (pause > p->longest)
            p->longest = (unsigned)pause;
    }
}

static void test_senders(void **state)
{
    for (size_t i = 0; i < sizeof(senders) / sizeof(*senders); i++) {
        const struct sender *s = &senders[i];
        struct play p;

        play(s, &p);
        if (p.read > s->most || p.read < s->least || p.reports != s->told ||
            (p.longest > 0) != s->told)
            fail_msg("%s: %u were read, the longest pause was %u ms, %u reports", s->name, p.read,
                     p.longest / 1000, p.reports);
    }
}

/* A burst is none, and who has calmed down is read as before. */
static void test_calm(void **state)
{
    struct flood f = {0};
    uint64_t now = SEC, pause = 0;

    for (unsigned n = 0; n < FLOOD_BURST; n += 25)
        assert_int_equal(flood_account(&f, 25, true, now), 0);
    for (unsigned i = 0; i < 20; i++)
        now += pause = flood_account(&f, FLOOD_BATCH, true, now) ?: MSEC;
    assert_in_range(pause, FLOOD_BATCH * SEC / FLOOD_RATE, 2 * FLOOD_BATCH * SEC / FLOOD_RATE);
    now += 10 * SEC;
    assert_int_equal(flood_account(&f, FLOOD_BATCH, true, now), pause);
    assert_int_equal(flood_account(&f, 1, false, now), 0);
    assert_int_equal(flood_account(&f, 1, true, now), 0);
}

static void test_reports(void **state)
{
    struct flood f = {0};
    uint64_t now = SEC, n, usec;
    unsigned reports = 0;

    assert_false(flood_report(&f, now, &n, &usec));
    for (; now < SEC + 5 * FLOOD_SILENCE; now += 100 * MSEC) {
        (void)flood_account(&f, 1000, true, now);
        reports += flood_report(&f, now, &n, &usec);
    }
    assert_in_range(reports, 5, 6);
    assert_int_equal(usec, FLOOD_SILENCE);
    assert_int_equal(n, FLOOD_SILENCE / (100 * MSEC) * 1000);
}

static void test_words(void **state)
{
    struct flood_words w = {0};
    uint64_t now = SEC;
    unsigned unsaid = 77, said = 0;

    for (unsigned i = 0; i < 1000; i++)
        said += flood_may_say(&w, now, &unsaid);
    assert_int_equal(said, FLOOD_WORDS);
    assert_int_equal(unsaid, 0);
    now += SEC;
    assert_true(flood_may_say(&w, now, &unsaid));
    assert_int_equal(unsaid, 1000 - FLOOD_WORDS);
    assert_false(flood_may_say(&w, now, &unsaid));
    now += 1000 * SEC;
    for (said = 0; flood_may_say(&w, now, &unsaid);)
        said++;
    assert_int_equal(said, FLOOD_WORDS);
}

/* Whatever it could make us do, it gets its share, and is not bothered before. */
static void test_time(void **state)
{
    for (unsigned share = 2; share <= 64; share *= 2) {
        struct flood_time f = {0};
        uint64_t now = SEC, spent = 0, begun = now;

        while (now < begun + 100 * SEC) {
            uint64_t cost = 50 + now % 200;

            now += cost;
            spent += cost;
            now += flood_spend(&f, cost, share, now);
        }
        assert_in_range(spent, 100 * SEC / share, 100 * SEC / share + 2 * FLOOD_TIME_BURST);
        assert_int_equal(flood_spend(&f, 0, share, now + 100 * SEC), 0);
        assert_int_equal(flood_spend(&f, FLOOD_TIME_BURST, share, now + 100 * SEC), 0);
        for (unsigned i = 0; i < 1000; i++) {
            now += 200 * SEC + share * MSEC * 1001;
            assert_int_equal(flood_spend(&f, MSEC, share, now), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_senders), cmocka_unit_test(test_calm), cmocka_unit_test(test_reports),
        cmocka_unit_test(test_words),   cmocka_unit_test(test_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
