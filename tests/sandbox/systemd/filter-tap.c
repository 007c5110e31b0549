/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * filter-tap PID FOLDER: writes down the seccomp filters of each unit's processes that a systemd
 * starts from now on.
 *
 * It traces the systemd PID and all that descend from it. The filters of a process are read at its
 * first system call after each that may have added one; the kernel stops it there before it asks
 * the filters. When a process of a cgroup NAME.service is about to end, however it ends, they are
 * written to FOLDER/NAME.service: two uint32_t, the exit status as of wait(2) and the number of
 * programs, the oldest first; then each program, a uint32_t with its number of instructions and
 * these.
 *
 * Says "ready" when it traces, and ends when PID does, or by a signal. Needs root, and a kernel
 * with CONFIG_CHECKPOINT_RESTORE.
 */

#include <errno.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAMS_MAX 256

static void die(const char *what)
{
    (void)fprintf(stderr, "filter-tap: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The last folder of its cgroup, if that is a service's. */
static int unit_of(pid_t pid, char name[static 256])
{
    char path[64], line[4096];
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    f = fopen(path, "re");
    *name = 0;
    while (f && !*name && fgets(line, sizeof(line), f)) {
        char *slash = strrchr(line, '/');
        size_t n = slash ? strcspn(slash + 1, "\n") : 0;
        if (n > 8 && n < 256 && !memcmp(slash + 1 + n - 8, ".service", 8))
            (void)snprintf(name, 256, "%.*s", (int)n, slash + 1);
    }
    if (f)
        (void)fclose(f);
    return *name ? 0 : -ENOENT;
}

/* ---- processes ------------------------------------------------------------------------------- */

struct process {
    pid_t pid;    /* 0: free */
    bool changed; /* it may have a new filter */
    uint32_t n;
    char *programs;
    size_t size;
};

static struct process processes[4096];

static struct process *process_of(pid_t pid)
{
    struct process *free_one = NULL;

    for (size_t i = 0; i < sizeof(processes) / sizeof(processes[0]); i++) {
        if (processes[i].pid == pid)
            return &processes[i];
        if (!processes[i].pid && !free_one)
            free_one = &processes[i];
    }
    if (!free_one)
        die("more than 4096 processes");
    free_one->pid = pid;
    return free_one;
}

static void process_done(struct process *p)
{
    free(p->programs);
    *p = (struct process){0};
}

static void put(FILE *f, const void *data, size_t n)
{
    if (fwrite(data, 1, n, f) != n)
        die("write");
}

static void read_programs(struct process *p)
{
    static struct sock_filter program[BPF_MAXINSNS];
    FILE *f;

    free(p->programs);
    f = open_memstream(&p->programs, &p->size);
    if (!f)
        die("open_memstream");
    for (p->n = 0; p->n < PROGRAMS_MAX; p->n++) {
        long n = ptrace(PTRACE_SECCOMP_GET_FILTER, p->pid, (void *)(uintptr_t)p->n, program);
        uint32_t length = (uint32_t)n;
        if (n < 0 && (errno == ENOENT || errno == EINVAL))
            break;
        if (n < 0)
            die("PTRACE_SECCOMP_GET_FILTER");
        put(f, &length, sizeof(length));
        put(f, program, length * sizeof(*program));
    }
    if (fclose(f) != 0)
        die("fclose");
}

static void note_call(pid_t pid)
{
    struct __ptrace_syscall_info info;
    struct process *p = process_of(pid);

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) < 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return;
    if (p->changed)
        read_programs(p);
    p->changed = info.entry.nr == SYS_seccomp || info.entry.nr == SYS_prctl;
}

/* Renamed when complete. */
static void note_end(pid_t pid, const char *folder)
{
    char name[256], path[2048], complete[2048];
    unsigned long status = 0;
    struct process *p = process_of(pid);

    if (unit_of(pid, name) == 0 && ptrace(PTRACE_GETEVENTMSG, pid, NULL, &status) == 0) {
        const uint32_t head[2] = {(uint32_t)status, p->n};
        (void)snprintf(path, sizeof(path), "%s/.new", folder);
        (void)snprintf(complete, sizeof(complete), "%s/%s", folder, name);
        FILE *f = fopen(path, "we");
        if (!f)
            die(path);
        put(f, head, sizeof(head));
        put(f, p->programs, p->size);
        if (fclose(f) != 0 || rename(path, complete) < 0)
            die(complete);
    }
    process_done(p);
}

static void go_on(pid_t pid, pid_t init, int status, const char *folder)
{
    int event = status >> 16, sig = WSTOPSIG(status);

    if (sig == (SIGTRAP | 0x80)) {
        note_call(pid);
        sig = 0;
    }
    if (event == PTRACE_EVENT_EXIT)
        note_end(pid, folder);
    if (event == PTRACE_EVENT_STOP && sig != SIGTRAP)
        (void)ptrace(PTRACE_LISTEN, pid, NULL, NULL);
    else
        (void)ptrace(pid == init ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL,
                     (void *)(uintptr_t)(event ? 0 : sig));
}

int main(int argc, char **argv)
{
    const unsigned long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                                  PTRACE_O_TRACEEXIT | PTRACE_O_TRACESYSGOOD;
    pid_t init = argc == 3 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
    int status;

    if (init <= 0) {
        (void)fprintf(stderr, "usage: filter-tap PID FOLDER\n");
        return 2;
    }
    if (ptrace(PTRACE_SEIZE, init, NULL, (void *)options) < 0)
        die("PTRACE_SEIZE");
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno != EINTR)
            return errno == ECHILD ? 0 : 1;
        if (pid > 0 && WIFSTOPPED(status))
            go_on(pid, init, status, argv[2]);
        else if (pid == init)
            return 0;
    }
}
