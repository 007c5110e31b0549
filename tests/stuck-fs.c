/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stuck-fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOREVER  3600
#define LIFETIME 60
#define ROOT     FUSE_ROOT_ID

enum { FLUSH_FILE = ROOT + 1, PROGRAM_FILE };

static void fill_attributes(struct fuse_attr *a, uint64_t node)
{
    *a = (struct fuse_attr){.ino = node,
                            .size = node == ROOT ? 0 : 4096,
                            .mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0755,
                            .nlink = 1,
                            .blksize = 4096};
}

static void answer(int fd, const struct fuse_in_header *to, int error, const void *data, size_t n)
{
    struct fuse_out_header h = {
        .len = (uint32_t)(sizeof(h) + (error ? 0 : n)), .error = error, .unique = to->unique};
    struct iovec parts[] = {{.iov_base = &h, .iov_len = sizeof(h)},
                            {.iov_base = (void *)data, .iov_len = error ? 0 : n}};

    (void)!writev(fd, parts, 2);
}

static void look_up(int fd, const struct fuse_in_header *h, const char *name)
{
    uint64_t node = strcmp(name, "flush") == 0 ? FLUSH_FILE : PROGRAM_FILE;
    struct fuse_entry_out out = {
        .nodeid = node, .generation = 1, .entry_valid = FOREVER, .attr_valid = FOREVER};

    fill_attributes(&out.attr, node);
    answer(fd, h, 0, &out, sizeof(out));
}

static void get_attributes(int fd, const struct fuse_in_header *h)
{
    struct fuse_attr_out out = {.attr_valid = FOREVER};

    fill_attributes(&out.attr, h->nodeid);
    answer(fd, h, 0, &out, sizeof(out));
}

static void serve(int fd)
{
    _Alignas(8) static char request[1 << 17];
    const struct fuse_in_header *h = (const struct fuse_in_header *)(const void *)request;
    const struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION,
                                       .minor = 31,
                                       .max_readahead = 4096,
                                       .max_background = 16,
                                       .congestion_threshold = 12,
                                       .max_write = 4096};
    const struct fuse_open_out open = {.fh = 1};
    ssize_t n;

    while ((n = read(fd, request, sizeof(request))) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        switch (h->opcode) {
        case FUSE_INIT:
            answer(fd, h, 0, &init, sizeof(init));
            break;
        case FUSE_LOOKUP:
            look_up(fd, h, request + sizeof(*h));
            break;
        case FUSE_GETATTR:
            get_attributes(fd, h);
            break;
        case FUSE_OPEN:
        case FUSE_OPENDIR:
            answer(fd, h, 0, &open, sizeof(open));
            break;
        case FUSE_READ:
            break; /* never */
        case FUSE_FLUSH:
            if (h->nodeid != FLUSH_FILE)
                answer(fd, h, 0, NULL, 0);
            break; /* or never */
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
            break; /* no answer is wanted */
        default:
            answer(fd, h, -ENOSYS, NULL, 0);
        }
    }
}

int stuck_fs_start(struct stuck_fs *ret, const char *directory)
{
    char options[128];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), r;

    if (fd < 0)
        return -errno;
    (void)snprintf(options, sizeof(options),
                   "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fd);
    if (mount("stuck", directory, "fuse.stuck", MS_NODEV | MS_NOSUID, options) < 0) {
        r = -errno;
        (void)close(fd);
        return r;
    }
    pid_t pid = fork();
    if (pid == 0) {
        /* What hangs for it cannot be killed. */
        (void)alarm(LIFETIME);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd);
        _exit(0);
    }
    r = pid < 0 ? -errno : 0;
    (void)close(fd);
    if (r < 0)
        (void)umount2(directory, MNT_DETACH);
    *ret = (struct stuck_fs){.pid = pid};
    return r;
}

void stuck_fs_end(struct stuck_fs *fs, const char *directory)
{
    (void)kill(fs->pid, SIGKILL);
    (void)waitpid(fs->pid, NULL, 0);
    (void)umount2(directory, MNT_DETACH);
}
