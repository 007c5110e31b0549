/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "families.h"

const struct family families[] = {
    {"open files", {"open", "openat", "openat2", "creat", "open_by_handle_at", "io_uring_setup"}},
    {"execute programs", {"execve", "execveat"}},
    {"start processes and threads", {"clone", "clone3", "fork", "vfork"}},
    {"make namespaces", {"unshare", "setns"}},
    {"make executable memory", {"mmap", "mmap2", "mprotect", "pkey_mprotect", "shmat", "remap_file_pages"}},
    {"open connections", {"connect", "sendto", "sendmsg", "sendmmsg", "io_uring_setup", "socketcall"}},
    {"accept connections", {"accept", "accept4", "io_uring_setup", "socketcall"}},
    {"make sockets", {"socket", "socketpair", "io_uring_setup", "socketcall"}},
    {"reach into other processes",
     {"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
      "process_mrelease"}},
    {"send signals",
     {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"}},
    {"change the user or group",
     {"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
      "setgroups"}},
    {"change modes of files", {"chmod", "fchmod", "fchmodat", "fchmodat2"}},
    {"change owners of files", {"chown", "fchown", "lchown", "fchownat"}},
    {"rename files", {"rename", "renameat", "renameat2"}},
    {"remove files", {"unlink", "unlinkat", "rmdir"}},
    {"make links", {"link", "linkat", "symlink", "symlinkat"}},
    {"make directories and nodes", {"mkdir", "mkdirat", "mknod", "mknodat"}},
    {"mount",
     {"mount", "umount2", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree",
      "open_tree_attr", "mount_setattr", "pivot_root", "chroot"}},
    {"duplicate descriptors", {"dup", "dup2", "dup3", "fcntl", "fcntl64"}},
    {"set limits", {"setrlimit", "prlimit64"}},
    {"set the clock",
     {"settimeofday", "stime", "clock_settime", "clock_settime64", "adjtimex", "clock_adjtime",
      "clock_adjtime64"}},
    {"load code into the kernel", {"init_module", "finit_module", "bpf", "kexec_load", "kexec_file_load"}},
};
const size_t n_families = sizeof(families) / sizeof(families[0]);
