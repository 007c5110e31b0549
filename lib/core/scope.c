/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "now.h"
#include "probes.h"
#include "scheduler.h"
#include "scope.h"

#define SCOPE_CONTRADICTION ((unsigned)AIT_SCOPE_SUPERVISOR | AIT_SCOPE_FAIL_FAST)
#define ERRORS_KEPT         64 /* the rest are counted; a supervisor may live for years */
#define POOL_CHUNK          16
#define CHILDREN_POOLED     1024 /* larger arrays are not kept with a pooled scope */

struct scope_chunk {
    struct scope_chunk *next;
    struct ait_scope scopes[POOL_CHUNK];
};

/* ---- the level, and pushing it down ---------------------------------------------------------- */

static bool scope_compute(const struct ait_scope *s)
{
    if (s->cancel_count > 0 || s->expired)
        return true;
    if (!s->parent)
        return false;
    if (s->is_root && s->parent->aborted)
        return true;
    return !(s->flags & AIT_SCOPE_SHIELD) && s->parent->effective;
}

void scope_refresh(struct scope_work *work, struct ait_scope *s)
{
    bool effective = scope_compute(s);

    if (effective == s->effective)
        return;
    s->effective = effective;
    if (effective && s->owner && s->owner->scope == s && s->owner->state == TASK_PARKED)
        task_wake(s->owner);
    if (!s->inner && s->n_live == 0 && !(s->flags & SCOPE_HAS_SETS))
        return;
    s->next_work = NULL;
    *work->last = s;
    work->last = &s->next_work;
}

static void scope_push_below(struct scope_work *work, struct ait_scope *s, bool inner)
{
    if (inner && s->inner)
        scope_refresh(work, s->inner);
    for (uint32_t i = 0; i < s->n_children; i++) {
        if (i + 8 < s->n_children && s->children[i + 8]) {
            __builtin_prefetch(&s->children[i + 8]->state, 1);
            __builtin_prefetch(&s->children[i + 8]->root, 1);
            __builtin_prefetch(&s->children[i + 8]->root.parent, 1);
        }
        if (s->children[i])
            scope_refresh(work, &s->children[i]->root);
    }
    if (unlikely(s->flags & SCOPE_HAS_SETS))
        tasksets_refresh(work, s->extra);
}

static void scope_work(struct scope_work *work)
{
    while (work->first) {
        struct ait_scope *s = work->first;

        work->first = s->next_work;
        if (!work->first)
            work->last = &work->first;
        scope_push_below(work, s, true);
    }
}

void scope_update(struct ait_scope *s)
{
    struct scope_work work = {.last = &work.first};

    scope_refresh(&work, s);
    scope_work(&work);
}

void scope_cancel(struct ait_scope *s)
{
    PROBE2(scope__cancel, s, s->owner);
    s->cancel_count++;
    scope_update(s);
}

/* A child or the body has failed: everything in s ends. Counted apart from requested cancels. */
static void scope_fail(struct ait_scope *s)
{
    if (s->failed)
        return;
    s->failed = true;
    scope_cancel(s);
}

static void scope_expire(struct timer *timer)
{
    struct ait_scope *s = container_of(timer, struct ait_scope, timer);

    PROBE2(scope__expire, s, s->owner);
    s->expired = true;
    scope_update(s);
}

int scope_refusal(const struct ait_scope *s)
{
    const struct ait_task *t = s->loop->current;

    return t && t->scope->effective ? -ECANCELED : -ESHUTDOWN;
}

bool scope_contains(const struct ait_scope *s, const struct ait_task *t)
{
    for (const struct ait_scope *x = t->scope; x; x = x->parent)
        if (x == s)
            return true;
    return false;
}

/* ---- children -------------------------------------------------------------------------------- */

static void scope_compact_children(struct ait_scope *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n_children; i++) {
        if (!s->children[i])
            continue;
        s->children[i]->index = n;
        s->children[n++] = s->children[i];
    }
    s->n_children = n;
}

