/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that posts work to the loop. */
#include <pthread.h>
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int work(void *userdata)
{
    return ait_sleep(1000);
}

static void begin(void *userdata) /* on the loop's thread */
{
    ait_loop *loop = userdata;

    if (ait_scope_spawn(ait_loop_root(loop), NULL, work, NULL, NULL) >= 0)
        printf("%zu tasks\n", ait_loop_n_tasks(loop));
}

static void *thread_main(void *userdata)
{
    return ait_loop_post(userdata, begin, userdata) < 0 ? userdata : NULL;
}

static int program(void *userdata)
{
    pthread_t thread;
    int r;

    r = -pthread_create(&thread, NULL, thread_main, ait_loop_current());
    if (r < 0)
        return r;
    r = ait_sleep(10 * AIT_USEC_PER_MSEC);
    (void)pthread_join(thread, NULL);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
