/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Tries what the service preset denies, in a way that would come to nothing without it, too: wrong
 * pointers, descriptors and flags.
 *
 *     denied                 each once; a line each: NAME ERRNO USEC, the time before the call
 *                            since the epoch
 *     denied --repeat=N      the first one, N times
 *     denied --fork          the first one, in a child, and in a thread of it
 *     denied --forever       the first one until somebody ends it
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOWHERE "/nonexistent/x"
#define HIGH    ((long)0xdead << 32)

static const struct attempt {
    const char *name;
    long number;
    long args[6];
} attempts[] = {
    {"mount", SYS_mount, {0}},
    {"umount2", SYS_umount2, {(long)NOWHERE}},
    {"pivot_root", SYS_pivot_root, {(long)NOWHERE, (long)NOWHERE}},
    {"open_tree", SYS_open_tree, {-1, (long)"x", -1}},
    {"move_mount", SYS_move_mount, {-1, (long)"x", -1, (long)"x", -1}},
    {"fsopen", SYS_fsopen, {0, -1}},
    {"chroot", SYS_chroot, {(long)NOWHERE}},
    {"setns", SYS_setns, {-1, 0}},
    {"unshare", SYS_unshare, {CLONE_NEWUSER | 1}},
    {"clone", SYS_clone, {CLONE_NEWUSER | CLONE_FS}},
    {"ptrace", SYS_ptrace, {PTRACE_PEEKDATA, 0}},
    {"process_vm_readv", SYS_process_vm_readv, {0}},
    {"process_vm_writev", SYS_process_vm_writev, {0}},
    {"pidfd_getfd", SYS_pidfd_getfd, {-1, 0, 0}},
    {"kcmp", SYS_kcmp, {0, 0, -1}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"bpf", SYS_bpf, {-1}},
    {"userfaultfd", SYS_userfaultfd, {-1}},
    {"keyctl", SYS_keyctl, {-1}},
    {"add_key", SYS_add_key, {0}},
    {"request_key", SYS_request_key, {0}},
    {"init_module", SYS_init_module, {0}},
    {"finit_module", SYS_finit_module, {-1}},
    {"delete_module", SYS_delete_module, {(long)"no-such-module"}},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, -1}},
    {"reboot", SYS_reboot, {0}},
    {"swapon", SYS_swapon, {(long)NOWHERE}},
    {"swapoff", SYS_swapoff, {(long)NOWHERE}},
    {"acct", SYS_acct, {(long)NOWHERE}},
    {"quotactl", SYS_quotactl, {-1}},
    {"settimeofday", SYS_settimeofday, {0}},
    {"sethostname", SYS_sethostname, {0, -1}},
    {"open_by_handle_at", SYS_open_by_handle_at, {-1, 0, 0}},
    {"mknodat", SYS_mknodat, {-1, (long)"x", S_IFCHR | 0600, 0}},
    {"personality", SYS_personality, {ADDR_NO_RANDOMIZE}},
    {"ioctl", SYS_ioctl, {-1, TIOCSTI}},
    {"ioctl", SYS_ioctl, {-1, HIGH | TIOCSTI}},
    {"ioctl", SYS_ioctl, {-1, TIOCLINUX}},
    {"socket", SYS_socket, {AF_PACKET, -1}},
    {"socket", SYS_socket, {AF_ALG, -1}},
    {"socket", SYS_socket, {AF_INET, SOCK_RAW, 255}},
    {"socket", SYS_socket, {HIGH | AF_INET6, HIGH | SOCK_RAW, 255}},
#ifdef SYS_iopl
    {"iopl", SYS_iopl, {4}},
#endif
};

static long try(const struct attempt *a)
{
    return syscall(a->number, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4],
                   a->args[5]);
}

static unsigned long long now_usec(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000;
}

static int try_all(void)
{
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        unsigned long long before = now_usec();
        long r = try(&attempts[i]);
        int error = r < 0 ? errno : 0;

        /* A child that should not be. */
        if (attempts[i].number == SYS_clone && r == 0)
            _exit(0);
        (void)printf("%s %d %llu\n", attempts[i].name, error, before);
    }
    return 0;
}

static void *try_first(void *unused)
{
    (void)try(&attempts[0]);
    return unused;
}

static int try_in_child(void)
{
    pthread_t thread;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        (void)try(&attempts[0]);
        if (pthread_create(&thread, NULL, try_first, NULL) != 0 || pthread_join(thread, NULL) != 0)
            _exit(1);
        _exit(0);
    }
    (void)printf("child %d\n", (int)pid);
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

/* Without what runs at exit: a sanitizer's search for leaks is denied, too. */
static void __attribute__((noreturn)) end(int status)
{
    (void)fflush(stdout);
    _exit(status);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (strncmp(mode, "--repeat=", 9) == 0) {
        for (long n = atol(mode + 9); n > 0; n--)
            (void)try(&attempts[0]);
        end(0);
    }
    if (strcmp(mode, "--forever") == 0)
        for (;;)
            (void)try(&attempts[0]);
    end(strcmp(mode, "--fork") == 0 ? try_in_child() : try_all());
}
