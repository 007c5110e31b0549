/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "enter/landlock.h"
#include "inside.h"

#define CANNOT_ENTER 255

void inside_needs_landlock(int abi)
{
    if (landlock_abi() >= abi)
        return;
    print_message("# SKIP: this kernel has Landlock ABI %d, not %d\n", landlock_abi(), abi);
    skip();
}

ait_sandbox *inside_sandbox(const ait_sandbox_options *options)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox *sandbox = NULL;
    int r = ait_sandbox_new(&sandbox, options, &problem);

    if (r < 0)
        fail_msg("no sandbox: %d: %s", r, problem.message);
    return sandbox;
}

ait_policy *inside_policy(const char *text)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    int r = ait_policy_from_text(&policy, "test", text, strlen(text), &problem);

    if (r < 0)
        fail_msg("no policy: %d: line %u: %s", r, problem.line, problem.message);
    return policy;
}

int inside(ait_sandbox *sandbox, int (*fn)(const void *arg), const void *arg)
{
    const char *step = "";
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int r = sandbox ? ait_sandbox_enter(sandbox, &step) : 0;
        if (r < 0)
            (void)fprintf(stderr, "entering: %s: %s\n", step, strerror(-r));
        _exit(r < 0 ? CANNOT_ENTER : fn(arg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return 1000 + WTERMSIG(status);
    if (WEXITSTATUS(status) == CANNOT_ENTER)
        fail_msg("the sandbox was not entered");
    return WEXITSTATUS(status);
}
