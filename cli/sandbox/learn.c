/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aiotools-sd sandbox learn: runs a program, allows everything, and writes the policy that it
 * needed.
 *
 * We are the parent, the holder of the listener and, as subreaper, the parent of all processes that
 * the program leaves behind. When the listener is closed, calls inside return ENOSYS, so we stay
 * until the last process has ended.
 */
#include "subcommands.h"

#include <aiotools-sd/aiotools-sd.h>
#include <aiotools-sd/sandbox.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/parse.h"
#include "config/program.h"
#include "output.h"
#include "raw.h"
#include "worker/hand-over.h"

#define KILL_AFTER_USEC (5 * AIT_USEC_PER_SEC)
#define KILL_AGAIN_USEC (AIT_USEC_PER_SEC / 5)
#define ANSWERS_A_TURN  64
#define TITLE_SIZE      512

struct learn_config {
    char *output; /* NULL: standard output */
    bool by_count;
    uint64_t timeout; /* in microseconds; 0: none */
};

struct learner {
    ait_sandbox *sandbox;
    ait_explainer *explainer;
    const char *name;
    uint64_t timeout; /* 0: none */
    sigset_t signals;
    pid_t program;
    bool ended;       /* the program itself */
    int status;       /* of waitpid() */
    ait_event *asked; /* set: they have been asked to end */
    struct exec_report failed;
};

static int take_timeout(const struct option_spec *spec, const char *text, void *field,
                        const char **ret_why)
{
    uint64_t usec;
    int r = parse_time(text, &usec, ret_why);

    if (r < 0)
        return r;
    if (usec == 0) {
        *ret_why = "must be above 0; write 30s, or leave the option out";
        return -EINVAL;
    }
    *(uint64_t *)field = usec == PARSE_INFINITY ? 0 : usec;
    return 0;
}

#define FIELD(member) offsetof(struct learn_config, member)

static const struct option_spec learn_options[] = {
    {"output", 'o', "FILE", option_string, FIELD(output),
     "write the policy to FILE, completely or not at all (standard output)", .kind = OPTION_PATH},
    {"by-count", 0, NULL, option_flag, FIELD(by_count),
     "list the most used calls first, instead of group by group"},
    {"timeout", 0, "TIME", take_timeout, FIELD(timeout),
     "stop PROGRAM after TIME, as SIGTERM does"},
    {"help", 'h', NULL, option_stop, 0, "show this help"},
    {0},
};

/* ---- its start ------------------------------------------------------------------------------- */

#define LISTEN_PID "LISTEN_PID="

extern char **environ;

struct start {
    struct exec_plan exec; /* first */
    struct hand_over hand_over;
    const ait_sandbox *sandbox;
    int socket;  /* the child's */
    char **envp; /* NULL: ours */
    char listen_pid[sizeof(LISTEN_PID) + 11];
};

RAW_CODE static int write_pid(struct exec_plan *plan)
{
    struct start *start = (struct start *)plan;

    raw_write_number(start->listen_pid + sizeof(LISTEN_PID) - 1, (int)raw_call(SYS_getpid));
    return 0;
}

RAW_CODE static int prepare_sandbox(struct exec_plan *plan)
{
    return ait_sandbox_prepare_child(((struct start *)plan)->sandbox, &plan->report->detail);
}

RAW_CODE static int enter_sandbox(struct exec_plan *plan)
{
    const struct start *start = (struct start *)plan;

    return ait_sandbox_enter_child(start->sandbox, start->socket, &plan->report->detail);
}

RAW_CODE static int execute(struct exec_plan *plan)
{
    return ait_sandbox_execve(((struct start *)plan)->sandbox, plan->path, plan->argv, plan->envp);
}

static const exec_step steps[] = {
    exec_reset_signals,   exec_set_death_signal, exec_check_parent, write_pid,
    exec_unblock_signals, prepare_sandbox,       enter_sandbox,     execute,
};

#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

static int take_listener(struct exec_plan *plan, pid_t pid)
{
    return hand_over_take(&((struct start *)plan)->hand_over, plan, pid);
}

/* Sockets that were passed to us are for the program. */
static int pass_sockets_on(struct start *start)
{
    const char *pid = getenv("LISTEN_PID");
    size_t n = 0;

    start->exec.envp = environ;
    if (!pid || strtol(pid, NULL, 10) != getpid())
        return 0;
    while (environ[n])
        n++;
    start->envp = calloc(n + 1, sizeof(*start->envp));
    if (!start->envp)
        return -ENOMEM;
    (void)strcpy(start->listen_pid, LISTEN_PID);
    for (size_t i = 0; i < n; i++)
        start->envp[i] = strncmp(environ[i], LISTEN_PID, strlen(LISTEN_PID)) == 0
                             ? start->listen_pid
                             : environ[i];
    start->exec.envp = start->envp;
    return 0;
}

