/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control groups of our own: where they may be, who is in them, and that nothing outlives them. The
 * system calls that the module makes can be refused in turn.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "clone-exec.h"
#include "raw.h"
#include "process/cgroup.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

#define PATIENCE 10000 /* ms */
#define N_CHAINS 16

/* ---- what is refused ------------------------------------------------------------------------- */

static struct {
    unsigned fail_at, n_calls; /* 0: none */
    int error;
    bool failed;
    const char *absent; /* the file that old kernels do not have */
} faults;

static bool refused(void)
{
    if (++faults.n_calls != faults.fail_at)
        return false;
    faults.failed = true;
    errno = faults.error;
    return true;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_openat64(int dir, const char *name, int flags, ...);
int __real_mkdirat(int dir, const char *name, mode_t mode);
ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __real_pread64(int fd, void *data, size_t n, off_t offset);
int __real_unlinkat(int dir, const char *name, int flags);
pid_t __real_fork(void);
DIR *__real_fdopendir(int fd);
FILE *__real_fdopen(int fd, const char *mode);
char *__real_strdup(const char *s);

int __wrap_openat64(int dir, const char *name, int flags, ...);
int __wrap_mkdirat(int dir, const char *name, mode_t mode);
ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_pread64(int fd, void *data, size_t n, off_t offset);
int __wrap_unlinkat(int dir, const char *name, int flags);
pid_t __wrap_fork(void);
DIR *__wrap_fdopendir(int fd);
FILE *__wrap_fdopen(int fd, const char *mode);
char *__wrap_strdup(const char *s);

int __wrap_openat64(int dir, const char *name, int flags, ...)
{
    if (faults.absent && strcmp(name, faults.absent) == 0) {
        errno = ENOENT;
        return -1;
    }
    return refused() ? -1 : __real_openat64(dir, name, flags);
}

int __wrap_mkdirat(int dir, const char *name, mode_t mode)
{
    return refused() ? -1 : __real_mkdirat(dir, name, mode);
}

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    return refused() ? -1 : __real_write(fd, data, n);
}

ssize_t __wrap_pread64(int fd, void *data, size_t n, off_t offset)
{
    return refused() ? -1 : __real_pread64(fd, data, n, offset);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
    return refused() ? -1 : __real_unlinkat(dir, name, flags);
}

pid_t __wrap_fork(void)
{
    return refused() ? -1 : __real_fork();
}

DIR *__wrap_fdopendir(int fd)
{
    return refused() ? NULL : __real_fdopendir(fd);
}

FILE *__wrap_fdopen(int fd, const char *mode)
{
    return refused() ? NULL : __real_fdopen(fd, mode);
}

