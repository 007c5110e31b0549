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

#include "slurp.h"

#define LOCK_NAME          "lock"
#define GUARDIAN_LOCK_NAME "guardian"
#define TMP_NAMES          10u
#define LEFT_MAX           16384
#define LOCK_PATH_MAX      (sizeof(((struct rundir *)0)->path) + sizeof("/" GUARDIAN_LOCK_NAME))

static int too_long(const char *path, struct problem *p)
{
    return problem_set(p, STATUS_CONFIG, -ENAMETOOLONG,
                       "runtime directory %s: the path is too long for sockets in it; choose a "
                       "shorter --name, or set RUNTIME_DIRECTORY",
                       path);
}

static int cannot_make(const char *path, struct problem *p)
{
    return problem_set(p, STATUS_OS, -errno,
                       "cannot create the runtime directory %s: %s; set RUNTIME_DIRECTORY to a "
                       "directory that you may write to",
                       path, strerror(errno));
}

static int not_ours(const char *path, struct problem *p)
{
    return problem_set(p, STATUS_OS, -EPERM,
                       "runtime directory %s: is not a directory, or belongs to another user; "
                       "remove it, or set RUNTIME_DIRECTORY",
                       path);
}

/* No link is followed, so that nobody can lead us to another directory of that owner. */
static int open_directory(const char *path, uid_t owner, struct problem *p)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno != ENOTDIR && errno != ELOOP && errno != EACCES)
        return problem_set(p, STATUS_OS, -errno, "runtime directory %s: %s", path, strerror(errno));
    if (fd >= 0 && fstat(fd, &st) >= 0 && st.st_uid == owner)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return not_ours(path, p);
}

/* Whether what we own in it stays ours: nobody else can rename it, or put another in its place. */
static bool is_safe(const char *path)
{
    struct stat st;

    return stat(path, &st) >= 0 && S_ISDIR(st.st_mode) &&
           (st.st_uid == 0 || st.st_uid == geteuid()) &&
           ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (st.st_mode & S_ISVTX));
}

/*
 * 0700 in /tmp must really be ours: anybody may make a directory of any name there. What we own
 * there, nobody else can replace, since /tmp is sticky: is_safe().
 */
static int make(const char *path, mode_t mode, struct problem *p)
{
    int fd, r = 0;

    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return cannot_make(path, p);
    fd = open_directory(path, geteuid(), p);
    if (fd < 0)
        return fd;
    /* Whatever the umask is. */
    if (fchmod(fd, mode) < 0)
        r = problem_set(p, STATUS_OS, -errno, "runtime directory %s: %s", path, strerror(errno));
    (void)close(fd);
    return r;
}

static mode_t own_mode(void)
{
    return geteuid() == 0 ? 0711 : 0700;
}

/* The directory that several servers of one user may have in common, and ours in it. */
static int make_own(const char *path, struct problem *p)
{
    char parent[sizeof(((struct rundir *)0)->path)];

    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
    int r = make(parent, geteuid() == 0 ? 0755 : 0700, p);
    return r < 0 ? r : make(path, own_mode(), p);
}

/* ---- where ----------------------------------------------------------------------------------- */

/* Several are separated by colons; the first is the main one. */
static int take_given(struct rundir *d, const char *given, struct problem *p)
{
    int n = snprintf(d->path, sizeof(d->path), "%.*s", (int)strcspn(given, ":"), given);

    return n >= (int)sizeof(d->path) ? too_long(given, p) : 0;
}

