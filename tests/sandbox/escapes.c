/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Tries to get out. Each way is tried as well as this machine allows, in a child of its own, and
 * told on a line:
 *
 *     NAME: refused (EPERM) | killed (SIGSYS) | not here (WHY) | OPEN (WHAT IT GOT)
 *
 * "not here" is what the kernel says by itself, of what it does not have, or to this user. A way
 * that the kernel refuses for its own reasons, such as a bad address, is open: the sandbox has let
 * it through. Exits with 1 where one was open. Afterwards it waits to be stopped, when asked to
 * (--stay).
 *
 * It does no harm where it gets out: what would change the machine is tried with paths, magic
 * numbers and sizes that the kernel refuses afterwards. It has to stay like that: people run it by
 * hand.
 *
 * ESCAPE_ABSTRACT names an abstract socket outside; ESCAPE_VICTIM a process. Without, the parent is
 * the victim.
 *
 * With --files, what is tried is what root can do to files: ESCAPE_OUTSIDE names a folder that
 * cannot be reached, with a file, and sockets called stream and seqpacket; ESCAPE_READABLE a file
 * that may be read only; ESCAPE_WRITABLE a folder that may be written. Those are changed where it
 * gets out, and nothing else.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escapes.h"

pid_t victim;
static pid_t sibling;

/* ---- ways: 0, or the errno ------------------------------------------------------------------- */

static int way_io_uring(void)
{
    struct io_uring_params params = {0};
    return said(syscall(SYS_io_uring_setup, 1, &params));
}

static int pty(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        return 0;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    return slave < 0 ? master : slave;
}

static int tioc(uint64_t request)
{
    char c = 2; /* a letter for one; get shift state, for the other, needs a console */
    return said(syscall(SYS_ioctl, pty(), request, &c));
}
static int way_tiocsti(void)
{
    return tioc(TIOCSTI);
}
static int way_tiocsti_high(void)
{
    return tioc(HIGH | TIOCSTI);
}
static int way_tioclinux(void)
{
    return tioc(TIOCLINUX);
}
static int way_tioclinux_high(void)
{
    return tioc(HIGH | TIOCLINUX);
}

static int cloned(uint64_t flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return said(pid);
}
static int way_clone_user(void)
{
    return cloned(CLONE_NEWUSER);
}
static int way_clone_user_high(void)
{
    return cloned(HIGH | CLONE_NEWUSER);
}
static int way_clone_mount(void)
{
    return cloned(CLONE_NEWNS);
}
static int way_clone_net(void)
{
    return cloned(CLONE_NEWNET);
}
static int way_clone_pid(void)
{
    return cloned(CLONE_NEWPID);
}
static int way_clone3(void)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        _exit(0);
    return said(pid);
}
static int way_unshare_user(void)
{
    return said(unshare(CLONE_NEWUSER));
}
static int way_unshare_user_high(void)
{
    return said(syscall(SYS_unshare, HIGH | CLONE_NEWUSER));
}
static int way_unshare_all(void)
{
    return said(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET));
}
static int way_unshare_time(void)
{
    return said(unshare(0x80));
}

