/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/proc-scan.h"
#include "config/parse.h"
#include "hand-over.h"
#include "spawn-child.h"

struct spawn {
    const char *path;
    struct hand_over hand_over;
    struct exec_report *report;
};

/* What only the child needs. */
struct start {
    struct spawn_plan plan;
    struct guardian_tree tree;
    int null_fd;
    struct spawn *spawn;
};

#define NO_SANDBOX "no worker runs unprotected; use a kernel with seccomp, or --sandbox=none"

struct step_words {
    const char *name;
    int status;
    const char *remedy;
    const char *call; /* that only an outer sandbox refuses; NULL: there are other reasons */
};

static const struct step_words step_words[] = {
    [SPAWN_STEP_SESSION] = {"new session", STATUS_OS, "please report this as a bug", "setsid"},
    [SPAWN_STEP_OOM] = {"giving back the value of oom_score_adj", STATUS_OS,
                        "/proc has to be there, and writable"},
    [SPAWN_STEP_SIGNALS] = {"signals", STATUS_OS, "please report this as a bug", "rt_sigaction"},
    [SPAWN_STEP_UNBLOCK] = {"signals", STATUS_OS, "please report this as a bug", "rt_sigprocmask"},
    [SPAWN_STEP_FDS] = {"arranging descriptors", STATUS_OS,
                        "raise the limit of open files (ulimit -n)", "fcntl or dup3"},
    [SPAWN_STEP_RLIMIT] = {"--rlimit", STATUS_CONFIG, "only root may go above the hard limit"},
    [SPAWN_STEP_NICE] = {"--nice", STATUS_CONFIG, "only root may lower the value"},
    [SPAWN_STEP_GROUPS] = {"supplementary groups", STATUS_OS,
                           "run as root, or leave out --user and --group"},
    [SPAWN_STEP_GID] = {"changing the group", STATUS_OS,
                        "run as root, or leave out --user and --group"},
    [SPAWN_STEP_UID] = {"changing the user", STATUS_OS, "run as root, or leave out --user"},
    [SPAWN_STEP_DIRECTORY] = {"--chdir", STATUS_CONFIG,
                              "name a directory that the worker's user may enter"},
    [SPAWN_STEP_DEATH_SIGNAL] = {"parent-death signal", STATUS_OS, "please report this as a bug",
                                 "prctl"},
    [SPAWN_STEP_PARENT] = {"checking the parent", STATUS_OS, "the supervisor has died"},
    [SPAWN_STEP_PREPARE_SANDBOX] = {"sandbox", STATUS_SANDBOX, NO_SANDBOX},
    [SPAWN_STEP_SANDBOX] = {"sandbox", STATUS_SANDBOX, NO_SANDBOX},
};

struct exec_words {
    int error, status;
    const char *cause_and_remedy;
};

static const struct exec_words exec_words[] = {
    {-ENOENT, STATUS_CONFIG, "it, or the interpreter it names, does not exist; install it"},
    {-ENOTDIR, STATUS_CONFIG, "a part of its path is not a directory; correct the path"},
    {-EACCES, STATUS_CONFIG,
     "the worker's user may not execute it; check the modes of the file and its directories"},
    {-ENOEXEC, STATUS_CONFIG,
     "is not in a format this machine executes; a script needs a first line such as #!/bin/sh"},
    {-EISDIR, STATUS_CONFIG, "its interpreter is a directory; correct the first line"},
    {-ELIBBAD, STATUS_CONFIG,
     "its interpreter is not in a format this machine executes; install the right one"},
    {-ELOOP, STATUS_CONFIG, "too many links or interpreters; correct the file"},
    {-E2BIG, STATUS_CONFIG, "arguments and environment are too large; shorten them"},
    {-EAGAIN, STATUS_OS, "its user has reached the limit of processes; raise RLIMIT_NPROC"},
    {-ETXTBSY, STATUS_OS,
     "a process has the file open for writing; try again when it has closed it"},
};

static int describe_exec(const char *path, int error, struct problem *p)
{
    for (size_t i = 0; i < sizeof(exec_words) / sizeof(exec_words[0]); i++)
        if (exec_words[i].error == error)
            return problem_set(p, exec_words[i].status, error, "program %s: %s", path,
                               exec_words[i].cause_and_remedy);
    return problem_set(p, STATUS_OS, error, "program %s: %s; check that it can be started by hand",
                       path, strerror(-error));
}

/* The call of a step of the sandbox, or its name, which will do. */
static const char *call_of(const char *detail)
{
    static const struct {
        const char *detail, *call;
    } calls[] = {{"mount namespace", "unshare, mount, open_tree, move_mount or mount_setattr"},
                 {"/dev/null", "openat or dup3"},
                 {"capability bounding set", "prctl"},
                 {"no_new_privs", "prctl"},
                 {"Landlock", "landlock_restrict_self"},
                 {"capabilities", "capget or capset"}};

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        if (strcmp(detail, calls[i].detail) == 0)
            return calls[i].call;
    return "seccomp";
}

