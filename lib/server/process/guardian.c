/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "proc-scan.h"
#include "guardian.h"

/*
 * After the supervisor's end: how often the guardian scans, and when it gives up on processes that
 * cannot be killed.
 */
#define PASS_INTERVAL_NSEC 5000000
#define PASSES_MAX         2000

struct entry {
    struct guardian_tree tree;
    int pidfd; /* -1: it came without */
};

struct watch {
    int socket;
    int supervisor; /* pidfd */
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

static void handle(struct watch *w, const struct guardian_message *message, int pidfd)
{
    switch (message->kind) {
    case GUARDIAN_ADD:
        add_entry(w, &message->tree, pidfd);
        return;
    case GUARDIAN_REMOVE:
        remove_entry(w, message->tree.pid);
        break;
    case GUARDIAN_STOP:
        _exit(0);
    }
    if (pidfd >= 0)
        (void)close(pidfd);
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

/* Everything but the two descriptors, which become 0 and 1. */
static int keep_only(int *a, int *b)
{
    int first = fcntl(*a, F_DUPFD_CLOEXEC, 2), second = fcntl(*b, F_DUPFD_CLOEXEC, 2);

    if (first < 0 || second < 0 || dup3(first, 0, O_CLOEXEC) < 0 || dup3(second, 1, O_CLOEXEC) < 0)
        return -errno;
    *a = 0;
    *b = 1;
    if (syscall(SYS_close_range, 2, ~0U, 0) < 0)
        return -errno;
    return 0;
}

static void __attribute__((noreturn)) guardian_main(int socket, int supervisor)
{
    struct watch w = {.socket = socket, .supervisor = supervisor};

    (void)prctl(PR_SET_NAME, "aiotools-guard", 0, 0, 0);
    /*
     * A child of a subreaper is not a subreaper. Neither the terminal nor a group signal reaches a
     * new session.
     */
    (void)setsid();
    if (chdir("/") < 0 || keep_only(&w.socket, &w.supervisor) < 0)
        _exit(1);
    stand_guard(&w);
}

static int fork_guardian(int socket, int supervisor, pid_t *ret_pid)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    int r = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r < 0)
        return r;
    pid_t pid = fork();
    r = pid < 0 ? -errno : 0;
    if (pid == 0)
        guardian_main(socket, supervisor); /* all signals stay blocked */
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r >= 0)
        *ret_pid = pid;
    return r;
}

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

/*
 * Without a pidfd the guardian cannot be told from a later process with its pid, so it is ended
 * again.
 */
static int finish_start(struct guardian *g)
{
    g->pidfd = open_pidfd(g->pid);
    if (g->pidfd >= 0)
        return 0;
    (void)kill(g->pid, SIGKILL);
    (void)waitpid(g->pid, NULL, 0);
    return g->pidfd;
}

int guardian_start(struct guardian *ret_guardian)
{
    struct guardian g = GUARDIAN_INIT;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    int supervisor = open_pidfd(getpid());
    int r = supervisor < 0 ? supervisor : fork_guardian(pair[1], supervisor, &g.pid);
    if (supervisor >= 0)
        (void)close(supervisor);
    (void)close(pair[1]);
    if (r >= 0)
        r = finish_start(&g);
    if (r < 0) {
        (void)close(pair[0]);
        return r;
    }
    g.fd = pair[0];
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
