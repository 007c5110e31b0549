/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gather-call.h"
#include "task.h"
#include "options.h"

int call_check(const ait_call *what)
{
    ait_task_options options;

    return what && what->fn ? options_copy(&options, sizeof(options), what->options) : -EINVAL;
}

int call_check_all(const ait_call *calls, size_t n)
{
    int r = n > 0 && !calls ? -EINVAL : 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        r = call_check(calls + i);
    return r;
}

void call_init(struct call *call, const ait_call *what, size_t index,
               void (*ended)(struct call *call))
{
    *call = (struct call){.what = *what, .index = index, .result = -ECANCELED, .ended = ended};
}

void call_destroy(const ait_call *what)
{
    if (what->options && OPTIONS_HAVE(what->options, destroy) && what->options->destroy)
        what->options->destroy(what->userdata);
}

static int call_main(void *userdata)
{
    struct call *call = userdata;

    call->result = call->what.fn(call->what.userdata);
    return call->result;
}

static void call_ended(void *userdata)
{
    struct call *call = userdata;

    if (call->destroy)
        call->destroy(call->what.userdata);
    call->ended(call);
}

int call_begin(struct call *call, struct ait_scope *scope, const void *site)
{
    ait_task_options options;
    struct ait_task *t = NULL;
    int r;

    r = options_copy(&options, sizeof(options), call->what.options);
    if (r < 0)
        return r;
    call->destroy = options.destroy;
    options.destroy = call_ended;
    r = task_spawn(scope, &t, call_main, call, &options, site);
    if (r < 0)
        return r == -ESHUTDOWN ? -ECANCELED : r; /* the call's, not the caller's */
    t->entry = call->what.fn;
    ait_task_unref(t);
    return 0;
}

void call_discard(struct ait_loop *loop, const ait_gather_options *options, const struct call *call)
{
    struct ait_task *current = loop->current;

    if (call->result < 0 || !options->discard)
        return;
    loop->current = NULL;
    options->discard(call->index, call->result, options->userdata);
    loop->current = current;
}
