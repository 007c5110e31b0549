/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The presets as tables: what service and strict always deny, by every route and with noise in the
 * upper halves, and what ordinary servers need.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "policy-check.h"
#include "policy/parse.h"
#include "syscalls/syscalls.h"

#define HIGH   (UINT64_C(0xdeadbeef) << 32)
#define EPERM_ "errno(EPERM)"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#define THREAD                                                                                     \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |            \
     CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
#define FORK (CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | 17)

static ait_policy *preset(const char *name)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;

    if (ait_policy_from_preset(&policy, name, &problem) < 0)
        fail_msg("%s:%u:%u: %s", problem.file, problem.line, problem.column, problem.message);
    return policy;
}

/* ---- never ----------------------------------------------------------------------------------- */

/* Whatever the arguments are. */
static const char *const never[] = {
    "setns",
    "bpf",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "perf_event_open",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "query_module",
    "get_kernel_syms",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "open_tree",
    "open_tree_attr",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "chroot",
    "open_by_handle_at",
    "reboot",
    "swapon",
    "swapoff",
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_settime64",
    "adjtimex",
    "clock_adjtime",
    "clock_adjtime64",
    "sethostname",
    "setdomainname",
    "acct",
    "quotactl",
    "quotactl_fd",
    "iopl",
    "ioperm",
    "lookup_dcookie",
    "modify_ldt",
    "vm86",
    "vm86old",
    "nfsservctl",
    "syslog",
    "vhangup",
    "uselib",
    "_sysctl",
};

static const char *const absent[] = {"io_uring_setup", "io_uring_enter", "io_uring_register",
                                     "clone3"};

static const uint64_t noise[][6] = {
    {0},
    {1, 1, 1, 1, 1, 1},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
    {HIGH, HIGH, HIGH, HIGH, HIGH, HIGH},
};

