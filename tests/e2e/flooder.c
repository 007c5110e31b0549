/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker that means harm, in slot 0; in the others it does nothing. All say READY=1.
 *
 *     flooder notify THREADS TEXT   sends notifications for ever, as fast as the kernel lets it
 *     flooder empty THREADS         the same, of empty lines
 *     flooder orphans N             leaves N orphans that sleep, then short-lived ones for ever
 *     flooder deny THREADS          makes calls for ever that the sandbox denies
 *     flooder print                 prints lines for ever, on both outputs
 *     flooder speak TEXT            prints TEXT, in which \xNN is a byte, and names itself like
 * that
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_THREADS_MAX 16

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char text[4096];
static size_t size;

static void notify(int fd, const char *what, size_t n)
{
    (void)!sendto(fd, what, n, 0, (struct sockaddr *)&address, sizeof(address));
}

static int open_socket(void)
{
    strncpy(address.sun_path, getenv("NOTIFY_SOCKET"), sizeof(address.sun_path) - 1);
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static void *send_for_ever(void *unused)
{
    int fd = open_socket();

    for (;;)
        notify(fd, text, size);
    return unused;
}

static void flood(int n_threads, void *(*fn)(void *))
{
    pthread_t thread;

    for (int i = 1; i < n_threads && i < N_THREADS_MAX; i++)
        (void)pthread_create(&thread, NULL, fn, NULL);
    (void)fn(NULL);
}

/* Without a sandbox it is not possible either. */
static void *call_for_ever(void *unused)
{
    for (;;)
        (void)syscall(SYS_mount, NULL, NULL, NULL, 0, NULL);
    return unused;
}

/* A child of the child loses its parent at once. */
static void leave(int sleeps)
{
    if (fork() == 0) {
        if (fork() == 0) {
            (void)setsid();
            (void)close(STDOUT_FILENO);
            (void)close(STDERR_FILENO);
            while (sleeps)
                (void)pause();
        }
        _exit(0);
    }
    (void)wait(NULL);
}

static void flood_orphans(int n)
{
    for (int i = 0; i < n; i++)
        leave(1);
    printf("%d orphans\n", n);
    fflush(stdout);
    for (;;)
        leave(0);
}

static void flood_output(void)
{
    static char block[16000];

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = i % 80 == 79 ? '\n' : 'f';
    for (;;) {
        (void)!write(STDOUT_FILENO, block, sizeof(block));
        (void)!write(STDERR_FILENO, block, sizeof(block));
    }
}

static char *unescape(char *s)
{
    char *out = s, *in = s;

    while (*in)
        if (strncmp(in, "\\x", 2) == 0) {
            const char hex[] = {in[2], in[3], 0};

            *out++ = (char)strtol(hex, NULL, 16);
            in += 4;
        } else {
            *out++ = *in++;
        }
    *out = '\0';
    return s;
}

static void speak(const char *what)
{
    char status[4096];
    int fd = open_socket();

    (void)prctl(PR_SET_NAME, what);
    (void)snprintf(status, sizeof(status), "STATUS=%s", what);
    notify(fd, status, strlen(status));
    puts(what);
    fputs(what, stderr);
    fputs("\n", stderr);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int n = argc > 2 ? atoi(argv[2]) : 0;

    notify(open_socket(), "READY=1", 7);
    if (getenv("AIOTOOLS_SD_SLOT")[0] != '0')
        while (pause() <= 0)
            ;
    size = argc > 3 ? strlen(strncpy(text, argv[3], sizeof(text) - 1)) : sizeof(text);
    if (argc <= 3)
        memset(text, '\n', sizeof(text));
    if (strcmp(what, "notify") == 0 || strcmp(what, "empty") == 0)
        flood(n, send_for_ever);
    if (strcmp(what, "deny") == 0)
        flood(n, call_for_ever);
    if (strcmp(what, "orphans") == 0)
        flood_orphans(n);
    if (strcmp(what, "print") == 0)
        flood_output();
    if (strcmp(what, "speak") == 0)
        speak(unescape(argv[2]));
    for (;;)
        (void)pause();
}
