/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a loop consists of: its tasks, their scopes and futures, and the loop itself. They are laid
 * out together, a task above all by the cache lines that a wake-up, a switch and a spawn touch, and
 * each has a part of another inside it.
 *
 * Data only, so that it includes none of those who work on it: what is done with it stands in their
 * headers.
 */

#include <signal.h>
#include <stdatomic.h>

#include <aiotools-sd/clock.h>
#include <aiotools-sd/future.h>
#include <aiotools-sd/loop.h>
#include <aiotools-sd/scope.h>
#include <aiotools-sd/task.h>
#include <aiotools-sd/taskset.h>

#include "context.h"
#include "fdtable.h"
#include "macros.h"
#include "stack.h"
#include "timer.h"

/* ---- clocks ---------------------------------------------------------------------------------- */

struct ait_clock {
    uint32_t refs;
    bool autojump;
    uint64_t now;
    struct ait_loop *loop; /* that it drives; NULL: none */
};

struct clock_state {
    struct ait_clock *virtual; /* NULL: the real one */
    uint32_t n_held; /* by outside work that is certain to return: an idle loop waits for it */
};

/* ---- futures --------------------------------------------------------------------------------- */

enum { FUTURE_MANUAL, FUTURE_TASK };

struct waiter {
    struct list link;
    struct ait_task *task; /* NULL: the waiter is a slot's */
};

struct ait_future {
    struct list waiters;
    struct ait_loop *loop;
    uint32_t refs;
    int result;
    uint8_t kind;
    bool done;
};

struct ait_slot {
    struct waiter waiter; /* link: in the future's waiters, then in the loop's callbacks */
    struct ait_future *future;
    ait_future_cb cb;
    void *userdata;
    bool floating; /* no reference is held: freed when it has run, or with its future */
    bool spent;
};

/* ---- scopes ---------------------------------------------------------------------------------- */

enum scope_state {
    SCOPE_ENTERED,
    SCOPE_EXITING, /* the body has ended, children are waited for; they may still spawn */
    SCOPE_EXITED,
};

struct ait_scope {
    /* what a suspension point and a spawn read */
    bool effective;
    uint8_t state;
    uint8_t flags;
    bool expired;
    bool aborted;
    bool cut;    /* a child ended with -ECANCELED while the scope was effective */
    bool caught; /* exit absorbed a cancellation of the scope's own */
    bool failed; /* the one count of cancel_count that stands for a child's or the body's failure */
    uint32_t cancel_count;
    uint32_t n_errors;
    struct ait_loop *loop;
    struct ait_task *owner; /* NULL: the loop's root, or a task set's */
    struct ait_scope *parent;
    struct ait_scope *inner;

    struct ait_task **children;
    uint32_t n_children; /* used entries, holes included */
    uint32_t n_live;
    uint32_t capacity;

    int first_error; /* FAIL_FAST: the first child's */
    struct timer timer;
    bool timer_reserved;
    bool is_root;
    uint64_t deadline;
    struct ait_scope *next_work; /* push-down, and the pool's free list */
    struct list closers;         /* waiters */
    ait_error_info *errors;
    struct scope_extra *extra; /* NULL: nothing of it is used */
};

/* Flags of the library's own, above those of scope.h */
enum {
    SCOPE_QUIET = 1 << 5,    /* other code keeps the errors of its children */
    SCOPE_HAS_SETS = 1 << 6, /* extra->sets is not empty */
    SCOPE_OF_SET = 1 << 7,   /* the scope of a task set, the first member of it */
};

/* Members that few scopes need; allocated when the first one is set. */
struct scope_extra {
    struct ait_scope *scope;
    char *name;
    ait_error_cb error_cb; /* inherited by scopes inside */
    void *error_userdata;
    struct timer cancel_timer;
    bool cancel_timer_reserved;
    struct list sets; /* that hang on the scope */
};

struct scope_pool {
    struct ait_scope *free;
    struct scope_chunk *chunks;
};

