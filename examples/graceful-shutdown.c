/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A graceful shutdown: graceful-shutdown [REQUESTS]. Requests, which take a second, arrive all the
 * time. After SIGTERM (or Ctrl-C) no more are taken. Running requests have three seconds to finish,
 * and are then cancelled. The journal is always closed last. A second signal ends the program at
 * once.
 */
#include <aiotools-sd/aiotools-sd.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_TIME AIT_USEC_PER_SEC
#define GRACE        (3 * AIT_USEC_PER_SEC)
#define INTERVAL     (AIT_USEC_PER_SEC / 4)

static unsigned n_done, n_cut;

static int request(void *userdata)
{
    int r;

    (void)userdata;
    r = ait_sleep(REQUEST_TIME); /* the work */
    if (r < 0) {
        n_cut++;
        return r;
    }
    n_done++;
    printf("request done\n");
    return 0;
}

struct taker {
    ait_scope *requests;
    unsigned max;
};

/* Takes requests until it is cancelled or has handled enough. */
static int take_requests(void *userdata)
{
    struct taker *t = userdata;
    int r = 0;

    for (unsigned i = 0; r >= 0 && (t->max == 0 || i < t->max); i++) {
        r = ait_scope_spawn(t->requests, NULL, request, NULL, AIT_TASK_OPTIONS(.name = "request"));
        if (r >= 0)
            r = ait_sleep(INTERVAL);
    }
    return r;
}

/*
 * Requests run in a shield, which SIGTERM does not reach although it cancels everything else. It
 * reaches the task that takes requests. When that task has ended, the shield gets its time limit.
 */
static int serve(ait_scope *outer, unsigned max)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    struct taker taker = {.max = max};
    AIT_SCOPE(requests);

    int r = ait_scope_enter(&requests, AIT_SCOPE_SHIELD);
    if (r < 0)
        return r;
    taker.requests = requests;
    r = ait_scope_spawn(outer, &task, take_requests, &taker, AIT_TASK_OPTIONS(.name = "taker"));
    if (r >= 0)
        r = ait_task_wait(task, NULL);
    printf("stopping\n");
    (void)ait_scope_cancel_after(requests, GRACE);
    return ait_scope_exit(requests, r < 0 ? r : 0); /* waits for the requests */
}

static void close_journal(void)
{
    /* This runs whatever has happened before, for at most a second. */
    AIT_SHIELD(AIT_USEC_PER_SEC)
        (void)ait_sleep(AIT_USEC_PER_MSEC); /* stands for fsync */
    printf("journal closed: %u requests done, %u cut short\n", n_done, n_cut);
}

static int run(void *userdata)
{
    AIT_SCOPE(outer);

    int r = ait_scope_enter(&outer, 0);
    if (r < 0)
        return r;
    printf("serving\n");
    r = ait_scope_exit(outer, serve(outer, *(unsigned *)userdata));
    close_journal();
    return r;
}

int main(int argc, char **argv)
{
    unsigned max = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    int r = ait_run(run, &max, 0);
    if (r < 0 && r != -ECANCELED)
        fprintf(stderr, "graceful-shutdown: %s\n", strerror(-r));
    return r < 0 && r != -ECANCELED;
}
