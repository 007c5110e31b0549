/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connect-filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "architecture.h"

#define X32_BIT        0x40000000U
#define AF_SMC_        43
#define IPPROTO_MPTCP_ 262

static const struct {
    uint32_t number;
    uint32_t arg;  /* its lower half is what the kernel reads */
    uint32_t test; /* BPF_JEQ: equal to value; BPF_JSET: has one of its bits; BPF_JGE: at least */
    uint32_t value;
    int error;
} ways_around[] = {
    {SYS_socket, 2, BPF_JEQ, IPPROTO_MPTCP_, EPROTONOSUPPORT},
    {SYS_socket, 0, BPF_JEQ, AF_SMC_, EAFNOSUPPORT},
    {SYS_sendto, 3, BPF_JSET, MSG_FASTOPEN, EOPNOTSUPP},
    {SYS_sendmsg, 2, BPF_JSET, MSG_FASTOPEN, EOPNOTSUPP},
    {SYS_sendmmsg, 3, BPF_JSET, MSG_FASTOPEN, EOPNOTSUPP},
    {SYS_io_uring_setup, 0, BPF_JGE, 0, ENOSYS},
};
#define N_WAYS (sizeof(ways_around) / sizeof(ways_around[0]))

#define HEAD_SIZE 6
#define WAY_SIZE  5
_Static_assert(HEAD_SIZE + N_WAYS * WAY_SIZE + 1 <= CONNECT_FILTER_MAX, "the filter fits");

#define PUT(...) (ret[n++] = (struct sock_filter)__VA_ARGS__)

static uint32_t arg_offset(uint32_t arg)
{
    return (uint32_t)(offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t));
}

size_t connect_filter_make(struct sock_filter ret[CONNECT_FILTER_MAX], bool lenient)
{
    size_t n = 0;

    PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0));
    PUT(BPF_STMT(BPF_RET | BPF_K, lenient ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS));
    PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    PUT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    for (size_t i = 0; i < N_WAYS; i++) {
        PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
        PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ways_around[i].number, 0, 3));
        PUT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg_offset(ways_around[i].arg)));
        PUT(BPF_JUMP(BPF_JMP | ways_around[i].test | BPF_K, ways_around[i].value, 0, 1));
        PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)ways_around[i].error));
    }
    PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return n;
}
