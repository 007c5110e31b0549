/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process.h"
#include "clone-exec.h"
#include "find-program.h"
#include "current.h"
#include "options.h"

#define MAX_FDS 4096

/* For each of the three: its flags, and the direction of its pipe. */
static const struct {
    unsigned pipe, null;
    int child_end;
} stdio[] = {
    {AIT_SPAWN_STDIN_PIPE, AIT_SPAWN_STDIN_NULL, 0},
    {AIT_SPAWN_STDOUT_PIPE, AIT_SPAWN_STDOUT_NULL, 1},
    {AIT_SPAWN_STDERR_PIPE, AIT_SPAWN_STDERR_NULL, 1},
};

#define ALL_FLAGS ((AIT_SPAWN_INHERIT_FDS << 1) - 1U)

struct spawn {
    struct exec_plan plan;
    struct ait_child *child;
    char *path; /* as found in PATH */
    int child_ends[3];
    int null_fd;
};

static bool replaces(const ait_spawn_options *o, int target)
{
    for (size_t i = 0; i < o->n_fds; i++)
        if (o->fds[i].target == target)
            return true;
    return false;
}

/* The flags that set fd 0, 1 or 2 of the child; more than one of them is an error. */
static unsigned n_deciders(const ait_spawn_options *o, int fd)
{
    unsigned n = !!(o->flags & stdio[fd].pipe) + !!(o->flags & stdio[fd].null) + replaces(o, fd);

    return n + (fd == STDERR_FILENO && (o->flags & AIT_SPAWN_STDERR_TO_STDOUT));
}

static int check_options(const ait_spawn_options *o)
{
    if ((o->flags & ~ALL_FLAGS) || (o->n_fds > 0 && !o->fds) || o->n_fds > MAX_FDS)
        return -EINVAL;
    if (o->death_signal < 0 || o->death_signal >= NSIG || o->stop_signal < 0 ||
        o->stop_signal >= NSIG)
        return -EINVAL;
    for (size_t i = 0; i < o->n_fds; i++) {
        if (o->fds[i].fd < 0 || o->fds[i].target < 0)
            return -EINVAL;
        for (size_t k = 0; k < i; k++)
            if (o->fds[k].target == o->fds[i].target)
                return -EINVAL;
    }
    for (int fd = 0; fd < 3; fd++)
        if (n_deciders(o, fd) > 1)
            return -EINVAL;
    return 0;
}

static void free_path(char **path)
{
    free(*path);
}

/* ---- the program ----------------------------------------------------------------------------- */

/*
 * exec would say no more of what it may not execute. A directory of PATH may be relative: to our
 * working directory, and not to that of the child.
 */
static int find_program(const char *name, bool elsewhere, char **ret)
{
    AIT_CLEANUP(free_path) char *base = elsewhere ? getcwd(NULL, 0) : NULL;
    const char *path = getenv("PATH");
    int r;

    if (!*name)
        return -ENOENT;
    r = program_search(name, path ? path : "/bin:/usr/bin", base, ret, NULL);
    if (r >= 0 && elsewhere && **ret != '/') {
        free(*ret); /* our working directory has no name any more */
        *ret = NULL;
        return -ENOENT;
    }
    return r == -EISDIR || r == -EINVAL || r == -EPERM ? -EACCES : r;
}

