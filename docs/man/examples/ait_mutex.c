/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>

struct log {
    ait_mutex *mutex;
    int fd;
};

/* Both parts, with no other task in between. */
static int log_pair(struct log *log, const char *a, size_t n_a, const char *b, size_t n_b)
{
    AIT_CLEANUP(ait_mutex_unlockp) ait_mutex *locked = NULL;
    int r;

    r = ait_mutex_lock(log->mutex);
    if (r < 0)
        return r;
    locked = log->mutex;
    r = ait_write_all(log->fd, a, n_a, NULL);
    return r < 0 ? r : ait_write_all(log->fd, b, n_b, NULL);
}

static int program(void *userdata)
{
    struct log log = {.fd = 1};
    int r;

    r = ait_mutex_new(&log.mutex);
    if (r < 0)
        return r;
    r = log_pair(&log, "one ", 4, "two\n", 4);
    log.mutex = ait_mutex_unref(log.mutex);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
