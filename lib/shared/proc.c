/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proc.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "slurp.h"

#define STATUS_SIZE_MAX ((size_t)1024 * 1024) /* the groups of a process may be 65536 */

enum proc_view proc_view(void)
{
    char text[16] = "";
    struct statfs fs;

    if (readlink("/proc/self", text, sizeof(text) - 1) > 0)
        return atoi(text) == getpid() ? PROC_OURS : PROC_FOREIGN;
    if (errno != ENOENT)
        return PROC_OURS; /* an outer sandbox may refuse to say */
    return statfs("/proc", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC ? PROC_FOREIGN : PROC_ABSENT;
}

static int no_process(int error)
{
    return error == -ENOENT ? -ESRCH : error;
}

int proc_read_stat(pid_t pid, struct proc_stat *ret)
{
    char path[32], text[1024];
    struct proc_stat p;
    uint64_t system;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    ssize_t n = read_text(path, text, sizeof(text));
    if (n < 0)
        return no_process((int)n);
    /* The command's name may hold anything, parentheses and blanks too. */
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1,
                        " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                        " %*d %*d %*d %*d %*d %*d %" SCNu64,
                        &p.state, &p.parent, &p.group, &p.session, &p.cpu, &system, &p.start) != 7)
        return -EBADMSG;
    p.cpu += system;
    *ret = p;
    return 0;
}

int proc_read_comm(pid_t pid, char ret[static PROC_COMM_MAX])
{
    char path[32], text[PROC_COMM_MAX + 2];

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    ssize_t n = read_text(path, text, sizeof(text));
    if (n < 0)
        return no_process((int)n);
    (void)snprintf(ret, PROC_COMM_MAX, "%.*s", (int)strcspn(text, "\n"), text);
    return 0;
}

int proc_read_status(pid_t pid, char **ret)
{
    char path[32];
    size_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    return no_process(slurp_path(path, 0, STATUS_SIZE_MAX, ret, &n));
}

bool proc_status_value(const char *status, const char *name, char *ret, size_t size)
{
    size_t n = strlen(name);

    for (const char *line = status; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *value = line + n + 1 + strspn(line + n + 1, " \t");
        (void)snprintf(ret, size, "%.*s", (int)strcspn(value, "\n"), value);
        return true;
    }
    return false;
}
