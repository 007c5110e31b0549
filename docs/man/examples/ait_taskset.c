/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include <aiotools-sd/aiotools-sd.h>

struct cache {
    ait_taskset *tasks;
    int n_refreshed;
};

static int refresh(const ait_tick *tick, void *userdata)
{
    struct cache *cache = userdata;

    cache->n_refreshed++;
    return 0;
}

static void cache_freep(struct cache **p)
{
    if (!*p)
        return;
    (void)ait_taskset_cancel_and_wait((*p)->tasks);
    ait_taskset_unref((*p)->tasks);
    free(*p);
}

static int cache_new(struct cache **ret)
{
    AIT_CLEANUP(cache_freep) struct cache *cache = calloc(1, sizeof(*cache));
    int r;

    if (!cache)
        return -ENOMEM;
    r = ait_taskset_new(&cache->tasks, NULL, 0);
    if (r >= 0)
        r = ait_interval_start(NULL, ait_taskset_scope(cache->tasks), AIT_USEC_PER_MSEC,
                               AIT_INTERVAL_SKIP, refresh, cache);
    if (r < 0)
        return r;
    *ret = cache;
    cache = NULL;
    return 0;
}

static int program(void *userdata)
{
    AIT_CLEANUP(cache_freep) struct cache *cache = NULL;
    int r;

    r = cache_new(&cache);
    return r < 0 ? r : ait_sleep(10 * AIT_USEC_PER_MSEC);
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
