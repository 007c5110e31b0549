/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The presets at work: each case runs in a child that has entered the sandbox. */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <aiotools-sd/sandbox.h>

#include "policy/model.h"
#include "proc.h"

#define HIGH (UINT64_C(0xdead0000) << 32)

static ait_sandbox *service, *logging;

static void enter(ait_sandbox *sandbox)
{
    const char *step = NULL;
    if (ait_sandbox_enter(sandbox, &step) < 0) {
        fprintf(stderr, "sandbox: %s\n", step);
        _exit(99);
    }
}

/* Runs fn in a sandboxed child; returns its wait status. */
static int run_in(ait_sandbox *sandbox, int (*fn)(const void *arg), const void *arg)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (sandbox)
            enter(sandbox);
        _exit(fn(arg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int exit_code(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    fail_msg("the child was killed by signal %d", WTERMSIG(status));
    return -1;
}

/* ---- each denied call ------------------------------------------------------------------------ */

struct call {
    const char *what;
    long number;
    uint64_t args[6];
    int error; /* expected; 0: anything but what the sandbox would say */
};

/* The errno as exit status. */
static int do_call(const void *arg)
{
    const struct call *c = arg;
    long r =
        syscall(c->number, c->args[0], c->args[1], c->args[2], c->args[3], c->args[4], c->args[5]);
    return r < 0 ? errno : 0;
}

static const struct call denied[] = {
    {"io_uring_setup", SYS_io_uring_setup, {1, 0}, ENOSYS},
    {"io_uring_enter", SYS_io_uring_enter, {0}, ENOSYS},
    {"io_uring_register", SYS_io_uring_register, {0}, ENOSYS},
    {"clone3", SYS_clone3, {0, 0}, ENOSYS},
    {"next number", SYSCALL_NEWEST + 1, {0}, ENOSYS},
    {"far number", 100000, {0}, ENOSYS},
    {"x32 getpid", 0x40000000 | 39, {0}, ENOSYS},
    {"clone NEWUSER", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM},
    {"clone NEWUSER, high bits", SYS_clone, {HIGH | CLONE_NEWUSER | SIGCHLD}, EPERM},
    {"clone NEWNS", SYS_clone, {CLONE_NEWNS | SIGCHLD}, EPERM},
    {"clone NEWPID", SYS_clone, {CLONE_NEWPID | SIGCHLD}, EPERM},
    {"clone NEWNET", SYS_clone, {CLONE_NEWNET | SIGCHLD}, EPERM},
    {"clone NEWIPC", SYS_clone, {CLONE_NEWIPC | SIGCHLD}, EPERM},
    {"clone NEWUTS", SYS_clone, {CLONE_NEWUTS | SIGCHLD}, EPERM},
    {"clone NEWCGROUP", SYS_clone, {CLONE_NEWCGROUP | SIGCHLD}, EPERM},
    {"unshare NEWUSER", SYS_unshare, {CLONE_NEWUSER}, EPERM},
    {"unshare NEWUSER | NEWNS", SYS_unshare, {CLONE_NEWUSER | CLONE_NEWNS}, EPERM},
    {"unshare NEWTIME", SYS_unshare, {0x80}, EPERM},
    {"unshare NEWNET, high bits", SYS_unshare, {HIGH | CLONE_NEWNET}, EPERM},
    {"setns", SYS_setns, {0, 0}, EPERM},
    {"TIOCSTI", SYS_ioctl, {0, TIOCSTI, 0}, EPERM},
    {"TIOCSTI, high bits", SYS_ioctl, {0, HIGH | TIOCSTI, 0}, EPERM},
    {"TIOCLINUX", SYS_ioctl, {0, TIOCLINUX, 0}, EPERM},
    {"TIOCLINUX, high bits", SYS_ioctl, {0, HIGH | TIOCLINUX, 0}, EPERM},
    {"AF_PACKET", SYS_socket, {AF_PACKET, SOCK_DGRAM, 0}, EPERM},
    {"AF_PACKET, high bits", SYS_socket, {HIGH | AF_PACKET, SOCK_DGRAM, 0}, EPERM},
    {"AF_ALG", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}, EPERM},
    {"AF_VSOCK", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, EPERM},
    {"AF_SMC", SYS_socket, {43, SOCK_STREAM, 0}, EPERM},
    {"IPPROTO_SMC", SYS_socket, {AF_INET, SOCK_STREAM, 256}, EPERM},
    {"AF_XDP", SYS_socket, {44, SOCK_RAW, 0}, EPERM},
    {"raw IPv4", SYS_socket, {AF_INET, SOCK_RAW, 1}, EPERM},
    {"raw IPv4, flags and high bits",
     SYS_socket,
     {HIGH | AF_INET, HIGH | SOCK_RAW | SOCK_CLOEXEC, 1},
     EPERM},
    {"raw IPv6", SYS_socket, {AF_INET6, SOCK_RAW, 58}, EPERM},
    {"SOCK_PACKET", SYS_socket, {AF_INET, SOCK_PACKET, 0}, EPERM},
    {"ptrace", SYS_ptrace, {PTRACE_TRACEME}, EPERM},
    {"process_vm_readv", SYS_process_vm_readv, {1}, EPERM},
    {"process_vm_writev", SYS_process_vm_writev, {1}, EPERM},
    {"pidfd_getfd", SYS_pidfd_getfd, {0}, EPERM},
    {"kcmp", SYS_kcmp, {1, 1}, EPERM},
    {"perf_event_open", SYS_perf_event_open, {0}, EPERM},
    {"bpf", SYS_bpf, {0}, EPERM},
    {"userfaultfd", SYS_userfaultfd, {0}, EPERM},
    {"init_module", SYS_init_module, {0}, EPERM},
    {"finit_module", SYS_finit_module, {0}, EPERM},
    {"delete_module", SYS_delete_module, {0}, EPERM},
    {"kexec_load", SYS_kexec_load, {0}, EPERM},
    {"kexec_file_load", SYS_kexec_file_load, {0}, EPERM},
    {"reboot", SYS_reboot, {0}, EPERM},
    {"add_key", SYS_add_key, {0}, EPERM},
    {"keyctl", SYS_keyctl, {0}, EPERM},
    {"request_key", SYS_request_key, {0}, EPERM},
    {"mount", SYS_mount, {0}, EPERM},
    {"umount2", SYS_umount2, {0}, EPERM},
    {"pivot_root", SYS_pivot_root, {0}, EPERM},
    {"open_tree", SYS_open_tree, {0}, EPERM},
    {"open_tree_attr", 467, {0}, EPERM},
    {"move_mount", SYS_move_mount, {0}, EPERM},
    {"fsopen", SYS_fsopen, {0}, EPERM},
    {"fsconfig", SYS_fsconfig, {0}, EPERM},
    {"fsmount", SYS_fsmount, {0}, EPERM},
    {"fspick", SYS_fspick, {0}, EPERM},
    {"mount_setattr", SYS_mount_setattr, {0}, EPERM},
    {"chroot", SYS_chroot, {(uintptr_t) "/"}, EPERM},
    {"mknodat chr", SYS_mknodat, {0, 0, S_IFCHR | 0600, 0x103}, EPERM},
    {"mknodat blk", SYS_mknodat, {0, 0, S_IFBLK | 0600, 0x103}, EPERM},
    {"open_by_handle_at", SYS_open_by_handle_at, {0}, EPERM},
    {"swapon", SYS_swapon, {0}, EPERM},
    {"swapoff", SYS_swapoff, {0}, EPERM},
    {"quotactl", SYS_quotactl, {0}, EPERM},
    {"quotactl_fd", SYS_quotactl_fd, {0}, EPERM},
    {"acct", SYS_acct, {0}, EPERM},
    {"settimeofday", SYS_settimeofday, {0}, EPERM},
    {"clock_settime", SYS_clock_settime, {0, 0}, EPERM},
    {"adjtimex", SYS_adjtimex, {0}, EPERM},
    {"clock_adjtime", SYS_clock_adjtime, {0, 0}, EPERM},
    {"sethostname", SYS_sethostname, {0}, EPERM},
    {"setdomainname", SYS_setdomainname, {0}, EPERM},
    {"personality READ_IMPLIES_EXEC", SYS_personality, {0x0400000}, EPERM},
    {"personality ADDR_NO_RANDOMIZE", SYS_personality, {0x0040000}, EPERM},
    {"personality, high bits", SYS_personality, {HIGH | 0x0400000}, EPERM},
    {"personality, all bits but one", SYS_personality, {0xfffffffe}, EPERM},
#ifdef __x86_64__
    {"mknod chr", SYS_mknod, {0, S_IFCHR | 0600, 0x103}, EPERM},
    {"iopl", SYS_iopl, {3}, EPERM},
    {"ioperm", SYS_ioperm, {0, 1, 1}, EPERM},
#endif
};

static void each_denied_call_says_so(void **state)
{
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        int error = exit_code(run_in(service, do_call, &denied[i]));
        if (error != denied[i].error)
            fail_msg("%s: %s", denied[i].what, strerror(error));
    }
}

