/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ait.h"

#include <aiotools-sd/io.h>
#include <aiotools-sd/scope.h>
#include <aiotools-sd/task.h>
#include <errno.h>

static int serve(void *userdata)
{
    int fd = (int)(intptr_t)userdata, r = 0;
    char buffer[1024];
    ssize_t n;

    while (r >= 0 && (n = ait_read(fd, buffer, sizeof(buffer))) > 0)
        r = ait_write_all(fd, buffer, (size_t)n, NULL);
    ait_close(fd);
    return 0;
}

static int accept_all(ait_scope *scope, int listener)
{
    int fd, r = 0;

    while (r >= 0) {
        fd = ait_accept(listener, NULL, NULL);
        if (fd < 0)
            return fd;
        r = ait_scope_spawn(scope, NULL, serve, (void *)(intptr_t)fd, NULL);
        if (r < 0)
            ait_close(fd);
    }
    return r;
}

/* Until somebody kills it. */
int ait_echo(struct bench *b)
{
    AIT_SCOPE(scope);
    int listener, r;

    (void)b;
    listener = bench_listen();
    if (listener < 0)
        return listener;
    r = ait_scope_enter(&scope, 0);
    if (r >= 0)
        r = ait_scope_exit(scope, accept_all(scope, listener));
    ait_close(listener);
    return r;
}

struct player {
    int in, out;
    uint64_t rounds;
};

static int play(void *userdata)
{
    const struct player *p = userdata;
    const uint64_t one = 1;
    uint64_t value;
    ssize_t r = 0;

    for (uint64_t i = 0; r >= 0 && i < p->rounds; i++) {
        r = ait_read(p->in, &value, sizeof(value));
        if (r >= 0)
            r = ait_write(p->out, &one, sizeof(one));
    }
    return r < 0 ? (int)r : 0;
}

static int pingpong_once(struct bench *b, const int fds[static 2])
{
    struct player players[2] = {{fds[0], fds[1], b->repeats / 2}, {fds[1], fds[0], b->repeats / 2}};
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = ait_scope_spawn(scope, NULL, play, &players[i], NULL);
    if (r < 0)
        return r;
    bench_begin(b);
    r = ait_scope_exit(scope, 0);
    bench_end(b, b->repeats);
    return r;
}

int ait_pingpong(struct bench *b)
{
    const uint64_t one = 1;
    int fds[2], r;

    r = bench_pingpong_fds(fds);
    if (r >= 0 && ait_write(fds[0], &one, sizeof(one)) < 0)
        r = -EIO;
    for (unsigned s = 0; r >= 0 && s < b->samples; s++)
        r = pingpong_once(b, fds); /* the ball is back at the first player's */
    return r;
}
