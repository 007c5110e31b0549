/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker that starts what does not want to end with it: `strayer KIND N [OPTION...]`. Each of N
 * processes is in a session of its own, has lost its parent, has an empty environment, and keeps
 * the worker's sockets. Its command line begins with "stray PID", with the pid of the worker. KIND:
 *
 *   sleep    it accepts connections on descriptor 3, and answers with its pid
 *   chain    it forks and ends, for ever; each generation in a session of its own
 *
 * OPTION: `stubborn` ignores TERM; `exit` ends the worker as soon as the others are there.
 *
 * A chain eats the machine: give it a limit of processes.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void __attribute__((noreturn)) be_a_chain(void)
{
    for (;;) {
        (void)setsid();
        pid_t pid = fork();
        if (pid > 0)
            _exit(0);
        if (pid < 0)
            (void)usleep(100);
    }
}

static void __attribute__((noreturn)) be_a_sleeper(void)
{
    for (;;) {
        int fd = accept(3, NULL, NULL);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            pause();
        if (fd >= 0) {
            (void)dprintf(fd, "stray %d\n", (int)getpid());
            (void)close(fd);
        }
    }
}

static void stray(char *self, char **argv, bool stubborn)
{
    char pid[16], *nothing[] = {NULL};
    int null;

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (fork() != 0)
        return;
    (void)setsid();
    if (fork() != 0)
        _exit(0);
    if (stubborn)
        (void)signal(SIGTERM, SIG_IGN);
    /* The outputs are not kept open. */
    null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(null, fd);
    (void)execve(self, (char *[]){"stray", pid, argv[1], NULL}, nothing);
    _exit(1);
}

static bool has(char **argv, const char *word)
{
    for (; *argv; argv++)
        if (strcmp(*argv, word) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[0], "stray") == 0) {
        if (strcmp(argv[2], "chain") == 0)
            be_a_chain();
        be_a_sleeper();
    }
    if (argc < 3)
        return 64;
    for (int i = 0; i < atoi(argv[2]); i++)
        stray("/proc/self/exe", argv, has(argv, "stubborn"));
    printf("started %s of %d\n", argv[1], (int)getpid());
    (void)fflush(stdout);
    for (;;) {
        if (has(argv, "exit"))
            return 0;
        pause();
    }
}