/* Neighbours of what is denied: 0, or the kernel's own opinion. */
static const struct call allowed[] = {
    {"unshare FILES", SYS_unshare, {CLONE_FILES}, 0},
    {"ioctl TCGETS", SYS_ioctl, {1000, TCGETS, 0}, EBADF},
    {"netlink", SYS_socket, {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0}, 0},
    {"TCP", SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0},
    {"raw AF_UNIX", SYS_socket, {AF_UNIX, SOCK_RAW, 0}, 0},
    {"mknodat fifo", SYS_mknodat, {(uint64_t)-100, 0, S_IFIFO | 0600, 0}, EFAULT},
    {"mknodat plain", SYS_mknodat, {(uint64_t)-100, 0, 0600, 0}, EFAULT},
    {"personality query", SYS_personality, {0xffffffff}, 0},
    {"personality LINUX", SYS_personality, {0}, 0},
    {"personality LINUX32, UNAME26", SYS_personality, {0x20008}, 0},
    {"name_to_handle_at", SYS_name_to_handle_at, {(uint64_t)-100, 0, 0, 0, 0}, EFAULT},
    {"clock_gettime", SYS_clock_gettime, {0, 0}, EFAULT},
    {"number -1", -1, {0}, ENOSYS},
};

static void neighbours_are_allowed(void **state)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        int error = exit_code(run_in(service, do_call, &allowed[i]));
        if (error != allowed[i].error)
            fail_msg("%s: %s", allowed[i].what, strerror(error));
    }
}

