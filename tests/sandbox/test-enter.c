/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making a sandbox, and entering it: what is refused, what each step does, and that it fails
 * closed. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "enter/landlock.h"
#include "enter/sandbox.h"
#include "inside.h"

static const char UNAME_DENIED[] = "policy 1\ndefault allow\nuname: errno(EACCES)\n";
static ait_sandbox *uname_denied;

static int said(long r)
{
    return r < 0 ? errno : 0;
}

static int try_uname(const void *arg)
{
    struct utsname name;
    return said(uname(&name));
}

/* ---- options --------------------------------------------------------------------------------- */

static void options_are_checked(void **state)
{
    const uint16_t port = 1;
    const ait_sandbox_options cases[] = {
        {.size = 0},
        {.size = sizeof(ait_sandbox_options) - 1},
        {.size = sizeof(ait_sandbox_options), .flags = 1u << 31},
        {.size = sizeof(ait_sandbox_options), .deny = 17},
        {.size = sizeof(ait_sandbox_options), .deny = AIT_SANDBOX_DENY_EXPLAIN},
        {.size = sizeof(ait_sandbox_options), .n_connect_ports = 1},
    };
    ait_sandbox *s = (ait_sandbox *)(uintptr_t)&port;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        assert_int_equal(ait_sandbox_new(&s, &cases[i], &problem), -EINVAL);
        assert_true(problem.message[0] != '\0');
        assert_int_equal(ait_sandbox_new(&s, &cases[i], NULL), -EINVAL);
        assert_ptr_equal(s, &port);
    }
    assert_int_equal(ait_sandbox_new(&s, NULL, NULL), -EINVAL);
    assert_int_equal(ait_sandbox_new(NULL, AIT_SANDBOX_OPTIONS(.flags = 0), NULL), -EINVAL);
    assert_null(ait_sandbox_unref(NULL));
    assert_null(ait_sandbox_ref(NULL));
}

static void text_says_what_is_in_force(void **state)
{
    ait_policy *policy = inside_policy(UNAME_DENIED);
    const struct {
        ait_sandbox_options options;
        const char *words[3];
    } cases[] = {
        {{.policy = policy}, {"policy test", "is refused", "no capabilities"}},
        {{.policy = policy, .deny = AIT_SANDBOX_DENY_KILL, .capabilities = 3},
         {"is fatal", "limited to 2", "no_new_privs"}},
        {{.policy = policy, .deny = AIT_SANDBOX_DENY_LOG, .flags = AIT_SANDBOX_KEEP_CAPABILITIES},
         {"only logged", "capabilities untouched", "no_new_privs"}},
        {{.flags = AIT_SANDBOX_KEEP_CAPABILITIES}, {"system calls are not limited", "", ""}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ait_sandbox_options options = cases[i].options;
        options.size = sizeof(options);
        ait_sandbox *s = inside_sandbox(&options);
        for (size_t k = 0; k < 3; k++)
            if (!strstr(ait_sandbox_text(s), cases[i].words[k]))
                fail_msg("case %zu: %s", i, ait_sandbox_text(s));
        assert_null(strchr(ait_sandbox_text(s), '\n'));
        assert_ptr_equal(ait_sandbox_ref(s), s);
        ait_sandbox_unref(s);
        ait_sandbox_unrefp(&s);
        assert_null(s);
    }
    ait_policy_unref(policy);
}

/* ---- entering -------------------------------------------------------------------------------- */

static void modes(void **state)
{
    static const struct {
        ait_sandbox_deny deny;
        int result;
    } cases[] = {
        {AIT_SANDBOX_DENY_ERRNO, EACCES},
        {AIT_SANDBOX_DENY_LOG, 0},
        {AIT_SANDBOX_DENY_KILL, 1000 + SIGSYS},
    };
    ait_policy *policy = inside_policy(UNAME_DENIED);

    assert_int_equal(try_uname(NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ait_sandbox *s =
            inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy, .deny = cases[i].deny));
        assert_int_equal(inside(s, try_uname, NULL), cases[i].result);
        ait_sandbox_unref(s);
    }
    ait_policy_unref(policy);
}

static void *wait_for_end(void *pipe)
{
    char byte;
    (void)!read(*(int *)pipe, &byte, 1);
    return NULL;
}