static const struct call_row denied[] = {
    /* Namespaces, alone, together, and among flags that are harmless. */
    {"clone", {CLONE_NEWUSER}, EPERM_},
    {"clone", {CLONE_NEWNS}, EPERM_},
    {"clone", {CLONE_NEWCGROUP}, EPERM_},
    {"clone", {CLONE_NEWUTS}, EPERM_},
    {"clone", {CLONE_NEWIPC}, EPERM_},
    {"clone", {CLONE_NEWPID}, EPERM_},
    {"clone", {CLONE_NEWNET}, EPERM_},
    {"clone", {CLONE_NEWUSER | CLONE_NEWNET | FORK}, EPERM_},
    {"clone", {CLONE_NEWUSER | THREAD}, EPERM_},
    {"clone", {HIGH | CLONE_NEWUSER | 17}, EPERM_},
    {"clone", {UINT64_MAX}, EPERM_},
    {"unshare", {CLONE_NEWUSER}, EPERM_},
    {"unshare", {CLONE_NEWNS}, EPERM_},
    {"unshare", {CLONE_NEWCGROUP}, EPERM_},
    {"unshare", {CLONE_NEWUTS}, EPERM_},
    {"unshare", {CLONE_NEWIPC}, EPERM_},
    {"unshare", {CLONE_NEWPID}, EPERM_},
    {"unshare", {CLONE_NEWNET}, EPERM_},
    {"unshare", {CLONE_NEWTIME}, EPERM_},
    {"unshare", {CLONE_NEWUSER | CLONE_NEWNS | CLONE_FS}, EPERM_},
    {"unshare", {HIGH | CLONE_NEWUSER}, EPERM_},
    /* Typing into terminals. */
    {"ioctl", {0, TIOCSTI}, EPERM_},
    {"ioctl", {0, HIGH | TIOCSTI}, EPERM_},
    {"ioctl", {0, (UINT64_C(1) << 32) | TIOCSTI}, EPERM_},
    {"ioctl", {0, (UINT64_C(1) << 63) | TIOCSTI}, EPERM_},
    {"ioctl", {HIGH, TIOCSTI, HIGH}, EPERM_},
    {"ioctl", {0, TIOCLINUX}, EPERM_},
    {"ioctl", {0, HIGH | TIOCLINUX}, EPERM_},
    /* Raw and packet sockets, the kernel's cryptography. */
    {"socket", {AF_PACKET, SOCK_RAW}, EPERM_},
    {"socket", {AF_PACKET, SOCK_DGRAM}, EPERM_},
    {"socket", {AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC}, EPERM_},
    {"socket", {HIGH | AF_PACKET, HIGH | SOCK_RAW, HIGH}, EPERM_},
    {"socket", {AF_INET, SOCK_RAW}, EPERM_},
    {"socket", {AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP}, EPERM_},
    {"socket", {AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW}, EPERM_},
    {"socket", {AF_INET, HIGH | SOCK_RAW}, EPERM_},
    {"socket", {HIGH | AF_INET, SOCK_RAW}, EPERM_},
    {"socket", {AF_INET6, SOCK_RAW}, EPERM_},
    {"socket", {AF_INET6, SOCK_RAW | SOCK_CLOEXEC}, EPERM_},
    {"socket", {HIGH | AF_INET6, HIGH | SOCK_RAW}, EPERM_},
    {"socket", {AF_INET, SOCK_PACKET}, EPERM_},
    {"socket", {AF_UNIX, HIGH | SOCK_CLOEXEC | SOCK_PACKET}, EPERM_},
    {"socket", {AF_ALG, SOCK_SEQPACKET}, EPERM_},
    {"socket", {HIGH | AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC}, EPERM_},
    {"socket", {AF_VSOCK, SOCK_STREAM}, EPERM_},
    {"socket", {43 /* AF_SMC */, SOCK_STREAM}, EPERM_},
    {"socket", {AF_INET6, SOCK_STREAM, HIGH | 256 /* IPPROTO_SMC */}, EPERM_},
    {"socket", {44 /* AF_XDP */, SOCK_RAW}, EPERM_},
    {"socket", {HIGH | 44, SOCK_DGRAM}, EPERM_},
    /* Devices. */
    {"mknod", {0, S_IFCHR | 0666}, EPERM_},
    {"mknod", {0, S_IFBLK | 0600}, EPERM_},
    {"mknod", {0, HIGH | S_IFCHR}, EPERM_},
    {"mknod", {0, 0x10000 | S_IFCHR}, EPERM_},
    {"mknodat", {0, 0, S_IFCHR | 0666}, EPERM_},
    {"mknodat", {HIGH, HIGH, HIGH | S_IFBLK}, EPERM_},
    /* Personalities that weaken the address space. */
    {"personality", {0x0040000}, EPERM_},
    {"personality", {0x0040008}, EPERM_},
    {"personality", {0x0400000}, EPERM_},
    {"personality", {0x0100000}, EPERM_},
    {"personality", {0x0200000}, EPERM_},
    {"personality", {0x8000000}, EPERM_},
    {"personality", {HIGH | 0x0040000}, EPERM_},
    {"personality", {0xfffffffe}, EPERM_},
    {"personality", {6}, EPERM_},
    /* What a worker leaves on a socket for the next one; whatever socket it is. */
    {"setsockopt", {3, SOL_SOCKET, SO_LOCK_FILTER}, EPERM_},
    {"setsockopt", {1000, SOL_SOCKET, SO_LOCK_FILTER, 1, 4}, EPERM_},
    {"setsockopt", {HIGH | 3, HIGH | SOL_SOCKET, HIGH | SO_LOCK_FILTER}, EPERM_},
    {"setsockopt", {3, SOL_SOCKET, SO_ATTACH_BPF}, EPERM_},
    {"setsockopt", {3, SOL_SOCKET, 52 /* SO_ATTACH_REUSEPORT_EBPF */}, EPERM_},
    {"setsockopt", {3, SOL_SOCKET, SO_BINDTODEVICE}, EPERM_},
    {"setsockopt", {3, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */}, EPERM_},
    {"setsockopt", {3, IPPROTO_IP, IP_OPTIONS}, EPERM_},
    {"setsockopt", {3, IPPROTO_IP, IP_MINTTL}, EPERM_},
    {"setsockopt", {3, IPPROTO_IP, HIGH | IP_XFRM_POLICY}, EPERM_},
    {"setsockopt", {3, IPPROTO_IP, IP_IPSEC_POLICY}, EPERM_},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_ADDRFORM}, EPERM_},
    {"setsockopt", {3, IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */}, EPERM_},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_IPSEC_POLICY}, EPERM_},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_XFRM_POLICY}, EPERM_},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_HOPOPTS}, EPERM_},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_RTHDR}, EPERM_},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_DSTOPTS}, EPERM_},
    {"setsockopt", {3, IPPROTO_TCP, TCP_MD5SIG}, EPERM_},
    {"setsockopt", {3, IPPROTO_TCP, 32 /* TCP_MD5SIG_EXT */}, EPERM_},
    {"setsockopt", {3, HIGH | IPPROTO_TCP, 38 /* TCP_AO_ADD_KEY */}, EPERM_},
    {"setsockopt", {3, IPPROTO_TCP, 40 /* TCP_AO_INFO */}, EPERM_},
    {"setsockopt", {3, IPPROTO_TCP, TCP_REPAIR}, EPERM_},
    {"setsockopt", {3, IPPROTO_UDP, UDP_ENCAP}, EPERM_},
};

