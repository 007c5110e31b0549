/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_MODE 0666
#define LOCK_TRIES  50 /* of 2 ms */

#define SPARE_PATH_MAX (sizeof((struct sockaddr_un *)0)->sun_path + LISTENER_SPARE_MAX)

/*
 * An fd to close afterwards, or negative: done without. Anybody who may read a directory can lock
 * it, so one that was not given up is not waited for again.
 */
static int lock_folder(const char *path)
{
    static bool in_vain;
    char folder[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    int fd;

    memcpy(folder, path, n);
    folder[n] = 0;
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            in_vain = false;
            return fd;
        }
        if (in_vain)
            break;
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    in_vain = true;
    close(fd);
    return -EBUSY;
}

static void unlock_folder(int fd)
{
    if (fd >= 0)
        close(fd);
}

/*
 * What prevents bind(): -EEXIST: not a socket; -EADDRINUSE: a live one; 0: a stale one or nothing.
 */
static int look_at(const struct address *a, const char *path)
{
    struct stat st;
    int fd, r;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;

    fd = socket(AF_UNIX, a->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    r = connect(fd, &a->sa, a->size) < 0 ? -errno : 0;
    close(fd);
    /*
     * Anything but a refusal (accepted, a full queue, another type, no permission) means that a
     * server is there.
     */
    return r == -ECONNREFUSED || r == -ENOENT ? 0 : -EADDRINUSE;
}

static int bind_over_stale(int fd, const struct address *a, const char *path)
{
    int r;

    if (bind(fd, &a->sa, a->size) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -errno;
    r = look_at(a, path);
    if (r < 0)
        return r;
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    return bind(fd, &a->sa, a->size) < 0 ? -errno : 0;
}

/* Through a handle on the file itself: the name could have been replaced by a symbolic link. */
static int set_mode_of(int file)
{
    char handle[32];

    snprintf(handle, sizeof handle, "/proc/self/fd/%d", file);
    return chmod(handle, SOCKET_MODE) < 0 ? -errno : 0;
}

static int open_file(const char *path, struct listener_file *ret_file)
{
    struct stat st;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        close(fd);
        return -EEXIST;
    }
    *ret_file = (struct listener_file){.dev = st.st_dev, .ino = st.st_ino, .owner = getpid()};
    return fd;
}

/* ---- the second name ------------------------------------------------------------------------- */

void listener_path_spare(const char *path, char ret[static LISTENER_SPARE_MAX])
{
    (void)snprintf(ret, LISTENER_SPARE_MAX, ".%s.spare", strrchr(path, '/') + 1);
}

static void spare_path(const char *path, char ret[static SPARE_PATH_MAX])
{
    char name[LISTENER_SPARE_MAX];

    listener_path_spare(path, name);
    (void)snprintf(ret, SPARE_PATH_MAX, "%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
}

/* 1: the file; 0: another one is there; negative: none. */
static int is_file(const char *path, const struct listener_file *file)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return -errno;
    return st.st_dev == file->dev && st.st_ino == file->ino;
}

/* What a killed server has left there goes; what is not a socket of ours stays. */
static void make_spare(const char *path, const struct listener_file *file)
{
    char spare[SPARE_PATH_MAX];
    struct stat st;

    spare_path(path, spare);
    if (is_file(spare, file) == 1 || link(path, spare) == 0 || errno != EEXIST)
        return;
    if (lstat(spare, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return;
    if (unlink(spare) == 0)
        (void)!link(path, spare);
}

static void remove_spare(const char *path, const struct listener_file *file)
{
    char spare[SPARE_PATH_MAX];

    spare_path(path, spare);
    if (is_file(spare, file) == 1)
        (void)unlink(spare);
}

static int restore(const char *path, const struct listener_file *file)
{
    char spare[SPARE_PATH_MAX];
    int r = is_file(path, file);

    if (r == 1) {
        make_spare(path, file);
        return 0;
    }
    if (r == 0)
        return -EADDRINUSE;
    if (r != -ENOENT)
        return r;
    spare_path(path, spare);
    if (is_file(spare, file) != 1)
        return -ENOENT;
    /* It fails if something has taken the path meanwhile. */
    if (link(spare, path) < 0)
        return errno == EEXIST ? -EADDRINUSE : -errno;
    return 1;
}

int listener_path_restore(const struct address *a, const struct listener_file *file)
{
    const char *path = address_path(a);
    int lock = lock_folder(path), r;

    r = restore(path, file);
    unlock_folder(lock);
    return r;
}

/* ---- binding --------------------------------------------------------------------------------- */

static int finish(int fd, const struct address *a, const char *path, struct listener_file *file)
{
    int handle = open_file(path, file), r;

    if (handle < 0)
        return handle;
    r = set_mode_of(handle);
    close(handle);
    /* Only once the mode is right: a client that waits for the file to appear connects at once. */
    if (r == 0 && a->type != SOCK_DGRAM && listen(fd, INT_MAX) < 0)
        r = -errno;
    return r;
}

int listener_path_bind(int fd, const struct address *a, struct listener_file *ret_file)
{
    const char *path = address_path(a);
    struct listener_file file = {0};
    int lock = lock_folder(path), r;

    /* The file is never wider than it shall be, not even for a moment. */
    (void)fchmod(fd, SOCKET_MODE);
    r = bind_over_stale(fd, a, path);
    if (r == 0) {
        r = finish(fd, a, path, &file);
        if (r < 0)
            (void)unlink(path);
        else
            make_spare(path, &file);
    }
    unlock_folder(lock);
    if (r == 0)
        *ret_file = file;
    return r;
}

void listener_path_unlink(const struct address *a, struct listener_file *file)
{
    const char *path = address_path(a);
    int lock;

    if (!path || file->ino == 0 || file->owner != getpid())
        return;
    lock = lock_folder(path);
    remove_spare(path, file);
    if (is_file(path, file) == 1)
        (void)unlink(path);
    unlock_folder(lock);
    *file = (struct listener_file){0};
}
