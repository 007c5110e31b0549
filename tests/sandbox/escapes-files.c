/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What root can do to files that Landlock keeps closed. The files are those of the environment
 * (escapes.c); where it gets out, they are changed, and nothing else.
 */

#include <fcntl.h>
#include <linux/fs.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "escapes.h"

static const char *outside(const char *name)
{
    static char path[4096];
    const char *folder = getenv("ESCAPE_OUTSIDE");

    (void)snprintf(path, sizeof(path), "%s/%s", folder ? folder : NOWHERE, name);
    return path;
}
static int named(void)
{
    return open(outside("file"), O_PATH | O_CLOEXEC);
}
static int readable(void)
{
    const char *path = getenv("ESCAPE_READABLE");
    return open(path ? path : NOWHERE, O_RDONLY | O_CLOEXEC);
}
/* Its file again, by a link that the kernel follows without looking at names. */
static const char *again(int fd)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}
/* By the victim's own view of the files. */
static const char *elsewhere(void)
{
    static char path[5000];
    (void)snprintf(path, sizeof(path), "/proc/%d/root%s", victim, outside("file"));
    return path;
}

static int way_chmod(void)
{
    return said(chmod(outside("file"), 04755));
}
static int way_chmod_named(void)
{
    return said(chmod(again(named()), 0755));
}
static int way_chmod_elsewhere(void)
{
    return said(chmod(elsewhere(), 0755));
}
static int way_chmod_device(void)
{
    return said(chmod("/dev/null", 0666));
}
static int way_fchmod(void)
{
    return said(fchmod(readable(), 0755));
}
/* Neither reading nor writing is asked for, and so nothing is refused. */
static int way_fchmod_neither(void)
{
    return said(fchmod(open(outside("file"), O_ACCMODE | O_CLOEXEC), 0755));
}
static int way_fchmodat(void)
{
    return said(syscall(SYS_fchmodat, AT_FDCWD, outside("file"), 0755));
}
static int way_fchmodat2(void)
{
    return said(syscall(452, named(), "", 0755, AT_EMPTY_PATH));
}
static int way_chown(void)
{
    return said(chown(outside("file"), 1, 1));
}
static int way_lchown(void)
{
    return said(lchown(outside("file"), 1, 1));
}
static int way_fchown(void)
{
    return said(fchown(readable(), 1, 1));
}
static int way_fchownat(void)
{
    return said(fchownat(AT_FDCWD, outside("file"), 1, 1, AT_SYMLINK_NOFOLLOW));
}
static int way_fchownat_named(void)
{
    return said(fchownat(named(), "", 1, 1, AT_EMPTY_PATH));
}
#ifdef SYS_utime
static int way_utime(void)
{
    const struct utimbuf times = {0};
    return said(syscall(SYS_utime, outside("file"), &times));
}
static int way_futimesat(void)
{
    const struct timeval times[2] = {{0}};
    return said(syscall(SYS_futimesat, AT_FDCWD, outside("file"), times));
}
static int way_utimes(void)
{
    const struct timeval times[2] = {{0}};
    return said(syscall(SYS_utimes, outside("file"), times));
}
#endif
static int way_utimensat(void)
{
    const struct timespec times[2] = {{0}};
    return said(utimensat(AT_FDCWD, outside("file"), times, 0));
}
static int way_futimens(void)
{
    const struct timespec times[2] = {{0}};
    return said(futimens(readable(), times));
}
static int way_setxattr(void)
{
    return said(setxattr(outside("file"), "trusted.x", "y", 1, 0));
}
static int way_setxattr_user(void)
{
    return said(setxattr(outside("file"), "user.x", "y", 1, 0));
}
static int way_lsetxattr(void)
{
    return said(lsetxattr(outside("file"), "user.x", "y", 1, 0));
}
static int way_fsetxattr(void)
{
    return said(fsetxattr(readable(), "user.x", "y", 1, 0));
}
static int way_setxattrat(void)
{
    struct {
        uint64_t value;
        uint32_t size, flags;
    } args = {(uintptr_t) "y", 1, 0};
    return said(syscall(463, AT_FDCWD, outside("file"), 0, "user.x", &args, sizeof(args)));
}
static int way_removexattr(void)
{
    return said(removexattr(outside("file"), "user.there"));
}
static int way_lremovexattr(void)
{
    return said(lremovexattr(outside("file"), "user.there"));
}
static int way_fremovexattr(void)
{
    return said(fremovexattr(readable(), "user.there"));
}
static int way_removexattrat(void)
{
    return said(syscall(466, AT_FDCWD, outside("file"), 0, "user.there"));
}
static int way_set_flags(void)
{
    int flags = 0x80; /* no access times */
    return said(ioctl(readable(), FS_IOC_SETFLAGS, &flags));
}
static int way_set_flags_high(void)
{
    int flags = 0x80;
    return said(syscall(SYS_ioctl, readable(), HIGH | FS_IOC_SETFLAGS, &flags));
}
static int way_set_attributes(void)
{
    struct fsxattr attributes = {.fsx_xflags = 0x40};
    return said(ioctl(readable(), FS_IOC_FSSETXATTR, &attributes));
}
static int way_set_version(void)
{
    long version = 1;
    return said(ioctl(readable(), _IOW('v', 2, long), &version));
}
/* A subvolume, of a length that is refused. */
static int way_subvolume(void)
{
    static const char arguments[4096];
    int fd = open("/usr/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? NOT_HERE : said(ioctl(fd, _IOW(0x94, 14, arguments), arguments));
}
static int way_file_setattr(void)
{
    uint64_t attributes[4] = {0x40};
    return said(syscall(469, AT_FDCWD, outside("file"), attributes, 24, 0));
}
/* What it was given: all that is no pipe and no socket. */
static int way_fchmod_given(void)
{
    struct stat st;
    int r = NOT_HERE;
    for (int fd = 0; fd < 64; fd++) {
        if (fstat(fd, &st) < 0 || S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode))
            continue;
        r = said(fchmod(fd, st.st_mode & 07777));
        if (r == 0)
            break;
    }
    return r;
}
/* In a place of its own: others could execute it with root's rights. */
static const char *own(void)
{
    static char path[4096];
    const char *folder = getenv("ESCAPE_WRITABLE");
    (void)snprintf(path, sizeof(path), "%s/%d", folder ? folder : NOWHERE, getpid());
    return path;
}
static int made(int fd)
{
    int r = said(fd);
    struct stat st;
    if (r == 0 && fstat(fd, &st) == 0 && !(st.st_mode & (S_ISUID | S_ISGID)))
        r = EACCES;
    (void)unlink(own());
    return r;
}
static int way_suid_open(void)
{
    return made(open(own(), O_WRONLY | O_CREAT | O_CLOEXEC, 04700));
}
static int way_suid_open_high(void)
{
    return made((int)syscall(SYS_openat, AT_FDCWD, own(), O_WRONLY | O_CREAT | O_CLOEXEC,
                             HIGH | 0x10000 | 02710));
}
static int way_suid_creat(void)
{
    return made(creat(own(), 04700));
}
static int way_suid_temporary(void)
{
    const char *folder = getenv("ESCAPE_WRITABLE");
    return made(open(folder ? folder : NOWHERE, O_WRONLY | O_TMPFILE | O_CLOEXEC, 04700));
}
static int way_suid_openat2(void)
{
    uint64_t how[3] = {O_WRONLY | O_CREAT, 04700, 0};
    return made((int)syscall(437, AT_FDCWD, own(), how, sizeof(how)));
}
static int way_suid_mknod(void)
{
    int r = said(mknod(own(), S_IFREG | 04700, 0));
    (void)unlink(own());
    return r;
}
static int way_suid_chmod(void)
{
    int fd = open(own(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700), r;
    if (fd < 0)
        return NOT_HERE;
    r = said(chmod(own(), 04700));
    (void)unlink(own());
    return r;
}
static int way_suid_fchmod(void)
{
    int fd = open(own(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700), r;
    if (fd < 0)
        return NOT_HERE;
    r = said(fchmod(fd, 06700));
    (void)unlink(own());
    return r;
}
static int way_suid_fchmodat2(void)
{
    int fd = open(own(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700), r;
    if (fd < 0)
        return NOT_HERE;
    r = said(syscall(452, AT_FDCWD, own(), 02700, AT_SYMLINK_NOFOLLOW));
    (void)unlink(own());
    return r;
}

static int way_truncate(void)
{
    return said(truncate(outside("file"), 0));
}
static int way_truncate_readable(void)
{
    const char *path = getenv("ESCAPE_READABLE");
    return said(open(path ? path : NOWHERE, O_RDONLY | O_TRUNC | O_CLOEXEC));
}
static int way_truncate_neither(void)
{
    return said(open(outside("file"), O_ACCMODE | O_TRUNC | O_CLOEXEC));
}
static int way_lease(void)
{
    return said(fcntl(readable(), F_SETLEASE, F_WRLCK));
}
static int way_make(void)
{
    return said(mknod(outside("made"), S_IFREG | 0600, 0));
}
static struct sockaddr_un address(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = outside(name);

    if (strlen(path) < sizeof(address.sun_path))
        strcpy(address.sun_path, path);
    return address;
}
static int way_make_socket(void)
{
    struct sockaddr_un at = address("bound");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return said(bind(fd, (struct sockaddr *)&at, sizeof(at)));
}
static int way_rename(void)
{
    char to[4096];
    (void)snprintf(to, sizeof(to), "%s", outside("moved"));
    return said(rename(outside("file"), to));
}
static int way_link(void)
{
    char to[4096];
    (void)snprintf(to, sizeof(to), "%s", outside("linked"));
    return said(link(outside("file"), to));
}
static int reached(int type, const char *name)
{
    struct sockaddr_un to = address(name);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : said(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}
static int way_stream(void)
{
    return reached(SOCK_STREAM, "stream");
}
static int way_seqpacket(void)
{
    return reached(SOCK_SEQPACKET, "seqpacket");
}
static int way_unix_high(void)
{
    return said(syscall(SYS_socket, HIGH | AF_UNIX, HIGH | SOCK_STREAM | SOCK_NONBLOCK, 0));
}
/* One end of a pair whose other end is gone; ENOTSUP and others mean that it stays what it is. */
static int way_pair(void)
{
    struct sockaddr_un to = address("stream");
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return errno;
    close(ends[1]);
    (void)shutdown(ends[0], SHUT_RDWR);
    return connect(ends[0], (struct sockaddr *)&to, sizeof(to)) < 0 ? EACCES : 0;
}
static int way_message_queue(void)
{
    mqd_t queue = mq_open("/aiotools-sd-escape", O_RDONLY | O_CREAT, 0600, NULL);
    int r = said(queue);
    if (r == 0)
        (void)mq_unlink("/aiotools-sd-escape");
    return r;
}
static int way_mq_unlink(void)
{
    return said(syscall(SYS_mq_unlink, "aiotools-sd-nobodys")); /* libc makes EACCES of EPERM */
}
static int way_shared_memory(void)
{
    int id = shmget(IPC_PRIVATE, 1, 0600), r = said(id);
    if (r == 0)
        (void)shmctl(id, IPC_RMID, NULL);
    return r;
}
static int way_semaphore(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600), r = said(id);
    if (r == 0)
        (void)semctl(id, 0, IPC_RMID);
    return r;
}
static int way_messages(void)
{
    int id = msgget(IPC_PRIVATE, 0600), r = said(id);
    if (r == 0)
        (void)msgctl(id, IPC_RMID, NULL);
    return r;
}
/* Opened, and not used. */
static int way_cgroup_kill(void)
{
    char line[4096] = "", path[5000];
    int fd;
    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", victim);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0 || !strstr(line, "0::/"))
        strcpy(line, "0::/");
    char *group = strstr(line, "0::/") + 3;
    group[strcspn(group, "\n")] = '\0';
    (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs", group);
    if (access(path, F_OK) < 0)
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/unified%s/cgroup.procs", group);
    return access(path, F_OK) < 0 && errno == ENOENT ? NOT_HERE
                                                     : said(open(path, O_WRONLY | O_CLOEXEC));
}
static int opened_if_there(const char *path)
{
    int r = said(open(path, O_WRONLY | O_CLOEXEC));
    return r == ENOENT ? NOT_HERE : r;
}
static int way_sysctl(void)
{
    return opened_if_there("/proc/sys/kernel/core_pattern");
}
static int way_sysrq(void)
{
    return opened_if_there("/proc/sysrq-trigger");
}
static int way_oom_score(void)
{
    return opened("/proc/%d/oom_score_adj", victim, O_WRONLY);
}

const struct way file_ways[] = {
    {"chmod", way_chmod},
    {"chmod of a named file", way_chmod_named},
    {"chmod by the supervisor's root", way_chmod_elsewhere},
    {"chmod of a device", way_chmod_device},
    {"fchmod", way_fchmod},
    {"fchmod of a file opened for neither", way_fchmod_neither},
    {"fchmodat", way_fchmodat},
    {"fchmodat2", way_fchmodat2},
    {"chown", way_chown},
    {"lchown", way_lchown},
    {"fchown", way_fchown},
    {"fchownat", way_fchownat},
    {"fchownat of a named file", way_fchownat_named},
#ifdef SYS_utime
    {"utime", way_utime},
    {"futimesat", way_futimesat},
    {"utimes", way_utimes},
#endif
    {"utimensat", way_utimensat},
    {"utimensat of an open file", way_futimens},
    {"setxattr", way_setxattr_user},
    {"setxattr, trusted", way_setxattr},
    {"lsetxattr", way_lsetxattr},
    {"fsetxattr", way_fsetxattr},
    {"setxattrat", way_setxattrat},
    {"removexattr", way_removexattr},
    {"lremovexattr", way_lremovexattr},
    {"fremovexattr", way_fremovexattr},
    {"removexattrat", way_removexattrat},
    {"ioctl SETFLAGS", way_set_flags},
    {"ioctl SETFLAGS with high bits", way_set_flags_high},
    {"ioctl FSSETXATTR", way_set_attributes},
    {"ioctl SETVERSION", way_set_version},
    {"ioctl for a subvolume", way_subvolume},
    {"file_setattr", way_file_setattr},
    {"fchmod of what was given", way_fchmod_given},
    {"open of a set-user-ID file", way_suid_open},
    {"openat of a set-group-ID file", way_suid_open_high},
    {"creat of a set-user-ID file", way_suid_creat},
    {"open of a temporary set-user-ID file", way_suid_temporary},
    {"openat2 of a set-user-ID file", way_suid_openat2},
    {"mknod of a set-user-ID file", way_suid_mknod},
    {"chmod of an own file", way_suid_chmod},
    {"fchmod of an own file", way_suid_fchmod},
    {"fchmodat2 of an own file", way_suid_fchmodat2},
    {"truncate", way_truncate},
    {"open that truncates", way_truncate_readable},
    {"open for neither that truncates", way_truncate_neither},
    {"fcntl F_SETLEASE", way_lease},
    {"mknod of a file", way_make},
    {"bind of a socket", way_make_socket},
    {"rename", way_rename},
    {"link", way_link},
    {"socket to a stream socket", way_stream},
    {"socket to a seqpacket socket", way_seqpacket},
    {"socket of AF_UNIX with high bits", way_unix_high},
    {"connect of a pair", way_pair},
    {"mq_open", way_message_queue},
    {"mq_unlink", way_mq_unlink},
    {"shmget", way_shared_memory},
    {"semget", way_semaphore},
    {"msgget", way_messages},
    {"cgroup of the supervisor", way_cgroup_kill},
    {"core_pattern", way_sysctl},
    {"sysrq-trigger", way_sysrq},
    {"supervisor's oom_score_adj", way_oom_score},
};
const size_t n_file_ways = sizeof(file_ways) / sizeof(file_ways[0]);
