/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guardian.h"
#include "message.h"
#include "proc.h"
#include "proc-scan.h"
#include "title.h"

/*
 * After the supervisor's end: how often the guardian scans, and when it gives up on processes that
 * cannot be killed.
 */
#define PASS_INTERVAL_NSEC 5000000
#define PASSES_MAX         2000

#define START_PATIENCE 10000 /* ms */
#define FDS_MAX        (1 << 20)

/* In /proc/PID/comm: while it stands guard, and while it kills. */
#define GUARDIAN_COMM      "aiotools-guard"
#define GUARDIAN_COMM_KILL "aiotools-kill"

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

struct entry {
    struct guardian_tree tree;
    int pidfd; /* -1: it came without */
};

struct watch {
    int socket;
    int supervisor; /* pidfd */
    int held;       /* -1: none */
    struct entry *entries;
    size_t n, allocated;
};

static struct entry *find_entry(struct watch *w, pid_t pid)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->entries[i].tree.pid == pid)
            return &w->entries[i];
    return NULL;
}

static void remove_entry(struct watch *w, pid_t pid)
{
    struct entry *e = find_entry(w, pid);
    if (!e)
        return;
    if (e->pidfd >= 0)
        (void)close(e->pidfd);
    *e = w->entries[--w->n];
}

/* A worker that cannot be remembered must not run unguarded: out of memory is its end. */
static void add_entry(struct watch *w, const struct guardian_tree *tree, int pidfd)
{
    remove_entry(w, tree->pid);
    if (w->n == w->allocated) {
        size_t allocated = w->allocated ? w->allocated * 2 : 16;
        struct entry *entries = realloc(w->entries, allocated * sizeof(*entries));
        if (!entries) {
            if (pidfd >= 0) {
                (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
                (void)close(pidfd);
            }
            return;
        }
        w->entries = entries;
        w->allocated = allocated;
    }
    w->entries[w->n++] = (struct entry){.tree = *tree, .pidfd = pidfd};
}

/* fd: the pidfd of a worker to add, or what is to be held. */
static void handle(struct watch *w, const struct guardian_message *message, int fd)
{
    switch (message->kind) {
    case GUARDIAN_ADD:
        add_entry(w, &message->tree, fd);
        return;
    case GUARDIAN_REMOVE:
        remove_entry(w, message->tree.pid);
        break;
    case GUARDIAN_HOLD:
        if (w->held >= 0)
            (void)close(w->held);
        w->held = fd;
        return;
    case GUARDIAN_STOP:
        _exit(0);
    }
    if (fd >= 0)
        (void)close(fd);
}

/* 1: a message; 0: none now; -EPIPE: no process is left that could send one. */
static int receive(struct watch *w)
{
    struct guardian_registration r = {0};
    int pidfd = -1;

    guardian_registration_init(&r, &(struct guardian_tree){0});
    ssize_t n = recvmsg(w->socket, &r.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    if (n == 0)
        return -EPIPE;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&r.header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&pidfd, CMSG_DATA(c), sizeof(pidfd));
    if (n == sizeof(r.message))
        handle(w, &r.message, pidfd);
    return 1;
}

static bool drain(struct watch *w)
{
    int r;
    while ((r = receive(w)) > 0)
        ;
    return r == 0;
}

static bool has_ended(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return pidfd >= 0 && poll(&p, 1, 0) > 0;
}

/*
 * A worker's pid identifies its session and group, unless it has died and the pid belongs to a new
 * process.
 */
static bool number_is_ours(const struct entry *e, const struct scan *scan)
{
    if (!has_ended(e->pidfd))
        return true;
    for (size_t i = 0; i < scan->n; i++)
        if (scan->items[i].pid == e->tree.pid)
            return scan->items[i].dead;
    return true;
}

static void mark_by_number(struct scan *scan, const struct guardian_tree *tree)
{
    for (size_t i = 0; i < scan->n; i++) {
        struct scan_process *p = &scan->items[i];
        if (p->pid == tree->pid || p->session == tree->pid || p->group == tree->pid)
            p->marked = true;
    }
}

static bool has_token(const struct watch *w, pid_t pid)
{
    char instance[SCAN_INSTANCE_MAX];

    if (!scan_instance(pid, instance))
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (strstr(instance, w->entries[i].tree.token))
            return true;
    return false;
}

/* All that can be done without /proc: living leaders, and the groups whose number they hold. */
static void kill_leaders(struct watch *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct entry *e = &w->entries[i];
        if (e->pidfd < 0 || has_ended(e->pidfd))
            continue;
        (void)kill(-e->tree.pid, SIGKILL);
        (void)syscall(SYS_pidfd_send_signal, e->pidfd, SIGKILL, NULL, 0);
    }
}

