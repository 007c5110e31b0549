/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "policy.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
/* Newer than libseccomp 2.5.4; numbers above 423 are the same on every architecture. */
#define NUMBER_open_tree_attr 467

#define INT_MASK       UINT32_MAX
#define SOCK_TYPE_MASK 0xfu

#define DENY(name)                                                                                           \
    {                                                                                                        \
        .number = SCMP_SYS(name), .error = EPERM                                                             \
    }
#define ABSENT(name)                                                                                         \
    {                                                                                                        \
        .number = SCMP_SYS(name), .error = ENOSYS                                                            \
    }
#define DENY_IF(name, arg_, mask_, value_)                                                                   \
    {                                                                                                        \
        .number = SCMP_SYS(name), .error = EPERM, .match = { {(arg_), (mask_), (value_)} }                   \
    }
#define DENY_FLAG(name, arg_, flag_) DENY_IF(name, arg_, flag_, flag_)
#define DENY_SOCKET(domain, type)                                                                            \
    {                                                                                                        \
        .number = SCMP_SYS(socket), .error = EPERM, .match = {                                               \
            {0, INT_MASK, (domain)},                                                                         \
            {1, SOCK_TYPE_MASK, (type)}                                                                      \
        }                                                                                                    \
    }
#define DENY_NODE(name, arg, type) DENY_IF(name, arg, S_IFMT, type)

const struct policy_rule policy_service_rules[] = {
    /* Whole kernel interfaces behind one call, which no filter can look into: runtimes fall back. */
    ABSENT(io_uring_setup),
    ABSENT(io_uring_enter),
    ABSENT(io_uring_register),
    /* Its flags lie in memory: libc falls back to clone, whose flags can be seen. */
    ABSENT(clone3),

    /* Namespaces. */
    DENY_FLAG(clone, 0, CLONE_NEWNS),
    DENY_FLAG(clone, 0, CLONE_NEWCGROUP),
    DENY_FLAG(clone, 0, CLONE_NEWUTS),
    DENY_FLAG(clone, 0, CLONE_NEWIPC),
    DENY_FLAG(clone, 0, CLONE_NEWUSER),
    DENY_FLAG(clone, 0, CLONE_NEWPID),
    DENY_FLAG(clone, 0, CLONE_NEWNET),
    DENY_FLAG(unshare, 0, CLONE_NEWNS),
    DENY_FLAG(unshare, 0, CLONE_NEWCGROUP),
    DENY_FLAG(unshare, 0, CLONE_NEWUTS),
    DENY_FLAG(unshare, 0, CLONE_NEWIPC),
    DENY_FLAG(unshare, 0, CLONE_NEWUSER),
    DENY_FLAG(unshare, 0, CLONE_NEWPID),
    DENY_FLAG(unshare, 0, CLONE_NEWNET),
    DENY_FLAG(unshare, 0, CLONE_NEWTIME),
    DENY(setns),

    /* Typing into the terminal that somebody else will read. */
    DENY_IF(ioctl, 1, INT_MASK, TIOCSTI),
    DENY_IF(ioctl, 1, INT_MASK, TIOCLINUX),

    /* Raw packets, and kernel crypto. Netlink sockets are SOCK_RAW too, and stay: getaddrinfo needs them. */
    DENY_IF(socket, 0, INT_MASK, AF_PACKET),
    DENY_IF(socket, 0, INT_MASK, AF_XDP),
    DENY_IF(socket, 0, INT_MASK, AF_ALG),
    DENY_IF(socket, 1, SOCK_TYPE_MASK, SOCK_PACKET),
    DENY_SOCKET(AF_INET, SOCK_RAW),
    DENY_SOCKET(AF_INET6, SOCK_RAW),

    /* Other processes. */
    DENY(ptrace),
    DENY(process_vm_readv),
    DENY(process_vm_writev),
    DENY(pidfd_getfd),
    DENY(kcmp),
    DENY(perf_event_open),

    /* Programs inside the kernel, faults handled outside it, the kernel itself. */
    DENY(bpf),
    DENY(userfaultfd),
    DENY(init_module),
    DENY(finit_module),
    DENY(delete_module),
    DENY(create_module),
    DENY(query_module),
    DENY(get_kernel_syms),
    DENY(kexec_load),
    DENY(kexec_file_load),
    DENY(reboot),
    DENY(iopl),
    DENY(ioperm),

    DENY(add_key),
    DENY(keyctl),
    DENY(request_key),

    /* The file system's shape. */
    DENY(mount),
    DENY(umount),
    DENY(umount2),
    DENY(pivot_root),
    DENY(open_tree),
    {.number = NUMBER_open_tree_attr, .error = EPERM},
    DENY(move_mount),
    DENY(fsopen),
    DENY(fsconfig),
    DENY(fsmount),
    DENY(fspick),
    DENY(mount_setattr),
    DENY(chroot),
    DENY_NODE(mknod, 1, S_IFCHR),
    DENY_NODE(mknod, 1, S_IFBLK),
    DENY_NODE(mknodat, 2, S_IFCHR),
    DENY_NODE(mknodat, 2, S_IFBLK),
    DENY(open_by_handle_at),
    DENY(swapon),
    DENY(swapoff),
    DENY(quotactl),
    DENY(quotactl_fd),
    DENY(acct),

    /* The machine's clock and names. */
    DENY(settimeofday),
    DENY(stime),
    DENY(clock_settime),
    DENY(clock_settime64),
    DENY(adjtimex),
    DENY(clock_adjtime),
    DENY(clock_adjtime64),
    DENY(sethostname),
    DENY(setdomainname),
};
const size_t policy_service_n_rules = sizeof(policy_service_rules) / sizeof(policy_service_rules[0]);

