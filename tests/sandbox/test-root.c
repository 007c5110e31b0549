/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Root whose files are confined: what is denied besides, what a policy keeps open, and what its
 * mount namespace refuses. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "enter/mounts.h"
#include "enter/root.h"
#include "enter/sandbox.h"
#include "inside.h"
#include "policy/model.h"

#define HIGH (UINT64_C(0xdead0000) << 32)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const char *const all[] = {"root", "root-files", "root-truncate", NULL};

/* ---- what the policy says -------------------------------------------------------------------- */

static int answer_to(const ait_policy *policy, int number, const uint64_t args[6])
{
    ait_policy_action action = ait_policy_evaluate(policy, number, args);

    if (action.kind == AIT_POLICY_KILL)
        return -1;
    return action.kind == AIT_POLICY_ALLOW ? 0 : action.error;
}

static int answer(const ait_policy *policy, int number, uint64_t a, uint64_t b, uint64_t c)
{
    return answer_to(policy, number, (const uint64_t[6]){a, b, c});
}

static ait_policy *rooted(const char *text, const char *const *presets, const char *open)
{
    ait_policy *policy = inside_policy(text), *sum = NULL;
    char said[160];

    assert_int_equal(policy_add_root(&sum, policy, presets, said, sizeof(said)), 0);
    assert_string_equal(said, open);
    assert_string_equal(sum->name, policy->name);
    ait_policy_unref(policy);
    return sum;
}

static void rules_deny_what_is_not_seen(void **state)
{
    static const char *const names[] = {
        "chmod",      "fchmod",      "fchmodat",     "fchmodat2",      "chown",
        "lchown",     "fchown",      "fchownat",     "utime",          "utimes",
        "futimesat",  "utimensat",   "setxattr",     "lsetxattr",      "fsetxattr",
        "setxattrat", "removexattr", "lremovexattr", "fremovexattr",   "removexattrat",
        "truncate",   "mq_open",     "mq_unlink",    "shmget",         "shmat",
        "semget",     "msgget",      "file_setattr", "io_uring_setup", "open_by_handle_at",
        "mount",      "move_mount",  "pivot_root",   "chroot",         "swapon",
        "acct",       "quotactl",    "openat2",
    };
    const struct {
        int number;
        uint64_t args[6];
        int error;
    } cases[] = {
        {SYS_openat, {0, 0, O_WRONLY | O_CREAT, S_ISUID | 0755}, EPERM},
        {SYS_openat, {0, 0, HIGH | O_WRONLY | O_CREAT, HIGH | S_ISGID}, EPERM},
        {SYS_openat, {0, 0, O_WRONLY | O_TMPFILE, S_ISUID}, EPERM},
        {SYS_openat, {0, 0, O_WRONLY | O_CREAT, S_ISVTX | 0777}, 0},
        {SYS_openat, {0, 0, O_DIRECTORY, S_ISUID}, 0}, /* not read */
        {SYS_mknodat, {0, 0, S_IFREG | S_ISUID}, EPERM},
        {SYS_mknodat, {0, 0, S_IFSOCK | 0777}, 0},
        {SYS_mkdirat, {0, 0, 0777}, 0},
        {SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, EPERM},
        {SYS_socket, {HIGH | AF_UNIX, HIGH | SOCK_SEQPACKET | SOCK_CLOEXEC, 0}, EPERM},
        {SYS_socket, {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0}, 0},
        {SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0},
        {SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0}, 0},
        {SYS_ioctl, {3, FS_IOC_SETFLAGS, 0}, EPERM},
        {SYS_ioctl, {3, HIGH | FS_IOC_FSSETXATTR, 0}, EPERM},
        {SYS_ioctl, {3, FIFREEZE, 0}, EPERM},
        {SYS_ioctl, {3, 0x5000940e, 0}, EPERM},
        {SYS_ioctl, {3, 0xaa00, 0}, EPERM},
        {SYS_ioctl, {3, TIOCSTI, 0}, EPERM},
        {SYS_ioctl, {3, TCGETS, 0}, 0},
        {SYS_ioctl, {3, FIONBIO, 0}, 0},
        {SYS_ioctl, {3, SIOCGIFCONF, 0}, 0},
        {SYS_ioctl, {3, FS_IOC_GETFLAGS, 0}, 0},
        {SYS_ioctl, {3, FICLONE, 0}, 0},
        {SYS_fcntl, {3, F_SETLEASE, F_WRLCK}, EPERM},
        {SYS_fcntl, {3, 1040, F_WRLCK}, EPERM},
        {SYS_fcntl, {3, F_SETFL, 0}, 0},
        {SYS_openat, {(uint64_t)AT_FDCWD, 0, O_RDONLY | O_TRUNC}, EPERM},
        {SYS_openat, {(uint64_t)AT_FDCWD, 0, O_ACCMODE | O_TRUNC}, EPERM},
        {SYS_openat, {(uint64_t)AT_FDCWD, 0, O_WRONLY | O_CREAT | O_TRUNC}, 0},
        {SYS_openat, {(uint64_t)AT_FDCWD, 0, O_RDONLY | O_DIRECTORY}, 0},
        {SYS_ftruncate, {3, 0, 0}, 0},
        {SYS_renameat2, {0}, 0},
        {SYS_getxattr, {0}, 0},
    };
    /* One that allows all is a policy, too. */
    ait_policy *policies[] = {rooted("policy 1\ninclude service\n", all, ""),
                              rooted("policy 1\ndefault allow\n", all, "")};

    for (size_t k = 0; k < N(policies); k++) {
        for (size_t i = 0; i < N(names); i++) {
            int number = ait_syscall_from_name(names[i]);
            if (number >= 0 && answer(policies[k], number, 0, 0, 0) == 0)
                fail_msg("policy %zu: %s", k, names[i]);
        }
        for (size_t i = 0; i < N(cases); i++) {
            int error = answer_to(policies[k], cases[i].number, cases[i].args);
            if (error != cases[i].error && !(k == 1 && cases[i].args[1] == TIOCSTI))
                fail_msg("policy %zu, case %zu: %d", k, i, error);
        }
        ait_policy_unref(policies[k]);
    }
}

