/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "syscalls.h"

/*
 * The groups are those of systemd 252, and @sandbox of 254, by name and member, so that lists
 * written for it mean the same here. Newer calls (Linux 6.3 to 6.18) stand with their older
 * relatives. Each string ends with an empty member.
 */
const struct syscall_group syscall_groups[] = {
    {"@default", "what every program needs: memory, threads, clocks, its own identity",
     "arch_prctl\0brk\0cacheflush\0clock_getres\0clock_getres_time64\0clock_gettime\0clock_"
     "gettime64\0"
     "clock_nanosleep\0clock_nanosleep_time64\0execve\0exit\0exit_group\0futex\0futex_requeue\0"
     "futex_time64\0futex_wait\0futex_waitv\0futex_wake\0get_robust_list\0get_thread_"
     "area\0getegid\0"
     "getegid32\0geteuid\0geteuid32\0getgid\0getgid32\0getgroups\0getgroups32\0getpgid\0getpgrp\0"
     "getpid\0getppid\0getrandom\0getresgid\0getresgid32\0getresuid\0getresuid32\0getrlimit\0getsid"
     "\0"
     "gettid\0gettimeofday\0getuid\0getuid32\0map_shadow_stack\0membarrier\0mmap\0mmap2\0mprotect\0"
     "mseal\0munmap\0nanosleep\0pause\0prlimit64\0restart_syscall\0riscv_flush_icache\0riscv_"
     "hwprobe\0"
     "rseq\0rt_sigreturn\0sched_getaffinity\0sched_yield\0set_robust_list\0set_thread_area\0"
     "set_tid_address\0set_tls\0sigreturn\0time\0ugetrlimit\0uprobe\0uretprobe\0"},
    {"@aio", "asynchronous input and output, io_uring included",
     "io_cancel\0io_destroy\0io_getevents\0io_pgetevents\0io_pgetevents_time64\0io_setup\0io_"
     "submit\0"
     "io_uring_enter\0io_uring_register\0io_uring_setup\0"},
    {"@basic-io", "reading, writing, seeking and duplicating open files",
     "_llseek\0close\0close_range\0dup\0dup2\0dup3\0lseek\0pread64\0preadv\0preadv2\0pwrite64\0"
     "pwritev\0pwritev2\0read\0readv\0write\0writev\0"},
    {"@chown", "changing who owns files",
     "chown\0chown32\0fchown\0fchown32\0fchownat\0lchown\0lchown32\0"},
    {"@clock", "setting the machine's clocks",
     "adjtimex\0clock_adjtime\0clock_adjtime64\0clock_settime\0clock_settime64\0settimeofday\0"},
    {"@cpu-emulation", "virtual 8086 mode and other emulation of processors",
     "modify_ldt\0subpage_prot\0switch_endian\0vm86\0vm86old\0"},
    {"@debug", "debugging, tracing and performance counters",
     "lookup_dcookie\0perf_event_open\0pidfd_getfd\0ptrace\0rtas\0s390_runtime_instr\0"
     "sys_debug_setcontext\0"},
    {"@file-system", "files and directories by path: opening, creating, removing, attributes",
     "access\0cachestat\0chdir\0chmod\0close\0creat\0faccessat\0faccessat2\0fallocate\0fchdir\0fchm"
     "od\0"
     "fchmodat\0fchmodat2\0fcntl\0fcntl64\0fgetxattr\0file_getattr\0file_setattr\0flistxattr\0"
     "fremovexattr\0fsetxattr\0fstat\0fstat64\0fstatat64\0fstatfs\0fstatfs64\0ftruncate\0ftruncate6"
     "4\0"
     "futimesat\0getcwd\0getdents\0getdents64\0getxattr\0getxattrat\0inotify_add_watch\0inotify_"
     "init\0"
     "inotify_init1\0inotify_rm_watch\0lgetxattr\0link\0linkat\0listmount\0listxattr\0listxattrat\0"
     "llistxattr\0lremovexattr\0lsetxattr\0lstat\0lstat64\0mkdir\0mkdirat\0mknod\0mknodat\0newfstat"
     "at\0"
     "oldfstat\0oldlstat\0oldstat\0open\0openat\0openat2\0readlink\0readlinkat\0removexattr\0"
     "removexattrat\0rename\0renameat\0renameat2\0rmdir\0setxattr\0setxattrat\0stat\0stat64\0statfs"
     "\0"
     "statfs64\0statmount\0statx\0symlink\0symlinkat\0truncate\0truncate64\0unlink\0unlinkat\0utime"
     "\0"
     "utimensat\0utimensat_time64\0utimes\0"},
    {"@io-event", "waiting for many files at once: poll, select, epoll, eventfd",
     "_newselect\0epoll_create\0epoll_create1\0epoll_ctl\0epoll_ctl_old\0epoll_pwait\0epoll_"
     "pwait2\0"
     "epoll_wait\0epoll_wait_old\0eventfd\0eventfd2\0poll\0ppoll\0ppoll_time64\0pselect6\0"
     "pselect6_time64\0select\0"},
    {"@ipc", "shared memory, semaphores, message queues, pipes, memory of other processes",
     "ipc\0memfd_create\0mq_getsetattr\0mq_notify\0mq_open\0mq_timedreceive\0mq_timedreceive_"
     "time64\0"
     "mq_timedsend\0mq_timedsend_time64\0mq_unlink\0msgctl\0msgget\0msgrcv\0msgsnd\0pipe\0pipe2\0"
     "process_madvise\0process_vm_readv\0process_vm_writev\0semctl\0semget\0semop\0semtimedop\0"
     "semtimedop_time64\0shmat\0shmctl\0shmdt\0shmget\0"},
    {"@keyring", "the kernel's key store", "add_key\0keyctl\0request_key\0"},
    {"@memlock", "keeping memory from being swapped out",
     "mlock\0mlock2\0mlockall\0munlock\0munlockall\0"},
    {"@module", "loading and removing kernel modules",
     "delete_module\0finit_module\0init_module\0"},
    {"@mount", "mounting, unmounting, and changing the root directory",
     "chroot\0fsconfig\0fsmount\0fsopen\0fspick\0mount\0mount_setattr\0move_mount\0open_tree\0"
     "open_tree_attr\0pivot_root\0umount\0umount2\0"},
    {"@network-io", "sockets of every kind",
     "accept\0accept4\0bind\0connect\0getpeername\0getsockname\0getsockopt\0listen\0recv\0recvfrom"
     "\0"
     "recvmmsg\0recvmmsg_time64\0recvmsg\0send\0sendmmsg\0sendmsg\0sendto\0setsockopt\0shutdown\0"
     "socket\0socketcall\0socketpair\0"},
    {"@obsolete", "what nothing uses any more, or never worked",
     "_sysctl\0afs_syscall\0bdflush\0break\0create_module\0ftime\0get_kernel_syms\0getpmsg\0gtty\0"
     "idle\0lock\0mpx\0prof\0profil\0putpmsg\0query_"
     "module\0security\0sgetmask\0ssetmask\0stime\0stty\0"
     "sysfs\0tuxcall\0ulimit\0uselib\0ustat\0vserver\0"},
    {"@pkey", "memory protection keys", "pkey_alloc\0pkey_free\0pkey_mprotect\0"},
    {"@privileged", "what needs superuser rights",
     "@chown\0@clock\0@module\0@raw-io\0@reboot\0@swap\0_sysctl\0acct\0bpf\0capset\0chroot\0"
     "fanotify_init\0fanotify_mark\0nfsservctl\0open_by_handle_at\0pivot_root\0quotactl\0quotactl_"
     "fd\0"
     "setdomainname\0setfsuid\0setfsuid32\0setgroups\0setgroups32\0sethostname\0setresuid\0"
     "setresuid32\0setreuid\0setreuid32\0setuid\0setuid32\0vhangup\0"},
    {"@process", "starting and ending processes, signals to them, namespaces",
     "capget\0clone\0clone3\0execveat\0fork\0getrusage\0kill\0pidfd_open\0pidfd_send_"
     "signal\0prctl\0"
     "rt_sigqueueinfo\0rt_"
     "tgsigqueueinfo\0setns\0swapcontext\0tgkill\0times\0tkill\0unshare\0vfork\0"
     "wait4\0waitid\0waitpid\0"},
    {"@raw-io", "input and output ports, and PCI configuration",
     "ioperm\0iopl\0pciconfig_iobase\0pciconfig_read\0pciconfig_write\0s390_pci_mmio_read\0"
     "s390_pci_mmio_write\0"},
    {"@reboot", "reboot and kexec", "kexec_file_load\0kexec_load\0reboot\0"},
    {"@resources", "priorities, scheduling, limits, and placement of memory",
     "ioprio_set\0mbind\0migrate_pages\0move_pages\0nice\0sched_setaffinity\0sched_setattr\0"
     "sched_setparam\0sched_setscheduler\0set_mempolicy\0set_mempolicy_home_node\0setpriority\0"
     "setrlimit\0"},
    {"@sandbox", "giving up rights for good: seccomp and Landlock",
     "landlock_add_rule\0landlock_create_ruleset\0landlock_restrict_self\0seccomp\0"},
    {"@setuid", "changing user and groups",
     "setgid\0setgid32\0setgroups\0setgroups32\0setregid\0setregid32\0setresgid\0setresgid32\0"
     "setresuid\0setresuid32\0setreuid\0setreuid32\0setuid\0setuid32\0"},
    {"@signal", "handling signals",
     "rt_sigaction\0rt_sigpending\0rt_sigprocmask\0rt_sigsuspend\0rt_sigtimedwait\0"
     "rt_sigtimedwait_time64\0sigaction\0sigaltstack\0signal\0signalfd\0signalfd4\0sigpending\0"
     "sigprocmask\0sigsuspend\0"},
    {"@swap", "swap devices", "swapoff\0swapon\0"},
    {"@sync", "writing files and memory back to storage",
     "fdatasync\0fsync\0msync\0sync\0sync_file_range\0sync_file_range2\0syncfs\0"},
    {"@system-service", "what an ordinary service needs",
     "@aio\0@basic-io\0@chown\0@default\0@file-system\0@io-event\0@ipc\0@keyring\0@memlock\0"
     "@network-io\0@process\0@resources\0@setuid\0@signal\0@sync\0@timer\0arm_fadvise64_"
     "64\0capget\0"
     "capset\0copy_file_range\0fadvise64\0fadvise64_64\0flock\0get_mempolicy\0getcpu\0getpriority\0"
     "ioctl\0ioprio_get\0kcmp\0madvise\0mremap\0name_to_handle_"
     "at\0oldolduname\0olduname\0personality\0"
     "readahead\0readdir\0remap_file_pages\0sched_get_priority_max\0sched_get_priority_min\0"
     "sched_getattr\0sched_getparam\0sched_getscheduler\0sched_rr_get_interval\0"
     "sched_rr_get_interval_time64\0sched_"
     "yield\0sendfile\0sendfile64\0setfsgid\0setfsgid32\0setfsuid\0"
     "setfsuid32\0setpgid\0setsid\0splice\0sysinfo\0tee\0umask\0uname\0userfaultfd\0vmsplice\0"},
    {"@timer", "timers and alarms",
     "alarm\0getitimer\0setitimer\0timer_create\0timer_delete\0timer_getoverrun\0timer_gettime\0"
     "timer_gettime64\0timer_settime\0timer_settime64\0timerfd_create\0timerfd_gettime\0"
     "timerfd_gettime64\0timerfd_settime\0timerfd_settime64\0times\0"},
    {"@known", "every call that is known here", syscall_known},
};
const size_t syscall_n_groups = sizeof(syscall_groups) / sizeof(syscall_groups[0]);

