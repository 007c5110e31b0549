/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_PROCESS_H
#define AIT_PROCESS_H

/*
 * Child processes, by pidfd. Nothing here needs SIGCHLD, and a pid is never signalled after it was
 * reaped.
 *
 * An ait_child is reference counted. Dropping the last reference neither kills nor reaps the
 * process. Code that owns the process says so: AIT_CHILD() ends the process with the block, and
 * ait_child_supervise() with the wait. To terminate a process is to send its stop signal, wait for
 * a while, send SIGKILL, and reap it. This happens even if the caller is cancelled. Several tasks
 * may wait for one child.
 *
 * A handle is valid only in the process that made it. In a forked child, waiting and signalling
 * return -ECHILD.
 */

#include <signal.h>
#ifdef __cplusplus
#include <initializer_list>
#endif

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* ---- handles --------------------------------------------------------------------------------- */

/*
 * Makes a handle for a child of this process. pidfd may be -1: one is opened. Otherwise it is owned
 * by the handle on success.
 */
int ait_child_adopt(ait_child **ret, pid_t pid, int pidfd) AIT_MUST_CHECK;
ait_child *ait_child_ref(ait_child *child);
ait_child *ait_child_unref(ait_child *child);
AIT_DEFINE_CLEANUP_(ait_child, ait_child_unref)

pid_t ait_child_pid(const ait_child *child);
/* The child's pidfd, borrowed. */
int ait_child_pidfd(const ait_child *child);

#if defined(_GNU_SOURCE) || defined(__cplusplus) ||                                                \
    (defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199309L)
#define AIT_PROCESS_SIGINFO 1
/*
 * Waits until the child has ended, and reaps it. ret_info (may be NULL) is as from waitid(2).
 * -ECHILD: other code has reaped it.
 */
int ait_child_wait(ait_child *child, siginfo_t *ret_info);
/*
 * The same for the owner of the process: if the wait fails, above all because the caller is
 * cancelled, terminates the process before returning.
 */
int ait_child_supervise(ait_child *child, siginfo_t *ret_info);
#endif
/*
 * As in a shell: the exit status, or 128 plus the number of the signal. -EBUSY: the child has not
 * been reaped.
 */
int ait_child_exit_code(const ait_child *child);

/* -ESRCH: the child has ended and was reaped. */
int ait_child_kill(ait_child *child, int signo);

/*
 * Sends signo (and SIGCONT, in case the process is stopped), waits up to usec, sends SIGKILL, and
 * reaps the process. Signals go to the whole process group if the child was given one of its own.
 * Returns 0 if the process ended in time, and 1 if it was killed. -ECANCELED: the caller is
 * cancelled; the process has ended nevertheless. usec AIT_USEC_INFINITY: no SIGKILL.
 */
int ait_child_terminate(ait_child *child, int signo, uint64_t usec);

/*
 * How ait_child_supervise(), ait_child_end() and AIT_CHILD() terminate the process. The default is
 * SIGTERM and 10 s, unless the options of ait_spawn() set something else.
 */
int ait_child_set_stop(ait_child *child, int signo, uint64_t usec);
/*
 * Terminates the process and drops the reference. Outside tasks, where nothing can be awaited,
 * sends SIGKILL at once. Returns NULL.
 */
ait_child *ait_child_end(ait_child *child);
AIT_DEFINE_CLEANUP_(ait_child, ait_child_end)

/* A process that does not outlive the block: AIT_CHILD(c); r = ait_spawn(&c, ...); */
#define AIT_CHILD(name) AIT_CLEANUP(ait_child_endp) ait_child *name = NULL

/* ---- exec ------------------------------------------------------------------------------------ */

enum {
    AIT_SPAWN_PROCESS_GROUP = 1 << 0, /* its own process group, terminated as a whole; when its
                                         leader is reaped, the rest is killed */
    AIT_SPAWN_SESSION = 1 << 1,       /* the same, and no controlling terminal */
    AIT_SPAWN_STDIN_PIPE = 1 << 2,    /* ait_child_stdio() returns our end */
    AIT_SPAWN_STDOUT_PIPE = 1 << 3,
    AIT_SPAWN_STDERR_PIPE = 1 << 4,
    AIT_SPAWN_STDIN_NULL = 1 << 5, /* /dev/null */
    AIT_SPAWN_STDOUT_NULL = 1 << 6,
    AIT_SPAWN_STDERR_NULL = 1 << 7,
    AIT_SPAWN_STDERR_TO_STDOUT = 1 << 8, /* to wherever stdout goes */
    AIT_SPAWN_INHERIT_FDS =
        1 << 9, /* all that are not close-on-exec; by default only stdio and fds */
};

