/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Converts the JSON of container runtimes to a policy. Entries are collected per call and written
 * as text of our language, which is then parsed. So everything that the parser checks is checked
 * here, too, and its errors are reported for the entry that the text was made from. Places are JSON
 * pointers (/syscalls/3/names/0): jansson gives lines of syntax errors only.
 */
#include "oci-import.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "oci-profile.h"

#define ERRNO_MAX 4095
#define RULES_MAX 4096 /* a call */

/* ---- problems -------------------------------------------------------------------------------- */

int oci_fail(struct oci_import *im, const char *format, ...)
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

void oci_enter_key(struct oci_import *im, const char *key)
{
    size_t n = strlen(im->path);

    (void)snprintf(im->path + n, sizeof(im->path) - n, "/%s", key);
}

void oci_enter_index(struct oci_import *im, size_t index)
{
    size_t n = strlen(im->path);

    (void)snprintf(im->path + n, sizeof(im->path) - n, "/%zu", index);
}

int oci_leave(struct oci_import *im, int r)
{
    *strrchr(im->path, '/') = '\0';
    return r;
}

/* ---- plain values ---------------------------------------------------------------------------- */

const json_t *oci_get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

int oci_check_keys(struct oci_import *im, const json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;

        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return oci_fail(
                im,
                "\"%.64s\" is unknown, and ignoring it could change what is allowed; leave it out",
                key);
    }
    return 0;
}

static int get_number(struct oci_import *im, const json_t *object, const char *key,
                      uint64_t fallback, uint64_t *ret)
{
    const json_t *value = oci_get(object, key);

    *ret = fallback;
    if (!value)
        return 0;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    oci_enter_key(im, key);
    return oci_leave(im, oci_fail(im, "a number from 0 to 2^63-1 is expected"));
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

static int read_action_name(struct oci_import *im, const json_t *object, const char *key,
                            ait_policy_action *ret)
{
    const char *name = json_string_value(oci_get(object, key));

    for (size_t i = 0; name && i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, name) == 0) {
            *ret = actions[i].action;
            return 0;
        }
    if (!oci_get(object, key))
        return oci_fail(
            im, "\"%s\" is missing; write SCMP_ACT_ALLOW, SCMP_ACT_ERRNO or another action", key);
    oci_enter_key(im, key);
    if (name && strcmp(name, "SCMP_ACT_TRACE") == 0)
        return oci_leave(
            im,
            oci_fail(im,
                     "SCMP_ACT_TRACE has no counterpart; write SCMP_ACT_ERRNO or SCMP_ACT_NOTIFY"));
    return oci_leave(im,
                     oci_fail(im, "an action is expected: SCMP_ACT_ALLOW, _ERRNO, _KILL_PROCESS, "
                                  "_TRAP, _LOG or _NOTIFY"));
}

