/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a policy to the JSON of container runtimes. libjansson writes no number above 2^63, which masks are; there is nothing to escape. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cubes.h"
#include "oci.h"

#if defined(__x86_64__)
#define OCI_ARCHITECTURE "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define OCI_ARCHITECTURE "SCMP_ARCH_AARCH64"
#elif defined(__riscv)
#define OCI_ARCHITECTURE "SCMP_ARCH_RISCV64"
#elif defined(__s390x__)
#define OCI_ARCHITECTURE "SCMP_ARCH_S390X"
#elif defined(__powerpc64__)
#define OCI_ARCHITECTURE "SCMP_ARCH_PPC64LE"
#endif

struct rules {
    ait_policy_rule *list; /* with comparisons of their own */
    size_t n;
};

struct call {
    const char *name;
    ait_policy_action otherwise;
    struct rules rules;
};

struct writer {
    FILE *out;
    ait_policy_action fallback;
    struct call *calls;
    int newest;
    bool first; /* entry */
    const char *refused;
};

static bool same(ait_policy_action a, ait_policy_action b)
{
    return a.kind == b.kind && a.error == b.error;
}

/* ---- reading the policy --------------------------------------------------------------------------- */

static int take_rule(const ait_policy_rule *rule, void *userdata)
{
    struct writer *w = userdata;

    if (rule->number < 0 || rule->number > w->newest)
        return 0;
    struct call *call = &w->calls[rule->number];
    if (rule->n_compares == 0) {
        call->otherwise = rule->action;
        return 0;
    }
    ait_policy_rule *list = reallocarray(call->rules.list, call->rules.n + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    call->rules.list = list;
    ait_policy_compare *compares = calloc(rule->n_compares, sizeof(*compares));
    if (!compares)
        return -ENOMEM;
    memcpy(compares, rule->compares, rule->n_compares * sizeof(*compares));
    list[call->rules.n] = *rule;
    list[call->rules.n++].compares = compares;
    return 0;
}

static void writer_done(struct writer *w)
{
    for (int i = 0; w->calls && i <= w->newest; i++) {
        for (size_t k = 0; k < w->calls[i].rules.n; k++)
            free((void *)w->calls[i].rules.list[k].compares);
        free(w->calls[i].rules.list);
    }
    free(w->calls);
}

static int writer_init(struct writer *w, const ait_policy *policy, FILE *out)
{
    *w = (struct writer){
        .out = out, .newest = ait_syscall_newest(), .fallback = ait_policy_fallback(policy), .first = true};
    w->calls = calloc((size_t)w->newest + 1, sizeof(*w->calls));
    if (!w->calls)
        return -ENOMEM;
    for (int i = 0; i <= w->newest; i++)
        w->calls[i] = (struct call){.name = ait_syscall_name(i), .otherwise = w->fallback};
    return ait_policy_foreach_rule(policy, take_rule, w);
}

/* ---- writing -------------------------------------------------------------------------------------- */

static const char *action_name(ait_policy_action action)
{
    static const char *const names[] = {
        [AIT_POLICY_ALLOW] = "SCMP_ACT_ALLOW",   [AIT_POLICY_ERRNO] = "SCMP_ACT_ERRNO",
        [AIT_POLICY_LOG] = "SCMP_ACT_LOG",       [AIT_POLICY_TRAP] = "SCMP_ACT_TRAP",
        [AIT_POLICY_NOTIFY] = "SCMP_ACT_NOTIFY", [AIT_POLICY_KILL] = "SCMP_ACT_KILL_PROCESS",
    };

    return names[action.kind];
}

static void begin_entry(struct writer *w)
{
    fprintf(w->out, "%s\n    {\n      \"names\": [", w->first ? "" : ",");
    w->first = false;
}

static void put_action(struct writer *w, ait_policy_action action)
{
    fprintf(w->out, "],\n      \"action\": \"%s\"", action_name(action));
    if (action.kind == AIT_POLICY_ERRNO)
        fprintf(w->out, ",\n      \"errnoRet\": %u", action.error);
}

static void put_cube(struct writer *w, const char *name, const struct cube *cube, ait_policy_action action)
{
    const char *comma = "";

    begin_entry(w);
    fprintf(w->out, "\"%s\"", name);
    put_action(w, action);
    fprintf(w->out, ",\n      \"args\": [");
    for (unsigned i = 0; i < 6; i++) {
        if (cube->mask[i] == 0)
            continue;
        fprintf(w->out, "%s\n        { \"index\": %u, \"value\": %" PRIu64 ", ", comma, i,
                cube->mask[i] == UINT64_MAX ? cube->value[i] : cube->mask[i]);
        if (cube->mask[i] == UINT64_MAX)
            fprintf(w->out, "\"op\": \"SCMP_CMP_EQ\" }");
        else
            fprintf(w->out, "\"valueTwo\": %" PRIu64 ", \"op\": \"SCMP_CMP_MASKED_EQ\" }", cube->value[i]);
        comma = ",";
    }
    fprintf(w->out, "\n      ]\n    }");
}

static void put_cubes(struct writer *w, const char *name, struct cubes *cubes, ait_policy_action action)
{
    cubes_merge(cubes);
    for (size_t i = 0; i < cubes->n; i++)
        put_cube(w, name, &cubes->list[i], action);
}

/* ---- calls with rules ----------------------------------------------------------------------------- */

static int cubes_of_rule(struct cubes *ret, const ait_policy_rule *rule)
{
    int r = cubes_all(ret);

    for (size_t i = 0; i < rule->n_compares && r >= 0; i++) {
        struct cubes one = {0};

        r = cubes_of_compare(&one, &rule->compares[i]);
        if (r >= 0)
            r = cubes_intersect(ret, &one);
        cubes_done(&one);
    }
    return r;
}

/* What fails one of its comparisons. */
static int take_from(struct cubes *rest, const ait_policy_rule *rule)
{
    struct cubes others = {0};
    int r = 0;

    for (size_t i = 0; i < rule->n_compares && r >= 0; i++) {
        struct cubes one = {0};

        r = cubes_of_opposite(&one, &rule->compares[i]);
        if (r >= 0)
            r = cubes_unite(&others, &one);
        cubes_done(&one);
    }
    if (r >= 0)
        r = cubes_intersect(rest, &others);
    cubes_done(&others);
    return r;
}

static int put_one(struct writer *w, const char *name, const ait_policy_rule *rule)
{
    struct cubes cubes = {0};
    int r = cubes_of_rule(&cubes, rule);

    if (r >= 0)
        put_cubes(w, name, &cubes, rule->action);
    cubes_done(&cubes);
    return r;
}

/* One by one, and what is left of all arguments for the action otherwise. */
static int put_rules(struct writer *w, const struct call *call)
{
    bool has_rest = !same(call->otherwise, w->fallback);
    struct cubes rest;
    int r = cubes_all(&rest);

    for (size_t i = 0; i < call->rules.n && r >= 0; i++) {
        const ait_policy_rule *rule = &call->rules.list[i];

        if (has_rest)
            r = take_from(&rest, rule);
        if (r >= 0 && !same(rule->action, w->fallback))
            r = put_one(w, call->name, rule);
    }
    if (r >= 0 && has_rest)
        put_cubes(w, call->name, &rest, call->otherwise);
    cubes_done(&rest);
    if (r == -E2BIG)
        w->refused = call->name;
    return r;
}

/* ---- the rest ------------------------------------------------------------------------------------- */

static bool is_plain(const struct call *call, ait_policy_action action)
{
    return call->name && call->rules.n == 0 && same(call->otherwise, action);
}

static void put_plain(struct writer *w, ait_policy_action action)
{
    const char *comma = "";

    begin_entry(w);
    for (int i = 0; i <= w->newest; i++)
        if (is_plain(&w->calls[i], action)) {
            fprintf(w->out, "%s\n        \"%s\"", comma, w->calls[i].name);
            comma = ",";
        }
    fprintf(w->out, "\n      ");
    put_action(w, action);
    fprintf(w->out, "\n    }");
}

static void put_plain_calls(struct writer *w)
{
    for (int i = 0; i <= w->newest; i++) {
        const struct call *call = &w->calls[i];
        bool first = call->name && call->rules.n == 0 && !same(call->otherwise, w->fallback);

        for (int k = 0; k < i && first; k++)
            first = !is_plain(&w->calls[k], call->otherwise);
        if (first)
            put_plain(w, call->otherwise);
    }
}

static void put_head(struct writer *w)
{
    fprintf(w->out, "{\n  \"defaultAction\": \"%s\",\n", action_name(w->fallback));
    if (w->fallback.kind == AIT_POLICY_ERRNO)
        fprintf(w->out, "  \"defaultErrnoRet\": %u,\n", w->fallback.error);
#ifdef OCI_ARCHITECTURE
    fprintf(w->out, "  \"architectures\": [\"%s\"],\n", OCI_ARCHITECTURE);
#endif
    fprintf(w->out, "  \"syscalls\": [");
}

int oci_export(const ait_policy *policy, const char *name, FILE *out, ait_sandbox_problem *problem)
{
    struct writer w;
    int r = writer_init(&w, policy, out);

    if (r >= 0) {
        put_head(&w);
        put_plain_calls(&w);
    }
    for (int i = 0; i <= w.newest && r >= 0; i++)
        if (w.calls[i].name && w.calls[i].rules.n > 0)
            r = put_rules(&w, &w.calls[i]);
    if (r >= 0)
        fprintf(out, "\n  ]\n}\n");
    if (r < 0 && problem) {
        problem->error = r;
        problem->line = problem->column = 0;
        (void)snprintf(problem->file, sizeof(problem->file), "%s", name);
        (void)snprintf(problem->message, sizeof(problem->message),
                       w.refused ? "%s has rules that container runtimes can only be told in more than a "
                                   "thousand entries; make them simpler"
                                 : "%s",
                       w.refused ? w.refused : strerror(-r));
    }
    writer_done(&w);
    return r;
}
