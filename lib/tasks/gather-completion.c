/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "gather-call.h"
#include "options.h"
#include "taskset.h"
#include "wait.h"

struct ait_completion {
    struct ait_taskset set; /* first */
    ait_gather_options options;
    const void *site;
    size_t n_added, n_running;
    size_t n_open;       /* added, and not yet handed to anybody */
    struct list waiting; /* entries: not begun; */
    struct list ended;   /* not fetched */
    struct list fetchers;
    bool closed;
};

struct entry {
    struct call call; /* first */
    struct list link;
    struct ait_completion *completion;
};

struct fetcher {
    struct waiter waiter;
    struct entry *entry; /* NULL: there is nothing more */
};

/* ---- entries --------------------------------------------------------------------------------- */

static struct entry *link_entry(struct list *link)
{
    return container_of(link, struct entry, link);
}

static struct entry *entry_take(struct list *list)
{
    struct entry *e = link_entry(list->next);

    list_remove(&e->link);
    return e;
}

static void entry_serve(struct list *fetchers, struct entry *e)
{
    container_of(wait_serve(fetchers), struct fetcher, waiter)->entry = e;
}

static void completion_handed_over(struct ait_completion *c)
{
    if (--c->n_open > 0)
        return;
    while (!list_empty(&c->fetchers))
        entry_serve(&c->fetchers, NULL);
}

static void entry_deliver(struct entry *e)
{
    struct ait_completion *c = e->completion;

    if (c->closed) {
        call_discard(c->set.scope.loop, &c->options, &e->call);
        free(e);
    } else if (list_empty(&c->fetchers)) {
        list_append(&c->ended, &e->link);
    } else {
        entry_serve(&c->fetchers, e);
        completion_handed_over(c);
    }
}

static void completion_begin(struct ait_completion *c);

static void entry_ended(struct call *call)
{
    struct entry *e = container_of(call, struct entry, call);
    struct ait_completion *c = e->completion;

    c->n_running--;
    entry_deliver(e);
    completion_begin(c);
}

/* As many as may run. Those that cannot be begun have failed. */
static void completion_begin(struct ait_completion *c)
{
    while (!list_empty(&c->waiting) && (c->options.limit == 0 || c->n_running < c->options.limit)) {
        struct entry *e = entry_take(&c->waiting);
        int r = call_begin(&e->call, &c->set.scope, c->site);

        if (r >= 0) {
            c->n_running++;
            continue;
        }
        call_destroy(&e->call.what);
        e->call.result = r;
        entry_deliver(e);
    }
}