static int spawn(struct learner *l, struct start *start)
{
    int pidfd, r = pass_sockets_on(start);

    if (r >= 0)
        r = hand_over_open(&start->hand_over);
    if (r < 0)
        return r;
    start->socket = start->hand_over.socket[1];
    l->program = exec_start(&start->exec, &pidfd);
    l->failed = start->exec.failed;
    if (l->program < 0)
        return l->program;
    (void)close(pidfd);
    l->explainer = start->hand_over.explainer;
    start->hand_over.explainer = NULL;
    return l->explainer ? 0 : -ECONNRESET;
}

static int start_program(struct learner *l, const char *path, char **argv, const sigset_t *mask)
{
    struct start start = {
        .exec = {.steps = steps,
                 .n_steps = N_STEPS,
                 .path = path,
                 .argv = argv,
                 .keep_ignored = UINT64_MAX,
                 .inherit_fds = true,
                 .death_signal = SIGKILL,
                 .meanwhile = take_listener},
        .hand_over = HAND_OVER_INIT,
        .sandbox = l->sandbox,
    };
    int r;

    (void)memcpy(&start.exec.blocked, mask, sizeof(start.exec.blocked));
    start.hand_over.sandbox = l->sandbox;
    r = spawn(l, &start);
    hand_over_done(&start.hand_over);
    free(start.envp);
    return r;
}

/* ---- what happens while it runs -------------------------------------------------------------- */

/* Processes that were left behind are our children. */
static void signal_children(int signo)
{
    FILE *children = fopen("/proc/thread-self/children", "re");
    int pid;

    if (!children)
        return;
    while (fscanf(children, "%d", &pid) == 1)
        (void)kill(pid, signo);
    (void)fclose(children);
}

static void pass_on(struct learner *l, int signo)
{
    if (!l->ended) {
        (void)kill(l->program, signo);
        return;
    }
    signal_children(signo);
    (void)ait_event_set(l->asked);
}

/* A task. First the word, then the deed. */
static int end_them(void *userdata)
{
    struct learner *l = userdata;
    int r;

    AIT_MOVE_ON_AFTER(r, l->timeout > 0 ? l->timeout : AIT_USEC_INFINITY)
        r = ait_event_wait(l->asked);
    if (r < 0)
        return r;
    if (!ait_event_is_set(l->asked))
        signal_children(SIGTERM);
    (void)ait_event_set(l->asked);
    for (r = ait_sleep(KILL_AFTER_USEC); r >= 0; r = ait_sleep(KILL_AGAIN_USEC))
        signal_children(SIGKILL);
    return r;
}

/* A task: until all have ended, or it is cancelled. */
static int answer(void *userdata)
{
    struct learner *l = userdata;
    int r = 0;

    while (r >= 0) {
        r = ait_poll(ait_explainer_fd(l->explainer), POLLIN);
        for (int i = 0; i < ANSWERS_A_TURN && r > 0; i++)
            r = ait_explainer_process(l->explainer);
        if (r > 0)
            r = ait_yield();
    }
    return r == -EPIPE ? 0 : r;
}

/* Whether there are any left. */
static bool reap(struct learner *l)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == l->program) {
            l->ended = true;
            l->status = status;
        }
    return pid == 0 || errno != ECHILD;
}

static void tell_of_those_left(const struct learner *l)
{
    fprintf(stderr,
            "aiotools-sd: %s has ended; learning continues until the processes that it left behind "
            "end, or a signal arrives\n",
            l->name);
}

/* The terminal sends its signals to the program, too. */
static int serve_signals(struct learner *l, ait_signals *signals)
{
    struct signalfd_siginfo info;
    bool reported = false;
    int r = 0;

    while (r >= 0 && reap(l)) {
        if (l->ended && !reported)
            tell_of_those_left(l);
        reported = l->ended;
        r = ait_signals_next(signals, &info);
        if (r > 0 && r != SIGCHLD && info.ssi_code != SI_KERNEL)
            pass_on(l, r);
    }
    return r;
}

/*
 * The first task: runs until no process is left. If calls cannot be answered any more, the program
 * is ended.
 */
static int serve(void *userdata)
{
    struct learner *l = userdata;
    ait_signals *signals AIT_CLEANUP(ait_signals_closep) = NULL;
    ait_event *asked AIT_CLEANUP(ait_event_unrefp) = NULL;
    AIT_SCOPE(scope);
    int r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);

    if (r >= 0)
        r = ait_signals_open(&signals, &l->signals);
    if (r >= 0)
        r = ait_event_new(&asked);
    l->asked = asked;
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, answer, l, NULL);
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, end_them, l, NULL);
    return r < 0 ? r : serve_signals(l, signals);
}

/* ---- the result ------------------------------------------------------------------------------ */

struct sum {
    unsigned kinds;
    uint64_t calls;
};

static int add(int number, const char *name, ait_policy_action action, uint64_t count,
               void *userdata)
{
    struct sum *sum = userdata;

    sum->kinds++;
    sum->calls += count;
    return 0;
}

static void make_title(char **argv, char title[TITLE_SIZE])
{
    size_t n = 0;

    title[0] = '\0';
    for (; *argv && n < TITLE_SIZE - 1; argv++)
        n += (size_t)snprintf(title + n, TITLE_SIZE - n, "%s%s", n ? " " : "", *argv);
}

