/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "now.h"
#include "scheduler.h"

/* ---- ready ring ------------------------------------------------------------------------------ */

int loop_reserve_ready_slow(struct ait_loop *loop)
{
    uint32_t capacity = loop->ring_capacity ? loop->ring_capacity * 2 : 64,
             n = loop->tail - loop->head;
    struct ait_task **ring;

    ring = malloc(capacity * sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        ring[i] = loop->ring[(loop->head + i) & loop->mask];
    /* The prefetch reads ahead of the tail. */
    memset(ring + n, 0, (capacity - n) * sizeof(*ring));
    free(loop->ring);
    loop->ring = ring;
    loop->round_end -= loop->head;
    loop->head = 0;
    loop->tail = n;
    loop->ring_capacity = capacity;
    loop->mask = capacity - 1;
    return 0;
}

/* xorshift64* */
static uint64_t shuffle_next(struct ait_loop *loop)
{
    uint64_t x = loop->shuffle_state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    loop->shuffle_state = x;
    return x * UINT64_C(2685821657736338717);
}

void loop_shuffle_round(struct ait_loop *loop)
{
    for (uint32_t n = loop->round_end - loop->head; n > 1; n--) {
        uint32_t a = (loop->head + n - 1) & loop->mask;
        uint32_t b = (loop->head + (uint32_t)(shuffle_next(loop) % n)) & loop->mask;
        struct ait_task *t = loop->ring[a];

        loop->ring[a] = loop->ring[b];
        loop->ring[b] = t;
    }
}

/* Tasks that compute between their switches make a slice long, so it gets fewer of them. */
static void loop_fit_slice(struct ait_loop *loop, uint64_t usec)
{
    if (usec > BATCH_USEC / 8)
        loop->slice_size = loop->slice_size > 1 ? loop->slice_size / 2 : 1;
    else if (usec < BATCH_USEC / 16 && loop->slice_size < SLICE)
        loop->slice_size *= 2;
}

static bool begin_slice(struct ait_loop *loop)
{
    uint64_t now;

    if (loop->n_slices == 0)
        return false;
    now = clock_now_real();
    if (loop->batch_end == 0)
        loop->batch_end = now + (loop->slice_size < SLICE ? BATCH_USEC / 8 : BATCH_USEC);
    else
        loop_fit_slice(loop, now - loop->slice_start);
    loop->slice_start = now;
    if (now >= loop->batch_end) {
        loop->n_slices = 0;
        loop->late = true;
        return false;
    }
    loop->n_slices--;
    loop->slice = loop->slice_size;
    return true;
}

bool loop_next_slice(struct ait_loop *loop)
{
    if (!begin_slice(loop))
        return false;
    loop_split_slice(loop);
    return true;
}

/*
 * Usually called by the task that has used up the slice: returning to the loop's context would cost
 * several mispredicted branches.
 */
bool loop_new_slice(struct ait_loop *loop)
{
    if (likely(!loop->cxx))
        return begin_slice(loop);
    if (loop->cxx_slice == 0 && !loop_next_slice(loop))
        return false;
    loop->cxx_slice--;
    loop->slice = 1;
    loop_exchange_cxx(loop, loop->ring[loop->head & loop->mask]);
    return true;
}

/* ---- C++ ------------------------------------------------------------------------------------- */

/* In libstdc++ and libc++; and in libc since 2.34, else in a library that we do not need. */
extern struct cxx_state *__cxa_get_globals(void) /* NOLINT(bugprone-reserved-identifier) */
    __attribute__((weak));
extern void *dlsym(void *handle, const char *name) __attribute__((weak));

void loop_find_cxx(struct ait_loop *loop)
{
    struct cxx_state *(*get)(void) = __cxa_get_globals;

    /* Loaded after us, such as by a plugin. */
    if (!get && dlsym)
        get = (struct cxx_state * (*)(void)) dlsym(RTLD_DEFAULT, "__cxa_get_globals");
    loop->cxx = get ? get() : NULL;
}

void loop_exchange_cxx(struct ait_loop *loop, struct ait_task *t)
{
    static const struct cxx_state none;
    struct ait_task *before = loop->cxx_task;

    if (!loop->cxx || before == t)
        return;
    if (!before) {
        loop->cxx_own = *loop->cxx;
    } else {
        before->has_cxx = loop->cxx->caught || loop->cxx->uncaught > 0;
        if (before->has_cxx)
            before->cxx = *loop->cxx;
    }
    *loop->cxx = !t ? loop->cxx_own : t->has_cxx ? t->cxx : none;
    loop->cxx_task = t;
}

/* ---- telling the driver ---------------------------------------------------------------------- */

void loop_ring(struct ait_loop *loop)
{
    uint64_t one = 1;

    /* The write can fail only if the counter is full, and then the bell rings already. */
    (void)!write(loop->watches[WATCH_POST].fd, &one, sizeof(one));
}

void loop_kick(struct ait_loop *loop)
{
    loop->kick = false;
    loop_ring(loop);
}
