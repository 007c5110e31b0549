/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_LOCAL_H
#define AIT_LOCAL_H

/*
 * Task-local values: what a task, and every task that it spawns meanwhile, finds without being handed it: a request's id, a user, a log prefix.
 *
 *     AIT_LOCAL(request_id, free);
 *
 *     static int serve(void *userdata)
 *     {
 *             AIT_LOCAL_SCOPED(request_id, new_id());
 *             ...
 *     }
 *
 * A value is set for the rest of a block, and cannot be changed in it; an inner block may set another one for itself. A task inherits what its
 * spawner has at that moment, and keeps it whatever the spawner does later; a task that was spawned outside tasks inherits nothing. Setting allocates
 * nothing and cannot fail; the first spawn after it makes a copy that all later ones share.
 *
 * A value belongs to the variable from when it is set; its destroy function (NULL: none) is called once, when the last task that can see it
 * has left the block or has ended. It must not suspend.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* A variable is its address: static, never freed. */
typedef struct ait_local {
    size_t size;      /* sizeof(ait_local) */
    const char *name; /* for those who look from outside */
    ait_destroy_fn destroy;
} ait_local;

/* Defines a variable of this file. */
#define AIT_LOCAL(name, destroy) static const ait_local name = {sizeof(ait_local), #name, destroy}

/* What lies in the frame of the block; its members are the library's. Frozen. */
typedef struct ait_local_binding {
    const ait_local *variable;
    void *value;
    struct ait_local_binding *next;
    struct ait_local_binding *copy;
    ait_task *task;
    unsigned refs;
} ait_local_binding;

/* The value that the running task sees, borrowed while it does; NULL where none is set, and outside tasks. */
void *ait_local_get(const ait_local *variable);

/* Sets a value for the running task until ait_local_pop(), which has to come from the same task, last first. Outside tasks it is
 * kept, but nobody sees it. Returns binding. */
ait_local_binding *ait_local_push(ait_local_binding *binding, const ait_local *variable, void *value);
void ait_local_pop(ait_local_binding *binding);
static inline void ait_local_popp(ait_local_binding **p)
{
    ait_local_pop(*p);
    *p = NULL;
}

/* The same until the end of the block. A declaration. */
#define AIT_LOCAL_SCOPED(variable, value)                                                                    \
    AIT_LOCAL_SCOPED_(AIT_UNIQUE(ait_local_binding_), AIT_UNIQUE(ait_local_scoped_), variable, value)
#define AIT_LOCAL_SCOPED_(binding, scoped, variable, value)                                                  \
    ait_local_binding binding;                                                                               \
    AIT_CLEANUP(ait_local_popp)                                                                              \
    AIT_UNUSED ait_local_binding *scoped = ait_local_push(&binding, &(variable), (value))

AIT_END_DECLS

#endif
