/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies to JSON of container runtimes and back, which has to be the same policy; a profile as docker has them; what is wrong in a file, with its
 * place; and the sets of arguments behind it against a count of all of them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/cubes.h"
#include "sandbox/oci.h"

#define ROUNDS 400 /* of random arguments a call and policy */

/* ---- chance --------------------------------------------------------------------------------------- */

static uint64_t state = 1;

static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Values that policies speak of, their neighbours, and noise in the upper half. */
static uint64_t choose_argument(void)
{
    static const uint64_t values[] = {0,          1,          2,          3,          10,     16,
                                      17,         38,         40,         0x5412,     0x541c, 0x5413,
                                      0x10000000, 0x00010000, 0x10010000, 0xffffffff, 4096,   UINT64_MAX};
    uint64_t v = values[chance() % (sizeof(values) / sizeof(values[0]))];

    switch (chance() % 6) {
    case 0:
        return v + 1;
    case 1:
        return v - 1;
    case 2:
        return v | chance() << 32;
    case 3:
        return v ^ UINT64_C(1) << chance() % 64;
    case 4:
        return chance();
    default:
        return v;
    }
}

/* ---- round trips ---------------------------------------------------------------------------------- */

static ait_policy *from_text(const char *text)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;

    int r = ait_policy_from_text(&policy, "test", text, strlen(text), &problem);
    if (r < 0)
        fail_msg("%s: %u:%u: %s", text, problem.line, problem.column, problem.message);
    return policy;
}

static ait_policy *there_and_back(const ait_policy *policy)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *back = NULL;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    int r = oci_export(policy, "test", out, &problem);
    assert_int_equal(fclose(out), 0);
    if (r < 0)
        fail_msg("export: %s", problem.message);
    r = oci_import(&back, "test", text, size, &problem, NULL);
    if (r < 0)
        fail_msg("import: %u:%u: %s\n%s", problem.line, problem.column, problem.message, text);
    free(text);
    return back;
}

static void check_same(const ait_policy *a, const ait_policy *b)
{
    for (int number = 0; number <= ait_syscall_newest(); number++)
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t args[6];

            for (int i = 0; i < 6; i++)
                args[i] = choose_argument();
            ait_policy_action x = ait_policy_evaluate(a, number, args),
                              y = ait_policy_evaluate(b, number, args);
            if (x.kind != y.kind || x.error != y.error)
                fail_msg("%s(%#llx, %#llx, %#llx): %d/%d, and %d/%d after the round trip",
                         ait_syscall_name(number), (unsigned long long)args[0], (unsigned long long)args[1],
                         (unsigned long long)args[2], x.kind, x.error, y.kind, y.error);
        }
}

static void test_round_trips(void **unused)
{
    static const char *const policies[] = {
        "policy 1\n",
        "policy 1\ndefault allow\nswapon: errno(EPERM)\nbpf: kill\nptrace: enosys\n",
        "policy 1\ndefault kill\nread\nwrite: log\nclose: trap\n",
        "policy 1\nioctl\n",
        "policy 1\nioctl: allow\nioctl arg1 == TIOCSTI: errno(EPERM)\nioctl arg1 == TIOCLINUX: kill\n",
        "policy 1\nioctl: errno(ENOTTY)\nioctl arg1 == TIOCSTI: errno(EPERM)\n",
        "policy 1\nclone arg0 & 0x10010000 == 0x10000\nclone arg0 & 0x10000000 != 0: errno(EACCES)\n",
        "policy 1\nsocket\nsocket arg0 == 2 && arg1 & 0xf == 3: errno(1)\nsocket arg0 == 17: errno(1)\n",
        "policy 1\nlseek arg1 < 4096\n",
        "policy 1\ndefault allow\nlseek arg1 >= 4097: errno(EFBIG)\n",
        "policy 1\nlseek: allow\nlseek arg1 > 4096 && arg2 == 1: errno(EFBIG)\n",
        "policy 1\nmmap arg1 <= 4096 && arg2 != 7\n",
        "policy 1\nread arg2 != 0x8000000000000000\n",
        "policy 1\ninclude service\n",
        "policy 1\ninclude strict\n",
        "policy 1\ninclude base\n",
    };

    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = from_text(policies[i]);
        ait_policy *back AIT_CLEANUP(ait_policy_unrefp) = there_and_back(policy);

        check_same(policy, back);
    }
}