/* The same calls without a sandbox must not say the same for the same reason: else the table shows
 * nothing. As root most of them get past the permission check; the harmless ones are tried. */
static void denials_are_ours(void **state)
{
    static const struct call harmless[] = {
        {"unshare NEWTIME", SYS_unshare, {0x80}, 0},
        {"chroot", SYS_chroot, {(uintptr_t) "/"}, 0},
        {"ptrace", SYS_ptrace, {PTRACE_TRACEME}, 0},
        {"raw IPv4", SYS_socket, {AF_INET, SOCK_RAW, 1}, 0},
        {"personality", SYS_personality, {0x0040000}, 0},
        {"TIOCSTI", SYS_ioctl, {1000, TIOCSTI, 0}, EBADF},
        {"open_by_handle_at", SYS_open_by_handle_at, {0}, EFAULT},
        {"clone3", SYS_clone3, {0, 0}, EINVAL},
    };
    if (geteuid() != 0) {
        print_message("# SKIP: needs root, the kernel denies most of it to others\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (exit_code(run_in(NULL, do_call, &harmless[i])) == denied[0].error)
            fail_msg("%s is denied without a sandbox too", harmless[i].what);
}

static void log_allows(void **state)
{
    static const struct call calls[] = {
        {"personality", SYS_personality, {0x0040000}, 0},
        {"TIOCSTI", SYS_ioctl, {1000, TIOCSTI, 0}, EBADF},
        {"ptrace", SYS_ptrace, {PTRACE_TRACEME}, 0},
        {"next number", 100000, {0}, ENOSYS},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (exit_code(run_in(logging, do_call, &calls[i])) != calls[i].error)
            fail_msg("%s", calls[i].what);
}

/* ---- another architecture -------------------------------------------------------------------- */

#ifdef __x86_64__
static int call_i386(const void *arg)
{
    long r;
    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "a"(20L /* getpid */)
                     : "memory", "r8", "r9", "r10", "r11");
    return r > 0 ? 0 : 1;
}

static void foreign_architecture_kills(void **state)
{
    int status = run_in(NULL, call_i386, NULL);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        print_message("# SKIP: this kernel has no 32-bit system calls\n");
        skip();
    }
    status = run_in(service, call_i386, NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    assert_int_equal(exit_code(run_in(logging, call_i386, NULL)), 0);
}
#endif

/* ---- ordinary programs ----------------------------------------------------------------------- */

static void *add_one(void *arg)
{
    *(int *)arg += 1;
    return NULL;
}

static int use_threads(const void *arg)
{
    int n = 0;
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, add_one, &n) != 0 || pthread_join(thread, NULL) != 0)
            return 1;
    }
    return n == 4 ? 0 : 2;
}

