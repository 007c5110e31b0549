/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rundir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME          "lock"
#define GUARDIAN_LOCK_NAME "guardian"
#define LOCK_PATH_MAX      (sizeof(((struct rundir *)0)->path) + sizeof("/" GUARDIAN_LOCK_NAME))

static int too_long(const char *path, struct problem *p)
{
    return problem_set(
        p, STATUS_CONFIG, -ENAMETOOLONG,
        "runtime directory %s: the path is too long for sockets in it; choose a shorter "
        "--name, or set RUNTIME_DIRECTORY",
        path);
}

/* 0700 in /tmp must really be ours: anybody may make a directory of any name there. */
static int make(const char *path, mode_t mode, struct problem *p)
{
    struct stat st;

    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return problem_set(
            p, STATUS_OS, -errno,
            "cannot create the runtime directory %s: %s; set RUNTIME_DIRECTORY to a directory "
            "that you may write to",
            path, strerror(errno));
    if (lstat(path, &st) < 0)
        return problem_set(p, STATUS_OS, -errno, "runtime directory %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return problem_set(
            p, STATUS_OS, -EPERM,
            "runtime directory %s: is not a directory, or belongs to another user; remove it, "
            "or set RUNTIME_DIRECTORY",
            path);
    /* Whatever the umask is. */
    if ((st.st_mode & 0777) != mode && chmod(path, mode) < 0)
        return problem_set(p, STATUS_OS, -errno, "runtime directory %s: %s", path, strerror(errno));
    return 0;
}

static int choose(struct rundir *d, const char *name, struct problem *p)
{
    const char *given = getenv("RUNTIME_DIRECTORY"), *xdg = getenv("XDG_RUNTIME_DIR");
    char parent[sizeof(d->path)];
    int n, r;

    if (given && given[0] == '/') {
        /* Several are separated by colons; the first is the main one. */
        n = snprintf(d->path, sizeof(d->path), "%.*s", (int)strcspn(given, ":"), given);
        return n >= (int)sizeof(d->path) ? too_long(given, p) : 0;
    }
    if (geteuid() == 0)
        n = snprintf(parent, sizeof(parent), "/run/aiotools-sd");
    else if (xdg && xdg[0] == '/' && access(xdg, W_OK) == 0)
        n = snprintf(parent, sizeof(parent), "%s/aiotools-sd", xdg);
    else
        n = snprintf(parent, sizeof(parent), "/tmp/aiotools-sd-%u", (unsigned)geteuid());
    if (n >= (int)sizeof(parent))
        return too_long(xdg, p);
    r = make(parent, geteuid() == 0 ? 0755 : 0700, p);
    if (r < 0)
        return r;
    n = snprintf(d->path, sizeof(d->path), "%s/%s", parent, name);
    if (n >= (int)sizeof(d->path))
        return too_long(d->path, p);
    d->ours = true;
    return make(d->path, geteuid() == 0 ? 0711 : 0700, p);
}

/* errno is of open() or flock(). */
static int describe_lock(const char *path, struct problem *p)
{
    int error = errno;

    if (error == ENOLCK)
        return problem_set(p, STATUS_OS, -error,
                           "cannot lock %s: the kernel or the file system has no locks left; set "
                           "RUNTIME_DIRECTORY to a directory on a local file system",
                           path);
    if (error == EACCES || error == EROFS)
        return problem_set(p, STATUS_OS, -error,
                           "cannot lock %s: %s, as uid %u; set RUNTIME_DIRECTORY to a directory "
                           "that this user may write to",
                           path, strerror(error), (unsigned)geteuid());
    if (error == EPERM || error == ENOSYS)
        return problem_set_refused(p, -error, "flock", "cannot lock the runtime directory");
    return problem_set(p, STATUS_OS, -error,
                       "cannot lock %s: %s; set RUNTIME_DIRECTORY to an existing directory that "
                       "you may write to",
                       path, strerror(error));
}

/* -EWOULDBLOCK, without a problem: another one holds it. */
static int try_lock(const struct rundir *d, const char *file, int *ret, struct problem *p)
{
    char path[LOCK_PATH_MAX];
    struct stat st, now;

    (void)snprintf(path, sizeof(path), "%s/%s", d->path, file);
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return describe_lock(path, p);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int r = errno == EWOULDBLOCK ? -errno : describe_lock(path, p);
            (void)close(fd);
            return r;
        }
        /* The former holder may have removed the file between our open and our lock. */
        if (fstat(fd, &st) == 0 && stat(path, &now) == 0 && st.st_ino == now.st_ino) {
            *ret = fd;
            return 0;
        }
        (void)close(fd);
        (void)make(d->path, geteuid() == 0 ? 0711 : 0700, NULL);
    }
}

static int lock(struct rundir *d, const char *name, struct predecessor *predecessor,
                struct problem *p)
{
    int r;

    do
        r = try_lock(d, LOCK_NAME, &d->lock, p);
    while (r == -EWOULDBLOCK && predecessor_may_end(predecessor));
    if (r == -EWOULDBLOCK)
        return problem_set(p, STATUS_OS, r,
                           "--name=%s: a server of this name is already running (it holds "
                           "%s/" LOCK_NAME "); stop it, or choose another --name",
                           name, d->path);
    if (r < 0)
        return r;
    do
        r = try_lock(d, GUARDIAN_LOCK_NAME, &d->guardian_lock, p);
    while (r == -EWOULDBLOCK && predecessor_may_end(predecessor));
    if (r == -EWOULDBLOCK)
        return problem_set(p, STATUS_OS, r,
                           "--name=%s: the server of this name was killed, and its workers have "
                           "not ended yet (their guardian holds %s/" GUARDIAN_LOCK_NAME "); end "
                           "what `ps -e | grep aiotools-` shows, or choose another --name",
                           name, d->path);
    return r;
}

/*
 * Sockets of a former instance that was killed. No other instance can be there, since we hold the
 * lock.
 */
static void sweep(const struct rundir *d)
{
    DIR *dir = opendir(d->path);
    struct dirent *e;

    if (!dir)
        return;
    while ((e = readdir(dir)))
        if (strncmp(e->d_name, "notify-", strlen("notify-")) == 0)
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    (void)closedir(dir);
}

static void close_lock(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int rundir_open(struct rundir *ret, const char *name, struct predecessor *predecessor,
                struct problem *ret_problem)
{
    struct rundir d = RUNDIR_NONE;
    int r;

    r = choose(&d, name, ret_problem);
    if (r >= 0)
        r = lock(&d, name, predecessor, ret_problem);
    if (r < 0) {
        close_lock(&d.guardian_lock);
        close_lock(&d.lock);
        return r;
    }
    sweep(&d);
    *ret = d;
    return 0;
}

static void remove_file(const struct rundir *d, const char *name)
{
    char path[LOCK_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
    (void)unlink(path);
}

void rundir_close(struct rundir *d)
{
    if (d->lock < 0)
        return;
    remove_file(d, GUARDIAN_LOCK_NAME);
    remove_file(d, LOCK_NAME);
    if (d->ours) {
        (void)rmdir(d->path);
        /* The parent is removed with its last instance; if it contains another one, it stays. */
        *strrchr(d->path, '/') = '\0';
        (void)rmdir(d->path);
    }
    close_lock(&d->guardian_lock);
    close_lock(&d->lock);
    *d = RUNDIR_NONE;
}