/* ---- a profile ------------------------------------------------------------------------------------ */

static char *read_file(const char *name, size_t *ret_size)
{
    FILE *file = fopen(name, "re");
    char *text = calloc(1, 65536);

    assert_non_null(file);
    assert_non_null(text);
    *ret_size = fread(text, 1, 65535, file);
    (void)fclose(file);
    return text;
}

static const char *profile; /* its path */

static void test_profile(void **unused)
{
    static const struct {
        const char *name;
        uint64_t first, second;
        ait_policy_action wanted;
    } table[] = {
        {"read", 0, 0, {AIT_POLICY_ALLOW, 0}},
        {"ptrace", 0, 0, {AIT_POLICY_ALLOW, 0}},           /* this kernel is newer than 4.8 */
        {"pidfd_getfd", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}}, /* and older than 99.1 */
        {"socket", 2, 1, {AIT_POLICY_ALLOW, 0}},           /* two orderings of one argument */
        {"socket", 37, 1, {AIT_POLICY_ALLOW, 0}},
        {"socket", 38, 1, {AIT_POLICY_ERRNO, ENOSYS}},
        {"socket", 39, 1, {AIT_POLICY_ALLOW, 0}},
        {"socket", 40, 1, {AIT_POLICY_ERRNO, ENOSYS}},
        {"socket", 0x100000026, 1, {AIT_POLICY_ERRNO, ENOSYS}}, /* 38 to the kernel */
        {"socket", 41, 1, {AIT_POLICY_ALLOW, 0}},
        {"personality", 0, 0, {AIT_POLICY_ALLOW, 0}},
        {"personality", 0xffffffff, 0, {AIT_POLICY_ALLOW, 0}},
        {"personality", 0x40000, 0, {AIT_POLICY_ERRNO, ENOSYS}},
        {"clone", 0x11, 0, {AIT_POLICY_ALLOW, 0}},
        {"clone", 0x10000011, 0, {AIT_POLICY_ERRNO, ENOSYS}}, /* not by argument 1, nor by capability */
        {"clone3", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}},
        {"mount", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}},
        {"reboot", 0, 0, {AIT_POLICY_KILL, 0}},
        {"swapon", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}},
    };
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    size_t size;
    char *text = read_file(profile, &size);

    if (oci_import(&policy, "container.json", text, size, &problem, NULL) < 0)
        fail_msg("%u:%u: %s", problem.line, problem.column, problem.message);
    free(text);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint64_t args[6] = {table[i].first, table[i].second};
        ait_policy_action got = ait_policy_evaluate(policy, ait_syscall_from_name(table[i].name), args);

        if (got.kind != table[i].wanted.kind ||
            (got.kind == AIT_POLICY_ERRNO && got.error != table[i].wanted.error))
            fail_msg("%s(%#llx): got %d/%d", table[i].name, (unsigned long long)table[i].first, got.kind,
                     got.error);
    }
    ait_policy *back AIT_CLEANUP(ait_policy_unrefp) = there_and_back(policy);
    check_same(policy, back);
}

/* ---- mistakes ------------------------------------------------------------------------------------- */

#define HEAD "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\n \"syscalls\": [\n"
#define TAIL "\n]}"

