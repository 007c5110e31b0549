/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "local.h"
#include "state.h"
#include "options.h"

static void destroy_value(const struct ait_local_binding *b)
{
    if (OPTIONS_HAVE(b->variable, destroy) && b->variable->destroy)
        b->variable->destroy(b->value);
}

struct ait_local_binding *local_unref(struct ait_local_binding *b)
{
    while (b && --b->refs == 0) {
        struct ait_local_binding *next = b->next;

        destroy_value(b);
        free(b);
        b = next;
    }
    return NULL;
}

/*
 * Copies the bindings from b on that have no copy yet. *ret_last is where the bindings after them
 * are to be linked.
 */
static int copy_new(const struct ait_local_binding *b, struct ait_local_binding **ret_first,
                    struct ait_local_binding ***ret_last, const struct ait_local_binding **ret_rest)
{
    struct ait_local_binding *first = NULL, **last = &first;

    for (; b && b->refs == 0 && !b->copy; b = b->next) {
        struct ait_local_binding *copy = malloc(sizeof(*copy));

        if (!copy) {
            while (first) {
                copy = first->next;
                free(first);
                first = copy;
            }
            return -ENOMEM;
        }
        *copy = (struct ait_local_binding){.variable = b->variable, .value = b->value};
        *last = copy;
        last = &copy->next;
    }
    *ret_first = first;
    *ret_last = first ? last : NULL;
    *ret_rest = b;
    return 0;
}

static struct ait_local_binding *shared(const struct ait_local_binding *b)
{
    struct ait_local_binding *s = b && b->refs == 0 ? b->copy : (struct ait_local_binding *)b;

    if (s)
        s->refs++;
    return s;
}

int local_inherit(const struct ait_task *t, struct ait_local_binding **ret)
{
    struct ait_local_binding *first, **last, *copy;
    const struct ait_local_binding *rest;
    int r;

    r = copy_new(t->locals, &first, &last, &rest);
    if (r < 0)
        return r;
    if (first) {
        copy = first;
        *last = shared(rest);
        /* Each is held by its original, and by the copy before it. */
        for (struct ait_local_binding *b = t->locals; b != rest; b = b->next, copy = copy->next) {
            b->copy = copy;
            copy->refs = copy == first ? 1 : 2;
        }
    }
    *ret = shared(t->locals);
    return 0;
}

void local_release(struct ait_task *t)
{
    t->locals = local_unref(t->locals);
}

AIT_PUBLIC void *ait_local_get(const ait_local *variable)
{
    const struct ait_task *t = ait_task_current();

    for (const struct ait_local_binding *b = t ? t->locals : NULL; b; b = b->next)
        if (b->variable == variable)
            return b->value;
    return NULL;
}

AIT_PUBLIC ait_local_binding *ait_local_push(ait_local_binding *binding, const ait_local *variable,
                                             void *value)
{
    struct ait_task *t = ait_task_current();

    if (!binding || !variable)
        return NULL;
    *binding = (struct ait_local_binding){.variable = variable, .value = value, .task = t};
    if (t) {
        binding->next = t->locals;
        t->locals = binding;
    }
    return binding;
}

AIT_PUBLIC void ait_local_pop(ait_local_binding *binding)
{
    if (!binding)
        return;
    if (binding->task) {
        assert(binding->task == ait_task_current() && binding->task->locals == binding);
        binding->task->locals = binding->next;
    }
    if (binding->copy)
        local_unref(binding->copy);
    else
        destroy_value(binding);
}