static void check_never(const char *what, const ait_policy *policy, const char *const *names,
                        size_t n_names, const char *action)
{
    for (size_t i = 0; i < n_names; i++)
        for (size_t k = 0; k < ELEMENTS(noise); k++) {
            struct call_row row = {.name = names[i], .action = action};
            memcpy(row.args, noise[k], sizeof(row.args));
            check_calls(what, policy, &row, 1);
        }
}

static void test_always_denied(void **unused)
{
    static const char *const names[] = {"service", "strict"};

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        ait_policy *policy = preset(names[i]);
        check_never(names[i], policy, never, ELEMENTS(never), EPERM_);
        check_never(names[i], policy, absent, ELEMENTS(absent), "enosys");
        check_calls(names[i], policy, denied, ELEMENTS(denied));
        ait_policy_unref(policy);
    }
}

/* Also where somebody includes it who allows all that he does not name. */
static void test_denied_by_name(void **unused)
{
    static const char *const by_fallback[] = {"syslog", "vhangup", "uselib", "_sysctl",
                                              "nfsservctl"};
    ait_policy *policy = parse(P "default allow\ninclude service\n");

    check_calls("default allow", policy, denied, ELEMENTS(denied));
    check_never("default allow", policy, absent, ELEMENTS(absent), "enosys");
    for (size_t i = 0; i < ELEMENTS(never); i++) {
        bool left = false;
        for (size_t k = 0; k < ELEMENTS(by_fallback); k++)
            left |= !strcmp(never[i], by_fallback[k]);
        if (!left)
            check_never("default allow", policy, &never[i], 1, EPERM_);
    }
    ait_policy_unref(policy);
}

static void test_newer_than_known(void **unused)
{
    ait_policy *policy = preset("service");
    uint64_t args[6] = {0};
    ait_policy_action action = ait_policy_evaluate(policy, ait_syscall_newest() + 1, args);

    assert_int_equal(action.kind, AIT_POLICY_ERRNO);
    assert_int_equal(action.error, ENOSYS);
    assert_int_equal(ait_policy_fallback(policy).kind, AIT_POLICY_ERRNO);
    assert_int_equal(ait_policy_fallback(policy).error, EPERM);
    ait_policy_unref(policy);
}

/* ---- service --------------------------------------------------------------------------------- */

