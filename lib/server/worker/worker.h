/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A worker: one process, from before its start until its last descendant has ended, as one task.
 *
 *     worker_main
 *       output      reads what it writes and sends; shielded, ends with the process
 *       readiness   waits as --ready says
 *       denials     answers calls that its sandbox denies (--deny=explain); shielded
 *
 * A worker is stopped by cancelling its task. The task then performs the graceful stop in a shield,
 * and ends when no process is left. The stop signal goes to the main process. What is left when
 * that has ended gets the signal, too, and the rest of the time. Start and stop timeouts are
 * deadlines of scopes, which notifications lift or move.
 *
 * The owner learns of changes by one event, and then reads the fields, state first. All fields
 * except the owner's are written by the worker only. A worker is reference counted: its task holds
 * one reference, its owner another.
 *
 * What this is not: it makes no decisions. The slot decides whether another worker follows.
 */

#include <signal.h>

#include "process/family.h"
#include "flood.h"
#include "notify.h"
#include "revision.h"
#include "tail.h"
#include "workers.h"

enum worker_state { WORKER_STARTING, WORKER_READY, WORKER_DRAINING, WORKER_EXITED };

struct denial_limits;
struct spawn;

struct worker_params {
    struct workers *all;
    ait_scope *scope; /* that its task lives in */
    struct revision *revision;
    unsigned slot, seat; /* the seat is the owner's to give up */
    ait_event *changed;  /* set when its state changes; borrowed, must outlive the worker */
    struct denial_limits *
        *limits; /* on what is logged about denials: the slot's, made when needed */
};

struct worker {
    unsigned refs;
    struct workers *all;
    struct revision *revision;
    unsigned slot, seat;
    ait_event *changed;
    struct denial_limits **limits;

    enum worker_state state;
    struct worker *next; /* of the living ones */
    struct worker *left; /* the owner's: another one that it has left to itself */

    ait_task *task;
    ait_scope *life;      /* of the tasks that its process has; NULL: none */
    ait_child *child;     /* NULL until it was started */
    struct spawn *spawn;  /* its start, until it has executed its program; NULL: that is over */
    pid_t pid;            /* 0 likewise */
    struct family family; /* it, and what it starts */
    struct notify_socket notify;
    struct notify_socket former; /* before its path was removed; still read */
    struct flood flood;          /* of notifications */
    struct flood_time time;      /* that its output and its denied calls have cost */
    struct flood_words words;    /* that they make us say */
    int out_fds[LOG_CHANNELS];   /* our ends of its output pipes */
    int ready_fd;                /* our end of --ready=fd:N's pipe */
    ait_task *readiness;         /* waits as --ready says; NULL if only notifications count */
    struct log_stream streams[LOG_CHANNELS];
    struct tail tail;         /* of its output, while it is young */
    ait_explainer *explainer; /* of its sandbox; NULL: nothing is to be explained */
    uint64_t n_unreported;    /* denials that were not logged */
    bool unread_told;         /* the log says that its output or notifications cannot be read */
    bool told_busy;           /* the log says that its notifications wait */
    bool shut_down_told;      /* the log says that it has shut down its listener */

    ait_future *output_over; /* both pipes have reached their end */
    ait_scope *limit; /* its deadline is the start or the stop timeout; NULL: none is running */
    uint64_t started, became_ready; /* 0: never */
    uint64_t asked;                 /* by the stop signal; 0: never */
    uint64_t ended;                 /* its main process; 0: not yet, or unknown */
    bool ready_by_age;              /* it is ready because it has been alive for some time */

    /* how it ended */
    int spawn_status;       /* if it could not be started: the exit status for that, else 0 */
    bool spawn_is_hopeless; /* it would fail again */
    bool start_timed_out;
    bool asked_to_stop;
    bool killed; /* it had been asked to stop, and its time was over */
    siginfo_t info;
    uint64_t oom_before;   /* the count of the OOM killer when it was started */
    const char *end_cause; /* of a kill, in parentheses; NULL: nothing is known */
};

/* Makes a worker whose process is about to be started. Returns a reference in ret. */
int worker_new(struct worker **ret, const struct worker_params *params);
struct worker *worker_ref(struct worker *w);
struct worker *worker_unref(struct worker *w);
/*
 * Asks the worker to stop, gracefully unless there is no grace left (at_once). The event reports
 * its end. One call is enough.
 */
void worker_stop(struct worker *w);
/* Ends its stop timeout now. */
void worker_expire(struct worker *w);
/*
 * begun: when something was begun for it that is over now. Returns how long nothing more should be.
 * All slots together get half of a CPU, and one that is alone as much.
 */
static inline uint64_t worker_costs(struct worker *w, uint64_t begun)
{
    uint64_t now = ait_now(NULL);

    return flood_spend(&w->time, now - begun, 2 * (w->all->n_slots > 0 ? w->all->n_slots : 1), now);
}

/* Closes our ends of what its process was given. */
void worker_close_pipes(struct worker *w);
/* As in a shell: the exit status, or 128 + signal. */
int worker_exit_status(const struct worker *w);
#define WORKER_END_MAX 128
void worker_describe_end(const struct worker *w, char *buf, size_t n);

/* ---- all that have a process ----------------------------------------------------------------- */

/* Ends the stop timeouts of all workers, now and from now on. */
void workers_expire_all(struct workers *all);

/* Whether the process is a worker. userdata: struct workers. */
bool workers_know_pid(pid_t pid, void *userdata);
/* guardian_marked_fn: by token or by control group. userdata: struct workers. */
bool workers_mark(pid_t pid, const char *instance, void *userdata);

/* Whether the file is the notification socket of one of them. */
bool workers_own_file(const struct workers *all, const char *name);
/* Makes those again that were removed. Returns their number; a failure is no reason to stop. */
unsigned workers_renew_notify(struct workers *all);
