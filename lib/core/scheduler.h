/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ready ring and the switch between tasks, on which each operation that can suspend is built.
 *
 * The ring holds each task at most once and always has room for all tasks, so waking cannot fail.
 * It is processed in rounds: tasks that become ready in one round run in the next. A suspending
 * task switches directly to the next ready one. The loop's own context gets control when a batch is
 * used up, nothing is ready, or something needs the loop's attention.
 */

#include "current.h"
#include "state.h"

#define SLICE        64  /* switches between two looks at the clock, where tasks are short */
#define BATCH_SLICES 16  /* slices, or */
#define BATCH_USEC   500 /* time, between two polls */
#define BUDGET       128 /* operations of a task without suspending */

int loop_reserve_ready_slow(struct ait_loop *loop);

/* Room in the ring for one more task. */
static always_inline int loop_reserve_ready(struct ait_loop *loop)
{
    return likely(loop->n_tasks < loop->ring_capacity) ? 0 : loop_reserve_ready_slow(loop);
}

/* Tells the driver of a guest loop that there is work. */
void loop_kick(struct ait_loop *loop);
/* Wakes it from its poll. */
void loop_ring(struct ait_loop *loop);
void loop_shuffle_round(struct ait_loop *loop);
/* Starts another slice of the batch. False: it is over. */
bool loop_next_slice(struct ait_loop *loop);
/* The same for loop_next(), when the next task is at the head of the ring. */
bool loop_new_slice(struct ait_loop *loop);
/*
 * Exceptions belong to the task: a handler or a destructor may wait. In a process with C++ each
 * switch exchanges what its runtime keeps for the thread. It needs no test of its own: slices are
 * then of one switch each. Called before t goes on; NULL: the loop's context.
 */
void loop_exchange_cxx(struct ait_loop *loop, struct ait_task *t);
/* Looks whether there is C++ in the process. */
void loop_find_cxx(struct ait_loop *loop);

/* With C++ in the process each switch is to come to loop_new_slice(). */
static always_inline void loop_split_slice(struct ait_loop *loop)
{
    if (likely(!loop->cxx))
        return;
    loop->cxx_slice = loop->slice;
    loop->slice = 0;
}

static always_inline void loop_first_slice(struct ait_loop *loop)
{
    loop->slice = loop->slice_size;
    loop->late = false;
    loop->n_slices = BATCH_SLICES - 1;
    loop->batch_end = 0;
    loop_split_slice(loop);
}

static always_inline bool loop_has_ready(const struct ait_loop *loop)
{
    return loop->head != loop->tail;
}

/*
 * Prefetches tasks further down the ring: first their own cache lines, and a little later, once
 * those have arrived, the frames that they return to. If few tasks are ready, all of it is still in
 * the cache.
 */
static always_inline void loop_prefetch(struct ait_loop *loop)
{
    uintptr_t far;

    if (loop->tail - loop->head <= 4)
        return;
    far = (uintptr_t)loop->ring[(loop->head + 5) & loop->mask]; /* may be NULL */
    __builtin_prefetch((const void *)far, 1);
    __builtin_prefetch((const void *)(far + 64), 1);
#ifndef AIT_CONTEXT_PORTABLE
    struct ait_task *near = loop->ring[(loop->head + 2) & loop->mask];

    __builtin_prefetch(near->context.sp, 1);
    __builtin_prefetch((char *)near->context.sp + 64, 1);
#endif
}

/* The next task to run, now current; NULL if the loop's context must decide. */
static always_inline struct ait_task *loop_next(struct ait_loop *loop)
{
    struct ait_task *t;

    if (unlikely(loop->head == loop->round_end)) {
        if (loop->head == loop->tail || loop->attention) {
            loop->current = NULL;
            return NULL;
        }
        loop->round_end = loop->tail;
        if (unlikely(loop->shuffle))
            loop_shuffle_round(loop);
    }
    if (unlikely(loop->slice == 0) && (loop->attention || !loop_new_slice(loop))) {
        loop->current = NULL;
        return NULL;
    }
    loop->slice--;
    t = loop->ring[loop->head++ & loop->mask];
    loop_prefetch(loop);
    loop->current = t;
    loop->budget = BUDGET;
    return t;
}

static always_inline void loop_push_ready(struct ait_loop *loop, struct ait_task *t)
{
    t->state = TASK_READY;
    loop->ring[loop->tail++ & loop->mask] = t;
    if (unlikely(loop->kick))
        loop_kick(loop);
}

/* Makes a suspended task ready. Has no effect if it is ready, running, or has ended. */
static always_inline void task_wake(struct ait_task *t)
{
    if (t->state >= TASK_PARKED && t->state <= TASK_RELOCKING)
        loop_push_ready(t->future.loop, t);
}

/*
 * Suspends the current task. state says what may wake it; it is TASK_READY if the task has put
 * itself into the ring. wait (may be NULL) describes what it waits for; it is only shown, never
 * used to decide anything.
 */
static always_inline void task_suspend_in(struct ait_loop *loop, struct ait_task *t,
                                          enum task_state state, const struct wait *wait)
{
    struct ait_task *next;

    t->state = state;
    if (state != TASK_READY)
        t->wait = wait;
#ifndef NDEBUG
    t->n_busy = 0;
#endif
    next = loop_next(loop);
    if (next != t)
        context_switch(&t->context, next ? &next->context : &loop->context);
    t->state = TASK_RUNNING;
}

static always_inline void task_suspend(struct ait_loop *loop, struct ait_task *t,
                                       enum task_state state)
{
    task_suspend_in(loop, t, state, NULL);
}

/* Lets other tasks run first. */
static always_inline void task_yield(struct ait_loop *loop, struct ait_task *t)
{
    loop_push_ready(loop, t);
    task_suspend(loop, t, TASK_READY);
}

/*
 * Defined in task.c, beside ait_yield(): defined elsewhere, they cost each switch one instruction.
 */
int op_refused(struct ait_loop *loop);
int op_cancelled(struct ait_task *t);
int op_budget(struct ait_loop *loop, struct ait_task *t);

/*
 * The beginning of each operation that can suspend: checks that there is a task, that it is not
 * cancelled, and that it has not run for too long. Returns 0, or the error to return before any
 * side effect.
 */
static always_inline int op_enter(struct ait_loop **ret_loop, struct ait_task **ret_task)
{
    struct ait_loop *loop = this_loop;
    struct ait_task *t = likely(loop != NULL) ? loop->current : NULL;

    *ret_loop = loop;
    *ret_task = t;
    if (unlikely(!t))
        return op_refused(loop);
    if (unlikely(t->scope->effective))
        return op_cancelled(t);
    if (unlikely(loop->budget-- == 0))
        return op_budget(loop, t);
    return 0;
}

/* The same for structural waits, which do their work first. */
static always_inline int op_enter_structural(struct ait_loop **ret_loop, struct ait_task **ret_task)
{
    struct ait_loop *loop = this_loop;

    *ret_loop = loop;
    *ret_task = likely(loop != NULL) ? loop->current : NULL;
    return unlikely(!*ret_task) ? op_refused(loop) : 0;
}
