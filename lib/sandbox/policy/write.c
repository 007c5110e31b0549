/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "scan.h"
#include "write.h"
#include "problem.h"
#include "syscalls/syscalls.h"

#define TEXT_SIZE  160
#define ERROR_SIZE 32
#define LINE_WIDTH 100

/* Which constants an argument's values are, so that people can read them. */
static const struct symbolic {
    const char *syscall;
    unsigned arg;
    const char *prefixes[6];
    bool flags; /* or'ed bits; else one value */
} symbolics[] = {
    {"clone", 0, {"CLONE_"}, true},
    {"unshare", 0, {"CLONE_"}, true},
    {"setns", 1, {"CLONE_"}, true},
    {"fcntl", 1, {"F_"}, false},
    {"prctl", 0, {"PR_"}, false},
    {"socket", 0, {"AF_"}, false},
    {"socketpair", 0, {"AF_"}, false},
    {"socket", 1, {"SOCK_"}, false},
    {"mprotect", 2, {"PROT_"}, true},
    {"mmap", 2, {"PROT_"}, true},
    {"mknod", 1, {"S_IF"}, false},
    {"mknodat", 2, {"S_IF"}, false},
    {"madvise", 2, {"MADV_"}, false},
    {"arch_prctl", 0, {"ARCH_"}, false},
    {"personality", 0, {"PER_"}, false},
    {"ioctl", 1, {"TIOC", "FIO", "TC", "SIOC", "FS_IOC", "FICLONE"}, false},
};

/* Second names of what has a better one. */
static const char *const second_names[] = {"AF_LOCAL", "AF_ROUTE", "TIOCINQ"};

static bool is_second(const char *name)
{
    for (size_t i = 0; i < sizeof(second_names) / sizeof(second_names[0]); i++)
        if (!strcmp(second_names[i], name))
            return true;
    return false;
}

static bool has_prefix(const struct symbolic *symbolic, const char *name)
{
    for (size_t i = 0;
         i < sizeof(symbolic->prefixes) / sizeof(symbolic->prefixes[0]) && symbolic->prefixes[i];
         i++)
        if (!strncmp(name, symbolic->prefixes[i], strlen(symbolic->prefixes[i])))
            return true;
    return false;
}

static const struct symbolic *find_symbolic(const char *syscall, unsigned arg)
{
    for (size_t i = 0; syscall && i < sizeof(symbolics) / sizeof(symbolics[0]); i++)
        if (symbolics[i].arg == arg && !strcmp(symbolics[i].syscall, syscall))
            return &symbolics[i];
    return NULL;
}

static const char *constant_for(const struct symbolic *symbolic, uint64_t value)
{
    for (size_t i = 0; i < policy_n_constants; i++)
        if ((uint64_t)policy_constants[i].value == value &&
            has_prefix(symbolic, policy_constants[i].name) && !is_second(policy_constants[i].name))
            return policy_constants[i].name;
    return NULL;
}

static bool flags_text(const struct symbolic *symbolic, uint64_t value, char text[static TEXT_SIZE])
{
    size_t n = 0;

    for (uint64_t rest = value; rest; rest &= rest - 1) {
        const char *name = constant_for(symbolic, rest & -rest);
        if (!name)
            return false;
        n += (size_t)snprintf(text + n, TEXT_SIZE - n, "%s%s", n ? "|" : "", name);
        if (n >= TEXT_SIZE)
            return false;
    }
    return n > 0;
}

static void value_text(const struct symbolic *symbolic, uint64_t value, char text[static TEXT_SIZE])
{
    const char *name = symbolic ? constant_for(symbolic, value) : NULL;

    if (name)
        (void)snprintf(text, TEXT_SIZE, "%s", name);
    else if (!symbolic || !symbolic->flags || !flags_text(symbolic, value, text))
        (void)snprintf(text, TEXT_SIZE, value < 10 ? "%llu" : "%#llx", (unsigned long long)value);
}

static void write_compare(FILE *out, const ait_policy_rule *rule, const ait_policy_compare *c)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
    const struct symbolic *symbolic = find_symbolic(rule->name, c->arg);
    char text[TEXT_SIZE];

    (void)fprintf(out, "arg%u ", c->arg);
    if (c->mask != syscall_argument_mask(rule->number, c->arg)) {
        value_text(symbolic && symbolic->flags ? symbolic : NULL, c->mask, text);
        (void)fprintf(out, strchr(text, '|') ? "& (%s) " : "& %s ", text);
    }
    value_text(symbolic, c->value, text);
    (void)fprintf(out, "%s %s", ops[c->op], text);
}

void policy_write_rule(FILE *out, const ait_policy_rule *rule)
{
    char action[AIT_POLICY_ACTION_SIZE];

    (void)fputs(rule->name, out);
    for (size_t i = 0; i < rule->n_compares; i++) {
        (void)fputs(i ? " && " : " ", out);
        write_compare(out, rule, &rule->compares[i]);
    }
    if (rule->action.kind != AIT_POLICY_ALLOW)
        (void)fprintf(out, ": %s", ait_policy_action_text(rule->action, action));
}

static int native_rule(const ait_policy_rule *rule, void *userdata)
{
    FILE *out = userdata;

    if (!rule->name)
        return 0;
    policy_write_rule(out, rule);
    (void)fputc('\n', out);
    return 0;
}

