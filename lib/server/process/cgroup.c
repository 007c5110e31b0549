/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc-scan.h"
#include "raw.h"
#include "slurp.h"

#define PREFIX "aiotools-sd."

/* A worker may nest its own groups to this depth; so deep are they looked for, and not deeper. */
#define DEPTH_MAX        32
/* Passes that signal what was forked during the one before. */
#define ASK_PASSES_MAX   16
/* Of groups that a worker has made; more are left for its server's end, and then for others. */
#define REMOVALS_MAX     10000
#define VAIN_MAX         256
/* Others may have the name already. */
#define NAMES_MAX        1000
#define PROC_MAX         ((size_t)1 << 20)
/* Until the process with which groups are tried has ended. */
#define TRIAL_PASSES     2000
#define TRIAL_PAUSE_MSEC 1

/* ---- files of a group ------------------------------------------------------------------------ */

static int open_directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_file(int fd, const char *name, const char *text)
{
    int file = openat(fd, name, O_WRONLY | O_CLOEXEC), r = 0;

    if (file < 0)
        return -errno;
    if (write(file, text, strlen(text)) < 0)
        r = -errno;
    (void)close(file);
    return r;
}

/* Each read of such a file begins anew, and marks its present state as known. */
int cgroup_changed(int events)
{
    char text[256];
    ssize_t n = pread(events, text, sizeof(text) - 1, 0);

    if (n < 0)
        return -errno;
    text[n] = '\0';
    const char *populated = strstr(text, "populated ");
    return populated ? populated[strlen("populated ")] == '1' : -ENODATA;
}

int cgroup_open_events(const struct cgroup *group)
{
    int fd = openat(group->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cgroup_is_populated(const struct cgroup *group)
{
    int events = cgroup_open_events(group), r;

    /* Somebody has removed it, for which it had to be empty. */
    if (events == -ENOENT || events == -ENODEV)
        return 0;
    if (events < 0)
        return events;
    r = cgroup_changed(events);
    (void)close(events);
    return r == -ENODEV ? 0 : r;
}

/* ---- members --------------------------------------------------------------------------------- */

/* Called with each member; a negative errno ends the walk. */
typedef int (*member_fn)(pid_t pid, void *userdata);

/* A pid is 0 for a process outside our pid namespace. */
static int each_of_file(FILE *file, member_fn fn, void *userdata)
{
    int pid, r = 0;

    while (r >= 0 && fscanf(file, "%d", &pid) == 1)
        if (pid > 0)
            r = fn(pid, userdata);
    return r;
}

/* The members of a threaded group are those of a group above it. */
static int each_of_group(int fd, member_fn fn, void *userdata)
{
    int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);

    if (procs < 0)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    FILE *file = fdopen(procs, "re");
    if (!file) {
        (void)close(procs);
        return -ENOMEM;
    }
    int r = each_of_file(file, fn, userdata);
    (void)fclose(file);
    return r;
}

/* Takes the descriptor. */
static int each_below(int fd, unsigned depth, member_fn fn, void *userdata)
{
    DIR *dir = fdopendir(fd);
    struct dirent *e;
    int r;

    if (!dir) {
        r = -errno;
        (void)close(fd);
        return r;
    }
    r = each_of_group(fd, fn, userdata);
    while (r >= 0 && depth < DEPTH_MAX && (e = readdir(dir))) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        int child = open_directory(fd, e->d_name);
        if (child >= 0)
            r = each_below(child, depth + 1, fn, userdata);
        else if (child != -ENOENT)
            r = child;
    }
    (void)closedir(dir);
    return r;
}

/* Most workers leave nothing behind: to see that takes no memory. */
static int each_member(const struct cgroup *group, member_fn fn, void *userdata)
{
    if (cgroup_is_populated(group) == 0)
        return 0;
    /* Not a duplicate of our descriptor, whose position would be the same. */
    int fd = open_directory(group->fd, ".");
    if (fd < 0)
        return fd == -ENOENT || fd == -ENODEV ? 0 : fd;
    return each_below(fd, 0, fn, userdata);
}

