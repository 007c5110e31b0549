/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every kind of word that the command line has, as tables: what it means, or that it is refused
 * with a reason. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/parse.h"

#define MS   UINT64_C(1000)
#define S    UINT64_C(1000000)
#define N(x) (sizeof(x) / sizeof *(x))

/* A reason completes "--option=TEXT: ..." */
static void assert_reason(const char *why)
{
    assert_non_null(why);
    assert_true(strlen(why) > 10);
    assert_null(strchr(why, '\n'));
    assert_true(why[strlen(why) - 1] != '.');
}

/* ---- times, sizes, numbers ------------------------------------------------------------------- */

struct case_u64 {
    const char *text;
    int error;
    uint64_t value;
};

static const struct case_u64 times[] = {
    {"0", 0, 0},
    {"5", 0, 5 * S},
    {"500ms", 0, 500 * MS},
    {"1.5s", 0, 1500 * MS},
    {".5", 0, 500 * MS},
    {"2min", 0, 120 * S},
    {"1h30m", 0, 5400 * S},
    {"1min 30s", 0, 90 * S},
    {" 2 min ", 0, 120 * S},
    {"1min 30", 0, 90 * S},
    {"10us", 0, 10},
    {"10\xc2\xb5s", 0, 10},
    {"10\xce\xbcs", 0, 10},
    {"0.000001s", 0, 1},
    {"0.0000001s", 0, 0},
    {"1d", 0, 86400 * S},
    {"2weeks", 0, 14 * 86400 * S},
    {"1M", 0, UINT64_C(2629800) * S},
    {"1y", 0, UINT64_C(31557600) * S},
    {"infinity", 0, PARSE_INFINITY},
    {"18446744073709551614us", 0, UINT64_MAX - 1},
    {"18446744073709551615us", -ERANGE, 0},
    {"18446744073709551616us", -ERANGE, 0},
    {"99999999999999999999999s", -ERANGE, 0},
    {"10000000000000d", -ERANGE, 0},
    {"18446744073709551614us 2us", -ERANGE, 0},
    {"", -EINVAL, 0},
    {" ", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"+1", -EINVAL, 0},
    {"1.s", -EINVAL, 0},
    {".", -EINVAL, 0},
    {"1..2", -EINVAL, 0},
    {"5parsec", -EINVAL, 0},
    {"5S", -EINVAL, 0},
    {"s", -EINVAL, 0},
    {"1s,", -EINVAL, 0},
    {"0x10", -EINVAL, 0},
    {"1e3", -EINVAL, 0},
    {"Infinity", -EINVAL, 0},
    {"infinity 1s", -EINVAL, 0},
    {"nan", -EINVAL, 0},
};

static const struct case_u64 sizes[] = {
    {"0", 0, 0},
    {"4096", 0, 4096},
    {"4096B", 0, 4096},
    {"64M", 0, UINT64_C(64) << 20},
    {"1.5G", 0, UINT64_C(3) << 29},
    {"1K", 0, 1024},
    {"1.5K", 0, 1536},
    {"15E", 0, UINT64_C(15) << 60},
    {"1G 512M", 0, UINT64_C(3) << 29},
    {"infinity", 0, PARSE_INFINITY},
    {"16E", -ERANGE, 0},
    {"15.99999999999E1E", -ERANGE, 0},
    {"64m", -EINVAL, 0},
    {"64MB", -EINVAL, 0},
    {"-1M", -EINVAL, 0},
    {"", -EINVAL, 0},
    {"M", -EINVAL, 0},
};

static void check_u64(int (*parse)(const char *, uint64_t *, const char **),
                      const struct case_u64 *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *why = NULL;
        uint64_t value = 4711;
        int r = parse(cases[i].text, &value, &why);

        if (r != cases[i].error || value != (r < 0 ? 4711 : cases[i].value))
            fail_msg("\"%s\": %d, %llu", cases[i].text, r, (unsigned long long)value);
        if (r < 0)
            assert_reason(why);
        assert_int_equal(parse(cases[i].text, &value, NULL), r);
    }
}

static void test_times(void **state)
{
    check_u64(parse_time, times, N(times));
}

static void test_sizes(void **state)
{
    check_u64(parse_size, sizes, N(sizes));
}

static void test_numbers(void **state)
{
    static const struct case_u64 cases[] = {
        {"3", 0, 3},         {"10", 0, 10},         {"0010", 0, 10},
        {"2", -ERANGE, 0},   {"11", -ERANGE, 0},    {"", -EINVAL, 0},
        {"3 ", -EINVAL, 0},  {" 3", -EINVAL, 0},    {"-3", -EINVAL, 0},
        {"0x3", -EINVAL, 0}, {"three", -EINVAL, 0}, {"99999999999999999999", -ERANGE, 0},
    };

    for (size_t i = 0; i < N(cases); i++) {
        const char *why = NULL;
        uint64_t value = 4711;
        int r = parse_number(cases[i].text, 3, 10, &value, &why);

        if (r != cases[i].error || value != (r < 0 ? 4711 : cases[i].value))
            fail_msg("\"%s\": %d, %llu", cases[i].text, r, (unsigned long long)value);
    }
}