static void test_mistakes(void **unused)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *message;
    } table[] = {
        {"", 1, 0, "JSON"},
        {"{", 1, 1, "JSON"},
        {"[]", 1, 1, "defaultAction"},
        {"{}", 1, 1, "\"defaultAction\" is missing"},
        {"{\"defaultAction\": 3}", 1, 19, "an action is expected"},
        {"{\"defaultAction\": \"SCMP_ACT_TRACE\"}", 1, 19, "SCMP_ACT_TRACE"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n  \"syscals\": []}", 2, 14, "\"syscals\" is not known"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"defaultErrnoRet\": 1}", 1, 56, "only SCMP_ACT_ERRNO"},
        {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 5000}", 1, 56, "1 to 4095"},
        {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultAction\": \"SCMP_ACT_ALLOW\"}", 1, 0, "JSON"},
        {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": 1}", 1, 49, "array"},
        {"{\"linux\": {\"seccomp\": {\n\"defaultAction\": 1}}}", 2, 18, "an action"},
        {HEAD "1" TAIL, 3, 1, "an object"},
        {HEAD "{\"action\":\"SCMP_ACT_ALLOW\"}" TAIL, 3, 1, "names"},
        {HEAD "{\"names\":[\"read\",\n\"opennat\"],\"action\":\"SCMP_ACT_ALLOW\"}" TAIL, 4, 1,
         "unknown system call 'opennat'"},
        {HEAD "{\"names\":[1],\"action\":\"SCMP_ACT_ALLOW\"}" TAIL, 3, 11, "name of a system call"},
        {HEAD "{\"names\":[\"read\"]}" TAIL, 3, 1, "\"action\" is missing"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"ALLOW\"}" TAIL, 3, 28, "an action is expected"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":1}" TAIL, 3, 56,
         "only SCMP_ACT_ERRNO"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"args\":[{\"index\":0,\"op\":\"SCMP_"
              "CMP_EQ\"}]}" TAIL,
         4, 9, "\"value\""},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"args\":[{\"index\":6,\"value\":1,"
              "\"op\":\"SCMP_CMP_EQ\"}]}" TAIL,
         4, 9, "0 to 5"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"args\":[{\"index\":0,\"value\":-1,"
              "\"op\":\"SCMP_CMP_EQ\"}]}" TAIL,
         4, 28, "2^64"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"args\":[{\"index\":0,\"value\":1,"
              "\"op\":\"EQ\"}]}" TAIL,
         4, 35, "operator"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"args\":[{\"index\":0,\"value\":"
              "99999999999999999999,\"op\":\"SCMP_CMP_EQ\"}]}" TAIL,
         4, 28, "2^64"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":"
              "\"SCMP_CMP_EQ\"},\n{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}" TAIL,
         4, 1, "a second comparison of argument 0"},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"capz\":[]}}" TAIL, 3, 64,
         "\"capz\""},
        {HEAD "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"includes\":{\"caps\":\"CAP_SYS_"
              "ADMIN\"}}" TAIL,
         4, 20, "a list of words"},
        {HEAD "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"includes\":{\"caps\":[21]}}" TAIL, 4,
         21, "a word"},
        {HEAD "{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"excludes\":{\"arches\":{}}}" TAIL, 4,
         22, "a list of words"},
        {HEAD "{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"includes\":{\"minKernel\":99}}" TAIL, 4,
         25, "\"5.10\""},
        {HEAD
         "{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\",\n\"excludes\":{\"minKernel\":\"new\"}}" TAIL,
         4, 25, "\"5.10\""},
        {HEAD "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":"
              "1099511627775,\"valueTwo\":4294967297,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}" TAIL,
         3, 1, ""},
        {HEAD "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},\n{\"names\":[\"read\"],\"action\":"
              "\"SCMP_ACT_LOG\"}" TAIL,
         4, 1, "conflicting"},
        {HEAD "{\"names\":[\"lseek\"],\"action\":\"SCMP_ACT_ALLOW\"},\n{\"names\":[\"lseek\"],\"action\":"
              "\"SCMP_ACT_LOG\",\"args\":[{\"index\":1,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}" TAIL,
         4, 1, "conflicting"},
        {HEAD "{\"names\":[\"lseek\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"value\":1,"
              "\"op\":\"SCMP_CMP_EQ\"}]},\n{\"names\":[\"lseek\"],\"action\":\"SCMP_ACT_LOG\",\"args\":[{"
              "\"index\":1,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}" TAIL,
         4, 1, "conflicting"},
        {HEAD "{\"names\":[\"lseek\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"value\":1,"
              "\"valueTwo\":2,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}" TAIL,
         3, 1, "never hold"},
        {HEAD "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":"
              "4294967296,\"op\":\"SCMP_CMP_EQ\"}]}" TAIL,
         3, 1, "32 bits"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        int r = oci_import(&policy, "test.json", table[i].text, strlen(table[i].text), &problem, NULL);

        if (r >= 0 || policy)
            fail_msg("%s: was taken", table[i].text);
        if (problem.error != r || problem.line != table[i].line ||
            (table[i].column > 0 && problem.column != table[i].column) ||
            !strstr(problem.message, table[i].message) || strcmp(problem.file, "test.json") != 0)
            fail_msg("%s: got %d, %u:%u: %s", table[i].text, problem.error, problem.line, problem.column,
                     problem.message);
        assert_int_equal(oci_import(&policy, "test.json", table[i].text, strlen(table[i].text), NULL, NULL),
                         r);
    }
}

