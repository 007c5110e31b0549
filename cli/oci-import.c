/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Converts the JSON of container runtimes to a policy. Entries are collected per call and written
 * as text of our language, which is then parsed. So everything that the parser checks is checked
 * here, too, and its errors are reported for the entry that the text was made from. Places are JSON
 * pointers (/syscalls/3/names/0): jansson gives lines of syntax errors only.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "oci-import.h"

#define PATH_SIZE 128
#define ERRNO_MAX 4095
#define ARGUMENTS 6
#define LINES_MAX 65536
#define RULES_MAX 4096 /* a call */

#if defined(__x86_64__)
#define DOCKER_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define DOCKER_ARCHITECTURE "arm64"
#elif defined(__riscv)
#define DOCKER_ARCHITECTURE "riscv64"
#elif defined(__s390x__)
#define DOCKER_ARCHITECTURE "s390x"
#elif defined(__powerpc64__)
#define DOCKER_ARCHITECTURE "ppc64le"
#else
#define DOCKER_ARCHITECTURE ""
#endif

/* An entry of the array for one call, or rather its place in the array. */
struct oci_rule {
    struct oci_rule *next;
    size_t entry;
    ait_policy_action action;
    size_t n_compares; /* 0: whatever the arguments are */
    ait_policy_compare compares[ARGUMENTS];
};

struct import {
    const char *name;
    ait_sandbox_problem *problem;
    const char *root;     /* of the profile in the document */
    char path[PATH_SIZE]; /* of what is looked at; empty: the document */
    ait_policy_action fallback;
    int newest;
    struct oci_rule **calls; /* by number, in order */
    FILE *out;
    size_t *entries; /* by line of what is written */
    size_t n_lines;
};

/* ---- problems -------------------------------------------------------------------------------- */

/* At the path. */
__attribute__((format(printf, 2, 3))) static int fail(struct import *im, const char *format, ...)
{
    ait_sandbox_problem *p = im->problem;
    va_list ap;

    if (!p)
        return -EINVAL;
    p->error = -EINVAL;
    p->line = p->column = 0;
    (void)snprintf(p->file, sizeof(p->file), "%s", im->name);
    int n = snprintf(p->message, sizeof(p->message), "%s%s", im->path, *im->path ? ": " : "");
    va_start(ap, format);
    (void)vsnprintf(p->message + n, sizeof(p->message) - (size_t)n, format, ap);
    va_end(ap);
    return -EINVAL;
}

static void enter_key(struct import *im, const char *key)
{
    size_t n = strlen(im->path);

    (void)snprintf(im->path + n, sizeof(im->path) - n, "/%s", key);
}

static void enter_index(struct import *im, size_t index)
{
    size_t n = strlen(im->path);

    (void)snprintf(im->path + n, sizeof(im->path) - n, "/%zu", index);
}

static int leave(struct import *im, int r)
{
    *strrchr(im->path, '/') = '\0';
    return r;
}

/* ---- plain values ---------------------------------------------------------------------------- */

/* NULL and absent are the same. */
static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static int check_keys(struct import *im, const json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;

        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return fail(
                im,
                "\"%.64s\" is unknown, and ignoring it could change what is allowed; leave it out",
                key);
    }
    return 0;
}

static int get_number(struct import *im, const json_t *object, const char *key, uint64_t fallback,
                      uint64_t *ret)
{
    const json_t *value = get(object, key);

    *ret = fallback;
    if (!value)
        return 0;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    enter_key(im, key);
    return leave(im, fail(im, "a number from 0 to 2^63-1 is expected"));
}