static int describe_refusal(const char *path, const struct exec_report *report, const char *call,
                            const char *what, struct problem *p)
{
    int status = step_words[report->step].status;

    (void)problem_set(p, status, report->error, "starting %s: %s: " PROBLEM_REFUSED "%s", path,
                      what, call, strerror(-report->error),
                      status == STATUS_SANDBOX ? ", or leave the sandbox out (--sandbox=none)"
                                               : "");
    if (p)
        p->final = true;
    return report->error;
}

static int describe(const char *path, const struct exec_report *report, struct problem *p)
{
    if (report->step == SPAWN_STEP_EXEC)
        return describe_exec(path, report->error, p);
    const struct step_words *words = &step_words[report->step];
    const char *detail = report->detail;
    if (problem_is_refusal(report->error) && words->call)
        return describe_refusal(path, report, words->call, words->name, p);
    if (problem_is_refusal(report->error) && words->status == STATUS_SANDBOX && detail)
        return describe_refusal(path, report, call_of(detail), detail, p);
    /* A chain of filters can have only one listener. */
    const char *remedy =
        detail && report->error == -EBUSY ? "leave out --deny=explain" : words->remedy;
    return problem_set(p, words->status, report->error, "starting %s: %s%s%s: %s; %s", path,
                       words->name, detail ? ": " : "", detail ? detail : "",
                       strerror(-report->error), remedy);
}

static int fail_os(struct problem *p, int error, const char *path, const char *what,
                   const char *remedy)
{
    return problem_set(p, STATUS_OS, error, "starting %s: %s: %s; %s", path, what, strerror(-error),
                       remedy);
}

static const char *remedy_for(int error, const char *otherwise)
{
    return error == -EMFILE || error == -ENFILE
               ? "raise the limit of open files (ulimit -n, fs.file-max)"
               : otherwise;
}

static void add_fd(struct start *s, int source, int target)
{
    s->plan.exec.fds[s->plan.exec.n_fds++] = (struct exec_fd){.source = source, .target = target};
}

/* Above all that the worker keeps. */
static int add_socket(struct start *s, const struct spawn_params *params)
{
    struct hand_over *h = &s->spawn->hand_over;
    int r = hand_over_open(h);

    if (r < 0)
        return r;
    if (params->explain) {
        h->sandbox = params->sandbox;
        h->cb = params->explain;
        h->userdata = params->explain_userdata;
    }
    s->plan.socket = s->plan.exec.fds[s->plan.exec.n_fds - 1].target + 1;
    add_fd(s, h->socket[1], s->plan.socket);
    s->plan.exec.fds[s->plan.exec.n_fds - 1].flags = O_CLOEXEC;
    return 0;
}

static int open_null(struct start *s, const struct spawn_params *params, struct problem *p)
{
    s->null_fd = s->plan.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (s->null_fd >= 0)
        return 0;
    int r = -errno;
    const char *remedy = "create it (mknod -m 666 /dev/null c 1 3), or mount /dev";
    if (r == -EMFILE || r == -ENFILE)
        remedy = "raise the limit of open files (ulimit -n, fs.file-max)";
    else if (r == -EACCES || r == -EPERM)
        remedy = "let the server's user read and write it (chmod 666), on a mount without nodev";
    return fail_os(p, r, params->path, "/dev/null", remedy);
}

static int own_or_null(const struct start *s, int given, int own)
{
    if (given >= 0)
        return given;
    return fcntl(own, F_GETFD) >= 0 ? own : s->null_fd;
}

static int prepare_fds(struct start *s, const struct spawn_params *params)
{
    s->plan.exec.fds = calloc(params->n_socket_fds + 5, sizeof(*s->plan.exec.fds));
    if (!s->plan.exec.fds)
        return -ENOMEM;
    add_fd(s, params->stdin_fd >= 0 ? params->stdin_fd : s->null_fd, 0);
    add_fd(s, own_or_null(s, params->stdout_fd, 1), 1);
    add_fd(s, own_or_null(s, params->stderr_fd, 2), 2);
    for (size_t i = 0; i < params->n_socket_fds; i++)
        add_fd(s, params->socket_fds[i], 3 + (int)i);
    if (params->ready_fd >= 0)
        add_fd(s, params->ready_fd, params->ready_target);
    return add_socket(s, params);
}

/* A user other than root may name itself: that changes nothing. */
static bool must_change(const struct account *account)
{
    return account && (geteuid() == 0 || account->uid != getuid() || account->uid != geteuid() ||
                       account->gid != getgid() || account->gid != getegid());
}

