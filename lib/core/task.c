/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "local.h"
#include "now.h"
#include "options.h"
#include "probes.h"
#include "scheduler.h"
#include "task.h"

#define NAMELESS  "task"
#define BUSY_TRAP 100000

/* State of ait_scope_start(), in its frame. */
struct start {
    struct ait_task *waiter;
    int value;
    bool started;
    bool cut; /* it ended without having started, in a scope that was cancelled */
};

/* ---- the life of a task ---------------------------------------------------------------------- */

static void task_drop_start(struct ait_task *t)
{
    task_wake(t->start->waiter);
    t->start = NULL;
}

/*
 * The task ends without having started. Its scope is looked at now, as it may be gone when the
 * waiter runs. Returns what the scope is told: an error is the waiter's alone, who may have another
 * way.
 */
static cold int task_end_unstarted(struct ait_task *t, int result)
{
    const struct ait_scope *scope = t->root.parent;

    t->start->cut = scope->effective || scope->aborted;
    task_drop_start(t);
    return result == -ECANCELED ? result : 0;
}

/* Instead of a name, of a task whose loop has ended. */
static char orphan[] = NAMELESS;

/* The rest that few tasks have. Returns whether the loop has ended; then t is gone. */
static cold bool task_drop_name(struct ait_task *t)
{
    bool ended = t->future.loop->n_orphans > 0;

    if (t->name != orphan)
        free(t->name);
    t->name = NULL;
    if (ended)
        loop_drop_orphan(t->future.loop);
    return ended;
}

void task_free(struct ait_task *t)
{
    if (unlikely(t->name) && task_drop_name(t))
        return;
    stack_free(&t->future.loop->stacks, t->class, t);
}

size_t tasks_orphan(struct ait_loop *loop)
{
    size_t n = 0;

    for (const struct stack_slab *slab = loop->stacks.slabs; slab; slab = slab->next)
        for (uint32_t i = 0; i < slab->n_slots; i++) {
            struct ait_task *t = stack_slot_object(&loop->stacks, slab, i);

            /* Of a slot that is free, or never was used, there is none. */
            if (t->future.refs == 0)
                continue;
            if (!t->name)
                t->name = orphan;
            n++;
        }
    return n;
}

static always_inline void task_unref(struct ait_task *t)
{
    if (--t->future.refs == 0)
        task_free(t);
}

__attribute__((noreturn)) static void task_end(struct ait_loop *loop, struct ait_task *t,
                                               int result)
{
    struct ait_task *next;

    int told = result;

    PROBE2(task__end, t, result);
    if (unlikely(t->start))
        told = task_end_unstarted(t, result);
    t->state = TASK_ENDED;
    scope_child_done(t->root.parent, t, told);
    future_complete(&t->future, result);
    scope_done(&t->root);
    timers_unreserve(&loop->timers);
    loop->n_tasks--;
    /* The slot may be reused at once, but it is not written to before this context is left. */
    task_unref(t);
    next = loop_next(loop);
    context_leave(next ? &next->context : &loop->context);
}

static int end_child_now(void *result)
{
    loop_end_child(*(int *)result);
}

/*
 * In a child that the task has forked. Runs on the thread's own stack, where exit handlers expect
 * to run.
 */
static cold void end_child(struct ait_loop *loop, struct ait_task *t, int r)
{
    struct deep_call call = {.fn = end_child_now, .userdata = &r, .task = t};

    loop->deep = &call;
    loop->current = NULL;
    context_switch(&t->context, &loop->context);
}

/* The task has returned from within a scope: its frame, to which the scope belongs, is gone. */
static cold void leave_open_scopes(struct ait_task *t)
{
    uint32_t n = 0;

    for (const struct ait_scope *s = t->scope; s != &t->root; s = s->parent)
        n += s->n_live;
    if (n > 0)
        (void)fprintf(
            stderr,
            "aiotools-sd: task '%s' has returned from a scope with %u live children, which "
            "are cancelled; call ait_scope_exit() before\n",
            ait_task_name(t), n);
    while (t->scope != &t->root)
        (void)ait_scope_leave(t->scope);
}