static int completion_append(struct ait_completion *c, const ait_call *what)
{
    struct entry *e = malloc(sizeof(*e));

    if (!e)
        return -ENOMEM;
    call_init(&e->call, what, c->n_added++, entry_ended);
    e->completion = c;
    list_append(&c->waiting, &e->link);
    c->n_open++;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void completion_free(struct ait_taskset *set)
{
    struct ait_completion *c = container_of(set, struct ait_completion, set);

    taskset_done(set);
    free(c);
}

/* Before anything has begun: the userdata stays the caller's. */
static int completion_undo(struct ait_completion *c, int error)
{
    while (!list_empty(&c->waiting))
        free(entry_take(&c->waiting));
    (void)ait_taskset_unref(&c->set);
    return error;
}

static int completion_new(struct ait_completion **ret, struct ait_scope *scope,
                          ait_gather_options options)
{
    struct ait_completion *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    c->set.free = completion_free;
    r = taskset_init(&c->set, scope, AIT_SCOPE_SUPERVISOR);
    if (r < 0) {
        free(c);
        return r;
    }
    c->options = options;
    list_init(&c->waiting);
    list_init(&c->ended);
    list_init(&c->fetchers);
    *ret = c;
    return 0;
}

AIT_PUBLIC int ait_completion_open(ait_completion **ret, const ait_call *calls, size_t n,
                                   const ait_gather_options *options)
{
    struct ait_completion *c = NULL;
    struct ait_scope *scope;
    ait_gather_options o;
    int r;

    r = options_copy(&o, sizeof(o), options);
    if (r >= 0)
        r = call_check_all(calls, n);
    if (r < 0)
        return r;
    if (!ret || o.flags != 0)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    scope = this_loop->current ? this_loop->current->scope : &this_loop->root;
    if (scope->effective || scope->aborted)
        return scope_refusal(scope);
    r = completion_new(&c, scope, o);
    if (r < 0)
        return r;
    c->site = __builtin_return_address(0);
    for (size_t i = 0; i < n; i++) {
        r = completion_append(c, calls + i);
        if (r < 0)
            return completion_undo(c, r);
    }
    completion_begin(c);
    *ret = c;
    return 0;
}

/* Results that are left, and those still to come, are discarded. */
static void completion_drop(struct ait_completion *c)
{
    c->closed = true;
    while (!list_empty(&c->fetchers))
        entry_serve(&c->fetchers, NULL);
    while (!list_empty(&c->waiting)) {
        struct entry *e = entry_take(&c->waiting);

        call_destroy(&e->call.what);
        free(e);
    }
    while (!list_empty(&c->ended))
        entry_deliver(entry_take(&c->ended));
}

AIT_PUBLIC ait_completion *ait_completion_close(ait_completion *completion)
{
    struct ait_task *t;

    if (!completion || !loop_is_this(completion->set.scope.loop))
        return NULL;
    t = this_loop->current;
    completion_drop(completion);
    /* If it cannot be waited for, it is freed when the last call has ended. */
    if (t && !wait_is_circular(t, &completion->set.scope))
        taskset_drain(&completion->set, this_loop, t);
    else if (completion->set.scope.state != SCOPE_EXITED)
        scope_cancel(&completion->set.scope);
    (void)ait_taskset_unref(&completion->set);
    return NULL;
}

/* ---- adding and fetching --------------------------------------------------------------------- */

AIT_PUBLIC int ait_completion_add(ait_completion *completion, const ait_call *call)
{
    struct ait_scope *s;
    int r;

    if (!completion)
        return -EINVAL;
    r = call_check(call);
    if (r < 0)
        return r;
    s = &completion->set.scope;
    LOOP_CHECK(s->loop);
    if (s->state == SCOPE_EXITED)
        return -ESTALE;
    if (s->effective || s->aborted)
        return scope_refusal(s);
    r = completion_append(completion, call);
    if (r >= 0)
        completion_begin(completion);
    return r;
}

static int entry_fetch(struct entry *e, size_t *ret_index, int *ret_result)
{
    if (!e)
        return 0;
    if (ret_index)
        *ret_index = e->call.index;
    if (ret_result)
        *ret_result = e->call.result;
    free(e);
    return 1;
}

static int completion_try(struct ait_completion *c, size_t *ret_index, int *ret_result)
{
    struct entry *e;

    if (list_empty(&c->ended))
        return c->n_open == 0 ? 0 : -EAGAIN;
    e = entry_take(&c->ended);
    completion_handed_over(c);
    return entry_fetch(e, ret_index, ret_result);
}

AIT_PUBLIC int ait_completion_try_next(ait_completion *completion, size_t *ret_index,
                                       int *ret_result)
{
    if (!completion)
        return -EINVAL;
    LOOP_CHECK(completion->set.scope.loop);
    return completion_try(completion, ret_index, ret_result);
}

AIT_PUBLIC int ait_completion_next(ait_completion *completion, size_t *ret_index, int *ret_result)
{
    const struct wait what = {.kind = "completion", .object = completion};
    struct fetcher f = {};
    struct ait_loop *loop;
    int r;

    if (!completion)
        return -EINVAL;
    LOOP_CHECK(completion->set.scope.loop);
    r = op_enter(&loop, &f.waiter.task);
    if (r < 0)
        return r;
    if (scope_contains(&completion->set.scope, f.waiter.task))
        return -EDEADLK;
    r = completion_try(completion, ret_index, ret_result);
    if (r != -EAGAIN)
        return r;
    if (!wait_in(loop, &completion->fetchers, &f.waiter, &what))
        return -ECANCELED;
    return entry_fetch(f.entry, ret_index, ret_result);
}
