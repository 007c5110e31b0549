/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor: what this kernel and this machine's libraries offer, and what is lost if something is
 * missing. Each feature is tried, not looked up by version: distributions backport features, and
 * containers remove them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/cgroup.h"
#include "commands.h"
#include "slurp.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define NUMBER_landlock_create_ruleset 444
#define NUMBER_mount_setattr           442
#define AT_RECURSIVE_                  0x8000
#define LANDLOCK_ASK_VERSION           1U

enum verdict { MISSING, PRESENT };

/* A remark for people; large enough for each of them. */
typedef char remark[800];

struct probe {
    const char *name;
    enum verdict (*run)(remark found);
    const char *lost; /* if it is missing */
};

static enum verdict verdict(bool present)
{
    return present ? PRESENT : MISSING;
}

/* ---- kernel: processes, polling, memory ------------------------------------------------------ */

static enum verdict probe_pidfd(remark found)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0)
        close(fd);
    return verdict(fd >= 0);
}

static enum verdict probe_close_range(remark found)
{
    return verdict(syscall(SYS_close_range, ~0U, ~0U, 0) == 0);
}

static enum verdict probe_epoll_pwait2(remark found)
{
#ifdef SYS_epoll_pwait2
    struct epoll_event event;
    struct timespec now = {0};
    int fd = epoll_create1(EPOLL_CLOEXEC);
    long r = syscall(SYS_epoll_pwait2, fd, &event, 1, &now, NULL, 0);
    if (fd >= 0)
        close(fd);
    return verdict(r == 0);
#else
    return MISSING;
#endif
}

static enum verdict probe_guards(remark found)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return MISSING;
    /* Emulators say yes and do nothing: a guard is what the kernel cannot read. */
    bool works =
        madvise(map, page, MADV_GUARD_INSTALL) == 0 && access(map, F_OK) < 0 && errno == EFAULT;
    munmap(map, page);
    return verdict(works);
}

static enum verdict probe_subreaper(remark found)
{
    int before = 0;
    return verdict(prctl(PR_GET_CHILD_SUBREAPER, &before, 0, 0, 0) == 0);
}

/* ---- kernel: sandbox ------------------------------------------------------------------------- */