/* ---- actions --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    ait_policy_action action;
} actions[] = {
    {"SCMP_ACT_ALLOW", {.kind = AIT_POLICY_ALLOW}},
    {"SCMP_ACT_ERRNO", {.kind = AIT_POLICY_ERRNO, .error = EPERM}},
    {"SCMP_ACT_KILL", {.kind = AIT_POLICY_KILL}},
    {"SCMP_ACT_KILL_PROCESS", {.kind = AIT_POLICY_KILL}},
    {"SCMP_ACT_KILL_THREAD", {.kind = AIT_POLICY_KILL}},
    {"SCMP_ACT_TRAP", {.kind = AIT_POLICY_TRAP}},
    {"SCMP_ACT_LOG", {.kind = AIT_POLICY_LOG}},
    {"SCMP_ACT_NOTIFY", {.kind = AIT_POLICY_NOTIFY, .error = EPERM}},
};

static int read_action_name(struct import *im, const json_t *object, const char *key,
                            ait_policy_action *ret)
{
    const char *name = json_string_value(get(object, key));

    for (size_t i = 0; name && i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, name) == 0) {
            *ret = actions[i].action;
            return 0;
        }
    if (!get(object, key))
        return fail(im, "\"%s\" is missing; write SCMP_ACT_ALLOW, SCMP_ACT_ERRNO or another action",
                    key);
    enter_key(im, key);
    if (name && strcmp(name, "SCMP_ACT_TRACE") == 0)
        return leave(
            im,
            fail(im, "SCMP_ACT_TRACE has no counterpart; write SCMP_ACT_ERRNO or SCMP_ACT_NOTIFY"));
    return leave(im, fail(im, "an action is expected: SCMP_ACT_ALLOW, _ERRNO, _KILL_PROCESS, "
                              "_TRAP, _LOG or _NOTIFY"));
}

/* errno by name is what podman has beside the number. */
static int read_errno(struct import *im, const json_t *object, const char *key,
                      ait_policy_action *action)
{
    uint64_t error;
    int r = get_number(im, object, key, action->error, &error);

    if (r < 0 || !get(object, key))
        return r;
    enter_key(im, key);
    if (action->kind != AIT_POLICY_ERRNO)
        return leave(im, fail(im, "only SCMP_ACT_ERRNO has an errno; leave it out"));
    if (error < 1 || error > ERRNO_MAX)
        return leave(im, fail(im, "an errno from 1 to %d is expected", ERRNO_MAX));
    action->error = (uint16_t)error;
    return leave(im, 0);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    ait_policy_op op;
    bool masked;
} ops[] = {
    {"SCMP_CMP_NE", AIT_POLICY_NE, false},       {"SCMP_CMP_LT", AIT_POLICY_LT, false},
    {"SCMP_CMP_LE", AIT_POLICY_LE, false},       {"SCMP_CMP_EQ", AIT_POLICY_EQ, false},
    {"SCMP_CMP_GE", AIT_POLICY_GE, false},       {"SCMP_CMP_GT", AIT_POLICY_GT, false},
    {"SCMP_CMP_MASKED_EQ", AIT_POLICY_EQ, true},
};

static int read_op(struct import *im, const json_t *arg, size_t *ret)
{
    const char *name = json_string_value(get(arg, "op"));

    for (size_t i = 0; name && i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strcmp(ops[i].name, name) == 0) {
            *ret = i;
            return 0;
        }
    enter_key(im, "op");
    return leave(
        im,
        fail(im, "an operator is expected: SCMP_CMP_EQ, _NE, _LT, _LE, _GT, _GE or _MASKED_EQ"));
}

static int read_arg(struct import *im, const json_t *arg, ait_policy_compare *ret)
{
    static const char *const keys[] = {"index", "value", "valueTwo", "op", NULL};
    uint64_t index = 0, value = 0, second = 0;
    size_t op = 0;

    if (!json_is_object(arg))
        return fail(im, "an object with index, value and op is expected");
    if (!get(arg, "index") || !get(arg, "value"))
        return fail(im, "\"index\" and \"value\" are expected");
    int r = check_keys(im, arg, keys);
    if (r >= 0)
        r = get_number(im, arg, "index", 0, &index);
    if (r >= 0)
        r = get_number(im, arg, "value", 0, &value);
    if (r >= 0)
        r = get_number(im, arg, "valueTwo", 0, &second);
    if (r >= 0)
        r = read_op(im, arg, &op);
    if (r < 0)
        return r;
    if (index >= ARGUMENTS)
        return fail(im, "a system call has arguments 0 to 5");
    *ret = (ait_policy_compare){
        .arg = (uint8_t)index, .op = (uint8_t)ops[op].op, .mask = UINT64_MAX, .value = value};
    if (ops[op].masked) {
        ret->mask = value;
        ret->value = second;
    }
    return 0;
}

static int add_compare(struct import *im, struct oci_rule *rule, const ait_policy_compare *compare)
{
    for (size_t i = 0; i < rule->n_compares; i++)
        if (rule->compares[i].arg == compare->arg)
            return fail(im,
                        "a second comparison of argument %u: some runtimes read it as \"or\", "
                        "others refuse "
                        "it; write an entry for each",
                        compare->arg);
    rule->compares[rule->n_compares++] = *compare;
    return 0;
}

