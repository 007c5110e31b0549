/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is written is read as an equal policy; what people see of it.
 */

#include "policy-check.h"
#include "policy-draw.h"
#include "syscalls/syscalls.h"

#define N_TEXTS 2500

static ait_policy *read_text(const char *text, size_t n)
{
    ait_policy *policy = NULL;

    return ait_policy_from_text(&policy, "text", text, n, NULL) < 0 ? NULL : policy;
}

static void check_again(const ait_policy *policy, const char *text, uint64_t seed)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *again = NULL;
    size_t n;
    char *native = written(policy, AIT_POLICY_FORMAT_NATIVE, &n);

    if (ait_policy_from_text(&again, "written", native, n, &problem) < 0)
        fail_msg("seed %#llx: %u:%u: %s\n%s", (unsigned long long)seed, problem.line,
                 problem.column, problem.message, native);
    if (!policy_equal(policy, again))
        fail_msg("seed %#llx: not the same:\n%s\nwritten as\n%s", (unsigned long long)seed, text,
                 native);
    ait_policy_unref(again);
    free(native);
}

static void test_random(void **unused)
{
    uint64_t first = fuzz_seed(1);
    unsigned n_right = 0;

    for (uint64_t seed = first; seed < first + N_TEXTS; seed++) {
        struct draw draw = {seed};
        size_t n;
        char *text = draw_text(&draw, &n);
        ait_policy *policy = read_text(text, n);
        if (policy) {
            check_again(policy, text, seed);
            n_right++;
        }
        ait_policy_unref(policy);
        free(text);
    }
    print_message("%u of %u texts are right\n", n_right, N_TEXTS);
    assert_true(n_right > N_TEXTS / 10);
}

static void test_presets(void **unused)
{
    static const char *const names[] = {"base", "service", "strict"};

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        ait_policy *policy = NULL;
        assert_int_equal(ait_policy_from_preset(&policy, names[i], NULL), 0);
        check_again(policy, names[i], 0);
        ait_policy_unref(policy);
    }
}

/* Right texts keep the model's promises: rules with different actions never hold together, no more
 * than one comparison of order, no bits that the kernel does not read, and none that never holds.
 */
static void check_call(const ait_policy *policy, int number, struct draw *draw, const char *text)
{
    const struct policy_call *call = &policy->calls[number];
    unsigned n_orders = 0;

    for (unsigned i = 0; i < call->n_rules; i++)
        for (unsigned k = 0; k < call->rules[i].n_compares; k++) {
            const ait_policy_compare *c = &call->rules[i].compares[k];
            n_orders += c->op != AIT_POLICY_EQ && c->op != AIT_POLICY_NE;
            if (c->mask & ~syscall_argument_mask(number, c->arg))
                fail_msg("a wide mask:\n%s", text);
            if (c->mask == 0 || (c->op == AIT_POLICY_EQ && c->value & ~c->mask))
                fail_msg("it never holds:\n%s", text);
        }
    if (n_orders > 1)
        fail_msg("two orders:\n%s", text);
    for (unsigned n = 0; n < 50 && call->n_rules > 1; n++) {
        uint64_t args[6];
        for (unsigned arg = 0; arg < 6; arg++) {
            const struct policy_rule *rule = &call->rules[draw_below(draw, call->n_rules)];
            const ait_policy_compare *c = &rule->compares[draw_below(draw, rule->n_compares)];
            args[arg] = (c->value | (draw_below(draw, 2) ? 0 : ~c->mask)) + draw_below(draw, 3) - 1;
        }
        if (rules_overlap(policy, number, args))
            fail_msg("rules of %s overlap:\n%s", ait_syscall_name(number), text);
    }
}

static void test_promises(void **unused)
{
    for (uint64_t seed = 1; seed < N_TEXTS; seed++) {
        struct draw draw = {seed * 77};
        size_t n;
        char *text = draw_text(&draw, &n);
        ait_policy *policy = read_text(text, n);
        for (int i = 0; policy && i <= SYSCALL_NEWEST; i++)
            check_call(policy, i, &draw, text);
        ait_policy_unref(policy);
        free(text);
    }
}

static void test_text(void **unused)
{
    static const char text[] = P "default errno(EACCES)\n\n"
                                 "read: errno(4000)\n"
                                 "ioctl arg1 == TIOCSTI: errno(EPERM)\n"
                                 "ioctl\n"
                                 "socket arg0 == AF_INET && arg1 & 0xf == SOCK_RAW: kill\n"
                                 "socket arg0 == AF_UNIX\n"
                                 "clone arg0 & (CLONE_NEWUSER|CLONE_NEWNET) != 0: trap\n"
                                 "brk arg0 >= 0x100000000: log\n"
                                 "prctl arg0 == PR_SET_NAME: notify\n"
                                 "prctl arg0 == 0x7fffffff: notify(EIO)\n"
                                 "clone3: enosys\n";
    size_t n;
    ait_policy *policy = parse(text);
    char *native = written(policy, AIT_POLICY_FORMAT_NATIVE, &n);
    char *copy = strdup(text);

    assert_non_null(copy);
    /* The order is that of the numbers. */
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
        if (!strstr(native, line))
            fail_msg("'%s' is not in\n%s", line, native);
    assert_int_equal(n, strlen(text));
    free(copy);
    free(native);
    ait_policy_unref(policy);
}

static void test_full(void **unused)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = parse(P "read\n");
    FILE *full = fopen("/dev/full", "we");

    if (!full)
        skip();
    assert_int_equal(ait_policy_write(policy, full, AIT_POLICY_FORMAT_NATIVE, &problem), -ENOSPC);
    (void)fclose(full);
    assert_int_equal(ait_policy_write(NULL, stdout, AIT_POLICY_FORMAT_NATIVE, NULL), -EINVAL);
    assert_int_equal(ait_policy_write(policy, NULL, AIT_POLICY_FORMAT_NATIVE, NULL), -EINVAL);
    assert_int_equal(ait_policy_write(policy, stdout, (ait_policy_format)9, NULL), -EINVAL);
    ait_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),   cmocka_unit_test(test_presets),
        cmocka_unit_test(test_promises), cmocka_unit_test(test_text),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
