/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What aiotools' tests of create_timer() and VirtualClock check; docs/aiotools.md tells row by row.
 */

#include "conformance.h"

static struct {
    unsigned begun, ended, cancelled;
    uint64_t takes; /* usec */
    int ret;
} ticks;

static int tick(const ait_tick *what, void *userdata)
{
    ticks.begun++;
    int r = ait_sleep(ticks.takes);
    if (r < 0)
        ticks.cancelled++;
    else
        ticks.ended++;
    return r < 0 ? r : ticks.ret;
}

static void ignore_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
}

/* A timer every so many usec, cancelled at the given time: nothing of it is left then. */
static int run_timer(uint64_t every, ait_interval_policy policy, uint64_t until)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;
    size_t n = ait_loop_n_tasks(ait_loop_current());
    int result = 0;

    ticks.begun = ticks.ended = ticks.cancelled = 0;
    CHECK_EQ(ait_scope_set_error_handler(ait_scope_current(), ignore_error, NULL), 0);
    CHECK_EQ(ait_interval_start(&timer, NULL, every, policy, tick, NULL), 0);
    CHECK_EQ(ait_sleep(until), 0);
    CHECK_EQ(ait_task_is_done(timer), 0);
    CHECK_EQ(ait_cancel_and_wait(timer, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), n);
    CHECK_EQ(ticks.begun, ticks.ended + ticks.cancelled);
    trace("begun:%u", ticks.begun);
    trace("cancelled:%u", ticks.cancelled);
    return 0;
}

static int ticks_on_time(void *userdata)
{
    ticks.takes = 0;
    ticks.ret = 0;
    run_timer(MS(100), AIT_INTERVAL_QUEUE, MS(220));
    return run_timer(MS(100), AIT_INTERVAL_CANCEL, MS(220));
}

static int failing_ticks(void *userdata)
{
    ticks.takes = MS(100);
    ticks.ret = -EIO;
    return run_timer(MS(1000), AIT_INTERVAL_QUEUE, MS(5500));
}

static int slow_ticks_pile_up(void *userdata)
{
    ticks.takes = MS(5000);
    ticks.ret = 0;
    return run_timer(MS(1000), AIT_INTERVAL_QUEUE, MS(9900));
}

static int slow_ticks_cancelled(void *userdata)
{
    ticks.takes = MS(1000);
    ticks.ret = 0;
    return run_timer(MS(10), AIT_INTERVAL_CANCEL, MS(95));
}

static int quick_ticks_not_cancelled(void *userdata)
{
    ticks.takes = 0;
    ticks.ret = 0;
    return run_timer(MS(10), AIT_INTERVAL_CANCEL, MS(96));
}

/* Where the clock stands at a large value a sleep has to end all the same. */
static int far_away(void *userdata)
{
    CHECK_EQ(ait_sleep(1709591365 * AIT_USEC_PER_SEC), 0);
    uint64_t before = ait_now(NULL);
    CHECK_EQ(ait_sleep(AIT_USEC_PER_SEC), 0);
    CHECK_EQ(ait_now(NULL) - before, AIT_USEC_PER_SEC);
    return 0;
}

static const struct row rows[] = {
    {"ticks on time", .run = ticks_on_time,
     .trace = "begun:3@220 cancelled:0@220 begun:3@440 cancelled:0@440"},
    {"failing ticks", .run = failing_ticks, .trace = "begun:6@5500 cancelled:0@5500"},
    {"slow ticks pile up", .run = slow_ticks_pile_up, .trace = "begun:10@9900 cancelled:5@9900"},
    {"slow ticks cancelled", .run = slow_ticks_cancelled, .trace = "begun:10@95 cancelled:10@95"},
    {"quick ticks not cancelled", .run = quick_ticks_not_cancelled,
     .trace = "begun:10@96 cancelled:0@96"},
    {"clock far away", .run = far_away, .trace = ""},
};

int main(void)
{
    return conformance_run("conformance-timer", rows, ELEMENTS(rows));
}