void context_main(void)
{
    struct ait_loop *loop = this_loop;
    struct ait_task *t = loop->current;
    int r = -ECANCELED;

    context_entered();
    t->state = TASK_RUNNING;
    if (likely(!t->root.effective)) {
        r = t->fn(t->userdata);
        if (unlikely(this_loop != loop))
            end_child(loop, t, r);
        if (unlikely(t->scope != &t->root))
            leave_open_scopes(t);
    }
    scope_exit_root(&t->root, r);
    if (t->destroy)
        t->destroy(t->userdata);
    if (unlikely(t->locals))
        local_release(t);
    task_end(loop, t, r);
}

/* The parameters of a spawn besides its function. The task takes over what they own. */
struct spawn {
    unsigned class; /* of the stack */
    uint8_t flags;  /* of the root scope */
    char *name;
    ait_destroy_fn destroy;
    struct ait_local_binding *locals;
};

static int spawn_read_options(struct spawn *spawn, ait_task_options *ret,
                              const ait_task_options *options)
{
    int r;

    r = options_copy(ret, sizeof(*ret), options);
    if (unlikely(r < 0))
        return r;
    if (ret->flags & ~(unsigned)AIT_TASK_SHIELD)
        return -EINVAL;
    if (ret->stack_size > 0) {
        int class = stack_class_of(ret->stack_size);

        if (class < 0)
            return class;
        spawn->class = (unsigned)class;
    }
    spawn->destroy = ret->destroy;
    spawn->flags = ret->flags & AIT_TASK_SHIELD ? AIT_SCOPE_SHIELD : 0;
    return 0;
}

/* Why fn cannot be spawned into scope: negative errno, or 0. */
static always_inline int spawn_refused(const struct ait_scope *scope, ait_task_fn fn)
{
    if (unlikely(!fn))
        return -EINVAL;
    if (unlikely(scope->state == SCOPE_EXITED))
        return -ESTALE;
    if (unlikely(scope->effective || scope->aborted))
        return scope_refusal(scope);
    return 0;
}

/* Memory for a task, and what it may need while it lives. */
static always_inline int task_alloc(struct ait_loop *loop, unsigned class, struct ait_task **ret)
{
    int r;

    r = timers_reserve(&loop->timers);
    if (unlikely(r < 0))
        return r;
    *ret = stack_alloc(&loop->stacks, class, &r);
    if (unlikely(!*ret)) {
        timers_unreserve(&loop->timers);
        return r;
    }
#ifdef CONTEXT_ASAN
    /* The frames of the slot's last user were left, not returned from. */
    __asan_unpoison_memory_region(stack_bottom(*ret, class),
                                  (size_t)((char *)*ret - (char *)stack_bottom(*ret, class)));
#endif
    return 0;
}

static always_inline void task_init(struct ait_task *t, struct ait_loop *loop,
                                    struct ait_scope *parent, struct spawn spawn)
{
    future_init(&t->future, loop, FUTURE_TASK);
    t->class = (uint8_t)spawn.class;
    t->scope = &t->root;
    context_init(&t->context, stack_bottom(t, spawn.class), t);
    t->timer.slot = 0;
    t->n_busy = 0;
    scope_init_root(&t->root, loop, t, parent);
    t->root.flags = spawn.flags;
    t->destroy = spawn.destroy;
    t->name = spawn.name;
    t->start = NULL;
    t->is_stuck = false;
    t->has_cxx = false;
    t->locals = spawn.locals;
}

static always_inline int spawn_in(struct ait_scope *scope, struct ait_task **ret_task,
                                  ait_task_fn fn, void *userdata, const void *site,
                                  struct spawn spawn)
{
    struct ait_loop *loop = scope->loop;
    struct ait_task *t;
    int r;

    r = spawn_refused(scope, fn);
    if (unlikely(r < 0))
        return r;
    r = scope_reserve_child(scope);
    if (unlikely(r < 0))
        return r;
    r = loop_reserve_ready(loop);
    if (unlikely(r < 0))
        return r;
    r = task_alloc(loop, spawn.class, &t);
    if (unlikely(r < 0))
        return r;
    task_init(t, loop, scope, spawn);
    t->fn = fn;
    t->entry = fn;
    t->userdata = userdata;
    t->site = site;
    PROBE3(task__spawn, t, fn, t->name);
    scope_add_child(scope, t);
    loop->n_tasks++;
    loop_push_ready(loop, t);
    if (ret_task) {
        t->future.refs++;
        *ret_task = t;
    }
    return 0;
}

