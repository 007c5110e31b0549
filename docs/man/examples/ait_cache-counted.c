/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An outdated entry is dropped; a task that holds it can still use it. */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int load(const void *key, void **ret_value, void *userdata)
{
    static int version;

    *ret_value = (void *)(intptr_t)++version;
    return 0;
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = NULL;
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *old = NULL;
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *new = NULL;
    ait_cache_info info = {.size = sizeof(info)};
    int r;

    r = ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load));
    if (r >= 0)
        r = ait_cache_get(cache, "rates", &old);
    if (r >= 0)
        r = ait_cache_invalidate(cache, "rates");
    if (r >= 0)
        r = ait_cache_get(cache, "rates", &new);
    if (r >= 0)
        r = ait_cache_get_info(cache, &info);
    if (r < 0)
        return r;
    printf("%s: version %d, and %d of those who asked before\n",
           (const char *)ait_cache_entry_key(new), (int)(intptr_t)ait_cache_entry_value(new),
           (int)(intptr_t)ait_cache_entry_value(old));
    printf("%u loads\n", (unsigned)info.n_misses);
    return ait_cache_clear(cache);
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
