/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What gdb looks at: tasks in known places. With an argument it aborts there, for a core dump. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <aiotools-sd/aiotools-sd.h>

static ait_event *never;

__attribute__((noinline)) static int read_request(int fd)
{
    char byte = 'x';
    ssize_t k = ait_read(fd, &byte, 1);

    return k < 0 ? (int)k : byte;
}

__attribute__((noinline)) static int serve_client(int fd)
{
    int answer = 42;
    int r = read_request(fd);

    return r < 0 ? r : r + answer;
}

static int worker(void *userdata)
{
    return serve_client(*(int *)userdata);
}

static int waiter(void *userdata)
{
    (void)userdata;
    return ait_event_wait(never);
}

/* gdb stops here. */
__attribute__((noinline)) void all_are_parked(int abort_here);
__attribute__((noinline)) void all_are_parked(int abort_here)
{
    if (abort_here)
        abort();
}

static int body(void *userdata)
{
    ait_task *cancelled = NULL;
    int fds[2], r;
    AIT_SCOPE(scope);

    if (pipe(fds) < 0 || ait_event_new(&never) < 0)
        return -1;
    r = ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, 100 * AIT_USEC_PER_SEC);
    if (r < 0)
        return r;
    (void)ait_scope_set_name(scope, "clients");
    if (ait_scope_spawn(scope, NULL, worker, fds, AIT_TASK_OPTIONS(.name = "worker")) < 0 ||
        ait_scope_spawn(scope, NULL, waiter, NULL, AIT_TASK_OPTIONS(.name = "waiter")) < 0 ||
        ait_scope_spawn(scope, &cancelled, waiter, NULL, AIT_TASK_OPTIONS(.name = "cancelled")) < 0)
        return -1;
    (void)ait_sleep(AIT_USEC_PER_MSEC);
    (void)ait_task_cancel(cancelled); /* and does not come to run again before this */
    ait_task_unref(cancelled);
    all_are_parked(userdata != NULL);
    (void)ait_scope_cancel(scope);
    r = ait_scope_exit(scope, -ECANCELED);
    never = ait_event_unref(never);
    return r;
}

int main(int argc, char **argv)
{
    return ait_run(body, argc > 1 ? argv : NULL, 0) < 0;
}