static int read_args(struct import *im, const json_t *entry, struct oci_rule *rule)
{
    const json_t *args = get(entry, "args");
    int r = 0;

    if (!args)
        return 0;
    enter_key(im, "args");
    if (!json_is_array(args))
        return leave(im, fail(im, "an array is expected"));
    for (size_t i = 0; i < json_array_size(args) && r >= 0; i++) {
        ait_policy_compare compare = {0};

        enter_index(im, i);
        r = read_arg(im, json_array_get(args, i), &compare);
        if (r >= 0)
            r = add_compare(im, rule, &compare);
        (void)leave(im, 0);
    }
    return leave(im, r);
}

/* ---- docker's conditions --------------------------------------------------------------------- */

struct conditions {
    bool has_caps, has_arches, has_kernel;
    bool arch_is_ours, kernel_is_new;
};

static bool contains(const json_t *array, const char *word)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));

        if (text && strcmp(text, word) == 0)
            return true;
    }
    return false;
}

static bool kernel_is_at_least(const char *wanted)
{
    unsigned major = 0, minor = 0, our_major = 0, our_minor = 0;
    struct utsname system;

    if (uname(&system) < 0 || sscanf(system.release, "%u.%u", &our_major, &our_minor) < 1 ||
        sscanf(wanted, "%u.%u", &major, &minor) < 1)
        return false;
    return our_major > major || (our_major == major && our_minor >= minor);
}

/* Anything but a list of strings would be a condition that never applies. */
static int check_words(struct import *im, const json_t *object, const char *key)
{
    const json_t *list = get(object, key);
    int r = 0;

    if (!list)
        return 0;
    enter_key(im, key);
    if (!json_is_array(list))
        r = fail(im, "an array of strings is expected");
    for (size_t i = 0; i < json_array_size(list) && r >= 0; i++) {
        enter_index(im, i);
        if (!json_is_string(json_array_get(list, i)))
            r = fail(im, "a string is expected");
        (void)leave(im, 0);
    }
    return leave(im, r);
}

static int check_kernel(struct import *im, const json_t *object)
{
    const json_t *kernel = get(object, "minKernel");
    unsigned major, minor;
    int end = 0;

    if (!kernel || (json_is_string(kernel) && *json_string_value(kernel) == '\0'))
        return 0;
    enter_key(im, "minKernel");
    if (json_is_string(kernel) &&
        sscanf(json_string_value(kernel), "%u.%u%n", &major, &minor, &end) == 2 &&
        json_string_value(kernel)[end] == '\0')
        return leave(im, 0);
    return leave(im, fail(im, "a version of the form \"5.10\" is expected"));
}

static int read_conditions(struct import *im, const json_t *entry, const char *key,
                           struct conditions *ret)
{
    static const char *const keys[] = {"caps", "arches", "minKernel", NULL};
    const json_t *object = get(entry, key);

    *ret = (struct conditions){0};
    if (!object)
        return 0;
    enter_key(im, key);
    if (!json_is_object(object))
        return leave(im, fail(im, "an object with caps, arches or minKernel is expected"));
    int r = check_keys(im, object, keys);
    if (r >= 0)
        r = check_words(im, object, "caps");
    if (r >= 0)
        r = check_words(im, object, "arches");
    if (r >= 0)
        r = check_kernel(im, object);
    if (r < 0)
        return leave(im, r);
    const char *kernel = json_string_value(get(object, "minKernel"));
    ret->has_caps = json_array_size(get(object, "caps")) > 0;
    ret->has_arches = json_array_size(get(object, "arches")) > 0;
    ret->arch_is_ours = contains(get(object, "arches"), DOCKER_ARCHITECTURE);
    ret->has_kernel = kernel && *kernel;
    ret->kernel_is_new = ret->has_kernel && kernel_is_at_least(kernel);
    return leave(im, 0);
}