/* Returns how many it still saw; a failure counts as some. */
static size_t kill_pass(struct watch *w)
{
    struct scan scan = {0};
    pid_t self = getpid();
    size_t alive = 0;

    if (scan_everything(&scan) < 0) {
        kill_leaders(w);
        alive++;
    }

    for (size_t i = 0; i < w->n; i++)
        if (number_is_ours(&w->entries[i], &scan))
            mark_by_number(&scan, &w->entries[i].tree);
    for (size_t i = 0; i < scan.n; i++)
        if (!scan.items[i].marked && !scan.items[i].dead)
            scan.items[i].marked = has_token(w, scan.items[i].pid);
    scan_mark_descendants(&scan);
    for (size_t i = 0; i < scan.n; i++) {
        const struct scan_process *p = &scan.items[i];
        if (!p->marked || p->dead || p->pid == self)
            continue;
        alive++;
        (void)scan_kill(p, SIGKILL);
    }
    scan_done(&scan);
    return alive;
}

/*
 * The supervisor is dead. A worker that was just being started may still register: it holds the
 * socket until it execs, or notices that its parent has died.
 */
static void __attribute__((noreturn)) kill_all(struct watch *w)
{
    const struct timespec interval = {.tv_nsec = PASS_INTERVAL_NSEC};
    unsigned n_quiet = 0;

    (void)prctl(PR_SET_NAME, GUARDIAN_COMM_KILL, 0, 0, 0);
    /*
     * A worker may fork and be killed by its parent-death signal between the listing of /proc and
     * the check: one pass that finds nothing proves nothing.
     */
    for (unsigned pass = 0; pass < PASSES_MAX && n_quiet < 2; pass++) {
        bool more_may_come = drain(w);
        n_quiet = kill_pass(w) == 0 && !more_may_come ? n_quiet + 1 : 0;
        (void)nanosleep(&interval, NULL);
    }
    _exit(0);
}

static void __attribute__((noreturn)) stand_guard(struct watch *w)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = w->supervisor, .events = POLLIN},
            {.fd = w->socket, .events = POLLIN},
        };
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            kill_all(w);
        if (!drain(w) || has_ended(w->supervisor))
            kill_all(w);
    }
}

/* ---- its start, in the guardian -------------------------------------------------------------- */

/* For kernels and outer sandboxes without close_range(2). */
static void close_from_each(int first)
{
    struct rlimit limit;
    struct dirent *entry;
    DIR *dir = opendir("/proc/self/fd");

    while (dir && (entry = readdir(dir))) {
        int fd = atoi(entry->d_name); /* "." is 0 */
        if (fd >= first && fd != dirfd(dir))
            (void)close(fd);
    }
    if (dir) {
        (void)closedir(dir);
        return;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max > FDS_MAX)
        limit.rlim_max = FDS_MAX;
    for (int fd = first; fd < (int)limit.rlim_max; fd++)
        (void)close(fd);
}

/* Everything but the two descriptors, which become 0 and 1. */
static int keep_only(struct watch *w)
{
    int first = fcntl(w->socket, F_DUPFD_CLOEXEC, 2);
    int second = fcntl(w->supervisor, F_DUPFD_CLOEXEC, 2);

    if (first < 0 || second < 0 || dup3(first, 0, O_CLOEXEC) < 0 || dup3(second, 1, O_CLOEXEC) < 0)
        return -errno;
    w->socket = 0;
    w->supervisor = 1;
    if (syscall(SYS_close_range, 2, ~0U, 0) < 0)
        close_from_each(2);
    return 0;
}

