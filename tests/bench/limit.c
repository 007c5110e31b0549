/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit.h"

#include "bare.h"

#include <stdio.h>
#include <string.h>

static const struct bench_row rows[] = {
    {"spawn-live", limit_spawn_live},
    {"spawn-end", limit_spawn_end},
    {"switch-same", limit_switch_same},
    {"switch-sites", limit_switch_sites},
    {"switch-deep", limit_switch_deep},
    {"park", limit_park},
    {"cancel", limit_cancel},
    {"timers", limit_timers},
    {"echo", limit_echo},
    {"pingpong", limit_pingpong},
    {"sdevent-echo", sdevent_echo},
    {"sdevent-pingpong", sdevent_pingpong},
    {"process", limit_vfork},
    {"fork", limit_fork},
    {0},
};

int main(int argc, char **argv)
{
    struct bench b;
    const struct bench_row *row = bench_parse(&b, rows, argc, argv);
    int r;

    if (!BARE_SUPPORTED && row - rows < 7) {
        fprintf(stderr, "bench-limit: no bare fibers for this architecture\n");
        return 77;
    }
    r = row->run(&b);
    if (r < 0)
        fprintf(stderr, "bench-limit: %s: %s\n", row->name, strerror(-r));
    return r < 0;
}