/* As for a process without capabilities, on this architecture and kernel. */
static int applies(struct import *im, const json_t *entry, bool *ret)
{
    struct conditions in, out;
    int r = read_conditions(im, entry, "includes", &in);

    if (r >= 0)
        r = read_conditions(im, entry, "excludes", &out);
    if (r < 0)
        return r;
    *ret = !in.has_caps && (!in.has_arches || in.arch_is_ours) &&
           (!in.has_kernel || in.kernel_is_new) && !(out.has_arches && out.arch_is_ours) &&
           !(out.has_kernel && out.kernel_is_new);
    return 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int add_rule(struct import *im, const char *name, const struct oci_rule *rule)
{
    int number = ait_syscall_from_name(name);
    struct oci_rule **at;
    unsigned n = 0;

    if (number == -EOPNOTSUPP)
        return 0; /* of another architecture, which is closed anyway */
    if (number < 0 || number > im->newest)
        return fail(im, "unknown system call '%.64s'", name);
    for (at = &im->calls[number]; *at; at = &(*at)->next)
        if (++n == RULES_MAX)
            return fail(im, "more than %d entries have %s", RULES_MAX, name);
    *at = malloc(sizeof(**at));
    if (!*at)
        return -ENOMEM;
    **at = *rule;
    (*at)->next = NULL;
    return 0;
}

/* docker once used a single name. */
static int read_names(struct import *im, const json_t *entry, const struct oci_rule *rule)
{
    const json_t *names = get(entry, "names"), *name = get(entry, "name");
    int r = 0;

    if (!names && json_is_string(name))
        return add_rule(im, json_string_value(name), rule);
    if (!json_is_array(names))
        return fail(im, "\"names\" is expected, an array of system calls");
    enter_key(im, "names");
    for (size_t i = 0; i < json_array_size(names) && r >= 0; i++) {
        const char *one = json_string_value(json_array_get(names, i));

        enter_index(im, i);
        r = one ? add_rule(im, one, rule) : fail(im, "the name of a system call is expected");
        (void)leave(im, 0);
    }
    return leave(im, r);
}

static int read_entry(struct import *im, const json_t *entry, size_t index)
{
    static const char *const keys[] = {"names", "name",    "action",   "errnoRet", "errno",
                                       "args",  "comment", "includes", "excludes", NULL};
    struct oci_rule rule = {.entry = index};
    bool counts = false;

    if (!json_is_object(entry))
        return fail(im, "an object with names and action is expected");
    int r = check_keys(im, entry, keys);
    if (r >= 0)
        r = applies(im, entry, &counts);
    if (r >= 0)
        r = read_action_name(im, entry, "action", &rule.action);
    if (r >= 0)
        r = read_errno(im, entry, "errnoRet", &rule.action);
    if (r >= 0)
        r = read_args(im, entry, &rule);
    return r >= 0 && counts ? read_names(im, entry, &rule) : r;
}

static int read_entries(struct import *im, const json_t *root)
{
    const json_t *entries = get(root, "syscalls");
    int r = 0;

    if (!entries)
        return 0;
    enter_key(im, "syscalls");
    if (!json_is_array(entries))
        return leave(im, fail(im, "an array is expected"));
    for (size_t i = 0; i < json_array_size(entries) && r >= 0; i++) {
        enter_index(im, i);
        r = read_entry(im, json_array_get(entries, i), i);
        (void)leave(im, 0);
    }
    return leave(im, r);
}

static int read_root(struct import *im, const json_t *root)
{
    static const char *const keys[] = {
        "defaultAction", "defaultErrnoRet",  "defaultErrno", "architectures", "archMap", "flags",
        "listenerPath",  "listenerMetadata", "syscalls",     "comment",       NULL};
    int r = check_keys(im, root, keys);

    if (r >= 0)
        r = read_action_name(im, root, "defaultAction", &im->fallback);
    if (r >= 0)
        r = read_errno(im, root, "defaultErrnoRet", &im->fallback);
    return r >= 0 ? read_entries(im, root) : r;
}

/* The file may be the whole configuration of a container. */
static int read_document(struct import *im, const json_t *document)
{
    const json_t *seccomp = json_object_get(json_object_get(document, "linux"), "seccomp");

    if (!json_is_object(document))
        return fail(im, "an object with defaultAction and syscalls is expected");
    if (!seccomp)
        return read_root(im, document);
    im->root = "/linux/seccomp";
    (void)snprintf(im->path, sizeof(im->path), "%s", im->root);
    return read_root(im, seccomp);
}

/* ---- as text --------------------------------------------------------------------------------- */

static void enter_entry(struct import *im, size_t entry)
{
    (void)snprintf(im->path, sizeof(im->path), "%s/syscalls/%zu", im->root, entry);
}

/* Whether the kernel reads 32 bits of an argument: then the upper half does not count. */
static bool is_narrow(const char *name, unsigned arg)
{
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    uint64_t args[ARGUMENTS] = {0};
    char text[128];
    int n = snprintf(text, sizeof(text), "policy 1\n%s arg%u == 1\n", name, arg);

    if (ait_policy_from_text(&policy, name, text, (size_t)n, NULL) < 0)
        return false;
    args[arg] = (UINT64_C(1) << 32) | 1;
    return ait_policy_evaluate(policy, ait_syscall_from_name(name), args).kind == AIT_POLICY_ALLOW;
}

/* Negative numbers are written with all 64 bits. */
static void narrow(const char *name, struct oci_rule *rule)
{
    for (size_t i = 0; i < rule->n_compares; i++) {
        ait_policy_compare *c = &rule->compares[i];

        if ((c->value <= UINT32_MAX && (c->mask <= UINT32_MAX || c->mask == UINT64_MAX)) ||
            !is_narrow(name, c->arg))
            continue;
        if (c->value >> 32 == UINT32_MAX)
            c->value &= UINT32_MAX;
        /* What remains too wide is refused by the parser of the text. */
        if (c->mask != UINT64_MAX && c->value <= UINT32_MAX)
            c->mask &= UINT32_MAX;
    }
}

static int put_rule(struct import *im, const char *name, const struct oci_rule *rule)
{
    static const char *const words[] = {"==", "!=", "<", "<=", ">", ">="};
    char action[AIT_POLICY_ACTION_SIZE];

    if (im->n_lines == LINES_MAX) {
        enter_entry(im, rule->entry);
        return fail(im, "more rules than a policy may have");
    }
    im->entries[im->n_lines++] = rule->entry;
    (void)fprintf(im->out, "%s", name);
    for (size_t i = 0; i < rule->n_compares; i++) {
        const ait_policy_compare *c = &rule->compares[i];

        (void)fprintf(im->out, "%s arg%u", i ? " &&" : "", c->arg);
        if (c->mask != UINT64_MAX)
            (void)fprintf(im->out, " & %#" PRIx64, c->mask);
        (void)fprintf(im->out, " %s %#" PRIx64, words[c->op], c->value);
    }
    (void)fprintf(im->out, ": %s\n", ait_policy_action_text(rule->action, action));
    return 0;
}

static bool is_ordering(const ait_policy_compare *c)
{
    return c->op != AIT_POLICY_EQ && c->op != AIT_POLICY_NE;
}

/*
 * An ordering, bit by bit from the highest one: a value that first differs from the constant at a
 * bit is less or greater, whatever follows.
 */
static int put_alternatives(struct import *im, const char *name, const struct oci_rule *rule,
                            size_t from)
{
    struct oci_rule one = *rule;
    int r = 0;

    while (from < rule->n_compares && !is_ordering(&rule->compares[from]))
        from++;
    if (from == rule->n_compares)
        return put_rule(im, name, rule);
    const ait_policy_compare *order = &rule->compares[from];
    ait_policy_compare *c = &one.compares[from];
    uint64_t width = is_narrow(name, order->arg) ? UINT32_MAX : UINT64_MAX;
    bool less = order->op == AIT_POLICY_LT || order->op == AIT_POLICY_LE;
    if (order->value > width) /* the parser of the text refuses that */
        return put_rule(im, name, rule);
    c->op = AIT_POLICY_EQ;
    for (uint64_t bit = width ^ width >> 1; bit && r >= 0; bit >>= 1) {
        if (!(order->value & bit) == less)
            continue;
        c->mask = width & ~(bit - 1);
        c->value = (order->value & c->mask) ^ bit;
        r = put_alternatives(im, name, &one, from + 1);
    }
    if (r < 0 || order->op == AIT_POLICY_LT || order->op == AIT_POLICY_GT)
        return r;
    c->mask = width;
    c->value = order->value;
    return put_alternatives(im, name, &one, from + 1);
}

static unsigned count_orderings(const struct oci_rule *rules)
{
    unsigned n = 0;

    for (; rules; rules = rules->next)
        for (size_t i = 0; i < rules->n_compares; i++)
            n += is_ordering(&rules->compares[i]);
    return n;
}

/* The one that has no arguments, and so decides. */
static const struct oci_rule *find_plain(const struct oci_rule *rules)
{
    while (rules && rules->n_compares > 0)
        rules = rules->next;
    return rules;
}

static int put_call(struct import *im, int number)
{
    const char *name = ait_syscall_name(number);
    const struct oci_rule *plain = find_plain(im->calls[number]);
    unsigned orderings = count_orderings(im->calls[number]);
    int r = 0;

    for (struct oci_rule *rule = im->calls[number]; rule && r >= 0; rule = rule->next) {
        if (plain && !ait_policy_action_is_equal(plain->action, rule->action)) {
            bool later = rule->entry > plain->entry;

            enter_entry(im, later ? rule->entry : plain->entry);
            return fail(
                im,
                "conflicting: %s/syscalls/%zu gives %s another action, and one of the two has no "
                "arguments and would always decide; leave one of them out",
                im->root, later ? plain->entry : rule->entry, name);
        }
        if (plain)
            continue;
        narrow(name, rule);
        r = orderings > 1 ? put_alternatives(im, name, rule, 0) : put_rule(im, name, rule);
    }
    if (plain && r >= 0)
        r = put_rule(im, name, plain);
    return r;
}

/* A problem of the text is one of the entry that the line was made from. */
static int translate(struct import *im, int error, const ait_sandbox_problem *of_text)
{
    const unsigned head = 2;
    unsigned line = of_text->line;

    *im->path = '\0';
    if (line > head && line - head <= im->n_lines)
        enter_entry(im, im->entries[line - head - 1]);
    (void)fail(im, "%s", of_text->message[0] ? of_text->message : strerror(-error));
    if (im->problem)
        im->problem->error = error;
    return error;
}

static int make_policy(struct import *im, ait_policy **ret)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char *text = NULL, action[AIT_POLICY_ACTION_SIZE];
    size_t size = 0;
    int r = 0;

    im->out = open_memstream(&text, &size);
    im->entries = calloc(LINES_MAX, sizeof(*im->entries));
    if (!im->out || !im->entries)
        r = -ENOMEM;
    if (r >= 0)
        (void)fprintf(im->out, "policy 1\ndefault %s\n",
                      ait_policy_action_text(im->fallback, action));
    for (int i = 0; i <= im->newest && r >= 0; i++)
        r = put_call(im, i);
    if (im->out && fclose(im->out) == EOF && r >= 0)
        r = -ENOMEM;
    if (r >= 0) {
        r = ait_policy_from_text(ret, im->name, text, size, &problem);
        if (r < 0)
            r = translate(im, r, &problem);
    }
    free(text);
    free(im->entries);
    return r;
}

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *parse(struct import *im, const char *text, size_t length, int *ret_error)
{
    json_error_t error;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    ait_sandbox_problem *p = im->problem;

    if (document)
        return document;
    *ret_error = json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
    if (p) {
        p->error = *ret_error;
        p->line = error.line > 0 ? (unsigned)error.line : 0;
        p->column = error.column > 0 ? (unsigned)error.column : 0;
        (void)snprintf(p->file, sizeof(p->file), "%s", im->name);
        (void)snprintf(p->message, sizeof(p->message), "JSON: %s", error.text);
    }
    return NULL;
}

static void free_calls(struct import *im)
{
    for (int i = 0; im->calls && i <= im->newest; i++)
        while (im->calls[i]) {
            struct oci_rule *next = im->calls[i]->next;

            free(im->calls[i]);
            im->calls[i] = next;
        }
    free(im->calls);
}

int oci_import(ait_policy **ret, const char *name, const char *text, size_t length,
               ait_sandbox_problem *problem, void *userdata)
{
    struct import im = {
        .name = name, .root = "", .problem = problem, .newest = ait_syscall_newest()};
    json_t *document = NULL;
    int r = -ENOMEM;

    im.calls = calloc((size_t)im.newest + 1, sizeof(struct oci_rule *));
    if (im.calls)
        document = parse(&im, text, length, &r);
    if (document)
        r = read_document(&im, document);
    if (document && r >= 0)
        r = make_policy(&im, ret);
    if (r == -ENOMEM && problem)
        problem->error = r;
    json_decref(document);
    free_calls(&im);
    return r;
}