/* What it will need when it is too late to say that it is refused. */
static int try_calls(const struct watch *w, const char **ret_call)
{
    int fd = open_pidfd(getpid());

    *ret_call = "pidfd_open";
    if (fd < 0)
        return fd;
    (void)close(fd);
    *ret_call = "recvmsg";
    if (recvmsg(w->socket, &(struct msghdr){0}, MSG_DONTWAIT | MSG_PEEK) < 0 && errno != EAGAIN)
        return -errno;
    *ret_call = "pidfd_send_signal";
    if (syscall(SYS_pidfd_send_signal, w->supervisor, 0, NULL, 0) < 0)
        return -errno;
    return 0;
}

static int take_post(struct watch *w, const char **ret_call)
{
    *ret_call = "setsid";
    /* Neither the terminal nor a group signal reaches a new session. */
    if (setsid() < 0)
        return -errno;
    /* Only so that no file system is kept busy. */
    (void)!chdir("/");
    *ret_call = "dup";
    int r = keep_only(w);
    return r < 0 ? r : try_calls(w, ret_call);
}

/* A child of a subreaper is not a subreaper. */
static void __attribute__((noreturn)) guardian_main(int socket, int supervisor, const char *name)
{
    struct watch w = {.socket = socket, .supervisor = supervisor, .held = -1};
    struct guardian_report report = {0};
    char title[128];
    const char *call;

    (void)prctl(PR_SET_NAME, GUARDIAN_COMM, 0, 0, 0);
    (void)snprintf(title, sizeof(title), "aiotools-sd: guardian of %s", name);
    process_set_title(title);
    report.error = take_post(&w, &call);
    if (report.error < 0)
        (void)snprintf(report.call, sizeof(report.call), "%s", call);
    /* Nobody refuses read() and write(). */
    if (write(w.socket, &report, sizeof(report)) < 0 || report.error < 0)
        _exit(1);
    stand_guard(&w);
}

/* ---- its start, in the supervisor ------------------------------------------------------------ */

static int fork_guardian(int socket, int supervisor, const char *name, pid_t *ret_pid)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    int r = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r < 0)
        return r;
    pid_t pid = fork();
    r = pid < 0 ? -errno : 0;
    if (pid == 0)
        guardian_main(socket, supervisor, name); /* all signals stay blocked */
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r >= 0)
        *ret_pid = pid;
    return r;
}

static int describe(struct problem *p, int error, const char *call)
{
    if (problem_is_refusal(error))
        return problem_set_refused(
            p, error, call,
            "cannot start the guardian, which ends all workers if the supervisor is killed");
    return problem_set(p, STATUS_OS, error,
                       "cannot start the guardian: %s: %s; raise the limits of processes and open "
                       "files (ulimit -u, ulimit -n) or of memory",
                       call, strerror(-error));
}

/* It has ended without a word. */
static int describe_death(struct problem *p, const struct guardian *g, bool slow)
{
    siginfo_t info = {0};

    (void)kill(g->pid, SIGKILL);
    (void)waitid(P_PID, (id_t)g->pid, &info, WEXITED | WNOWAIT);
    if (slow)
        return problem_set(p, STATUS_OS, -ETIME,
                           "cannot start the guardian: it was not ready within %d s; is the "
                           "machine overloaded, or was process %d stopped?",
                           START_PATIENCE / 1000, (int)g->pid);
    return problem_set(p, STATUS_OS, -ECHILD, "cannot start the guardian: it %s %d at once%s",
                       info.si_code == CLD_EXITED ? "exited with status" : "was killed by signal",
                       info.si_status,
                       info.si_status == SIGSYS && info.si_code != CLD_EXITED
                           ? " (SIGSYS: an outer sandbox kills it for a system call; allow that in "
                             "the container's or the service's profile)"
                           : "");
}

static int await_report(const struct guardian *g, struct problem *p)
{
    struct guardian_report report = {0};
    struct pollfd fd = {.fd = g->fd, .events = POLLIN};
    int n;

    do
        n = poll(&fd, 1, START_PATIENCE);
    while (n < 0 && errno == EINTR);
    if (n <= 0 || read(g->fd, &report, sizeof(report)) != sizeof(report))
        return describe_death(p, g, n == 0);
    if (report.error < 0)
        return describe(p, report.error, report.call);
    int r = guardian_send(g->fd, &(struct guardian_message){.kind = GUARDIAN_HOLD}, -1);
    return r < 0 ? describe(p, r, "sendmsg") : 0;
}

