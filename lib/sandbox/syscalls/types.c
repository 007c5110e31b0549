/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <string.h>

#include "syscalls.h"

#define A(n) (1u << (n))

/*
 * Arguments that the kernel declares as int or unsigned int, or as long while it reads only the
 * lower half. The upper half is noise, in which a value must not be able to hide. Arguments that
 * are not listed are compared with all 64 bits.
 */
static const struct {
    unsigned arguments;
    const char *calls; /* each with a NUL behind it */
} int_arguments[] = {
    {A(0),
     "accept\0alarm\0arch_prctl\0clock_adjtime\0clock_getres\0clock_gettime\0clock_"
     "settime\0clone\0close\0"
     "dup\0epoll_create\0epoll_create1\0eventfd\0exit\0exit_"
     "group\0fchdir\0fdatasync\0fgetxattr\0flistxattr\0"
     "fremovexattr\0fstat\0fstatfs\0fsync\0ftruncate\0futimesat\0get_robust_"
     "list\0getgroups\0getitimer\0"
     "getpeername\0getpgid\0getrlimit\0getrusage\0getsid\0getsockname\0inotify_init1\0io_setup\0"
     "io_uring_setup\0iopl\0keyctl\0memfd_secret\0mlockall\0modify_ldt\0openat2\0personality\0pkey_"
     "free\0"
     "prctl\0pread64\0preadv\0process_vm_readv\0process_vm_"
     "writev\0pselect6\0pwrite64\0pwritev\0read\0"
     "readahead\0readlinkat\0readv\0rt_sigaction\0rt_sigprocmask\0sched_getparam\0sched_"
     "getscheduler\0"
     "sched_"
     "setparam\0select\0setfsgid\0setfsuid\0setgid\0setgroups\0setitimer\0setrlimit\0setuid\0signal"
     "fd\0"
     "syncfs\0timer_create\0timer_delete\0timer_getoverrun\0timer_gettime\0timerfd_gettime\0umask\0"
     "unshare\0userfaultfd\0write\0writev\0"},
    {A(0) | A(1), "clock_nanosleep\0dup2\0eventfd2\0fallocate\0fanotify_"
                  "init\0fchmod\0fcntl\0flock\0getpriority\0"
                  "inotify_rm_watch\0ioctl\0ioprio_get\0kexec_file_load\0kill\0landlock_restrict_"
                  "self\0listen\0msgctl\0"
                  "msgget\0pidfd_open\0pkey_alloc\0prlimit64\0process_mrelease\0rt_"
                  "sigqueueinfo\0sched_getaffinity\0"
                  "sched_setaffinity\0sched_"
                  "setscheduler\0seccomp\0sendfile\0setns\0setpgid\0setregid\0setreuid\0shmctl\0"
                  "shutdown\0timer_settime\0timerfd_create\0timerfd_settime\0tkill\0"},
    {A(0) | A(1) | A(2),
     "close_range\0dup3\0epoll_ctl\0fchown\0fsmount\0getsockopt\0ioprio_"
     "set\0kcmp\0membarrier\0pidfd_getfd\0"
     "quotactl_fd\0reboot\0rt_"
     "tgsigqueueinfo\0semctl\0semget\0setpriority\0setresgid\0setresuid\0socket\0"
     "socketpair\0tgkill\0"},
    {A(0) | A(1) | A(2) | A(3), "io_uring_enter\0"},
    {A(0) | A(1) | A(2) | A(4), "setsockopt\0"},
    {A(0) | A(1) | A(3),
     "fanotify_mark\0io_uring_register\0landlock_add_rule\0pidfd_send_signal\0tee\0waitid\0"},
    {A(0) | A(1) | A(4), "fsconfig\0"},
    {A(0) | A(2),
     "bind\0bpf\0connect\0epoll_pwait2\0faccessat\0fchmodat\0finit_"
     "module\0fspick\0getdents\0getdents64\0"
     "getxattrat\0inotify_add_watch\0listxattrat\0lseek\0mkdirat\0mount_setattr\0open_by_handle_"
     "at\0"
     "open_tree\0open_tree_attr\0quotactl\0recvmsg\0removexattrat\0renameat\0sched_setattr\0semop\0"
     "semtimedop\0sendmsg\0setxattrat\0shmat\0shmget\0syslog\0unlinkat\0wait4\0"},
    {A(0) | A(2) | A(3), "epoll_pwait\0epoll_wait\0faccessat2\0fchmodat2\0lsm_set_self_"
                         "attr\0mknodat\0openat\0recvmmsg\0"
                         "sched_getattr\0sendmmsg\0statx\0"},
    {A(0) | A(2) | A(3) | A(4), "fchownat\0"},
    {A(0) | A(2) | A(4), "linkat\0move_mount\0renameat2\0"},
    {A(0) | A(2) | A(5), "copy_file_range\0splice\0"},
    {A(0) | A(3),
     "accept4\0cachestat\0fadvise64\0lsm_get_self_attr\0msgsnd\0newfstatat\0recvfrom\0signalfd4\0"
     "sync_file_range\0utimensat\0vmsplice\0"},
    {A(0) | A(3) | A(4), "process_madvise\0"},
    {A(0) | A(3) | A(5), "sendto\0"},
    {A(0) | A(4), "execveat\0file_getattr\0file_setattr\0fsetxattr\0msgrcv\0name_to_handle_at\0"},
    {A(0) | A(5), "preadv2\0pwritev2\0"},
    {A(1), "access\0chmod\0creat\0delete_module\0fsopen\0memfd_"
           "create\0mkdir\0pipe2\0ppoll\0swapon\0symlinkat\0"
           "umount2\0"},
    {A(1) | A(2), "chown\0lchown\0mknod\0mq_open\0open\0poll\0"},
    {A(1) | A(2) | A(3), "futex_requeue\0perf_event_open\0"},
    {A(1) | A(2) | A(4), "futex_waitv\0"},
    {A(1) | A(2) | A(5), "futex\0"},
    {A(2), "getrandom\0ioperm\0landlock_create_ruleset\0lsm_list_modules\0madvise\0map_shadow_"
           "stack\0mlock2\0"
           "mprotect\0msync\0"},
    {A(2) | A(3), "futex_wake\0pkey_mprotect\0"},
    {A(2) | A(3) | A(4), "mmap\0"},
    {A(3), "listmount\0mount\0mremap\0statmount\0"},
    {A(3) | A(5), "futex_wait\0"},
    {A(4), "lsetxattr\0setxattr\0"},
};

static uint8_t by_number[SYSCALL_NEWEST + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void index_types(void)
{
    for (size_t i = 0; i < sizeof(int_arguments) / sizeof(int_arguments[0]); i++)
        for (const char *name = int_arguments[i].calls; *name; name += strlen(name) + 1) {
            int number = ait_syscall_from_name(name);
            if (number >= 0)
                by_number[number] = (uint8_t)int_arguments[i].arguments;
        }
}

unsigned syscall_int_arguments(int number)
{
    (void)pthread_once(&once, index_types);
    return number >= 0 && number <= SYSCALL_NEWEST ? by_number[number] : 0;
}