static bool is_own_directory(const char *path)
{
    struct stat st;

    return lstat(path, &st) >= 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* The name, and others for when somebody else has taken it. */
static void name_in_tmp(char *path, size_t size, unsigned i)
{
    char more[16] = "";

    if (i > 0)
        (void)snprintf(more, sizeof(more), "-%u", i);
    (void)snprintf(path, size, "/tmp/aiotools-sd-%u%s", (unsigned)geteuid(), more);
}

/*
 * Anybody can make a file of our name in /tmp, which only its owner can remove. So the first that
 * is ours already is taken, where other servers of this user are; or else the first that can be
 * made.
 */
static int choose_in_tmp(char *path, size_t size, struct problem *p)
{
    if (!is_safe("/tmp"))
        return problem_set(p, STATUS_OS, -EPERM,
                           "cannot have a runtime directory in /tmp: other users may replace what "
                           "is in it, since it belongs to one of them or is not sticky; set "
                           "RUNTIME_DIRECTORY to a directory of yours");
    for (unsigned i = 0; i < TMP_NAMES; i++) {
        name_in_tmp(path, size, i);
        if (is_own_directory(path))
            return 0;
    }
    for (unsigned i = 0; i < TMP_NAMES; i++) {
        name_in_tmp(path, size, i);
        if (mkdir(path, 0700) >= 0)
            return 0;
        if (errno != EEXIST)
            return cannot_make(path, p);
    }
    return problem_set(p, STATUS_OS, -EEXIST,
                       "cannot have a runtime directory in /tmp: other users have made "
                       "/tmp/aiotools-sd-%u and all names up to %s; set RUNTIME_DIRECTORY to a "
                       "directory of yours",
                       (unsigned)geteuid(), path);
}

/* One of another user, as after su(1), or one that others may write to, is not ours. */
static bool is_own_xdg(const char *xdg)
{
    struct stat st;

    return xdg && xdg[0] == '/' && access(xdg, W_OK) == 0 && stat(xdg, &st) >= 0 &&
           st.st_uid == geteuid() && is_safe(xdg);
}

/* Sets path, and ours. */
static int find_path(struct rundir *d, struct problem *p)
{
    const char *given = getenv("RUNTIME_DIRECTORY"), *xdg = getenv("XDG_RUNTIME_DIR");
    char parent[sizeof(d->path)];
    int n = 0, r = 0;

    if (given && given[0] == '/')
        return take_given(d, given, p);
    if (geteuid() == 0)
        n = snprintf(parent, sizeof(parent), "/run/aiotools-sd");
    else if (is_own_xdg(xdg))
        n = snprintf(parent, sizeof(parent), "%s/aiotools-sd", xdg);
    else
        r = choose_in_tmp(parent, sizeof(parent), p);
    if (r < 0)
        return r;
    if (n >= (int)sizeof(parent))
        return too_long(xdg, p);
    n = snprintf(d->path, sizeof(d->path), "%s/%s", parent, d->name);
    if (n >= (int)sizeof(d->path))
        return too_long(d->path, p);
    d->ours = true;
    return 0;
}

static int choose(struct rundir *d, struct problem *p)
{
    int r = find_path(d, p);

    return r < 0 || !d->ours ? r : make_own(d->path, p);
}

/* ---- the locks ------------------------------------------------------------------------------- */

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
    return problem_set(
        p, STATUS_OS, -error,
        "cannot lock %s: %s; set RUNTIME_DIRECTORY to an existing directory that you may write to",
        path, strerror(error));
}

/*
 * A file of its own, and not another name of one that we would empty: who may write to a directory
 * that we were given may have made it.
 */
static bool may_be_lock(const struct rundir *d, const struct stat *st)
{
    struct stat directory;

    return S_ISREG(st->st_mode) && st->st_nlink <= 1 &&
           (st->st_uid == geteuid() ||
            (stat(d->path, &directory) >= 0 && st->st_uid == directory.st_uid));
}

/* -EWOULDBLOCK, without a problem: another one holds it. */
static int try_lock(const struct rundir *d, const char *file, int *ret, struct problem *p)
{
    char path[LOCK_PATH_MAX];
    struct stat st, now;

    (void)snprintf(path, sizeof(path), "%s/%s", d->path, file);
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0)
            return describe_lock(path, p);
        if (fstat(fd, &st) == 0 && !may_be_lock(d, &st)) {
            (void)close(fd);
            return problem_set(p, STATUS_OS, -EPERM,
                               "cannot lock %s: it is not a file of this user alone; remove it, or "
                               "set RUNTIME_DIRECTORY",
                               path);
        }
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
        if (d->ours)
            (void)make(d->path, own_mode(), NULL);
    }
}

/* For the one that meets the lock. */
static void sign(const struct rundir *d)
{
    (void)!ftruncate(d->lock, 0);
    (void)dprintf(d->lock, "%s\n", d->name);
}