static int way_ptrace_seize(void)
{
    return said(ptrace(PTRACE_SEIZE, victim, NULL, NULL));
}
static int way_ptrace_traceme(void)
{
    return said(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static struct iovec vector(char *at)
{
    return (struct iovec){.iov_base = at, .iov_len = 1};
}
/* At an address where nothing can be: what counts is who says no. */
static int other_memory(ssize_t (*call)(pid_t, const struct iovec *, unsigned long,
                                        const struct iovec *, unsigned long, unsigned long))
{
    char byte = 0;
    struct iovec here = vector(&byte), there = vector(NULL);
    return said(call(victim, &here, 1, &there, 1, 0));
}
static int way_process_vm_readv(void)
{
    return other_memory(process_vm_readv);
}
static int way_process_vm_writev(void)
{
    return other_memory(process_vm_writev);
}
static int way_pidfd_getfd(void)
{
    long fd = syscall(SYS_pidfd_open, victim, 0);
    return fd < 0 ? NOT_HERE : said(syscall(SYS_pidfd_getfd, fd, 0, 0));
}
static int way_kcmp(void)
{
    return said(syscall(SYS_kcmp, victim, getpid(), KCMP_FILES, 0, 0));
}
int opened(const char *format, pid_t pid, int flags)
{
    char path[64];
    (void)snprintf(path, sizeof(path), format, pid);
    return said(open(path, flags | O_CLOEXEC));
}
static int way_proc_mem(void)
{
    return opened("/proc/%d/mem", victim, O_RDWR);
}
static int way_proc_environ(void)
{
    return opened("/proc/%d/environ", victim, O_RDONLY);
}
static int way_proc_fd(void)
{
    return opened("/proc/%d/fd/0", victim, O_RDONLY);
}
static int way_proc_root(void)
{
    return opened("/proc/%d/root/etc/passwd", victim, O_RDONLY);
}
static int way_kill_victim(void)
{
    return said(kill(victim, 0));
}
static int way_pidfd_signal_victim(void)
{
    long fd = syscall(SYS_pidfd_open, victim, 0);
    return fd < 0 ? NOT_HERE : said(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
}
/* Its own limits, given to it again. */
static int way_prlimit(void)
{
    struct rlimit limit;
    if (syscall(SYS_prlimit64, victim, RLIMIT_CPU, NULL, &limit) < 0)
        return errno;
    return said(syscall(SYS_prlimit64, victim, RLIMIT_CPU, &limit, NULL));
}
/* What it has already, given to it again. */
static int way_affinity(void)
{
    cpu_set_t set;
    if (sched_getaffinity(victim, sizeof(set), &set) < 0)
        return errno;
    return said(sched_setaffinity(victim, sizeof(set), &set));
}
static int way_scheduler(void)
{
    struct sched_param param = {0};
    int policy = sched_getscheduler(victim);
    if (policy < 0 || sched_getparam(victim, &param) < 0)
        return errno;
    return said(sched_setscheduler(victim, policy, &param));
}
static int way_scheduler_param(void)
{
    struct sched_param param = {0};
    return sched_getparam(victim, &param) < 0 ? errno : said(sched_setparam(victim, &param));
}
static int way_scheduler_attr(void)
{
    struct {
        uint32_t size, policy;
        uint64_t words[6];
    } attr = {.size = sizeof(attr)};
    if (syscall(SYS_sched_getattr, victim, &attr, sizeof(attr), 0) < 0)
        return errno;
    return said(syscall(SYS_sched_setattr, victim, &attr, 0));
}
static int way_priority(void)
{
    int nice;
    errno = 0;
    nice = getpriority(PRIO_PROCESS, (id_t)victim);
    return errno ? errno : said(setpriority(PRIO_PROCESS, (id_t)victim, nice));
}
static int way_priority_high(void)
{
    int nice;
    errno = 0;
    nice = getpriority(PRIO_PROCESS, (id_t)victim);
    return errno ? errno : said(syscall(SYS_setpriority, HIGH, HIGH | (uint64_t)victim, nice));
}
/* Nobody is that user. */
static int way_priority_user(void)
{
    return said(setpriority(PRIO_USER, 4000000001U, 0));
}
static int way_io_priority(void)
{
    long priority = syscall(SYS_ioprio_get, 1, victim);
    return priority < 0 ? errno : said(syscall(SYS_ioprio_set, 1, victim, priority));
}
static int way_io_priority_user(void)
{
    return said(syscall(SYS_ioprio_set, 3, 4000000001U, 0));
}
static int way_kill_sibling(void)
{
    return sibling ? said(kill(sibling, 0)) : NOT_HERE;
}
static int way_sibling_mem(void)
{
    return sibling ? opened("/proc/%d/mem", sibling, O_RDWR) : NOT_HERE;
}
static int way_sibling_fd(void)
{
    return sibling ? opened("/proc/%d/fd/0", sibling, O_RDONLY) : NOT_HERE;
}

static int way_mount(void)
{
    return said(mount("none", NOWHERE, "tmpfs", 0, NULL));
}
static int way_remount(void)
{
    return said(mount(NULL, NOWHERE, NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int way_umount(void)
{
    return said(umount2(NOWHERE, MNT_DETACH));
}
static int way_open_tree(void)
{
    return said(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE));
}
static int way_fsopen(void)
{
    return said(syscall(SYS_fsopen, "tmpfs", 0));
}
static int way_fspick(void)
{
    return said(syscall(SYS_fspick, AT_FDCWD, "/", 0));
}
static int way_move_mount(void)
{
    return said(syscall(SYS_move_mount, AT_FDCWD, NOWHERE, AT_FDCWD, NOWHERE, 0));
}
static int way_mount_setattr(void)
{
    struct mount_attr attr = {0};
    return said(syscall(SYS_mount_setattr, AT_FDCWD, NOWHERE, 0, &attr, sizeof(attr)));
}
static int way_pivot_root(void)
{
    return said(syscall(SYS_pivot_root, NOWHERE, NOWHERE));
}
static int way_setns(void)
{
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? NOT_HERE : said(setns(fd, CLONE_NEWNET));
}
static int way_chroot(void)
{
    return said(chroot("/"));
}
static int made_node(mode_t type)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/escape-%d", getpid());
    int r = said(mknod(path, type | 0600, makedev(1, 3)));
    (void)unlink(path);
    return r;
}
static int way_mknod_character(void)
{
    return made_node(S_IFCHR);
}
static int way_mknod_block(void)
{
    return made_node(S_IFBLK);
}
static int way_open_by_handle(void)
{
    struct {
        struct file_handle handle;
        char space[MAX_HANDLE_SZ];
    } h = {.handle.handle_bytes = MAX_HANDLE_SZ};
    int id;
    if (name_to_handle_at(AT_FDCWD, "/", &h.handle, &id, 0) < 0)
        return NOT_HERE;
    return said(open_by_handle_at(AT_FDCWD, &h.handle, O_RDONLY));
}

static int way_keyctl(void)
{
    return said(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
}
static int way_add_key(void)
{
    return said(syscall(SYS_add_key, "user", "escape", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}
static int way_request_key(void)
{
    return said(syscall(SYS_request_key, "user", "escape", NULL, KEY_SPEC_PROCESS_KEYRING));
}
static int way_bpf(void)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return said(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}
static int way_userfaultfd(void)
{
    return said(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
}
/* The same by a file. */
static int way_userfaultfd_file(void)
{
    int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NOT_HERE : errno;
    return said(ioctl(fd, _IO(0xaa, 0), O_CLOEXEC));
}
static int way_perf(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .exclude_kernel = 1};
    return said(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}
static int way_personality(void)
{
    return said(personality(ADDR_NO_RANDOMIZE));
}
static int way_personality_exec(void)
{
    return said(personality(READ_IMPLIES_EXEC));
}
static int way_reboot(void)
{
    return said(syscall(SYS_reboot, 0, 0, 0, 0)) == EINVAL ? 0 : errno;
}
static int way_kexec(void)
{
    return said(syscall(SYS_kexec_load, 0, 1000000, NULL, 0));
}
static int way_module(void)
{
    return said(syscall(SYS_init_module, "", 0, ""));
}
static int way_sethostname(void)
{
    return said(syscall(SYS_sethostname, "x", -1L));
}
static int way_swapon(void)
{
    return said(syscall(SYS_swapon, NOWHERE, 0));
}

static int made_socket(uint64_t domain, uint64_t type, int protocol)
{
    return said(syscall(SYS_socket, domain, type, protocol));
}
static int way_raw_ip(void)
{
    return made_socket(AF_INET, SOCK_RAW, 1);
}
static int way_raw_ip_high(void)
{
    return made_socket(HIGH | AF_INET, HIGH | SOCK_RAW | SOCK_CLOEXEC, 1);
}
static int way_raw_ip6(void)
{
    return made_socket(AF_INET6, SOCK_RAW, 58);
}
static int way_packet(void)
{
    return made_socket(AF_PACKET, SOCK_DGRAM, 0);
}
static int way_algorithms(void)
{
    return made_socket(AF_ALG, SOCK_SEQPACKET, 0);
}
static int way_abstract(void)
{
    const char *name = getenv("ESCAPE_ABSTRACT");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!name || fd < 0)
        return NOT_HERE;
    (void)snprintf(to.sun_path + 1, sizeof(to.sun_path) - 1, "%s", name);
    return said(
        connect(fd, (struct sockaddr *)&to, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(name))));
}

/* Root's own files would be no escape for root. */
static int way_setuid_program(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
}

#ifdef __x86_64__
static int way_int80(void)
{
    long r;
    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "a"(20L /* getpid */)
                     : "memory", "r8", "r9", "r10", "r11");
    return r < 0 ? (int)-r : 0;
}
static int way_x32(void)
{
    return said(syscall(0x40000000L | 39));
}
#endif

/* ---- the sockets of other slots -------------------------------------------------------------- */

/* Sending cannot be refused, where the directory can be read: the supervisor has to see who speaks.
 */
static int way_notify_socket(void)
{
    char directory[108];
    const char *own = getenv("NOTIFY_SOCKET"), text[] = "READY=1\nSTATUS=escaped";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), n = 0;

    if (!own || fd < 0 || !strrchr(own, '/'))
        return NOT_HERE;
    (void)snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(own, '/') - own), own);
    DIR *d = opendir(directory);
    if (!d)
        return errno;
    for (struct dirent *e; (e = readdir(d));) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        if (strncmp(e->d_name, "notify-", 7) != 0 ||
            strlen(directory) + strlen(e->d_name) + 2 > sizeof(to.sun_path))
            continue;
        (void)stpcpy(stpcpy(stpcpy(to.sun_path, directory), "/"), e->d_name);
        if (strcmp(to.sun_path, own) == 0)
            continue;
        n += sendto(fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&to, sizeof(to)) > 0;
    }
    closedir(d);
    return n > 0 ? PASSED : NOT_HERE;
}

/* ---- telling --------------------------------------------------------------------------------- */

static const struct way ways[] = {
    {"io_uring", way_io_uring},
    {"TIOCSTI", way_tiocsti},
    {"TIOCSTI with high bits", way_tiocsti_high},
    {"TIOCLINUX", way_tioclinux},
    {"TIOCLINUX with high bits", way_tioclinux_high},
    {"clone NEWUSER", way_clone_user},
    {"clone NEWUSER with high bits", way_clone_user_high},
    {"clone NEWNS", way_clone_mount},
    {"clone NEWNET", way_clone_net},
    {"clone NEWPID", way_clone_pid},
    {"clone3 NEWUSER", way_clone3},
    {"unshare NEWUSER", way_unshare_user},
    {"unshare NEWUSER with high bits", way_unshare_user_high},
    {"unshare of everything", way_unshare_all},
    {"unshare NEWTIME", way_unshare_time},
    {"ptrace the supervisor", way_ptrace_seize},
    {"ptrace at all", way_ptrace_traceme},
    {"process_vm_readv the supervisor", way_process_vm_readv},
    {"process_vm_writev the supervisor", way_process_vm_writev},
    {"pidfd_getfd the supervisor", way_pidfd_getfd},
    {"kcmp the supervisor", way_kcmp},
    {"supervisor's mem", way_proc_mem},
    {"supervisor's environ", way_proc_environ},
    {"supervisor's fd", way_proc_fd},
    {"supervisor's root", way_proc_root},
    {"kill the supervisor", way_kill_victim},
    {"pidfd_send_signal to the supervisor", way_pidfd_signal_victim},
    {"prlimit of the supervisor", way_prlimit},
    {"sched_setaffinity of the supervisor", way_affinity},
    {"sched_setscheduler of the supervisor", way_scheduler},
    {"sched_setparam of the supervisor", way_scheduler_param},
    {"sched_setattr of the supervisor", way_scheduler_attr},
    {"setpriority of the supervisor", way_priority},
    {"setpriority of the supervisor with high bits", way_priority_high},
    {"setpriority of a user", way_priority_user},
    {"ioprio_set of the supervisor", way_io_priority},
    {"ioprio_set of a user", way_io_priority_user},
    {"kill a sibling", way_kill_sibling},
    {"sibling's mem", way_sibling_mem},
    {"sibling's fd", way_sibling_fd},
    {"mount", way_mount},
    {"remount", way_remount},
    {"umount2", way_umount},
    {"open_tree", way_open_tree},
    {"fsopen", way_fsopen},
    {"fspick", way_fspick},
    {"move_mount", way_move_mount},
    {"mount_setattr", way_mount_setattr},
    {"pivot_root", way_pivot_root},
    {"setns", way_setns},
    {"chroot", way_chroot},
    {"mknod of a character device", way_mknod_character},
    {"mknod of a block device", way_mknod_block},
    {"open_by_handle_at", way_open_by_handle},
    {"keyctl", way_keyctl},
    {"add_key", way_add_key},
    {"request_key", way_request_key},
    {"bpf", way_bpf},
    {"userfaultfd", way_userfaultfd},
    {"ioctl of /dev/userfaultfd", way_userfaultfd_file},
    {"perf_event_open", way_perf},
    {"personality ADDR_NO_RANDOMIZE", way_personality},
    {"personality READ_IMPLIES_EXEC", way_personality_exec},
    {"reboot", way_reboot},
    {"kexec_load", way_kexec},
    {"init_module", way_module},
    {"sethostname", way_sethostname},
    {"swapon", way_swapon},
    {"raw IPv4", way_raw_ip},
    {"raw IPv4 with high bits", way_raw_ip_high},
    {"raw IPv6", way_raw_ip6},
    {"AF_PACKET", way_packet},
    {"AF_ALG", way_algorithms},
    {"abstract socket outside", way_abstract},
    {"set-user-ID programs", way_setuid_program},
#ifdef __x86_64__
    {"int 0x80", way_int80},
    {"x32", way_x32},
#endif
    {"another slot's notify socket", way_notify_socket},
};

/* Returns whether it is open. */
static bool tell(const char *name, int status)
{
    if (WIFSIGNALED(status)) {
        printf("%s: killed (SIG%s)\n", name, sigabbrev_np(WTERMSIG(status)));
        return WTERMSIG(status) != SIGSYS;
    }
    int code = WEXITSTATUS(status);
    if (code == NOT_HERE % 251 || code == PASSED % 251) {
        printf("%s: %s\n", name,
               code == PASSED % 251 ? "sent (the supervisor has to see who speaks)" : "not here");
        return false;
    }
    if (code == EPERM || code == EACCES || code == ENOSYS || code == EROFS) {
        printf("%s: refused (%s)\n", name, strerrorname_np(code));
        return false;
    }
    printf("%s: OPEN (%s)\n", name, code == 0 ? "it has worked" : strerrorname_np(code));
    return true;
}

static bool attempt(const struct way *way)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(way->try() % 251);
    (void)waitpid(pid, &status, 0);
    return tell(way->name, status);
}

