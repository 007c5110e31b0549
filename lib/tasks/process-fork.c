/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A child that continues in a function of ours.
 *
 * The fork happens on the thread's own stack (ait_call_on_thread_stack()), and the child never
 * returns from there: its loop is made on a proper stack, and no frame of the parent is unwound.
 * Parent and child share a socket until the child has reported that it is ready, or that it never
 * will be.
 */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <aiotools-sd/io.h>

#include "process.h"
#include "scheduler.h"
#include "options.h"

#define ALL_FLAGS (AIT_FORK_PROCESS_GROUP | AIT_FORK_SESSION | AIT_FORK_KEEP_SIGNALS)

enum { SAYS_READY = 1, SAYS_ENDED };

/* Messages of the child: fn is ready, with a value; or it ended before, with its result. */
struct message {
    int says;
    int value;
};

struct fork {
    ait_task_fn fn;
    void *userdata;
    bool wait_started; /* ready is when fn says so, not when it begins */
    bool said;
    ait_fork_options options;
    int ours, theirs; /* of the socket */
    pid_t parent;
    pid_t pid;
};

/* ---- the child ------------------------------------------------------------------------------- */

static void say(struct fork *f, int says, int value)
{
    const struct message message = {.says = says, .value = value};

    if (f->said)
        return;
    f->said = true;
    (void)!send(f->theirs, &message, sizeof(message), MSG_NOSIGNAL);
    (void)close(f->theirs);
}

/* fn in a task of its own, whose start is awaited. */
static int run_started(struct fork *f)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_SCOPE(scope);
    int r, result;

    r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR);
    if (r < 0)
        return r;
    r = ait_scope_start(scope, &task, f->fn, f->userdata, AIT_TASK_OPTIONS(.name = "main"));
    say(f, r < 0 ? SAYS_ENDED : SAYS_READY, r);
    result = ait_scope_exit(scope, r < 0 ? r : 0);
    if (r >= 0)
        (void)ait_task_result(task, &result);
    return result;
}

static int child_main(void *userdata)
{
    struct fork *f = userdata;

    if (f->wait_started)
        return run_started(f);
    say(f, SAYS_READY, 0);
    return f->fn(f->userdata);
}

static int prepare_child(const struct fork *f)
{
    if (f->options.flags & AIT_FORK_SESSION)
        (void)setsid();
    else if (f->options.flags & AIT_FORK_PROCESS_GROUP)
        (void)setpgid(0, 0);
    if (f->options.death_signal > 0) {
        if (prctl(PR_SET_PDEATHSIG, f->options.death_signal, 0, 0, 0) < 0)
            return -errno;
        if (getppid() != f->parent)
            return -ESRCH;
    }
    return 0;
}

/* The parent's fds that only it can use: without copies here, what it closes is closed. */
static void abandon(const struct ait_loop *loop)
{
    (void)close(loop->epoll_fd);
    for (unsigned i = 0; i < WATCH_MAX; i++)
        if (i != WATCH_EVENT && loop->watches[i].ready)
            (void)close(loop->watches[i].fd);
}

