/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "slurp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LEAST_CAPACITY ((size_t)4096)
#define PATIENCE_MSEC  5000

struct text {
    char *data;
    size_t n, capacity;
    int patience; /* that is left for waiting, in milliseconds */
};

static int64_t now_msec(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Room for one byte more than there is, and the zero byte. */
static int reserve(struct text *t, size_t hint)
{
    size_t capacity = t->capacity ? t->capacity * 2 : hint + 2;
    char *grown;

    if (t->n + 1 < t->capacity)
        return 0;
    if (capacity < LEAST_CAPACITY)
        capacity = LEAST_CAPACITY;
    grown = realloc(t->data, capacity);
    if (!grown)
        return -ENOMEM;
    t->data = grown;
    t->capacity = capacity;
    return 0;
}

static int wait_for_more(int fd, struct text *t)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t begun = now_msec();
    int r = poll(&p, 1, t->patience);

    t->patience -= (int)(now_msec() - begun);
    if (t->patience < 0)
        t->patience = 0;
    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    return r == 0 ? -ETIMEDOUT : 0;
}

/* Returns 0 at the end, 1 if there may be more. */
static int read_more(int fd, struct text *t)
{
    ssize_t n = read(fd, t->data + t->n, t->capacity - t->n - 1);

    if (n >= 0) {
        t->n += (size_t)n;
        return n > 0;
    }
    if (errno == EINTR)
        return 1;
    if (errno != EAGAIN)
        return -errno;
    int r = wait_for_more(fd, t);
    return r < 0 ? r : 1;
}

static int read_all(int fd, size_t max, struct text *t)
{
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > max)
        return -EFBIG;
    do {
        r = reserve(t, (size_t)st.st_size);
        if (r >= 0)
            r = read_more(fd, t);
        if (r >= 0 && t->n > max)
            r = -EFBIG;
    } while (r > 0);
    return r;
}

int slurp(int fd, size_t max, char **ret, size_t *ret_n)
{
    struct text text = {.patience = PATIENCE_MSEC};
    int r = read_all(fd, max, &text);

    if (r < 0) {
        free(text.data);
        return r;
    }
    text.data[text.n] = '\0';
    *ret = text.data;
    *ret_n = text.n;
    return 0;
}

int slurp_path(const char *path, int flags, size_t max, char **ret, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

    if (fd < 0)
        return -errno;
    int r = slurp(fd, max, ret, ret_n);
    (void)close(fd);
    return r;
}

ssize_t read_text(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n;

    if (fd < 0)
        return -errno;
    do
        n = read(fd, buffer, size - 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    else
        buffer[n] = '\0';
    (void)close(fd);
    return n;
}
