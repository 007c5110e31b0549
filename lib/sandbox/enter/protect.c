/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policy/model.h"
#include "protect.h"

#ifndef F_SETOWN_EX
#define F_SETOWN_EX 15
#endif

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_WHO_PGRP    2

#define COMPARES_MAX 2

enum what { NOTHING, NUMBER, PROCESS, GROUP, MINUS_GROUP };

/* All comparisons hold: it is refused. The kernel reads each of these arguments as 32 bits. */
struct refusal {
    int number;
    bool signals;
    struct {
        uint8_t arg;
        enum what what;
        uint32_t value; /* a NUMBER */
    } compares[COMPARES_MAX];
};

/* The rules of a call come in this order. */
static const struct refusal refusals[] = {
    {SYS_sched_setaffinity, false, {{0, PROCESS}}},
    {SYS_sched_setattr, false, {{0, PROCESS}}},
    {SYS_sched_setparam, false, {{0, PROCESS}}},
    {SYS_sched_setscheduler, false, {{0, PROCESS}}},
    {SYS_setpriority, false, {{0, NUMBER, PRIO_PROCESS}, {1, PROCESS}}},
    {SYS_setpriority, false, {{0, NUMBER, PRIO_PGRP}, {1, GROUP}}},
    {SYS_ioprio_set, false, {{0, NUMBER, IOPRIO_WHO_PROCESS}, {1, PROCESS}}},
    {SYS_ioprio_set, false, {{0, NUMBER, IOPRIO_WHO_PGRP}, {1, GROUP}}},
    {SYS_kill, true, {{0, PROCESS}}},
    {SYS_kill, true, {{0, NUMBER, (uint32_t)-1}}},
    {SYS_kill, true, {{0, MINUS_GROUP}}},
    {SYS_tkill, true, {{0, PROCESS}}},
    {SYS_tgkill, true, {{0, PROCESS}}},
    {SYS_rt_sigqueueinfo, true, {{0, PROCESS}}},
    {SYS_rt_tgsigqueueinfo, true, {{0, PROCESS}}},
    {SYS_pidfd_open, true, {{0, PROCESS}}},
    /*
     * The owner of a descriptor gets the signal that the descriptor's user chooses. If the owner is
     * passed in memory, no filter can see it.
     */
    {SYS_fcntl, true, {{1, NUMBER, F_SETOWN}, {2, PROCESS}}},
    {SYS_fcntl, true, {{1, NUMBER, F_SETOWN}, {2, MINUS_GROUP}}},
    {SYS_fcntl, true, {{1, NUMBER, F_SETOWN_EX}}},
    {SYS_ioctl, true, {{1, NUMBER, FIOSETOWN}}},
    {SYS_ioctl, true, {{1, NUMBER, SIOCSPGRP}}},
};

struct protected
{
    pid_t process;
    pid_t group; /* 0: it has no name here */
    bool signals;
};

static bool denies(ait_policy_action action)
{
    return action.kind == AIT_POLICY_ERRNO || action.kind == AIT_POLICY_TRAP ||
           action.kind == AIT_POLICY_KILL;
}

static bool is_open(const struct policy_call *call)
{
    bool open = !denies(call->otherwise);

    for (unsigned i = 0; i < call->n_rules; i++)
        open |= !denies(call->rules[i].action);
    return open;
}

static uint32_t value_of(const struct protected *who, enum what what, uint32_t number)
{
    switch (what) {
    case PROCESS:
        return (uint32_t)who->process;
    case GROUP:
        return (uint32_t)who->group;
    case MINUS_GROUP:
        return -(uint32_t)who->group;
    default:
        return number;
    }
}

static int add_refusal(ait_policy *policy, const struct refusal *refusal,
                       const struct protected *who)
{
    ait_policy_compare compares[COMPARES_MAX];
    size_t n = 0;

    for (; n < COMPARES_MAX && refusal->compares[n].what != NOTHING; n++) {
        enum what what = refusal->compares[n].what;
        /* 0 is the caller's own group to the kernel. */
        if (who->group == 0 && (what == GROUP || what == MINUS_GROUP))
            return 0;
        compares[n] = (ait_policy_compare){
            .arg = refusal->compares[n].arg,
            .op = AIT_POLICY_EQ,
            .mask = UINT32_MAX,
            .value = value_of(who, what, refusal->compares[n].value),
        };
    }
    return policy_add_rule(policy, refusal->number,
                           (ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = EPERM}, compares,
                           n);
}

static int add_refusals(ait_policy *policy, int number, const struct protected *who)
{
    int r = 0;

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]) && r >= 0; i++)
        if (refusals[i].number == number && (who->signals || !refusals[i].signals))
            r = add_refusal(policy, &refusals[i], who);
    return r;
}

static int copy_call(ait_policy *to, int number, const struct policy_call *from,
                     const struct protected *who)
{
    int r = is_open(from) ? add_refusals(to, number, who) : 0;

    to->calls[number].otherwise = from->otherwise;
    for (unsigned i = 0; i < from->n_rules && r >= 0; i++) {
        const struct policy_rule *rule = &from->rules[i];
        r = policy_add_rule(to, number, rule->action, rule->compares, rule->n_compares);
    }
    return r;
}

int policy_protect(ait_policy **ret, const ait_policy *policy, pid_t process, bool signals)
{
    struct protected who = {.process = process, .group = getpgid(process), .signals = signals};
    ait_policy *copy;

    if (process <= 0)
        return -EINVAL;
    if (who.group < 0)
        return -errno;
    int r = policy_new(&copy, policy->name, policy->fallback);
    if (r < 0)
        return r;
    for (int i = 0; i <= SYSCALL_NEWEST && r >= 0; i++)
        r = copy_call(copy, i, &policy->calls[i], &who);
    if (r < 0) {
        ait_policy_unref(copy);
        return r;
    }
    *ret = copy;
    return 0;
}