/* ---- compound words -------------------------------------------------------------------------- */

static void test_rates(void **state)
{
    static const struct {
        const char *text;
        int error;
        struct rate value;
    } cases[] = {
        {"20/5min", 0, {20, 300 * S}},
        {"0/1s", 0, {0, 1 * S}},
        {"3/infinity", 0, {3, UINT64_MAX}},
        {"10000/1s", 0, {10000, 1 * S}},
        {"10001/1s", -ERANGE, {0}},
        {"4294967296/1s", -ERANGE, {0}},
        {"1/0", 0, {1, 0}},
        {"1/99999999999999999999", -ERANGE, {0}},
        {"20", -EINVAL, {0}},
        {"/5min", -EINVAL, {0}},
        {"20/", -EINVAL, {0}},
        {"20/5min/2", -EINVAL, {0}},
        {"-1/5min", -EINVAL, {0}},
        {"x", -EINVAL, {0}},
        {"", -EINVAL, {0}},
    };

    for (size_t i = 0; i < N(cases); i++) {
        const char *why = NULL;
        struct rate value = {4711, 4711};
        int r = parse_rate(cases[i].text, &value, &why);

        if (r != cases[i].error)
            fail_msg("\"%s\": %d", cases[i].text, r);
        assert_int_equal(value.count, r < 0 ? 4711 : cases[i].value.count);
        assert_true(value.usec == (r < 0 ? 4711 : cases[i].value.usec));
        if (r < 0)
            assert_reason(why);
    }
}

static void test_time_ranges(void **state)
{
    static const struct {
        const char *text;
        int error;
        struct time_range value;
    } cases[] = {
        {"100ms..30s", 0, {100 * MS, 30 * S}},
        {"1.5s..2.5s", 0, {1500 * MS, 2500 * MS}},
        {"1s..1s", 0, {S, S}},
        {"0..1s", -ERANGE, {0}},
        {"2s..1s", -ERANGE, {0}},
        {"1s..infinity", -ERANGE, {0}},
        {"1s", -EINVAL, {0}},
        {"1s..", -EINVAL, {0}},
        {"..1s", -EINVAL, {0}},
        {"1s...2s", -EINVAL, {0}},
        {"1s..2s..3s", -EINVAL, {0}},
        {"", -EINVAL, {0}},
        {"11111111111111111111111111111111111111111111111111111111111111111..1s", -EINVAL, {0}},
    };

    for (size_t i = 0; i < N(cases); i++) {
        const char *why = NULL;
        struct time_range value = {4711, 4711};
        int r = parse_time_range(cases[i].text, &value, &why);

        /* 1s...2s is a range to .2s, and that below its base: refused either way */
        if (r >= 0 ? cases[i].error != 0 : cases[i].error == 0)
            fail_msg("\"%s\": %d", cases[i].text, r);
        assert_true(value.base_usec == (r < 0 ? 4711 : cases[i].value.base_usec));
        assert_true(value.cap_usec == (r < 0 ? 4711 : cases[i].value.cap_usec));
        if (r < 0)
            assert_reason(why);
    }
}

static void test_amounts(void **state)
{
    static const struct {
        const char *text;
        int error;
        struct amount value;
        unsigned up, down; /* of 5 */
    } cases[] = {
        {"1", 0, {1, false}, 1, 1},
        {"0", 0, {0, false}, 0, 0},
        {"25%", 0, {25, true}, 2, 1},
        {"100%", 0, {100, true}, 5, 5},
        {"0%", 0, {0, true}, 0, 0},
        {"1%", 0, {1, true}, 1, 0},
        {"20%", 0, {20, true}, 1, 1},
        {"1024", 0, {1024, false}, 1024, 1024},
        {"101%", -ERANGE, {0}, 0, 0},
        {"1025", -ERANGE, {0}, 0, 0},
        {"%", -EINVAL, {0}, 0, 0},
        {"25 %", -EINVAL, {0}, 0, 0},
        {"25%%", -EINVAL, {0}, 0, 0},
        {"-1", -EINVAL, {0}, 0, 0},
        {"1.5", -EINVAL, {0}, 0, 0},
        {"", -EINVAL, {0}, 0, 0},
        {"99999999999999999999999%", -ERANGE, {0}, 0, 0},
    };

    for (size_t i = 0; i < N(cases); i++) {
        const char *why = NULL;
        struct amount value = {4711, false};
        int r = parse_amount(cases[i].text, &value, &why);

        /* what overflows may be called either */
        if (r != cases[i].error && !(r < 0 && cases[i].error < 0 && strlen(cases[i].text) > 20))
            fail_msg("\"%s\": %d", cases[i].text, r);
        if (r < 0) {
            assert_int_equal(value.value, 4711);
            assert_reason(why);
            continue;
        }
        assert_int_equal(value.value, cases[i].value.value);
        assert_int_equal(value.percent, cases[i].value.percent);
        assert_int_equal(amount_of(value, 5, true), cases[i].up);
        assert_int_equal(amount_of(value, 5, false), cases[i].down);
    }
}

