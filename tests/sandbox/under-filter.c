/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"
#include "under-filter.h"

struct shared {
    int load;
    size_t made;
    struct made_call calls[];
};

static void make(struct shared *shared, const struct sock_fprog *program, size_t n_calls)
{
    const struct rlimit no_core = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(SIGSYS, SIG_DFL); /* cmocka has a handler */
    shared->load = -EIO;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        shared->load = (int)raw_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program);
    for (size_t i = 0; i < n_calls && shared->load == 0; i++) {
        struct made_call *call = &shared->calls[i];
        call->result =
            raw_syscall(call->number, (long)call->args[0], (long)call->args[1], (long)call->args[2],
                        (long)call->args[3], (long)call->args[4], (long)call->args[5]);
        __atomic_store_n(&shared->made, i + 1, __ATOMIC_RELEASE);
    }
    (void)raw_call(SYS_exit_group, 0);
    for (;;)
        __builtin_trap();
}

int calls_under_filter(const struct sock_filter *program, size_t n, struct made_call *calls,
                       size_t n_calls, size_t *ret_made)
{
    const struct sock_fprog fprog = {(unsigned short)n, (struct sock_filter *)program};
    size_t size = sizeof(struct shared) + n_calls * sizeof(*calls);
    struct shared *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;

    if (shared == MAP_FAILED)
        return -errno;
    memcpy(shared->calls, calls, n_calls * sizeof(*calls));
    pid_t pid = fork();
    if (pid == 0)
        make(shared, &fprog, n_calls);
    int r = pid < 0 || waitpid(pid, &status, 0) != pid ? -errno : shared->load;
    memcpy(calls, shared->calls, n_calls * sizeof(*calls));
    *ret_made = shared->made;
    (void)munmap(shared, size);
    if (r < 0)
        return r;
    return *ret_made < n_calls && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int call_under_filter(const struct sock_filter *program, size_t n, long number,
                      const uint64_t args[6], long *ret_result)
{
    struct made_call call = {.number = number};
    size_t made;

    if (args)
        memcpy(call.args, args, sizeof(call.args));
    int r = calls_under_filter(program, n, &call, 1, &made);
    if (r == 0)
        *ret_result = call.result;
    return r;
}