static bool is_in(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

struct member_check {
    const ait_policy *policy;
    unsigned n_allowed;
};

static int check_member(int number, void *userdata)
{
    static const char *const guarded[] = {"personality", "prlimit64"};
    struct member_check *check = userdata;
    const char *name = ait_syscall_name(number);
    uint64_t args[6] = {0};

    if (is_in(name, never, ELEMENTS(never)) || is_in(name, absent, ELEMENTS(absent)))
        return 0;
    for (size_t k = 0; k < (is_in(name, guarded, ELEMENTS(guarded)) ? 1 : ELEMENTS(noise) - 2);
         k++) {
        memcpy(args, noise[k], sizeof(args));
        if (ait_policy_evaluate(check->policy, number, args).kind != AIT_POLICY_ALLOW)
            fail_msg("%s is of @system-service, and denied", name);
    }
    check->n_allowed++;
    return 0;
}

/* What systemd gives a service stays, but for what is denied above. */
static void test_like_system_service(void **unused)
{
    struct member_check check = {.policy = preset("service")};

    assert_int_equal(syscall_group_expand("@system-service", check_member, &check), 0);
    assert_true(check.n_allowed > 230);
    ait_policy_unref((ait_policy *)check.policy);
}

static const struct call_row needed[] = {
    /* Threads, children, popen. */
    {"clone", {THREAD}, "allow"},
    {"clone", {FORK}, "allow"},
    {"clone", {CLONE_VM | CLONE_VFORK | 17}, "allow"},
    {"clone", {0x1000 /* CLONE_PIDFD */ | 17}, "allow"},
    {"vfork", {0}, "allow"},
    {"execve", {0}, "allow"},
    {"execveat", {0}, "allow"},
    {"wait4", {0}, "allow"},
    {"waitid", {0}, "allow"},
    {"pidfd_open", {0}, "allow"},
    {"pidfd_send_signal", {0}, "allow"},
    {"pipe2", {0}, "allow"},
    {"kill", {0}, "allow"},
    {"tgkill", {0}, "allow"},
    {"unshare", {CLONE_FILES}, "allow"},
    {"unshare", {CLONE_FS}, "allow"},
    {"set_robust_list", {0}, "allow"},
    {"rseq", {0}, "allow"},
    {"membarrier", {0}, "allow"},
    {"futex", {0}, "allow"},
    {"futex_wait", {0}, "allow"},
    {"futex_waitv", {0}, "allow"},
    /* Names: netlink, DNS, nscd. */
    {"socket", {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC}, "allow"},
    {"socket", {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK}, "allow"},
    {"socket", {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, "allow"},
    {"socket", {AF_INET6, SOCK_STREAM}, "allow"},
    {"socket", {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}, "allow"},
    {"socketpair", {AF_UNIX, SOCK_SEQPACKET}, "allow"},
    {"sendmmsg", {0}, "allow"},
    {"recvmmsg", {0}, "allow"},
    {"accept4", {0}, "allow"},
    {"setsockopt", {0}, "allow"},
    /* Of sockets, what nginx, haproxy, Knot, gunicorn, Node, Go, tokio, redis and postgres set. */
    {"setsockopt", {3, SOL_SOCKET, SO_REUSEADDR}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_REUSEPORT}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_KEEPALIVE}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_LINGER}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_RCVBUF}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_SNDBUF}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_RCVTIMEO}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_MARK}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_PRIORITY}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_BROADCAST}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_PASSCRED}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_TIMESTAMP}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_BUSY_POLL}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_INCOMING_CPU}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_ZEROCOPY}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_ATTACH_FILTER}, "allow"}, /* libudev's monitor */
    {"setsockopt", {3, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_TOS}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_TTL}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_PKTINFO}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_TRANSPARENT}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_FREEBIND}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_MTU_DISCOVER}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_RECVERR}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_ADD_MEMBERSHIP}, "allow"},
    {"setsockopt", {3, IPPROTO_IP, IP_MULTICAST_TTL}, "allow"},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_V6ONLY}, "allow"},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_RECVPKTINFO}, "allow"},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_TCLASS}, "allow"},
    {"setsockopt", {3, IPPROTO_IPV6, IPV6_UNICAST_HOPS}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_NODELAY}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_CORK}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_MAXSEG}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_QUICKACK}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_DEFER_ACCEPT}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_FASTOPEN}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_CONGESTION}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_KEEPIDLE}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_KEEPINTVL}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_KEEPCNT}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_USER_TIMEOUT}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_NOTSENT_LOWAT}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_LINGER2}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_ULP}, "allow"}, /* TLS of the kernel */
    {"setsockopt", {3, IPPROTO_UDP, UDP_SEGMENT}, "allow"},
    {"setsockopt", {3, IPPROTO_UDP, UDP_GRO}, "allow"},
    {"bind", {0}, "allow"},
    {"listen", {0}, "allow"},
    {"connect", {0}, "allow"},
    /* Another user, as nginx, uwsgi and gunicorn become one. */
    {"setuid", {0}, "allow"},
    {"setgid", {0}, "allow"},
    {"setgroups", {0}, "allow"},
    {"setresuid", {0}, "allow"},
    {"setresgid", {0}, "allow"},
    {"setfsuid", {0}, "allow"},
    {"setsid", {0}, "allow"},
    {"chown", {0}, "allow"},
    {"fchown", {0}, "allow"},
    {"fchownat", {0}, "allow"},
    {"lchown", {0}, "allow"},
    {"capset", {0}, "allow"},
    {"capget", {0}, "allow"},
    {"prctl", {PR_SET_KEEPCAPS}, "allow"},
    {"prctl", {PR_SET_NAME}, "allow"},
    {"prctl", {PR_SET_DUMPABLE}, "allow"},
    {"prctl", {PR_SET_NO_NEW_PRIVS}, "allow"},
    {"seccomp", {1}, "allow"},
    {"landlock_restrict_self", {0}, "allow"},
    /* Loops of events. */
    {"epoll_create1", {0}, "allow"},
    {"epoll_pwait2", {0}, "allow"},
    {"eventfd2", {0}, "allow"},
    {"timerfd_create", {0}, "allow"},
    {"signalfd4", {0}, "allow"},
    {"inotify_init1", {0}, "allow"},
    {"inotify_add_watch", {0}, "allow"},
    {"io_setup", {0}, "allow"},
    {"io_submit", {0}, "allow"},
    /* Memory of runtimes. */
    {"mmap", {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS}, "allow"},
    {"mprotect", {0, 4096, PROT_READ | PROT_EXEC}, "allow"},
    {"pkey_alloc", {0}, "allow"},
    {"pkey_mprotect", {0}, "allow"},
    {"memfd_create", {0}, "allow"},
    {"madvise", {0}, "allow"},
    {"mincore", {0}, "allow"},
    {"mremap", {0}, "allow"},
    {"mlockall", {0}, "allow"},
    {"mseal", {0}, "allow"},
    {"map_shadow_stack", {0}, "allow"},
    {"get_mempolicy", {0}, "allow"},
    {"mbind", {0}, "allow"},
    {"process_madvise", {0}, "allow"},
    /* Scheduling and limits. */
    {"sched_setaffinity", {0}, "allow"},
    {"sched_getaffinity", {0}, "allow"},
    {"sched_setscheduler", {0}, "allow"},
    {"sched_setattr", {0}, "allow"},
    {"sched_yield", {0}, "allow"},
    {"setpriority", {0}, "allow"},
    {"setpriority", {1}, "allow"},
    {"setpriority", {2}, EPERM_},
    {"ioprio_set", {1}, "allow"},
    {"ioprio_set", {2}, "allow"},
    {"ioprio_set", {3}, EPERM_},
    {"prlimit64", {0}, "allow"},
    {"prlimit64", {0, 7, 1, 0}, "allow"},
    {"prlimit64", {1, 7, 0, 1}, "allow"},
    {"prlimit64", {1, 7, 1, 0}, EPERM_},
    {"setrlimit", {0}, "allow"},
    {"getrusage", {0}, "allow"},
    {"sysinfo", {0}, "allow"},
    /* Files. */
    {"openat", {0}, "allow"},
    {"openat2", {0}, "allow"},
    {"statx", {0}, "allow"},
    {"fchmodat2", {0}, "allow"},
    {"sendfile", {0}, "allow"},
    {"splice", {0}, "allow"},
    {"copy_file_range", {0}, "allow"},
    {"close_range", {0}, "allow"},
    {"flock", {0}, "allow"},
    {"mknod", {0, S_IFIFO | 0600}, "allow"},
    {"mknod", {0, S_IFSOCK | 0600}, "allow"},
    {"mknodat", {0, 0, S_IFREG | 0600}, "allow"},
    {"name_to_handle_at", {0}, "allow"},
    {"shmget", {0}, "allow"},
    {"semop", {0}, "allow"},
    {"mq_open", {0}, "allow"},
    {"ioctl", {0, FIONBIO}, "allow"},
    {"ioctl", {0, TCGETS}, "allow"},
    {"ioctl", {0, TIOCGWINSZ}, "allow"},
    {"ioctl", {0, TIOCSTI + 1}, "allow"},
    {"ioctl", {TIOCSTI, 0, TIOCSTI}, "allow"},
    {"personality", {0}, "allow"},
    {"personality", {8}, "allow"},
    {"personality", {0x20000}, "allow"},
    {"personality", {0x20008}, "allow"},
    {"personality", {0xffffffff}, "allow"},
    {"personality", {UINT64_MAX}, "allow"},
};

