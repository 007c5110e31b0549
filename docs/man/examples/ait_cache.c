/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ait_cache *greetings;

static int load(const void *key, void **ret_value, void *userdata)
{
    char text[64];
    int r;

    r = ait_sleep(20000); /* a request to a remote server */
    if (r < 0)
        return r;
    printf("loading %s\n", (const char *)key);
    snprintf(text, sizeof(text), "hello, %s", (const char *)key);
    *ret_value = strdup(text);
    return *ret_value ? 0 : -ENOMEM;
}

static int ask(void *userdata)
{
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *entry = NULL;
    int r;

    r = ait_cache_get(greetings, "world", &entry);
    if (r >= 0)
        printf("%s\n", (const char *)ait_cache_entry_value(entry));
    return r;
}

static int ask_ten_times(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_cache_new(
        &greetings, AIT_CACHE_OPTIONS(.load = load, .destroy = free, .max_age = AIT_USEC_PER_SEC));
    if (r >= 0)
        r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 10 && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, ask, NULL, NULL);
    r = ait_scope_exit(scope, r);
    ait_cache_unref(greetings);
    return r;
}

int main(void)
{
    return ait_run(ask_ten_times, NULL, 0) < 0;
}