int task_spawn(struct ait_scope *scope, struct ait_task **ret_task, ait_task_fn fn, void *userdata,
               const ait_task_options *options, const void *site)
{
    const struct ait_task *parent = scope->loop->current;
    struct spawn spawn = {.class = STACK_DEFAULT_CLASS};
    ait_task_options o;
    int r;

    r = spawn_read_options(&spawn, &o, options);
    if (r >= 0)
        r = spawn_refused(scope, fn);
    if (r >= 0 && parent && parent->locals)
        r = local_inherit(parent, &spawn.locals);
    if (r >= 0 && o.name) {
        spawn.name = strdup(o.name);
        r = spawn.name ? 0 : -ENOMEM;
    }
    if (r >= 0)
        r = spawn_in(scope, ret_task, fn, userdata, site, spawn);
    if (r < 0) {
        local_unref(spawn.locals);
        free(spawn.name);
    }
    return r;
}

/* The same; most tasks have no options, and no parent with locals. */
static always_inline int task_spawn_fast(struct ait_scope *scope, struct ait_task **ret_task,
                                         ait_task_fn fn, void *userdata,
                                         const ait_task_options *options, const void *site)
{
    const struct ait_task *parent = scope->loop->current;

    if (unlikely(options || (parent && parent->locals)))
        return task_spawn(scope, ret_task, fn, userdata, options, site);
    return spawn_in(scope, ret_task, fn, userdata, site,
                    (struct spawn){.class = STACK_DEFAULT_CLASS});
}

AIT_PUBLIC int ait_scope_spawn(ait_scope *scope, ait_task **ret_task, ait_task_fn fn,
                               void *userdata, const ait_task_options *options)
{
    if (unlikely(!scope))
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    return task_spawn_fast(scope, ret_task, fn, userdata, options, __builtin_return_address(0));
}

AIT_PUBLIC int ait_task_spawn(ait_task **ret_task, ait_task_fn fn, void *userdata,
                              const ait_task_options *options)
{
    struct ait_loop *loop = this_loop;

    if (unlikely(!loop))
        return loop_foreign();
    return task_spawn_fast(loop->current ? loop->current->scope : &loop->root, ret_task, fn,
                           userdata, options, __builtin_return_address(0));
}

/* ---- nursery.start --------------------------------------------------------------------------- */

AIT_PUBLIC int ait_scope_start(ait_scope *scope, ait_task **ret_task, ait_task_fn fn,
                               void *userdata, const ait_task_options *options)
{
    struct wait wait = {.kind = "start of"};
    struct start start = {};
    struct ait_task *t = NULL, *before = ret_task ? *ret_task : NULL;
    struct ait_loop *loop;
    int r;

    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    r = op_enter(&loop, &start.waiter);
    if (r < 0)
        return r;
    r = task_spawn(scope, &t, fn, userdata, options, __builtin_return_address(0));
    if (r < 0)
        return r;
    t->start = &start;
    wait.object = t;
    /* At once, so that others can cancel it. */
    if (ret_task)
        *ret_task = t;
    while (!start.started && !t->future.done && !start.waiter->scope->effective)
        task_suspend_in(loop, start.waiter, TASK_PARKED, &wait);
    if (start.started) {
        if (!ret_task)
            ait_task_unref(t);
        return start.value;
    }
    if (ret_task)
        *ret_task = before;
    if (!t->future.done) {
        t->start = NULL;
        r = ait_cancel_and_wait(t, NULL);
        ait_task_unref(t);
        return -ECANCELED;
    }
    r = t->future.result;
    ait_task_unref(t);
    /* Its cancellation is not an error, and not the caller's either. */
    if (r == -ECANCELED && !start.waiter->scope->effective)
        return start.cut ? -ESHUTDOWN : -EPROTO;
    return r < 0 ? r : -EPROTO;
}

