/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

/*
 * The loop: ready ring, scheduler, poll set, and the two ways to drive them (owned.c, guest.c).
 *
 * The ready ring holds each task at most once and always has room for all tasks there are, so that waking cannot fail. It is worked off in rounds:
 * what becomes ready in one runs in the next. A suspending task switches straight to the next ready one; control comes back
 * to the loop's own context when a batch is used up, nothing is ready, or something wants the loop's attention.
 *
 * Callbacks of users run with no current task: slots and posted functions on the thread's stack, error handlers on that of the task that failed.
 */

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include <aiotools-sd/loop.h>

#include "clock.h"
#include "context.h"
#include "fdtable.h"
#include "scope.h"
#include "stack.h"
#include "task.h"
#include "timer.h"

#define SLICE        64  /* switches between two looks at the clock */
#define BATCH_SLICES 16  /* slices, or */
#define BATCH_USEC   500 /* time, between two polls */
#define BUDGET       128 /* operations of a task without suspending */

struct sd_event;
struct sd_event_source;

/* An fd of the loop itself in its poll set. */
struct watch {
    void (*ready)(struct ait_loop *loop, uint32_t events);
    int fd;
};

enum watch_id { WATCH_POST, WATCH_EVENT, WATCH_SIGNALS, WATCH_MAX };

struct post {
    struct post *next;
    ait_post_fn fn;
    void *userdata;
    bool lent; /* somebody else's memory, which may go in fn */
};

/* ait_call_on_thread_stack(), in the frame of its caller. */
struct deep_call {
    ait_plain_fn fn;
    void *userdata;
    struct ait_task *task;
    int result;
};

struct ait_loop {
    struct ait_task *current;
    struct ait_task **ring;
    uint32_t head, tail, round_end, mask;
    uint32_t slice;     /* switches left */
    uint32_t budget;    /* of the current task */
    uint32_t n_slices;  /* left in the batch */
    uint64_t batch_end; /* 0: the clock has not been read yet */
    bool attention;     /* the loop's context has something to do */
    bool kick;          /* a wake-up must be told to whoever drives the loop */
    bool shuffle;
    bool guest;
    bool dispatching;
    bool finishing; /* sd_event_exit(): only draining */
    bool stop;
    struct context context;
    struct deep_call *deep; /* that the current task wants run on the thread's stack */

    struct timers timers;
    struct stacks stacks;
    struct scope_pool scopes;
    struct fdtable fds;
    struct clock_state clock;
    size_t n_tasks;
    uint32_t refs;
    uint32_t ring_capacity;

    struct list callbacks; /* slots whose future is resolved */
    _Atomic(struct post *) posted;
    unsigned fork_generation; /* of its process */

    int epoll_fd;
    bool no_pwait2;
    uint32_t n_polls;
    struct watch watches[WATCH_MAX];
    struct sd_event *event;
    struct sd_event_source *event_io, *event_time, *event_exit, *event_idle;
    uint64_t armed; /* what event_time is set to */
    int exit_code;
    uint64_t shuffle_state;
    uint64_t last_trim;
    sigset_t run_signals; /* that ait_run() handles */
    unsigned n_stop_signals;

    struct ait_loop *next_loop;  /* in ait_debug_loops */
    const struct ait_task *main; /* of ait_run(): its failure is returned, not reported */
    struct ait_scope root;
};

extern __thread struct ait_loop *this_loop __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* All loops of the process, for debuggers, which know this name (packaging/gdb). */
extern struct ait_loop *ait_debug_loops __attribute__((visibility("hidden")));

/* What to return where this thread has no loop: -ECHILD where fork() has taken it away, else -EPERM. */
int loop_foreign(void);
/* What to return where an object's loop is not this thread's. That loop may be gone, so it is not looked at. */
int loop_foreign_object(void);
/* How often this process and its ancestors were forked, as far as they knew of loops. */
extern unsigned loop_fork_generation __attribute__((visibility("hidden")));

static always_inline bool loop_is_this(const struct ait_loop *loop)
{
    return likely(loop == this_loop);
}

