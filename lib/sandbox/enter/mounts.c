/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"
#include "strv.h"

/* linux/mount.h and sys/mount.h exclude each other in some C libraries. */
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define TREE_CLONE   1U
#define TREE_CLOEXEC ((unsigned)O_CLOEXEC)
#define RECURSIVE    0x8000U
#define FROM_TREE    4U /* MOVE_MOUNT_F_EMPTY_PATH */

struct attributes {
    uint64_t set, clear, propagation, userns;
};
#define READ_ONLY 1U

/* ---- inside ---------------------------------------------------------------------------------- */

/* What the paths are now, with the flags that their mounts have. One that is gone is left out. */
RAW_CODE static int take_trees(const struct mounts *mounts, int trees[MOUNTS_MAX])
{
    for (size_t i = 0; mounts->paths[i]; i++) {
        long fd = raw_call(SYS_open_tree, AT_FDCWD, mounts->paths[i],
                           TREE_CLONE | TREE_CLOEXEC | RECURSIVE | AT_SYMLINK_NOFOLLOW);
        if (fd < 0 && fd != -ENOENT)
            return (int)fd;
        trees[i] = (int)fd;
    }
    return 0;
}

RAW_CODE static int put_trees(const struct mounts *mounts, const int trees[MOUNTS_MAX])
{
    for (size_t i = 0; mounts->paths[i]; i++) {
        if (trees[i] < 0)
            continue;
        long r = raw_call(SYS_move_mount, trees[i], "", AT_FDCWD, mounts->paths[i], FROM_TREE);
        (void)raw_call(SYS_close, trees[i]);
        if (r < 0)
            return (int)r;
    }
    return 0;
}

/* The current directory is still what lies below the new mount. */
RAW_CODE static void enter_again(void)
{
    char path[PATH_MAX];

    if (raw_call(SYS_getcwd, path, sizeof(path)) > 0 && path[0] == '/')
        (void)raw_call(SYS_chdir, path);
}

RAW_CODE int mounts_enter(const struct mounts *mounts)
{
    const struct attributes read_only = {.set = READ_ONLY};
    int trees[MOUNTS_MAX];
    long r;

    if (!mounts->used)
        return 0;
    r = raw_call(SYS_unshare, CLONE_NEWNS);
    if (r >= 0)
        r = raw_call(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (r >= 0)
        r = take_trees(mounts, trees);
    if (r >= 0)
        r = raw_call(SYS_mount_setattr, AT_FDCWD, "/", RECURSIVE, &read_only, sizeof(read_only));
    if (r >= 0)
        r = put_trees(mounts, trees);
    if (r >= 0)
        enter_again();
    return (int)r;
}

/* ---- before ---------------------------------------------------------------------------------- */

static int try_in_child(const struct mounts *mounts)
{
    int *result =
        mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigset_t all, before;

    if (result == MAP_FAILED)
        return -errno;
    *result = -EPERM; /* an outer sandbox may kill it */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        *result = mounts_enter(mounts);
        _exit(0);
    }
    int r = pid < 0 ? -errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    r = r < 0 ? r : *result;
    (void)munmap(result, sizeof(*result));
    return r;
}

/* A device works on a read-only mount, and one that can be written would let its mode be changed.
 */
static bool is_device(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode));
}

static int add_path(struct mounts *mounts, size_t *n, const char *path)
{
    char *real = is_device(path) ? NULL : realpath(path, NULL);
    int r = real ? strv_append(&mounts->paths, n, real) : 0;

    free(real);
    return r;
}

static bool has_root(const struct mounts *mounts)
{
    for (char **path = mounts->paths; *path; path++)
        if (strcmp(*path, "/") == 0)
            return true;
    return false;
}

int mounts_prepare(struct mounts *ret, const char *const *read_write, int *ret_error)
{
    struct mounts mounts = {.paths = calloc(1, sizeof(char *)), .used = true};
    size_t n = 0;
    int r = mounts.paths ? 0 : -ENOMEM;

    for (; read_write && *read_write && r >= 0; read_write++)
        r = add_path(&mounts, &n, *read_write);
    if (r < 0) {
        mounts_done(&mounts);
        return r;
    }
    if (has_root(&mounts)) {
        mounts.used = false;
        *ret_error = 0;
    } else {
        r = n > MOUNTS_MAX ? -E2BIG : try_in_child(&mounts);
        mounts.used = r >= 0;
        *ret_error = r < 0 ? r : 0;
    }
    *ret = mounts;
    return 0;
}

void mounts_done(struct mounts *mounts)
{
    strv_free(mounts->paths);
    mounts->paths = NULL;
}
