/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An explainer, inside: who holds the listener of a filter, answers the calls that come to it, counts and tells them.
 *
 * Invariants:
 *  - The listener is CLOEXEC and has one holder. When that dies, calls that wait and later ones return ENOSYS.
 *  - A call is answered by the policy as it was written (the filter in force only says "ask"), or let through while learning; told after that. Only
 *    who it was is read before, where it is going to be told: a thread that has its answer may be gone.
 *  - What the policy answers with ENOSYS is by design, so that libc falls back: counted, not told; answered like this while learning, too, or what libc
 *    falls back to would not be learned.
 *  - A call that a signal interrupts while it waits comes again. It is counted and told once: by thread, number and address.
 *
 * Ownership: it owns the listener, references to sandbox and policy, and all that it has counted. Events are borrowed for the callback.
 *
 * What this is not: it has no thread, no loop, and no opinion on how often something should be told.
 */

#include <linux/seccomp.h>
#include <stdbool.h>

#include <aiotools-sd/sandbox.h>

#include "learned.h"
#include "policy/model.h"

/* Threads whose call a signal may have interrupted; with more of them at once, a call may be told twice. */
#define EXPLAINER_INTERRUPTED 64

struct explainer_interrupted {
    pid_t tid;
    int number;
    uint64_t address;
    bool waits;       /* it was interrupted, and is expected again */
    unsigned repeats; /* not told yet */
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