static int write_native(const ait_policy *policy, FILE *out)
{
    char action[AIT_POLICY_ACTION_SIZE];

    (void)fprintf(out, "policy 1\ndefault %s\n\n",
                  ait_policy_action_text(policy->fallback, action));
    return ait_policy_foreach_rule(policy, native_rule, out);
}

/* ---- systemd --------------------------------------------------------------------------------- */

struct systemd_writer {
    FILE *out;
    const ait_policy *policy;
    ait_sandbox_problem *problem;
    const char *prefix; /* of each list */
    size_t column;
};

static int refuse(const struct systemd_writer *w, const char *name, const char *what)
{
    return problem_at(w->problem, -EOPNOTSUPP, w->policy->name, 0, 0,
                      "%s %s, which a list of systemd cannot express; export it as native or bpf",
                      name, what);
}

static bool systemd_can(ait_policy_action action)
{
    return action.kind == AIT_POLICY_ALLOW || action.kind == AIT_POLICY_ERRNO ||
           action.kind == AIT_POLICY_KILL;
}

static int check_rule(const ait_policy_rule *rule, void *userdata)
{
    const struct systemd_writer *w = userdata;
    const char *name = rule->name ? rule->name : "a call without a name";

    if (rule->n_compares > 0)
        return refuse(w, name, "has a rule that looks at arguments");
    return systemd_can(rule->action) ? 0 : refuse(w, name, "is logged, trapped or asked about");
}

static void error_text(ait_policy_action action, char text[static ERROR_SIZE])
{
    const char *name = strerrorname_np(action.error);

    if (action.kind == AIT_POLICY_KILL)
        (void)snprintf(text, ERROR_SIZE, "kill");
    else if (name)
        (void)snprintf(text, ERROR_SIZE, "%s", name);
    else
        (void)snprintf(text, ERROR_SIZE, "%u", action.error);
}

static void end_list(struct systemd_writer *w)
{
    if (w->column > 0)
        (void)fputc('\n', w->out);
    w->column = 0;
}

static void list(struct systemd_writer *w, const char *name, const char *suffix)
{
    size_t n = strlen(name) + strlen(suffix) + 2;

    if (w->column + n > LINE_WIDTH)
        end_list(w);
    if (w->column == 0)
        w->column = (size_t)fprintf(w->out, "SystemCallFilter=%s%s", w->prefix, name);
    else
        w->column += (size_t)fprintf(w->out, " %s", name);
    if (*suffix)
        w->column += (size_t)fprintf(w->out, ":%s", suffix);
}

/*
 * Allowed calls, or, in a list that denies, the others: an errno of its own cannot stand in a list
 * that allows.
 */
static int list_rule(const ait_policy_rule *rule, void *userdata)
{
    struct systemd_writer *w = userdata;
    bool denied = rule->action.kind != AIT_POLICY_ALLOW;
    char suffix[ERROR_SIZE] = "";

    if (!rule->name || denied != (*w->prefix == '~'))
        return 0;
    if (denied)
        error_text(rule->action, suffix);
    list(w, rule->name, suffix);
    return 0;
}

/*
 * An allow list starts with what systemd always allows. Calls of it that get the fallback must be
 * removed again.
 */
static int unlist_default(int number, void *userdata)
{
    struct systemd_writer *w = userdata;
    const struct policy_call *call = &w->policy->calls[number];

    if (ait_policy_action_is_equal(call->otherwise, w->policy->fallback))
        list(w, ait_syscall_name(number), "");
    return 0;
}

static int write_systemd(const ait_policy *policy, FILE *out, ait_sandbox_problem *problem)
{
    struct systemd_writer w = {.out = out, .policy = policy, .problem = problem, .prefix = ""};
    char text[ERROR_SIZE];
    int e = ait_policy_foreach_rule(policy, check_rule, &w);

    if (e >= 0 && !systemd_can(policy->fallback))
        e = refuse(&w, "what nothing names", "is logged, trapped or asked about");
    if (e < 0)
        return e;
    if (policy->fallback.kind == AIT_POLICY_ALLOW) {
        w.prefix = "~";
        (void)fputs("SystemCallErrorNumber=EPERM\n", out);
        (void)fputs("SystemCallFilter=~\n", out);
        (void)ait_policy_foreach_rule(policy, list_rule, &w);
    } else {
        error_text(policy->fallback, text);
        (void)fprintf(out, "SystemCallErrorNumber=%s\nSystemCallFilter=@default\n", text);
        (void)ait_policy_foreach_rule(policy, list_rule, &w);
        end_list(&w);
        w.prefix = "~";
        (void)ait_policy_foreach_rule(policy, list_rule, &w);
        (void)syscall_group_expand("@default", unlist_default, &w);
    }
    end_list(&w);
    return 0;
}

AIT_PUBLIC int ait_policy_write(const ait_policy *policy, FILE *out, ait_policy_format format,
                                ait_sandbox_problem *problem)
{
    if (!policy || !out ||
        (format != AIT_POLICY_FORMAT_NATIVE && format != AIT_POLICY_FORMAT_SYSTEMD))
        return -EINVAL;
    errno = 0;
    int e = format == AIT_POLICY_FORMAT_NATIVE ? write_native(policy, out)
                                               : write_systemd(policy, out, problem);
    if (e < 0)
        return e;
    if (fflush(out) != 0 || ferror(out))
        return problem_at(problem, errno > 0 ? -errno : -EIO, policy->name, 0, 0,
                          "cannot be written");
    return 0;
}
