/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_CTXGROUP_H
#define AIT_CTXGROUP_H

/*
 * Several contexts as one: they are entered concurrently, each in a task of its own, and exited the
 * same way.
 *
 * Entering is all or nothing: if one context fails to enter, the other enters are cancelled,
 * contexts that had been entered are exited, and the group is not entered. With
 * AIT_CTXGROUP_PARTIAL the others continue, and the body checks each result. All exits run under a
 * shield.
 *
 * enter and exit run in tasks that end. So a context must not leave a scope open between them. A
 * group is used by one task at a time. It can be entered and exited any number of times.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/defer.h>

AIT_BEGIN_DECLS

typedef struct ait_ctxgroup ait_ctxgroup;

enum {
    AIT_CTXGROUP_PARTIAL = 1 << 0, /* a context that fails does not affect the others */
};

#define AIT_CTXGROUP(name) AIT_CLEANUP(ait_ctxgroup_closep) ait_ctxgroup *name = NULL

int ait_ctxgroup_open(ait_ctxgroup **ret, unsigned flags) AIT_MUST_CHECK;
/*
 * The time limit of the exits, after which they are cancelled. The default is AIT_USEC_INFINITY: no
 * limit.
 */
int ait_ctxgroup_set_grace(ait_ctxgroup *group, uint64_t usec);
/* Adds a context, which is copied, and returns its index. -EBUSY: the group is entered. */
int ait_ctxgroup_add(ait_ctxgroup *group, const ait_ctx *ctx) AIT_MUST_CHECK;
size_t ait_ctxgroup_size(const ait_ctxgroup *group);

/*
 * Enters all contexts. Returns how many are entered. On failure none is entered: returns the first
 * error by time, or -ECANCELED if the caller was cancelled before all were entered.
 */
int ait_ctxgroup_enter(ait_ctxgroup *group) AIT_MUST_CHECK;
/*
 * Exits the contexts that are entered; r is the body's result. Returns r, or the first error of an
 * exit if r is not an error (or was handled).
 */
int ait_ctxgroup_exit(ait_ctxgroup *group, int r);

/*
 * The result of one context after the calls above. -ECANCELED: it was cut short or not tried.
 * -EINVAL: there is no such index.
 */
int ait_ctxgroup_enter_result(const ait_ctxgroup *group, size_t index);
int ait_ctxgroup_exit_result(const ait_ctxgroup *group, size_t index);
/* What the context's enter returned; NULL if it is not entered. */
void *ait_ctxgroup_value(const ait_ctxgroup *group, size_t index);

/* Frees the group; exits it with -ECANCELED first if it is entered. Returns NULL. */
ait_ctxgroup *ait_ctxgroup_close(ait_ctxgroup *group);
AIT_DEFINE_CLEANUP_(ait_ctxgroup, ait_ctxgroup_close)

AIT_END_DECLS

#endif