static void reset_signals(void)
{
    sigset_t none;

    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void run_child(struct fork *f, const struct ait_loop *parents)
{
    int r;

    (void)close(f->ours);
    abandon(parents);
    __fpurge(stdout);
    __fpurge(stderr);
    r = prepare_child(f);
    reset_signals();
    if (r >= 0)
        r = ait_run(child_main, f,
                    f->options.flags & AIT_FORK_KEEP_SIGNALS ? AIT_RUN_KEEP_SIGNALS : 0);
    say(f, SAYS_ENDED, r);
    (void)fflush(stdout);
    (void)fflush(stderr);
    _exit(r < 0 ? EXIT_FAILURE : r > UINT8_MAX ? UINT8_MAX : r);
}

/* On the thread's stack. A handler of the parent must not run in a child that is not set up yet. */
static int do_fork(void *userdata)
{
    struct fork *f = userdata;
    struct ait_loop *loop = this_loop;
    sigset_t all, before;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    f->parent = getpid();
    f->pid = fork();
    if (f->pid == 0)
        run_child(f, loop);
    if (f->pid < 0)
        f->pid = -errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return 0;
}

/* ---- the parent ------------------------------------------------------------------------------ */

static int make_process(struct fork *f, struct ait_child *c)
{
    int fds[2], pidfd, r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    f->ours = fds[0];
    f->theirs = fds[1];
    (void)ait_call_on_thread_stack(do_fork, f);
    (void)close(f->theirs);
    if (f->pid < 0) {
        (void)close(f->ours);
        return f->pid;
    }
    pidfd = (int)syscall(SYS_pidfd_open, f->pid, 0);
    if (pidfd < 0) {
        r = -errno;
        child_discard(f->pid);
        (void)close(f->ours);
        return r;
    }
    /* The child does it, too, so that it does not matter which runs first. */
    if ((f->options.flags & (AIT_FORK_PROCESS_GROUP | AIT_FORK_SESSION)) == AIT_FORK_PROCESS_GROUP)
        (void)setpgid(f->pid, f->pid);
    child_init(c, f->pid, pidfd, f->options.flags & (AIT_FORK_PROCESS_GROUP | AIT_FORK_SESSION));
    return 0;
}

/* Until the child has said something, or has ended; grandchildren may keep the socket open. */
static int hear(const struct fork *f, const struct ait_child *c, struct message *ret)
{
    struct pollfd fds[] = {{.fd = f->ours, .events = POLLIN}, {.fd = c->pidfd, .events = POLLIN}};
    ssize_t n;
    int r;

    r = ait_poll_many(fds, ARRAY_SIZE(fds));
    if (r < 0)
        return r;
    n = recv(f->ours, ret, sizeof(*ret), MSG_DONTWAIT);
    if (n != sizeof(*ret))
        *ret = (struct message){.says = SAYS_ENDED, .value = -EPROTO};
    return 0;
}

/*
 * The outcome for the caller. Without wait_started, a child that has ended by itself counts as one
 * that runs. If it was cancelled there, by a signal, that is not an error: the caller was not
 * cancelled.
 */
static int judge(const struct fork *f, const struct message *m)
{
    bool reported = m->value < 0 && m->value != -EPROTO && m->value != -ECANCELED;

    if (m->says == SAYS_READY || reported)
        return m->value;
    return f->wait_started ? -EPROTO : 0;
}

static int fork_and_wait(ait_child **ret, struct fork *f)
{
    struct message message;
    struct ait_child *c;
    int r;

    c = child_new(f->options.stop_signal, f->options.stop_usec);
    if (!c)
        return -ENOMEM;
    r = make_process(f, c);
    if (r < 0) {
        free(c);
        return r;
    }
    r = hear(f, c, &message);
    (void)ait_close(f->ours);
    if (r >= 0)
        r = judge(f, &message);
    if (r < 0) {
        ait_child_end(c);
        return r;
    }
    *ret = c;
    return r;
}

static int fork_checked(ait_child **ret, ait_task_fn fn, void *userdata,
                        const ait_fork_options *options, bool wait_started)
{
    struct fork f = {.fn = fn, .userdata = userdata, .wait_started = wait_started};
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    r = options_copy(&f.options, sizeof(f.options), options);
    if (r < 0)
        return r;
    if (!ret || !fn || f.options.flags & ~(unsigned)ALL_FLAGS)
        return -EINVAL;
    if (f.options.death_signal < 0 || f.options.death_signal >= NSIG || f.options.stop_signal < 0 ||
        f.options.stop_signal >= NSIG)
        return -EINVAL;
    r = op_enter(&loop, &t);
    return r < 0 ? r : fork_and_wait(ret, &f);
}

AIT_PUBLIC int ait_fork(ait_child **ret, ait_task_fn fn, void *userdata,
                        const ait_fork_options *options)
{
    return fork_checked(ret, fn, userdata, options, false);
}

AIT_PUBLIC int ait_fork_start(ait_child **ret, ait_task_fn fn, void *userdata,
                              const ait_fork_options *options)
{
    return fork_checked(ret, fn, userdata, options, true);
}