/*
 * Without a pidfd the guardian cannot be told from a later process with its pid, so it is ended
 * again.
 */
static int finish_start(struct guardian *g, struct problem *p)
{
    g->pidfd = open_pidfd(g->pid);
    int r = g->pidfd < 0 ? describe(p, g->pidfd, "pidfd_open") : await_report(g, p);
    if (r >= 0)
        return 0;
    (void)kill(g->pid, SIGKILL);
    (void)waitpid(g->pid, NULL, 0);
    if (g->pidfd >= 0)
        (void)close(g->pidfd);
    return r;
}

int guardian_start(struct guardian *ret_guardian, const char *name, struct problem *ret_problem)
{
    struct guardian g = GUARDIAN_INIT;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return describe(ret_problem, -errno, "socketpair");
    int supervisor = open_pidfd(getpid());
    int r = supervisor < 0 ? describe(ret_problem, supervisor, "pidfd_open") : 0;
    if (r >= 0) {
        r = fork_guardian(pair[1], supervisor, name, &g.pid);
        if (r < 0)
            (void)describe(ret_problem, r, "fork");
        (void)close(supervisor);
    }
    (void)close(pair[1]);
    g.fd = pair[0];
    if (r >= 0)
        r = finish_start(&g, ret_problem);
    if (r < 0) {
        (void)close(pair[0]);
        return r;
    }
    *ret_guardian = g;
    return 0;
}

int guardian_add(struct guardian *guardian, const struct guardian_tree *tree, int worker_pidfd)
{
    return guardian_send(guardian->fd,
                         &(struct guardian_message){.kind = GUARDIAN_ADD, .tree = *tree},
                         worker_pidfd);
}

int guardian_remove(struct guardian *guardian, pid_t worker)
{
    return guardian_send(
        guardian->fd, &(struct guardian_message){.kind = GUARDIAN_REMOVE, .tree = {.pid = worker}},
        -1);
}

int guardian_hold(struct guardian *guardian, int fd)
{
    return guardian_send(guardian->fd, &(struct guardian_message){.kind = GUARDIAN_HOLD}, fd);
}

int guardian_stop(struct guardian *guardian)
{
    return guardian_send(guardian->fd, &(struct guardian_message){.kind = GUARDIAN_STOP}, -1);
}

struct guardian *guardian_done(struct guardian *guardian)
{
    if (!guardian)
        return NULL;
    if (guardian->fd >= 0)
        (void)close(guardian->fd);
    if (guardian->pid > 0)
        (void)waitpid(guardian->pid, NULL, WNOHANG);
    if (guardian->pidfd >= 0)
        (void)close(guardian->pidfd);
    *guardian = (struct guardian)GUARDIAN_INIT;
    return NULL;
}

/* ---- those of others ------------------------------------------------------------------------- */

static bool comm_is(pid_t pid, const char *wanted)
{
    char comm[PROC_COMM_MAX];

    return proc_read_comm(pid, comm) >= 0 && strcmp(comm, wanted) == 0;
}

/* Between the supervisor's end and the first pass it has lost its parent, and nothing else. */
static enum guardians state_of(const struct scan_process *p, const char *own)
{
    if (p->dead)
        return GUARDIANS_NONE;
    if (comm_is(p->pid, GUARDIAN_COMM_KILL))
        return GUARDIANS_KILL;
    if (!comm_is(p->pid, GUARDIAN_COMM))
        return GUARDIANS_NONE;
    return comm_is(p->parent, own) ? GUARDIANS_STAND : GUARDIANS_KILL;
}

enum guardians guardians_of_others(void)
{
    enum guardians found = GUARDIANS_NONE;
    struct scan scan = {0};
    char own[PROC_COMM_MAX] = "";

    (void)proc_read_comm(getpid(), own);
    if (scan_everything(&scan) >= 0)
        for (size_t i = 0; i < scan.n && found != GUARDIANS_KILL; i++) {
            enum guardians one = state_of(&scan.items[i], own);
            found = one > found ? one : found;
        }
    scan_done(&scan);
    return found;
}
