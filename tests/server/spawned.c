/* SPDX-License-Identifier: LGPL-2.1-or-later */

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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/access.h"
#include "config/parse.h"
#include "proc.h"
#include "slurp.h"
#include "spawned.h"

#define NOBODY 65534u

extern char **environ;

/* ---- in the worker --------------------------------------------------------------------------- */

static void report_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    char list[512] = "";

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir)) {
            strcat(list, list[0] ? " " : "");
            strcat(list, entry->d_name);
        }
    closedir(dir);
    printf("fds=%s\n", list);
    for (int fd = 0; fd < 32; fd++) {
        struct stat st;
        if (fstat(fd, &st) == 0)
            printf("fd%d=%llu:%llu cloexec=%d\n", fd, (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino, !!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
    }
}

static void report_status(void)
{
    static const char *const wanted[] = {"SigBlk", "SigIgn", "SigCgt",     "Seccomp",
                                         "CapBnd", "CapPrm", "NoNewPrivs", "Groups"};
    char *status, value[512];

    if (proc_read_status(getpid(), &status) < 0)
        return;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (proc_status_value(status, wanted[i], value, sizeof(value)))
            printf("%s=%s\n", wanted[i], value);
    free(status);
}

static void report_process(void)
{
    char cwd[512], oom_score_adj[12] = "";
    int death_signal = -1;
    struct rlimit limit;

    (void)prctl(PR_GET_PDEATHSIG, &death_signal);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    mode_t mask = umask(0);
    (void)read_text("/proc/self/oom_score_adj", oom_score_adj, sizeof(oom_score_adj));
    printf("oom_score_adj=%d\n", atoi(oom_score_adj));
    printf("pid=%d\nparent=%d\nsession=%d\ngroup=%d\nuid=%d\ngid=%d\ncwd=%s\ndeath_signal=%"
           "d\numask=%o\nnice=%d\n"
           "nofile=%llu\n",
           getpid(), getppid(), getsid(0), getpgrp(), getuid(), getgid(), getcwd(cwd, sizeof(cwd)),
           death_signal, mask, getpriority(PRIO_PROCESS, 0), (unsigned long long)limit.rlim_cur);
}

static void report_everything(char **argv)
{
    report_fds();
    report_process();
    report_status();
    for (char **e = environ; *e; e++)
        printf("env.%s\n", *e);
    fflush(stdout);
    _exit(0);
}

static void __attribute__((noreturn)) sleep_for_ever(void)
{
    for (;;)
        pause();
}

static void be_there(char **argv)
{
    printf("%d\n", getpid());
    fflush(stdout);
    sleep_for_ever();
}

/* Every kind of descendant that is easily lost; each writes its pid, then "ready" follows. argv[2]
 * "end": the leader itself then ends. */
static void __attribute__((noreturn)) say_and_sleep(const char *kind)
{
    printf("%s=%d\n", kind, getpid());
    fflush(stdout);
    sleep_for_ever();
}

static void fork_child(void)
{
    if (fork() == 0)
        say_and_sleep("child");
}

static void fork_group(void)
{
    if (fork() == 0) {
        setpgid(0, 0);
        say_and_sleep("group");
    }
}

static void fork_session(void)
{
    if (fork() == 0) {
        setsid();
        say_and_sleep("session");
    }
}

static void fork_daemon(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0)
            say_and_sleep("daemon");
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
}

static void be_a_family(char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    fork_child();
    fork_group();
    fork_session();
    fork_daemon();
    if (argv[2] && strcmp(argv[2], "end") == 0)
        _exit(0);
    sleep_for_ever();
}

static const struct {
    const char *name;
    void (*run)(char **argv);
} roles[] = {
    {"report", report_everything},
    {"there", be_there},
    {"family", be_a_family},
};

void spawned_main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(argv[1], roles[i].name) == 0) {
            roles[i].run(argv);
            _exit(0);
        }
}

/* ---- in the test ----------------------------------------------------------------------------- */

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "spawned: %s: %m\n", what);
    abort();
}

void spawned_init(struct spawned *s, const char *role,
                  const struct spawn_environment_params *environment)
{
    struct spawn_environment_params base = {.base = environ, .name = "test", .workers = 1};
    static char self[512];

    *s = (struct spawned){.params = SPAWN_PARAMS_INIT, .pid = -1, .pidfd = -1, .output = -1};
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    must(n > 0, "readlink");
    self[n] = '\0';
    must(spawn_environment_new(environment ? environment : &base, &s->environment) == 0,
         "environment");
    s->argv[0] = self;
    s->argv[1] = role;
    s->params.path = self;
    s->params.argv = (char *const *)s->argv;
    s->params.environment = s->environment;
}

