/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

AIT_LOCAL(user, NULL);

static void log_line(const char *text)
{
    const char *name = ait_local_get(&user);

    printf("[%s] %s\n", name ? name : "-", text);
}

static int helper(void *userdata)
{
    log_line("helping");
    return 0;
}

static int request(void *userdata)
{
    AIT_LOCAL_SCOPED(user, userdata);
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    if (r < 0)
        return r;
    log_line("asking");
    r = ait_scope_spawn(scope, NULL, helper, NULL, NULL);
    return ait_scope_exit(scope, r);
}

static int serve(void *userdata)
{
    int r;

    log_line("serving");
    r = ait_task_spawn(NULL, request, "alice", NULL);
    return r < 0 ? r : ait_task_spawn(NULL, request, "bob", NULL);
}

int main(void)
{
    return ait_run(serve, NULL, 0) < 0;
}
