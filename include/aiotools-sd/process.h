/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_PROCESS_H
#define AIT_PROCESS_H

/*
 * Child processes, by pidfd: nothing here needs SIGCHLD, and a pid is never signalled after it was reaped.
 *
 * An ait_child is counted, and dropping its last reference neither kills nor reaps. Who owns the process says so: AIT_CHILD() ends it with the
 * block, ait_child_supervise() with the wait. To end a process in order is to send its stop signal, to wait for a while, to send SIGKILL, and to
 * reap it; that happens even where the caller is cancelled. Several tasks may wait for one child.
 *
 * A handle means something in the process that made it only: in a forked child, waiting and signalling give -ECHILD.
 */

#include <signal.h>
#ifdef __cplusplus
#include <initializer_list>
#endif

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* ---- handles ------------------------------------------------------------------------------------- */

/* Takes a child of this process. pidfd may be -1: one is opened; else it is taken over on success. */
int ait_child_adopt(ait_child **ret, pid_t pid, int pidfd) AIT_MUST_CHECK;
ait_child *ait_child_ref(ait_child *child);
ait_child *ait_child_unref(ait_child *child);
AIT_DEFINE_CLEANUP_(ait_child, ait_child_unref)

pid_t ait_child_pid(const ait_child *child);
/* Borrowed. */
int ait_child_pidfd(const ait_child *child);

#if defined(_GNU_SOURCE) || defined(__cplusplus) || (defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199309L)
#define AIT_PROCESS_SIGINFO 1
/* Waits until it has ended, and reaps it. ret_info (may be NULL) as from waitid(2). -ECHILD: somebody else has reaped it. */
int ait_child_wait(ait_child *child, siginfo_t *ret_info);
/* The same for its owner: where the wait fails, above all since the caller is cancelled, ends the process in order before it returns. */
int ait_child_supervise(ait_child *child, siginfo_t *ret_info);
#endif
/* As a shell tells it: the exit status, or 128 and the number of the signal. -EBUSY: not reaped yet. */
int ait_child_exit_code(const ait_child *child);

/* -ESRCH: it has ended and was reaped. */
int ait_child_kill(ait_child *child, int signo);

/*
 * Sends signo (and SIGCONT, in case it is stopped), waits up to usec, sends SIGKILL, reaps. To the whole process group where it was given one of its
 * own. Returns 0 where the process went in time, 1 where it was killed; -ECANCELED where the caller is cancelled, the process has ended all
 * the same. usec AIT_USEC_INFINITY: no SIGKILL.
 */
int ait_child_terminate(ait_child *child, int signo, uint64_t usec);

/* How the next two, and ait_child_supervise(), end it: SIGTERM and 10 s where nothing else was said, here or in the options. */
int ait_child_set_stop(ait_child *child, int signo, uint64_t usec);
/* Ends the process in order, and drops the reference. Outside tasks, where nothing can be awaited: SIGKILL at once. Returns NULL. */
ait_child *ait_child_end(ait_child *child);
AIT_DEFINE_CLEANUP_(ait_child, ait_child_end)

/* A process that does not outlive the block: AIT_CHILD(c); r = ait_spawn(&c, ...); */
#define AIT_CHILD(name) AIT_CLEANUP(ait_child_endp) ait_child *name = NULL

/* ---- exec ---------------------------------------------------------------------------------------- */

enum {
    AIT_SPAWN_PROCESS_GROUP =
        1
        << 0, /* of its own: it is ended as a whole, and what is left of it when its leader is reaped is killed */
    AIT_SPAWN_SESSION = 1 << 1,    /* the same, and no controlling terminal */
    AIT_SPAWN_STDIN_PIPE = 1 << 2, /* ait_child_stdio() is our end */
    AIT_SPAWN_STDOUT_PIPE = 1 << 3,
    AIT_SPAWN_STDERR_PIPE = 1 << 4,
    AIT_SPAWN_STDIN_NULL = 1 << 5, /* /dev/null */
    AIT_SPAWN_STDOUT_NULL = 1 << 6,
    AIT_SPAWN_STDERR_NULL = 1 << 7,
    AIT_SPAWN_STDERR_TO_STDOUT = 1 << 8, /* wherever that goes */
    AIT_SPAWN_INHERIT_FDS = 1 << 9,      /* whatever is not close-on-exec; else stdio and fds alone */
};

/* Frozen: arrays are made of it. */
typedef struct ait_spawn_fd {
    int fd;     /* ours */
    int target; /* its number in the child */
} ait_spawn_fd;