/* errno by name is what podman has beside the number. */
static int read_errno(struct oci_import *im, const json_t *object, const char *key,
                      ait_policy_action *action)
{
    uint64_t error;
    int r = get_number(im, object, key, action->error, &error);

    if (r < 0 || !oci_get(object, key))
        return r;
    oci_enter_key(im, key);
    if (action->kind != AIT_POLICY_ERRNO)
        return oci_leave(im, oci_fail(im, "only SCMP_ACT_ERRNO has an errno; leave it out"));
    if (error < 1 || error > ERRNO_MAX)
        return oci_leave(im, oci_fail(im, "an errno from 1 to %d is expected", ERRNO_MAX));
    action->error = (uint16_t)error;
    return oci_leave(im, 0);
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

static int read_op(struct oci_import *im, const json_t *arg, size_t *ret)
{
    const char *name = json_string_value(oci_get(arg, "op"));

    for (size_t i = 0; name && i < sizeof(ops) / sizeof(ops[0]); i++)
        if (strcmp(ops[i].name, name) == 0) {
            *ret = i;
            return 0;
        }
    oci_enter_key(im, "op");
    return oci_leave(
        im, oci_fail(
                im, "an operator is expected: SCMP_CMP_EQ, _NE, _LT, _LE, _GT, _GE or _MASKED_EQ"));
}

static int read_arg(struct oci_import *im, const json_t *arg, ait_policy_compare *ret)
{
    static const char *const keys[] = {"index", "value", "valueTwo", "op", NULL};
    uint64_t index = 0, value = 0, second = 0;
    size_t op = 0;

    if (!json_is_object(arg))
        return oci_fail(im, "an object with index, value and op is expected");
    if (!oci_get(arg, "index") || !oci_get(arg, "value"))
        return oci_fail(im, "\"index\" and \"value\" are expected");
    int r = oci_check_keys(im, arg, keys);
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
    if (index >= OCI_ARGUMENTS)
        return oci_fail(im, "a system call has arguments 0 to 5");
    *ret = (ait_policy_compare){
        .arg = (uint8_t)index, .op = (uint8_t)ops[op].op, .mask = UINT64_MAX, .value = value};
    if (ops[op].masked) {
        ret->mask = value;
        ret->value = second;
    }
    return 0;
}

static int add_compare(struct oci_import *im, struct oci_rule *rule,
                       const ait_policy_compare *compare)
{
    for (size_t i = 0; i < rule->n_compares; i++)
        if (rule->compares[i].arg == compare->arg)
            return oci_fail(im,
                            "a second comparison of argument %u: some runtimes read it as \"or\", "
                            "others refuse "
                            "it; write an entry for each",
                            compare->arg);
    rule->compares[rule->n_compares++] = *compare;
    return 0;
}

static int read_args(struct oci_import *im, const json_t *entry, struct oci_rule *rule)
{
    const json_t *args = oci_get(entry, "args");
    int r = 0;

    if (!args)
        return 0;
    oci_enter_key(im, "args");
    if (!json_is_array(args))
        return oci_leave(im, oci_fail(im, "an array is expected"));
    for (size_t i = 0; i < json_array_size(args) && r >= 0; i++) {
        ait_policy_compare compare = {0};

        oci_enter_index(im, i);
        r = read_arg(im, json_array_get(args, i), &compare);
        if (r >= 0)
            r = add_compare(im, rule, &compare);
        (void)oci_leave(im, 0);
    }
    return oci_leave(im, r);
}

/* ---- entries --------------------------------------------------------------------------------- */

static int add_rule(struct oci_import *im, const char *name, const struct oci_rule *rule)
{
    int number = ait_syscall_from_name(name);
    struct oci_rule **at;
    unsigned n = 0;

    if (number == -EOPNOTSUPP)
        return 0; /* of another architecture, which is closed anyway */
    if (number < 0 || number > im->newest)
        return oci_fail(im, "unknown system call '%.64s'", name);
    for (at = &im->calls[number]; *at; at = &(*at)->next)
        if (++n == RULES_MAX)
            return oci_fail(im, "more than %d entries have %s", RULES_MAX, name);
    *at = malloc(sizeof(**at));
    if (!*at)
        return -ENOMEM;
    **at = *rule;
    (*at)->next = NULL;
    return 0;
}

/* docker once used a single name. */
static int read_names(struct oci_import *im, const json_t *entry, const struct oci_rule *rule)
{
    const json_t *names = oci_get(entry, "names"), *name = oci_get(entry, "name");
    int r = 0;

    if (!names && json_is_string(name))
        return add_rule(im, json_string_value(name), rule);
    if (!json_is_array(names))
        return oci_fail(im, "\"names\" is expected, an array of system calls");
    oci_enter_key(im, "names");
    for (size_t i = 0; i < json_array_size(names) && r >= 0; i++) {
        const char *one = json_string_value(json_array_get(names, i));

        oci_enter_index(im, i);
        r = one ? add_rule(im, one, rule) : oci_fail(im, "the name of a system call is expected");
        (void)oci_leave(im, 0);
    }
    return oci_leave(im, r);
}

static int read_entry(struct oci_import *im, const json_t *entry, size_t index)
{
    static const char *const keys[] = {"names", "name",    "action",   "errnoRet", "errno",
                                       "args",  "comment", "includes", "excludes", NULL};
    struct oci_rule rule = {.entry = index};
    bool counts = false;

    if (!json_is_object(entry))
        return oci_fail(im, "an object with names and action is expected");
    int r = oci_check_keys(im, entry, keys);
    if (r >= 0)
        r = oci_applies(im, entry, &counts);
    if (r >= 0)
        r = read_action_name(im, entry, "action", &rule.action);
    if (r >= 0)
        r = read_errno(im, entry, "errnoRet", &rule.action);
    if (r >= 0)
        r = read_args(im, entry, &rule);
    return r >= 0 && counts ? read_names(im, entry, &rule) : r;
}

static int read_entries(struct oci_import *im, const json_t *root)
{
    const json_t *entries = oci_get(root, "syscalls");
    int r = 0;

    if (!entries)
        return 0;
    oci_enter_key(im, "syscalls");
    if (!json_is_array(entries))
        return oci_leave(im, oci_fail(im, "an array is expected"));
    for (size_t i = 0; i < json_array_size(entries) && r >= 0; i++) {
        oci_enter_index(im, i);
        r = read_entry(im, json_array_get(entries, i), i);
        (void)oci_leave(im, 0);
    }
    return oci_leave(im, r);
}

static int read_root(struct oci_import *im, const json_t *root)
{
    static const char *const keys[] = {
        "defaultAction", "defaultErrnoRet",  "defaultErrno", "architectures", "archMap", "flags",
        "listenerPath",  "listenerMetadata", "syscalls",     "comment",       NULL};
    int r = oci_check_keys(im, root, keys);

    if (r >= 0)
        r = read_action_name(im, root, "defaultAction", &im->fallback);
    if (r >= 0)
        r = read_errno(im, root, "defaultErrnoRet", &im->fallback);
    return r >= 0 ? read_entries(im, root) : r;
}

/* The file may be the whole configuration of a container. */
static int read_document(struct oci_import *im, const json_t *document)
{
    const json_t *seccomp = json_object_get(json_object_get(document, "linux"), "seccomp");

    if (!json_is_object(document))
        return oci_fail(im, "an object with defaultAction and syscalls is expected");
    if (!seccomp)
        return read_root(im, document);
    im->root = "/linux/seccomp";
    (void)snprintf(im->path, sizeof(im->path), "%s", im->root);
    return read_root(im, seccomp);
}

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *parse(struct oci_import *im, const char *text, size_t length, int *ret_error)
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

static void free_calls(struct oci_import *im)
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
    struct oci_import im = {
        .name = name, .root = "", .problem = problem, .newest = ait_syscall_newest()};
    json_t *document = NULL;
    int r = -ENOMEM;

    im.calls = calloc((size_t)im.newest + 1, sizeof(struct oci_rule *));
    if (im.calls)
        document = parse(&im, text, length, &r);
    if (document)
        r = read_document(&im, document);
    if (document && r >= 0)
        r = oci_make_policy(&im, ret);
    if (r == -ENOMEM && problem)
        problem->error = r;
    json_decref(document);
    free_calls(&im);
    return r;
}