/* Servers of several names have one directory in common only if it was given to them. */
static int describe_holder(const struct rundir *d, struct problem *p)
{
    char path[LOCK_PATH_MAX], holder[128] = "";

    (void)snprintf(path, sizeof(path), "%s/" LOCK_NAME, d->path);
    (void)read_text(path, holder, sizeof(holder));
    holder[strcspn(holder, "\n")] = '\0';
    if (d->ours || !holder[0] || strcmp(holder, d->name) == 0)
        return problem_set(p, STATUS_OS, -EWOULDBLOCK,
                           "--name=%s: a server of this name is already running (it holds %s); "
                           "stop it, or choose another --name",
                           d->name, path);
    return problem_set(p, STATUS_OS, -EWOULDBLOCK,
                       "RUNTIME_DIRECTORY=%s: the server %s uses this directory; give each server "
                       "a directory of its own, or unset RUNTIME_DIRECTORY",
                       d->path, holder);
}

static int lock(struct rundir *d, struct predecessor *predecessor, struct problem *p)
{
    int r;

    do
        r = try_lock(d, LOCK_NAME, &d->lock, p);
    while (r == -EWOULDBLOCK && predecessor_may_end(predecessor, true));
    if (r == -EWOULDBLOCK)
        return describe_holder(d, p);
    if (r < 0)
        return r;
    sign(d);
    do
        r = try_lock(d, GUARDIAN_LOCK_NAME, &d->guardian_lock, p);
    while (r == -EWOULDBLOCK && predecessor_may_end(predecessor, true));
    if (r == -EWOULDBLOCK)
        return problem_set(p, STATUS_OS, r,
                           "--name=%s: the server of this name was killed, and its workers have "
                           "not ended yet (their guardian holds %s/" GUARDIAN_LOCK_NAME
                           "); end what `ps -e | grep aiotools-` shows, or choose another --name",
                           d->name, d->path);
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

static int remember(struct rundir *d, struct problem *p)
{
    if (stat(d->path, &d->is) >= 0)
        return 0;
    return problem_set(p, STATUS_OS, -errno, "runtime directory %s: %s", d->path, strerror(errno));
}

static void close_locks(struct rundir *d)
{
    close_lock(&d->guardian_lock);
    close_lock(&d->lock);
}

/* After a failure: what is ours alone goes, what another server holds stays. */
static void retreat(struct rundir *d, int error)
{
    if (d->ours && d->lock < 0)
        (void)rmdir(d->path);
    if (error == -EWOULDBLOCK)
        close_locks(d);
    else
        rundir_close(d);
}

int rundir_open(struct rundir *ret, const char *name, struct predecessor *predecessor,
                struct problem *ret_problem)
{
    struct rundir d = RUNDIR_NONE;
    int r;

    d.name = name;
    r = choose(&d, ret_problem);
    if (r >= 0)
        r = lock(&d, predecessor, ret_problem);
    if (r >= 0)
        r = remember(&d, ret_problem);
    if (r < 0) {
        retreat(&d, r);
        return r;
    }
    sweep(&d);
    *ret = d;
    return 0;
}

/* ---- what it leaves for the next one --------------------------------------------------------- */

static int write_left(int fd, const char *text, size_t n)
{
    return ftruncate(fd, 0) < 0 || pwrite(fd, text, n, 0) != (ssize_t)n ? -EIO : 0;
}

/* Who may write to the directory may put a file of that name there: its words are not ours. */
static int read_left(int fd, char *ret, size_t size)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return -ENOENT;
    ssize_t n = pread(fd, ret, size - 1, 0);
    if (n <= 0)
        return -ENOENT;
    ret[n] = '\0';
    return 0;
}

int rundir_leave(const struct rundir *d, const char *text)
{
    return write_left(d->guardian_lock, text, strlen(text));
}

int rundir_read_left(const struct rundir *d, char *ret, size_t size)
{
    return read_left(d->guardian_lock, ret, size);
}

int rundir_peek_left(const char *name, char *ret, size_t size)
{
    struct rundir d = RUNDIR_NONE;
    char path[LOCK_PATH_MAX];
    int r;

    d.name = name;
    r = find_path(&d, NULL);
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "%s/" GUARDIAN_LOCK_NAME, d.path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : read_left(fd, ret, size);
    (void)close(fd);
    return r;
}

/* ---- if it is removed ------------------------------------------------------------------------ */