int scope_reserve_child_slow(struct ait_scope *s)
{
    struct ait_task **children;
    uint32_t capacity;

    if (s->n_live < s->capacity / 2) {
        scope_compact_children(s);
        return 0;
    }
    capacity = s->capacity ? s->capacity * 2 : 8;
    children = realloc(s->children, capacity * sizeof(*children));
    if (!children)
        return -ENOMEM;
    s->children = children;
    s->capacity = capacity;
    return 0;
}

/* For errors of tasks without a name, or whose name could not be copied. */
static const char nameless[] = "task";

static void scope_record_error(struct ait_scope *s, const char *name, int error)
{
    const char *copy;

    if (s->n_errors++ >= ERRORS_KEPT)
        return;
    if (s->n_errors == 1)
        s->errors = calloc(ERRORS_KEPT, sizeof(*s->errors));
    if (!s->errors) {
        s->n_errors--;
        return;
    }
    copy = name ? strdup(name) : NULL;
    s->errors[s->n_errors - 1] = (ait_error_info){
        .size = sizeof(ait_error_info), .name = copy ? copy : nameless, .error = error};
}

static void report_to_stderr(const ait_error_info *info)
{
    char line[256];
    int n = snprintf(line, sizeof(line), "aiotools-sd: task '%s' failed: %s\n", info->name,
                     strerror(-info->error));

    if (n > 0)
        (void)!write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static void scope_report(struct ait_scope *s, const ait_error_info *info)
{
    struct ait_loop *loop = s->loop;
    struct ait_task *current = loop->current;

    /* Handlers are callbacks: while they run, there is no current task to suspend. */
    loop->current = NULL;
    for (struct ait_scope *x = s; x; x = x->parent)
        if (x->extra && x->extra->error_cb) {
            x->extra->error_cb(s, info, x->extra->error_userdata);
            loop_check_child(loop);
            loop->current = current;
            return;
        }
    report_to_stderr(info);
    loop->current = current;
}

static cold void scope_child_error(struct ait_scope *s, struct ait_task *t, int error)
{
    ait_error_info info = {.size = sizeof(info), .name = ait_task_name(t), .error = error};

    if (s->flags & SCOPE_QUIET)
        return;
    /* The loop's root is never left, so its list could not be read. */
    if (s->owner)
        scope_record_error(s, t->name, error);
    if (s->flags & AIT_SCOPE_FAIL_FAST) {
        if (s->first_error == 0)
            s->first_error = error;
        scope_fail(s);
    } else if (!(s->flags & AIT_SCOPE_SUPERVISOR) && t != s->loop->main) {
        scope_report(s, &info);
    }
}

void scope_child_failed(struct ait_scope *s, struct ait_task *t, int result)
{
    if (unlikely(result != -ECANCELED))
        scope_child_error(s, t, result);
    else if (s->effective)
        s->cut = true;
}

void scope_drained(struct ait_scope *s)
{
    if (likely(s->owner != NULL))
        task_wake(s->owner);
    else
        taskset_emptied(s);
}

void scope_drain(struct ait_scope *s)
{
    const struct wait wait = {.kind = "children of", .object = s};

    s->state = SCOPE_EXITING;
    for (;;) {
        while (s->n_live > 0)
            task_suspend_in(s->loop, s->owner, TASK_WAITING, &wait);
        /* Sets serve the others, so they end last; their tasks may still have spawned into s. */
        if (likely(!(s->flags & SCOPE_HAS_SETS)) || tasksets_end(s->extra) == 0)
            return;
        task_suspend_in(s->loop, s->owner, TASK_WAITING, &wait);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

void scope_wake_closers(struct ait_scope *s)
{
    while (!list_empty(&s->closers)) {
        struct waiter *w = container_of(s->closers.next, struct waiter, link);

        list_remove(&w->link);
        task_wake(w->task);
    }
}

void scope_exited(struct ait_scope *s)
{
    s->state = SCOPE_EXITED;
    timer_disarm(&s->loop->timers, &s->timer);
    if (unlikely(s->extra != NULL))
        scope_extra_exited(s->extra);
    if (unlikely(!list_empty(&s->closers)))
        scope_wake_closers(s);
}

void scope_exit_root_slow(struct ait_scope *s, int r)
{
    if (r < 0 && s->n_live > 0)
        scope_fail(s);
    if (unlikely(s->n_live > 0 || (s->flags & SCOPE_HAS_SETS)))
        scope_drain(s);
    scope_exited(s);
}

static void scope_free_errors(struct ait_scope *s)
{
    for (size_t i = 0; s->errors && i < s->n_errors && i < ERRORS_KEPT; i++)
        if (s->errors[i].name != nameless)
            free((char *)s->errors[i].name);
    free(s->errors);
    s->errors = NULL;
    s->n_errors = 0;
}

void scope_done_slow(struct ait_scope *s)
{
    if (s->timer_reserved)
        timers_unreserve(&s->loop->timers);
    s->timer_reserved = false;
    if (unlikely(s->errors))
        scope_free_errors(s);
    if (unlikely(s->extra != NULL))
        scope_extra_free(s);
    free(s->children);
    s->children = NULL;
}

static struct ait_scope *pool_get(struct scope_pool *pool)
{
    struct ait_scope *s = pool->free;
    struct scope_chunk *chunk;

    if (likely(s)) {
        pool->free = s->next_work;
        return s;
    }
    chunk = calloc(1, sizeof(*chunk));
    if (!chunk)
        return NULL;
    chunk->next = pool->chunks;
    pool->chunks = chunk;
    for (unsigned i = 1; i < POOL_CHUNK; i++) {
        chunk->scopes[i].next_work = pool->free;
        pool->free = chunk->scopes + i;
    }
    return chunk->scopes;
}

void scope_pool_done(struct scope_pool *pool)
{
    struct scope_chunk *next;

    for (struct scope_chunk *c = pool->chunks; c; c = next) {
        next = c->next;
        for (unsigned i = 0; i < POOL_CHUNK; i++)
            free(c->scopes[i].children);
        free(c);
    }
    *pool = (struct scope_pool){};
}

AIT_PUBLIC int ait_scope_enter(ait_scope **ret, unsigned flags)
{
    struct ait_loop *loop = this_loop;
    struct ait_task **children;
    struct ait_scope *s;
    struct ait_task *t;
    uint32_t capacity;

    if (!ret || flags >= AIT_SCOPE_PROPAGATE << 1 ||
        (flags & SCOPE_CONTRADICTION) == SCOPE_CONTRADICTION)
        return -EINVAL;
    if (!loop || !loop->current)
        return op_refused(loop);
    t = loop->current;
    s = pool_get(&loop->scopes);
    if (!s)
        return -ENOMEM;
    children = s->children;
    capacity = s->capacity;
    scope_init_root(s, loop, t, t->scope);
    s->children = children;
    s->capacity = capacity;
    s->is_root = false;
    s->flags = (uint8_t)flags;
    s->effective = !(flags & AIT_SCOPE_SHIELD) && t->scope->effective;
    t->scope->inner = s;
    t->scope = s;
    *ret = s;
    return 0;
}

AIT_PUBLIC int ait_scope_enter_after(ait_scope **ret, unsigned flags, uint64_t usec)
{
    struct ait_scope *s;
    int r;

    if (!ret)
        return -EINVAL;
    r = ait_scope_enter(&s, flags);
    if (r < 0)
        return r;
    r = ait_scope_set_timeout(s, usec);
    if (r < 0) {
        (void)ait_scope_leave(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* The result of exit. The rules are numbered in the order in which they apply. */
static int scope_outcome(struct ait_scope *s, int r)
{
    if (r < 0 && r != -ECANCELED)
        return r;
    if ((s->flags & AIT_SCOPE_FAIL_FAST) && s->first_error < 0)
        return s->first_error;
    if (r >= 0 && !s->cut)
        return r;
    if (s->parent->effective)
        return s->expired && !(s->flags & AIT_SCOPE_MOVE_ON) ? -ETIME : -ECANCELED;
    if (s->expired) {
        s->caught = true;
        return s->flags & AIT_SCOPE_MOVE_ON ? 0 : -ETIME;
    }
    if (s->cancel_count > s->failed) {
        s->caught = !(s->flags & AIT_SCOPE_PROPAGATE);
        return s->caught ? 0 : -ECANCELED;
    }
    return -ECANCELED;
}

/*
 * Ends what is still open inside scope, as after an error of its body. The handles stay valid until
 * they are left, or scope is: until then each hangs on the scope around it.
 */
static cold void scope_exit_inner(struct ait_task *t, struct ait_scope *scope)
{
    while (t->scope != scope) {
        struct ait_scope *inner = t->scope, *around = inner->parent;

        (void)ait_scope_exit(inner, -ECANCELED);
        around->inner = inner;
    }
}

AIT_PUBLIC int ait_scope_exit(ait_scope *scope, int r)
{
    struct ait_task *t;

    if (!scope)
        return r < 0 ? r : -EINVAL;
    LOOP_CHECK(scope->loop);
    t = scope->loop->current;
    if (!t || t != scope->owner || scope->is_root || scope->state != SCOPE_ENTERED)
        return -EINVAL;
    if (unlikely(t->scope != scope))
        scope_exit_inner(t, scope);
    if (r < 0 && scope->n_live > 0)
        scope_fail(scope);
    if (scope->n_live > 0 || unlikely(scope->flags & SCOPE_HAS_SETS))
        scope_drain(scope);
    r = scope_outcome(scope, r);
    t->scope = scope->parent;
    t->scope->inner = NULL;
    scope_exited(scope);
    return r;
}

__attribute__((noreturn)) static cold void scope_left_by_another(const struct ait_scope *s)
{
    const struct ait_task *t = s->loop->current;

    (void)fprintf(stderr,
                  "aiotools-sd: %s%s%s leaves a scope that it has not entered; only the task that "
                  "entered it can leave it\n",
                  t ? "task '" : "a callback", t ? ait_task_name(s->loop->current) : "",
                  t ? "'" : "");
    abort();
}

AIT_PUBLIC ait_scope *ait_scope_leave(ait_scope *scope)
{
    struct ait_loop *loop;

    if (!scope || !loop_is_this(scope->loop) || !scope->owner)
        return NULL;
    loop = scope->loop;
    if (scope->state != SCOPE_EXITED && unlikely(scope->is_root || loop->current != scope->owner))
        scope_left_by_another(scope);
    /* Inner scopes first: leaving this one leaves them. */
    while (unlikely(scope->inner != NULL))
        (void)ait_scope_leave(scope->inner);
    if (scope->state != SCOPE_EXITED)
        (void)ait_scope_exit(scope, -ECANCELED);
    else if (unlikely(scope->parent->inner == scope))
        scope->parent->inner = NULL; /* it hung there: scope_exit_inner() */
    assert(scope->state == SCOPE_EXITED && !scope->is_root);
    if (scope->timer_reserved)
        timers_unreserve(&loop->timers);
    if (unlikely(scope->errors))
        scope_free_errors(scope);
    if (unlikely(scope->extra != NULL))
        scope_extra_free(scope);
    if (scope->capacity > CHILDREN_POOLED) {
        free(scope->children);
        scope->children = NULL;
        scope->capacity = 0;
    }
    scope->owner = NULL;
    scope->next_work = loop->scopes.free;
    loop->scopes.free = scope;
    return NULL;
}

AIT_PUBLIC ait_scope *ait_scope_current(void)
{
    return this_loop && this_loop->current ? this_loop->current->scope : NULL;
}

/* ---- cancelling and deadlines ---------------------------------------------------------------- */

AIT_PUBLIC int ait_scope_cancel(ait_scope *scope)
{
    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    if (scope->state != SCOPE_EXITED)
        scope_cancel(scope);
    return 0;
}

AIT_PUBLIC int ait_scope_cancel_and_wait(ait_scope *scope)
{
    const struct wait wait = {.kind = "end of", .object = scope};
    struct waiter w = {};
    struct ait_loop *loop;
    int r;

    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    r = op_enter_structural(&loop, &w.task);
    if (r < 0)
        return r;
    if (scope->state != SCOPE_EXITED && wait_is_circular(w.task, scope))
        return -EDEADLK;
    if (scope->state != SCOPE_EXITED)
        scope_cancel(scope);
    if (unlikely(scope->flags & SCOPE_OF_SET) && scope->n_live == 0)
        taskset_emptied(scope);
    if (scope->state != SCOPE_EXITED) {
        list_append(&scope->closers, &w.link);
        while (!list_empty(&w.link))
            task_suspend_in(loop, w.task, TASK_WAITING, &wait);
        list_remove(&w.link);
    }
    return w.task->scope->effective ? -ECANCELED : 0;
}

AIT_PUBLIC int ait_scope_abort(ait_scope *scope)
{
    struct scope_work work = {.last = &work.first};

    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    if (scope->state == SCOPE_EXITED || scope->aborted)
        return 0;
    scope->aborted = true;
    scope_push_below(&work, scope, false);
    scope_work(&work);
    return 0;
}

AIT_PUBLIC int ait_scope_set_deadline(ait_scope *scope, uint64_t usec)
{
    struct timers *timers;
    int r;

    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    timers = &scope->loop->timers;
    if (scope->state == SCOPE_EXITED)
        return -ESTALE;
    if (scope->expired)
        return -EALREADY;
    if (usec != AIT_USEC_INFINITY && !scope->timer_reserved) {
        r = timers_reserve(timers);
        if (r < 0)
            return r;
        scope->timer_reserved = true;
    }
    timer_disarm(timers, &scope->timer);
    scope->deadline = usec;
    if (usec == AIT_USEC_INFINITY)
        return 0;
    /* Not at the loop's next turn: the very next operation is to be refused. */
    if (usec <= loop_now(scope->loop)) {
        scope_expire(&scope->timer);
        return 0;
    }
    timer_arm(timers, &scope->timer, usec, scope_expire);
    if (scope->loop->kick)
        loop_kick(scope->loop);
    return 0;
}

AIT_PUBLIC int ait_scope_set_timeout(ait_scope *scope, uint64_t usec)
{
    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    return ait_scope_set_deadline(scope, usec_add(loop_now(scope->loop), usec));
}

AIT_PUBLIC uint64_t ait_scope_deadline(const ait_scope *scope)
{
    return scope ? scope->deadline : AIT_USEC_INFINITY;
}

AIT_PUBLIC int ait_scope_is_expired(const ait_scope *scope)
{
    return scope ? scope->expired : -EINVAL;
}

AIT_PUBLIC int ait_scope_cancelled_caught(const ait_scope *scope)
{
    return scope ? scope->caught : -EINVAL;
}

AIT_PUBLIC int ait_scope_is_cancelled(const ait_scope *scope)
{
    return scope ? scope->effective : -EINVAL;
}

AIT_PUBLIC size_t ait_scope_n_errors(const ait_scope *scope)
{
    return scope ? scope->n_errors : 0;
}

AIT_PUBLIC const ait_error_info *ait_scope_error(const ait_scope *scope, size_t index)
{
    return scope && index < scope->n_errors && index < ERRORS_KEPT ? scope->errors + index : NULL;
}