AIT_PUBLIC int ait_task_started(int value)
{
    struct ait_task *t = ait_task_current();

    if (value < 0)
        return -EINVAL;
    if (!t)
        return op_refused(this_loop);
    if (!t->start)
        return 0;
    t->start->started = true;
    t->start->value = value;
    task_drop_start(t);
    return 1;
}

/* ---- reading and naming ---------------------------------------------------------------------- */

AIT_PUBLIC ait_task *ait_task_current(void)
{
    return this_loop ? this_loop->current : NULL;
}

AIT_PUBLIC ait_task *ait_task_ref(ait_task *task)
{
    if (task)
        task->future.refs++;
    return task;
}

AIT_PUBLIC ait_task *ait_task_unref(ait_task *task)
{
    if (task)
        task_unref(task);
    return NULL;
}

AIT_PUBLIC ait_future *ait_task_future(ait_task *task)
{
    return task ? &task->future : NULL;
}

AIT_PUBLIC const char *ait_task_name(const ait_task *task)
{
    return task && task->name ? task->name : NAMELESS;
}

AIT_PUBLIC int ait_task_set_name(ait_task *task, const char *name)
{
    char *copy;

    if (!task || !name)
        return -EINVAL;
    LOOP_CHECK(task->future.loop);
    copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    free(task->name);
    task->name = copy;
    return 0;
}

AIT_PUBLIC int ait_task_is_done(const ait_task *task)
{
    return task ? task->future.done : -EINVAL;
}

AIT_PUBLIC int ait_task_result(const ait_task *task, int *ret_result)
{
    return task ? ait_future_result(&task->future, ret_result) : -EINVAL;
}

AIT_PUBLIC int ait_task_wait(ait_task *task, int *ret_result)
{
    return task ? ait_await(&task->future, ret_result) : -EINVAL;
}

/* ---- cancelling ------------------------------------------------------------------------------ */

AIT_PUBLIC int ait_task_cancel(ait_task *task)
{
    if (!task)
        return -EINVAL;
    LOOP_CHECK(task->future.loop);
    if (task->state == TASK_ENDED)
        return 0;
    scope_cancel(&task->root);
    return 1;
}

AIT_PUBLIC int ait_task_uncancel(ait_task *task)
{
    struct ait_scope *root;

    if (!task)
        return -EINVAL;
    LOOP_CHECK(task->future.loop);
    root = &task->root;
    if (root->cancel_count > root->failed) {
        root->cancel_count--;
        scope_update(root);
    }
    return (int)(root->cancel_count - root->failed);
}

AIT_PUBLIC int ait_task_cancelling(const ait_task *task)
{
    return task ? (int)(task->root.cancel_count - task->root.failed) : -EINVAL;
}

AIT_PUBLIC int ait_cancel_and_wait_full(ait_task *task, unsigned flags, int *ret_result)
{
    const struct wait wait = {.kind = "future", .object = task};
    struct waiter w = {};
    struct ait_loop *loop;
    int r;

    if (!task || (flags & ~(unsigned)AIT_CANCEL_STRICT))
        return -EINVAL;
    LOOP_CHECK(task->future.loop);
    r = op_enter_structural(&loop, &w.task);
    if (r < 0)
        return r;
    if (!task->future.done) {
        if (wait_is_circular(w.task, &task->root))
            return -EDEADLK;
        task->future.refs++;
        scope_cancel(&task->root);
        list_append(&task->future.waiters, &w.link);
        while (!task->future.done)
            task_suspend_in(loop, w.task, TASK_WAITING, &wait);
        r = task->future.result;
        task_unref(task);
    } else {
        /* The task was not cancelled, so it did not succeed in spite of that. */
        r = task->future.result;
        flags = 0;
    }
    if (w.task->scope->effective)
        return -ECANCELED;
    if (r >= 0 && (flags & AIT_CANCEL_STRICT))
        return -EPROTO;
    if (ret_result)
        *ret_result = r;
    return r >= 0;
}

AIT_PUBLIC int ait_cancel_and_wait(ait_task *task, int *ret_result)
{
    return ait_cancel_and_wait_full(task, 0, ret_result);
}