static void test_signals(void **state)
{
    static const struct {
        const char *text;
        int signo; /* 0: refused */
    } cases[] = {
        {"TERM", SIGTERM},
        {"SIGTERM", SIGTERM},
        {"15", 15},
        {"sigquit", SIGQUIT},
        {"Usr1", SIGUSR1},
        {"IOT", SIGABRT},
        {"POLL", SIGIO},
        {"KILL", SIGKILL},
        {"64", 64},
        {"0", 0},
        {"33", 0},
        {"65", 0},
        {"-1", 0},
        {"", 0},
        {"SIG", 0},
        {"TERMS", 0},
        {"15x", 0},
        {"RTMIN-1", 0},
        {"RTMAX+1", 0},
        {"RTMIN+99", 0},
        {"RTMIN+", 0},
        {"RTMINI", 0},
        {"99999999999999999999", 0},
    };
    int signo;

    for (size_t i = 0; i < N(cases); i++) {
        const char *why = NULL;
        int r = (signo = 4711, parse_signal(cases[i].text, &signo, &why));

        if (r != (cases[i].signo ? 0 : -EINVAL) || signo != (r < 0 ? 4711 : cases[i].signo))
            fail_msg("\"%s\": %d, %d", cases[i].text, r, signo);
        if (r < 0)
            assert_reason(why);
    }
    assert_int_equal(parse_signal("RTMIN+1", &signo, NULL), 0);
    assert_int_equal(signo, SIGRTMIN + 1);
    assert_int_equal(parse_signal("SIGRTMAX-1", &signo, NULL), 0);
    assert_int_equal(signo, SIGRTMAX - 1);
    assert_string_equal(signal_name(SIGABRT), "SIGABRT");
    assert_null(signal_name(SIGRTMIN));
    assert_null(signal_name(0));
}

/* Every number below the real-time ones that libc knows has a name, and the name leads back to it.
 */
static void test_signal_names(void **state)
{
    for (int i = 1; i < 32; i++) {
        int signo = 0;

        assert_non_null(signal_name(i));
        assert_int_equal(parse_signal(signal_name(i), &signo, NULL), 0);
        assert_int_equal(signo, i);
    }
}

/* ---- workers --------------------------------------------------------------------------------- */

static void test_workers(void **state)
{
    static const char *const bad[] = {"0", "-1", "1025", "many", "", "1.5", "AUTO", "auto "};
    unsigned n = 0;

    assert_int_equal(parse_workers("16", &n, NULL), 0);
    assert_int_equal(n, 16);
    assert_int_equal(parse_workers("auto", &n, NULL), 0);
    assert_int_equal(n, cpu_count());
    for (size_t i = 0; i < N(bad); i++) {
        const char *why = NULL;

        assert_true(parse_workers(bad[i], &n, &why) < 0);
        assert_reason(why);
    }
}

