/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "now.h"
#include "scheduler.h"
#include "scope.h"

#define NAMELESS "scope"

struct scope_extra *scope_extra(struct ait_scope *s)
{
    if (s->extra)
        return s->extra;
    s->extra = calloc(1, sizeof(*s->extra));
    if (!s->extra)
        return NULL;
    s->extra->scope = s;
    list_init(&s->extra->sets);
    return s->extra;
}

void scope_extra_exited(struct scope_extra *x)
{
    struct timers *timers = &x->scope->loop->timers;

    timer_disarm(timers, &x->cancel_timer);
    if (x->cancel_timer_reserved)
        timers_unreserve(timers);
    x->cancel_timer_reserved = false;
    tasksets_detach(x);
}

void scope_extra_free(struct ait_scope *s)
{
    scope_extra_exited(s->extra);
    free(s->extra->name);
    free(s->extra);
    s->extra = NULL;
}

AIT_PUBLIC int ait_scope_set_error_handler(ait_scope *scope, ait_error_cb cb, void *userdata)
{
    struct scope_extra *x;

    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    x = cb ? scope_extra(scope) : scope->extra;
    if (!x)
        return cb ? -ENOMEM : 0;
    x->error_cb = cb;
    x->error_userdata = userdata;
    return 0;
}

AIT_PUBLIC int ait_scope_set_name(ait_scope *scope, const char *name)
{
    struct scope_extra *x;
    char *copy;

    if (!scope || !name)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    x = scope_extra(scope);
    copy = x ? strdup(name) : NULL;
    if (!copy)
        return -ENOMEM;
    free(x->name);
    x->name = copy;
    return 0;
}

AIT_PUBLIC const char *ait_scope_name(const ait_scope *scope)
{
    return scope && scope->extra && scope->extra->name ? scope->extra->name : NAMELESS;
}

static void cancel_now(struct timer *timer)
{
    scope_cancel(container_of(timer, struct scope_extra, cancel_timer)->scope);
}

AIT_PUBLIC int ait_scope_cancel_after(ait_scope *scope, uint64_t usec)
{
    struct scope_extra *x;
    struct timers *timers;
    uint64_t when;
    int r;

    if (!scope)
        return -EINVAL;
    LOOP_CHECK(scope->loop);
    if (scope->state == SCOPE_EXITED)
        return -ESTALE;
    timers = &scope->loop->timers;
    when = usec_add(loop_now(scope->loop), usec);
    x = scope_extra(scope);
    if (!x)
        return -ENOMEM;
    if (when != AIT_USEC_INFINITY && !x->cancel_timer_reserved) {
        r = timers_reserve(timers);
        if (r < 0)
            return r;
        x->cancel_timer_reserved = true;
    }
    timer_disarm(timers, &x->cancel_timer);
    if (when == AIT_USEC_INFINITY)
        return 0;
    timer_arm(timers, &x->cancel_timer, when, cancel_now);
    if (scope->loop->kick)
        loop_kick(scope->loop);
    return 0;
}
