/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build.h"
#include "compile.h"
#include "policy/model.h"
#include "policy/problem.h"
#include "verify.h"

#define PROGRAM_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Whatever a policy makes libseccomp do, it ends: a bounded one takes well below a second. */
#define COMPILER_SECONDS 20

/* What the child reports, in shared memory. */
struct report {
    int error;
    char failure[PROGRAM_FAILURE_MAX];
};

struct compiler {
    struct filter_terms terms;
    ait_sandbox_problem *problem;
    struct report *report;
    int fd;
    int scratch;
};

static int fail(const struct compiler *c, int error, const char *what)
{
    return problem_at(c->problem, error, c->terms.policy ? c->terms.policy->name : NULL, 0, 0,
                      error == -EPERM || error == -ENOSYS
                          ? "%s: %s; an outer sandbox refuses a call, let that allow it"
                          : "%s: %s",
                      what, strerrordesc_np(-error));
}

/* The child's last step is to seal the file: seals are the proof of its success. */
static void __attribute__((noreturn)) compile_in_child(const struct compiler *c)
{
    const struct rlimit limit = {COMPILER_SECONDS, COMPILER_SECONDS};

    (void)setrlimit(RLIMIT_CPU, &limit);
    int r = program_write(&c->terms, c->fd, c->scratch, c->report->failure);
    if (r >= 0 && fcntl(c->fd, F_ADD_SEALS, PROGRAM_SEALS) < 0)
        r = -errno;
    c->report->error = r;
    _exit(r < 0);
}

/* The caller's handlers have no business in the child, and must not run in the middle of it. */
static int run_child(const struct compiler *c)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    int r = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r < 0)
        return r;
    pid_t pid = fork();
    if (pid == 0)
        compile_in_child(c);
    r = pid < 0 ? -errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        return r;
    /*
     * ECHILD: the caller ignores SIGCHLD, and waitpid has waited nevertheless; or another thread
     * has waited for the child.
     */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

static int map_program(const struct compiler *c, struct sandbox_filter *ret)
{
    struct stat st;

    if (fstat(c->fd, &st) < 0)
        return fail(c, -errno, "reading the seccomp program");
    size_t size = (size_t)st.st_size, n = size / sizeof(struct sock_filter);
    if (n == 0 || n > BPF_MAXINSNS || size % sizeof(struct sock_filter) != 0)
        return fail(c, -EBADMSG, "the size of the seccomp program");
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, c->fd, 0);
    if (map == MAP_FAILED)
        return fail(c, -errno, "mapping the seccomp program");
    ret->program = map;
    ret->n = n;
    ret->map_size = size;
    return 0;
}

static int compile(const struct compiler *c, struct sandbox_filter *ret)
{
    c->report->error = -ECHILD;
    int r = run_child(c);
    if (r < 0)
        return fail(c, r, "starting the policy's compiler");
    if (fcntl(c->fd, F_GET_SEALS) == PROGRAM_SEALS)
        return map_program(c, ret);
    if (c->report->error == -ECHILD)
        return problem_at(c->problem, -ECHILD, c->terms.policy ? c->terms.policy->name : NULL, 0, 0,
                          "the policy's compiler has died; a child process that runs libseccomp "
                          "must not be killed");
    c->report->failure[PROGRAM_FAILURE_MAX - 1] = '\0';
    return c->report->failure[0] != '\0'
               ? problem_at(c->problem, c->report->error,
                            c->terms.policy ? c->terms.policy->name : NULL, 0, 0, "%s",
                            c->report->failure)
               : fail(c, c->report->error, "sealing the seccomp program");
}

/*
 * A host program may have closed its standard descriptors. A descriptor that lands there is taken
 * for a terminal or, as 0, for no listener (libseccomp issue 496).
 */
static int make_file(const char *name, unsigned flags)
{
    int fd = memfd_create(name, MFD_CLOEXEC | flags);
    if (fd < 0)
        return -errno;
    if (fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int r = high < 0 ? -errno : high;
    (void)close(fd);
    return r;
}

static void close_file(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

static int compile_to_file(struct compiler *c, struct sandbox_filter *ret)
{
    c->fd = make_file("seccomp", MFD_ALLOW_SEALING);
    c->scratch = make_file("seccomp-part", 0);
    int r = c->fd < 0 ? c->fd : c->scratch < 0 ? c->scratch : 0;

    r = r < 0 ? fail(c, r, "memfd_create(2), a file for the seccomp program") : compile(c, ret);
    close_file(c->fd);
    close_file(c->scratch);
    return r;
}

static int compile_with_report(struct compiler *c, struct sandbox_filter *ret)
{
    c->report =
        mmap(NULL, sizeof(*c->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->report == MAP_FAILED)
        return fail(c, -errno, "memory for the policy's compiler");
    int r = compile_to_file(c, ret);
    (void)munmap(c->report, sizeof(*c->report));
    return r;
}

static int draw(void *ret, size_t size)
{
    ssize_t n = getrandom(ret, size, 0);
    return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

/* A key has something in each half, so that no argument that is plainly zero is one. */
static int draw_keys(struct compiler *c, unsigned flags)
{
    uint64_t keys[2];
    int r = draw(keys, sizeof(keys));

    if (r < 0)
        return fail(c, r, "getrandom(2)");
    if (flags & AIT_SANDBOX_EXEC)
        c->terms.exec_key = keys[0] | UINT64_C(0x8000000080000000);
    if (filter_listens(c->terms.deny))
        c->terms.send_key = (uint32_t)keys[1] | UINT32_C(0x80000000);
    return 0;
}

static int finish(const struct compiler *c, struct sandbox_filter *filter)
{
    int r = filter_verify(&c->terms, filter->program, filter->n, c->problem);

    if (r < 0 || filter_listens(c->terms.deny))
        return r;
    r = program_quiet(&c->terms, &filter->quiet, &filter->n_quiet);
    if (r < 0)
        return fail(c, r, "answers for unknown system calls");
    return filter_verify_quiet(&c->terms, filter->quiet, filter->n_quiet, c->problem);
}

int filter_compile(const ait_policy *policy, ait_sandbox_deny deny, unsigned flags,
                   struct sandbox_filter *ret, ait_sandbox_problem *problem)
{
    char failure[PROGRAM_FAILURE_MAX] = "";
    struct compiler c = {.terms = {.policy = policy, .deny = deny}, .problem = problem};
    struct sandbox_filter filter = {0};

    if (deny > AIT_SANDBOX_DENY_LEARN || (!policy && deny != AIT_SANDBOX_DENY_LEARN))
        return problem_at(problem, -EINVAL, NULL, 0, 0, "a filter of system calls needs a policy");
    int r = program_is_bounded(policy, failure);
    if (r < 0)
        return problem_at(problem, r, policy->name, 0, 0, "%s", failure);
    r = draw_keys(&c, flags);
    if (r == 0)
        r = compile_with_report(&c, &filter);
    if (r == 0)
        r = finish(&c, &filter);
    if (r < 0) {
        filter_done(&filter);
        return r;
    }
    filter.exec_key = c.terms.exec_key;
    filter.send_key = c.terms.send_key;
    *ret = filter;
    return 0;
}

void filter_done(struct sandbox_filter *filter)
{
    if (!filter)
        return;
    if (filter->program)
        (void)munmap((void *)filter->program, filter->map_size);
    free(filter->quiet);
    *filter = (struct sandbox_filter){0};
}