/* As in a process of its own: entering is for good. */
static int enter_with_a_thread(const void *arg)
{
    const char *step = NULL;
    int fds[2], r;
    pthread_t thread;
    if (pipe(fds) < 0 || pthread_create(&thread, NULL, wait_for_end, &fds[0]) != 0)
        return 1;
    r = ait_sandbox_enter(uname_denied, &step);
    if (r != -EBUSY || !step || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0 || try_uname(NULL) != 0)
        return 2;
    close(fds[1]);
    pthread_join(thread, NULL);
    /* Joined is not yet gone for the kernel. */
    for (int i = 0; i < 10000 && (r = ait_sandbox_enter(uname_denied, NULL)) == -EBUSY; i++)
        sched_yield();
    return r == 0 && try_uname(NULL) == EACCES ? 0 : 3;
}

static void second_thread_is_busy(void **state)
{
    assert_int_equal(inside(NULL, enter_with_a_thread, NULL), 0);
}

/* Where unshare(2) is denied, /proc tells. */
static int busy_by_proc(const void *arg)
{
    int fds[2], r;
    pthread_t thread;
    if (pipe(fds) < 0 || pthread_create(&thread, NULL, wait_for_end, &fds[0]) != 0)
        return 1;
    r = ait_sandbox_enter(uname_denied, NULL);
    close(fds[1]);
    pthread_join(thread, NULL);
    return r == -EBUSY && try_uname(NULL) == 0 ? 0 : 2;
}

static int alone_by_proc(const void *arg)
{
    return -ait_sandbox_enter(uname_denied, NULL);
}

static void second_thread_without_unshare(void **state)
{
    ait_policy *policy = inside_policy("policy 1\ndefault allow\nunshare: errno(EPERM)\n");
    ait_sandbox *s = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.policy = policy, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));

    assert_int_equal(inside(s, busy_by_proc, NULL), 0);
    assert_int_equal(inside(s, alone_by_proc, NULL), 0);
    ait_sandbox_unref(s);
    ait_policy_unref(policy);
}

static int grandchild(const void *arg)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            _exit(try_uname(NULL));
        (void)waitpid(pid, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    (void)waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static int across_exec(const void *arg)
{
    execl("/bin/sh", "sh", "-c", "uname >/dev/null 2>&1", (char *)NULL);
    return 99;
}

static void is_inherited(void **state)
{
    assert_int_equal(inside(uname_denied, grandchild, NULL), EACCES);
    assert_int_equal(inside(NULL, across_exec, NULL), 0);
    assert_int_equal(inside(uname_denied, across_exec, NULL), 1);
}

/* Whatever the second one allows. */
static int enter_a_looser_one(const void *arg)
{
    ait_policy *policy = inside_policy("policy 1\ndefault allow\ngetcwd: errno(EMLINK)\n");
    ait_sandbox *s = inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy));
    char path[PATH_MAX];
    int r = ait_sandbox_enter(s, NULL);
    if (r < 0)
        return -r;
    return try_uname(NULL) == EACCES && syscall(SYS_getcwd, path, sizeof(path)) < 0 &&
                   errno == EMLINK
               ? 0
               : 99;
}

static void second_only_tightens(void **state)
{
    assert_int_equal(inside(uname_denied, enter_a_looser_one, NULL), 0);
}

/* ---- privileges ------------------------------------------------------------------------------ */

/* As nobody: which user it is after the exec of a set-user-ID program of root's. */
static int runs_as_root(const void *path)
{
    char said_by[16] = "";
    int fds[2];
    if (pipe(fds) < 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        return 98;
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        execl(path, "id", "-u", (char *)NULL);
        _exit(99);
    }
    close(fds[1]);
    (void)!read(fds[0], said_by, sizeof(said_by) - 1);
    (void)waitpid(pid, NULL, 0);
    return strcmp(said_by, "0\n") == 0 ? 1 : strcmp(said_by, "65534\n") == 0 ? 0 : 99;
}

/* Debian 13 mounts /tmp with nosuid. NULL: both places are. */
static const char *place_for_set_user_id(void)
{
    static const char *const places[] = {"/tmp", "/var/tmp"};
    struct statvfs fs;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (statvfs(places[i], &fs) == 0 && !(fs.f_flag & (ST_NOSUID | ST_NOEXEC)))
            return places[i];
    return NULL;
}