/* PER_LINUX, PER_LINUX32, each with UNAME26, and the question what it is. Others weaken the address space. */
static const uint32_t harmless_personalities[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff};

const struct policy_allowed_values policy_service_values[] = {
    {
        .number = SCMP_SYS(personality),
        .error = EPERM,
        .arg = 0,
        .values = harmless_personalities,
        .n_values = sizeof(harmless_personalities) / sizeof(harmless_personalities[0]),
    },
};
const size_t policy_service_n_values = sizeof(policy_service_values) / sizeof(policy_service_values[0]);

#define CAP(name) (UINT64_C(1) << CAP_##name)
const uint64_t policy_service_capabilities = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FOWNER) | CAP(FSETID) |
                                             CAP(KILL) | CAP(SETGID) | CAP(SETUID) | CAP(SETPCAP) |
                                             CAP(NET_BIND_SERVICE) | CAP(IPC_LOCK) | CAP(SYS_NICE) |
                                             CAP(SYS_RESOURCE) | CAP(AUDIT_WRITE);

static bool in_prefix(const uint32_t *values, size_t n_values, uint32_t mask, uint32_t prefix)
{
    for (size_t i = 0; i < n_values; i++)
        if ((values[i] & mask) == prefix)
            return true;
    return false;
}

/* Each value that is let through is a path of 32 bits; whatever leaves all of these paths at a bit is one
 * prefix of the cover. Paths that share a beginning must not name the same prefix twice. */
int policy_for_other_values(const uint32_t *values, size_t n_values,
                            int (*fn)(uint32_t mask, uint32_t value, void *userdata), void *userdata)
{
    for (size_t i = 0; i < n_values; i++)
        for (int bit = 31; bit >= 0; bit--) {
            uint32_t mask = UINT32_MAX << bit;
            uint32_t sibling = (values[i] & mask) ^ (UINT32_C(1) << bit);
            if (in_prefix(values, n_values, mask, sibling) ||
                in_prefix(values, i, mask, sibling ^ (UINT32_C(1) << bit)))
                continue;
            int r = fn(mask, sibling, userdata);
            if (r < 0)
                return r;
        }
    return 0;
}
