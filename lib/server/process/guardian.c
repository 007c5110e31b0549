/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guardian.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "children.h"
#include "config/parse.h"
#include "message.h"
#include "process-tree.h"
#include "proc.h"
#include "proc-scan.h"
#include "relay.h"
#include "title.h"

#define BURST        4000     /* us, in which children are ended without a look at the time */
#define PAUSE_NSEC   1000000  /* while nothing moves */
#define STILL_LIMIT  10000000 /* us without an end of any process: nobody can end what is left */
#define TOTAL_LIMIT  60000000 /* us */
#define LAST_WORDS   1000     /* ms, for the service manager's queue, and for a slow terminal */
#define FDS_MAX      (1 << 20)
#define NICE_HIGHEST (-20)

/* In /proc/PID/comm: while it stands guard, and while it kills. */
#define GUARDIAN_COMM      "aiotools-guard"
#define GUARDIAN_COMM_KILL "aiotools-kill"

struct watch {
    pid_t supervisor;
    int status; /* of the supervisor, once it has ended */
    bool ended;
    int socket;  /* -1: the supervisor has closed its end */
    int signals; /* signalfd */
    int held;    /* -1: none */
    struct cgroup group;
    struct relay relay;
    struct guardian_post post;
    pid_t *strangers; /* children that were there before */
    size_t n_strangers;
};

/*
 * What the supervisor does something about, see server.c; and SIGABRT, by which a service manager
 * ends what has taken too long (TimeoutStopFailureMode=abort, WatchdogSec=).
 */
static const int passed_on[] = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP, SIGTTIN,
                                SIGTTOU, SIGUSR1, SIGUSR2, SIGABRT};

/* ---- what the supervisor asks for ------------------------------------------------------------ */

static void show_name(struct watch *w)
{
    char title[128];

    (void)snprintf(title, sizeof(title), "aiotools-sd: guardian%s%.64s",
                   w->post.message.text[0] ? " of " : "", w->post.message.text);
    process_set_title(title);
}

static void hold(struct watch *w)
{
    if (w->held >= 0)
        (void)close(w->held);
    w->held = -1;
    if (w->post.n_fds > 0)
        w->held = w->post.fds[--w->post.n_fds];
}

static void take_group(struct watch *w)
{
    if (w->group.parent >= 0)
        (void)close(w->group.parent);
    cgroup_forget(&w->group);
    if (w->post.n_fds != 2)
        return;
    w->group.path = strdup(w->post.message.text);
    w->group.fd = w->post.fds[0];
    w->group.parent = w->post.fds[1];
    w->post.n_fds = 0;
}

static void notify(struct watch *w)
{
    relay_put(&w->relay, &w->post);
    w->post.n_fds = 0;
}

static void handle(struct watch *w)
{
    static void (*const handlers[GUARDIAN_N_KINDS])(struct watch *) = {
        [GUARDIAN_NAME] = show_name,
        [GUARDIAN_HOLD] = hold,
        [GUARDIAN_NOTIFY] = notify,
        [GUARDIAN_GROUP] = take_group,
    };
    const struct guardian_message *m = &w->post.message;

    if (m->version == GUARDIAN_PROTOCOL && m->kind < GUARDIAN_N_KINDS && handlers[m->kind])
        handlers[m->kind](w);
    guardian_post_done(&w->post);
}

/* What waits for the service manager holds the rest back. */
static void take_messages(struct watch *w)
{
    int r = 1;

    if (relay_waits(&w->relay))
        relay_go_on(&w->relay);
    while (w->socket >= 0 && !relay_waits(&w->relay) &&
           (r = guardian_receive(w->socket, &w->post)) > 0)
        handle(w);
    if (r < 0) {
        (void)close(w->socket);
        w->socket = -1;
    }
}

/* ---- processes and signals ------------------------------------------------------------------- */

