/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "process-helpers.h"
#include "process-roles.h"

char self[4096];

/* ---- roles ----------------------------------------------------------------------------------- */

static int role_show(char **argv)
{
    char cwd[4096];

    (void)printf("%s|%s|%s\n", argv[2] ? argv[2] : "-", getenv("SHOWN") ? getenv("SHOWN") : "-",
                 getcwd(cwd, sizeof(cwd)) ? cwd : "?");
    return 0;
}

static int role_cat(char **argv)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(0, buf, sizeof(buf))) > 0)
        if (write(1, buf, (size_t)n) != n)
            return 1;
    return 0;
}

static int role_both(char **argv)
{
    (void)!write(1, "out", 3);
    (void)!write(2, "err", 3);
    return 3;
}

/* Which of the fds from 3 on are open. */
static int role_fds(char **argv)
{
    for (int fd = 3; fd < 100; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            (void)printf("%d ", fd);
    return 0;
}

static int role_signals(char **argv)
{
    struct sigaction pipe, usr1;
    sigset_t mask;

    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    (void)sigaction(SIGPIPE, NULL, &pipe);
    (void)sigaction(SIGUSR1, NULL, &usr1);
    (void)printf("%d%d%d%d", sigismember(&mask, SIGTERM), sigismember(&mask, SIGUSR2),
                 pipe.sa_handler == SIG_IGN, usr1.sa_handler == SIG_IGN);
    return 0;
}

static int hold(void)
{
    if (write(1, "r", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static int role_hold(char **argv)
{
    return hold();
}

static int role_ignore_term(char **argv)
{
    (void)signal(SIGTERM, SIG_IGN);
    return hold();
}

static int role_exit_on_term(char **argv)
{
    sigset_t set;
    int signo;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    if (write(1, "r", 1) != 1)
        return 1;
    (void)sigwait(&set, &signo);
    /* Not by exit(): the SIGCONT that follows would take the SIGSTOP with which LeakSanitizer stops
     * us, and it would wait for ever. */
    _exit(7);
}

/* Somebody of the same group who holds on to stdout. */
static int role_family(char **argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)signal(SIGTERM, SIG_IGN);
        return hold();
    }
    return argv[2] ? 5 : hold();
}

static int role_flood(char **argv)
{
    static const char zeros[65536];

    while (write(1, zeros, sizeof(zeros)) > 0)
        ;
    return 0;
}

static const struct {
    const char *name;
    int (*run)(char **argv);
} roles[] = {
    {"show", role_show},
    {"cat", role_cat},
    {"both", role_both},
    {"fds", role_fds},
    {"signals", role_signals},
    {"hold", role_hold},
    {"ignore-term", role_ignore_term},
    {"exit-on-term", role_exit_on_term},
    {"family", role_family},
    {"flood", role_flood},
};

static int play(char **argv)
{
    for (size_t i = 0; i < ELEMENTS(roles); i++)
        if (strcmp(roles[i].name, argv[1]) == 0)
            return roles[i].run(argv);
    return 99;
}

bool roles_begin(int argc, char **argv, int *ret_status)
{
    ssize_t n;

    if (argc > 1) {
        *ret_status = play(argv);
        return false;
    }
    if (!has_pidfds()) {
        *ret_status = 77;
        return false;
    }
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0) {
        *ret_status = 1;
        return false;
    }
    self[n] = '\0';
    (void)alarm(300);
    return true;
}

/* ---- playing them ---------------------------------------------------------------------------- */

int run_role(ait_process_result *ret, char *const argv[], const char *input,
             const ait_spawn_options *options)
{
    *ret = (ait_process_result){.size = sizeof(*ret)};
    return ait_run_process(ret, argv, input, input ? strlen(input) : 0, options);
}

ait_child *start_role(const char *role, unsigned flags)
{
    ait_child *c = NULL;
    char buf[1];

    CHECK_EQ(ait_spawn(&c, ROLE((char *)role),
                       AIT_SPAWN_OPTIONS(.flags = flags | AIT_SPAWN_STDOUT_PIPE)),
             0);
    CHECK_EQ(ait_read(ait_child_stdio(c, 1), buf, 1), 1);
    return c;
}
