/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "current.h"
#include "drive.h"
#include "guest.h"
#include "now.h"
#include "owned.h"
#include "scheduler.h"
#include "scope.h"
#include "task.h"

#define EVENT_EVERY                                                                                \
    32 /* short polls without a look at the sd_event: new defer sources and timers show only in    \
          prepare */

#define EVENT_STEPS 16

static void event_ready(struct ait_loop *loop, uint32_t events)
{
    loop->n_polls = EVENT_EVERY;
}

AIT_PUBLIC int ait_loop_get_event(ait_loop *loop, struct sd_event **ret)
{
    int r;

    if (!loop || !ret)
        return -EINVAL;
    LOOP_CHECK(loop);
    if (!loop->event) {
        r = sd_event_new(&loop->event);
        if (r < 0)
            return r;
        r = event_add_exit(loop);
        if (r >= 0)
            r = loop_watch(loop, WATCH_EVENT, sd_event_get_fd(loop->event), event_ready);
        if (r < 0) {
            loop->event_exit = sd_event_source_disable_unref(loop->event_exit);
            loop->event = sd_event_unref(loop->event);
            return r;
        }
    }
    *ret = loop->event;
    return 0;
}

static int event_dispatch(struct ait_loop *loop)
{
    int r = sd_event_dispatch(loop->event);

    if (sd_event_get_state(loop->event) == SD_EVENT_FINISHED) {
        (void)sd_event_get_exit_code(loop->event, &loop->exit_code);
        loop->stop = true;
    }
    return r < 0 ? r : 0;
}

/*
 * One iteration of the sd_event around our own poll. *ret_dispatched: whether a source was
 * dispatched.
 */
static int poll_with_event_once(struct ait_loop *loop, uint64_t until, bool *ret_dispatched)
{
    int r;

    loop->n_polls = 0;
    r = sd_event_prepare(loop->event);
    if (r == 0) {
        (void)loop_poll(loop, until);
        r = sd_event_wait(loop->event, 0); /* the only way out of ARMED */
        *ret_dispatched = r > 0;
        return r > 0 ? event_dispatch(loop) : r;
    }
    if (r < 0)
        return r;
    *ret_dispatched = true;
    r = event_dispatch(loop);
    if (r >= 0 && !loop->stop)
        (void)loop_poll(loop, 0);
    return r;
}

/*
 * A look at the sd_event. While tasks compute, the next one is a batch away; so what wakes no task,
 * such as the steps in which sd-bus takes a message, does not wait for it. What wakes one does: it
 * is to run before the next message comes.
 */
static int poll_with_event(struct ait_loop *loop, uint64_t until)
{
    uint32_t tail = loop->tail;
    bool more = true;
    int r = 0;

    for (unsigned i = 0; i < EVENT_STEPS && more && r >= 0; i++) {
        more = false;
        r = poll_with_event_once(loop, i == 0 ? until : 0, &more);
        more = more && loop->late && !loop->stop && loop->tail == tail && !loop->attention;
    }
    return r;
}

static bool run_over(const struct ait_loop *loop, const struct ait_task *until_done)
{
    return (loop->n_tasks == 0 && !loop->attention) || loop->stop ||
           (until_done && until_done->future.done);
}

static int turn(struct ait_loop *loop, const struct ait_task *until_done)
{
    uint64_t until;

    loop_run_batch(loop);
    loop_fire_timers(loop);
    if (run_over(loop, until_done))
        return 0;
    until = loop_idle_until(loop);
    if (loop->event && (until != 0 || loop->late || ++loop->n_polls >= EVENT_EVERY))
        return poll_with_event(loop, until);
    (void)loop_poll(loop, until);
    return 0;
}

static bool event_exiting(struct ait_loop *loop)
{
    int code;

    return loop->event && !loop->stop && sd_event_get_exit_code(loop->event, &code) >= 0;
}

int owned_run(struct ait_loop *loop, const struct ait_task *until_done)
{
    int r;

    while (!run_over(loop, until_done)) {
        r = turn(loop, until_done);
        if (r < 0)
            return r;
    }
    /* Ours is not the only exit source, and the code is there only after the last one. */
    while (event_exiting(loop)) {
        r = poll_with_event(loop, 0);
        if (r < 0)
            return r;
    }
    return 0;
}