static bool is_below(const char *path, const char *group)
{
    size_t n = strlen(group);

    return strncmp(path, group, n) == 0 && (path[n] == '/' || path[n] == '\n' || path[n] == '\0');
}

int cgroup_has(const struct cgroup *group, pid_t pid)
{
    char file[40], *text;
    size_t size;
    int r;

    (void)snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
    r = slurp_path(file, 0, PROC_MAX, &text, &size);
    if (r < 0)
        return r == -ENOENT ? -ESRCH : r;
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    r = line && is_below(strchr(line, ':') + 2, group->path);
    free(text);
    return r;
}

/* ---- signals --------------------------------------------------------------------------------- */

/* To the process that is a member now, and not to a later one with its pid. */
static int signal_member(const struct cgroup *group, pid_t pid, int signo)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0), r;

    if (fd < 0)
        return -errno;
    r = cgroup_has(group, pid);
    if (r > 0 && syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0) < 0)
        r = -errno;
    /* A stopped process would not handle the signal. */
    if (r > 0 && signo != SIGKILL)
        (void)syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0);
    (void)close(fd);
    return r;
}

static int kill_member(pid_t pid, void *userdata)
{
    (void)signal_member(userdata, pid, SIGKILL);
    return 0;
}

/*
 * A frozen process can be killed, and does not fork before. So all die that were frozen when the
 * list was made; the others are for the next pass.
 */
static int kill_one_by_one(const struct cgroup *group)
{
    struct cgroup copy = *group;

    (void)write_file(group->fd, "cgroup.freeze", "1");
    return each_member(group, kill_member, &copy);
}

int cgroup_kill(const struct cgroup *group)
{
    int r = cgroup_is_populated(group);

    if (r == 0)
        return 0;
    if (write_file(group->fd, "cgroup.kill", "1") < 0) {
        int s = kill_one_by_one(group);
        r = s < 0 ? s : r;
    }
    return r < 0 ? r : cgroup_is_populated(group);
}

bool cgroup_kills_at_once(const struct cgroup *group)
{
    return faccessat(group->fd, "cgroup.kill", W_OK, 0) == 0;
}

struct ask {
    const struct cgroup *group;
    pid_t except;
    int signo;
    struct scan asked; /* with their start times, as a pid may come again */
    unsigned n_new, n;
};

static bool was_asked(const struct ask *ask, const struct scan_process *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ask->asked.items[i].pid == p->pid && ask->asked.items[i].start == p->start)
            return true;
    return false;
}

static int ask_member(pid_t pid, void *userdata)
{
    struct ask *ask = userdata;
    size_t n = ask->asked.n;
    int r;

    if (pid == ask->except)
        return 0;
    r = scan_add(&ask->asked, pid);
    if (r < 0 || ask->asked.n == n)
        return r;
    if (was_asked(ask, &ask->asked.items[n], n)) {
        ask->asked.n = n;
        ask->n++;
        return 0;
    }
    ask->n++;
    ask->n_new++;
    (void)signal_member(ask->group, pid, ask->signo);
    return 0;
}

ssize_t cgroup_signal(const struct cgroup *group, pid_t except, int signo)
{
    struct ask ask = {.group = group, .except = except, .signo = signo};
    int r = 0;

    for (unsigned pass = 0; pass < ASK_PASSES_MAX && r >= 0; pass++) {
        ask.n_new = ask.n = 0;
        r = each_member(group, ask_member, &ask);
        if (ask.n_new == 0)
            break;
    }
    scan_done(&ask.asked);
    return r < 0 ? r : (ssize_t)ask.n;
}

struct look {
    pid_t except;
    struct process_names *names;
    ssize_t n;
};

static int look_at(pid_t pid, void *userdata)
{
    struct look *look = userdata;

    if (pid == look->except)
        return 0;
    look->n++;
    if (look->names)
        process_names_add(look->names, pid);
    return 0;
}

ssize_t cgroup_look(const struct cgroup *group, pid_t except, struct process_names *names)
{
    struct look look = {.except = except, .names = names};
    int r = each_member(group, look_at, &look);

    return r < 0 ? r : look.n;
}

