/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The explainer: it holds the listener of a filter, answers the calls that arrive there, counts and
 * reports them.
 *
 * Invariants:
 * - The listener is CLOEXEC and has one holder. When the holder dies, waiting and later calls
 *   return ENOSYS.
 * - A call is answered as the policy says (the filter in force only says "ask"), or allowed while
 *   learning, and reported afterwards. Only the identity of the thread is read before the answer,
 *   if it will be reported: after the answer the thread may be gone.
 * - ENOSYS answers of the policy are intended, so that libc falls back. They are counted and not
 *   reported. They are given while learning, too; otherwise the fallback of libc would not be
 *   learned.
 * - A call that is interrupted by a signal while it waits is repeated. It is counted and reported
 *   once, identified by thread, number and address.
 *
 * Ownership: it owns the listener, references to sandbox and policy, and its counters. Events are
 * borrowed for the callback.
 *
 * What this is not: it has no thread and no loop, and does not limit how often something is
 * reported.
 */

#include <linux/seccomp.h>
#include <stdbool.h>

#include <aiotools-sd/sandbox.h>

#include "learned.h"
#include "policy/model.h"

/*
 * The number of threads whose call may have been interrupted by a signal. If there are more at the
 * same time, a call may be reported twice.
 */
#define EXPLAINER_INTERRUPTED 64

struct explainer_interrupted {
    pid_t tid;
    int number;
    uint64_t address;
    bool waits;       /* it was interrupted, and is expected to be repeated */
    unsigned repeats; /* not reported yet */
};

struct ait_explainer {
    int fd;
    ait_sandbox *sandbox;
    ait_policy *policy;      /* that decides; NULL while learning without one */
    struct learned *learned; /* NULL: it explains */
    ait_sandbox_event_cb cb;
    void *userdata;

    struct seccomp_notif *request; /* as large as this kernel has it */
    struct seccomp_notif_resp *response;
    size_t request_size, response_size;

    struct explainer_interrupted interrupted[EXPLAINER_INTERRUPTED];
    /* The last element stands for calls that we do not know. */
    uint64_t counts[SYSCALL_NEWEST + 2];
    ait_policy_action actions[SYSCALL_NEWEST + 2]; /* the last one of each */
};

struct explainer_options {
    ait_policy *policy;
    ait_policy *base; /* what learning leaves out; NULL: nothing */
    bool learning;
    int socket; /* over which the listener comes; borrowed */
    ait_sandbox_event_cb cb;
    void *userdata;
};

/* ait_explainer_new() for policies without a sandbox around them. */
int explainer_new(ait_explainer **ret, const struct explainer_options *options);