AIT_PUBLIC int ait_loop_run(ait_loop *loop)
{
    int r;

    if (!loop)
        return -EINVAL;
    LOOP_CHECK(loop);
    if (loop->guest || loop->dispatching || loop->current)
        return -EBUSY;
    loop->refs++;
    loop->dispatching = true;
    r = owned_run(loop, NULL);
    loop->dispatching = false;
    r = r < 0 ? r : loop->exit_code;
    ait_loop_unref(loop);
    return r;
}

/* ---- ait_run --------------------------------------------------------------------------------- */

static void stop_signal(struct ait_loop *loop, uint32_t events)
{
    struct signalfd_siginfo info;
    sigset_t set;

    if (read(loop->watches[WATCH_SIGNALS].fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (loop->n_stop_signals++ == 0) {
        scope_cancel(&loop->root);
        return;
    }
    (void)signal((int)info.ssi_signo, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, (int)info.ssi_signo);
    (void)raise((int)info.ssi_signo);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + (int)info.ssi_signo);
}

struct signal_state {
    sigset_t old_mask;
    struct sigaction old_pipe;
};

static int signals_take(struct ait_loop *loop, struct signal_state *state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int r, fd;

    sigemptyset(&loop->run_signals);
    sigaddset(&loop->run_signals, SIGTERM);
    sigaddset(&loop->run_signals, SIGINT);
    fd = fd_above_stdio(signalfd(-1, &loop->run_signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (fd < 0)
        return -errno;
    r = loop_watch(loop, WATCH_SIGNALS, fd, stop_signal);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    (void)pthread_sigmask(SIG_BLOCK, &loop->run_signals, &state->old_mask);
    (void)sigaction(SIGPIPE, &ignore, &state->old_pipe);
    return 0;
}

static void signals_give_back(struct ait_loop *loop, const struct signal_state *state)
{
    int fd = loop->watches[WATCH_SIGNALS].fd;

    loop_unwatch(loop, WATCH_SIGNALS);
    (void)close(fd);
    (void)sigaction(SIGPIPE, &state->old_pipe, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &state->old_mask, NULL);
}

void owned_leave_signals(struct ait_loop *loop, const sigset_t *set)
{
    if (!loop->watches[WATCH_SIGNALS].ready)
        return;
    for (int signo = 1; signo < NSIG; signo++)
        if (sigismember(set, signo) == 1)
            sigdelset(&loop->run_signals, signo);
    (void)signalfd(loop->watches[WATCH_SIGNALS].fd, &loop->run_signals, 0);
}

void owned_return_signals(struct ait_loop *loop, const sigset_t *set)
{
    if (!loop->watches[WATCH_SIGNALS].ready)
        return;
    if (sigismember(set, SIGTERM) == 1)
        sigaddset(&loop->run_signals, SIGTERM);
    if (sigismember(set, SIGINT) == 1)
        sigaddset(&loop->run_signals, SIGINT);
    (void)signalfd(loop->watches[WATCH_SIGNALS].fd, &loop->run_signals, 0);
}

static int run_main(struct ait_loop *loop, ait_task_fn fn, void *userdata)
{
    struct ait_task *t;
    int r, result;

    r = task_spawn(&loop->root, &t, fn, userdata, AIT_TASK_OPTIONS(.name = "main"),
                   __builtin_return_address(0));
    if (r < 0)
        return r;
    loop->main = t;
    loop->dispatching = true;
    r = owned_run(loop, t);
    scope_cancel(&loop->root);
    if (r < 0)
        loop_drain(loop);
    else
        r = owned_run(loop, NULL);
    loop->dispatching = false;
    result = t->future.result;
    ait_task_unref(t);
    return r < 0 ? r : result;
}

AIT_PUBLIC int ait_run(ait_task_fn fn, void *userdata, unsigned flags)
{
    struct signal_state signals;
    struct ait_loop *loop;
    int r;

    if (!fn || (flags & ~(unsigned)AIT_RUN_KEEP_SIGNALS))
        return -EINVAL;
    r = ait_loop_new(&loop);
    if (r < 0)
        return r;
    if (flags & AIT_RUN_KEEP_SIGNALS) {
        r = run_main(loop, fn, userdata);
    } else {
        r = signals_take(loop, &signals);
        if (r >= 0) {
            r = run_main(loop, fn, userdata);
            signals_give_back(loop, &signals);
        }
    }
    ait_loop_unref(loop);
    return r;
}
