/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One task's wait for one fd, for whoever waits for other things as well. See io-poll.c.
 *
 * Between joining and leaving the task suspends once. What woke it is found out by poll(2).
 */

#include "fdtable.h"

struct ait_loop;
struct ait_task;
struct pollfd;

struct poller {
    struct list link; /* in the entry's pollers until it is woken */
    struct ait_task *task;
    struct fd_entry *entry;
    uint32_t events;
    uint32_t generation;
};

/* Looks up the entry of the fd, before other tasks may run. A negative fd is never waited for. */
int poller_init(struct poller *p, struct ait_loop *loop, struct ait_task *t,
                const struct pollfd *fd);
int poller_join(struct ait_loop *loop, int fd, struct poller *p);
void poller_leave(struct ait_loop *loop, int fd, struct poller *p);

/* Whether the fd was closed since the entry was looked up; its number may be another file by now.
 */
static inline bool poller_is_stale(const struct poller *p)
{
    return p->entry && p->entry->generation != p->generation;
}
