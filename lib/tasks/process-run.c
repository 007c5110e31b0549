/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs a program to its end, with its input and output: one task, one poll over the three pipes. */

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <aiotools-sd/io.h>
#include <aiotools-sd/process.h>
#include <aiotools-sd/task.h>

#include "macros.h"
#include "options.h"

#define CHUNK      ((size_t)4096)
#define MAX_OUTPUT ((size_t)16 * 1024 * 1024)

struct output {
    char *data;
    size_t n, capacity, max;
};

struct run {
    ait_child *child;
    struct output outputs[2]; /* of fd 1 and 2 */
    const char *input;
    size_t n_input;
    bool leads; /* a process group, which ends when it is reaped: others of it may hold the pipes
                   open */
};

static int output_reserve(struct output *o)
{
    size_t capacity = o->capacity ? o->capacity * 2 : CHUNK;
    char *data;

    if (o->n + 1 < o->capacity)
        return 0;
    data = realloc(o->data, capacity);
    if (!data)
        return -ENOMEM;
    o->data = data;
    o->capacity = capacity;
    return 0;
}

/* Something is there. Returns 0 at the end. */
static int read_some(struct output *o, int fd)
{
    ssize_t n;
    int r;

    r = output_reserve(o);
    if (r < 0)
        return r;
    n = read(fd, o->data + o->n, o->capacity - o->n - 1);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : -errno;
    o->n += (size_t)n;
    o->data[o->n] = '\0';
    if (o->n > o->max)
        return -EMSGSIZE;
    return n > 0;
}

/*
 * A program need not read its input. SIGPIPE for that would hit us, so it is blocked and consumed.
 * Returns 0 if there is nothing more to do.
 */
static int write_some(struct run *run, int fd)
{
    const struct timespec now = {};
    sigset_t pipe, before, pending;
    ssize_t n;
    int error;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    n = write(fd, run->input, run->n_input);
    error = errno;
    if (n < 0 && error == EPIPE && sigismember(&pending, SIGPIPE) == 0)
        (void)sigtimedwait(&pipe, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (n < 0)
        return error == EAGAIN || error == EINTR ? 1 : error == EPIPE ? 0 : -error;
    run->input += n;
    run->n_input -= (size_t)n;
    return run->n_input > 0;
}

static int serve(struct run *run, int which, int fd)
{
    return which == STDIN_FILENO ? write_some(run, fd) : read_some(run->outputs + which - 1, fd);
}

/* Until all three pipes have come to their ends. */
static int communicate(struct run *run)
{
    struct pollfd fds[4];
    int r, n_open;

    for (;;) {
        n_open = 0;
        fds[3] =
            (struct pollfd){.fd = run->leads ? ait_child_pidfd(run->child) : -1, .events = POLLIN};
        for (int i = 0; i < 3; i++) {
            fds[i] = (struct pollfd){.fd = ait_child_stdio(run->child, i),
                                     .events = i == 0 ? POLLOUT : POLLIN};
            n_open += fds[i].fd >= 0;
        }
        if (n_open == 0)
            return 0;
        r = ait_poll_many(fds, ARRAY_SIZE(fds));
        if (r < 0)
            return r;
        for (int i = 0; i < 3; i++) {
            if (fds[i].fd < 0 || !fds[i].revents)
                continue;
            r = serve(run, i, fds[i].fd);
            if (r < 0)
                return r;
            if (r == 0)
                (void)ait_child_close_stdio(run->child, i);
        }
        if (run->leads && fds[3].revents) {
            r = ait_child_wait(run->child, NULL);
            if (r < 0 && r != -ECHILD)
                return r;
            run->leads = false;
        }
    }
}

static bool decided(const ait_spawn_options *o, int fd, unsigned flags)
{
    for (size_t i = 0; i < o->n_fds && o->fds; i++)
        if (o->fds[i].target == fd)
            return true;
    return o->flags & flags;
}

static unsigned stdio_flags(const ait_spawn_options *o, bool has_input)
{
    unsigned flags = o->flags & ~(unsigned)AIT_SPAWN_STDIN_PIPE;

    if (!decided(o, STDIN_FILENO, AIT_SPAWN_STDIN_NULL))
        flags |= has_input ? AIT_SPAWN_STDIN_PIPE : AIT_SPAWN_STDIN_NULL;
    if (!decided(o, STDOUT_FILENO, AIT_SPAWN_STDOUT_NULL))
        flags |= AIT_SPAWN_STDOUT_PIPE;
    if (!decided(o, STDERR_FILENO, AIT_SPAWN_STDERR_NULL | AIT_SPAWN_STDERR_TO_STDOUT))
        flags |= AIT_SPAWN_STDERR_PIPE;
    return flags;
}

static int run_to_end(struct run *run, ait_process_result *ret)
{
    ait_process_result result = {};
    int r;

    r = communicate(run);
    if (r >= 0)
        r = ait_child_supervise(run->child, &result.info);
    if (r < 0 && r != -ECHILD)
        return r;
    /* The output is there, even if nobody can say how the process has ended. */
    result.exit_code = r == -ECHILD ? -ECHILD : ait_child_exit_code(run->child);
    result.out = run->outputs[0].data;
    result.n_out = run->outputs[0].n;
    result.err = run->outputs[1].data;
    result.n_err = run->outputs[1].n;
    (void)options_fill(ret, &result, sizeof(result));
    /* The caller has what it has room for. */
    if (OPTIONS_HAVE(ret, out))
        run->outputs[0].data = NULL;
    if (OPTIONS_HAVE(ret, err))
        run->outputs[1].data = NULL;
    return 0;
}

AIT_PUBLIC int ait_run_process(ait_process_result *ret, char *const argv[], const void *input,
                               size_t n_input, const ait_spawn_options *options)
{
    struct run run = {.input = input, .n_input = n_input};
    ait_spawn_options o;
    int r;

    if (!ret || options_check(ret) < 0 || (!input && n_input > 0))
        return -EINVAL;
    r = options_copy(&o, sizeof(o), options);
    if (r < 0)
        return r;
    o.flags = stdio_flags(&o, n_input > 0);
    run.leads = o.flags & (AIT_SPAWN_PROCESS_GROUP | AIT_SPAWN_SESSION);
    run.outputs[0].max = run.outputs[1].max = o.max_output ? o.max_output : MAX_OUTPUT;
    r = ait_check_cancel();
    if (r >= 0)
        r = ait_spawn(&run.child, argv, &o);
    if (r < 0)
        return r;
    r = run_to_end(&run, ret);
    ait_child_end(run.child);
    free(run.outputs[0].data);
    free(run.outputs[1].data);
    return r;
}

AIT_PUBLIC void ait_process_result_free(ait_process_result *result)
{
    if (!result)
        return;
    if (OPTIONS_HAVE(result, out)) {
        free(result->out);
        result->out = NULL;
    }
    if (OPTIONS_HAVE(result, n_out))
        result->n_out = 0;
    if (OPTIONS_HAVE(result, err)) {
        free(result->err);
        result->err = NULL;
    }
    if (OPTIONS_HAVE(result, n_err))
        result->n_err = 0;
}