/* Another child of our parent, with a session of its own, as workers have. */
static pid_t find_sibling(void)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;

    for (struct dirent *e; d && !found && (e = readdir(d));) {
        char path[300], text[512] = "", state;
        int pid = atoi(e->d_name), parent, session;
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        int fd = pid > 0 && pid != getpid() ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        if (read(fd, text, sizeof(text) - 1) > 0 && strrchr(text, ')') &&
            sscanf(strrchr(text, ')') + 1, " %c %d %*d %d", &state, &parent, &session) == 3 &&
            parent == victim && session == pid && strstr(text, "(escapes)"))
            found = pid;
        close(fd);
    }
    if (d)
        closedir(d);
    return found;
}

static bool attempt_all(const struct way *table, size_t n)
{
    bool open = false;

    for (size_t i = 0; i < n; i++)
        open |= attempt(&table[i]);
    printf("all %zu ways were tried\n", n);
    return open;
}

int main(int argc, char **argv)
{
    const char *pid = getenv("ESCAPE_VICTIM");
    bool stay = argc > 1 && strcmp(argv[1], "--stay") == 0;
    bool files = argc > 1 && strcmp(argv[1], "--files") == 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    victim = pid ? atoi(pid) : getppid();
    for (int i = 0; stay && !sibling && i < 500; i++) {
        sibling = find_sibling();
        usleep(sibling ? 0 : 10000);
    }
    bool open = files ? attempt_all(file_ways, n_file_ways)
                      : attempt_all(ways, sizeof(ways) / sizeof(ways[0]));
    if (stay)
        pause();
    return open;
}
