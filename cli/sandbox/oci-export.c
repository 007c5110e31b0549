/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a policy as JSON of container runtimes. libjansson cannot write numbers above 2^63, which
 * masks are. Nothing needs escaping.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "oci-export.h"
#include "view.h"

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

struct writer {
    FILE *out;
    const struct view *view;
    const char *name; /* of the policy */
    bool has_entries;
    ait_sandbox_problem *problem;
};

static bool is_fallback(const struct writer *w, ait_policy_action action)
{
    return ait_policy_action_is_equal(action, w->view->fallback);
}

static void begin_entry(struct writer *w)
{
    (void)fprintf(w->out, "%s\n    {\n      \"names\": [", w->has_entries ? "," : "");
    w->has_entries = true;
}

static const char *action_name(ait_policy_action action)
{
    static const char *const names[] = {
        [AIT_POLICY_ALLOW] = "SCMP_ACT_ALLOW",   [AIT_POLICY_ERRNO] = "SCMP_ACT_ERRNO",
        [AIT_POLICY_LOG] = "SCMP_ACT_LOG",       [AIT_POLICY_TRAP] = "SCMP_ACT_TRAP",
        [AIT_POLICY_NOTIFY] = "SCMP_ACT_NOTIFY", [AIT_POLICY_KILL] = "SCMP_ACT_KILL_PROCESS",
    };

    return names[action.kind];
}

static void put_action(struct writer *w, ait_policy_action action)
{
    (void)fprintf(w->out, "],\n      \"action\": \"%s\"", action_name(action));
    if (action.kind == AIT_POLICY_ERRNO)
        (void)fprintf(w->out, ",\n      \"errnoRet\": %u", action.error);
}

/* ---- calls whose arguments do not matter ----------------------------------------------------- */

static bool is_plain(const struct view_call *call, ait_policy_action action)
{
    return call->name && call->n_rules == 0 && ait_policy_action_is_equal(call->otherwise, action);
}

static void put_plain(struct writer *w, ait_policy_action action)
{
    const char *comma = "";

    begin_entry(w);
    for (int i = 0; i <= w->view->newest; i++)
        if (is_plain(&w->view->calls[i], action)) {
            (void)fprintf(w->out, "%s\n        \"%s\"", comma, w->view->calls[i].name);
            comma = ",";
        }
    (void)fprintf(w->out, "\n      ");
    put_action(w, action);
    (void)fprintf(w->out, "\n    }");
}

/* ---- those that have rules ------------------------------------------------------------------- */

/* Arguments that no entry matches get the default. An entry can compare an argument only once. */
static bool can_be_said(const struct writer *w, const ait_policy_rule *rule)
{
    unsigned seen = 0;

    if (!is_fallback(w, w->view->calls[rule->number].otherwise))
        return false;
    for (size_t i = 0; i < rule->n_compares; i++) {
        const ait_policy_compare *c = &rule->compares[i];

        if (seen >> c->arg & 1 || (c->op != AIT_POLICY_EQ && c->mask != UINT64_MAX))
            return false;
        seen |= 1U << c->arg;
    }
    return true;
}

static int refuse(const struct writer *w, const char *call)
{
    w->problem->error = -EOPNOTSUPP;
    w->problem->line = w->problem->column = 0;
    (void)snprintf(w->problem->file, sizeof(w->problem->file), "%s", w->name);
    (void)snprintf(
        w->problem->message, sizeof(w->problem->message),
        "%s has rules on its arguments that the JSON of container runtimes cannot express; export "
        "the program (--to=bpf), or replace its rules by one without conditions",
        call);
    return -EOPNOTSUPP;
}

static void put_compare(struct writer *w, const ait_policy_compare *c, const char *comma)
{
    static const char *const ops[] = {
        [AIT_POLICY_EQ] = "EQ", [AIT_POLICY_NE] = "NE", [AIT_POLICY_LT] = "LT",
        [AIT_POLICY_LE] = "LE", [AIT_POLICY_GT] = "GT", [AIT_POLICY_GE] = "GE",
    };
    bool masked = c->mask != UINT64_MAX;

    (void)fprintf(w->out, "%s\n        { \"index\": %u, \"value\": %" PRIu64 ", ", comma, c->arg,
                  masked ? c->mask : c->value);
    if (masked)
        (void)fprintf(w->out, "\"valueTwo\": %" PRIu64 ", ", c->value);
    (void)fprintf(w->out, "\"op\": \"SCMP_CMP_%s\" }", masked ? "MASKED_EQ" : ops[c->op]);
}

static int put_rule(const ait_policy_rule *rule, void *userdata)
{
    struct writer *w = userdata;

    if (rule->n_compares == 0)
        return 0;
    if (!can_be_said(w, rule))
        return refuse(w, rule->name);
    begin_entry(w);
    (void)fprintf(w->out, "\"%s\"", rule->name);
    put_action(w, rule->action);
    (void)fprintf(w->out, ",\n      \"args\": [");
    for (size_t i = 0; i < rule->n_compares; i++)
        put_compare(w, &rule->compares[i], i > 0 ? "," : "");
    (void)fprintf(w->out, "\n      ]\n    }");
    return 0;
}

/* ---- the profile ----------------------------------------------------------------------------- */

static void put_head(struct writer *w)
{
    ait_policy_action fallback = w->view->fallback;

    (void)fprintf(w->out, "{\n  \"defaultAction\": \"%s\",\n", action_name(fallback));
    if (fallback.kind == AIT_POLICY_ERRNO)
        (void)fprintf(w->out, "  \"defaultErrnoRet\": %u,\n", fallback.error);
#ifdef OCI_ARCHITECTURE
    (void)fprintf(w->out, "  \"architectures\": [\"%s\"],\n", OCI_ARCHITECTURE);
#endif
    (void)fprintf(w->out, "  \"syscalls\": [");
}

int oci_export(const ait_policy *policy, const char *name, FILE *out, ait_sandbox_problem *problem)
{
    struct view view;
    int r = view_init(&view, policy);

    if (r < 0)
        return r;
    struct writer w = {.out = out, .view = &view, .name = name, .problem = problem};
    put_head(&w);
    for (int i = 0; i <= view.newest; i++)
        if (view_is_first(&view, i) && !is_fallback(&w, view.calls[i].otherwise))
            put_plain(&w, view.calls[i].otherwise);
    r = ait_policy_foreach_rule(policy, put_rule, &w);
    if (r >= 0)
        (void)fprintf(out, "\n  ]\n}\n");
    view_done(&view);
    return r;
}
