/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A scope whose tasks may fail, cancelled by another task. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <aiotools-sd/aiotools-sd.h>

static int fail(void *userdata)
{
    return -EHOSTUNREACH;
}

static void on_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    printf("in %s, %s: %s\n", ait_scope_name(scope), info->name, strerror(-info->error));
}

static int stop(void *userdata)
{
    return ait_scope_cancel_and_wait(userdata);
}

static int program(void *userdata)
{
    AIT_SCOPE(clients);
    int r;

    r = ait_scope_enter(&clients, 0);
    if (r < 0)
        return r;
    (void)ait_scope_set_name(clients, "clients");
    (void)ait_scope_set_error_handler(clients, on_error, NULL);
    r = ait_scope_spawn(clients, NULL, fail, NULL, AIT_TASK_OPTIONS(.name = "ours"));
    if (r >= 0)
        r = ait_scope_spawn(ait_loop_root(ait_loop_current()), NULL, stop, ait_scope_current(),
                            NULL);
    while (r >= 0 && !ait_scope_is_cancelled(clients))
        r = ait_sleep(1000);
    r = ait_scope_exit(clients, r);
    printf("%zu failed, %s\n", ait_scope_n_errors(clients),
           ait_scope_cancelled_caught(clients) ? "stopped" : "not stopped");
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