/* Every call of any architecture that Linux has or had, sorted. */
const char syscall_known[] =
    "_llseek\0_newselect\0_sysctl\0accept\0accept4\0access\0acct\0add_key\0adjtimex\0afs_syscall\0"
    "alarm\0arc_gettls\0arc_settls\0arc_usr_cmpxchg\0arch_prctl\0arm_fadvise64_64\0"
    "arm_sync_file_range\0atomic_barrier\0atomic_cmpxchg_"
    "32\0bdflush\0bind\0bpf\0break\0brk\0cachectl\0"
    "cacheflush\0cachestat\0capget\0capset\0chdir\0chmod\0chown\0chown32\0chroot\0clock_adjtime\0"
    "clock_adjtime64\0clock_getres\0clock_getres_time64\0clock_gettime\0clock_gettime64\0"
    "clock_nanosleep\0clock_nanosleep_time64\0clock_settime\0clock_"
    "settime64\0clone\0clone3\0close\0"
    "close_range\0connect\0copy_file_range\0creat\0create_module\0delete_module\0dipc\0dup\0dup2\0"
    "dup3\0epoll_create\0epoll_create1\0epoll_ctl\0epoll_ctl_old\0epoll_pwait\0epoll_pwait2\0"
    "epoll_wait\0epoll_wait_old\0eventfd\0eventfd2\0exec_with_"
    "loader\0execv\0execve\0execveat\0exit\0"
    "exit_group\0faccessat\0faccessat2\0fadvise64\0fadvise64_64\0fallocate\0fanotify_init\0"
    "fanotify_"
    "mark\0fchdir\0fchmod\0fchmodat\0fchmodat2\0fchown\0fchown32\0fchownat\0fcntl\0fcntl64\0"
    "fdatasync\0fgetxattr\0file_getattr\0file_setattr\0finit_module\0flistxattr\0flock\0fork\0"
    "fremovexattr\0fsconfig\0fsetxattr\0fsmount\0fsopen\0fspick\0fstat\0fstat64\0fstatat64\0fstatfs"
    "\0"
    "fstatfs64\0fsync\0ftime\0ftruncate\0ftruncate64\0futex\0futex_requeue\0futex_time64\0futex_"
    "wait\0"
    "futex_waitv\0futex_wake\0futimesat\0get_kernel_syms\0get_mempolicy\0get_robust_list\0"
    "get_thread_area\0getcpu\0getcwd\0getdents\0getdents64\0getdomainname\0getdtablesize\0getegid\0"
    "getegid32\0geteuid\0geteuid32\0getgid\0getgid32\0getgroups\0getgroups32\0gethostname\0getitime"
    "r\0"
    "getpagesize\0getpeername\0getpgid\0getpgrp\0getpid\0getpmsg\0getppid\0getpriority\0getrandom\0"
    "getresgid\0getresgid32\0getresuid\0getresuid32\0getrlimit\0getrusage\0getsid\0getsockname\0"
    "getsockopt\0gettid\0gettimeofday\0getuid\0getuid32\0getxattr\0getxattrat\0getxgid\0getxpid\0"
    "getxuid\0gtty\0idle\0init_module\0inotify_add_watch\0inotify_init\0inotify_init1\0"
    "inotify_rm_watch\0io_cancel\0io_destroy\0io_getevents\0io_pgetevents\0io_pgetevents_time64\0"
    "io_setup\0io_submit\0io_uring_enter\0io_uring_register\0io_uring_setup\0ioctl\0ioperm\0iopl\0"
    "ioprio_get\0ioprio_set\0ipc\0kcmp\0kern_features\0kexec_file_load\0kexec_load\0keyctl\0kill\0"
    "landlock_add_rule\0landlock_create_ruleset\0landlock_restrict_"
    "self\0lchown\0lchown32\0lgetxattr\0"
    "link\0linkat\0listen\0listmount\0listxattr\0listxattrat\0llistxattr\0lock\0lookup_dcookie\0"
    "lremovexattr\0lseek\0lsetxattr\0lsm_get_self_attr\0lsm_list_modules\0lsm_set_self_"
    "attr\0lstat\0"
    "lstat64\0madvise\0map_shadow_stack\0mbind\0membarrier\0memfd_create\0memfd_secret\0"
    "memory_ordering\0migrate_"
    "pages\0mincore\0mkdir\0mkdirat\0mknod\0mknodat\0mlock\0mlock2\0mlockall\0"
    "mmap\0mmap2\0modify_ldt\0mount\0mount_setattr\0move_mount\0move_pages\0mprotect\0mpx\0"
    "mq_getsetattr\0mq_notify\0mq_open\0mq_timedreceive\0mq_timedreceive_time64\0mq_timedsend\0"
    "mq_timedsend_time64\0mq_unlink\0mremap\0mseal\0msgctl\0msgget\0msgrcv\0msgsnd\0msync\0"
    "multiplexer\0munlock\0munlockall\0munmap\0name_to_handle_"
    "at\0nanosleep\0newfstatat\0nfsservctl\0"
    "nice\0old_adjtimex\0oldfstat\0oldlstat\0oldolduname\0oldstat\0oldumount\0olduname\0open\0"
    "open_by_handle_at\0open_tree\0open_tree_attr\0openat\0openat2\0or1k_atomic\0osf_fstat\0"
    "osf_fstatfs\0osf_fstatfs64\0osf_getdirentries\0osf_getdomainname\0osf_getitimer\0osf_"
    "getrusage\0"
    "osf_getsysinfo\0osf_gettimeofday\0osf_lstat\0osf_mount\0osf_proplist_syscall\0osf_select\0"
    "osf_set_program_attributes\0osf_setitimer\0osf_setsysinfo\0osf_settimeofday\0osf_shmat\0"
    "osf_sigprocmask\0osf_sigstack\0osf_stat\0osf_statfs\0osf_statfs64\0osf_swapon\0osf_syscall\0"
    "osf_sysinfo\0osf_usleep_thread\0osf_utimes\0osf_utsname\0osf_wait4\0pause\0pciconfig_iobase\0"
    "pciconfig_read\0pciconfig_write\0perf_event_open\0perfctr\0personality\0pidfd_getfd\0pidfd_"
    "open\0"
    "pidfd_send_signal\0pipe\0pipe2\0pivot_root\0pkey_alloc\0pkey_free\0pkey_"
    "mprotect\0poll\0ppoll\0"
    "ppoll_time64\0prctl\0pread64\0preadv\0preadv2\0prlimit64\0process_madvise\0process_mrelease\0"
    "process_vm_readv\0process_vm_writev\0prof\0profil\0pselect6\0pselect6_"
    "time64\0ptrace\0putpmsg\0"
    "pwrite64\0pwritev\0pwritev2\0query_module\0quotactl\0quotactl_fd\0read\0readahead\0readdir\0"
    "readlink\0readlinkat\0readv\0reboot\0recv\0recvfrom\0recvmmsg\0recvmmsg_time64\0recvmsg\0"
    "remap_file_pages\0removexattr\0removexattrat\0rename\0renameat\0renameat2\0request_key\0"
    "restart_syscall\0riscv_flush_icache\0riscv_hwprobe\0rmdir\0rseq\0rt_sigaction\0rt_sigpending\0"
    "rt_sigprocmask\0rt_sigqueueinfo\0rt_sigreturn\0rt_sigsuspend\0rt_sigtimedwait\0"
    "rt_sigtimedwait_time64\0rt_tgsigqueueinfo\0rtas\0s390_guarded_storage\0s390_pci_mmio_read\0"
    "s390_pci_mmio_write\0s390_runtime_instr\0s390_sthyi\0sched_get_affinity\0sched_get_priority_"
    "max\0"
    "sched_get_priority_min\0sched_getaffinity\0sched_getattr\0sched_getparam\0sched_getscheduler\0"
    "sched_rr_get_interval\0sched_rr_get_interval_time64\0sched_set_affinity\0sched_setaffinity\0"
    "sched_setattr\0sched_setparam\0sched_setscheduler\0sched_yield\0seccomp\0security\0select\0"
    "semctl\0semget\0semop\0semtimedop\0semtimedop_time64\0send\0sendfile\0sendfile64\0sendmmsg\0"
    "sendmsg\0sendto\0set_mempolicy\0set_mempolicy_home_node\0set_robust_list\0set_thread_area\0"
    "set_tid_address\0setdomainname\0setfsgid\0setfsgid32\0setfsuid\0setfsuid32\0setgid\0setgid32\0"
    "setgroups\0setgroups32\0sethae\0sethostname\0setitimer\0setns\0setpgid\0setpgrp\0setpriority\0"
    "setregid\0setregid32\0setresgid\0setresgid32\0setresuid\0setresuid32\0setreuid\0setreuid32\0"
    "setrlimit\0setsid\0setsockopt\0settimeofday\0setuid\0setuid32\0setxattr\0setxattrat\0sgetmask"
    "\0"
    "shmat\0shmctl\0shmdt\0shmget\0shutdown\0sigaction\0sigaltstack\0signal\0signalfd\0signalfd4\0"
    "sigpending\0sigprocmask\0sigreturn\0sigsuspend\0socket\0socketcall\0socketpair\0splice\0"
    "spu_create\0spu_run\0ssetmask\0stat\0stat64\0statfs\0statfs64\0statmount\0statx\0stime\0stty\0"
    "subpage_prot\0swapcontext\0swapoff\0swapon\0switch_endian\0symlink\0symlinkat\0sync\0"
    "sync_file_range\0sync_file_range2\0syncfs\0sys_debug_"
    "setcontext\0syscall\0sysfs\0sysinfo\0syslog\0"
    "sysmips\0tee\0tgkill\0time\0timer_create\0timer_delete\0timer_getoverrun\0timer_gettime\0"
    "timer_gettime64\0timer_settime\0timer_settime64\0timerfd\0timerfd_create\0timerfd_gettime\0"
    "timerfd_gettime64\0timerfd_settime\0timerfd_settime64\0times\0tkill\0truncate\0truncate64\0"
    "tuxcall\0ugetrlimit\0ulimit\0umask\0umount\0umount2\0uname\0unlink\0unlinkat\0unshare\0uprobe"
    "\0"
    "uretprobe\0uselib\0userfaultfd\0ustat\0utime\0utimensat\0utimensat_time64\0utimes\0utrap_"
    "install\0"
    "vfork\0vhangup\0vm86\0vm86old\0vmsplice\0vserver\0wait4\0waitid\0waitpid\0write\0writev\0";
