/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "elsewhere.h"
#include "find-program.h"
#include "parse.h"

/* For a child that may be stopped by processes of its new user. */
#define PATIENCE_MSEC 1000

enum { STEP_USER, STEP_DIRECTORY, STEP_PROGRAM, STEPS };

struct finding {
    int step; /* that failed, or STEPS */
    int error;
    int barred;
};

static bool is_ours(const struct account *a)
{
    return geteuid() != 0 && a->uid == geteuid() && a->uid == getuid() && a->gid == getegid() &&
           a->gid == getgid();
}

/* Returns the step that failed, or STEPS, and leaves errno. */
static int try_all(const struct account *a, const char *directory, const char *program)
{
    if (!is_ours(a) &&
        (setgroups(a->n_groups, a->groups) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
         setresuid(a->uid, a->uid, a->uid) < 0))
        return STEP_USER;
    if (directory && chdir(directory) < 0)
        return STEP_DIRECTORY;
    errno = -program_may_execute(program);
    if (errno != 0)
        return STEP_PROGRAM;
    return STEPS;
}

/*
 * The length of the first directory in an absolute path that may not be entered; 0 if all may be
 * entered.
 */
static int barred(const char *path)
{
    char part[PATH_MAX];

    for (const char *end = path; (end = strchr(end + 1, '/')) && end - path < PATH_MAX;) {
        *(char *)mempcpy(part, path, (size_t)(end - path)) = '\0';
        int r = program_may_execute(part);
        if (r < 0)
            return r == -EACCES ? (int)(end - path) : 0;
    }
    return 0;
}

static int describe(const struct finding *f, const struct account *a, const char *directory,
                    const char *program, struct problem *p)
{
    int error = f->error;

    switch (f->step) {
    case STEP_USER:
        if (error == ENOSYS)
            return problem_set_refused(p, -error, "setgroups, setresgid or setresuid",
                                       "--user, --group");
        return problem_set(p, STATUS_OS, -error,
                           "--user, --group: cannot become user %u, group %u: %s; start "
                           "aiotools-sd as root, or leave the options out",
                           (unsigned)a->uid, (unsigned)a->gid, strerror(error));
    case STEP_DIRECTORY:
        return problem_set(p, STATUS_CONFIG, -error,
                           "--chdir=%s: user %u: %s; name a directory that it may enter", directory,
                           (unsigned)a->uid, strerror(error));
    case STEP_PROGRAM:
        if (f->barred > 0)
            return problem_set(
                p, STATUS_CONFIG, -error,
                "program %s: user %u: %s: it may not enter %.*s; install the program where that "
                "user can reach it, or let others enter (chmod o+x)",
                program, (unsigned)a->uid, strerror(error), f->barred, program);
        return problem_set(
            p, STATUS_CONFIG, -error,
            "program %s: user %u: %s; check the modes of the file and of its directories", program,
            (unsigned)a->uid, strerror(error));
    default:
        return 0;
    }
}

struct access_question {
    const struct account *account;
    const char *directory, *program;
};

static size_t ask(void *userdata, void *buffer, size_t size)
{
    const struct access_question *q = userdata;
    struct finding found = {.step = try_all(q->account, q->directory, q->program), .error = errno};

    if (found.step == STEP_PROGRAM && found.error == EACCES)
        found.barred = barred(q->program);
    memcpy(buffer, &found, size);
    return size;
}

int access_check(const struct account *account, const char *directory, const char *program,
                 struct problem *ret_problem)
{
    struct access_question question = {account, directory, program};
    struct finding found;
    ssize_t n = ask_elsewhere(ask, &question, &found, sizeof(found), PATIENCE_MSEC);

    if (n == (ssize_t)sizeof(found))
        return describe(&found, account, directory, program, ret_problem);
    /* It was killed, or does not come to an end: the start of a worker will report the error. */
    if (n >= 0 || n == -ETIMEDOUT)
        return 0;
    return problem_set(ret_problem, STATUS_OS, (int)n,
                       "cannot check what the worker's user can reach: %s; raise the limits of "
                       "processes (ulimit -u) and open files (ulimit -n)",
                       strerror((int)-n));
}