static void set_user_id_is_dead(void **state)
{
    const char *place = place_for_set_user_id();
    char directory[60], command[400], path[80];

    if (geteuid() != 0 || !place) {
        print_message("# SKIP: needs root, and a directory for a set-user-ID program\n");
        skip();
    }
    (void)snprintf(directory, sizeof(directory), "%s/test-enter.XXXXXX", place);
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/id", directory);
    (void)snprintf(command, sizeof(command),
                   "chmod 755 %s && cp -L /usr/bin/id %s && chmod 4755 %s", directory, path, path);
    assert_int_equal(system(command), 0);
    ait_sandbox *s = inside_sandbox(AIT_SANDBOX_OPTIONS(.flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    assert_int_equal(inside(NULL, runs_as_root, path), 1);
    assert_int_equal(inside(s, runs_as_root, path), 0);
    ait_sandbox_unref(s);
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

static uint64_t own_mask(const char *name)
{
    char line[256];
    uint64_t mask = UINT64_MAX;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, name, strlen(name)) == 0)
            mask = strtoull(line + strlen(name), NULL, 16);
    if (f)
        fclose(f);
    return mask;
}

static int capabilities_within(const void *arg)
{
    static const char *const names[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};
    uint64_t keep = *(const uint64_t *)arg;
    for (size_t i = 0; i < 4; i++)
        if (own_mask(names[i]) & ~keep)
            return (int)i + 1;
    return geteuid() == 0 && own_mask("CapBnd:") & ~keep ? 5 : 0;
}

/* Ambient ones come over an exec, and so does what is inheritable: both are limited like the
 * others. */
static int raise_ambient_and_enter(const void *arg)
{
    uint64_t keep = 1 << CAP_CHOWN;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    ait_sandbox *s = (ait_sandbox *)(uintptr_t)arg;
    if (syscall(SYS_capget, &header, data) < 0)
        return 97;
    data[0].inheritable = 1 << CAP_CHOWN | 1 << CAP_KILL;
    if (syscall(SYS_capset, &header, data) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) < 0)
        return 98;
    if (ait_sandbox_enter(s, NULL) < 0)
        return 99;
    return capabilities_within(&keep) ?: own_mask("CapAmb:") != keep;
}

static void capabilities(void **state)
{
    static const uint64_t sets[] = {0, 1, AIT_SANDBOX_SERVICE_CAPABILITIES};

    for (size_t i = 0; i < 3; i++) {
        ait_sandbox *s = inside_sandbox(AIT_SANDBOX_OPTIONS(.capabilities = sets[i]));
        assert_int_equal(inside(s, capabilities_within, &sets[i]), 0);
        if (geteuid() == 0 && sets[i] == 1)
            assert_int_equal(inside(NULL, raise_ambient_and_enter, s), 0);
        ait_sandbox_unref(s);
    }
}

/* ---- failing closed -------------------------------------------------------------------------- */

/* Entered under a sandbox that makes one call of the way fail. */
struct obstacle {
    const char *policy;
    const char *step;
    int error;
};

static ait_sandbox *everything;

static int enter_everything(const void *arg)
{
    const struct obstacle *o = arg;
    const char *step = "";
    int r = ait_sandbox_enter(everything, &step);
    if (r != -o->error || !strstr(step, o->step)) {
        (void)fprintf(stderr, "%s: %s\n", step, strerror(-r));
        return 1;
    }
    return 0;
}

static void each_step_fails_closed(void **state)
{
    static const struct obstacle obstacles[] = {
        {"prctl arg0 == PR_CAPBSET_DROP: errno(EIO)", "capability bounding set", EIO},
        {"prctl arg0 == PR_SET_NO_NEW_PRIVS: errno(EIO)", "no_new_privs", EIO},
        {"landlock_restrict_self: errno(EIO)", "Landlock", EIO},
        {"capget: errno(EIO)", "capabilities", EIO},
        {"capset: errno(EIO)", "capabilities", EIO},
        {"seccomp: errno(EIO)", "seccomp filter", EIO},
    };
    const char *root[] = {"/", NULL}, **paths = landlock_abi() > 0 ? root : NULL;
    ait_policy *policy = inside_policy(UNAME_DENIED);

    everything = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.policy = policy, .read_only = paths, .read_write = paths));
    for (size_t i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++) {
        char text[200];
        if (!paths && strcmp(obstacles[i].step, "Landlock") == 0)
            continue;
        (void)snprintf(text, sizeof(text), "policy 1\ndefault allow\n%s\n", obstacles[i].policy);
        ait_policy *outer_policy = inside_policy(text);
        ait_sandbox *outer = inside_sandbox(
            AIT_SANDBOX_OPTIONS(.policy = outer_policy, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));
        if (inside(outer, enter_everything, &obstacles[i]) != 0)
            fail_msg("%s", obstacles[i].policy);
        ait_sandbox_unref(outer);
        ait_policy_unref(outer_policy);
    }
    everything = ait_sandbox_unref(everything);
    ait_policy_unref(policy);
}

