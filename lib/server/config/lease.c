/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lease.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "slurp.h"

#define COMM_MAX 32

/* "1: LEASE  BREAKING  READ 4711 fe:00:1234 0 EOF": the numbers of the device are of no use on file
 * systems that give each directory a device of its own. */
static bool is_lease_on(const char *line, ino_t inode, int *ret_pid)
{
    char kind[16];
    unsigned long long number;

    return sscanf(line, "%*d: %15s %*s %*s %d %*x:%*x:%llu", kind, ret_pid, &number) == 3 &&
           strcmp(kind, "LEASE") == 0 && number == inode;
}

static void describe(int pid, char ret[static LEASE_HOLDER_MAX])
{
    char path[32], comm[COMM_MAX];

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    if (pid <= 0) {
        (void)snprintf(ret, LEASE_HOLDER_MAX, "a process of another namespace");
    } else if (read_text(path, comm, sizeof(comm)) > 0) {
        comm[strcspn(comm, "\n")] = '\0';
        /* A name is whatever the process likes. */
        for (char *c = comm; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 0x7f)
                *c = '?';
        (void)snprintf(ret, LEASE_HOLDER_MAX, "process %d (%s)", pid, comm);
    } else {
        (void)snprintf(ret, LEASE_HOLDER_MAX, "process %d", pid);
    }
}

bool lease_holder(const char *path, char ret[static LEASE_HOLDER_MAX])
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[256];
    bool found = false;
    struct stat st;
    int pid;

    if (!locks)
        return false;
    if (stat(path, &st) == 0)
        while (!found && fgets(line, sizeof(line), locks))
            found = is_lease_on(line, st.st_ino, &pid);
    (void)fclose(locks);
    if (found)
        describe(pid, ret);
    return found;
}

int lease_problem(const char *what, const char *path, struct problem *ret_problem)
{
    char holder[LEASE_HOLDER_MAX];

    return problem_set(
        ret_problem, STATUS_OS, -EAGAIN,
        "%s%s: %s holds a lease on it, and nobody else may open it; end that process, or try again "
        "when the kernel has taken the lease away (/proc/sys/fs/lease-break-time seconds)",
        what, path, lease_holder(path, holder) ? holder : "somebody");
}
