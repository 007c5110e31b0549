// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cling: a worker that leaves processes behind which bear no sign of it: another session, an empty
 * environment, and no ancestor but who adopts orphans.
 *
 *     cling orphan FILE    one that appends its pid to FILE, and answers on the listening socket
 *     cling chains N       so many that fork and exit for ever; for a pid namespace of its own
 *     cling moved FILE     as orphan, in the control group of the server's parent; needs root
 *
 * It says "go" when they are there, and then waits for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTENER 3

/* A child of nobody. Returns in it. */
static bool detach(void)
{
    if (fork() != 0) {
        (void)wait(NULL);
        return false;
    }
    (void)setsid();
    if (fork() != 0)
        _exit(0);
    return true;
}

static void append_pid(const char *file)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0666);

    if (fd < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        _exit(1);
    (void)close(fd);
}

/* After the exec that has cleared its environment. Ignores what asks it to stop. */
static void __attribute__((noreturn)) serve(const char *file)
{
    (void)signal(SIGTERM, SIG_IGN);
    append_pid(file);
    for (;;) {
        int fd = accept(LISTENER, NULL, NULL);

        if (fd < 0) {
            (void)sleep(1000); /* no listener */
            continue;
        }
        (void)dprintf(fd, "orphan %d\n", (int)getpid());
        (void)close(fd);
    }
}

/* It holds none of our pipes. */
static void leave_orphan(const char *program, const char *file)
{
    static char *const none[] = {NULL};
    char *const argv[] = {(char *)program, (char *)"serve", (char *)file, NULL};

    if (!detach())
        return;
    int null = open("/dev/null", O_RDWR);
    (void)dup2(null, STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO);
    (void)execve(program, argv, none);
    _exit(1);
}

static void __attribute__((noreturn)) be_a_chain(void)
{
    for (;;) {
        pid_t pid = fork();

        if (pid != 0)
            _exit(pid < 0); /* where there is no room, the chain has ended */
        (void)setsid();
    }
}

static void leave_chains(int n)
{
    for (int i = 0; i < n; i++)
        if (detach())
            be_a_chain();
}

/* The groups of the server lie in that of whoever has started it. */
static int leave_group(void)
{
    char line[512], path[1024];
    FILE *file = fopen("/proc/self/cgroup", "re");

    while (file && fgets(line, sizeof(line), file)) {
        char *end = strncmp(line, "0::", 3) == 0 ? strstr(line, "/aiotools-sd.") : NULL;

        if (!end)
            continue;
        *end = '\0';
        for (int i = 0; i < 2; i++) {
            (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s%s/cgroup.procs",
                           i == 0 ? "/unified" : "", line + 3);
            int fd = open(path, O_WRONLY | O_CLOEXEC);
            if (fd >= 0)
                return write(fd, "0", 1) < 0 ? -errno : 0;
        }
    }
    return -ENOENT;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    if (strcmp(argv[1], "serve") == 0)
        serve(argv[2]);
    if (strcmp(argv[1], "moved") == 0 && leave_group() < 0)
        return 71;
    if (strcmp(argv[1], "chains") == 0)
        leave_chains(atoi(argv[2]));
    else
        leave_orphan(argv[0], argv[2]);
    (void)puts("go");
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}