static struct sock_filter endless[] = {BPF_STMT(BPF_LD | BPF_IMM, 0)};
static struct sock_filter harmless[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

static int enter_broken(const void *arg)
{
    return -ait_sandbox_enter((ait_sandbox *)(uintptr_t)arg, NULL);
}

static void broken_filters_fail_closed(void **state)
{
    const struct ait_sandbox broken[] = {
        {.ruleset = -1, .capabilities = UINT64_MAX, .filter = {.program = endless, .n = 1}},
        {.ruleset = -1,
         .capabilities = UINT64_MAX,
         .filter = {.program = harmless, .n = 1, .quiet = endless, .n_quiet = 1}},
        {.ruleset = -1,
         .capabilities = UINT64_MAX,
         .connect_filter = {BPF_STMT(BPF_LD | BPF_IMM, 0)},
         .n_connect_filter = 1},
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_int_equal(inside(NULL, enter_broken, &broken[i]), EINVAL);
    int no_landlock = said(syscall(SYS_landlock_restrict_self, 777, 0));
    const struct ait_sandbox no_ruleset = {.ruleset = 777, .capabilities = UINT64_MAX};
    assert_int_equal(inside(NULL, enter_broken, &no_ruleset),
                     landlock_abi() > 0 ? EBADF : no_landlock);
}

static void kernel_without_seccomp(void **state)
{
    ait_policy *policy = inside_policy(UNAME_DENIED);
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox *s = NULL;
    ait_policy *outer_policy = inside_policy("policy 1\ndefault allow\nseccomp: enosys\n");
    ait_sandbox *outer = inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = outer_policy));
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int r = ait_sandbox_enter(outer, NULL);
        if (r == 0)
            r = ait_sandbox_new(&s, AIT_SANDBOX_OPTIONS(.policy = policy), &problem);
        _exit(r == -EOPNOTSUPP && strstr(problem.message, "seccomp") && !s ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    ait_sandbox_unref(outer);
    ait_policy_unref(outer_policy);
    ait_policy_unref(policy);
}

/* ---- listeners ------------------------------------------------------------------------------- */

static void explaining_is_for_children(void **state)
{
    ait_policy *policy = inside_policy(UNAME_DENIED);
    ait_sandbox *s =
        inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy, .deny = AIT_SANDBOX_DENY_EXPLAIN));
    const char *step = NULL;

    assert_int_equal(ait_sandbox_enter(s, &step), -EINVAL);
    assert_non_null(strstr(step, "ait_sandbox_enter_child"));
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    ait_sandbox_unref(s);
    ait_policy_unref(policy);
}

static int install_listener(void)
{
    struct sock_fprog program = {.len = 1, .filter = harmless};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                        &program);
}

static int second_listener(const void *arg)
{
    const char *step = "";
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0 || install_listener() < 0)
        return 1;
    if (ait_sandbox_prepare_child(arg, &step) < 0)
        return 2;
    return ait_sandbox_enter_child(arg, fds[1], &step) == -EBUSY && strstr(step, "another one") ? 0
                                                                                                : 3;
}

static int no_socket(const void *arg)
{
    return ait_sandbox_prepare_child(arg, NULL) < 0 ? 1 : -ait_sandbox_enter_child(arg, -1, NULL);
}

/* Learning, every call would wait for an answer, and nobody gives one: it has to fail before that.
 */