/* ---- making and entering --------------------------------------------------------------------- */

int cgroup_open_door(const struct cgroup *group)
{
    int fd = openat(group->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

RAW_CODE int cgroup_enter(int door)
{
    long n = raw_call(SYS_write, door, "0", 1);
    return n < 0 ? (int)n : 0;
}

/* The group in which it lies is above->path. -EEXIST: the name is taken. */
static int make(struct cgroup *ret, int parent, const char *above, const char *name)
{
    struct cgroup group = {.parent = parent, .fd = -1};

    if (asprintf(&group.path, "%s/%s", above, name) < 0)
        return -ENOMEM;
    int r = mkdirat(parent, name, 0755) < 0 ? -errno : 0;
    if (r >= 0) {
        group.fd = open_directory(parent, name);
        r = group.fd < 0 ? group.fd : 0;
        if (r < 0)
            (void)unlinkat(parent, name, AT_REMOVEDIR);
    }
    if (r < 0) {
        free(group.path);
        return r;
    }
    *ret = group;
    return 0;
}

/* Fewer levels than each_member() follows. */
#define LEVELS_MAX "24"

/* A worker that may write these files must not keep the next one from a group, or freeze it. */
static void put_back_limits(const struct cgroups *groups)
{
    (void)write_file(groups->all.fd, "cgroup.freeze", "0");
    (void)write_file(groups->all.fd, "cgroup.max.descendants", "max");
    (void)write_file(groups->all.fd, "cgroup.max.depth", LEVELS_MAX);
}

int cgroups_add(struct cgroups *groups, unsigned slot, struct cgroup *ret)
{
    char name[64];
    int r;

    *ret = (struct cgroup)CGROUP_NONE;
    if (groups->all.fd < 0)
        return 0;
    (void)snprintf(name, sizeof(name), "slot-%u.%" PRIu64, slot, ++groups->n);
    put_back_limits(groups);
    r = make(ret, groups->all.fd, groups->all.path, name);
    return r;
}

/* ---- removing -------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* The first group in a directory; false: there is none. */
static bool first_below(int fd, char ret[static NAME_MAX + 1])
{
    int copy = open_directory(fd, ".");
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *e = NULL;

    while (dir && (e = readdir(dir)) && (e->d_type != DT_DIR || e->d_name[0] == '.'))
        ;
    if (e)
        (void)strcpy(ret, e->d_name);
    if (dir)
        (void)closedir(dir);
    else if (copy >= 0)
        (void)close(copy);
    return e;
}

static int step_to(int *at, const char *name)
{
    int next = open_directory(*at, name);

    if (next < 0)
        return next;
    (void)close(*at);
    *at = next;
    return 0;
}

/* Removes all groups below, however deep they are: with one descriptor, and without recursion. */
static int remove_below(int fd)
{
    char name[NAME_MAX + 1];
    int at = open_directory(fd, "."), r = at < 0 ? at : 0;

    for (unsigned depth = 0, n = 0, n_vain = 0; r >= 0; n++) {
        if (n > REMOVALS_MAX || n_vain > VAIN_MAX) {
            r = -EBUSY;
        } else if (!first_below(at, name)) {
            if (depth-- == 0)
                break;
            r = step_to(&at, "..");
        } else if (unlinkat(at, name, AT_REMOVEDIR) == 0) {
            n_vain = 0;
        } else if (errno != ENOENT) {
            r = errno == EBUSY ? step_to(&at, name) : -errno;
            depth++;
            n_vain++;
        }
    }
    if (at >= 0)
        (void)close(at);
    return r;
}

void cgroup_forget(struct cgroup *group)
{
    if (group->fd >= 0)
        (void)close(group->fd);
    free(group->path);
    *group = (struct cgroup)CGROUP_NONE;
}

/* Its name may belong to another one by now. */
static bool has_its_name(const struct cgroup *group)
{
    struct stat ours, there;

    return fstat(group->fd, &ours) == 0 &&
           fstatat(group->parent, base_name(group->path), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == there.st_ino;
}

/* -EBUSY: there are groups in it, or processes. */
static int remove_one(const struct cgroup *group)
{
    if (has_its_name(group) && unlinkat(group->parent, base_name(group->path), AT_REMOVEDIR) < 0 &&
        errno != ENOENT)
        return -errno;
    return 0;
}

int cgroup_remove(struct cgroup *group)
{
    int r = 0;

    if (group->fd < 0)
        return 0;
    r = cgroup_is_populated(group) > 0 ? -EBUSY : remove_one(group);
    if (r == -EBUSY && cgroup_is_populated(group) == 0) {
        r = remove_below(group->fd);
        r = r < 0 ? r : remove_one(group);
    }
    cgroup_forget(group);
    return r;
}

/* ---- those of a server ----------------------------------------------------------------------- */

static int make_server_group(struct cgroups *groups, const char *name)
{
    char text[NAME_MAX + 1];
    int r = -EEXIST;

    for (unsigned i = 0; r == -EEXIST && i < NAMES_MAX; i++) {
        int n = snprintf(text, sizeof(text), PREFIX "%.128s.%d", name, (int)getpid());
        if (i > 0)
            (void)snprintf(text + n, sizeof(text) - (size_t)n, ".%u", i);
        r = make(&groups->all, groups->parent, groups->place.path, text);
    }
    return r;
}

/* It is in the group when it executes its first instruction, or not at all. */
static pid_t fork_member(int door)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid < 0 ? -errno : pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    int r = cgroup_enter(door);
    if (r < 0)
        _exit(-r);
    for (;;)
        (void)pause();
}

static int await_member(const struct cgroup *group, pid_t pid)
{
    for (unsigned i = 0; i < TRIAL_PASSES; i++) {
        siginfo_t info = {0};

        int r = cgroup_has(group, pid);
        if (r != 0)
            return r < 0 ? r : 0;
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
            return info.si_code == CLD_EXITED ? -info.si_status : -ECHILD;
        (void)poll(NULL, 0, TRIAL_PAUSE_MSEC);
    }
    return -ETIMEDOUT;
}

static int try_kill(const struct cgroup *group)
{
    int r = 1;

    for (unsigned i = 0; r > 0 && i < TRIAL_PASSES; i++) {
        r = cgroup_kill(group);
        if (r > 0)
            (void)poll(NULL, 0, TRIAL_PAUSE_MSEC);
    }
    return r > 0 ? -ETIMEDOUT : r;
}

/* A process enters it, and dies with it. */
static int try_group(const struct cgroup *group, const char **ret_what)
{
    int door = cgroup_open_door(group), r;

    *ret_what = "opening cgroup.procs of a new group";
    if (door < 0)
        return door;
    *ret_what = "moving a process there";
    pid_t pid = fork_member(door);
    r = pid < 0 ? (int)pid : await_member(group, pid);
    (void)close(door);
    if (pid < 0)
        return r;
    if (r >= 0) {
        *ret_what = "killing a process there";
        r = try_kill(group);
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}

static int try_all(struct cgroups *groups, const char **ret_what)
{
    struct cgroup trial;
    int r = cgroups_add(groups, 0, &trial);

    *ret_what = "making a group in another";
    if (r < 0)
        return r;
    r = try_group(&trial, ret_what);
    int s = cgroup_remove(&trial);
    if (r >= 0 && s < 0) {
        *ret_what = "removing a group";
        r = s;
    }
    return r;
}

static int open_place(struct cgroups *groups, struct problem *p)
{
    int r = cgroup_place_find(&groups->place, "/proc/self/cgroup", "/proc/self/mountinfo", p);

    if (r >= 0)
        r = cgroup_place_check(&groups->place, cgroup_place_has_systemd(), p);
    if (r < 0)
        return r;
    groups->parent = open_directory(AT_FDCWD, groups->place.directory);
    if (groups->parent < 0)
        return problem_set(p, STATUS_OS, groups->parent, "%s: %s", groups->place.directory,
                           strerror(-groups->parent));
    return 0;
}

static int say_why(struct problem *p, int error, const struct cgroups *groups, const char *what)
{
    const char *remedy = "see the kernel's documentation of control groups";

    if (error == -EACCES || error == -EPERM)
        remedy = "give the directory to this user, as Delegate=yes with User= does for a service";
    else if (error == -EROFS)
        remedy = "mount it writable";
    else if (error == -EAGAIN)
        remedy = "raise cgroup.max.depth and cgroup.max.descendants above it";
    else if (error == -EOPNOTSUPP || error == -EBUSY)
        remedy = "start the server in a group of its own, without controllers for others in it";
    return problem_set(p, STATUS_OS, error, "%s: %s: %s; %s", groups->place.directory, what,
                       strerror(-error), remedy);
}

int cgroups_open(struct cgroups *ret, const char *name, struct problem *ret_problem)
{
    struct cgroups groups = CGROUPS_NONE;
    int r = open_place(&groups, ret_problem);

    if (r >= 0) {
        r = make_server_group(&groups, name);
        if (r < 0)
            (void)say_why(ret_problem, r, &groups, "making a group");
    }
    if (r < 0)
        (void)cgroups_close(&groups);
    else
        *ret = groups;
    return r;
}

int cgroups_try(struct cgroups *groups, struct problem *ret_problem)
{
    const char *what;
    int r = try_all(groups, &what);

    return r < 0 ? say_why(ret_problem, r, groups, what) : 0;
}

struct cgroups *cgroups_close(struct cgroups *groups)
{
    if (!groups)
        return NULL;
    (void)cgroup_remove(&groups->all);
    if (groups->parent >= 0)
        (void)close(groups->parent);
    (void)cgroup_place_done(&groups->place);
    *groups = (struct cgroups)CGROUPS_NONE;
    return NULL;
}

/* ---- what a killed server has left ----------------------------------------------------------- */

int cgroups_mark(const struct cgroups *groups, char *ret, size_t size)
{
    struct stat st;

    if (groups->all.fd < 0 || fstat(groups->all.fd, &st) < 0)
        return -ENOENT;
    int n = snprintf(ret, size, "%" PRIu64 "\n%s\n%s\n", (uint64_t)st.st_ino, groups->all.path,
                     groups->place.directory);
    return n >= (int)size ? -ENAMETOOLONG : 0;
}

/* Ends at the newline, which is replaced; NULL: there is none. */
static char *next_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');

    if (!end)
        return NULL;
    *end = '\0';
    *text = end + 1;
    return line;
}

static bool is_marked(int fd, const char *inode)
{
    struct statfs fs;
    struct stat st;

    return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC && fstat(fd, &st) == 0 &&
           st.st_ino == strtoull(inode, NULL, 10);
}

/* The strings lie in a copy of the mark. */
static int open_marked(struct cgroup *ret, int *ret_parent, const char *inode, const char *path,
                       const char *directory)
{
    struct cgroup group = CGROUP_NONE;

    if (!strrchr(path, '/') || strncmp(base_name(path), PREFIX, strlen(PREFIX)) != 0)
        return -ENOENT;
    group.parent = open_directory(AT_FDCWD, directory);
    if (group.parent < 0)
        return group.parent;
    group.fd = open_directory(group.parent, base_name(path));
    int r = group.fd < 0 ? group.fd : is_marked(group.fd, inode) ? 0 : -ENOENT;
    if (r >= 0 && !(group.path = strdup(path)))
        r = -ENOMEM;
    if (r < 0) {
        (void)close(group.parent);
        cgroup_forget(&group);
        return r;
    }
    *ret = group;
    *ret_parent = group.parent;
    return 0;
}

int cgroup_open_marked(struct cgroup *ret, int *ret_parent, const char *mark)
{
    char *copy = strdup(mark), *rest = copy;

    if (!copy)
        return -ENOMEM;
    char *inode = next_line(&rest), *path = inode ? next_line(&rest) : NULL;
    char *directory = path ? next_line(&rest) : NULL;
    int r = directory ? open_marked(ret, ret_parent, inode, path, directory) : -ENOENT;
    free(copy);
    return r;
}