static bool is_stranger(pid_t pid, void *userdata)
{
    const struct watch *w = userdata;

    for (size_t i = 0; i < w->n_strangers; i++)
        if (w->strangers[i] == pid)
            return true;
    return false;
}

static void forget_stranger(struct watch *w, pid_t pid)
{
    for (size_t i = 0; i < w->n_strangers; i++)
        if (w->strangers[i] == pid) {
            w->strangers[i] = w->strangers[--w->n_strangers];
            return;
        }
}

static void reap(struct watch *w)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
        forget_stranger(w, pid);
        if (pid != w->supervisor)
            continue;
        w->ended = true;
        w->status = status;
    }
}

/* An outer sandbox that refuses the one way may allow the other. No signal must be lost. */
static void send_signal(pid_t pid, int signo)
{
    int pidfd;

    if (kill(pid, signo) == 0)
        return;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    (void)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
    (void)close(pidfd);
}

static void pass_on(const struct watch *w, int signo)
{
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(*passed_on); i++)
        if (passed_on[i] == signo && !w->ended)
            send_signal(w->supervisor, signo);
}

/* 0: none. If the descriptor cannot be read, the kernel gives them all the same. */
static int next_signal(const struct watch *w)
{
    struct signalfd_siginfo info;
    sigset_t all;
    ssize_t n = read(w->signals, &info, sizeof(info));

    if (n == sizeof(info))
        return (int)info.ssi_signo;
    if (n < 0 && errno == EAGAIN)
        return 0;
    (void)sigfillset(&all);
    int signo = sigtimedwait(&all, NULL, &(struct timespec){0});
    return signo > 0 ? signo : 0;
}

static void take_signals(struct watch *w)
{
    int signo;

    while ((signo = next_signal(w)) > 0)
        if (signo == SIGCHLD)
            reap(w);
        else
            pass_on(w, signo);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* READY=1 and STOPPING=1 come before the end that they announce. */
static void relay_rest(struct watch *w)
{
    uint64_t until = children_now() + (uint64_t)LAST_WORDS * 1000;

    for (take_messages(w); relay_waits(&w->relay); take_messages(w)) {
        uint64_t now = children_now();

        if (now >= until)
            return;
        (void)poll(&(struct pollfd){.fd = w->relay.fd, .events = POLLOUT}, 1,
                   (int)((until - now) / 1000) + 1);
    }
}

/* As children_end(). What is in the group ends at once, and then comes to us to be reaped. */
static int end_some(struct watch *w, uint64_t *ret_reaped)
{
    bool grouped = w->group.fd >= 0 && cgroup_kill(&w->group) > 0;
    int r = children_end(w->n_strangers > 0 ? is_stranger : NULL, w, BURST, ret_reaped);

    return r == 0 && grouped && cgroup_is_populated(&w->group) > 0 ? 1 : r;
}

/* False: something is left that cannot be ended, or found. */
static bool end_all(struct watch *w)
{
    uint64_t begun = children_now(), moved = begun, n_reaped;
    int r;

    while ((r = end_some(w, &n_reaped)) != 0) {
        uint64_t now = children_now();

        if (n_reaped > 0)
            moved = now;
        else
            (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NSEC}, NULL);
        if (now - moved > STILL_LIMIT || now - begun > TOTAL_LIMIT)
            return false;
        /* Without /proc, those that have a parent-death signal end by themselves. */
        if (r < 0 && now - moved > (uint64_t)LAST_WORDS * 1000)
            return false;
    }
    return true;
}

static void say_last_words(const struct watch *w, bool ended)
{
    const char *name = signal_name(WTERMSIG(w->status));

    /* A terminal that was stopped, or a pipe that nobody reads, is not waited for. */
    if (poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, LAST_WORDS) <= 0)
        return;
    (void)dprintf(STDERR_FILENO, "aiotools-sd: the supervisor (process %d) was killed by %s; %s\n",
                  (int)w->supervisor, name ?: "a signal",
                  ended ? "its workers and what they had started have been killed"
                        : "some of its processes could not be killed; see ps(1)");
}

