/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Learns what a worker does, in two processes, so that the worker stays what the supervisor
 * started: its pid, its sockets, its place.
 *
 *     learn hold SOCKET FILE              waits for one worker's listener, answers until its last
 *                                         process has ended, writes the policy
 *     learn enter SOCKET PROGRAM ARG...   is the worker: hands its listener over, executes PROGRAM
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <aiotools-sd/policy.h>
#include <aiotools-sd/sandbox.h>

extern char **environ;

static int fail(const char *what, int error)
{
    (void)fprintf(stderr, "learn: %s: %s\n", what, strerror(-error));
    return 1;
}

static ait_sandbox *make_sandbox(void)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox *sandbox = NULL;
    int r = ait_sandbox_new(
        &sandbox,
        AIT_SANDBOX_OPTIONS(.deny = AIT_SANDBOX_DENY_LEARN,
                            .flags = AIT_SANDBOX_KEEP_CAPABILITIES | AIT_SANDBOX_EXEC),
        &problem);

    if (r < 0)
        (void)fail(problem.message, r);
    return sandbox;
}

static int make_socket(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static int answer(ait_explainer *e)
{
    struct pollfd p = {.fd = ait_explainer_fd(e), .events = POLLIN};
    int r;

    do {
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return -errno;
        while ((r = ait_explainer_process(e)) > 0)
            ;
    } while (r == 0);
    return r == -EPIPE ? 0 : r;
}

/* Complete or absent: the test waits for the file. */
static int write_policy(const ait_explainer *e, const char *path)
{
    char new[4096];

    (void)snprintf(new, sizeof(new), "%s.new", path);
    FILE *out = fopen(new, "we");
    if (!out)
        return -errno;
    int r = ait_explainer_write_policy(e, out, path, 0);
    if (fclose(out) == EOF && r >= 0)
        r = -errno;
    return r >= 0 && rename(new, path) < 0 ? -errno : r;
}

static int hold(const char *path, const char *file)
{
    struct sockaddr_un address;
    int fd = make_socket(path, &address), peer, r;
    ait_explainer *e = NULL;

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, 0777) < 0 || listen(fd, 1) < 0)
        return fail(path, -errno);
    ait_sandbox *sandbox = make_sandbox();
    if (!sandbox)
        return 1;
    peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer < 0)
        return fail("accept", -errno);
    r = ait_explainer_new(&e, sandbox, peer, NULL, NULL);
    if (r >= 0)
        r = answer(e);
    if (r >= 0)
        r = write_policy(e, file);
    ait_explainer_free(e);
    ait_sandbox_unref(sandbox);
    return r < 0 ? fail(file, r) : 0;
}

static int enter(const char *path, char **argv)
{
    struct sockaddr_un address;
    const char *step = "";
    int fd = make_socket(path, &address);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return fail(path, -errno);
    ait_sandbox *sandbox = make_sandbox();
    if (!sandbox)
        return 1;
    int r = ait_sandbox_prepare_child(sandbox, &step);
    if (r >= 0)
        r = ait_sandbox_enter_child(sandbox, fd, &step);
    if (r < 0)
        return fail(step, r);
    return fail(argv[0], ait_sandbox_execve(sandbox, argv[0], argv, environ));
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "hold") == 0)
        return hold(argv[2], argv[3]);
    if (argc > 3 && strcmp(argv[1], "enter") == 0)
        return enter(argv[2], argv + 3);
    (void)fprintf(stderr, "usage: learn hold SOCKET FILE | learn enter SOCKET PROGRAM ARG...\n");
    return 64;
}
