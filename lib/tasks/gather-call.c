/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gather-call.h"
#include "task.h"

bool call_valid(const ait_call *what)
{
    return what && what->fn && (!what->options || what->options->size >= sizeof(ait_task_options));
}

bool call_options_valid(const ait_gather_options *options)
{
    return !options ||
           (options->size >= sizeof(*options) && (options->flags & ~(unsigned)AIT_GATHER_CONTINUE) == 0);
}

void call_init(struct call *call, const ait_call *what, size_t index, void (*ended)(struct call *call))
{
    *call = (struct call){.what = *what, .index = index, .result = -ECANCELED, .ended = ended};
}

void call_destroy(const ait_call *what)
{
    if (what->options && what->options->destroy)
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

    call_destroy(&call->what);
    call->ended(call);
}

int call_begin(struct call *call, struct ait_scope *scope, const void *site)
{
    ait_task_options options = call->what.options ? *call->what.options : (ait_task_options){};
    struct ait_task *t = NULL;
    int r;

    options.size = sizeof(options);
    options.destroy = call_ended;
    r = task_spawn(scope, &t, call_main, call, &options, site);
    if (r < 0)
        return r;
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
