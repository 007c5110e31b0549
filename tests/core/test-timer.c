/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The timer heap: against a model, and where lazy deletion could go wrong. */

#include "check.h"
#include "timer.h"

#define N 200

struct item {
    struct timer timer;
    uint64_t when; /* UINT64_MAX: not armed, in the model's mind */
};

static struct timers ts;
static struct item items[N];
static uint64_t now, last_fired;
static unsigned n_fired;
static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void on_fire(struct timer *t);

static void item_arm(struct item *i, uint64_t when)
{
    timer_arm(&ts, &i->timer, when, on_fire);
    i->when = when;
}

static void item_disarm(struct item *i)
{
    timer_disarm(&ts, &i->timer);
    i->when = UINT64_MAX;
}

static void on_fire(struct timer *t)
{
    struct item *i = container_of(t, struct item, timer), *other = items + draw(N);

    assert_false(timer_armed(t));
    assert_true(i->when <= now);
    assert_true(i->when >= last_fired);
    last_fired = i->when;
    i->when = UINT64_MAX;
    n_fired++;
    /* What callbacks do: stop somebody who may be due in this very group, start somebody again. */
    switch (draw(4)) {
    case 0:
        item_disarm(other);
        break;
    case 1:
        item_arm(i, now + 1 + draw(50));
        break;
    case 2:
        if (!timer_armed(&other->timer))
            item_arm(other, now + 1 + draw(50));
        break;
    default:
        break;
    }
}

static uint64_t model_next(void)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < N; i++)
        if (items[i].when < least)
            least = items[i].when;
    return least;
}

static void model_check(void)
{
    unsigned armed = 0;

    assert_int_equal(timers_next(&ts), model_next());
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(timer_armed(&items[i].timer), items[i].when != UINT64_MAX);
        armed += timer_armed(&items[i].timer);
    }
    assert_true(ts.n >= armed && ts.n <= ts.capacity);
}

static void reserve(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(timers_reserve(&ts), 0);
}

static void release(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        timers_unreserve(&ts);
    assert_int_equal(ts.n_reserved, 0);
    timers_done(&ts);
}

static void test_model(void **unused)
{
    now = last_fired = 0;
    reserve(N);
    for (unsigned i = 0; i < N; i++)
        items[i].when = UINT64_MAX;
    for (unsigned step = 0; step < 200000; step++) {
        struct item *i = items + draw(N);

        switch (draw(8)) {
        case 0:
            now += draw(20);
            last_fired = 0;
            timers_fire(&ts, now);
            assert_true(model_next() > now);
            break;
        case 1:
        case 2:
            item_disarm(i);
            break;
        default:
            if (!timer_armed(&i->timer))
                item_arm(i, now + 1 + draw(1000));
            break;
        }
        if (step % 16 == 0)
            model_check();
    }
    assert_true(n_fired > 1000);
    for (unsigned i = 0; i < N; i++)
        item_disarm(items + i);
    assert_int_equal(timers_next(&ts), UINT64_MAX);
    assert_int_equal(ts.n, 0);
    release(N);
}

static void on_nothing(struct timer *t)
{
    n_fired++;
}

/* Timeouts that are set and never needed: the heap does not grow, and nothing that is stale is ever
 * fired. */
static void test_stale(void **unused)
{
    struct timer keep[8] = {}, t[24] = {};
    uint32_t capacity;

    n_fired = 0;
    reserve(ELEMENTS(keep) + ELEMENTS(t));
    capacity = ts.capacity;
    for (unsigned i = 0; i < ELEMENTS(keep); i++)
        timer_arm(&ts, keep + i, 1000000 + i, on_nothing);
    for (unsigned k = 0; k < 100000; k++) {
        struct timer *x = t + k % ELEMENTS(t);

        timer_disarm(&ts, x);
        timer_disarm(&ts, x);
        timer_arm(&ts, x, 2000000 + k * 7919 % 1000, on_nothing);
    }
    assert_int_equal(ts.capacity, capacity);
    for (unsigned i = 0; i < ELEMENTS(t); i++)
        timer_disarm(&ts, t + i);
    assert_int_equal(timers_next(&ts), 1000000);
    timers_fire(&ts, 3000000);
    assert_int_equal(n_fired, ELEMENTS(keep));
    assert_int_equal(ts.n, 0);
    release(ELEMENTS(keep) + ELEMENTS(t));
}

/* Disarmed last, a timeout leaves no trace at all. */
static void test_no_trace(void **unused)
{
    struct timer a = {}, b = {};

    reserve(2);
    timer_arm(&ts, &a, 100, on_nothing);
    for (unsigned i = 0; i < 1000; i++) {
        timer_arm(&ts, &b, 200, on_nothing);
        timer_disarm(&ts, &b);
        assert_int_equal(ts.n, 1);
        assert_int_equal(ts.n_stale, 0);
    }
    timer_disarm(&ts, &a);
    release(2);
}

static void test_compaction(void **unused)
{
    enum { MANY = 1000 };
    struct timer *t = calloc(MANY, sizeof(*t));

    assert_non_null(t);
    reserve(MANY);
    for (unsigned i = 0; i < MANY; i++)
        timer_arm(&ts, t + i, 5000 - i, on_nothing);
    /* From the front, where the stale ones lie below others. */
    for (unsigned i = MANY; i-- > MANY / 8;)
        timer_disarm(&ts, t + i);
    assert_true(ts.n < MANY / 2);
    assert_int_equal(timers_next(&ts), 5000 - (MANY / 8 - 1));
    n_fired = 0;
    timers_fire(&ts, UINT64_MAX - 1);
    assert_int_equal(n_fired, MANY / 8);
    release(MANY);
    free(t);
}

static struct timer chain[64];
static unsigned n_chain;

static void disarm_the_rest(struct timer *t)
{
    n_chain++;
    for (unsigned i = 0; i < ELEMENTS(chain); i++)
        timer_disarm(&ts, chain + i);
}

/* All due at once, and the first stops the others, inside and beyond its group: none of them fires,
 * and their slots are free again. */
static void test_disarm_in_group(void **unused)
{
    reserve(ELEMENTS(chain));
    for (unsigned round = 0; round < 100; round++) {
        n_chain = 0;
        for (unsigned i = 0; i < ELEMENTS(chain); i++)
            timer_arm(&ts, chain + i, 10 + i % 3, disarm_the_rest);
        timers_fire(&ts, 100);
        assert_int_equal(n_chain, 1);
        assert_int_equal(timers_next(&ts), UINT64_MAX);
        assert_int_equal(ts.n, 0);
    }
    release(ELEMENTS(chain));
}

static void rearm_past(struct timer *t)
{
    if (++n_chain < 1000)
        timer_arm(&ts, t, 5, rearm_past);
}

/* A callback that arms what is due already is served in the same call. */
static void test_rearm_in_past(void **unused)
{
    struct timer t = {};

    n_chain = 0;
    reserve(1);
    timer_arm(&ts, &t, 10, rearm_past);
    timers_fire(&ts, 100);
    assert_int_equal(n_chain, 1000);
    release(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),           cmocka_unit_test(test_stale),
        cmocka_unit_test(test_no_trace),        cmocka_unit_test(test_compaction),
        cmocka_unit_test(test_disarm_in_group), cmocka_unit_test(test_rearm_in_past),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
