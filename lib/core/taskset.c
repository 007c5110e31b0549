/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "task.h"
#include "taskset.h"
#include "wait.h"

int taskset_init(struct ait_taskset *set, struct ait_scope *parent, unsigned flags)
{
    struct scope_extra *x = scope_extra(parent);

    if (!x)
        return -ENOMEM;
    scope_init_root(&set->scope, parent->loop, NULL, parent);
    set->scope.flags = (uint8_t)(flags | SCOPE_OF_SET);
    set->scope.state = SCOPE_EXITING;
    set->scope.effective = parent->aborted || (!(flags & AIT_SCOPE_SHIELD) && parent->effective);
    set->refs = 1;
    list_append(&x->sets, &set->link);
    parent->flags |= SCOPE_HAS_SETS;
    return 0;
}

void taskset_done(struct ait_taskset *set)
{
    scope_done(&set->scope);
}

void taskset_drain(struct ait_taskset *set, struct ait_loop *loop, struct ait_task *t)
{
    const struct wait what = {.kind = "end of task set", .object = set};
    struct waiter w = {.task = t};

    if (set->scope.state == SCOPE_EXITED)
        return;
    set->refs++;
    scope_cancel(&set->scope);
    if (set->scope.n_live == 0)
        taskset_emptied(&set->scope);
    while (set->scope.state != SCOPE_EXITED) {
        list_append(&set->scope.closers, &w.link);
        while (!list_empty(&w.link))
            task_suspend_in(loop, t, TASK_WAITING, &what);
    }
    ait_taskset_unref(set);
}

/* ---- public ---------------------------------------------------------------------------------- */

static void taskset_free(struct ait_taskset *set)
{
    taskset_done(set);
    free(set);
}

AIT_PUBLIC int ait_taskset_new(ait_taskset **ret, ait_scope *scope, unsigned flags)
{
    struct ait_taskset *set;
    int r;

    if (!ret || (flags & ~(unsigned)(AIT_SCOPE_SUPERVISOR | AIT_SCOPE_SHIELD)))
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    if (!scope)
        scope = this_loop->current ? this_loop->current->scope : &this_loop->root;
    LOOP_CHECK(scope->loop);
    if (scope->flags & SCOPE_OF_SET)
        return -EINVAL;
    if (scope->state == SCOPE_EXITED)
        return -ESTALE;
    set = calloc(1, sizeof(*set));
    if (!set)
        return -ENOMEM;
    set->free = taskset_free;
    r = taskset_init(set, scope, flags);
    if (r < 0) {
        free(set);
        return r;
    }
    *ret = set;
    return 0;
}

AIT_PUBLIC ait_taskset *ait_taskset_ref(ait_taskset *set)
{
    if (set)
        set->refs++;
    return set;
}

AIT_PUBLIC ait_taskset *ait_taskset_unref(ait_taskset *set)
{
    if (!set || --set->refs > 0 || set->scope.n_live > 0)
        return NULL;
    taskset_detach(set);
    set->free(set);
    return NULL;
}

AIT_PUBLIC ait_scope *ait_taskset_scope(ait_taskset *set)
{
    return set ? &set->scope : NULL;
}

AIT_PUBLIC int ait_taskset_spawn(ait_taskset *set, ait_task **ret_task, ait_task_fn fn,
                                 void *userdata, const ait_task_options *options)
{
    if (!set)
        return -EINVAL;
    LOOP_CHECK(set->scope.loop);
    return task_spawn(&set->scope, ret_task, fn, userdata, options, __builtin_return_address(0));
}

AIT_PUBLIC int ait_taskset_cancel_and_wait(ait_taskset *set)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!set)
        return -EINVAL;
    LOOP_CHECK(set->scope.loop);
    r = op_enter_structural(&loop, &t);
    if (r < 0)
        return r;
    if (set->scope.state != SCOPE_EXITED && wait_is_circular(t, &set->scope))
        return -EDEADLK;
    taskset_drain(set, loop, t);
    return t->scope->effective ? -ECANCELED : 0;
}

AIT_PUBLIC int ait_taskset_wait(ait_taskset *set)
{
    const struct wait what = {.kind = "tasks of task set", .object = set};
    struct ait_loop *loop;
    struct waiter w;
    bool served;
    int r;

    if (!set)
        return -EINVAL;
    LOOP_CHECK(set->scope.loop);
    r = op_enter(&loop, &w.task);
    if (r < 0)
        return r;
    if (scope_contains(&set->scope, w.task))
        return -EDEADLK;
    if (set->scope.n_live == 0)
        return 0;
    set->refs++;
    served = wait_in(loop, &set->scope.closers, &w, &what);
    ait_taskset_unref(set);
    return served ? 0 : -ECANCELED;
}

AIT_PUBLIC size_t ait_taskset_n_tasks(const ait_taskset *set)
{
    return set ? set->scope.n_live : 0;
}

AIT_PUBLIC int ait_taskset_foreach(ait_taskset *set, ait_task_cb cb, void *userdata)
{
    int r = 0;

    if (!set || !cb)
        return -EINVAL;
    LOOP_CHECK(set->scope.loop);
    set->refs++;
    for (uint32_t i = 0; i < set->scope.n_children && r == 0; i++)
        if (set->scope.children[i])
            r = cb(set->scope.children[i], userdata);
    ait_taskset_unref(set);
    return r;
}

bool taskset_is_private(const struct ait_taskset *set)
{
    return set->free != taskset_free;
}

AIT_PUBLIC ait_taskset *ait_taskset_current(void)
{
    for (struct ait_scope *s = ait_scope_current(); s; s = s->parent)
        if ((s->flags & SCOPE_OF_SET) && !taskset_is_private(set_of_scope(s)))
            return set_of_scope(s);
    return NULL;
}
