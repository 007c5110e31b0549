/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that add further calls. Results that are ready are taken without waiting. */
#include <errno.h>
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int visit(void *userdata)
{
    return (int)(intptr_t)userdata; /* how many pages this one leads to */
}

static int program(void *userdata)
{
    const ait_call first = {visit, (void *)2, NULL}, more = {visit, NULL, NULL};
    int r, n_pages = 0, result = 0;
    AIT_COMPLETION(c);

    r = ait_completion_open(&c, &first, 1, AIT_GATHER_OPTIONS(.limit = 4));
    while (r >= 0) {
        r = ait_completion_try_next(c, NULL, &result);
        if (r == -EAGAIN)
            r = ait_completion_next(c, NULL, &result);
        if (r <= 0)
            break;
        n_pages++;
        for (int i = 0; i < result && r >= 0; i++)
            r = ait_completion_add(c, &more);
    }
    printf("%d pages\n", n_pages);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