static void test_affinity(void **state)
{
    cpu_set_t before, one;

    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(cpu_count() >= 1 && cpu_count() <= (unsigned)CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &before)) {
            CPU_SET(i, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static char folder[] = "/tmp/test-parse-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[256], *slash;
    FILE *f;

    snprintf(full, sizeof full, "%s/%s", folder, path);
    for (slash = strchr(full + strlen(folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A fake /sys/fs/cgroup with all groups that the cases speak of. */
static int make_tree(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    put("v2/a/cpu.max", "250000 100000\n");
    put("v2/a/b/cpu.max", "max 100000\n");
    put("v2/c/cpu.max", "50000 100000\n");
    put("v2/c/d/cpu.max", "800000 100000\n");
    put("v2/bad/cpu.max", "lots\n");
    put("v2/cpu.max", "900000 100000\n");
    put("hybrid/unified/a/cpu.max", "300000 100000\n");
    put("v1/cpu,cpuacct/a/cpu.cfs_quota_us", "400000\n");
    put("v1/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    put("v1/cpu,cpuacct/free/cpu.cfs_quota_us", "-1\n");
    put("v1/cpu,cpuacct/free/cpu.cfs_period_us", "100000\n");
    put("v1/cpu/zero/cpu.cfs_quota_us", "100000\n");
    put("v1/cpu/zero/cpu.cfs_period_us", "0\n");
    return 0;
}

static int remove_tree(void **state)
{
    char command[64];

    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void test_quota(void **state)
{
    static const struct {
        const char *mount, *cgroup;
        unsigned cpus;
    } cases[] = {
        {"v2", "0::/a\n", 3},
        {"v2", "0::/a/b\n", 3}, /* the ancestor's */
        {"v2", "0::/c/d\n", 1}, /* the least */
        {"v2", "0::/\n", 9},
        {"v2", "0::/no/such\n", 9}, /* a container's outer name */
        {"v2", "0::/bad\n", 9},
        {"v2", "0::/../..\n", 9},
        {"v2", "garbage\n\n:\n0:\n", UINT_MAX},
        {"hybrid", "3:cpuset:/\n0::/a\n", 3},
        {"v1", "9:name=systemd:/x\n4:cpu,cpuacct:/a\n3:cpuset:/\n", 4},
        {"v1", "4:cpuacct,cpu:/a\n", 4},
        {"v1", "4:cpuacct:/a\n", UINT_MAX},
        {"v1", "4:cpu,cpuacct:/free\n", UINT_MAX},
        {"v1", "4:cpu:/zero\n", UINT_MAX},
        {"none", "0::/a\n", UINT_MAX},
    };

    for (size_t i = 0; i < N(cases); i++) {
        char root[64], proc[64];

        put("proc", cases[i].cgroup);
        snprintf(proc, sizeof proc, "%s/proc", folder);
        snprintf(root, sizeof root, "%s/%s", folder, cases[i].mount);
        if (cpu_quota(proc, root) != cases[i].cpus)
            fail_msg("%s %s: %u", cases[i].mount, cases[i].cgroup, cpu_quota(proc, root));
    }
    assert_int_equal(cpu_quota("/no/such/file", "/sys/fs/cgroup"), UINT_MAX);
}

/* ---- accounts -------------------------------------------------------------------------------- */

static bool has_group(const struct account *a, gid_t gid)
{
    for (size_t i = 0; i < a->n_groups; i++)
        if (a->groups[i] == gid)
            return true;
    return false;
}

static void test_account_of_user(void **state)
{
    static const char *const names[] = {"root", "0"};
    struct account a;

    for (size_t i = 0; i < N(names); i++) {
        assert_int_equal(account_resolve(names[i], NULL, &a, NULL), 0);
        assert_int_equal(a.uid, 0);
        assert_int_equal(a.gid, 0);
        assert_string_equal(a.name, "root");
        assert_string_equal(a.home, "/root");
        assert_non_null(a.shell);
        assert_true(has_group(&a, 0));
        account_done(&a);
    }
}

static void test_account_of_caller(void **state)
{
    struct account a;

    assert_int_equal(account_resolve(NULL, NULL, &a, NULL), 0);
    assert_int_equal(a.uid, geteuid());
    assert_int_equal(a.gid, getegid());
    assert_true(has_group(&a, getegid()));
    account_done(&a);

    assert_int_equal(account_resolve(NULL, "12345", &a, NULL), 0);
    assert_int_equal(a.uid, geteuid());
    assert_int_equal(a.gid, 12345);
    assert_true(has_group(&a, 12345));
    account_done(&a);
}

static void test_account_numbers(void **state)
{
    struct account a;
    const char *why = NULL;

    /* no entry, so no group of its own */
    assert_int_equal(account_resolve("3999999", NULL, &a, &why), -ENOENT);
    assert_non_null(strstr(why, "--group"));
    assert_int_equal(account_resolve("3999999", "daemon", &a, NULL), 0);
    assert_int_equal(a.uid, 3999999);
    assert_int_equal(a.gid, getgrnam("daemon")->gr_gid);
    assert_int_equal(a.n_groups, 1);
    assert_true(has_group(&a, a.gid));
    assert_null(a.name);
    account_done(&a);
}

static void test_account_absent(void **state)
{
    static const struct {
        const char *user, *group;
    } cases[] = {
        {"no-such-user", NULL},    {"", NULL},   {"4294967295", "0"},    {"-1", "0"},
        {"root", "no-such-group"}, {"root", ""}, {"root", "4294967295"}, {"0x0", "0"},
    };
    struct account a = {.uid = 4711};

    for (size_t i = 0; i < N(cases); i++) {
        const char *why = NULL;

        assert_int_equal(account_resolve(cases[i].user, cases[i].group, &a, &why), -ENOENT);
        assert_reason(why);
        assert_int_equal(a.uid, 4711);
    }
    account_done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_time_ranges),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_signal_names),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_affinity),
        cmocka_unit_test_setup_teardown(test_quota, make_tree, remove_tree),
        cmocka_unit_test(test_account_of_user),
        cmocka_unit_test(test_account_of_caller),
        cmocka_unit_test(test_account_numbers),
        cmocka_unit_test(test_account_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