static void names_of_a_user_come_first(void **state)
{
    ait_policy *p = rooted("policy 1\ninclude service\n@chown\nchmod\nfchmod arg1 == 0\n"
                           "fchmod arg1 == 1: errno(EACCES)\nutime: kill\nutimes: enosys\n"
                           "socket arg0 == AF_UNIX && arg1 & 0xf == SOCK_STREAM\n"
                           "ioctl arg1 == FS_IOC_SETFLAGS\nioctl arg1 == TCGETS\nfcntl\n",
                           all, "ioctl, socket, chmod, fchmod");
    const struct {
        int number;
        uint64_t args[3];
        int error;
    } cases[] = {
        {SYS_fchown, {0}, EPERM},
        {SYS_fchmod, {3, 0}, 0},
        {SYS_fchmod, {3, 1}, EACCES},
        {SYS_fchmod, {3, 2}, EPERM},
        {SYS_socket, {AF_UNIX, SOCK_STREAM}, 0},
        {SYS_socket, {AF_UNIX, SOCK_SEQPACKET}, EPERM},
        {SYS_socket, {AF_PACKET, SOCK_DGRAM}, EPERM},
        {SYS_ioctl, {3, FS_IOC_SETFLAGS}, 0},
        {SYS_ioctl, {3, FS_IOC_FSSETXATTR}, EPERM},
        {SYS_ioctl, {3, TIOCSTI}, EPERM},
        {SYS_fcntl, {3, F_SETLEASE}, EPERM},
#ifdef SYS_chmod
        {SYS_chmod, {0}, 0},
        {SYS_utime, {0}, -1},
        {SYS_utimes, {0}, ENOSYS},
#endif
    };

    for (size_t i = 0; i < N(cases); i++) {
        const uint64_t *a = cases[i].args;
        int error = answer(p, cases[i].number, a[0], a[1], a[2]);
        if (error != cases[i].error)
            fail_msg("case %zu: %d", i, error);
    }
    ait_policy_unref(p);
}