static int check(const struct spawn_params *params)
{
    if (!params->path || !params->argv || !params->environment)
        return -EINVAL;
    if (params->explain && !params->sandbox)
        return -EINVAL;
    if (params->ready_fd >= 0 && params->ready_target < 3 + (int)params->n_socket_fds)
        return -EINVAL;
    /* Any other thread's end would be taken for the supervisor's. */
    return syscall(SYS_gettid) == getpid() ? 0 : -EINVAL;
}

static int prepare(struct start *s, const struct spawn_params *params)
{
    int r = check(params);
    if (r < 0)
        return r;
    s->plan.exec = (struct exec_plan){
        .steps = spawn_steps,
        .n_steps = SPAWN_N_STEPS,
        .path = params->path,
        .argv = params->argv,
        .envp = params->environment->envp,
        .directory = params->working_directory,
        .session = true,
        .death_signal = SIGKILL,
        .changes_credentials = must_change(params->account),
        .has_group = params->group_fd >= 0,
        .group = params->group_fd,
    };
    r = prepare_fds(s, params);
    if (r < 0)
        return r;
    s->plan.params = params;
    memcpy(s->tree.token, params->environment->token, sizeof(s->tree.token));
    return 0;
}

static int run(struct start *s, const struct spawn_params *params, pid_t *ret_pid, int *ret_pidfd,
               struct problem *p)
{
    int r = open_null(s, params, p);

    if (r < 0)
        return r;
    r = prepare(s, params);
    if (r < 0)
        return fail_os(p, r, params->path, "preparing the start",
                       remedy_for(r, "raise the limit of memory"));
    pid_t pid = exec_fork(&s->plan.exec, ret_pidfd);
    if (pid < 0)
        return fail_os(
            p, pid, params->path, "creating the process",
            remedy_for(pid, "raise the limit of processes (ulimit -u, pids.max) or of memory"));
    s->spawn->report = s->plan.exec.report;
    hand_over_close_far(&s->spawn->hand_over);
    *ret_pid = pid;
    return 0;
}

int spawn_begin(struct spawn **ret, const struct spawn_params *params, pid_t *ret_pid,
                int *ret_pidfd, struct guardian_tree *ret_tree, struct problem *ret_problem)
{
    struct start s = {.null_fd = -1, .spawn = calloc(1, sizeof(*s.spawn))};
    struct scan_process process;
    int r;

    if (!s.spawn)
        return problem_set(ret_problem, STATUS_OS, -ENOMEM, "out of memory");
    *s.spawn = (struct spawn){.path = params->path, .hand_over = HAND_OVER_INIT};
    r = run(&s, params, ret_pid, ret_pidfd, ret_problem);
    if (s.null_fd >= 0)
        (void)close(s.null_fd);
    free(s.plan.exec.fds);
    if (r < 0) {
        (void)spawn_free(s.spawn);
        return r;
    }
    if (ret_tree) {
        *ret_tree = s.tree;
        ret_tree->pid = *ret_pid;
        ret_tree->start = scan_read_process(*ret_pid, &process) < 0 ? 0 : process.start;
    }
    *ret = s.spawn;
    return 0;
}

/* ---- until the exec -------------------------------------------------------------------------- */

int spawn_fd(const struct spawn *s)
{
    return s->hand_over.socket[0];
}

int spawn_explainer_fd(const struct spawn *s)
{
    return s->hand_over.explainer ? ait_explainer_fd(s->hand_over.explainer) : -1;
}

static int describe_hand_over(const struct spawn *s, int error, struct problem *p)
{
    if (!problem_is_refusal(error))
        return fail_os(p, error, s->path, "taking the sandbox's listener",
                       remedy_for(error, "raise the limit of memory"));
    (void)problem_set(p, STATUS_SANDBOX, error,
                      "starting %s: taking the sandbox's listener: " PROBLEM_REFUSED
                      ", or leave out --deny=explain",
                      s->path, "seccomp or ioctl", strerror(-error));
    if (p)
        p->final = true;
    return error;
}

int spawn_look(struct spawn *s, struct problem *ret_problem)
{
    int r = hand_over_look(&s->hand_over);

    if (s->report->error < 0)
        return describe(s->path, s->report, ret_problem);
    /* Also if it runs already: nobody would answer what its sandbox asks. */
    return s->hand_over.error < 0 ? describe_hand_over(s, s->hand_over.error, ret_problem) : r;
}

ait_explainer *spawn_take_explainer(struct spawn *s)
{
    ait_explainer *explainer = s->hand_over.explainer;

    s->hand_over.explainer = NULL;
    return explainer;
}

struct spawn *spawn_free(struct spawn *s)
{
    if (!s)
        return NULL;
    hand_over_done(&s->hand_over);
    exec_report_free(s->report);
    free(s);
    return NULL;
}