static bool action_is_there(uint32_t action)
{
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static enum verdict probe_seccomp(remark found)
{
    return verdict(action_is_there(SECCOMP_RET_ERRNO) && action_is_there(SECCOMP_RET_KILL_PROCESS));
}

static enum verdict probe_seccomp_log(remark found)
{
    char names[128] = "";
    if (read_text("/proc/sys/kernel/seccomp/actions_logged", names, sizeof(names)) > 0)
        snprintf(found, sizeof(remark), "the kernel logs: %.*s", (int)strcspn(names, "\n"), names);
    return verdict(action_is_there(SECCOMP_RET_LOG));
}

static enum verdict probe_notification(remark found)
{
    return verdict(action_is_there(SECCOMP_RET_USER_NOTIF));
}

/*
 * A kernel that knows the flag goes on to look for the program, which does not exist; otherwise the
 * call fails before.
 */
static enum verdict probe_wait_killable(remark found)
{
    unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    return verdict(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 &&
                   errno == EFAULT);
}

static enum verdict probe_outer_filter(remark found)
{
    int mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
    snprintf(found, sizeof(remark), "%s",
             mode > 0 ? "aiotools-sd already runs under a filter, which also applies to the workers"
                      : "none");
    return PRESENT;
}

static int landlock_abi(void)
{
    return (int)syscall(NUMBER_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
}

static enum verdict landlock_at_least(int abi, remark found)
{
    int there = landlock_abi();
    if (there > 0)
        snprintf(found, sizeof(remark), "ABI %d", there);
    else
        snprintf(found, sizeof(remark), "%s",
                 errno == EOPNOTSUPP ? "switched off at boot" : "not in this kernel");
    return verdict(there >= abi);
}

static enum verdict probe_landlock(remark found)
{
    return landlock_at_least(1, found);
}

static enum verdict probe_landlock_net(remark found)
{
    return landlock_at_least(4, found);
}

static enum verdict probe_landlock_scope(remark found)
{
    return landlock_at_least(6, found);
}

/* All that a mount namespace for confined root needs, in a child. */
static int try_mounts(void)
{
    static const uint64_t read_only[4] = {1};

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return errno;
    return syscall(NUMBER_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE_, read_only,
                   sizeof(read_only)) < 0
               ? errno
               : 0;
}

static enum verdict probe_mounts(remark found)
{
    int status;

    if (geteuid() != 0) {
        snprintf(found, sizeof(remark), "only for root");
        return PRESENT;
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(try_mounts());
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
        return MISSING;
    if (WEXITSTATUS(status) != 0)
        snprintf(found, sizeof(remark), "%s", strerror(WEXITSTATUS(status)));
    return verdict(WEXITSTATUS(status) == 0);
}

/* ---- control groups, systemd, libraries ------------------------------------------------------ */

/* As run does it: makes groups, and removes them again. */
static enum verdict probe_cgroup(remark found)
{
    struct cgroups groups;
    struct problem p;

    int r = cgroups_open(&groups, "doctor", &p);
    if (r >= 0 && (r = cgroups_try(&groups, &p)) < 0)
        cgroups_close(&groups);
    if (r < 0) {
        snprintf(found, sizeof(remark), "%s", p.text);
        return MISSING;
    }
    snprintf(found, sizeof(remark), "in %.600s, one per worker; %s", groups.place.directory,
             cgroup_kills_at_once(&groups.all) ? "killed at once"
                                               : "frozen, and killed one by one");
    cgroups_close(&groups);
    return PRESENT;
}

static enum verdict probe_systemd(remark found)
{
    return verdict(access("/run/systemd/system", F_OK) == 0);
}

static enum verdict probe_journal(remark found)
{
    struct sockaddr_un journal = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool there = fd >= 0 && connect(fd, (struct sockaddr *)&journal, sizeof(journal)) == 0;
    if (fd >= 0)
        close(fd);
    return verdict(there);
}

static enum verdict probe_libseccomp(remark found)
{
    const struct scmp_version *v = seccomp_version();
    bool mended =
        v->major > 2 || (v->major == 2 && (v->minor > 6 || (v->minor == 6 && v->micro >= 1)));
    snprintf(found, sizeof(remark), "%u.%u.%u%s", v->major, v->minor, v->micro,
             mended ? "" : "; it miscompiles some policies, which verification detects");
    return PRESENT;
}

/* ---- the report ------------------------------------------------------------------------------ */

static const struct probe kernel_probes[] = {
    {"process file descriptors", probe_pidfd, "nothing works: Linux 5.10 or newer is needed"},
    {"subreaper", probe_subreaper, "processes that workers leave behind are not noticed"},
    {"close_range", probe_close_range,
     "starting a worker reads /proc/self/fd instead, which is slower"},
    {"epoll_pwait2", probe_epoll_pwait2, "the loop wakes up to a millisecond late"},
    {"guard pages by advice", probe_guards,
     "tasks are limited by vm.max_map_count, to some 32000 by default"},
    {NULL, NULL, NULL},
};

static const struct probe sandbox_probes[] = {
    {"seccomp filters", probe_seccomp,
     "--sandbox=service and --policy end with 77; only --sandbox=none runs"},
    {"seccomp log", probe_seccomp_log, "--sandbox=log and --deny=log end with 77"},
    {"seccomp notification", probe_notification, "--deny=explain and sandbox learn end with 77"},
    {"killable notification", probe_wait_killable,
     "an explained call that a signal interrupts is reported once more"},
    {"filter around us", probe_outer_filter, ""},
    {"Landlock: files", probe_landlock,
     "--read-only, --read-write and --sandbox=strict end with 77"},
    {"Landlock: ports", probe_landlock_net, "--connect ends with 77"},
    {"Landlock: scopes", probe_landlock_scope,
     "a worker can signal processes of its user outside its slot"},
    {"mount namespace", probe_mounts,
     "workers that run as root with confined files change attributes of no file"},
    {"libseccomp", probe_libseccomp, ""},
    {NULL, NULL, NULL},
};

static const struct probe system_probes[] = {
    {"systemd", probe_systemd, "no units; aiotools-sd run opens its sockets itself"},
    {"journal", probe_journal,
     "aiotools-sd does not need it; systemd would store the workers' output in it"},
    {"control groups", probe_cgroup,
     "what workers start is found by its descent, and may outlive a kill -9 of all of us"},
    {NULL, NULL, NULL},
};

static unsigned report_section(const char *title, const struct probe *probes)
{
    unsigned missing = 0;

    printf("%s\n", title);
    for (; probes->name; probes++) {
        remark found = "";
        bool there = probes->run(found) == PRESENT;
        missing += !there;
        printf("  %-8s%-26s%s%s%s\n", there ? "ok" : "missing", probes->name, found,
               !there && *found ? "; " : "", there ? "" : probes->lost);
    }
    return missing;
}

static int doctor(const struct command *command, int argc, char **argv)
{
    const struct option_spec *stopped;
    struct utsname system;
    struct problem p;
    int first;

    int r = options_parse(help_options, NULL, argc, argv, &first, &stopped, &p);
    if (r < 0)
        return report(&p);
    if (r == OPTION_STOP)
        return print_command_help(command);
    if (first < argc) {
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "%s: doctor takes no arguments", argv[first]);
        return report(&p);
    }
    if (uname(&system) < 0)
        strcpy(system.release, "of an unknown version");
    printf("aiotools-sd %s on Linux %s, %s\n\n", AIT_VERSION, system.release, system.machine);
    unsigned missing = report_section("Kernel", kernel_probes);
    missing += report_section("\nSandbox", sandbox_probes);
    missing += report_section("\nSystem", system_probes);
    printf("\n%s\n", missing == 0 ? "Nothing is missing."
                                  : "Each missing feature is listed with what is lost without it. "
                                    "Everything else works.");
    return print_done();
}

const struct command doctor_command = {
    .name = "doctor",
    .arguments = "[OPTION...]",
    .summary = "show what this system offers, and what is lost without it",
    .options = help_options,
    .run = doctor,
    .offers = "-W ''",
};