/* One that was cancelled. While others were waited for, it may have begun to wait for us. */
static int wait_for_end(struct ait_loop *loop, struct ait_task *t, struct ait_task *task)
{
    const struct wait wait = {.kind = "future", .object = task};
    struct waiter w = {.task = t};

    if (task->future.done)
        return 0;
    if (wait_is_circular(t, &task->root))
        return -EDEADLK;
    task->future.refs++;
    list_append(&task->future.waiters, &w.link);
    while (!task->future.done)
        task_suspend_in(loop, t, TASK_WAITING, &wait);
    task_unref(task);
    return 0;
}

AIT_PUBLIC int ait_cancel_and_wait_many(ait_task *const *tasks, size_t n)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!tasks && n > 0)
        return -EINVAL;
    r = op_enter_structural(&loop, &t);
    for (size_t i = 0; i < n && r >= 0; i++) {
        if (!tasks[i])
            continue;
        LOOP_CHECK(tasks[i]->future.loop);
        if (!tasks[i]->future.done && wait_is_circular(t, &tasks[i]->root))
            r = -EDEADLK;
    }
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (tasks[i])
            (void)ait_task_cancel(tasks[i]);
    for (size_t i = 0; i < n && r >= 0; i++)
        if (tasks[i])
            r = wait_for_end(loop, t, tasks[i]);
    if (r < 0)
        return r;
    return t->scope->effective ? -ECANCELED : 0;
}

/* ---- operations ------------------------------------------------------------------------------ */

int op_refused(struct ait_loop *loop)
{
    return loop ? -EPERM : loop_foreign();
}

int op_cancelled(struct ait_task *t)
{
#ifndef NDEBUG
    if (++t->n_busy > BUSY_TRAP) {
        (void)fprintf(stderr,
                      "aiotools-sd: task '%s' does not unwind; let it return when a call returns "
                      "-ECANCELED\n",
                      ait_task_name(t));
        abort();
    }
#endif
    return -ECANCELED;
}

int op_budget(struct ait_loop *loop, struct ait_task *t)
{
    task_yield(loop, t);
    return t->scope->effective ? -ECANCELED : 0;
}

AIT_PUBLIC int ait_check_cancel(void)
{
    struct ait_task *t = ait_task_current();

    if (!t)
        return op_refused(this_loop);
    return t->scope->effective ? op_cancelled(t) : 0;
}

AIT_PUBLIC int ait_yield(void)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    r = op_enter(&loop, &t);
    if (unlikely(r < 0))
        return r;
    task_yield(loop, t);
    return 0;
}

static void sleep_over(struct timer *timer)
{
    task_wake(container_of(timer, struct ait_task, timer));
}

static int sleep_from(uint64_t now, uint64_t usec)
{
    const struct wait wait = {.kind = "sleep", .value = usec};
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    r = op_enter(&loop, &t);
    if (r < 0)
        return r;
    if (usec <= now) {
        task_yield(loop, t);
        return 0;
    }
    if (usec != AIT_USEC_INFINITY)
        timer_arm(&loop->timers, &t->timer, usec, sleep_over);
    for (;;) {
        task_suspend_in(loop, t, TASK_PARKED, &wait);
        if (usec != AIT_USEC_INFINITY && !timer_armed(&t->timer))
            return 0;
        if (t->scope->effective) {
            timer_disarm(&loop->timers, &t->timer);
            return -ECANCELED;
        }
    }
}

AIT_PUBLIC int ait_sleep_until(uint64_t usec)
{
    return this_loop ? sleep_from(loop_now(this_loop), usec) : loop_foreign();
}

AIT_PUBLIC int ait_sleep(uint64_t usec)
{
    uint64_t now;

    if (!this_loop)
        return loop_foreign();
    now = loop_now(this_loop);
    return sleep_from(now, usec >= AIT_USEC_INFINITY - now ? AIT_USEC_INFINITY : now + usec);
}

AIT_PUBLIC int ait_call_on_thread_stack(ait_plain_fn fn, void *userdata)
{
    struct ait_task *t = ait_task_current();
    struct deep_call call = {.fn = fn, .userdata = userdata, .task = t};
    struct ait_loop *loop = this_loop;

    if (!fn)
        return -EINVAL;
    if (!t)
        return fn(userdata);
    loop->deep = &call;
    loop->current = NULL;
    context_switch(&t->context, &loop->context);
    return call.result;
}
