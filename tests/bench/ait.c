/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ait.h"

#include <aiotools-sd/loop.h>
#include <aiotools-sd/task.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

static const struct bench_row rows[] = {
    {"spawn-live", ait_spawn_live},
    {"spawn-end", ait_spawn_end},
    {"switch-same", ait_switch_same},
    {"switch-sites", ait_switch_sites},
    {"switch-deep", ait_switch_deep},
    {"park", ait_park},
    {"cancel", ait_cancel},
    {"timers", ait_timers},
    {"echo", ait_echo},
    {"pingpong", ait_pingpong},
    {"process", ait_process},
    {0},
};

struct run {
    struct bench bench;
    const struct bench_row *row;
    sd_event *event; /* the one that is run, where the loop is a guest */
    int result;
};

static int run_row(void *userdata)
{
    struct run *run = userdata;

    run->result = run->row->run(&run->bench);
    if (run->event)
        sd_event_exit(run->event, 0);
    return run->result;
}

static int run_as_guest(struct run *run)
{
    ait_loop *loop = NULL;
    int r;

    r = sd_event_default(&run->event);
    if (r >= 0)
        r = ait_loop_attach(&loop, run->event);
    if (r >= 0)
        r = ait_task_spawn(NULL, run_row, run, NULL);
    if (r >= 0)
        r = sd_event_loop(run->event);
    ait_loop_unref(loop);
    sd_event_unref(run->event);
    return r < 0 ? r : run->result;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    int r;

    run.row = bench_parse(&run.bench, rows, argc, argv);
    r = run.bench.guest ? run_as_guest(&run) : ait_run(run_row, &run, 0);
    /* How a server ends. */
    if (r == -ECANCELED)
        return 0;
    if (r < 0)
        fprintf(stderr, "bench-ait: %s: %s\n", run.row->name, strerror(-r));
    return r < 0;
}