/* A scope that belongs to an object (taskset.h). */
struct ait_taskset {
    struct ait_scope scope; /* first */
    struct list link;       /* in the parent's sets; in none once detached */
    uint32_t refs;
    void (*free)(struct ait_taskset *set);
};

/*
 * What the C++ runtime keeps of exceptions a thread: those that are handled, and how many are under
 * way. The layout is that of its ABI (__cxa_eh_globals).
 */
struct cxx_state {
    void *caught;
    unsigned uncaught;
};

/* ---- tasks ----------------------------------------------------------------------------------- */

enum task_state {
    TASK_READY,     /* in the ready ring */
    TASK_RUNNING,   /* the loop's current one, or about to be */
    TASK_PARKED,    /* in a wait that cancellation ends */
    TASK_WAITING,   /* in a structural wait, which it does not */
    TASK_RELOCKING, /* nor in one for a lock that it had before */
    TASK_ENDED,
};

/* What a suspended task waits for, shown in dumps and debuggers. Lies in the frame of the wait. */
struct wait {
    const char *kind;
    union {
        const void *object;
        uint64_t value; /* a time, or an fd */
    };
};

struct ait_task {
    struct ait_future future;
    uint8_t state;
    uint8_t class;           /* of its stack */
    bool is_stuck;           /* while circle.c looks */
    bool has_cxx;            /* cxx is not all zero */
    uint32_t index;          /* in the parent's children */
    struct ait_scope *scope; /* innermost */
    struct context context;

    union {
        ait_task_fn fn; /* until it begins */
        const struct wait
            *wait; /* while it is PARKED or WAITING; NULL where the wait says nothing */
    };
    void *userdata;
    struct timer timer; /* of sleeps */
    uint32_t n_busy;    /* -ECANCELED returned in a row without a suspension */

    struct ait_scope root;
    ait_destroy_fn destroy;
    char *name;
    const void *site;                 /* where it was spawned */
    struct start *start;              /* of ait_scope_start(), until the task has started */
    ait_task_fn entry;                /* fn, to be read at any time */
    struct ait_local_binding *locals; /* local.h */
    struct ait_task *next_stuck;
    struct cxx_state cxx; /* while others run */
};

static inline struct ait_task *future_task(struct ait_future *f)
{
    return container_of(f, struct ait_task, future);
}

/* ---- the loop -------------------------------------------------------------------------------- */

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
    bool lent; /* memory of the caller's own, which may be freed in fn */
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
    uint32_t slice;      /* switches left */
    uint32_t slice_size; /* of the next one */
    uint32_t budget;     /* of the current task */
    uint32_t n_slices;   /* left in the batch */
    uint64_t batch_end;  /* 0: the clock has not been read yet */
    uint64_t slice_start;
    bool late;      /* the batch was ended by the clock */
    bool attention; /* the loop's context has something to do */
    bool kick;      /* a wake-up must be reported to the code that drives the loop */
    bool shuffle;
    bool debug; /* AIT_DEBUG */
    bool guest;
    bool dispatching;
    bool finishing; /* after sd_event_exit(): only draining */
    bool stop;
    struct context context;
    struct deep_call *deep; /* that the current task wants run on the thread's stack */

    struct cxx_state *cxx;     /* the thread's; NULL: no C++ in the process */
    struct cxx_state cxx_own;  /* of the loop's context, while tasks run */
    struct ait_task *cxx_task; /* whose *cxx is; NULL: the loop's context */
    uint32_t cxx_slice;        /* instead of slice, which then is 0 or 1 */

    struct timers timers;
    struct stacks stacks;
    struct scope_pool scopes;
    struct fdtable fds;
    struct clock_state clock;
    size_t n_tasks;
    size_t n_orphans; /* after its end: tasks that are still referenced */
    uint32_t refs;
    uint32_t ring_capacity;

    struct list callbacks; /* slots whose future is resolved */
    _Atomic(struct post *) posted;
    unsigned fork_generation; /* of its process */

    int epoll_fd;
    bool no_pwait2;
    uint32_t n_polls;
    struct watch watches[WATCH_MAX];
    /* The sd_event dispatches nothing any more, and tasks that are left must do without it. */
    void (*finish)(void);
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
