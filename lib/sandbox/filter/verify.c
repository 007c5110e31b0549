/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "architecture.h"
#include "policy/model.h"
#include "policy/problem.h"
#include "prove.h"
#include "verify.h"

/* ---- what a program has to do ---------------------------------------------------------------- */

static uint32_t denied(uint16_t error, ait_sandbox_deny deny)
{
    if (deny == AIT_SANDBOX_DENY_EXPLAIN)
        return SECCOMP_RET_USER_NOTIF;
    if (error == ENOSYS || deny == AIT_SANDBOX_DENY_ERRNO)
        return SECCOMP_RET_ERRNO | error;
    return deny == AIT_SANDBOX_DENY_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
}

uint32_t filter_action(ait_policy_action action, ait_sandbox_deny deny)
{
    if (deny == AIT_SANDBOX_DENY_LEARN)
        return SECCOMP_RET_USER_NOTIF;
    switch ((ait_policy_action_kind)action.kind) {
    case AIT_POLICY_ALLOW:
        return SECCOMP_RET_ALLOW;
    case AIT_POLICY_ERRNO:
        return denied(action.error, deny);
    case AIT_POLICY_LOG:
        return SECCOMP_RET_LOG;
    case AIT_POLICY_TRAP:
        return SECCOMP_RET_TRAP;
    case AIT_POLICY_NOTIFY:
        return SECCOMP_RET_USER_NOTIF;
    case AIT_POLICY_KILL:
        break;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

static bool carries_key(const struct filter_terms *terms, const struct seccomp_data *data)
{
    switch (data->nr) {
    case SYS_execve:
    case SYS_execveat:
        return terms->exec_key != 0 && data->args[5] == terms->exec_key;
    case SYS_sendmsg:
        return terms->send_key != 0 && data->args[0] >> 32 == terms->send_key;
    }
    return false;
}

uint32_t filter_expected(const struct filter_terms *terms, const struct seccomp_data *data)
{
    uint64_t args[6];

    if (data->arch != NATIVE_ARCHITECTURE)
        return terms->deny == AIT_SANDBOX_DENY_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
    if (carries_key(terms, data))
        return SECCOMP_RET_ALLOW;
    if (!terms->policy)
        return SECCOMP_RET_USER_NOTIF;
    memcpy(args, data->args, sizeof(args));
    return filter_action(ait_policy_evaluate(terms->policy, data->nr, args), terms->deny);
}

uint32_t filter_expected_quiet(const struct filter_terms *terms, const struct seccomp_data *data)
{
    bool listened = filter_listens(terms->deny);

    if (data->arch != NATIVE_ARCHITECTURE || listened)
        return SECCOMP_RET_ALLOW;
    if (data->nr < 0 || data->nr > SYSCALL_NEWEST)
        return SECCOMP_RET_ERRNO | ENOSYS;
    if (terms->exec_key != 0 && (data->nr == SYS_execve || data->nr == SYS_execveat))
        return SECCOMP_RET_ALLOW;
    const struct policy_call *call = &terms->policy->calls[data->nr];
    bool designed = call->n_rules == 0 && policy_action_is_absent(call->otherwise);
    return designed ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_ALLOW;
}

/* ---- asking the program ---------------------------------------------------------------------- */

struct verifier {
    const struct filter_terms *terms;
    const struct sock_filter *program;
    size_t n;
    uint32_t (*expected)(const struct filter_terms *terms, const struct seccomp_data *data);
    ait_sandbox_problem *problem;
};

static void describe(uint32_t answer, char *ret, size_t size)
{
    static const struct {
        uint32_t action;
        const char *name;
    } names[] = {
        {SECCOMP_RET_ALLOW, "allow"},       {SECCOMP_RET_LOG, "log"},
        {SECCOMP_RET_TRAP, "trap"},         {SECCOMP_RET_TRACE, "trace"},
        {SECCOMP_RET_USER_NOTIF, "notify"}, {SECCOMP_RET_KILL_PROCESS, "kill"},
    };
    const char *error = strerrorname_np((int)(answer & SECCOMP_RET_DATA));

    if ((answer & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && error) {
        (void)snprintf(ret, size, "errno(%s)", error);
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].action == answer) {
            (void)snprintf(ret, size, "%s", names[i].name);
            return;
        }
    (void)snprintf(ret, size, "%#x", answer);
}

static int mismatch(const struct verifier *v, const struct seccomp_data *data, uint32_t wanted,
                    uint32_t got)
{
    char wanted_text[32], got_text[32], number[32];
    const char *name = data->arch == NATIVE_ARCHITECTURE ? ait_syscall_name(data->nr) : NULL;
    const unsigned long long a[6] = {data->args[0], data->args[1], data->args[2],
                                     data->args[3], data->args[4], data->args[5]};

    describe(wanted, wanted_text, sizeof(wanted_text));
    describe(got, got_text, sizeof(got_text));
    (void)snprintf(number, sizeof(number), "call %d", data->nr);
    return problem_at(
        v->problem, -EBADMSG, v->terms->policy ? v->terms->policy->name : NULL, 0, 0,
        "the compiled program does not do what the policy says, and is not used: %s(%#llx, %#llx, "
        "%#llx, %#llx, %#llx, %#llx) on architecture %#x: wanted %s, got %s",
        name ? name : number, a[0], a[1], a[2], a[3], a[4], a[5], data->arch, wanted_text,
        got_text);
}

static int ask(const struct verifier *v, const struct seccomp_data *data)
{
    uint32_t wanted = v->expected(v->terms, data);
    uint32_t got = bpf_run(v->program, v->n, data);

    return wanted == got ? 0 : mismatch(v, data, wanted, got);
}

/* ---- the proof ------------------------------------------------------------------------------- */

/* A call's rules, as the verifier asks for them: those of the policy, after one for a key. */
struct subject {
    const struct filter_terms *terms;
    ait_policy_compare key;
    struct policy_rule key_rule;
};

static bool has_key(const struct filter_terms *terms, uint32_t number, ait_policy_compare *ret)
{
    if ((number == SYS_execve || number == SYS_execveat) && terms->exec_key != 0) {
        *ret = (ait_policy_compare){
            .arg = 5, .op = AIT_POLICY_EQ, .mask = UINT64_MAX, .value = terms->exec_key};
        return true;
    }
    if (number == SYS_sendmsg && terms->send_key != 0) {
        *ret = (ait_policy_compare){.arg = 0,
                                    .op = AIT_POLICY_EQ,
                                    .mask = UINT64_MAX << 32,
                                    .value = (uint64_t)terms->send_key << 32};
        return true;
    }
    return false;
}

static void add_rule(struct proof_call *call, const struct policy_rule *rule, uint32_t answer)
{
    call->rules[call->n] = rule;
    call->answers[call->n++] = answer;
}

static void ask_call(void *userdata, uint32_t number, struct proof_call *ret)
{
    struct subject *subject = userdata;
    const struct filter_terms *terms = subject->terms;

    ret->n = 0;
    if (has_key(terms, number, &subject->key)) {
        subject->key_rule = (struct policy_rule){.n_compares = 1, .compares = &subject->key};
        add_rule(ret, &subject->key_rule, SECCOMP_RET_ALLOW);
    }
    if (!terms->policy) {
        ret->otherwise = SECCOMP_RET_USER_NOTIF;
        return;
    }
    if (number > SYSCALL_NEWEST) {
        ret->otherwise = filter_action((ait_policy_action){AIT_POLICY_ERRNO, ENOSYS}, terms->deny);
        return;
    }
    const struct policy_call *call = &terms->policy->calls[number];
    for (unsigned i = 0; i < call->n_rules; i++)
        add_rule(ret, &call->rules[i], filter_action(call->rules[i].action, terms->deny));
    ret->otherwise = filter_action(call->otherwise, terms->deny);
}

static void ask_call_quiet(void *userdata, uint32_t number, struct proof_call *ret)
{
    const struct subject *subject = userdata;
    const struct seccomp_data data = {.nr = (int)number, .arch = NATIVE_ARCHITECTURE};

    ret->n = 0;
    ret->otherwise = filter_expected_quiet(subject->terms, &data);
}

static int say(const struct verifier *v, const struct proof_gap *gap)
{
    const char *name =
        gap->data.arch == NATIVE_ARCHITECTURE ? ait_syscall_name(gap->data.nr) : NULL;

    return problem_at(v->problem, -EBADMSG, v->terms->policy ? v->terms->policy->name : NULL, 0, 0,
                      "the compiled program cannot be proved to do what the policy says, and is "
                      "not used: instruction %zu of %zu, for %s%s",
                      gap->at, v->n, name ? name : "a call that is not known",
                      gap->not_followed ? ", does what cannot be followed" : "");
}

static int verify(const struct verifier *v, const struct proof_terms *terms)
{
    struct proof_gap gap;
    size_t at;
    int r = bpf_check(v->program, v->n, &at);

    if (r < 0)
        return problem_at(v->problem, -EBADMSG, v->terms->policy ? v->terms->policy->name : NULL, 0,
                          0, "the kernel would refuse the compiled program: instruction %zu of %zu",
                          at, v->n);
    r = filter_prove(terms, v->program, v->n, &gap);
    if (r == -ENOMEM)
        return problem_at(v->problem, r, NULL, 0, 0, "no memory to verify the compiled program");
    if (r < 0 && ask(v, &gap.data) == 0)
        return say(v, &gap);
    return r;
}

int filter_verify(const struct filter_terms *terms, const struct sock_filter *program, size_t n,
                  ait_sandbox_problem *problem)
{
    const struct verifier v = {terms, program, n, filter_expected, problem};
    struct subject subject = {.terms = terms};
    bool logs = terms->deny == AIT_SANDBOX_DENY_LOG;

    return verify(&v, &(struct proof_terms){
                          .userdata = &subject,
                          .call = ask_call,
                          .foreign = logs ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS,
                      });
}

int filter_verify_quiet(const struct filter_terms *terms, const struct sock_filter *program,
                        size_t n, ait_sandbox_problem *problem)
{
    const struct verifier v = {terms, program, n, filter_expected_quiet, problem};
    struct subject subject = {.terms = terms};

    return verify(&v, &(struct proof_terms){
                          .userdata = &subject,
                          .call = ask_call_quiet,
                          .foreign = SECCOMP_RET_ALLOW,
                      });
}