char *__wrap_strdup(const char *s)
{
    return refused() ? NULL : __real_strdup(s);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static size_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static bool has_children(void)
{
    siginfo_t info = {0};

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* ---- the place ------------------------------------------------------------------------------- */

static char folder[] = "/tmp/test-cgroup-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Makes all folders of a path below ours. */
static void make_folders(const char *path)
{
    char all[PATH_MAX];

    (void)snprintf(all, sizeof(all), "%s%s/", folder, path);
    for (char *slash = all + sizeof(folder); (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(all, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void remove_all(void)
{
    char command[64];

    (void)snprintf(command, sizeof(command), "rm -rf %s/*", folder);
    assert_int_equal(system(command), 0);
}

static int find(struct cgroup_place *place, struct problem *p)
{
    char cgroup[64], mountinfo[64];

    (void)snprintf(cgroup, sizeof(cgroup), "%s/cgroup", folder);
    (void)snprintf(mountinfo, sizeof(mountinfo), "%s/mountinfo", folder);
    return cgroup_place_find(place, cgroup, mountinfo, p);
}

/* %s is where the test may make folders. */
#define MOUNT_V1 "30 25 0:26 / %s/cpu rw - cgroup cgroup rw,cpu\n"
#define MOUNT(root, point)                                                                         \
    "31 25 0:27 " root " %s" point " rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw\n"

static void test_find(void **state)
{
    static const struct {
        const char *name, *cgroup, *mountinfo, *folders;
        int error;
        const char *path, *directory;
    } cases[] = {
        {"unified", "0::/a/b\n", MOUNT("/", "/m"), "/m/a/b", 0, "/a/b", "/m/a/b"},
        {"the root", "0::/\n", MOUNT("/", "/m"), "/m", 0, "", "/m"},
        {"hybrid", "4:cpu:/x\n1:name=systemd:/y\n0::/z\n", MOUNT_V1 MOUNT("/", "/u"), "/u/z", 0,
         "/z", "/u/z"},
        {"a container's mount begins at its group", "0::/box/1\n", MOUNT("/box/1", "/m"), "/m", 0,
         "/box/1", "/m"},
        {"a group in it", "0::/box/1/in\n", MOUNT("/box/1", "/m"), "/m/in", 0, "/box/1/in",
         "/m/in"},
        {"another container's", "0::/box/12\n", MOUNT("/box/1", "/m"), "/m", -EXDEV, NULL, NULL},
        {"the second mount", "0::/a\n", MOUNT("/b", "/m") MOUNT("/", "/n"), "/n/a", 0, "/a",
         "/n/a"},
        {"a mount that is covered", "0::/a\n", MOUNT("/", "/m") MOUNT("/", "/n"), "/n/a", 0, "/a",
         "/n/a"},
        {"outside our namespace", "0::/../x\n", MOUNT("/", "/m"), "/x", -EXDEV, NULL, NULL},
        {"a mount from outside", "0::/\n", MOUNT("/..", "/m"), "/m", -EXDEV, NULL, NULL},
        {"a space and a backslash", "0::/a b\n", MOUNT("/", "/m\\040n\\134"), "/m n\\/a b", 0,
         "/a b", "/m n\\/a b"},
        {"not mounted", "0::/a\n", MOUNT_V1, "", -ENOENT, NULL, NULL},
        {"version 1 alone", "4:cpu:/x\n", MOUNT("/", "/m"), "/m", -ENOENT, NULL, NULL},
        {"damaged", "0::\n4:/\n", MOUNT("/", "/m"), "/m", -ENOENT, NULL, NULL},
        {"a damaged mount", "0::/a\n", "31 25 - cgroup2 cgroup2 rw\n31 - cgroup2 \n - cgroup2 \n",
         "", -EXDEV, NULL, NULL},
        {"empty", "", "", "", -ENOENT, NULL, NULL},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct cgroup_place place = CGROUP_PLACE_NONE;
        struct problem p = {0};
        char text[1024];

        make_folders(cases[i].folders);
        put("cgroup", cases[i].cgroup);
        /* The literals come from the table. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text, sizeof(text), cases[i].mountinfo, folder, folder);
#pragma GCC diagnostic pop
        put("mountinfo", text);
        int r = find(&place, &p);
        if (r != cases[i].error)
            fail_msg("%s: %d", cases[i].name, r);
        if (r >= 0) {
            assert_string_equal(place.path, cases[i].path);
            assert_string_equal(place.directory + strlen(folder), cases[i].directory);
        } else {
            assert_true(p.text[0] && !place.path && !place.directory);
        }
        (void)cgroup_place_done(&place);
        remove_all();
    }
    assert_null(cgroup_place_done(NULL));
}

static int check(const char *path, const char *directory, bool has_systemd, struct problem *p)
{
    char p_copy[PATH_MAX], all[PATH_MAX];
    struct cgroup_place place = {.path = p_copy, .directory = all};

    (void)snprintf(p_copy, sizeof(p_copy), "%s", path);
    (void)snprintf(all, sizeof(all), "%s%s", folder, directory);
    return cgroup_place_check(&place, has_systemd, p);
}

static void test_check(void **state)
{
    static const struct {
        const char *path;
        bool allowed; /* without a mark */
    } cases[] = {
        {"", false},
        {"/", false},
        {"/system.slice", false},
        {"/system.slice/a.service", false},
        {"/system.slice/a.service/sub", false},
        {"/system.slice/system-a.slice/a@1.service", false},
        {"/user.slice/user-0.slice/session-3.scope", true},
        {"/user.slice/user-1.slice/user@1.service/app.slice/a.service", false},
        {"/user.slice/user-1.slice/user@1.service/app.slice/run-5.scope", true},
        {"/machine.slice/libpod-1.scope/container", true},
        {"/system.slice/docker-1.scope/system.slice/a.service", false},
        {"/init.scope", true},
        {"/a.mount", false},
        {"/.service", false},
        {"/service", false},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct problem p = {0};

        make_folders(cases[i].path);
        assert_int_equal(check(cases[i].path, cases[i].path, false, &p), 0);
        /* What belongs to this user is delegated, if root has not made it. */
        if (geteuid() != 0)
            continue;
        int r = check(cases[i].path, cases[i].path, true, &p);
        if (r != (cases[i].allowed ? 0 : -EPERM))
            fail_msg("%s: %d", cases[i].path, r);
        assert_int_equal(p.text[0] != '\0', !cases[i].allowed);
        remove_all();
    }
}

static void mark(const char *path, const char *name, const char *value)
{
    char all[PATH_MAX];

    (void)snprintf(all, sizeof(all), "%s%s", folder, path);
    if (setxattr(all, name, value, strlen(value), 0) < 0)
        skip();
}

/* The mark is on the group of the unit. */
static void test_delegated(void **state)
{
    struct problem p;

    if (geteuid() != 0)
        skip();
    make_folders("/s/a.service/sub");
    mark("/s/a.service", "trusted.delegate", "0");
    assert_int_equal(check("/s/a.service", "/s/a.service", true, &p), -EPERM);
    assert_non_null(strstr(p.text, "a.service may make no groups; set Delegate=yes"));
    mark("/s/a.service", "trusted.delegate", "1");
    assert_int_equal(check("/s/a.service", "/s/a.service", true, &p), 0);
    assert_int_equal(check("/s/a.service/sub", "/s/a.service/sub", true, &p), 0);
    /* The mount begins below the unit. */
    assert_int_equal(check("/s/a.service/sub", "", true, &p), -EPERM);
    remove_all();
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Makes those of a server; skips the test where this machine has none. */
static void open_or_skip(struct cgroups *groups)
{
    struct problem p = {0};
    int r = cgroups_open(groups, "test", &p);

    if (r >= 0) {
        r = cgroups_try(groups, &p);
        if (r >= 0)
            return;
        (void)cgroups_close(groups);
    }
    print_message("no control group can be had here: %s\n", p.text);
    assert_true(p.text[0]);
    skip();
}

static void add(struct cgroups *groups, unsigned slot, struct cgroup *ret)
{
    assert_int_equal(cgroups_add(groups, slot, ret), 0);
    assert_true(ret->fd >= 0);
}

/* A process that enters the group, says so, and then does what it is for. */
static pid_t start(const struct cgroup *group, void (*body)(void))
{
    int door = cgroup_open_door(group), fds[2];
    char byte;

    assert_true(door >= 0);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = __real_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (cgroup_enter(door) < 0)
            _exit(1);
        (void)!__real_write(fds[1], "", 1);
        (void)close(fds[0]);
        (void)close(fds[1]);
        body();
        _exit(0);
    }
    (void)close(door);
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    (void)close(fds[0]);
    return pid;
}

static void wait_for_ever(void)
{
    for (;;)
        (void)pause();
}

static void reap(pid_t pid)
{
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void reap_all(void)
{
    while (wait(NULL) > 0 || errno == EINTR)
        ;
}

static void kill_all(const struct cgroup *group)
{
    int r = 1;

    for (unsigned i = 0; r > 0 && i < PATIENCE; i++) {
        r = cgroup_kill(group);
        if (r > 0)
            (void)poll(NULL, 0, 1);
    }
    assert_int_equal(r, 0);
}

/* Until so many processes are there. */
static void await_members(const struct cgroup *group, ssize_t n)
{
    for (unsigned i = 0; cgroup_look(group, 0, NULL) != n; i++) {
        assert_true(i < PATIENCE);
        (void)poll(NULL, 0, 1);
    }
}

static void test_who_is_in_it(void **state)
{
    struct cgroups groups;
    struct cgroup one, other;
    struct process_names names = {0};

    open_or_skip(&groups);
    add(&groups, 0, &one);
    add(&groups, 1, &other);
    assert_string_not_equal(one.path, other.path);
    assert_int_equal(cgroup_is_populated(&one), 0);
    pid_t a = start(&one, wait_for_ever), b = start(&other, wait_for_ever);
    assert_int_equal(cgroup_is_populated(&one), 1);
    assert_int_equal(cgroup_is_populated(&groups.all), 1);
    assert_int_equal(cgroup_has(&one, a), 1);
    assert_int_equal(cgroup_has(&one, b), 0);
    assert_int_equal(cgroup_has(&groups.all, a), 1);
    assert_int_equal(cgroup_has(&groups.all, b), 1);
    assert_int_equal(cgroup_has(&groups.all, getpid()), 0);
    assert_int_equal(cgroup_has(&one, INT32_MAX), -ESRCH);
    assert_int_equal(cgroup_look(&one, 0, NULL), 1);
    assert_int_equal(cgroup_look(&one, a, NULL), 0);
    assert_int_equal(cgroup_look(&groups.all, 0, &names), 2);
    assert_int_equal(names.n, 2);
    assert_non_null(strstr(process_names_text(&names), "["));
    kill_all(&one);
    reap(a);
    assert_int_equal(cgroup_has(&one, a), -ESRCH);
    assert_int_equal(kill(b, 0), 0);
    assert_int_equal(cgroup_remove(&one), 0);
    assert_int_equal(one.fd, -1);
    kill_all(&other);
    reap(b);
    assert_int_equal(cgroup_remove(&other), 0);
    (void)cgroups_close(&groups);
}

static void write_to(const struct cgroup *group, const char *name, const char *text)
{
    int fd = openat(group->fd, name, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

/* What a worker has written into the server's group does not hold for those that come after it. */
static void test_spoiled(void **state)
{
    static const char *const files[] = {"cgroup.max.descendants", "cgroup.max.depth"};
    struct cgroups groups;
    struct cgroup group;

    open_or_skip(&groups);
    for (unsigned i = 0; i < LENGTH(files); i++) {
        write_to(&groups.all, files[i], "0");
        add(&groups, 0, &group);
        assert_int_equal(cgroup_remove(&group), 0);
    }
    write_to(&groups.all, "cgroup.freeze", "1");
    add(&groups, 0, &group);
    pid_t pid = start(&group, wait_for_ever);
    kill_all(&group);
    reap(pid);
    assert_int_equal(cgroup_remove(&group), 0);
    (void)cgroups_close(&groups);
}

/* A name that begins like another is another. */
static void test_names(void **state)
{
    struct cgroups groups, second;
    struct cgroup group[12];

    open_or_skip(&groups);
    assert_int_equal(cgroups_open(&second, "test", NULL), 0);
    assert_string_not_equal(groups.all.path, second.all.path);
    for (unsigned i = 0; i < LENGTH(group); i++)
        add(&groups, 0, &group[i]);
    pid_t pid = start(&group[9], wait_for_ever);
    for (unsigned i = 0; i < LENGTH(group); i++)
        assert_int_equal(cgroup_has(&group[i], pid), i == 9);
    assert_int_equal(cgroup_has(&second.all, pid), 0);
    kill_all(&groups.all);
    reap(pid);
    for (unsigned i = 0; i < LENGTH(group); i++)
        assert_int_equal(cgroup_remove(&group[i]), 0);
    (void)cgroups_close(&second);
    (void)cgroups_close(&groups);
}

/* A daemon of a daemon, each with a session of its own, below a group that the worker has made. */
static void nest(const struct cgroup *group, char path[static PATH_MAX])
{
    char deep[PATH_MAX];

    (void)snprintf(path, PATH_MAX, "/proc/self/fd/%d", group->fd);
    ssize_t n = readlink(path, deep, sizeof(deep) - 1);
    assert_true(n > 0);
    deep[n] = '\0';
    (void)snprintf(path, PATH_MAX, "%.2000s/a", deep);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, PATH_MAX, "%.2000s/a/b", deep);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, PATH_MAX, "%.2000s/c", deep);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, PATH_MAX, "%.2000s/a/b", deep);
}

static void be_daemons(void)
{
    for (unsigned i = 0; i < 3; i++)
        if (__real_fork() == 0) {
            (void)setsid();
            if (__real_fork() == 0)
                wait_for_ever();
            _exit(0);
        }
}

static void test_below(void **state)
{
    const char *const absent[] = {NULL, "cgroup.kill"};

    for (size_t i = 0; i < LENGTH(absent); i++) {
        struct cgroups groups;
        struct cgroup group, deep = CGROUP_NONE;
        char path[PATH_MAX];

        open_or_skip(&groups);
        add(&groups, 0, &group);
        nest(&group, path);
        deep.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(deep.fd >= 0);
        pid_t pid = start(&deep, be_daemons);
        pid_t other = start(&group, wait_for_ever);
        await_members(&group, 4);
        assert_int_equal(cgroup_has(&group, pid), 1);
        faults.absent = absent[i];
        kill_all(&group);
        faults.absent = NULL;
        assert_int_equal(cgroup_look(&group, 0, NULL), 0);
        reap(other);
        reap_all();
        (void)close(deep.fd);
        assert_int_equal(cgroup_remove(&group), 0);
        assert_int_equal(access(path, F_OK), -1);
        (void)cgroups_close(&groups);
    }
}

/* ---- signals --------------------------------------------------------------------------------- */

static volatile sig_atomic_t n_signals;

static void count_signal(int signo)
{
    n_signals++;
}

/* Ends with the number of signals that have come, when it is told to. */
static void count_signals(void)
{
    const struct sigaction action = {.sa_handler = count_signal};
    sigset_t end;

    (void)sigemptyset(&end);
    (void)sigaddset(&end, SIGUSR2);
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)sigprocmask(SIG_BLOCK, &end, NULL);
    (void)raise(SIGSTOP);
    int signo;
    while (sigwait(&end, &signo) != 0)
        ;
    _exit(n_signals);
}

static void test_signal(void **state)
{
    struct cgroups groups;
    struct cgroup group;
    pid_t pids[4];

    open_or_skip(&groups);
    add(&groups, 0, &group);
    pid_t leader = start(&group, wait_for_ever);
    for (size_t i = 0; i < LENGTH(pids); i++) {
        pids[i] = start(&group, count_signals);
        assert_int_equal(waitpid(pids[i], NULL, WUNTRACED), pids[i]);
    }
    assert_int_equal(cgroup_signal(&group, leader, SIGUSR1), LENGTH(pids));
    /* Each once, also those that were stopped; and the leader not, which it would kill. */
    for (size_t i = 0; i < LENGTH(pids); i++) {
        int status;
        assert_int_equal(kill(pids[i], SIGUSR2), 0);
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
    }
    assert_int_equal(cgroup_look(&group, 0, NULL), 1);
    assert_int_equal(cgroup_signal(&group, leader, SIGUSR1), 0);
    kill_all(&group);
    reap(leader);
    assert_int_equal(cgroup_remove(&group), 0);
    (void)cgroups_close(&groups);
}

/* ---- news ------------------------------------------------------------------------------------ */

static void test_events(void **state)
{
    struct cgroups groups;
    struct cgroup group;

    open_or_skip(&groups);
    add(&groups, 0, &group);
    int events = cgroup_open_events(&group);
    struct pollfd p = {.fd = events, .events = POLLPRI};
    assert_int_equal(cgroup_changed(events), 0);
    pid_t pid = start(&group, wait_for_ever);
    assert_int_equal(poll(&p, 1, PATIENCE), 1);
    assert_int_equal(cgroup_changed(events), 1);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(poll(&p, 1, PATIENCE), 1);
    assert_int_equal(cgroup_changed(events), 0);
    reap(pid);
    assert_int_equal(cgroup_remove(&group), 0);
    assert_int_equal(cgroup_changed(events), -ENODEV);
    (void)close(events);
    (void)cgroups_close(&groups);
}

/* ---- born in it ------------------------------------------------------------------------------ */

RAW_CODE static int stay(struct exec_plan *plan)
{
    return (int)raw_call(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

static pid_t fork_into(const struct cgroup *group, struct exec_report **ret_report)
{
    static const exec_step steps[] = {stay};
    struct exec_plan plan = {.steps = steps, .n_steps = 1, .has_group = true, .group = group->fd};
    int pidfd;
    pid_t pid = exec_fork(&plan, &pidfd);

    assert_true(pid > 0);
    assert_int_equal(close(pidfd), 0);
    *ret_report = plan.report;
    return pid;
}

static void check_birth(struct cgroups *groups, bool at_once)
{
    struct exec_report *report;
    struct cgroup group;

    add(groups, 0, &group);
    pid_t pid = fork_into(&group, &report);
    if (at_once)
        assert_int_equal(cgroup_has(&group, pid), 1);
    await_members(&group, 1);
    kill_all(&group);
    reap(pid);
    assert_int_equal(report->error, 0);
    exec_report_free(report);
    assert_int_equal(cgroup_remove(&group), 0);
}

/* A group that is none: the child goes on without. */
static void check_no_group(void)
{
    struct cgroup none = {.path = NULL, .parent = -1, .fd = open("/", O_RDONLY | O_CLOEXEC)};
    struct exec_report *report;
    pid_t pid = fork_into(&none, &report);

    (void)close(none.fd);
    assert_int_equal(kill(pid, SIGKILL), 0);
    reap(pid);
    exec_report_free(report);
}

/* As outer sandboxes do. */
static int refuse_clone3(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = LENGTH(code), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, 2, &program) < 0)
        return -errno;
    return 0;
}

static void test_born_in_it(void **state)
{
    struct cgroups groups;
    int status;

    open_or_skip(&groups);
    check_birth(&groups, true);
    check_no_group();
    pid_t pid = __real_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (refuse_clone3() >= 0)
            check_birth(&groups, false);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)cgroups_close(&groups);
}

/* ---- those that outrun a scan ---------------------------------------------------------------- */

/* Each link lives for a moment, in a session of its own, and leaves the next. */
static void run_chain(void)
{
    for (;;) {
        pid_t pid = __real_fork();

        if (pid > 0)
            _exit(0);
        if (pid == 0)
            (void)setsid();
    }
}

static void run_chains(void)
{
    for (unsigned i = 0; i < N_CHAINS; i++)
        if (__real_fork() == 0)
            run_chain();
}

/* The first process of a pid namespace, whose end is that of all in it. Reaps its orphans. */
static pid_t start_init(const struct cgroup *group, int *ret_end)
{
    int door = cgroup_open_door(group), fds[2];

    assert_int_equal(pipe(fds), 0);
    if (unshare(CLONE_NEWPID) < 0) {
        (void)close(door);
        return -errno;
    }
    pid_t init = __real_fork();
    assert_true(init >= 0);
    if (init == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        (void)close(fds[1]);
        if (__real_fork() == 0) {
            if (cgroup_enter(door) < 0)
                _exit(1);
            run_chains();
            _exit(0);
        }
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        while (poll(&p, 1, 0) == 0)
            (void)waitpid(-1, NULL, WNOHANG);
        _exit(0);
    }
    (void)close(door);
    (void)close(fds[0]);
    *ret_end = fds[1];
    return init;
}

static void kill_chains(struct cgroups *groups, const char *absent)
{
    struct cgroup group;
    int end = -1;

    add(groups, 0, &group);
    pid_t init = start_init(&group, &end);
    if (init < 0) {
        assert_int_equal(cgroup_remove(&group), 0);
        return;
    }
    for (unsigned i = 0; cgroup_is_populated(&group) == 0; i++) {
        assert_true(i < PATIENCE);
        (void)poll(NULL, 0, 1);
    }
    /* So that they really run. */
    (void)cgroup_look(&group, 0, NULL);
    faults.absent = absent;
    kill_all(&group);
    faults.absent = NULL;
    assert_int_equal(cgroup_look(&group, 0, NULL), 0);
    assert_int_equal(cgroup_remove(&group), 0);
    (void)close(end);
    reap(init);
}

/* In a process of its own, since its later children are in another pid namespace. */
static void test_chains(void **state)
{
    struct cgroups groups;
    int status;

    if (geteuid() != 0)
        skip();
    open_or_skip(&groups);
    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = __real_fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            kill_chains(&groups, i == 0 ? NULL : "cgroup.kill");
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    (void)cgroups_close(&groups);
}

/* ---- what a killed server has left ----------------------------------------------------------- */

static void test_mark(void **state)
{
    static const char *const wrong[] = {"",
                                        "1",
                                        "1\n2",
                                        "1\n2\n",
                                        "1\nno-slash\n/tmp\n",
                                        "1\n/other\n/tmp\n",
                                        "1\n/aiotools-sd.x\n/absent\n",
                                        "1\n/aiotools-sd.x\n/tmp\n"};
    char text[CGROUP_MARK_MAX], changed[CGROUP_MARK_MAX + 1];
    struct cgroups groups, none = CGROUPS_NONE;
    struct cgroup left, group;
    int parent;

    assert_int_equal(cgroups_mark(&none, text, sizeof(text)), -ENOENT);
    open_or_skip(&groups);
    assert_int_equal(cgroups_mark(&groups, text, 20), -ENAMETOOLONG);
    assert_int_equal(cgroups_mark(&groups, text, sizeof(text)), 0);
    add(&groups, 3, &group);
    pid_t pid = start(&group, wait_for_ever);
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_int_equal(cgroup_open_marked(&left, &parent, wrong[i]), -ENOENT);
    /* Another group of that name. */
    (void)snprintf(changed, sizeof(changed), "1%s", text);
    assert_int_equal(cgroup_open_marked(&left, &parent, changed), -ENOENT);
    assert_int_equal(cgroup_open_marked(&left, &parent, text), 0);
    assert_string_equal(left.path, groups.all.path);
    assert_int_equal(cgroup_has(&left, pid), 1);
    kill_all(&left);
    reap(pid);
    assert_int_equal(cgroup_remove(&left), 0);
    (void)close(parent);
    assert_int_equal(cgroup_open_marked(&left, &parent, text), -ENOENT);
    /* Removed under our hands: nothing is left to do. */
    assert_int_equal(cgroup_is_populated(&group), 0);
    assert_int_equal(cgroup_kill(&group), 0);
    assert_int_equal(cgroup_look(&group, 0, NULL), 0);
    assert_int_equal(cgroup_remove(&group), 0);
    assert_int_equal(cgroups_add(&groups, 0, &group), -ENOENT);
    (void)cgroups_close(&groups);
    assert_null(cgroups_close(NULL));
}

static void test_not_empty(void **state)
{
    struct cgroups groups;
    struct cgroup group, again = CGROUP_NONE;
    char path[PATH_MAX];

    open_or_skip(&groups);
    add(&groups, 0, &group);
    (void)snprintf(path, sizeof(path), "%s/%s", groups.place.directory,
                   strstr(group.path, "aiotools-sd."));
    pid_t pid = start(&group, wait_for_ever);
    assert_int_equal(cgroup_remove(&group), -EBUSY);
    assert_int_equal(group.fd, -1);
    again.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    kill_all(&again);
    (void)close(again.fd);
    reap(pid);
    (void)cgroups_close(&groups); /* with what is left in it */
    assert_int_equal(access(path, F_OK), -1);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void remove_by_hand(const char *path)
{
    char command[2 * PATH_MAX + 64];

    (void)snprintf(command, sizeof(command), "rmdir %s/* %s 2>/dev/null", path, path);
    (void)!system(command);
}

/* All that is needed for one worker. Says how far it has come. */
static int live(struct cgroups *groups)
{
    struct cgroup group = CGROUP_NONE;
    int r = cgroups_add(groups, 0, &group);

    if (r < 0)
        return r;
    int door = cgroup_open_door(&group);
    if (door >= 0)
        (void)close(door);
    ssize_t n = cgroup_signal(&group, 0, 0);
    ssize_t m = cgroup_look(&group, 0, NULL);
    int killed = cgroup_kill(&group), removed = cgroup_remove(&group);
    return door < 0 ? door : n < 0 ? (int)n : m < 0 ? (int)m : killed < 0 ? killed : removed;
}

static void test_refusals(void **state)
{
    static const int errors[] = {EPERM, ENOMEM, EROFS, EMFILE, EBUSY};
    struct cgroups groups;
    char path[PATH_MAX];

    open_or_skip(&groups);
    (void)snprintf(path, sizeof(path), "%s/%s", groups.place.directory,
                   strrchr(groups.all.path, '/') + 1);
    (void)cgroups_close(&groups);
    assert_false(is_there(path));
    for (size_t i = 0; i < LENGTH(errors); i++) {
        unsigned n = 1, n_refused = 0;
        do {
            size_t n_fds = count_fds();
            struct problem p = {0};

            faults.error = errors[i];
            faults.n_calls = 0;
            faults.failed = false;
            faults.fail_at = n;
            int r = cgroups_open(&groups, "test", &p);
            assert_int_equal(r < 0, p.text[0] != '\0');
            if (r >= 0) {
                r = cgroups_try(&groups, &p);
                assert_int_equal(r < 0, p.text[0] != '\0');
                r = r < 0 ? r : live(&groups);
                faults.fail_at = 0;
                (void)cgroups_close(&groups);
            }
            faults.fail_at = 0;
            n_refused += r < 0;
            assert_int_equal(count_fds(), n_fds);
            assert_false(has_children());
            /* What could not be removed is empty. */
            if (is_there(path))
                remove_by_hand(path);
            assert_false(is_there(path));
        } while (n++, faults.failed);
        assert_true(n_refused > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),      cmocka_unit_test(test_check),
        cmocka_unit_test(test_delegated), cmocka_unit_test(test_who_is_in_it),
        cmocka_unit_test(test_spoiled),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_below),     cmocka_unit_test(test_signal),
        cmocka_unit_test(test_events),    cmocka_unit_test(test_born_in_it),
        cmocka_unit_test(test_chains),    cmocka_unit_test(test_mark),
        cmocka_unit_test(test_not_empty), cmocka_unit_test(test_refusals),
    };
    int r;

    if (!mkdtemp(folder))
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    return r;
}