/* What follows keeps its exceptions. */
static void presets_add_up(void **state)
{
    ait_policy *p =
        rooted("policy 1\ninclude service\ntruncate\nfchmod\n", all, "fchmod, truncate");

    assert_int_equal(answer(p, SYS_truncate, 0, 0, 0), 0);
    assert_int_equal(answer(p, SYS_fchmod, 0, 0, 0), 0);
    ait_policy_unref(p);
    p = rooted("policy 1\ninclude service\nchmod arg1 & 07000 == 04000\nmq_open\n", all,
               "chmod, mq_open");
    assert_int_equal(answer(p, SYS_fchmodat, 0, 0, S_ISUID), EPERM);
    ait_policy_unref(p);
    p = rooted("policy 1\ninclude service\n", (const char *const[]){"root", NULL}, "");
    assert_int_equal(answer(p, SYS_fchmod, 0, 02755, 0), EPERM);
    assert_int_equal(answer(p, SYS_fchmod, 0, 01755, 0), 0);
    assert_int_equal(answer(p, SYS_socket, AF_UNIX, SOCK_STREAM, 0), EPERM);
    ait_policy_unref(p);
}

static void many_names_end_in_dots(void **state)
{
    ait_policy *policy = inside_policy("policy 1\nchmod\nfchmod\nfchmodat\nlchown\nfchown\n"), *sum;
    char open[24];

    assert_int_equal(policy_add_root(&sum, policy, all, open, sizeof(open)), 0);
    assert_non_null(strstr(open, ", ..."));
    ait_policy_unref(sum);
    ait_policy_unref(policy);
}

/* ---- inside ---------------------------------------------------------------------------------- */

static char base[] = "/tmp/test-root-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % N(paths)];

    (void)snprintf(path, PATH_MAX, "%s/%s", base, name);
    return path;
}

static void make(const char *name)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
}

/* Nothing that is mounted here is seen by others. */
static int make_all(void **state)
{
    static const char *const folders[] = {"in", "in/fixed", "in/open", "out", "other"};

    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 0;
    assert_non_null(mkdtemp(base));
    assert_int_equal(mount("none", base, "tmpfs", 0, NULL), 0);
    for (size_t i = 0; i < N(folders); i++)
        assert_int_equal(mkdir(at(folders[i]), 0755), 0);
    assert_int_equal(mount("none", at("in/fixed"), "tmpfs", 0, NULL), 0);
    make("in/fixed/file");
    assert_int_equal(mount("none", at("in/fixed"), NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_int_equal(mount("none", at("in/open"), "tmpfs", 0, NULL), 0);
    make("in/file");
    make("in/open/file");
    make("out/file");
    make("one");
    assert_int_equal(symlink("in", at("link")), 0);
    return 0;
}

static int remove_all(void **state)
{
    if (base[strlen(base) - 1] != 'X') {
        (void)umount2(base, MNT_DETACH);
        (void)rmdir(base);
    }
    return 0;
}

static int changes(const void *path)
{
    return chmod(path, 0640) < 0 ? errno : 0;
}

static ait_sandbox *confined(const char *const *read_write)
{
    static const char *const everything[] = {"/", NULL};
    ait_policy *service;
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;

    inside_needs_landlock(1);
    if (base[strlen(base) - 1] == 'X')
        skip(); /* not root, or mounting is refused */
    assert_int_equal(ait_policy_from_preset(&service, "service", &problem), 0);
    ait_sandbox *s = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.policy = service, .read_only = everything, .read_write = read_write,
                            .capabilities = AIT_SANDBOX_SERVICE_CAPABILITIES,
                            .flags = AIT_SANDBOX_ROOT));
    ait_policy_unref(service);
    return s;
}

static void files_outside_are_read_only(void **state)
{
    const char *read_write[] = {at("link"), at("one"), "/dev/null", NULL};
    const struct {
        const char *path;
        int error;
    } cases[] = {
        {"in", 0},           {"in/file", 0},           {"in/open/file", 0},
        {"one", 0},          {"in/fixed/file", EROFS}, /* as it was before */
        {"out/file", EROFS}, {"out/../in/file", 0},    {"other", EROFS},
        {".", EROFS},
    };
    char copies[2][PATH_MAX];
    for (int i = 0; i < 2; i++)
        read_write[i] = strcpy(copies[i], read_write[i]);
    ait_sandbox *s = confined(read_write);

    assert_non_null(strstr(ait_sandbox_text(s), "; root: files outside are read-only"));
    for (size_t i = 0; i < N(cases); i++) {
        int error = inside(s, changes, at(cases[i].path));
        if (error != cases[i].error)
            fail_msg("%s: %d", cases[i].path, error);
    }
    assert_int_equal(inside(s, changes, "/dev/null"), EROFS);
    assert_int_equal(inside(s, changes, "/proc/self/root/dev/null"), EROFS);
    ait_sandbox_unref(s);
}

