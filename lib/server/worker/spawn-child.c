/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>

#include "config/parse.h"
#include "raw.h"
#include "spawn-child.h"

RAW_CODE static struct spawn_plan *spawn_plan_of(struct exec_plan *plan)
{
    return (struct spawn_plan *)plan;
}

RAW_CODE static const struct spawn_params *params_of(struct exec_plan *plan)
{
    return spawn_plan_of(plan)->params;
}

/* Ours was opened on a mount of ours, where root can change its mode (enter/mounts.h). */
RAW_CODE static int renew_null(int fd)
{
    long own = raw_call(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
    long r = own < 0 ? own : raw_call(SYS_dup3, own, fd, O_CLOEXEC);

    if (own >= 0)
        (void)raw_call(SYS_close, own);
    return r < 0 ? (int)r : 0;
}

/*
 * Landlock needs its descriptor, which is closed for the worker. The bounding set needs a privilege
 * that a change of user drops.
 */
RAW_CODE static int prepare_sandbox(struct exec_plan *plan)
{
    if (!params_of(plan)->sandbox)
        return 0;
    int r = ait_sandbox_prepare_child(params_of(plan)->sandbox, &plan->report->detail);
    if (r < 0)
        return r;
    plan->report->detail = "/dev/null";
    return renew_null(spawn_plan_of(plan)->null_fd);
}

RAW_CODE static int set_rlimits(struct exec_plan *plan)
{
    const struct spawn_params *params = params_of(plan);

    if (params->umask >= 0)
        (void)raw_call(SYS_umask, params->umask);
    for (size_t i = 0; i < params->n_rlimits; i++) {
        const struct rlimit *limit = &params->rlimits[i].limit;
        const uint64_t values[] = {limit->rlim_cur, limit->rlim_max};
        long r = raw_call(SYS_prlimit64, 0, params->rlimits[i].resource, values, NULL);
        if (r < 0)
            return (int)r;
    }
    return 0;
}

RAW_CODE static int set_nice(struct exec_plan *plan)
{
    if (!params_of(plan)->set_nice)
        return 0;
    return (int)raw_call(SYS_setpriority, PRIO_PROCESS, 0, params_of(plan)->nice);
}

/* While we may still lower it again: that is then forbidden below this value. */
RAW_CODE static int set_oom_score_adj(struct exec_plan *plan)
{
    const char *value = params_of(plan)->oom_score_adj;
    size_t n = 0;

    if (!value)
        return 0;
    while (value[n])
        n++;
    long fd = raw_call(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return (int)fd;
    long r = raw_call(SYS_write, fd, value, n);
    (void)raw_call(SYS_close, fd);
    return r < 0 ? (int)r : 0;
}

RAW_CODE static int set_groups(struct exec_plan *plan)
{
    const struct account *account = params_of(plan)->account;

    if (!plan->changes_credentials)
        return 0;
    return (int)raw_call(SYS_setgroups, account->n_groups, account->groups);
}

RAW_CODE static int set_gid(struct exec_plan *plan)
{
    if (!plan->changes_credentials)
        return 0;
    gid_t gid = params_of(plan)->account->gid;
    return (int)raw_call(SYS_setresgid, gid, gid, gid);
}

RAW_CODE static int set_uid(struct exec_plan *plan)
{
    if (!plan->changes_credentials)
        return 0;
    uid_t uid = params_of(plan)->account->uid;
    return (int)raw_call(SYS_setresuid, uid, uid, uid);
}

RAW_CODE static int finish_environment(struct exec_plan *plan)
{
    const struct spawn_environment *environment = params_of(plan)->environment;
    pid_t self = (pid_t)raw_call(SYS_getpid);

    if (environment->listen_pid)
        raw_write_number(environment->listen_pid, self);
    if (environment->watchdog_pid)
        raw_write_number(environment->watchdog_pid, self);
    return 0;
}

RAW_CODE static int enter_sandbox(struct exec_plan *plan)
{
    if (!params_of(plan)->sandbox)
        return 0;
    return ait_sandbox_enter_child(params_of(plan)->sandbox, spawn_plan_of(plan)->socket,
                                   &plan->report->detail);
}

RAW_CODE static int execute(struct exec_plan *plan)
{
    const ait_sandbox *sandbox = params_of(plan)->sandbox;

    if (sandbox)
        return ait_sandbox_execve(sandbox, plan->path, plan->argv, plan->envp);
    return exec_execute(plan);
}

/*
 * The order matters: descriptors while all are still ours; the sandbox's first half before they are
 * closed; limits while we have the privilege; the directory as the worker's user, so that its
 * permissions apply; and the sandbox's second half last.
 */
const exec_step spawn_steps[SPAWN_N_STEPS] = {
    [SPAWN_STEP_SESSION] = exec_start_session,
    [SPAWN_STEP_OOM] = set_oom_score_adj,
    [SPAWN_STEP_SIGNALS] = exec_reset_signals,
    [SPAWN_STEP_PREPARE_SANDBOX] = prepare_sandbox,
    [SPAWN_STEP_FDS] = exec_arrange_fds,
    [SPAWN_STEP_RLIMIT] = set_rlimits,
    [SPAWN_STEP_NICE] = set_nice,
    [SPAWN_STEP_GROUPS] = set_groups,
    [SPAWN_STEP_GID] = set_gid,
    [SPAWN_STEP_UID] = set_uid,
    [SPAWN_STEP_DIRECTORY] = exec_change_directory,
    [SPAWN_STEP_DEATH_SIGNAL] = exec_set_death_signal,
    [SPAWN_STEP_PARENT] = exec_check_parent,
    [SPAWN_STEP_ENVIRONMENT] = finish_environment,
    [SPAWN_STEP_UNBLOCK] = exec_unblock_signals,
    [SPAWN_STEP_SANDBOX] = enter_sandbox,
    [SPAWN_STEP_EXEC] = execute,
};