static int bad_socket(const void *arg)
{
    const char *step = "";
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0 ||
        ait_sandbox_prepare_child(arg, NULL) < 0)
        return 1;
    if (ait_sandbox_enter_child(arg, 777, &step) != -EBADF ||
        strcmp(step, "handing over the listener") != 0)
        return 2;
    close(fds[0]);
    return ait_sandbox_enter_child(arg, fds[1], &step) == -EPIPE && try_uname(NULL) == 0 ? 42 : 3;
}

static void hand_over_fails_closed(void **state)
{
    ait_policy *policy = inside_policy(UNAME_DENIED);
    ait_sandbox *s =
        inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy, .deny = AIT_SANDBOX_DENY_EXPLAIN,
                                           .flags = AIT_SANDBOX_EXEC));

    assert_int_equal(inside(NULL, second_listener, s), 0);
    assert_int_equal(inside(NULL, no_socket, s), EBADF);
    ait_sandbox *learning = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.deny = AIT_SANDBOX_DENY_LEARN, .flags = AIT_SANDBOX_EXEC));
    assert_int_equal(inside(NULL, bad_socket, s), 42);
    assert_int_equal(inside(NULL, bad_socket, learning), 42);
    ait_sandbox_unref(learning);
    ait_sandbox_unref(s);
    ait_policy_unref(policy);
}

/* The exec that is let through, and none after it. */
static int exec_without_permission(const void *arg)
{
    char *argv[] = {"sh", "-c", "exec /bin/true", NULL}, *envp[] = {NULL};
    if (ait_sandbox_enter((ait_sandbox *)(uintptr_t)arg, NULL) < 0)
        return 98;
    if (execve("/bin/sh", argv, envp) == 0 || errno != EACCES)
        return 97;
    return -ait_sandbox_execve(arg, "/bin/sh", argv, envp);
}

static void first_exec_is_let_through(void **state)
{
    ait_policy *policy =
        inside_policy("policy 1\ndefault allow\nexecve: errno(EACCES)\nexecveat: errno(EACCES)\n");
    ait_sandbox *s =
        inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy, .flags = AIT_SANDBOX_EXEC));
    ait_sandbox *t = inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy));

    /* The shell has started, and says 126: it could not execute. */
    assert_int_equal(inside(NULL, exec_without_permission, s), 126);
    assert_int_equal(inside(NULL, exec_without_permission, t), EACCES);
    ait_sandbox_unref(s);
    ait_sandbox_unref(t);
    ait_policy_unref(policy);
}

/* ---- traces ---------------------------------------------------------------------------------- */

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void leaves_nothing(void **state)
{
    const char *root[] = {"/", NULL}, *missing[] = {"/", "/nonexistent", NULL};

    inside_needs_landlock(1);
    ait_policy *policy = inside_policy(UNAME_DENIED);
    ait_sandbox *s = NULL;
    int n = count_fds();

    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            ait_sandbox_new(&s, AIT_SANDBOX_OPTIONS(.policy = policy, .read_only = root), NULL), 0);
        assert_int_equal(count_fds(), n + 1);
        ait_sandbox_unref(s);
        assert_int_equal(
            ait_sandbox_new(&s, AIT_SANDBOX_OPTIONS(.policy = policy, .read_only = missing), NULL),
            -ENOENT);
        assert_int_equal(count_fds(), n);
    }
    ait_policy_unref(policy);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static int make_common(void **state)
{
    ait_policy *policy = inside_policy(UNAME_DENIED);

    uname_denied = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.policy = policy, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    ait_policy_unref(policy);
    return 0;
}

static int release_common(void **state)
{
    uname_denied = ait_sandbox_unref(uname_denied);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(text_says_what_is_in_force),
        cmocka_unit_test(modes),
        cmocka_unit_test(second_thread_is_busy),
        cmocka_unit_test(second_thread_without_unshare),
        cmocka_unit_test(is_inherited),
        cmocka_unit_test(second_only_tightens),
        cmocka_unit_test(set_user_id_is_dead),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(each_step_fails_closed),
        cmocka_unit_test(broken_filters_fail_closed),
        cmocka_unit_test(kernel_without_seccomp),
        cmocka_unit_test(explaining_is_for_children),
        cmocka_unit_test(hand_over_fails_closed),
        cmocka_unit_test(first_exec_is_let_through),
        cmocka_unit_test(leaves_nothing),
    };
    return cmocka_run_group_tests(tests, make_common, release_common);
}
