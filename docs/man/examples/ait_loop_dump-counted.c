/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures for monitoring: tasks, task sets, and the memory of stacks. */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int count_task(ait_task *task, void *userdata)
{
    ++*(size_t *)userdata;
    return 0;
}

static int print_set(ait_taskset *set, void *userdata)
{
    printf("%s: %zu\n", ait_scope_name(ait_taskset_scope(set)), ait_taskset_n_tasks(set));
    return 0;
}

static int add_stack(const ait_stack_use *use, void *userdata)
{
    *(size_t *)userdata += use->resident;
    return 0;
}

static int report(void *userdata)
{
    ait_loop *loop = ait_loop_current();
    size_t n_tasks = 0, resident = 0;
    int r;

    r = ait_loop_foreach_task(loop, count_task, &n_tasks);
    if (r >= 0)
        r = ait_loop_foreach_taskset(loop, print_set, NULL);
    if (r >= 0)
        r = ait_loop_foreach_stack(loop, add_stack, &resident);
    printf("%zu tasks, %zu bytes\n", n_tasks, resident);
    return r;
}

int main(void)
{
    return ait_run(report, NULL, 0) < 0;
}
