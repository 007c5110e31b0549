/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

/*
 * A worker: one process, from before its start to after its last descendant's end, as one task.
 *
 *     worker_main
 *       output      reads what it writes and says; shielded, ends with the process
 *       readiness   waits for what --ready says
 *       denials     answers what its sandbox denies (--deny=explain); shielded
 *
 * It is stopped by cancelling its task: the task then goes through the graceful stop in a shield, and ends when nothing of the
 * process is left. Its start and stop timeouts are deadlines of scopes, which a notification lifts or moves.
 *
 * Whoever owns it is told by one event that something has changed, and looks: at state first. All fields but its owner's are the worker's own to
 * write. It is counted: its task holds a reference, its owner another.
 *
 * What this is not: it decides nothing. Whether another one follows is the slot's business.
 */

#include <signal.h>

#include "process/process-tree.h"
#include "notify.h"
#include "revision.h"
#include "workers.h"

enum worker_state { WORKER_STARTING, WORKER_READY, WORKER_DRAINING, WORKER_EXITED };

struct denial_limits;

struct worker_params {
    struct workers *all;
    ait_scope *scope; /* that its task lives in */
    struct revision *revision;
    unsigned slot;
    ait_event *changed;            /* set when its state changes; borrowed, must outlive the worker */
    struct denial_limits **limits; /* of what the log is told about denials: the slot's, made when needed */
};

struct worker {
    unsigned refs;
    struct workers *all;
    struct revision *revision;
    unsigned slot;
    ait_event *changed;
    struct denial_limits **limits;

    enum worker_state state;
    struct worker *next; /* of the living ones */

    ait_task *task;
    ait_child *child; /* NULL until it was started */
    pid_t pid;        /* 0 likewise */
    struct guardian_tree tree;
    struct notify_socket notify;
    int out_fds[LOG_CHANNELS]; /* our ends of its output pipes */
    int ready_fd;              /* our end of --ready=fd:N's pipe */
    ait_task *readiness;       /* waits for what --ready says; NULL where a notification is all that counts */
    struct log_stream streams[LOG_CHANNELS];
    ait_explainer *explainer; /* of what its sandbox denies; NULL: nobody is to be told */
    uint64_t n_untold;        /* denials that were left out of the log */

    ait_future *output_over;        /* both pipes have come to their end */
    ait_scope *limit;               /* whose deadline is the start or the stop timeout; NULL: none runs */
    uint64_t started, became_ready; /* 0: never */

    /* how it ended */
    int spawn_status; /* where it could not be started: the exit status that calls for, else 0 */
    bool start_timed_out;
    bool asked_to_stop;
    siginfo_t info;
};

/* A worker whose process is about to be started. Returns a reference in ret. */
int worker_new(struct worker **ret, const struct worker_params *params);
struct worker *worker_ref(struct worker *w);
struct worker *worker_unref(struct worker *w);
/* Asks it to stop, gracefully unless nobody has any grace left; its end is told by the event. Once is enough. */
void worker_stop(struct worker *w);
/* Takes what is left of its stop timeout away. */
void worker_expire(struct worker *w);
/* As a shell would tell it: status, or 128 + signal. */
int worker_exit_status(const struct worker *w);
#define WORKER_END_MAX 96
void worker_describe_end(const struct worker *w, char *buf, size_t n);

#endif
