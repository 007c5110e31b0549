/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calls on regular files, offloaded. Arguments and results lie in the frame of the caller, which
 * waits for a call that has begun.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <aiotools-sd/offload.h>

#include "io.h"
#include "now.h"
#include "scheduler.h"
#include "slurp.h"

struct file_call {
    const char *path;
    int fd, flags;
    mode_t mode;
    void *buf;
    const void *data;
    size_t n;
    uint64_t offset;
    ssize_t result;
};

/* A call on c->fd. Others may close it before the thread has begun. */
static ssize_t offload_fd(ait_offload_fn fn, struct file_call *c)
{
    struct fd_hold hold;
    int r;

    r = fd_hold(&hold, c->fd);
    if (r < 0)
        return r;
    r = ait_offload(fn, c);
    return fd_release(&hold, r < 0 ? r : c->result);
}

static int do_open(void *userdata)
{
    const struct file_call *c = userdata;
    int fd = open(c->path, c->flags | O_CLOEXEC, c->mode);

    return fd < 0 ? -errno : fd;
}

AIT_PUBLIC int ait_open(const char *path, int flags, mode_t mode)
{
    struct file_call c = {.path = path, .flags = flags, .mode = mode};

    return path ? ait_offload(do_open, &c) : -EINVAL;
}

static int do_pread(void *userdata)
{
    struct file_call *c = userdata;

    c->result = pread(c->fd, c->buf, c->n, (off_t)c->offset);
    return c->result < 0 ? -errno : 0;
}

/*
 * Reads from the page cache without waiting, and advances c. Returns 1 if that was all, 0 if the
 * rest must be waited for.
 */
static int pread_cached(struct file_call *c)
{
    while (c->n > 0) {
        struct iovec iov = {.iov_base = c->buf, .iov_len = c->n};
        ssize_t k = preadv2(c->fd, &iov, 1, (off_t)c->offset, RWF_NOWAIT);

        if (k < 0)
            return errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL
                       ? 0
                       : -errno;
        if (k == 0)
            break;
        c->buf = (char *)c->buf + k;
        c->n -= (size_t)k;
        c->offset += (uint64_t)k;
    }
    return 1;
}

static ssize_t pread_held(struct file_call *c, size_t n)
{
    struct ait_loop *loop;
    struct ait_task *t;
    ssize_t k, done;
    int r;

    r = op_enter(&loop, &t);
    if (r >= 0)
        r = pread_cached(c);
    if (r < 0)
        return r;
    done = (ssize_t)(n - c->n);
    if (r > 0)
        return done;
    r = ait_offload(do_pread, c);
    k = r < 0 ? r : c->result;
    return k < 0 ? (done > 0 ? done : k) : done + k;
}

AIT_PUBLIC ssize_t ait_pread(int fd, void *buf, size_t n, uint64_t offset)
{
    struct file_call c = {.fd = fd, .buf = buf, .n = n, .offset = offset};
    struct fd_hold hold;
    ssize_t k;
    int r;

    if ((!buf && n > 0) || offset > INT64_MAX || n > SSIZE_MAX)
        return -EINVAL;
    r = fd_hold(&hold, fd);
    if (r < 0)
        return r;
    k = pread_held(&c, n);
    return fd_release(&hold, k);
}

static int do_pwrite(void *userdata)
{
    struct file_call *c = userdata;

    c->result = pwrite(c->fd, c->data, c->n, (off_t)c->offset);
    return c->result < 0 ? -errno : 0;
}

AIT_PUBLIC ssize_t ait_pwrite(int fd, const void *buf, size_t n, uint64_t offset)
{
    struct file_call c = {.fd = fd, .data = buf, .n = n, .offset = offset};

    if ((!buf && n > 0) || offset > INT64_MAX || n > SSIZE_MAX)
        return -EINVAL;
    return offload_fd(do_pwrite, &c);
}

static int do_fsync(void *userdata)
{
    const struct file_call *c = userdata;

    return fsync(c->fd) < 0 ? -errno : 0;
}

