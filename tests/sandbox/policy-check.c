/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy-check.h"
#include "policy/parse.h"

ait_policy *parse(const char *text)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    int r = ait_policy_from_text(&policy, "text", text, strlen(text), &problem);

    if (r < 0)
        fail_msg("%s:%u:%u: %s (%d)\n%.400s", problem.file, problem.line, problem.column,
                 problem.message, r, text);
    return policy;
}

int parse_wrong(const char *text, size_t n, ait_sandbox_problem *problem)
{
    ait_policy *policy = (ait_policy *)&policy;
    int r = ait_policy_from_text(&policy, "text", text, n, problem);

    if (r >= 0) {
        ait_policy_unref(policy);
        return r;
    }
    assert_ptr_equal(policy, &policy);
    assert_int_equal(problem->error, r);
    assert_true(strlen(problem->message) > 0);
    assert_null(strchr(problem->message, '\n'));
    return r;
}

const char *action_of(const ait_policy *policy, const char *name, const uint64_t args[6])
{
    static char buffer[32];
    int number = ait_syscall_from_name(name);

    return number < 0 ? NULL
                      : ait_policy_action_text(ait_policy_evaluate(policy, number, args), buffer);
}

void check_calls(const char *what, const ait_policy *policy, const struct call_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *action = action_of(policy, rows[i].name, rows[i].args);
        if (!action && ait_syscall_from_name(rows[i].name) == -EOPNOTSUPP)
            continue;
        if (!action || strcmp(action, rows[i].action) != 0)
            fail_msg("%s, row %zu: %s(%#llx, %#llx, %#llx, ...) is %s, not %s", what, i,
                     rows[i].name, (unsigned long long)rows[i].args[0],
                     (unsigned long long)rows[i].args[1], (unsigned long long)rows[i].args[2],
                     action ? action : "unknown", rows[i].action);
    }
}

static bool holds(const struct policy_rule *rule, const uint64_t args[6])
{
    for (unsigned i = 0; i < rule->n_compares; i++)
        if (!policy_compare_holds(&rule->compares[i], args))
            return false;
    return true;
}

bool rules_overlap(const ait_policy *policy, int number, const uint64_t args[6])
{
    const struct policy_call *call = &policy->calls[number];
    const struct policy_rule *first = NULL;

    for (unsigned i = 0; i < call->n_rules; i++) {
        const struct policy_rule *rule = &call->rules[i];
        if (!holds(rule, args))
            continue;
        if (first &&
            (first->action.kind != rule->action.kind || first->action.error != rule->action.error))
            return true;
        first = rule;
    }
    return false;
}

char *written(const ait_policy *policy, ait_policy_format format, size_t *ret_length)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);

    assert_non_null(out);
    int r = ait_policy_write(policy, out, format, &problem);
    assert_int_equal(fclose(out), 0);
    if (r < 0)
        fail_msg("not written: %s", problem.message);
    return text;
}
