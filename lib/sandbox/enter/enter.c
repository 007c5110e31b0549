/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The part of the sandbox that runs in the process it is for: raw system calls only (raw.h). */

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "sandbox.h"
#include "raw.h"

static const char STEP_LISTENER_BUSY[] =
    "seccomp listener: another one is in force (is this a sandbox inside a sandbox that explains?)";

/* ---- first half ------------------------------------------------------------------------------ */

/*
 * Without CAP_SETPCAP the bounding set cannot be changed. It does not matter then: under
 * no_new_privs an exec never gains privileges.
 */
RAW_CODE static int drop_bounding(uint64_t keep)
{
    for (int cap = 0; cap < 64; cap++) {
        if (keep >> cap & 1)
            continue;
        long r = raw_call(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (r == -EINVAL || r == -EPERM)
            return 0;
        if (r < 0)
            return (int)r;
    }
    return 0;
}

RAW_CODE static int restrict_files(const struct ait_sandbox *s)
{
    if (s->ruleset < 0)
        return 0;
    return (int)raw_call(SYS_landlock_restrict_self, s->ruleset, s->restrict_flags);
}

AIT_PUBLIC RAW_CODE int ait_sandbox_prepare_child(const ait_sandbox *sandbox, const char **ret_step)
{
    const char *step = "mount namespace";
    int r = mounts_enter(&sandbox->mounts);

    if (r >= 0) {
        step = "capability bounding set";
        r = drop_bounding(sandbox->capabilities);
    }
    if (r >= 0) {
        step = "no_new_privs";
        r = (int)raw_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    }
    if (r >= 0) {
        step = "Landlock";
        r = restrict_files(sandbox);
    }
    if (r < 0 && ret_step)
        *ret_step = step;
    return r;
}

/* ---- second half ----------------------------------------------------------------------------- */

/* Capabilities that are no longer inheritable leave the ambient set as well. */
RAW_CODE static int limit_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    long r;

    if (keep == UINT64_MAX)
        return 0;
    r = raw_call(SYS_capget, &header, data);
    if (r < 0)
        return (int)r;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        uint32_t half = (uint32_t)(keep >> (32 * i));
        data[i].effective &= half;
        data[i].permitted &= half;
        data[i].inheritable &= half;
    }
    return (int)raw_call(SYS_capset, &header, data);
}

/* Returns the listener if the flags ask for one. */
RAW_CODE static int load(const struct ait_sandbox *s, const struct sock_filter *filter, size_t n,
                         unsigned flags)
{
    struct sock_fprog program = {.len = (unsigned short)n, .filter = (struct sock_filter *)filter};

    return (int)raw_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program, 0, 0,
                         s->filter.exec_key);
}

/* The kernel reads 32 bits of the descriptor's number; the others say that it is us. */
RAW_CODE static int send_listener(const struct ait_sandbox *s, int socket, int listener)
{
    char byte = 'L';
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    uint64_t first = (uint64_t)s->filter.send_key << 32 | (uint32_t)socket;

    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    *(int *)(void *)CMSG_DATA(&control.header) = listener;
    long r = raw_call(SYS_sendmsg, first, &message, MSG_NOSIGNAL);
    return r < 0 ? (int)r : 0;
}

/*
 * From here on, calls may wait for an answer from the process that gets the listener. Before an
 * exec our copy is left to the exec to close.
 */
RAW_CODE static int hand_over(const struct ait_sandbox *s, int socket, int listener)
{
    int r = send_listener(s, socket, listener);

    if (r < 0 || !(s->flags & AIT_SANDBOX_EXEC))
        (void)raw_call(SYS_close, listener, 0, 0, 0, 0, s->filter.exec_key);
    return r;
}

/*
 * Before the filter: after it, a child whose listener was not taken could hang in every call, even
 * in its exit.
 */
RAW_CODE static int check_socket(int socket)
{
    char byte;
    long r = raw_call(SYS_recvfrom, socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);

    if (r == 0)
        return -EPIPE;
    return r < 0 && r != -EAGAIN ? (int)r : 0;
}

RAW_CODE static int load_and_listen(const struct ait_sandbox *s, int socket, const char **step)
{
    *step = "handing over the listener";
    int r = check_socket(socket);
    if (r < 0)
        return r;
    *step = "seccomp listener";
    int listener = load(s, s->filter.program, s->filter.n, s->filter_flags);
    if (listener == -EBUSY)
        *step = STEP_LISTENER_BUSY;
    if (listener < 0)
        return listener;
    *step = "handing over the listener";
    return hand_over(s, socket, listener);
}

/*
 * If two filters give the same answer, the one loaded last decides whether it is logged. Intended
 * ENOSYS is not.
 */
RAW_CODE static int load_main(const struct ait_sandbox *s, const char **step)
{
    *step = "seccomp filter";
    int r = load(s, s->filter.program, s->filter.n, s->filter_flags);
    if (r < 0 || s->filter.n_quiet == 0)
        return r;
    *step = "seccomp filter for calls that do not exist";
    return load(s, s->filter.quiet, s->filter.n_quiet, 0);
}

RAW_CODE static int load_filters(const struct ait_sandbox *s, int socket, const char **step)
{
    int r = 0;

    *step = "seccomp filter for connections";
    if (s->n_connect_filter > 0)
        r = load(s, s->connect_filter, s->n_connect_filter, SECCOMP_FILTER_FLAG_LOG);
    if (r < 0 || !s->filter.program)
        return r;
    return filter_listens(s->deny) ? load_and_listen(s, socket, step) : load_main(s, step);
}

AIT_PUBLIC RAW_CODE int ait_sandbox_enter_child(const ait_sandbox *sandbox, int socket,
                                                const char **ret_step)
{
    const char *step = "capabilities";
    int r = limit_capabilities(sandbox->capabilities);

    if (r >= 0)
        r = load_filters(sandbox, socket, &step);
    if (r < 0 && ret_step)
        *ret_step = step;
    return r;
}

AIT_PUBLIC RAW_CODE int ait_sandbox_execve(const ait_sandbox *sandbox, const char *path,
                                           char *const argv[], char *const envp[])
{
    return (int)raw_call(SYS_execve, path, argv, envp, 0, 0, sandbox->filter.exec_key);
}
