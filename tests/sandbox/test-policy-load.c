/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of policies: which language they are in, what of a unit file counts, and what is no policy.
 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy-check.h"

static char directory[] = "/tmp/policy-load-XXXXXX";
static char path[sizeof(directory) + 16];

static int make_directory(void **unused)
{
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/file", directory);
    return 0;
}

static int remove_directory(void **unused)
{
    (void)unlink(path);
    return rmdir(directory);
}

static const char *write_file(const char *text, size_t n)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* What JSON becomes: a policy with a note, or no policy. */
static int imported(ait_policy **ret, const char *name, const char *text, size_t length,
                    ait_sandbox_problem *problem, void *userdata)
{
    static const char policy[] = P "waitpid\nfstat64\n";

    assert_string_equal(name, path);
    assert_int_equal(strlen(text), length);
    ++*(int *)userdata;
    return strstr(text, "wrong") ? -EXDEV
                                 : ait_policy_from_text(ret, name, policy, strlen(policy), problem);
}

/* ---- which language -------------------------------------------------------------------------- */

static void test_languages(void **unused)
{
    static const struct {
        const char *text;
        int result;
        const char *message;
    } cases[] = {
        {"policy 1\ninclude service\n", 0, ""},
        {"# first\n\n  policy 1\ninclude service\n", 0, ""},
        {"@system-service\n", 0, ""},
        {"read write\n", 0, ""},
        {"{}\n", 0, ""},
        {"\n# a comment\n {\n}\n", 0, ""},
        {"{wrong}\n", -EXDEV, ""},
        {"", -EINVAL, "this is not a policy"},
        {"# nothing\n\n", -EINVAL, "this is not a policy"},
        {"Hello = world\n", -EINVAL, "this is not a policy"},
        {"policy 1\nno-such-call\n", -EINVAL, "unknown system call"},
        {"policies 1\n", -EINVAL, "begins with the line \"policy 1\""},
        {"read\nioctl arg1 == 1: errno(EPERM)\n", -EINVAL, "begins with the line \"policy 1\""},
        {"@aio\nioctl arg1==1\n", -EINVAL, "unknown system call 'arg1==1'"},
        {"SystemCallFilter=opennat\n", 0, ""},
        {"opennat\n", -EINVAL, "is it openat?"},
        {"\xef\xbb\xbfpolicy 1\nread\n", 0, ""},
        {"\xef\xbb\xbf# mark\npolicy 1\n", 0, ""},
        {"\xef\xbb\xbf@aio\n", 0, ""},
        {"\xef\xbb\xbf{}", 0, ""},
    };
    int n_imported = 0;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        int r = ait_policy_load(&policy, write_file(cases[i].text, strlen(cases[i].text)),
                                AIT_POLICY_FORMAT_AUTO, imported, &n_imported, &problem);
        if (r != cases[i].result || !policy != (r < 0) ||
            !strstr(problem.message, cases[i].message))
            fail_msg("case %zu: %d: %s", i, r, problem.message);
        ait_policy_unref(policy);
    }
    assert_int_equal(n_imported, 4);
}

static void test_a_language_that_is_named(void **unused)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    int n = 0;

    (void)write_file("read\n", 5);
    assert_int_equal(
        ait_policy_load(&policy, path, AIT_POLICY_FORMAT_NATIVE, imported, &n, &problem), -EINVAL);
    assert_int_equal(
        ait_policy_load(&policy, path, AIT_POLICY_FORMAT_SYSTEMD, imported, &n, &problem), 0);
    policy = ait_policy_unref(policy);
    assert_int_equal(n, 0);
    assert_int_equal(ait_policy_load(&policy, path, AIT_POLICY_FORMAT_JSON, imported, &n, &problem),
                     0);
    policy = ait_policy_unref(policy);
    assert_int_equal(n, 1);
    (void)write_file("\n", 1);
    assert_int_equal(
        ait_policy_load(&policy, path, AIT_POLICY_FORMAT_SYSTEMD, NULL, NULL, &problem), -EINVAL);
    assert_non_null(strstr(problem.message, "SystemCallFilter="));
    assert_int_equal(ait_policy_load(&policy, path, (ait_policy_format)4, NULL, NULL, &problem),
                     -EINVAL);
    assert_int_equal(ait_policy_load(&policy, NULL, AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem),
                     -EINVAL);
    assert_int_equal(ait_policy_load(NULL, path, AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem),
                     -EINVAL);
    assert_null(policy);
}

static int has_no_line(const ait_sandbox_problem *note, void *userdata)
{
    ++*(int *)userdata;
    return note->line > 0 || note->column > 0;
}

static void test_notes_of_json_have_no_lines(void **unused)
{
    ait_policy *policy = NULL;
    int n = 0, n_notes = 0;

    (void)write_file("{}", 2);
    assert_int_equal(ait_policy_load(&policy, path, AIT_POLICY_FORMAT_AUTO, imported, &n, NULL), 0);
    assert_int_equal(ait_policy_foreach_note(policy, has_no_line, &n_notes), 0);
#ifdef __x86_64__
    assert_int_equal(n_notes, 2);
#endif
    ait_policy_unref(policy);
}

