/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The part of the sandbox that runs in the worker's process before exec: raw system calls only (raw.h). */

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "raw.h"
#include "sandbox.h"

RAW_CODE static bool keeps_everything(const struct sandbox_program *program)
{
    return program->keep_capabilities == UINT64_MAX;
}

/* Without CAP_SETPCAP the bounding set cannot be changed, nor does it matter: under no_new_privs an exec never
 * ends with more than was permitted before. */
RAW_CODE int sandbox_drop_bounding(const struct sandbox_program *program, const char **ret_step)
{
    *ret_step = "capability bounding set";
    if (keeps_everything(program))
        return 0;
    for (int cap = 0; cap < 64; cap++) {
        if (program->keep_capabilities >> cap & 1)
            continue;
        long r = raw_call(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (r == -EINVAL || r == -EPERM)
            return 0;
        if (r < 0)
            return (int)r;
    }
    return 0;
}

RAW_CODE static int limit_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    long r = raw_call(SYS_capget, &header, data);

    if (r < 0)
        return (int)r;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        uint32_t half = (uint32_t)(keep >> (32 * i));
        data[i].effective &= half;
        data[i].permitted &= half;
        data[i].inheritable = 0; /* and with it the ambient set */
    }
    return (int)raw_call(SYS_capset, &header, data);
}

RAW_CODE static int load_filter(const struct sock_filter *filter, size_t n, unsigned flags)
{
    struct sock_fprog prog = {.len = (unsigned short)n, .filter = (struct sock_filter *)filter};
    return (int)raw_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/* Where two filters give the same answer, the one loaded last decides whether it is logged. */
RAW_CODE static int load_filters(const struct sandbox_program *program)
{
    int r = load_filter(program->filter, program->n_filter, SECCOMP_FILTER_FLAG_LOG);
    if (r < 0 || program->n_quiet == 0)
        return r;
    return load_filter(program->quiet, program->n_quiet, 0);
}

RAW_CODE int sandbox_enter(const struct sandbox_program *program, const char **ret_step)
{
    int r = 0;

    if (program->preset == SANDBOX_PRESET_NONE)
        return 0;
    *ret_step = "capabilities";
    if (!keeps_everything(program))
        r = limit_capabilities(program->keep_capabilities);
    if (r < 0)
        return r;
    *ret_step = "no_new_privs";
    r = (int)raw_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (r < 0)
        return r;
    *ret_step = "seccomp filter";
    return load_filters(program);
}
