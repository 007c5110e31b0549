/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-event.h>
#ifdef AIT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

#include "current.h"
#include "drive.h"
#include "future.h"
#include "guest.h"
#include "overflow.h"
#include "post.h"
#include "scheduler.h"
#include "scope.h"
#include "task.h"

static void shuffle_from_environment(struct ait_loop *loop)
{
    const char *seed = secure_getenv("AIT_SHUFFLE");
    static bool warned;
    uint64_t number;
    char *end;

    if (!seed || !*seed)
        return;
    number = strtoull(seed, &end, 0);
    if (end == seed || *end) {
        if (!__atomic_exchange_n(&warned, true, __ATOMIC_RELAXED))
            (void)fprintf(stderr, "aiotools-sd: AIT_SHUFFLE='%s' is ignored: it is not a number\n",
                          seed);
        return;
    }
    loop->shuffle = true;
    loop->shuffle_state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (loop->shuffle_state == 0)
        loop->shuffle_state = 1;
}

static void debug_from_environment(struct ait_loop *loop)
{
    const char *value = secure_getenv("AIT_DEBUG");

    loop->debug = value && *value && strcmp(value, "0") != 0;
}

static void loop_free_memory(struct ait_loop *loop)
{
    stacks_done(&loop->stacks);
    free(loop);
}

void loop_drop_orphan(struct ait_loop *loop)
{
    if (--loop->n_orphans == 0)
        loop_free_memory(loop);
}

static struct ait_loop *loop_free(struct ait_loop *loop)
{
    if (unlikely(loop->n_tasks > 0)) {
        (void)fprintf(stderr,
                      "aiotools-sd: the last reference to a loop is dropped while %zu of its tasks "
                      "are live; wait for them first\n",
                      loop->n_tasks);
        abort();
    }
    loop_delist(loop);
    slots_drop(&loop->callbacks);
    guest_done(loop);
    post_done(loop);
    for (unsigned i = 0; i < WATCH_MAX; i++)
        loop_unwatch(loop, i);
    sd_event_unref(loop->event);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    scope_done(&loop->root);
    scope_pool_done(&loop->scopes);
    fdtable_done(&loop->fds);
    timers_done(&loop->timers);
    if (loop->clock.virtual) {
        loop->clock.virtual->loop = NULL;
        ait_clock_unref(loop->clock.virtual);
    }
    free(loop->ring);
    if (this_loop == loop) {
        this_loop = NULL;
        overflow_handler_leave_thread();
    }
    /* Results can be read as long as there are references; nothing else can be done with them. */
    loop->n_orphans = stacks_used(&loop->stacks) ? tasks_orphan(loop) : 0;
    if (loop->n_orphans == 0)
        loop_free_memory(loop);
    return NULL;
}

AIT_PUBLIC int ait_loop_new(ait_loop **ret)
{
    struct ait_loop *loop;
    int r;

    if (!ret)
        return -EINVAL;
    if (this_loop)
        return -EBUSY;
    loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->refs = 1;
    loop->fork_generation = loop_fork_generation;
    loop->epoll_fd = -1;
    loop->slice_size = SLICE;
    loop_find_cxx(loop);
#ifdef AIT_HAVE_VALGRIND
    /* It complains of calls that it does not know. */
    loop->no_pwait2 = RUNNING_ON_VALGRIND;
#endif
    list_init(&loop->callbacks);
    scope_init_root(&loop->root, loop, NULL, NULL);
    context_init_thread(&loop->context);
    shuffle_from_environment(loop);
    debug_from_environment(loop);
    r = stacks_init(&loop->stacks, sizeof(struct ait_task));
    if (r < 0)
        goto fail;
    loop->epoll_fd = fd_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (loop->epoll_fd < 0) {
        r = -errno;
        goto fail;
    }
    r = post_init(loop);
    if (r < 0)
        goto fail;
    overflow_handler_install();
    loop_enlist(loop);
    *ret = loop;
    return 0;

fail:
    loop_free(loop);
    return r;
}

AIT_PUBLIC ait_loop *ait_loop_ref(ait_loop *loop)
{
    if (loop)
        loop->refs++;
    return loop;
}

AIT_PUBLIC ait_loop *ait_loop_unref(ait_loop *loop)
{
    /* The fork's copies belong to the parent: its epoll must not be touched. */
    if (loop && loop_is_this(loop) && --loop->refs == 0)
        loop_free(loop);
    return NULL;
}

AIT_PUBLIC ait_loop *ait_loop_current(void)
{
    return this_loop;
}

AIT_PUBLIC ait_scope *ait_loop_root(ait_loop *loop)
{
    return loop ? &loop->root : NULL;
}

AIT_PUBLIC size_t ait_loop_n_tasks(const ait_loop *loop)
{
    return loop ? loop->n_tasks : 0;
}
