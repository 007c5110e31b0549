/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_CTXGROUP_H
#define AIT_CTXGROUP_H

/*
 * Many contexts as one: their enters run side by side, each in a task of its own, and so do their exits.
 *
 * All or nothing: where one fails to enter, the others' enters are cancelled, those that had entered are exited, and the group is not entered. With
 * AIT_CTXGROUP_PARTIAL the others go on, and the body looks at each result. Exits run under a shield, all of them.
 *
 * As enter and exit run in tasks that end, a context must not leave a scope of the library open between them. A group is used by one task at a
 * time; it is entered and exited any number of times.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/defer.h>

AIT_BEGIN_DECLS

typedef struct ait_ctxgroup ait_ctxgroup;

enum {
    AIT_CTXGROUP_PARTIAL = 1 << 0, /* one that fails concerns no other */
};

#define AIT_CTXGROUP(name) AIT_CLEANUP(ait_ctxgroup_closep) ait_ctxgroup *name = NULL

int ait_ctxgroup_open(ait_ctxgroup **ret, unsigned flags) AIT_MUST_CHECK;
/* How long the exits may take before they are cancelled; AIT_USEC_INFINITY, as by default: for ever. */
int ait_ctxgroup_set_grace(ait_ctxgroup *group, uint64_t usec);
/* Adds a context, which is copied; returns its index. -EBUSY: the group is entered. */
int ait_ctxgroup_add(ait_ctxgroup *group, const ait_ctx *ctx) AIT_MUST_CHECK;
size_t ait_ctxgroup_size(const ait_ctxgroup *group);

/*
 * Enters all. Returns how many are entered; else the first error by time, or -ECANCELED where the caller was cancelled before all were done, with
 * none entered any more.
 */
int ait_ctxgroup_enter(ait_ctxgroup *group) AIT_MUST_CHECK;
/* Exits those that are entered; r is the body's result. Returns r, or the first error of an exit where r is none (or was dealt with). */
int ait_ctxgroup_exit(ait_ctxgroup *group, int r);

/* Of one context, after the calls above; -ECANCELED where it was cut short, or not tried, -EINVAL where there is no such index. */
int ait_ctxgroup_enter_result(const ait_ctxgroup *group, size_t index);
int ait_ctxgroup_exit_result(const ait_ctxgroup *group, size_t index);
/* What its enter made; NULL where it is not entered. */
void *ait_ctxgroup_value(const ait_ctxgroup *group, size_t index);

/* Frees it; exits with -ECANCELED first, where that has not happened. Returns NULL. */
ait_ctxgroup *ait_ctxgroup_close(ait_ctxgroup *group);
AIT_DEFINE_CLEANUP_(ait_ctxgroup, ait_ctxgroup_close)

AIT_END_DECLS

#endif
