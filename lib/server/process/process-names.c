/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process-names.h"

#include <stdio.h>
#include <string.h>

#include "slurp.h"

/* TASK_COMM_LEN of the kernel, and the newline in /proc. */
#define COMM_MAX 17

static void read_name(pid_t pid, char ret[static COMM_MAX])
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    if (read_text(path, ret, COMM_MAX) <= 0)
        (void)strcpy(ret, "?");
    ret[strcspn(ret, "\n")] = '\0';
    for (char *p = ret; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
}

void process_names_add(struct process_names *names, pid_t pid)
{
    char name[COMM_MAX];
    size_t n;

    if (names->n++ >= PROCESS_NAMES_SHOWN)
        return;
    read_name(pid, name);
    n = strlen(names->text);
    (void)snprintf(names->text + n, sizeof(names->text) - n, "%s%s[%d]", n > 0 ? ", " : "", name,
                   (int)pid);
}

const char *process_names_text(struct process_names *names)
{
    size_t n = strlen(names->text);

    if (names->n > PROCESS_NAMES_SHOWN)
        (void)snprintf(names->text + n, sizeof(names->text) - n, " and %u more",
                       names->n - PROCESS_NAMES_SHOWN);
    return names->text;
}
