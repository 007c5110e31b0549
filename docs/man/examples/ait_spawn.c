/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>
#include <string.h>

static int sort_lines(void *userdata)
{
    const char *lines = "gamma\nalpha\nbeta\n";
    ait_process_result result = {.size = sizeof(result)};
    int r;

    r = ait_run_process(&result, AIT_ARGV("sort"), lines, strlen(lines), NULL);
    if (r < 0)
        return r;
    printf("exit code %d\n%s", result.exit_code, result.out);
    ait_process_result_free(&result);
    return 0;
}

int main(void)
{
    return ait_run(sort_lines, NULL, 0) < 0;
}