static bool lock_is_there(const struct rundir *d, const char *name, int fd)
{
    char path[LOCK_PATH_MAX];
    struct stat st, ours;

    (void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
    return lstat(path, &st) >= 0 && fstat(fd, &ours) >= 0 && st.st_dev == ours.st_dev &&
           st.st_ino == ours.st_ino;
}

/* Whether the path leads to the directory, whatever is in it. */
static bool directory_is_there(const struct rundir *d)
{
    struct stat st;

    return stat(d->path, &st) >= 0 && st.st_dev == d->is.st_dev && st.st_ino == d->is.st_ino;
}

bool rundir_owns_file(const char *name)
{
    return strcmp(name, LOCK_NAME) == 0 || strcmp(name, GUARDIAN_LOCK_NAME) == 0;
}

bool rundir_is_there(const struct rundir *d)
{
    return directory_is_there(d) && lock_is_there(d, LOCK_NAME, d->lock) &&
           lock_is_there(d, GUARDIAN_LOCK_NAME, d->guardian_lock);
}

static int give_back(const struct rundir *d, struct problem *p)
{
    int r = 0, fd = open_directory(d->path, geteuid(), p);

    if (fd < 0)
        return fd;
    if ((d->is.st_uid != geteuid() && fchown(fd, d->is.st_uid, d->is.st_gid) < 0) ||
        fchmod(fd, d->is.st_mode & 07777) < 0)
        r = problem_set(p, STATUS_OS, -errno,
                        "runtime directory %s: cannot give it the owner and mode that it had: %s",
                        d->path, strerror(errno));
    (void)close(fd);
    return r;
}

/* The directory that the service manager gave us, which it may have made for another user. */
static int make_given(const struct rundir *d, struct problem *p)
{
    if (directory_is_there(d))
        return 0;
    if (mkdir(d->path, 0700) >= 0)
        return give_back(d, p);
    if (errno != EEXIST)
        return problem_set(p, STATUS_OS, -errno,
                           "runtime directory %s: it was removed, and cannot be made again: %s",
                           d->path, strerror(errno));
    int fd = open_directory(d->path, d->is.st_uid, p);
    if (fd >= 0)
        (void)close(fd);
    return fd < 0 ? fd : 0;
}

static void copy_left(int to, int from)
{
    char text[LEFT_MAX];

    if (read_left(from, text, sizeof(text)) >= 0)
        (void)write_left(to, text, strlen(text));
}

static int retake_locks(struct rundir *d, const struct rundir *former, struct problem *p)
{
    int r = 0;

    if (lock_is_there(d, LOCK_NAME, former->lock))
        d->lock = fcntl(former->lock, F_DUPFD_CLOEXEC, 3);
    else if ((r = try_lock(d, LOCK_NAME, &d->lock, p)) >= 0)
        sign(d);
    if (r >= 0 && lock_is_there(d, GUARDIAN_LOCK_NAME, former->guardian_lock))
        d->guardian_lock = fcntl(former->guardian_lock, F_DUPFD_CLOEXEC, 3);
    else if (r >= 0 && (r = try_lock(d, GUARDIAN_LOCK_NAME, &d->guardian_lock, p)) >= 0)
        copy_left(d->guardian_lock, former->guardian_lock);
    if (r == -EWOULDBLOCK)
        r = problem_set(p, STATUS_OS, r,
                        "runtime directory %s: it had been removed, and another server of the name "
                        "%s has made it again; stop one of the two, and choose another --name",
                        d->path, d->name);
    if (r >= 0 && (d->lock < 0 || d->guardian_lock < 0))
        r = problem_set(p, STATUS_OS, -EMFILE,
                        "runtime directory %s: too many open files; raise the limit (ulimit -n)",
                        d->path);
    return r;
}

static int make_again(struct rundir *fresh, const struct rundir *d, struct problem *p)
{
    int r = fresh->ours ? make_own(fresh->path, p) : make_given(fresh, p);

    if (r >= 0)
        r = retake_locks(fresh, d, p);
    if (r >= 0)
        r = remember(fresh, p);
    if (r < 0)
        close_locks(fresh);
    return r;
}

static struct rundir without_locks(const struct rundir *d)
{
    struct rundir fresh = *d;

    fresh.lock = fresh.guardian_lock = -1;
    return fresh;
}

int rundir_repair(struct rundir *d, struct problem *ret_problem)
{
    struct rundir fresh = without_locks(d);
    int r = make_again(&fresh, d, ret_problem);

    if (r < 0 && r != -EWOULDBLOCK && d->ours) {
        fresh = without_locks(d);
        if (choose(&fresh, NULL) >= 0 && strcmp(fresh.path, d->path) != 0)
            r = make_again(&fresh, d, NULL);
    }
    if (r < 0)
        return r;
    close_locks(d);
    *d = fresh;
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

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
    close_locks(d);
    *d = RUNDIR_NONE;
}