static int use_fork(const void *arg)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7 ? 0 : 1;
}

static int use_popen(const void *arg)
{
    char line[16] = "";
    FILE *f = popen("echo hello", "r");
    if (!f || !fgets(line, sizeof(line), f))
        return 1;
    return pclose(f) == 0 && strcmp(line, "hello\n") == 0 ? 0 : 2;
}

static int look_up(void)
{
    struct addrinfo *found = NULL;
    int r = getaddrinfo("localhost", "80", NULL, &found);
    if (r == 0)
        freeaddrinfo(found);
    return r;
}

/* What it says outside, which depends on the machine's files, it says inside. */
static int lookup_outside;

static int use_getaddrinfo(const void *arg)
{
    return look_up() == lookup_outside ? 0 : 1;
}

static int use_files_and_sockets(const void *arg)
{
    char name[] = "/tmp/test-sandbox.XXXXXX";
    int fd = mkstemp(name), pair[2];
    if (fd < 0 || unlink(name) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return 1;
    return write(pair[0], "x", 1) == 1 ? 0 : 2;
}

/* A child of a child has the filter too, and may only add to it. */
static int grandchild_is_denied(const void *arg)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        enter(service);
        _exit(unshare(CLONE_NEWUSER) < 0 && errno == EPERM ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static void ordinary_programs_run(void **state)
{
    static int (*const programs[])(const void *arg) = {
        use_threads, use_fork, use_popen, use_getaddrinfo, use_files_and_sockets,
    };
    lookup_outside = look_up();
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        assert_int_equal(exit_code(run_in(service, programs[i], NULL)), 0);
        assert_int_equal(exit_code(run_in(logging, programs[i], NULL)), 0);
    }
    assert_int_equal(exit_code(run_in(service, grandchild_is_denied, NULL)), 0);
}

/* ---- privileges ------------------------------------------------------------------------------ */

static uint64_t status_mask(const char *name)
{
    char *status, value[32] = "";

    if (proc_read_status(getpid(), &status) < 0)
        return UINT64_MAX;
    (void)proc_status_value(status, name, value, sizeof(value));
    free(status);
    return strtoull(value, NULL, 16);
}

static int privileges_are_dropped(const void *arg)
{
    uint64_t keep = *(const uint64_t *)arg;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || status_mask("Seccomp") != 2)
        return 1;
    if (status_mask("CapPrm") & ~keep || status_mask("CapEff") & ~keep || status_mask("CapInh") ||
        status_mask("CapAmb"))
        return 2;
    return geteuid() == 0 && status_mask("CapBnd") & ~keep ? 3 : 0;
}

static int root_may_become_a_user(const void *arg)
{
    return setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0 ? 0 : 1;
}