/*
 * For a child that a task or a callback has forked, and that comes back to us: what is left of the loop there is the parent's, and none of its tasks is
 * to run twice. Ends the process as after main().
 */
__attribute__((noreturn)) void loop_end_child(int r);

static always_inline void loop_check_child(const struct ait_loop *loop)
{
    if (unlikely(this_loop != loop))
        loop_end_child(0);
}

#define LOOP_CHECK(loop)                                                                                     \
    do {                                                                                                     \
        if (!loop_is_this(loop))                                                                             \
            return loop_foreign_object();                                                                    \
    } while (0)

int loop_reserve_ready_slow(struct ait_loop *loop);

/* Room in the ring for one more task. */
static always_inline int loop_reserve_ready(struct ait_loop *loop)
{
    return likely(loop->n_tasks < loop->ring_capacity) ? 0 : loop_reserve_ready_slow(loop);
}

/* Tells the driver of a guest loop that there is work. */
void loop_kick(struct ait_loop *loop);
void loop_shuffle_round(struct ait_loop *loop);
/* Another slice of the same batch; false: the batch is over. */
bool loop_new_slice(struct ait_loop *loop);

/* Runs ready tasks and callbacks for one batch. */
void loop_run_batch(struct ait_loop *loop);
/* Fires what is due. */
void loop_fire_timers(struct ait_loop *loop);
/* Waits for events until the clock shows until (UINT64_MAX: for ever; 0: not at all) and handles them. Returns how many there were. */
int loop_poll(struct ait_loop *loop, uint64_t until);
/* How long there is nothing to do: 0 where there is something, UINT64_MAX where only fds can bring it. */
uint64_t loop_idle_until(struct ait_loop *loop);
/* Runs until no task is left, on the loop's own poll set alone. */
void loop_drain(struct ait_loop *loop);

int loop_watch(struct ait_loop *loop, enum watch_id id, int fd,
               void (*ready)(struct ait_loop *loop, uint32_t events));
void loop_unwatch(struct ait_loop *loop, enum watch_id id);

int post_init(struct ait_loop *loop);
/* ait_loop_post() of the caller's own p, which cannot fail. From any thread, while something else keeps the loop alive. */
void post_lent(struct ait_loop *loop, struct post *p);
void post_done(struct ait_loop *loop);

void overflow_handler_install(void);

static always_inline bool loop_has_ready(const struct ait_loop *loop)
{
    return loop->head != loop->tail;
}

/*
 * Tasks further down the ring: their own lines, and a little later, once those are there, the frames that they return to. With few ready, all
 * of it is in the cache still.
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

/* The next task to run, now current; NULL where the loop's context has to decide. */
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

/* Makes a suspended task ready; harmless where it is ready, runs, or has ended. */
static always_inline void task_wake(struct ait_task *t)
{
    if (t->state == TASK_PARKED || t->state == TASK_WAITING)
        loop_push_ready(t->future.loop, t);
}

/*
 * Suspends the current task. state says who may wake it; it is TASK_READY where the task has put itself into the ring. wait (may be NULL) tells what
 * for; it is read while the task is suspended and never to decide anything.
 */
static always_inline void task_suspend_in(struct ait_loop *loop, struct ait_task *t, enum task_state state,
                                          const struct wait *wait)
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

static always_inline void task_suspend(struct ait_loop *loop, struct ait_task *t, enum task_state state)
{
    task_suspend_in(loop, t, state, NULL);
}

/* Other tasks first. */
static always_inline void task_yield(struct ait_loop *loop, struct ait_task *t)
{
    loop_push_ready(loop, t);
    task_suspend(loop, t, TASK_READY);
}

int op_refused(struct ait_loop *loop);
int op_cancelled(struct ait_task *t);
int op_budget(struct ait_loop *loop, struct ait_task *t);

/*
 * What each operation that can suspend begins with: there is a task, it is not cancelled, it has not run for too long. 0, or the error to
 * return before any side effect.
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

static always_inline uint64_t loop_now(const struct ait_loop *loop)
{
    return clock_now(&loop->clock);
}

#endif