/* The directory that it is in is below the mount that can be written. */
static void current_directory_can_be_written(void **state)
{
    char in[PATH_MAX];
    const char *read_write[] = {strcpy(in, at("in")), NULL};
    ait_sandbox *s = confined(read_write);
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(chdir(at("in/open")), 0);
    assert_int_equal(inside(s, changes, "file"), 0);
    assert_int_equal(inside(s, changes, "../file"), 0);
    assert_int_equal(inside(s, changes, "../../out/file"), EROFS);
    assert_int_equal(fchdir(here), 0);
    close(here);
    ait_sandbox_unref(s);
}

/* A path that has gone does not keep anyone from entering. */
static void a_path_may_go(void **state)
{
    char other[PATH_MAX], in[PATH_MAX];
    const char *read_write[] = {strcpy(other, at("other")), strcpy(in, at("in")), NULL};
    ait_sandbox *s = confined(read_write);

    assert_int_equal(rmdir(other), 0);
    assert_int_equal(inside(s, changes, at("in/file")), 0);
    assert_int_equal(inside(s, changes, at("out/file")), EROFS);
    assert_int_equal(mkdir(other, 0755), 0);
    ait_sandbox_unref(s);
}

static void all_may_be_written(void **state)
{
    ait_sandbox *s = confined((const char *const[]){"/", NULL});

    assert_non_null(strstr(ait_sandbox_text(s), "; root: sockets of files are refused"));
    assert_int_equal(inside(s, changes, at("out/file")), 0);
    ait_sandbox_unref(s);
}

static void drop_admin(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        _exit(100);
    data[0].effective &= ~(1U << CAP_SYS_ADMIN);
    data[0].permitted &= ~(1U << CAP_SYS_ADMIN);
    if (syscall(SYS_capset, &header, data) < 0)
        _exit(101);
}

/* Then nobody changes anything, inside the paths or outside. */
static void without_mounts_the_calls_are_denied(void **state)
{
    char in[PATH_MAX];
    const char *read_write[] = {strcpy(in, at("in")), NULL};
    int status;

    ait_sandbox_unref(confined(read_write)); /* or skipped */
    pid_t pid = fork();
    if (pid == 0) {
        drop_admin();
        ait_sandbox *s = confined(read_write);
        bool good = strstr(ait_sandbox_text(s), "(no mount namespace: Operation not permitted)") &&
                    inside(s, changes, at("in/file")) == EPERM &&
                    inside(s, changes, at("out/file")) == EPERM;
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void too_many_paths_are_not_mounted(void **state)
{
    const char *read_write[MOUNTS_MAX + 2] = {0};
    struct mounts mounts;
    int error = 0;

    for (size_t i = 0; i <= MOUNTS_MAX; i++)
        read_write[i] = "/tmp";
    assert_int_equal(mounts_prepare(&mounts, read_write, &error), 0);
    assert_int_equal(error, -E2BIG);
    assert_false(mounts.used);
    assert_int_equal(mounts_enter(&mounts), 0);
    mounts_done(&mounts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_deny_what_is_not_seen),
        cmocka_unit_test(names_of_a_user_come_first),
        cmocka_unit_test(presets_add_up),
        cmocka_unit_test(many_names_end_in_dots),
        cmocka_unit_test(files_outside_are_read_only),
        cmocka_unit_test(current_directory_can_be_written),
        cmocka_unit_test(a_path_may_go),
        cmocka_unit_test(all_may_be_written),
        cmocka_unit_test(without_mounts_the_calls_are_denied),
        cmocka_unit_test(too_many_paths_are_not_mounted),
    };

    return cmocka_run_group_tests(tests, make_all, remove_all);
}
