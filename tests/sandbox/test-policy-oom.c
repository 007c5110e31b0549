/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every allocation of reading, merging and writing, refused in turn, alone and with all that
 * follow: -ENOMEM, and nothing is left behind.
 */

#include <unistd.h>

#include "faults.h"
#include "policy-check.h"

static char path[] = "/tmp/policy-oom-XXXXXX";
static FILE *null;

static const char text[] = P "include service\ninclude \"/dev/nosuchfile\"\n";

static int from_text(ait_policy **ret, ait_sandbox_problem *problem)
{
    static const char right[] =
        P "include strict\nsocket arg0 == AF_INET: kill\nopenat: kill\nread\nwaitpid\n!@clock\n";

    return ait_policy_from_text(ret, "text", right, sizeof(right) - 1, problem);
}

static int from_file(ait_policy **ret, ait_sandbox_problem *problem)
{
    return ait_policy_from_file(ret, path, problem);
}

static int from_preset(ait_policy **ret, ait_sandbox_problem *problem)
{
    return ait_policy_from_preset(ret, "service", problem);
}

static int from_systemd(ait_policy **ret, ait_sandbox_problem *problem)
{
    return ait_policy_from_systemd(ret, "unit", "@system-service waitpid\n~@resources:EACCES\n",
                                   problem);
}

static int from_unit(ait_policy **ret, ait_sandbox_problem *problem)
{
    return ait_policy_from_systemd(
        ret, "unit", "[Service]\nSystemCallFilter=~mount reed\nRestrictNamespaces=yes\n", problem);
}

static int load(ait_policy **ret, ait_sandbox_problem *problem)
{
    return ait_policy_load(ret, path, AIT_POLICY_FORMAT_AUTO, NULL, NULL, problem);
}

static int import(ait_policy **ret, const char *name, const char *of_file, size_t length,
                  ait_sandbox_problem *problem, void *userdata)
{
    return from_systemd(ret, problem);
}

static int load_json(ait_policy **ret, ait_sandbox_problem *problem)
{
    return ait_policy_load(ret, path, AIT_POLICY_FORMAT_JSON, import, NULL, problem);
}

static int from_wrong_text(ait_policy **ret, ait_sandbox_problem *problem)
{
    return ait_policy_from_text(ret, "text", text, sizeof(text) - 1, problem);
}

static const struct way {
    const char *name;
    int (*read)(ait_policy **ret, ait_sandbox_problem *problem);
    int result; /* where nothing is refused */
} ways[] = {
    {"text", from_text, 0},     {"file", from_file, 0},
    {"preset", from_preset, 0}, {"systemd", from_systemd, 0},
    {"unit", from_unit, 0},     {"any file", load, 0},
    {"JSON", load_json, 0},     {"wrong text", from_wrong_text, -ENOENT},
};

static int run(const struct way *way)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    int r = way->read(&policy, &problem);

    if (r >= 0) {
        r = ait_policy_write(policy, null, AIT_POLICY_FORMAT_NATIVE, &problem);
        (void)ait_policy_write(policy, null, AIT_POLICY_FORMAT_SYSTEMD, &problem);
    } else if (problem.error != r || policy)
        fail_msg("%s: %d, but the problem says %d", way->name, r, problem.error);
    ait_policy_unref(policy);
    return r;
}

static unsigned refuse_each(const struct way *way, bool for_ever)
{
    long live = faults.n_live;

    for (unsigned n = 1;; n++) {
        faults_arm(n, for_ever);
        int r = run(way);
        faults_disarm();
        if (faults.n_live != live)
            fail_msg("%s: refusing allocation %u leaves %ld blocks", way->name, n,
                     faults.n_live - live);
        if (!faults.failed) {
            assert_int_equal(r, way->result);
            return n - 1;
        }
        /* Remarks are the only thing that may get lost. */
        if (r != -ENOMEM && r != way->result)
            fail_msg("%s: refusing allocation %u: %d", way->name, n, r);
    }
}

static void test_each(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(ways); i++) {
        unsigned alone = refuse_each(&ways[i], false), all = refuse_each(&ways[i], true);
        print_message("%s: %u allocations, %u\n", ways[i].name, alone, all);
        assert_true(alone > 5 && all > 5);
    }
}

static int setup(void **unused)
{
    int fd = mkstemp(path);
    static const char file[] = P "include base\nread: kill\n";

    null = fopen("/dev/null", "we");
    return fd >= 0 && null && write(fd, file, sizeof(file) - 1) > 0 ? close(fd) : -1;
}

static int teardown(void **unused)
{
    (void)fclose(null);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
