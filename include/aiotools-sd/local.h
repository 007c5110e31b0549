/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_LOCAL_H
#define AIT_LOCAL_H

/*
 * Task-local values: values that a task, and the tasks that it spawns, can read without having them
 * passed as arguments, such as a request's id, a user, or a log prefix.
 *
 *     AIT_LOCAL(request_id, free);
 *
 *     static int serve(void *userdata)
 *     {
 *             AIT_LOCAL_SCOPED(request_id, new_id());
 *             ...
 *     }
 *
 * A value is set for the rest of a block and cannot be changed in it; an inner block may set
 * another one for itself. A task inherits the values that its spawner has at that moment, and keeps
 * them whatever the spawner does later. A task that was spawned outside tasks inherits nothing.
 * Setting a value allocates nothing and cannot fail. The first spawn after it makes a copy, which
 * later spawns share.
 *
 * Setting a value passes its ownership to the variable. The variable's destroy function (NULL:
 * none) is called once, when the last task that can see the value has left the block or has ended.
 * It must not suspend.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* A variable is identified by its address. It must be static and is never freed. */
typedef struct ait_local {
    size_t size;      /* sizeof(ait_local) */
    const char *name; /* shown by debuggers */
    ait_destroy_fn destroy;
} ait_local;

/* Defines a variable that is private to this file. */
#define AIT_LOCAL(name, destroy) static const ait_local name = {sizeof(ait_local), #name, destroy}

/* The binding's state, in the block's frame. Its members belong to the library. Frozen. */
typedef struct ait_local_binding {
    const ait_local *variable;
    void *value;
    struct ait_local_binding *next;
    struct ait_local_binding *copy;
    ait_task *task;
    unsigned refs;
} ait_local_binding;

/*
 * The value that the running task sees, borrowed as long as the task sees it. NULL if none is set,
 * and outside tasks.
 */
void *ait_local_get(const ait_local *variable);

/*
 * Sets a value for the running task until ait_local_pop(). The same task must pop its values, the
 * last one first. Outside tasks the value is kept, but not visible. Returns binding.
 */
ait_local_binding *ait_local_push(ait_local_binding *binding, const ait_local *variable,
                                  void *value);
void ait_local_pop(ait_local_binding *binding);
static inline void ait_local_popp(ait_local_binding **p)
{
    ait_local_pop(*p);
    *p = NULL;
}

/* Sets a value until the end of the block. This macro is a declaration. */
#define AIT_LOCAL_SCOPED(variable, value)                                                          \
    AIT_LOCAL_SCOPED_(AIT_UNIQUE(ait_local_binding_), AIT_UNIQUE(ait_local_scoped_), variable,     \
                      value)
#define AIT_LOCAL_SCOPED_(binding, scoped, variable, value)                                        \
    ait_local_binding binding;                                                                     \
    AIT_CLEANUP(ait_local_popp)                                                                    \
    AIT_UNUSED ait_local_binding *scoped = ait_local_push(&binding, &(variable), (value))

AIT_END_DECLS

#endif
