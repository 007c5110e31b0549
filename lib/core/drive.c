/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "drive.h"
#include "future.h"
#include "io.h"
#include "now.h"
#include "scheduler.h"

#define WATCH_TAG  (UINT64_C(1) << 63)
#define MAX_EVENTS 256
#define TRIM_USEC  (2 * AIT_USEC_PER_SEC)

/* ---- running --------------------------------------------------------------------------------- */

static void run_callbacks(struct ait_loop *loop)
{
    struct list batch;

    loop->attention = false;
    list_init(&batch);
    list_splice(&batch, &loop->callbacks);
    while (!list_empty(&batch)) {
        struct ait_slot *slot = container_of(batch.next, struct ait_slot, waiter.link);

        list_remove(&slot->waiter.link);
        slot_run(slot);
    }
}

/* Until the batch is used up, nothing is ready, or callbacks are to be run. */
static void run_ready(struct ait_loop *loop)
{
    struct ait_task *t;

    t = loop_next(loop);
    if (t)
        context_switch(&loop->context, &t->context);
    if (unlikely(loop->cxx != NULL))
        loop_exchange_cxx(loop, NULL);
    while (unlikely(loop->deep != NULL)) {
        struct deep_call *call = loop->deep;

        loop->deep = NULL;
        call->result = call->fn(call->userdata);
        loop->current = call->task;
        loop_exchange_cxx(loop, call->task);
        context_switch(&loop->context, &call->task->context);
        loop_exchange_cxx(loop, NULL);
    }
}

void loop_run_batch(struct ait_loop *loop)
{
    loop_first_slice(loop);
    loop_check_child(loop);
    do {
        run_ready(loop);
        if (loop->attention) {
            run_callbacks(loop);
            loop_check_child(loop);
        }
    } while (loop_has_ready(loop) && loop_next_slice(loop));
}

void loop_fire_timers(struct ait_loop *loop)
{
    uint64_t next = timers_next(&loop->timers);

    if (next != UINT64_MAX) {
        uint64_t now = loop_now(loop);

        if (next <= now)
            timers_fire(&loop->timers, now);
    }
}

uint64_t loop_idle_until(struct ait_loop *loop)
{
    if (loop_has_ready(loop) || loop->attention)
        return 0;
    return timers_next(&loop->timers);
}

void loop_drain(struct ait_loop *loop)
{
    while (loop->n_tasks > 0) {
        loop_run_batch(loop);
        loop_fire_timers(loop);
        if (loop->n_tasks > 0)
            loop_poll(loop, loop_idle_until(loop));
    }
}

/*
 * Called before a sleep of up to timeout: releases stacks that were not needed for a while. Returns
 * how long to sleep.
 */
static uint64_t rest(struct ait_loop *loop, uint64_t timeout)
{
    uint64_t now;

    if (!stacks_worth_trimming(&loop->stacks))
        return timeout;
    now = clock_now_real();
    if (now - loop->last_trim >= TRIM_USEC) {
        loop->last_trim = now;
        stacks_trim(&loop->stacks);
    }
    return timeout > TRIM_USEC ? TRIM_USEC : timeout;
}

/* ---- polling --------------------------------------------------------------------------------- */

/* Rounds up: waking early would spin. */
static int wait_events(struct ait_loop *loop, struct epoll_event *events, uint64_t timeout)
{
    int n;

    if (timeout == 0 || timeout == UINT64_MAX)
        return epoll_wait(loop->epoll_fd, events, MAX_EVENTS, timeout == 0 ? 0 : -1);
#ifdef SYS_epoll_pwait2
    if (!loop->no_pwait2) {
        struct timespec ts = {.tv_sec = (time_t)(timeout / AIT_USEC_PER_SEC),
                              .tv_nsec = (long)(timeout % AIT_USEC_PER_SEC) * 1000};

        n = epoll_pwait2(loop->epoll_fd, events, MAX_EVENTS, &ts, NULL);
        /* Sandboxes that do not know it refuse it in their own ways. */
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        loop->no_pwait2 = true;
    }
#endif
    timeout = (timeout + 999) / 1000;
    return epoll_wait(loop->epoll_fd, events, MAX_EVENTS,
                      timeout > INT32_MAX ? INT32_MAX : (int)timeout);
}

static uint64_t poll_timeout(struct ait_loop *loop, uint64_t until)
{
    uint64_t now;

    if (until == 0 || until == UINT64_MAX)
        return until;
    /*
     * A virtual clock does not move while we sleep. Check the fds; then either the clock jumps, or
     * only the fds can bring anything.
     */
    if (loop->clock.virtual)
        return clock_jumps(&loop->clock) ? 0 : UINT64_MAX;
    now = clock_now_real();
    return until > now ? until - now : 0;
}

int loop_poll(struct ait_loop *loop, uint64_t until)
{
    struct epoll_event events[MAX_EVENTS];
    uint64_t timeout = poll_timeout(loop, until);
    int n;

    if (timeout > 0)
        timeout = rest(loop, timeout);
    n = wait_events(loop, events, timeout);
    if (n == 0 && until != 0 && until != UINT64_MAX && clock_jumps(&loop->clock) &&
        (!loop->guest || loop->finishing))
        clock_jump(&loop->clock, until);
    for (int i = 0; i < n; i++) {
        uint64_t data = events[i].data.u64;

        if (likely(!(data & WATCH_TAG)))
            fd_event(loop, data, events[i].events);
        else if (loop->watches[data & ~WATCH_TAG].ready)
            loop->watches[data & ~WATCH_TAG].ready(loop, events[i].events);
    }
    return n > 0 ? n : 0;
}

int fd_above_stdio(int fd)
{
    int copy, error;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    error = errno;
    (void)close(fd);
    errno = error;
    return copy;
}

int loop_watch(struct ait_loop *loop, enum watch_id id, int fd,
               void (*ready)(struct ait_loop *loop, uint32_t events))
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = WATCH_TAG | (uint64_t)id};

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        return -errno;
    loop->watches[id] = (struct watch){.ready = ready, .fd = fd};
    return 0;
}

void loop_unwatch(struct ait_loop *loop, enum watch_id id)
{
    if (!loop->watches[id].ready)
        return;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->watches[id].fd, NULL);
    loop->watches[id].ready = NULL;
}