static int prepare_program(struct spawn *s, char *const argv[], const ait_spawn_options *o)
{
    const char *name = o->path ? o->path : argv[0];
    int r;

    s->plan.path = name;
    s->plan.argv = argv;
    s->plan.envp = o->envp ? o->envp : environ;
    s->plan.directory = o->cwd;
    if (strchr(name, '/'))
        return 0;
    r = find_program(name, o->cwd != NULL, &s->path);
    s->plan.path = s->path;
    return r;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void plan_fd(struct spawn *s, int source, int target)
{
    s->plan.fds[s->plan.n_fds++] = (struct exec_fd){.source = source, .target = target};
}

static int make_pipe(struct spawn *s, int fd)
{
    int ends[2], child_end = stdio[fd].child_end, r;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    s->child_ends[fd] = ends[child_end];
    s->child->stdio[fd] = ends[!child_end];
    /* For our end only: the two ends are different open file descriptions. */
    r = fcntl(ends[!child_end], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    plan_fd(s, ends[child_end], fd);
    return r;
}

static int open_null(struct spawn *s, int fd)
{
    if (s->null_fd < 0)
        s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (s->null_fd < 0)
        return -errno;
    plan_fd(s, s->null_fd, fd);
    return 0;
}

/* The descriptor that becomes fd target of the child. */
static int source_of(const struct spawn *s, int target)
{
    for (size_t i = 0; i < s->plan.n_fds; i++)
        if (s->plan.fds[i].target == target)
            return s->plan.fds[i].source;
    return target;
}

static int by_target(const void *a, const void *b)
{
    return ((const struct exec_fd *)a)->target - ((const struct exec_fd *)b)->target;
}

static int prepare_fds(struct spawn *s, const ait_spawn_options *o)
{
    s->plan.fds = calloc(o->n_fds + ARRAY_SIZE(stdio), sizeof(*s->plan.fds));
    if (!s->plan.fds)
        return -ENOMEM;
    for (int fd = 0; fd < 3; fd++) {
        int r = 0;

        if (o->flags & stdio[fd].pipe)
            r = make_pipe(s, fd);
        else if (o->flags & stdio[fd].null)
            r = open_null(s, fd);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < o->n_fds; i++)
        plan_fd(s, o->fds[i].fd, o->fds[i].target);
    if (o->flags & AIT_SPAWN_STDERR_TO_STDOUT)
        plan_fd(s, source_of(s, STDOUT_FILENO), STDERR_FILENO);
    qsort(s->plan.fds, s->plan.n_fds, sizeof(*s->plan.fds), by_target);
    s->plan.inherit_fds = o->flags & AIT_SPAWN_INHERIT_FDS;
    return 0;
}

/* ---- the process ----------------------------------------------------------------------------- */

/* SIGPIPE is ignored by ait_run(), which is its own affair; what else is ignored stays so. */
static const exec_step steps[] = {
    exec_start_session,    exec_reset_signals, exec_arrange_fds,     exec_change_directory,
    exec_set_death_signal, exec_check_parent,  exec_unblock_signals, exec_execute,
};

static int prepare(struct spawn *s, char *const argv[], const ait_spawn_options *o)
{
    int r;

    s->child = child_new(o->stop_signal, o->stop_usec);
    if (!s->child)
        return -ENOMEM;
    r = prepare_program(s, argv, o);
    if (r >= 0)
        r = prepare_fds(s, o);
    s->plan.steps = steps;
    s->plan.n_steps = ARRAY_SIZE(steps);
    s->plan.keep_ignored = ~(UINT64_C(1) << (SIGPIPE - 1));
    s->plan.process_group = o->flags & AIT_SPAWN_PROCESS_GROUP;
    s->plan.session = o->flags & AIT_SPAWN_SESSION;
    s->plan.death_signal = o->death_signal;
    return r;
}

static void cleanup(struct spawn *s)
{
    for (int fd = 0; fd < 3; fd++)
        if (s->child_ends[fd] >= 0)
            (void)close(s->child_ends[fd]);
    if (s->null_fd >= 0)
        (void)close(s->null_fd);
    free(s->plan.fds);
    free(s->path);
    ait_child_unref(s->child);
}

static int start(struct spawn *s)
{
    int pidfd;
    pid_t pid = exec_start(&s->plan, &pidfd);

    if (pid < 0)
        return pid;
    child_init(s->child, pid, pidfd, s->plan.process_group || s->plan.session);
    return 0;
}

AIT_PUBLIC int ait_spawn(ait_child **ret, char *const argv[], const ait_spawn_options *options)
{
    struct spawn s = {.child_ends = {-1, -1, -1}, .null_fd = -1};
    ait_spawn_options o;
    int r;

    if (!ret || !argv || !argv[0])
        return -EINVAL;
    r = options_copy(&o, sizeof(o), options);
    if (r >= 0)
        r = check_options(&o);
    if (r < 0)
        return r;
    r = prepare(&s, argv, &o);
    if (r >= 0)
        r = start(&s);
    if (r >= 0) {
        *ret = s.child;
        s.child = NULL;
    }
    cleanup(&s);
    return r;
}