/* Each beginning of a good file, and each file with one byte changed, is taken or refused, and nothing else happens. */
static void test_damage(void **unused)
{
    size_t size;
    char *text = read_file(profile, &size);

    for (size_t i = 0; i < size; i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        bool cut = i % 2;
        char before = text[i];

        text[i] = (char)(chance() % 255 + 1);
        int r = oci_import(&policy, "test.json", text, cut ? i : size, &problem, NULL);
        text[i] = before;
        if (r < 0)
            assert_true(problem.error == r && problem.message[0]);
        else
            assert_non_null(policy);
        ait_policy_unref(policy);
    }
    free(text);
}

/* ---- sets of arguments ---------------------------------------------------------------------------- */

static bool holds(const ait_policy_compare *c, uint64_t x)
{
    uint64_t left = x & c->mask;

    switch ((ait_policy_op)c->op) {
    case AIT_POLICY_EQ:
        return left == c->value;
    case AIT_POLICY_NE:
        return left != c->value;
    case AIT_POLICY_LT:
        return left < c->value;
    case AIT_POLICY_LE:
        return left <= c->value;
    case AIT_POLICY_GT:
        return left > c->value;
    case AIT_POLICY_GE:
        return left >= c->value;
    }
    return false;
}

/* How many cubes have it. */
static unsigned count(const struct cubes *cubes, uint64_t x, uint64_t y)
{
    unsigned n = 0;

    for (size_t i = 0; i < cubes->n; i++)
        n += (x & cubes->list[i].mask[0]) == cubes->list[i].value[0] &&
             (y & cubes->list[i].mask[1]) == cubes->list[i].value[1];
    return n;
}

/* Arguments of 4 bits: all of them can be asked. */
static void check_cubes(const ait_policy_compare *a, const ait_policy_compare *b)
{
    struct cubes first, second, rest, other;

    assert_int_equal(cubes_of_compare(&first, a), 0);
    assert_int_equal(cubes_of_compare(&second, b), 0);
    assert_int_equal(cubes_of_opposite(&rest, a), 0);
    assert_int_equal(cubes_of_opposite(&other, b), 0);
    assert_int_equal(cubes_unite(&rest, &other), 0);
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t x = i & 15, y = i >> 4;
        bool in_a = holds(a, x), in_b = holds(b, y);

        assert_int_equal(count(&first, x, y), in_a);
        assert_int_equal(count(&second, x, y), in_b);
        assert_int_equal(count(&rest, x, y) > 0, !in_a || !in_b);
    }
    cubes_merge(&rest);
    assert_int_equal(cubes_intersect(&first, &second), 0);
    for (uint64_t i = 0; i < 256; i++) {
        bool in_a = holds(a, i & 15), in_b = holds(b, i >> 4);

        assert_int_equal(count(&rest, i & 15, i >> 4) > 0, !in_a || !in_b);
        assert_int_equal(count(&first, i & 15, i >> 4), in_a && in_b);
    }
    cubes_done(&first);
    cubes_done(&second);
    cubes_done(&rest);
    cubes_done(&other);
}

static void test_cubes(void **unused)
{
    for (int op = AIT_POLICY_EQ; op <= AIT_POLICY_GE; op++)
        for (uint64_t mask = 0; mask < 16; mask++)
            for (uint64_t value = 0; value < 16; value++) {
                ait_policy_compare a = {.arg = 0, .op = (uint8_t)op, .mask = mask, .value = value};
                ait_policy_compare b = {
                    .arg = 1, .op = (uint8_t)(chance() % 6), .mask = chance() % 16, .value = chance() % 16};

                check_cubes(&a, &b);
            }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cubes),    cmocka_unit_test(test_round_trips), cmocka_unit_test(test_profile),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_damage),
    };

    profile = argc > 1 ? argv[1] : "container.json";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