static int write_policy(const struct learner *l, const struct learn_config *config, char **argv)
{
    struct sum sum = {0};
    struct output output;
    struct problem p;
    char title[TITLE_SIZE];

    if (output_open(&output, config->output, &p) < 0)
        return report(&p);
    make_title(argv, title);
    int r = ait_explainer_write_policy(l->explainer, output.stream, title,
                                       config->by_count ? AIT_LEARN_BY_COUNT : 0);
    if (r == -ENOMEM)
        (void)problem_set(&p, STATUS_OS, r, "out of memory");
    else
        r = output_commit(&output, &p);
    output_done(&output);
    if (r < 0)
        return report(&p);
    (void)ait_explainer_foreach_count(l->explainer, add, &sum);
    fprintf(stderr, "aiotools-sd: learned from %" PRIu64 " calls of %u kinds%s%s\n", sum.calls,
            sum.kinds, config->output ? ", written to " : "", config->output ? config->output : "");
    return 0;
}

static int program_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int report_failure(const struct learner *l, int error)
{
    struct problem p;

    if (l->failed.detail)
        (void)problem_set(&p, STATUS_SANDBOX, error, "sandbox learn: %s: %s", l->failed.detail,
                          strerror(-error));
    else if (l->failed.error < 0 && l->failed.step == N_STEPS - 1)
        (void)problem_set(&p, STATUS_CONFIG, error, "%s: cannot be executed: %s", l->name,
                          strerror(-error));
    else
        (void)problem_set(&p, STATUS_OS, error, "%s: cannot be started: %s", l->name,
                          strerror(-error));
    return report(&p);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int make_sandbox(ait_sandbox **ret)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    struct problem p;
    int r = ait_policy_from_preset(&policy, "service", &problem);

    if (r >= 0)
        r = ait_sandbox_new(
            ret,
            AIT_SANDBOX_OPTIONS(.policy = policy, .deny = AIT_SANDBOX_DENY_LEARN,
                                .flags = AIT_SANDBOX_KEEP_CAPABILITIES | AIT_SANDBOX_EXEC),
            &problem);
    if (r >= 0)
        return 0;
    (void)problem_set(&p, STATUS_SANDBOX, r, "sandbox learn: %s",
                      problem.message[0] ? problem.message : strerror(-r));
    return report(&p);
}

/* Signals that mean us mean the program; those that stop and continue stop and continue both. */
static int take_signals(struct learner *l, sigset_t *ret_before)
{
    static const int passed[] = {SIGCHLD, SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                 SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};

    (void)sigemptyset(&l->signals);
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
        (void)sigaddset(&l->signals, passed[i]);
    (void)sigprocmask(SIG_BLOCK, &l->signals, ret_before);
    return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
}

static int learn(struct learner *l, const struct learn_config *config, const char *path,
                 char **argv)
{
    sigset_t before;
    int r = take_signals(l, &before);

    if (r >= 0)
        r = start_program(l, path, argv, &before);
    if (r >= 0)
        r = ait_run(serve, l, AIT_RUN_KEEP_SIGNALS);
    if (r < 0)
        return report_failure(l, r);
    int status = write_policy(l, config, argv);
    return status != 0 ? status : program_status(l->status);
}

static int learn_with(const struct learn_config *config, const char *path, char **argv)
{
    struct learner l = {.name = argv[0], .timeout = config->timeout, .program = -1};
    int status = make_sandbox(&l.sandbox);

    if (status == 0)
        status = learn(&l, config, path, argv);
    ait_explainer_free(l.explainer);
    ait_sandbox_unref(l.sandbox);
    return status;
}

static int run_learn(const struct learn_config *config, char **argv)
{
    const char *search = getenv("PATH");
    char *path = NULL;
    struct problem p;

    if (!argv[0]) {
        (void)problem_set(&p, STATUS_USAGE, -EINVAL,
                          "no program is given; write -- PROGRAM [ARG...]");
        return report(&p);
    }
    if (output_check(config->output, &p) < 0 ||
        spawn_resolve_program(argv[0], search ? search : "/usr/bin:/bin", NULL, &path, &p) < 0)
        return report(&p);
    int status = learn_with(config, path, argv);
    free(path);
    return status;
}

static int learn_run(const struct command *command, int argc, char **argv)
{
    struct learn_config config = {0};
    const struct option_spec *stopped;
    struct problem p;
    int first, status;

    int r = options_parse(command->options, &config, argc, argv, &first, &stopped, &p);
    if (r < 0)
        status = report(&p);
    else if (r == OPTION_STOP)
        status = print_command_help(command);
    else
        status = run_learn(&config, argv + first);
    free(config.output);
    return status;
}

const struct command learn_command = {
    .name = "learn",
    .parent = "sandbox",
    .arguments = "[OPTION...] [--] PROGRAM [ARG...]",
    .summary = "run PROGRAM and write the policy that it needs",
    .options = learn_options,
    .run = learn_run,
    .note = "The exit status is that of PROGRAM.",
};
