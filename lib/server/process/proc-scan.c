/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc-scan.h"
#include "proc.h"

#define INSTANCE_PREFIX "AIOTOOLS_SD_INSTANCE="

int scan_read_process(pid_t pid, struct scan_process *ret)
{
    struct proc_stat stat;
    int r = proc_read_stat(pid, &stat);

    if (r < 0)
        return r;
    *ret = (struct scan_process){.pid = pid,
                                 .parent = stat.parent,
                                 .group = stat.group,
                                 .session = stat.session,
                                 .start = stat.start,
                                 .dead = stat.state == 'Z' || stat.state == 'X'};
    return 0;
}

int scan_add(struct scan *scan, pid_t pid)
{
    struct scan_process p;
    int r = scan_read_process(pid, &p);

    if (r == -ESRCH)
        return 0;
    if (r < 0)
        return r;
    if (scan->n == scan->allocated) {
        size_t allocated = scan->allocated ? scan->allocated * 2 : 64;
        struct scan_process *items = realloc(scan->items, allocated * sizeof(*items));
        if (!items)
            return -ENOMEM;
        scan->items = items;
        scan->allocated = allocated;
    }
    scan->items[scan->n++] = p;
    return 0;
}

void scan_done(struct scan *scan)
{
    free(scan->items);
    *scan = (struct scan){0};
}

static pid_t number_of(const char *name)
{
    return isdigit((unsigned char)name[0]) ? (pid_t)strtol(name, NULL, 10) : -1;
}

int scan_everything(struct scan *scan)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return -errno;
    while (r >= 0 && (entry = readdir(dir))) {
        pid_t pid = number_of(entry->d_name);
        if (pid > 0)
            r = scan_add(scan, pid);
    }
    (void)closedir(dir);
    return r;
}

static int add_thread_children(struct scan *scan, FILE *f, scan_skip_fn skip, void *userdata)
{
    int pid, r = 0;
    while (r >= 0 && fscanf(f, "%d", &pid) == 1)
        if (!skip || !skip(pid, userdata))
            r = scan_add(scan, pid);
    return r;
}

int scan_children(struct scan *scan, pid_t pid, scan_skip_fn skip, void *userdata)
{
    char path[320];
    struct dirent *entry;
    int r = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    while (r >= 0 && (entry = readdir(dir))) {
        if (number_of(entry->d_name) < 0)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, entry->d_name);
        FILE *f = fopen(path, "re");
        if (f) {
            r = add_thread_children(scan, f, skip, userdata);
            (void)fclose(f);
        } else if (errno == ENOENT && access("/proc/thread-self/children", F_OK) < 0) {
            r = -EOPNOTSUPP;
        } else if (errno != ENOENT && errno != ESRCH) {
            r = -errno;
        }
    }
    (void)closedir(dir);
    return r;
}

int scan_descend(struct scan *scan, size_t from)
{
    for (size_t i = from; i < scan->n; i++) {
        int r = scan_children(scan, scan->items[i].pid, NULL, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

static bool parent_is_marked(const struct scan *scan, pid_t parent)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan->items[i].pid == parent)
            return scan->items[i].marked;
    return false;
}

void scan_mark_descendants(struct scan *scan)
{
    bool changed;
    do {
        changed = false;
        for (size_t i = 0; i < scan->n; i++) {
            struct scan_process *p = &scan->items[i];
            if (!p->marked && parent_is_marked(scan, p->parent))
                p->marked = changed = true;
        }
    } while (changed);
}

/*
 * buffer holds n bytes of the environment, ended by a zero byte. A variable that is cut off at its
 * end is examined again.
 */
static const char *find_instance(const char *buffer, size_t n)
{
    for (const char *s = buffer; s < buffer + n; s += strlen(s) + 1)
        if (strncmp(s, INSTANCE_PREFIX, strlen(INSTANCE_PREFIX)) == 0)
            return s + strlen(INSTANCE_PREFIX);
    return NULL;
}

/*
 * Keeps the last, incomplete variable, unless it is too long to be ours. Returns the number of
 * bytes kept.
 */
static size_t keep_tail(char *buffer, size_t n)
{
    const char *zero = memrchr(buffer, '\0', n);
    size_t tail = zero ? (size_t)(buffer + n - zero - 1) : n;

    if (tail >= SCAN_INSTANCE_MAX) {
        /*
         * The middle of a long one: what follows cannot begin with the prefix until a zero has
         * passed.
         */
        buffer[0] = 'x';
        return 1;
    }
    memmove(buffer, buffer + n - tail, tail);
    return tail;
}

bool scan_instance(pid_t pid, char ret[static SCAN_INSTANCE_MAX])
{
    char path[64], buffer[4096 + 1];
    const char *found = NULL;
    size_t kept = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    for (;;) {
        ssize_t n = read(fd, buffer + kept, sizeof(buffer) - 1 - kept);
        size_t have = kept + (n > 0 ? (size_t)n : 0);
        buffer[have] = '\0';
        const char *zero = n > 0 ? memrchr(buffer, '\0', have) : buffer + have;
        found = zero ? find_instance(buffer, (size_t)(zero - buffer)) : NULL;
        if (found || n <= 0)
            break;
        kept = keep_tail(buffer, have);
    }
    (void)close(fd);
    if (found)
        (void)snprintf(ret, SCAN_INSTANCE_MAX, "%s", found);
    return found != NULL;
}

int scan_kill(const struct scan_process *process, int signo)
{
    struct scan_process now;
    int pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);

    if (pidfd < 0)
        return -errno;
    int r = scan_read_process(process->pid, &now);
    if (r >= 0 && now.start != process->start)
        r = -ESRCH;
    if (r >= 0 && syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0)
        r = -errno;
    (void)close(pidfd);
    return r;
}