/* For the parent, as if there were no second process. */
static void __attribute__((noreturn)) end_like(int status)
{
    sigset_t set;

    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    int signo = WTERMSIG(status);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    (void)signal(signo, SIG_DFL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, signo);
    (void)kill(getpid(), signo);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + signo); /* signals do not end PID 1 */
}

static void __attribute__((noreturn)) finish(struct watch *w)
{
    (void)prctl(PR_SET_NAME, GUARDIAN_COMM_KILL, 0, 0, 0);
    if (WIFSIGNALED(w->status))
        (void)setpriority(PRIO_PROCESS, 0, NICE_HIGHEST);
    bool ended = end_all(w);
    (void)cgroup_remove(&w->group);
    relay_rest(w);
    if (WIFSIGNALED(w->status))
        say_last_words(w, ended);
    end_like(w->status);
}

static void __attribute__((noreturn)) stand_guard(struct watch *w)
{
    /* Signals of before are in the signalfd, the end of the supervisor among them. */
    while (!w->ended) {
        bool waits = relay_waits(&w->relay);
        struct pollfd fds[] = {
            {.fd = w->signals, .events = POLLIN},
            {.fd = waits ? w->relay.fd : w->socket, .events = waits ? POLLOUT : POLLIN},
        };

        (void)poll(fds, 2, -1);
        take_signals(w);
        take_messages(w);
    }
    finish(w);
}

/* ---- its start: the guardian ----------------------------------------------------------------- */

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

/* Two descriptors become 0 and 1; 2 is where the last words go. */
static void keep_only(struct watch *w)
{
    int first = fcntl(w->socket, F_DUPFD_CLOEXEC, 3);
    int second = fcntl(w->signals, F_DUPFD_CLOEXEC, 3);

    if (first < 0 || second < 0 || dup3(first, 0, O_CLOEXEC) < 0 || dup3(second, 1, O_CLOEXEC) < 0)
        return; /* more is open than has to be */
    w->socket = 0;
    w->signals = 1;
    /* What comes later must not take its number. */
    if (fcntl(2, F_GETFD) < 0 && open("/dev/null", O_WRONLY | O_CLOEXEC) < 0)
        (void)dup3(1, 2, O_CLOEXEC);
    if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
        close_from_each(3);
}

static void __attribute__((noreturn)) guardian_main(struct watch *w)
{
    (void)prctl(PR_SET_NAME, GUARDIAN_COMM, 0, 0, 0);
    /* Workers of the same user do not get at it. */
    keep_only(w);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* Only so that no file system is kept busy. */
    (void)!chdir("/");
    take_messages(w);
    stand_guard(w);
}

/* ---- its start: both ------------------------------------------------------------------------- */

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

static int open_own_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return fd < 0 ? -errno : fd;
}

static void count_stranger(pid_t pid, void *userdata)
{
    struct watch *w = userdata;
    pid_t *more = realloc(w->strangers, (w->n_strangers + 1) * sizeof(pid));

    if (!more)
        return;
    w->strangers = more;
    w->strangers[w->n_strangers++] = pid;
}

