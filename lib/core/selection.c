/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selection.h"

#include "scheduler.h"

void selection_serve(struct waiter *w)
{
    struct selection *s = waiter_selection(w);

    s->served = w;
    for (size_t i = 0; i < s->n; i++)
        list_remove(&s->waiters[i].waiter.link);
    task_wake(s->task);
}