typedef struct ait_spawn_options {
    size_t size;       /* sizeof(ait_spawn_options) */
    const char *path;  /* of the program; NULL: argv[0]. Without a slash it is looked up in our PATH */
    char *const *envp; /* NULL: our environment */
    const char *cwd;   /* NULL: ours. A relative path of the program is relative to it */
    unsigned flags;
    int death_signal;        /* that it gets when the calling thread ends; 0: none */
    const ait_spawn_fd *fds; /* more descriptors; a target below 3 replaces that of stdio */
    size_t n_fds;
    int stop_signal;    /* see ait_child_set_stop(); 0: as by default */
    uint64_t stop_usec; /* 0: as by default */
    size_t max_output;  /* of ait_run_process(), each of the two; 0: 16 MiB */
} ait_spawn_options;

#define AIT_SPAWN_OPTIONS(...) AIT_OPTIONS_(ait_spawn_options, __VA_ARGS__)
#ifdef __cplusplus
#define AIT_ARGV(...)                                                                                        \
    const_cast<char *const *>(std::initializer_list<const char *>{__VA_ARGS__, nullptr}.begin())
#else
#define AIT_ARGV(...) ((char *const[]){__VA_ARGS__, NULL})
#endif

/*
 * Starts a program. options may be NULL. Nothing of our memory is copied, however large we are; the calling thread stands still until the
 * program is executed. It starts with no signal blocked, SIGPIPE as by default, and other ignored signals as ours. Errors of exec and of what comes
 * before are returned here. Not a suspension point; needs no loop.
 */
int ait_spawn(ait_child **ret, char *const argv[], const ait_spawn_options *options) AIT_MUST_CHECK;

/* Our end of the pipe to the child's fd 0, 1 or 2: borrowed, closed with the last reference. -EBADF: there is none (any more). */
int ait_child_stdio(const ait_child *child, int fd);
/* The same, and it is the caller's from here on. */
int ait_child_take_stdio(ait_child *child, int fd);
/* Closes it: the child sees the end of its input. */
int ait_child_close_stdio(ait_child *child, int fd);

#ifdef AIT_PROCESS_SIGINFO
typedef struct ait_process_result {
    size_t size; /* sizeof(ait_process_result), set by the caller */
    siginfo_t info;
    int exit_code; /* see ait_child_exit_code() */
    char *out;     /* what it wrote to stdout and stderr, with a zero behind; NULL where it was not a pipe */
    size_t n_out;
    char *err;
    size_t n_err;
} ait_process_result;

/*
 * Runs a program to its end: writes input to its stdin, collects what it writes. stdout and stderr are pipes unless options say otherwise; stdin is
 * one where there is input, else /dev/null. Waits for the end of the output: descendants that have it, too, hold that up, unless a process group was asked for
 * and they are in it. Returns 0 whatever its exit status is. -EMSGSIZE: more output than max_output. On this, on
 * -ECANCELED and on other failures the process has been ended in order. ait_process_result_free() releases ret.
 */
int ait_run_process(ait_process_result *ret, char *const argv[], const void *input, size_t n_input,
                    const ait_spawn_options *options) AIT_MUST_CHECK;
void ait_process_result_free(ait_process_result *result);
#endif

/* ---- fork ---------------------------------------------------------------------------------------- */

enum {
    AIT_FORK_PROCESS_GROUP = AIT_SPAWN_PROCESS_GROUP,
    AIT_FORK_SESSION = AIT_SPAWN_SESSION,
    AIT_FORK_KEEP_SIGNALS = 1 << 16, /* AIT_RUN_KEEP_SIGNALS for the child's loop */
};

typedef struct ait_fork_options {
    size_t size; /* sizeof(ait_fork_options) */
    unsigned flags;
    int death_signal; /* as in ait_spawn_options */
    int stop_signal;
    uint64_t stop_usec;
} ait_fork_options;

#define AIT_FORK_OPTIONS(...) AIT_OPTIONS_(ait_fork_options, __VA_ARGS__)

/*
 * Forks, and runs fn(userdata) in the child as ait_run() does, with a loop of its own. Waits until that loop runs, so that a SIGTERM from here on
 * cancels fn, or until the child has ended. The child's exit status is fn's result (at most 255), or 1 where that is negative; nothing of the
 * caller's frames is unwound in it, atexit(3) functions are not run, and what we had buffered in stdio stays ours.
 * Calls on the parent's loop, tasks and scopes give -ECHILD in it; other threads do not exist in it. -ECANCELED: the child has been ended.
 */
int ait_fork(ait_child **ret, ait_task_fn fn, void *userdata, const ait_fork_options *options) AIT_MUST_CHECK;

/*
 * The same, but waits until fn calls ait_task_started() and returns the value given there. A child that ends before: fn's error, or -EPROTO where it
 * told none (-ECANCELED is none); it is then reaped, and ret untouched.
 */
int ait_fork_start(ait_child **ret, ait_task_fn fn, void *userdata,
                   const ait_fork_options *options) AIT_MUST_CHECK;

AIT_END_DECLS

#endif