/* ---- unit files ------------------------------------------------------------------------------ */

/* as systemd does by default */
#define KILL "SystemCallErrorNumber=kill\n"

static void test_unit_files(void **unused)
{
    static const struct {
        const char *text, *same; /* as these lists */
    } cases[] = {
        {"@aio\n~@mount:EACCES\n", "@aio\n~@mount:EACCES"},
        {"[Service]\nSystemCallFilter=@aio\n# no\n; no\nUser = me\n", KILL "@aio"},
        {"SystemCallFilter = @aio read\nSystemCallErrorNumber=EACCES\n",
         "SystemCallErrorNumber=EACCES\n@aio read"},
        {"SystemCallErrorNumber=7\n@aio", "SystemCallErrorNumber=7\n@aio"},
        {"SystemCallErrorNumber=7\nSystemCallErrorNumber=\n@aio", "@aio"},
        {"SystemCallErrorNumber=kill\nSystemCallFilter=~@aio\n", "~@aio:kill"},
        {"SystemCallFilter=@aio\nSystemCallFilter=\nSystemCallFilter=read\n", KILL "read"},
        {"SystemCallFilter=@aio \\\n  read\n", KILL "@aio read"},
        {"X-Comment=read\nSystemCallFilter=write\n", KILL "write"},
        /* A comment does not go on in the next line, and does not end the lines that it stands
           between. */
        {"SystemCallFilter=@aio\n# no \\\nSystemCallFilter=~@mount\n", KILL "@aio\n~@mount"},
        {"SystemCallFilter=~@aio \\\n ; no \\\n  @mount\n", KILL "~@aio @mount"},
        {"SystemCallFilter=~@aio \\\n# no\n  @mount\n", KILL "~@aio @mount"},
    };
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        ait_policy *policy = NULL, *same = NULL;
        if (ait_policy_load(&policy, write_file(cases[i].text, strlen(cases[i].text)),
                            AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem) < 0)
            fail_msg("case %zu: %u:%u: %s", i, problem.line, problem.column, problem.message);
        assert_int_equal(ait_policy_from_systemd(&same, NULL, cases[i].same, &problem), 0);
        if (!policy_equal(policy, same))
            fail_msg("case %zu: not the same", i);
        ait_policy_unref(policy);
        ait_policy_unref(same);
    }
    static const char unknown[] = "\n\nSystemCallErrorNumber=EWHAT\n";
    ait_policy *policy = NULL;
    (void)write_file(unknown, strlen(unknown));
    assert_int_equal(ait_policy_load(&policy, path, AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem),
                     -EINVAL);
    assert_int_equal(problem.line, 3);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void test_what_is_no_file(void **unused)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;

    assert_int_equal(ait_policy_load(&policy, write_file("{}\n", 3), 0, NULL, NULL, &problem),
                     -EOPNOTSUPP);
    assert_int_equal(ait_policy_load(&policy, "/nonexistent", 0, NULL, NULL, &problem), -ENOENT);
    assert_string_equal(problem.file, "/nonexistent");
    assert_int_equal(ait_policy_load(&policy, "service", 0, NULL, NULL, &problem), -ENOENT);
    assert_non_null(strstr(problem.message, "preset"));
    assert_int_equal(ait_policy_load(&policy, "/dev/zero", 0, NULL, NULL, NULL), -E2BIG);
    assert_int_equal(ait_policy_load(&policy, directory, 0, NULL, NULL, &problem), -EISDIR);
    assert_int_equal(ait_policy_load(&policy, write_file("@aio\0x", 6), 0, NULL, NULL, &problem),
                     -EINVAL);
    assert_non_null(strstr(problem.message, "NUL byte"));
    assert_int_equal(
        ait_policy_load(&policy, write_file("policy 1\n\0", 10), 0, NULL, NULL, &problem), -EINVAL);
    assert_int_equal(problem.line, 2);
    assert_null(policy);
}

/* It can be read once; what it includes is relative to the current directory. */
static void test_a_pipe(void **unused)
{
    static const char text[] = P "include file\nread\n";
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char name[32];
    ait_policy *policy = NULL;
    int pipes[2], before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    (void)write_file(P "write\n", 15);
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(write(pipes[1], text, strlen(text)), strlen(text));
    assert_int_equal(close(pipes[1]), 0);
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", pipes[0]);
    int r = ait_policy_load(&policy, name, AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem);
    assert_int_equal(close(pipes[0]), 0);
    assert_int_equal(fchdir(before), 0);
    assert_int_equal(close(before), 0);
    if (r < 0)
        fail_msg("%s:%u: %s", problem.file, problem.line, problem.message);
    assert_string_equal(action_of(policy, "write", (const uint64_t[6]){0}), "allow");
    assert_string_equal(action_of(policy, "read", (const uint64_t[6]){0}), "allow");
    ait_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_languages),
        cmocka_unit_test(test_a_language_that_is_named),
        cmocka_unit_test(test_notes_of_json_have_no_lines),
        cmocka_unit_test(test_unit_files),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_a_pipe),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
