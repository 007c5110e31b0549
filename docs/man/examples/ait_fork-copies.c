/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work that is better done in a copy of this process. Its result is an exit status. */
#include <aiotools-sd/aiotools-sd.h>

static int risky(void *userdata)
{
    return 3;
}

static int program(void *userdata)
{
    AIT_CHILD(child);
    int r;

    r = ait_fork(&child, risky, NULL, AIT_FORK_OPTIONS(.flags = AIT_FORK_PROCESS_GROUP));
    if (r >= 0)
        r = ait_child_supervise(child, NULL);
    return r < 0 ? r : ait_child_exit_code(child);
}

int main(void)
{
    return ait_run(program, NULL, 0) != 3;
}