static void test_needed(void **unused)
{
    ait_policy *policy = preset("service");

    check_calls("service", policy, needed, ELEMENTS(needed));
    ait_policy_unref(policy);
}

/* ---- strict ---------------------------------------------------------------------------------- */

static const struct call_row strict_rows[] = {
    {"read", {0}, "allow"},
    {"writev", {0}, "allow"},
    {"accept4", {0}, "allow"},
    {"sendmsg", {0}, "allow"},
    {"recvfrom", {0}, "allow"},
    {"shutdown", {0}, "allow"},
    {"epoll_pwait", {0}, "allow"},
    {"timerfd_settime", {0}, "allow"},
    {"close", {0}, "allow"},
    {"mmap", {0}, "allow"},
    {"futex", {0}, "allow"},
    {"fstat", {0}, "allow"},
    {"newfstatat", {0}, "allow"},
    {"clone", {THREAD}, "allow"},
    {"rt_sigaction", {0}, "allow"},
    {"rt_sigreturn", {0}, "allow"},
    {"exit_group", {0}, "allow"},
    {"getrandom", {0}, "allow"},
    {"rseq", {0}, "allow"},
    {"ioctl", {0, FIONBIO}, "allow"},
    {"prctl", {PR_SET_NAME}, "allow"},
    {"prlimit64", {0, 7, 0, 1}, "allow"},
    {"clone", {FORK}, EPERM_},
    {"clone", {17}, EPERM_},
    {"clone", {THREAD | CLONE_NEWNET}, EPERM_},
    {"vfork", {0}, EPERM_},
    {"fork", {0}, EPERM_},
    {"execve", {0}, EPERM_},
    {"execveat", {0}, EPERM_},
    {"socket", {AF_UNIX, SOCK_STREAM}, EPERM_},
    {"socket", {AF_INET, SOCK_STREAM}, EPERM_},
    {"socketpair", {AF_UNIX, SOCK_STREAM}, EPERM_},
    {"setsockopt", {3, IPPROTO_TCP, TCP_NODELAY}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_KEEPALIVE}, "allow"},
    {"setsockopt", {3, IPPROTO_TCP, TCP_ULP}, "allow"},
    {"setsockopt", {3, SOL_SOCKET, SO_ATTACH_FILTER}, EPERM_},
    {"setsockopt", {3, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF}, EPERM_},
    {"setsockopt", {3, SOL_SOCKET, 68 /* SO_DETACH_REUSEPORT_BPF */}, EPERM_},
    {"connect", {0}, EPERM_},
    {"bind", {0}, EPERM_},
    {"open", {0}, EPERM_},
    {"openat", {0}, EPERM_},
    {"openat2", {0}, EPERM_},
    {"creat", {0}, EPERM_},
    {"unlink", {0}, EPERM_},
    {"unlinkat", {0}, EPERM_},
    {"rename", {0}, EPERM_},
    {"renameat2", {0}, EPERM_},
    {"mkdir", {0}, EPERM_},
    {"chmod", {0}, EPERM_},
    {"fchmodat2", {0}, EPERM_},
    {"setuid", {0}, EPERM_},
    {"setresuid", {0}, EPERM_},
    {"capset", {0}, EPERM_},
    {"kill", {0}, EPERM_},
    {"pidfd_open", {0}, EPERM_},
    {"ioctl", {0, TIOCSCTTY}, EPERM_},
    {"prctl", {PR_SET_DUMPABLE}, EPERM_},
    {"prctl", {PR_SET_KEEPCAPS}, EPERM_},
    {"prlimit64", {0, 7, 1, 0}, EPERM_},
    {"prlimit64", {1, 7, 0, 1}, EPERM_},
    {"setrlimit", {0}, EPERM_},
};