/* All that can fail, while there is one process that can say so. */
static int prepare(struct watch *w, struct guardian *g, const char *name, struct problem *p)
{
    sigset_t all;
    int pair[2];

    int r = guardian_become_subreaper();
    if (r < 0)
        return problem_set_refused(p, r, "prctl", "cannot adopt what the workers start");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return describe(p, -errno, "socketpair");
    w->socket = pair[1];
    g->fd = pair[0];
    g->pid = getpid();
    g->pidfd = open_own_pidfd();
    if (g->pidfd < 0)
        return describe(p, g->pidfd, "pidfd_open");
    (void)sigfillset(&all);
    w->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (w->signals < 0)
        return describe(p, -errno, "signalfd4");
    /* What both will need when it is too late to say that it is refused. */
    if (syscall(SYS_pidfd_send_signal, g->pidfd, 0, NULL, 0) < 0)
        return describe(p, -errno, "pidfd_send_signal");
    r = guardian_send(g->fd, GUARDIAN_NAME, name ?: "", NULL, 0);
    if (r < 0)
        return describe(p, r, "sendmsg");
    if (recvmsg(w->socket, &(struct msghdr){0}, MSG_DONTWAIT | MSG_PEEK) < 0)
        return describe(p, -errno, "recvmsg");
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void watch_done(struct watch *w)
{
    close_fd(&w->socket);
    close_fd(&w->signals);
    free(w->strangers);
}

/* A variable that names the first process names the supervisor from now on. */
static void inherit_variable(const char *name, pid_t parent)
{
    const char *value = getenv(name);
    char text[16];

    (void)snprintf(text, sizeof(text), "%d", (int)parent);
    if (!value || strcmp(value, text) != 0)
        return;
    (void)snprintf(text, sizeof(text), "%d", (int)getpid());
    (void)setenv(name, text, 1);
    /* The same by another number. */
    if (strcmp(name, "LISTEN_PID") == 0)
        (void)unsetenv("LISTEN_PIDFDID");
}

/* ---- its start: the supervisor --------------------------------------------------------------- */

unsigned guardian_mourning = 60;

static pid_t guardian_of_us, ourselves;

/* In no child of ours: an alarm is kept by exec. */
static void on_continue(int signo)
{
    (void)signo;
    if (getpid() == ourselves && getppid() != guardian_of_us)
        (void)alarm(guardian_mourning);
}

/*
 * The end of the guardian continues a supervisor that was stopped, so that it notices. One that
 * hangs does not; it is ended by an alarm, and its workers with it.
 */
static int notice_guardian(pid_t guardian)
{
    const struct sigaction action = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    sigset_t set;

    guardian_of_us = guardian;
    ourselves = getpid();
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCONT);
    (void)sigaddset(&set, SIGALRM);
    (void)signal(SIGALRM, SIG_DFL);
    if (sigaction(SIGCONT, &action, NULL) < 0 || sigprocmask(SIG_UNBLOCK, &set, NULL) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

static int supervisor_main(const struct guardian *g, struct problem *p)
{
    int r = notice_guardian(g->pid);

    if (r < 0)
        return problem_set_refused(p, r, "prctl", "cannot notice the end of the guardian");
    if (setsid() < 0)
        return problem_set_refused(p, -errno, "setsid", "cannot leave the guardian's session");
    r = guardian_become_subreaper();
    if (r < 0)
        return problem_set_refused(p, r, "prctl", "cannot adopt what the workers start");
    if (getppid() == 0)
        return problem_set(
            p, STATUS_OS, -EXDEV,
            "the guardian is in another pid namespace than its child; make the namespace with the "
            "first process in it (unshare --pid --fork --mount-proc)");
    if (getppid() != g->pid)
        return problem_set(p, STATUS_OS, -ESRCH, "the guardian was killed");
    inherit_variable("LISTEN_PID", g->pid);
    inherit_variable("WATCHDOG_PID", g->pid);
    return 0;
}

/* With all signals blocked: what comes now waits in the guardian, which keeps them blocked. */
static int fork_both(struct watch *w, struct problem *p)
{
    sigset_t all, before;

    /* If it was ignored, nobody would get an exit status. */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    w->supervisor = fork();
    int r = w->supervisor < 0 ? describe(p, -errno, "fork") : 0;
    if (w->supervisor > 0)
        guardian_main(w);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

int guardian_begin(struct guardian *ret_guardian, const char *name, struct problem *ret_problem)
{
    struct watch w = {
        .socket = -1, .signals = -1, .held = -1, .group = CGROUP_NONE, .relay = {.fd = -1}};
    struct guardian g = GUARDIAN_INIT;
    int r = prepare(&w, &g, name, ret_problem);

    (void)children_each(count_stranger, &w);
    if (r >= 0)
        r = fork_both(&w, ret_problem);
    watch_done(&w);
    if (r >= 0)
        r = supervisor_main(&g, ret_problem);
    if (r < 0)
        guardian_done(&g);
    else
        *ret_guardian = g;
    return r;
}

/* ---- for the supervisor ---------------------------------------------------------------------- */

int guardian_set_name(struct guardian *guardian, const char *name)
{
    return guardian_send(guardian->fd, GUARDIAN_NAME, name, NULL, 0);
}

int guardian_set_group(struct guardian *guardian, const struct cgroup *group)
{
    const int fds[] = {group->fd, group->parent};
    bool is_there = group->fd >= 0;

    return guardian_send(guardian->fd, GUARDIAN_GROUP, is_there ? group->path : "",
                         is_there ? fds : NULL, is_there ? 2 : 0);
}

int guardian_hold(struct guardian *guardian, int fd)
{
    return guardian_send(guardian->fd, GUARDIAN_HOLD, "", &fd, fd >= 0);
}

int guardian_notify(struct guardian *guardian, const char *text, const int *fds, size_t n_fds)
{
    return guardian_send(guardian->fd, GUARDIAN_NOTIFY, text, fds, n_fds);
}

bool guardian_is_dead(const struct guardian *guardian)
{
    struct pollfd p = {.fd = guardian->pidfd, .events = POLLIN};

    return guardian->pidfd >= 0 && poll(&p, 1, 0) > 0;
}

struct guardian *guardian_done(struct guardian *guardian)
{
    if (!guardian)
        return NULL;
    if (guardian->pid > 0 && getppid() == guardian->pid)
        (void)kill(guardian->pid, SIGCONT);
    close_fd(&guardian->fd);
    close_fd(&guardian->pidfd);
    *guardian = (struct guardian)GUARDIAN_INIT;
    return NULL;
}

void guardian_mourn(void)
{
    (void)prctl(PR_SET_NAME, GUARDIAN_COMM_KILL, 0, 0, 0);
}

/* ---- those of others ------------------------------------------------------------------------- */

static bool comm_is(pid_t pid, const char *wanted)
{
    char comm[PROC_COMM_MAX];

    return proc_read_comm(pid, comm) >= 0 && strcmp(comm, wanted) == 0;
}

/* Of a supervisor whose end the guardian has not taken notice of. */
static bool has_dead_child(const struct scan *scan, pid_t guardian)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan->items[i].parent == guardian && scan->items[i].dead)
            return true;
    return false;
}

static enum guardians state_of(const struct scan *scan, const struct scan_process *p,
                               const char *own)
{
    if (p->dead || p->pid == getpid() || p->pid == getppid())
        return GUARDIANS_NONE;
    if (comm_is(p->pid, GUARDIAN_COMM_KILL))
        return GUARDIANS_KILL;
    if (comm_is(p->pid, GUARDIAN_COMM))
        return has_dead_child(scan, p->pid) ? GUARDIANS_KILL : GUARDIANS_STAND;
    /* A supervisor that has just lost its guardian, or another command of ours: a moment. */
    return comm_is(p->pid, own) && !comm_is(p->parent, GUARDIAN_COMM) ? GUARDIANS_STAND
                                                                      : GUARDIANS_NONE;
}

enum guardians guardians_of_others(void)
{
    enum guardians found = GUARDIANS_NONE;
    struct scan scan = {0};
    char own[PROC_COMM_MAX] = "";

    (void)proc_read_comm(getpid(), own);
    if (scan_everything(&scan) >= 0)
        for (size_t i = 0; i < scan.n && found != GUARDIANS_KILL; i++) {
            enum guardians one = state_of(&scan, &scan.items[i], own);
            found = one > found ? one : found;
        }
    scan_done(&scan);
    return found;
}