AIT_PUBLIC int ait_fsync(int fd)
{
    struct file_call c = {.fd = fd};

    return (int)offload_fd(do_fsync, &c);
}

static int do_fdatasync(void *userdata)
{
    const struct file_call *c = userdata;

    return fdatasync(c->fd) < 0 ? -errno : 0;
}

AIT_PUBLIC int ait_fdatasync(int fd)
{
    struct file_call c = {.fd = fd};

    return (int)offload_fd(do_fdatasync, &c);
}

/* ---- whole files ----------------------------------------------------------------------------- */

static int do_read_file(void *userdata)
{
    struct file_call *c = userdata;

    char *data;
    int r = slurp_path(c->path, 0, c->n, &data, &c->n);

    if (r >= 0)
        c->buf = data;
    return r;
}

AIT_PUBLIC int ait_read_file(void **ret_data, size_t *ret_n, const char *path, size_t max)
{
    struct file_call c = {.path = path, .n = max};
    int r;

    if (!path || !ret_data)
        return -EINVAL;
    r = ait_offload(do_read_file, &c);
    if (r < 0)
        return r;
    *ret_data = c.buf;
    if (ret_n)
        *ret_n = c.n;
    return 0;
}

static int write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, data, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        data += k;
        n -= (size_t)k;
    }
    return 0;
}

/*
 * The directory of path, in which all of it happens: the working directory, and what links on the
 * way mean, may change meanwhile. *ret_name is the name in it.
 */
static int open_directory(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char *copy;
    int fd;

    *ret_name = slash ? slash + 1 : path;
    if (!**ret_name)
        return slash ? -EISDIR : -ENOENT;
    copy = strndup(slash ? path : ".", slash ? (size_t)(slash - path) + 1 : 1);
    if (!copy)
        return -ENOMEM;
    fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    free(copy);
    return fd;
}

#define TEMPORARY_SIZE 24

/* A file beside the one that it is to replace. Its name is short, as that one's may be long. */
static int make_temporary(int directory, char name[TEMPORARY_SIZE])
{
    for (unsigned i = 0; i < 100; i++) {
        uint64_t number = 0;
        int fd;

        if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
            number = clock_now_real() + i;
        (void)snprintf(name, TEMPORARY_SIZE, ".ait-%016" PRIx64, number);
        fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd < 0 ? -errno : fd;
    }
    return -EEXIST;
}

static int fill_and_rename(int directory, int fd, const char *temporary, const char *name,
                           const struct file_call *c)
{
    int r;

    r = write_all(fd, c->data, c->n);
    if (r < 0)
        return r;
    if (fchmod(fd, c->mode) < 0 || fsync(fd) < 0)
        return -errno;
    return renameat(directory, temporary, directory, name) < 0 ? -errno : 0;
}

static int write_in(int directory, const char *name, const struct file_call *c)
{
    char temporary[TEMPORARY_SIZE];
    int r, fd;

    fd = make_temporary(directory, temporary);
    if (fd < 0)
        return fd;
    r = fill_and_rename(directory, fd, temporary, name, c);
    (void)close(fd);
    if (r < 0) {
        (void)unlinkat(directory, temporary, 0);
        return r;
    }
    /* Until then the new name may be lost with the power. */
    return fsync(directory) < 0 && errno != EINVAL ? -errno : 0;
}

static int do_write_file(void *userdata)
{
    const struct file_call *c = userdata;
    const char *name;
    int r, directory;

    directory = open_directory(c->path, &name);
    if (directory < 0)
        return directory;
    r = write_in(directory, name, c);
    (void)close(directory);
    return r;
}

AIT_PUBLIC int ait_write_file(const char *path, const void *data, size_t n, mode_t mode)
{
    struct file_call c = {.path = path, .data = data, .n = n, .mode = mode};

    if (!path || (!data && n > 0))
        return -EINVAL;
    return ait_offload(do_write_file, &c);
}