/* With all arguments zero. */
static const struct {
    const char *preset;
    const char *names; /* separated by spaces */
} also_allowed[] = {
    {"base",
     "fcntl madvise mremap mincore poll ppoll getcpu sysinfo uname tgkill read rt_sigaction"},
    {"strict", "accept getpeername getsockname getsockopt listen recvmmsg recvmsg sendmmsg sendto "
               "copy_file_range fadvise64 fallocate fchmod fdatasync flock fstatfs "
               "fsync ftruncate getdents64 memfd_create pipe pipe2 readahead sendfile splice tee "
               "vmsplice sync_file_range syncfs seccomp landlock_restrict_self getpriority "
               "getrusage sched_get_priority_max sched_get_priority_min sched_getattr "
               "sched_getparam sched_getscheduler times umask wait4 waitid"},
    {"service", "landlock_add_rule landlock_create_ruleset lsm_get_self_attr lsm_list_modules "
                "lsm_set_self_attr memfd_secret process_madvise process_mrelease statmount "
                "listmount cachestat setxattrat"},
};

static const struct call_row strict_values[] = {
    {"ioctl", {0, FIONREAD}, "allow"},         {"ioctl", {0, FIOCLEX}, "allow"},
    {"ioctl", {0, FIONCLEX}, "allow"},         {"ioctl", {0, TCGETS}, "allow"},
    {"ioctl", {0, TIOCGWINSZ}, "allow"},       {"ioctl", {0, TIOCOUTQ}, "allow"},
    {"prctl", {PR_GET_NAME}, "allow"},         {"prctl", {0x53564d41 /* PR_SET_VMA */}, "allow"},
    {"prctl", {PR_SET_NO_NEW_PRIVS}, "allow"}, {"prctl", {PR_GET_NO_NEW_PRIVS}, "allow"},
    {"prctl", {PR_SET_SECCOMP}, "allow"},      {"prctl", {PR_SET_TIMERSLACK}, "allow"},
    {"prctl", {PR_CAPBSET_READ}, "allow"},
};

