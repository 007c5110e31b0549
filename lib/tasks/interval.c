/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include <aiotools-sd/interval.h>

#include "current.h"
#include "now.h"
#include "task.h"

struct interval {
    uint64_t usec, start;
    ait_interval_policy policy;
    ait_interval_cb cb;
    void *userdata;
    uint64_t n;               /* the next tick */
    uint64_t missed;          /* before it */
    struct ait_task *running; /* a reference; with QUEUE always NULL */
};

struct run {
    ait_tick tick;
    ait_interval_cb cb;
    void *userdata;
};

static uint64_t due(const struct interval *iv)
{
    uint64_t offset;

    if (__builtin_mul_overflow(iv->n, iv->usec, &offset))
        return AIT_USEC_INFINITY;
    return usec_add(iv->start, offset);
}

/* Leaves out the ticks before n. */
static void skip_to(struct interval *iv, uint64_t n)
{
    if (n <= iv->n)
        return;
    iv->missed += n - iv->n;
    iv->n = n;
}

/* Ticks that became due while a callback ran; one that is due at this very moment is not late. */
static void skip_overrun(struct interval *iv)
{
    uint64_t elapsed = ait_now(NULL) - iv->start;

    skip_to(iv, elapsed / iv->usec + (elapsed % iv->usec > 0));
}

/* All but the newest of those that are due. */
static void skip_late(struct interval *iv)
{
    skip_to(iv, (ait_now(NULL) - iv->start) / iv->usec);
}

static int run_main(void *userdata)
{
    struct run *run = userdata;

    return run->cb(&run->tick, run->userdata);
}

static const char interval_name[] = "interval";

/* The name of the timer, if it has one. */
static const char *tick_name(void)
{
    const char *name = ait_task_name(this_loop->current);

    return strcmp(name, interval_name) == 0 ? "tick" : name;
}

static int spawn_tick(struct interval *iv)
{
    const ait_task_options options = {
        .size = sizeof(options), .name = tick_name(), .destroy = free};
    struct run *run = malloc(sizeof(*run));
    int r = -ENOMEM;

    if (run) {
        *run = (struct run){
            .tick = {.size = sizeof(run->tick), .n = iv->n, .due = due(iv), .missed = iv->missed},
            .cb = iv->cb,
            .userdata = iv->userdata,
        };
        r = ait_task_spawn(iv->policy == AIT_INTERVAL_QUEUE ? NULL : &iv->running, run_main, run,
                           &options);
        if (r < 0)
            free(run);
    }
    /* Short of memory now, perhaps not at the next tick. */
    iv->missed = r < 0 ? iv->missed + 1 : 0;
    iv->n++;
    return r == -ENOMEM || r == -EAGAIN ? 0 : r;
}

static int finish_tick(struct interval *iv, int (*finish)(ait_task *task, int *ret_result))
{
    int r;

    if (!iv->running)
        return 0;
    r = finish(iv->running, NULL);
    iv->running = ait_task_unref(iv->running);
    return r < 0 ? r : 0;
}

/* Until the next tick is due, and nothing stands in its way. */
static int next_tick(struct interval *iv)
{
    bool first = !iv->running;
    int r = 0;

    if (iv->policy == AIT_INTERVAL_SKIP || iv->policy == AIT_INTERVAL_BURST)
        r = finish_tick(iv, ait_task_wait);
    if (iv->policy == AIT_INTERVAL_SKIP && !first)
        skip_overrun(iv);
    if (r >= 0)
        r = ait_sleep_until(due(iv));
    if (r >= 0 && iv->policy == AIT_INTERVAL_CANCEL)
        r = finish_tick(iv, ait_cancel_and_wait);
    if (iv->policy == AIT_INTERVAL_SKIP || iv->policy == AIT_INTERVAL_CANCEL)
        skip_late(iv);
    return r;
}

static int interval_main(void *userdata)
{
    struct interval *iv = userdata;
    int r = 0;

    while (r >= 0) {
        r = next_tick(iv);
        if (r >= 0)
            r = spawn_tick(iv);
    }
    iv->running = ait_task_unref(iv->running);
    return r;
}

AIT_PUBLIC int ait_interval_start(ait_task **ret_task, ait_scope *scope, uint64_t usec,
                                  ait_interval_policy policy, ait_interval_cb cb, void *userdata)
{
    static const ait_task_options options = {
        .size = sizeof(options), .name = interval_name, .destroy = free};
    struct interval *iv;
    int r;

    if (usec == 0 || (unsigned)policy > AIT_INTERVAL_BURST || !cb)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    if (!scope)
        scope = this_loop->current ? this_loop->current->scope : &this_loop->root;
    LOOP_CHECK(scope->loop);
    iv = calloc(1, sizeof(*iv));
    if (!iv)
        return -ENOMEM;
    iv->start = loop_now(scope->loop);
    iv->usec = usec;
    iv->policy = policy;
    iv->cb = cb;
    iv->userdata = userdata;
    r = task_spawn(scope, ret_task, interval_main, iv, &options, __builtin_return_address(0));
    if (r < 0)
        free(iv);
    return r;
}
