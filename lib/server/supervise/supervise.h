/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_SUPERVISE_H
#define SERVER_SUPERVISE_H

/*
 * The supervisor: a tree of tasks that mirrors what it looks after.
 *
 *     server_main                      services: log writers, guardian, signals
 *       slots (a supervisor scope)     stopping the server is cancelling this scope
 *         slot_main, one a slot        keeps one worker running: restarts, back-off, giving up
 *           worker_main, one a process from spawn to the last of its descendants
 *             pumps                    its output, its notifications; shielded, they end with the process
 *             explain                  answers what its sandbox denies (--deny=explain); likewise
 *         planner                      planned changes: reload, scale
 *
 * A worker is stopped by cancelling its task: the task then goes through the graceful stop in a shield, and ends when nothing of the
 * process is left. Its start and stop timeouts are deadlines of scopes, which a notification lifts or moves.
 *
 * Everything runs in one thread; a struct changes only between two suspensions. struct worker is counted (its task, its slot, whoever waits for it).
 */

#include <aiotools-sd/aiotools-sd.h>

#include "config/config.h"
#include "process/guardian.h"
#include "log/log.h"
#include "worker/notify.h"
#include "rundir.h"
#include "sockets/set.h"
#include "worker/sandbox.h"
#include "worker/spawn.h"

enum worker_state { WORKER_STARTING, WORKER_READY, WORKER_DRAINING, WORKER_EXITED };

struct server;
struct slot;

struct worker {
    unsigned refs;
    struct server *server;
    struct slot *slot;
    struct worker *next; /* of the server's living ones */
    enum worker_state state;
    uint64_t generation;

    ait_task *task;
    ait_child *child; /* NULL until it was started */
    pid_t pid;        /* 0 likewise */
    struct guardian_tree tree;
    struct notify_socket notify;
    int out_fds[LOG_CHANNELS]; /* our ends of its output pipes */
    int ready_fd;              /* our end of --ready=fd:N's pipe */
    ait_task *ready_pump;      /* waits for what --ready says; NULL where a notification is all that counts */
    struct log_stream streams[LOG_CHANNELS];
    ait_explainer *explainer; /* of what its sandbox denies; NULL: nobody is to be told */
    uint64_t n_untold;        /* denials that were left out of the log */

    ait_future *output_over; /* both pipes have come to their end */
    ait_future *ready;       /* 0: it is; negative: it ended before */
    ait_scope *limit;        /* whose deadline is the start or the stop timeout; NULL: none runs */
    uint64_t started, became_ready;

    /* how it ended */
    int spawn_status; /* where it could not be started: the exit status that calls for, else 0 */
    bool start_timed_out;
    bool asked_to_stop;
    siginfo_t info;
};

enum slot_state { SLOT_ACTIVE, SLOT_BACKOFF, SLOT_FAILED, SLOT_ENDED };

struct slot {
    struct server *server;
    unsigned index;
    enum slot_state state;
    ait_task *task;
    ait_scope *scope;           /* its workers live in it */
    ait_scope *rest;            /* of the back-off; cancelled to end it early */
    struct worker *current;     /* the one that the slot is about */
    struct worker *replacement; /* being started by the planner */
    bool was_ready;             /* ever */
    bool leaving;               /* TTOU: nothing new goes there */
    unsigned n_failures;        /* in a row */
    uint64_t *exits;            /* times of unplanned exits, a ring of give_up.count */
    unsigned n_exits;
    struct explain_limits *limits; /* of what the log is told about denials; NULL: there were none */
    int status; /* exit status that the slot stands for: failed 69 or 78; ended: the worker's */
};

struct server {
    struct server_config *config;
    struct log *log;
    struct rundir rundir;
    struct listen_set *listen;
    struct guardian guardian;
    struct worker_sandbox sandbox;

    struct slot **slots;
    unsigned n_slots;
    struct worker *workers;
    uint64_t generation;

    ait_scope *slots_scope;
    ait_future *changed; /* resolved, and replaced, when a worker or slot changes state */
    ait_future *wishes;  /* the same for the planner */
    ait_future *pending[LOG_CHANNELS];
    unsigned n_reloads_wanted;
    unsigned n_workers_wanted;
    unsigned n_interrupts;
    bool reloading;
    bool stopping;
    bool at_once;     /* no grace for anybody any more */
    bool told_ready;  /* upstream */
    bool any_started; /* a process of ours has run: until then, a failure is a matter of one line */
    bool told_problem;
    const char *reload_state;        /* of the last reload, where it failed: "partial", "rolled-back" */
    bool seen_notify;                /* READY=1 has come from a worker: from now on it is required */
    int status;                      /* exit status, where something has decided it */
    struct problem problem;          /* scratch: no suspension between filling and using it */
    _Alignas(16) char buffer[16384]; /* the same */
};

/* worker.c */
/* A worker of the slot, its process about to be started. Returns a reference in ret. */
int worker_new(struct slot *slot, struct worker **ret);
struct worker *worker_ref(struct worker *w);
struct worker *worker_unref(struct worker *w);
/* Stops it (gracefully, unless the server has no grace left) and waits until nothing of it is left. */
int worker_stop(struct worker *w);
/* Takes what is left of its start or stop timeout away. */
void worker_hurry(struct worker *w);
/* As a shell would tell it: status, or 128 + signal. */
int worker_exit_status(const struct worker *w);
void worker_describe_end(const struct worker *w, char *buf, size_t n);

/* pumps.c */
int worker_start_pumps(struct worker *w, ait_scope *scope);
/* Waits for the end of its output, for as long as that can still come. */
void worker_finish_pumps(struct worker *w);
/* It can serve. */
void worker_is_ready(struct worker *w);

/* slot.c */
int slot_new(struct server *server, unsigned index, struct slot **ret);
struct slot *slot_free(struct slot *slot);
int slot_start(struct slot *slot);
/* w, which is ready, takes the place of the slot's current worker; that one is returned, a reference, or NULL. */
struct worker *slot_commit(struct slot *slot, struct worker *w);

/* planner.c */
int planner_main(void *userdata);

/* server.c */
void server_changed(struct server *server);
void server_wish(struct server *server);
/* Waits for the next of them, on &server->changed or &server->wishes. The caller has just looked, and looks again afterwards. */
int await_news(ait_future **news);
void server_steer(struct server *server);
void server_stop(struct server *server, int status);
bool server_knows_pid(pid_t pid, void *userdata);
/* "1.04s", "350ms"; buf as large as FORMAT_TIME_MAX. Returns buf. */
#define FORMAT_TIME_MAX 32
const char *format_time(uint64_t usec, char *buf);

/* upstream.c: what the service manager above us is told. */
void server_announce(struct server *server);
void upstream_update(struct server *server);
void upstream_reloading(struct server *server);
void upstream_reloaded(struct server *server);
void upstream_stopping(struct server *server);

/* services.c */
int services_start(struct server *server, ait_scope *scope);
/* In the place of one that has died. It knows all workers, but none of those that are being started. */
int services_new_guardian(struct server *server);
/* Before anything is made that a signal's default action would leave behind. They wait for services_start(). */
void services_block_signals(void);

#endif