int spawn_and_wait(const struct spawn_params *params, pid_t *ret_pid, int *ret_pidfd,
                   struct guardian_tree *ret_tree, ait_explainer **ret_explainer,
                   struct problem *ret_problem)
{
    struct spawn *spawn = NULL;
    pid_t pid;
    int pidfd, r = spawn_begin(&spawn, params, &pid, &pidfd, ret_tree, ret_problem);

    if (r < 0)
        return r;
    while ((r = spawn_look(spawn, ret_problem)) == 0) {
        struct pollfd fds[] = {{.fd = spawn_fd(spawn), .events = POLLIN},
                               {.fd = spawn_explainer_fd(spawn), .events = POLLIN}};

        if (poll(fds, 2, 20) == 0)
            (void)kill(pid, SIGCONT);
    }
    if (r < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        (void)close(pidfd);
    } else {
        *ret_pid = pid;
        *ret_pidfd = pidfd;
        if (ret_explainer)
            *ret_explainer = spawn_take_explainer(spawn);
    }
    (void)spawn_free(spawn);
    return r < 0 ? r : 0;
}

int spawned_start(struct spawned *s)
{
    int out[2];
    must(pipe2(out, O_CLOEXEC) == 0, "pipe");
    s->params.argv = (char *const *)s->argv;
    s->params.stdout_fd = out[1];
    int r = spawn_and_wait(&s->params, &s->pid, &s->pidfd, &s->tree, s->ret_explainer, &s->problem);
    (void)close(out[1]);
    if (r < 0)
        (void)close(out[0]);
    else
        s->output = out[0];
    return r;
}

int spawned_finish(struct spawned *s, char **ret_text)
{
    size_t size = 0, room = 65536;
    char *text = malloc(room);
    siginfo_t info = {0};
    ssize_t n;

    while ((n = read(s->output, text + size, room - 1 - size)) > 0)
        size += (size_t)n;
    text[size] = '\0';
    (void)close(s->output);
    s->output = -1;
    must(waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) == 0, "waitid");
    (void)close(s->pidfd);
    s->pidfd = s->pid = -1;
    *ret_text = text;
    return info.si_status;
}

void spawned_read_line(struct spawned *s, char *line, size_t size)
{
    size_t n = 0;
    struct pollfd p = {.fd = s->output, .events = POLLIN};

    while (n + 1 < size) {
        must(poll(&p, 1, 10000) == 1, "no line within 10 s");
        must(read(s->output, line + n, 1) == 1, "read");
        if (line[n] == '\n')
            break;
        n++;
    }
    line[n] = '\0';
}

void spawned_done(struct spawned *s)
{
    if (s->pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
        (void)waitid(P_PIDFD, (id_t)s->pidfd, &(siginfo_t){0}, WEXITED);
        (void)close(s->pidfd);
    }
    if (s->output >= 0)
        (void)close(s->output);
    s->environment = spawn_environment_free(s->environment);
    s->pidfd = s->output = s->pid = -1;
}

const char *spawned_why_not_as_nobody(void)
{
    static gid_t group = NOBODY;
    static const struct account nobody = {
        .uid = NOBODY, .gid = NOBODY, .groups = &group, .n_groups = 1};
    struct problem problem;
    char self[512];

    if (geteuid() != 0)
        return "needs root to change the user";
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    must(n > 0, "readlink");
    self[n] = '\0';
    return access_check(&nobody, NULL, self, &problem) < 0
               ? "another user cannot reach this program here"
               : NULL;
}

const char *spawned_value(const char *text, const char *name)
{
    static char value[4096];
    size_t length = strlen(name);

    for (const char *line = text; *line;
         line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n'))
        if (strncmp(line, name, length) == 0 && line[length] == '=') {
            (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + length + 1, "\n"),
                           line + length + 1);
            return value;
        }
    return NULL;
}

size_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

size_t count_children(void)
{
    char path[64];
    int pid;
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%d", &pid) == 1)
        n++;
    if (f)
        fclose(f);
    return n;
}

bool has_ended_within(int pidfd, int milliseconds)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, milliseconds) == 1;
}