static void privileges(void **state)
{
    static const uint64_t keep = AIT_SANDBOX_SERVICE_CAPABILITIES;

    assert_int_equal(exit_code(run_in(service, privileges_are_dropped, &keep)), 0);
    if (geteuid() == 0)
        assert_int_equal(exit_code(run_in(service, root_may_become_a_user, NULL)), 0);
}

/* ---- strict ---------------------------------------------------------------------------------- */

/* What a program that is ready still needs, and nothing that reaches further. */
static int works_and_is_confined(const void *arg)
{
    static const struct call out[] = {
        {"openat", SYS_openat, {(uint64_t)AT_FDCWD, (uintptr_t) "/etc/hosts", O_RDONLY}, EPERM},
        {"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}, EPERM},
        {"execve", SYS_execve, {(uintptr_t) "/bin/true", 0, 0}, EPERM},
        {"ptrace", SYS_ptrace, {PTRACE_TRACEME}, EPERM},
        {"clone3", SYS_clone3, {0, 0}, ENOSYS},
        {"next number", SYSCALL_NEWEST + 1, {0}, ENOSYS},
    };
    struct timespec now;
    int pair[2] = {((const int *)arg)[0], ((const int *)arg)[1]};
    char byte;
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
        if (do_call(&out[i]) != out[i].error)
            return (int)i + 1;
    void *memory = malloc(32 << 20);
    if (!memory || clock_gettime(CLOCK_MONOTONIC, &now) < 0 || write(pair[0], "x", 1) != 1 ||
        read(pair[1], &byte, 1) != 1)
        return 50;
    free(memory);
    return 0;
}

static void strict_is_for_who_is_ready(void **state)
{
    ait_policy *policy = NULL;
    ait_sandbox *strict = NULL;
    const char *none[] = {NULL};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(ait_policy_from_preset(&policy, "strict", NULL), 0);
    int r = ait_sandbox_new(
        &strict,
        AIT_SANDBOX_OPTIONS(.policy = policy, .read_only = none, .flags = AIT_SANDBOX_SCOPE), NULL);
    if (r == -EOPNOTSUPP)
        r = ait_sandbox_new(&strict, AIT_SANDBOX_OPTIONS(.policy = policy), NULL);
    assert_int_equal(r, 0);
    assert_int_equal(exit_code(run_in(strict, works_and_is_confined, pair)), 0);
    ait_sandbox_unref(strict);
    ait_policy_unref(policy);
    close(pair[0]);
    close(pair[1]);
}

/* ---- the sandboxes --------------------------------------------------------------------------- */

static int make(ait_sandbox **ret, ait_sandbox_deny deny, uint64_t flags)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    int r = ait_policy_from_preset(&policy, "service", &problem);

    if (r >= 0)
        r = ait_sandbox_new(ret,
                            AIT_SANDBOX_OPTIONS(.policy = policy, .deny = deny, .flags = flags,
                                                .capabilities = AIT_SANDBOX_SERVICE_CAPABILITIES),
                            &problem);
    if (r < 0)
        print_error("%s:%u: %s\n", problem.file, problem.line, problem.message);
    ait_policy_unref(policy);
    return r;
}

static int make_both(void **state)
{
    return make(&service, AIT_SANDBOX_DENY_ERRNO, 0) < 0 ||
                   make(&logging, AIT_SANDBOX_DENY_LOG, AIT_SANDBOX_KEEP_CAPABILITIES) < 0
               ? -1
               : 0;
}

static int release_both(void **state)
{
    service = ait_sandbox_unref(service);
    logging = ait_sandbox_unref(logging);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_denied_call_says_so),   cmocka_unit_test(neighbours_are_allowed),
        cmocka_unit_test(denials_are_ours),           cmocka_unit_test(log_allows),
#ifdef __x86_64__
        cmocka_unit_test(foreign_architecture_kills),
#endif
        cmocka_unit_test(ordinary_programs_run),      cmocka_unit_test(privileges),
        cmocka_unit_test(strict_is_for_who_is_ready),
    };
    return cmocka_run_group_tests(tests, make_both, release_both);
}