/* Frozen: arrays are made of it. */
typedef struct ait_spawn_fd {
    int fd;     /* ours */
    int target; /* its number in the child */
} ait_spawn_fd;

typedef struct ait_spawn_options {
    size_t size;      /* sizeof(ait_spawn_options) */
    const char *path; /* of the program; NULL: argv[0]. Without a slash it is looked up in our PATH,
                         whose relative directories are relative to our working directory */
    char *const *envp; /* NULL: our environment */
    const char *cwd;   /* NULL: ours. Relative paths of the program are relative to it */
    unsigned flags;
    int death_signal;        /* sent to the child when the calling thread ends; 0: none */
    const ait_spawn_fd *fds; /* more descriptors; a target below 3 replaces that of stdio */
    size_t n_fds;
    int stop_signal;    /* see ait_child_set_stop(); 0: the default */
    uint64_t stop_usec; /* 0: the default */
    size_t
        max_output; /* bytes of stdout and of stderr that ait_run_process() collects; 0: 16 MiB */
} ait_spawn_options;

#define AIT_SPAWN_OPTIONS(...) AIT_OPTIONS_(ait_spawn_options, __VA_ARGS__)
#ifdef __cplusplus
#define AIT_ARGV(...)                                                                              \
    const_cast<char *const *>(std::initializer_list<const char *>{__VA_ARGS__, nullptr}.begin())
#else
#define AIT_ARGV(...) ((char *const[]){__VA_ARGS__, NULL})
#endif

/*
 * Starts a program. options may be NULL. Our memory is not copied, however large it is; the calling
 * thread is blocked until the program is executed. The program starts with no signal blocked, with
 * the default disposition of SIGPIPE, and with other ignored signals ignored as here. Errors of
 * exec and of the steps before it are returned. Not a suspension point. Needs no loop.
 */
int ait_spawn(ait_child **ret, char *const argv[], const ait_spawn_options *options) AIT_MUST_CHECK;

/*
 * Our end of the pipe to the child's fd 0, 1 or 2: borrowed, and closed with the last reference.
 * -EBADF: there is none, or it was closed.
 */
int ait_child_stdio(const ait_child *child, int fd);
/* The same; ownership passes to the caller. */
int ait_child_take_stdio(ait_child *child, int fd);
/* Closes it: the child sees the end of its input. */
int ait_child_close_stdio(ait_child *child, int fd);

#ifdef AIT_PROCESS_SIGINFO
typedef struct ait_process_result {
    size_t size; /* sizeof(ait_process_result), set by the caller */
    siginfo_t info;
    int exit_code; /* see ait_child_exit_code(); -ECHILD: not known, since SIGCHLD is ignored, or
                      other code has waited for it, and Linux is older than 6.15 */
    char *out; /* the contents of stdout and stderr, with a zero byte after them; NULL if it was not
                  a pipe */
    size_t n_out;
    char *err;
    size_t n_err;
} ait_process_result;

/*
 * Runs a program to its end: writes input to its stdin, and collects its output. stdout and stderr
 * are pipes unless options say otherwise; stdin is a pipe if there is input, else /dev/null. Waits
 * for the end of the output. Descendants that hold it open delay that, unless the program has its
 * own process group and they are in it. Returns 0 whatever the exit status is. -EMSGSIZE: more
 * output than max_output. On this error, on -ECANCELED and on other failures the process has been
 * terminated. Release ret with ait_process_result_free().
 */
int ait_run_process(ait_process_result *ret, char *const argv[], const void *input, size_t n_input,
                    const ait_spawn_options *options) AIT_MUST_CHECK;
void ait_process_result_free(ait_process_result *result);
#endif

/* ---- fork ------------------------------------------------------------------------------------ */

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
 * Forks, and runs fn(userdata) in the child like ait_run(), with a loop of its own. Waits until
 * that loop runs, so that a later SIGTERM cancels fn, or until the child has ended. The child's
 * exit status is fn's result (at most 255), or 1 if that is negative. In the child no frame of the
 * caller is unwound, atexit(3) functions are not run, and data that is buffered in stdio is not
 * written. There, calls on the parent's loop, tasks and scopes return -ECHILD, and other threads do
 * not exist. -ECANCELED: the caller was cancelled; the child has been terminated.
 */
int ait_fork(ait_child **ret, ait_task_fn fn, void *userdata,
             const ait_fork_options *options) AIT_MUST_CHECK;

/*
 * The same, but waits until fn calls ait_task_started(), and returns the value given there. If the
 * child ends before, returns fn's error, or -EPROTO if it reported none (-ECANCELED counts as
 * none). The child is then reaped, and ret is untouched.
 */
int ait_fork_start(ait_child **ret, ait_task_fn fn, void *userdata,
                   const ait_fork_options *options) AIT_MUST_CHECK;

AIT_END_DECLS

#endif
