/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <stdlib.h>

#include "current.h"

__thread struct ait_loop *this_loop;
unsigned loop_fork_generation;
static __thread bool forked;     /* this thread's loop was left behind in the parent, */
static __thread bool was_forked; /* the same, though it may have another by now */

struct ait_loop *ait_debug_loops;
static pthread_mutex_t debug_lock = PTHREAD_MUTEX_INITIALIZER;

int loop_foreign(void)
{
    return forked ? -ECHILD : -EPERM;
}

int loop_foreign_object(void)
{
    return was_forked ? -ECHILD : -EPERM;
}

void loop_end_child(int r)
{
    exit(r < 0 ? EXIT_FAILURE : r);
}

static void after_fork_in_child(void)
{
    if (this_loop)
        forked = was_forked = true;
    this_loop = NULL;
    loop_fork_generation++;
    /*
     * None of these loops belongs to this process, and the thread that held the lock does not exist
     * here.
     */
    ait_debug_loops = NULL;
    (void)pthread_mutex_init(&debug_lock, NULL);
}

static void register_fork_handler(void)
{
    (void)pthread_atfork(NULL, NULL, after_fork_in_child);
}

void loop_enlist(struct ait_loop *loop)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, register_fork_handler);
    (void)pthread_mutex_lock(&debug_lock);
    loop->next_loop = ait_debug_loops;
    ait_debug_loops = loop;
    (void)pthread_mutex_unlock(&debug_lock);
    forked = false;
    this_loop = loop;
}

void loop_delist(struct ait_loop *loop)
{
    (void)pthread_mutex_lock(&debug_lock);
    for (struct ait_loop **p = &ait_debug_loops; *p; p = &(*p)->next_loop)
        if (*p == loop) {
            *p = loop->next_loop;
            break;
        }
    (void)pthread_mutex_unlock(&debug_lock);
}
