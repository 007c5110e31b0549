/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <aiotools-sd/aiotools-sd.h>

#include "trim.h"

struct mapping {
    unsigned long begin, end;
    char modes[5];
};

/*
 * The lines of each mapping begin with its range. "Anonymous:" counts the pages that differ from
 * the file.
 */
static void let_go_of_text(FILE *smaps)
{
    struct mapping m = {0};
    unsigned long long inode = 0;
    unsigned long changed;
    char line[512];

    while (fgets(line, sizeof(line), smaps)) {
        struct mapping next;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %llu", &next.begin, &next.end, next.modes, &inode) ==
            4)
            m = next;
        else if (sscanf(line, "Anonymous: %lu", &changed) == 1 && changed == 0 && inode != 0 &&
                 strcmp(m.modes, "r-xp") == 0)
            (void)madvise((void *)m.begin, m.end - m.begin, MADV_DONTNEED);
    }
}

static int trim_deep(void *userdata)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");

    if (smaps) {
        let_go_of_text(smaps);
        (void)fclose(smaps);
    }
    (void)malloc_trim(0);
    return 0;
}

void trim(void)
{
    (void)ait_call_on_thread_stack(trim_deep, NULL);
}