static void test_also_allowed(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(also_allowed); i++) {
        ait_policy *policy = preset(also_allowed[i].preset);
        char *names = strdup(also_allowed[i].names);
        assert_non_null(names);
        for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
            struct call_row row = {.name = name, .action = "allow"};
            check_calls(also_allowed[i].preset, policy, &row, 1);
        }
        free(names);
        ait_policy_unref(policy);
    }
}

static void test_strict(void **unused)
{
    ait_policy *policy = preset("strict");

    check_calls("strict", policy, strict_values, ELEMENTS(strict_values));

    check_calls("strict", policy, strict_rows, ELEMENTS(strict_rows));
    ait_policy_unref(policy);
}

/* Whatever strict allows service allows, and both allow what base does. */
static void test_order(void **unused)
{
    ait_policy *base = preset("base"), *strict = preset("strict"), *service = preset("service");
    unsigned n[3] = {0};

    for (int i = 0; i <= ait_syscall_newest(); i++)
        for (size_t k = 0; k < ELEMENTS(noise); k++) {
            bool in_base = ait_policy_evaluate(base, i, noise[k]).kind == AIT_POLICY_ALLOW;
            bool in_strict = ait_policy_evaluate(strict, i, noise[k]).kind == AIT_POLICY_ALLOW;
            bool in_service = ait_policy_evaluate(service, i, noise[k]).kind == AIT_POLICY_ALLOW;
            bool guarded = ait_syscall_name(i) && !strcmp(ait_syscall_name(i), "prlimit64");
            if ((in_strict && !in_service) || (in_base && !in_strict && !guarded))
                fail_msg("%s", ait_syscall_name(i));
            n[0] += in_base, n[1] += in_strict, n[2] += in_service;
        }
    assert_true(n[0] < n[1] && n[1] < n[2]);
    ait_policy_unref(base);
    ait_policy_unref(strict);
    ait_policy_unref(service);
}

static void test_no_such_preset(void **unused)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;

    assert_int_equal(ait_policy_from_preset(&policy, "servise", &problem), -ENOENT);
    assert_non_null(strstr(problem.message, "service and strict"));
    assert_null(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_always_denied),    cmocka_unit_test(test_denied_by_name),
        cmocka_unit_test(test_newer_than_known), cmocka_unit_test(test_like_system_service),
        cmocka_unit_test(test_needed),           cmocka_unit_test(test_strict),
        cmocka_unit_test(test_also_allowed),     cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_such_preset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
