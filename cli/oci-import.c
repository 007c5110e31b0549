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

#include "nearest.h"
#include "oci-profile.h"

#define ERRNO_MAX    4095
#define RULES_MAX    4096 /* a call */
#define COMPARES_MAX 64   /* an entry */
#define NOTES_MAX    256

/* ---- problems -------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void
put_problem(const struct oci_import *im, ait_sandbox_problem *p, const char *format, va_list ap)
{
    p->line = p->column = 0;
    (void)snprintf(p->file, sizeof(p->file), "%s", im->name);
    int n = snprintf(p->message, sizeof(p->message), "%s%s", im->path, *im->path ? ": " : "");
    (void)vsnprintf(p->message + n, sizeof(p->message) - (size_t)n, format, ap);
}

int oci_fail(struct oci_import *im, const char *format, ...)
{
    va_list ap;

    if (!im->problem)
        return -EINVAL;
    im->problem->error = -EINVAL;
    va_start(ap, format);
    put_problem(im, im->problem, format, ap);
    va_end(ap);
    return -EINVAL;
}

void oci_note(struct oci_import *im, const char *format, ...)
{
    va_list ap;

    if (!im->notes)
        im->notes = calloc(NOTES_MAX, sizeof(*im->notes));
    if (!im->notes || im->n_notes == NOTES_MAX)
        return;
    ait_sandbox_problem *note = &im->notes[im->n_notes++];
    note->size = sizeof(*note);
    va_start(ap, format);
    put_problem(im, note, format, ap);
    va_end(ap);
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

void oci_enter_entry(struct oci_import *im, size_t entry)
{
    (void)snprintf(im->path, sizeof(im->path), "%s/syscalls/%zu", im->root, entry);
}

/* ---- plain values ---------------------------------------------------------------------------- */

const json_t *oci_get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static const char *find_near(const char *key, const char *const *known)
{
    struct nearest nearest = {.word = key, .n = strlen(key), .distance = strlen(key) > 4 ? 3 : 2};

    for (size_t i = 0; known[i]; i++)
        if (strcasecmp(known[i], key) == 0)
            return known[i];
    for (size_t i = 0; known[i]; i++)
        (void)nearest_offer(&nearest, known[i]);
    return nearest.best;
}

/* "_comment", "$schema", "//" */
static bool is_remark(const char *key)
{
    return strchr("_$/#", *key) || strcasestr(key, "comment");
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
        if (known[i] || is_remark(key))
            continue;
        const char *near = find_near(key, known);
        if (near)
            return oci_fail(im, "\"%.64s\" is unknown: is it \"%s\"? leave it out if it is not",
                            key, near);
        oci_note(im, "\"%.64s\" is unknown and is ignored, as container runtimes do", key);
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

/* The first byte of a word is one of libseccomp's actions. */
static const struct {
    const char *name;
    char letter;
    ait_policy_action meaning;
} actions[] = {
    {"SCMP_ACT_ALLOW", 'A', {.kind = AIT_POLICY_ALLOW}},
    {"SCMP_ACT_ERRNO", 'E', {.kind = AIT_POLICY_ERRNO, .error = EPERM}},
    {"SCMP_ACT_KILL", 'K', {.kind = AIT_POLICY_KILL}},
    {"SCMP_ACT_KILL_PROCESS", 'P', {.kind = AIT_POLICY_KILL}},
    {"SCMP_ACT_KILL_THREAD", 'K', {.kind = AIT_POLICY_KILL}},
    {"SCMP_ACT_TRAP", 'S', {.kind = AIT_POLICY_TRAP}},
    {"SCMP_ACT_LOG", 'L', {.kind = AIT_POLICY_LOG}},
    {"SCMP_ACT_NOTIFY", 'N', {.kind = AIT_POLICY_NOTIFY, .error = EPERM}},
    /* what it does where nobody traces */
    {"SCMP_ACT_TRACE", 'T', {.kind = AIT_POLICY_ERRNO, .error = ENOSYS}},
};

static int read_action_name(struct oci_import *im, const json_t *object, const char *key,
                            struct oci_action *ret)
{
    const char *name = json_string_value(oci_get(object, key));
    size_t i = 0;

    if (!oci_get(object, key))
        return oci_fail(
            im, "\"%s\" is missing; write SCMP_ACT_ALLOW, SCMP_ACT_ERRNO or another action", key);
    while (name && i < sizeof(actions) / sizeof(actions[0]) && strcmp(actions[i].name, name) != 0)
        i++;
    oci_enter_key(im, key);
    if (!name || i == sizeof(actions) / sizeof(actions[0]))
        return oci_leave(im, oci_fail(im, "an action is expected: SCMP_ACT_ALLOW, _ERRNO, "
                                          "_KILL_PROCESS, _TRAP, _LOG or _NOTIFY"));
    if (actions[i].letter == 'T')
        oci_note(im, "nobody traces the program, so SCMP_ACT_TRACE makes calls fail with ENOSYS");
    *ret = (struct oci_action){.meaning = actions[i].meaning,
                               .word = (uint32_t)actions[i].letter << 16 | EPERM};
    return oci_leave(im, 0);
}

static int error_from_name(const char *name)
{
    static const struct {
        const char *name;
        int error;
    } others[] = {{"EWOULDBLOCK", EWOULDBLOCK},
                  {"EDEADLOCK", EDEADLOCK},
                  {"ENOTSUP", ENOTSUP},
                  {"EOPNOTSUPP", EOPNOTSUPP}};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(others[i].name, name) == 0)
            return others[i].error;
    for (int error = 1; error < ERRNO_MAX; error++) {
        const char *one = strerrorname_np(error);

        if (one && strcmp(one, name) == 0)
            return error;
    }
    return 0;
}

/* The number, or what podman has beside it: a name, or the number as a string, which win. */
static int get_error(struct oci_import *im, const json_t *object, const char *number,
                     const char **key, uint64_t *ret)
{
    const char *text = json_string_value(oci_get(object, *key));
    char *end;

    if (!text || !*text) {
        *key = number;
        return get_number(im, object, number, 0, ret);
    }
    errno = 0;
    *ret = strtoul(text, &end, 10);
    if (*end != '\0' || errno > 0 || *text == '-')
        *ret = (uint64_t)error_from_name(text);
    return 0;
}

static int read_errno(struct oci_import *im, const json_t *object, const char *number,
                      const char *name, struct oci_action *action)
{
    const char *key = name;
    uint64_t error;
    int r = get_error(im, object, number, &key, &error);

    if (r < 0 || !oci_get(object, key))
        return r;
    oci_enter_key(im, key);
    char letter = (char)(action->word >> 16);
    if (letter != 'E' && letter != 'T') {
        oci_note(im,
                 "only SCMP_ACT_ERRNO has an errno; it is ignored, as runc does (crun refuses it)");
        return oci_leave(im, 0);
    }
    if (error < 1 || error > ERRNO_MAX)
        return oci_leave(
            im, oci_fail(im, "an errno from 1 to %d is expected%s", ERRNO_MAX,
                         error == 0 && key == number
                             ? "; with 0 the call would seem to succeed, without being made"
                             : ""));
    action->word = (uint32_t)letter << 16 | (uint32_t)error;
    if (letter == 'E')
        action->meaning.error = (uint16_t)error;
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

/* libseccomp compares what the mask leaves of both. */
static void put_mask(struct oci_import *im, uint64_t mask, uint64_t value, ait_policy_compare *ret)
{
    ret->mask = mask;
    ret->value = value & mask;
    if (value != ret->value)
        oci_note(im,
                 "valueTwo has bits outside the mask \"value\"; container runtimes ignore them");
}

static int read_arg(struct oci_import *im, const json_t *arg, ait_policy_compare *ret)
{
    static const char *const keys[] = {"index", "value", "valueTwo", "op", "comment", NULL};
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
    if (ops[op].masked)
        put_mask(im, value, second, ret);
    return 0;
}

/* Of an entry, as they are written. */
struct compares {
    size_t n;
    bool twice; /* one argument */
    ait_policy_compare list[COMPARES_MAX];
};

static int add_compare(struct oci_import *im, struct compares *compares,
                       const ait_policy_compare *compare)
{
    if (compares->n == COMPARES_MAX)
        return oci_fail(im, "more than %d comparisons in one entry", COMPARES_MAX);
    for (size_t i = 0; i < compares->n && !compares->twice; i++)
        if (compares->list[i].arg == compare->arg) {
            compares->twice = true;
            oci_note(im,
                     "a second comparison of argument %u: container runtimes take each comparison "
                     "of such an entry for an entry of its own",
                     compare->arg);
        }
    compares->list[compares->n++] = *compare;
    return 0;
}

static int read_args(struct oci_import *im, const json_t *entry, struct compares *compares)
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
            r = add_compare(im, compares, &compare);
        (void)oci_leave(im, 0);
    }
    return oci_leave(im, r);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* What an entry says of each of its calls. */
struct said {
    size_t entry;
    struct oci_action action;
    struct compares compares;
};

static int add_rule(struct oci_import *im, int number, const struct said *said,
                    const ait_policy_compare *compares, size_t n_compares)
{
    struct oci_rule **at = &im->calls[number], *rule;
    unsigned n = 0;

    for (; *at; at = &(*at)->next)
        if (++n == RULES_MAX)
            return oci_fail(im, "more than %d entries have %s", RULES_MAX,
                            ait_syscall_name(number));
    rule = *at = calloc(1, sizeof(*rule));
    if (!rule)
        return -ENOMEM;
    rule->entry = said->entry;
    rule->action = said->action;
    for (size_t i = 0; i < n_compares; i++)
        if (compares[i].mask != 0) /* to libseccomp such a one is none */
            rule->compares[rule->n_compares++] = compares[i];
    return 0;
}

static void note_unknown(struct oci_import *im, const char *name)
{
    struct nearest nearest = {.word = name, .n = strlen(name), .distance = 3};

    for (int i = 0; i <= im->newest; i++)
        if (ait_syscall_name(i))
            (void)nearest_offer(&nearest, ait_syscall_name(i));
    oci_note(im, "unknown system call '%.64s'%s%s%s; it is skipped, as container runtimes do", name,
             nearest.best ? ": is it " : "", nearest.best ? nearest.best : "",
             nearest.best ? "?" : "");
}

/* Where one argument is compared twice, each comparison is a rule. */
static int add_name(struct oci_import *im, const char *name, const struct said *said)
{
    const struct compares *c = &said->compares;
    int number = ait_syscall_from_name(name), r = 0;

    if (!*name)
        return oci_fail(im, "the name of a system call is expected");
    if (number == -EOPNOTSUPP)
        return 0; /* of another architecture, which is closed anyway */
    if (number < 0 || number > im->newest) {
        note_unknown(im, name);
        return 0;
    }
    if (!c->twice)
        return add_rule(im, number, said, c->list, c->n);
    for (size_t i = 0; i < c->n && r >= 0; i++)
        r = add_rule(im, number, said, &c->list[i], 1);
    return r;
}

static int read_names(struct oci_import *im, const json_t *names, const struct said *said)
{
    int r = 0;

    oci_enter_key(im, "names");
    for (size_t i = 0; i < json_array_size(names) && r >= 0; i++) {
        const char *one = json_string_value(json_array_get(names, i));

        oci_enter_index(im, i);
        r = one ? add_name(im, one, said) : oci_fail(im, "the name of a system call is expected");
        (void)oci_leave(im, 0);
    }
    return oci_leave(im, r);
}

/* docker once used a single name. What has the default's action changes nothing, and runtimes leave
 * it out: it does not decide for entries that follow. */
static int add_entry(struct oci_import *im, const json_t *entry, const struct said *said,
                     bool counts)
{
    const json_t *names = oci_get(entry, "names"), *name = oci_get(entry, "name");
    const char *single = json_string_value(name);

    if ((names && !json_is_array(names)) || (name && !single) || (!names && !name))
        return oci_fail(im, "\"names\" is expected, an array of system calls");
    if (single && *single && json_array_size(names) > 0)
        return oci_fail(im, "there are both \"name\" and \"names\"; leave one of them out");
    if (!counts || said->action.word == im->fallback.word)
        return 0;
    return single && *single ? add_name(im, single, said) : read_names(im, names, said);
}

static int read_entry(struct oci_import *im, const json_t *entry, size_t index)
{
    static const char *const keys[] = {"names", "name",    "action",   "errnoRet", "errno",
                                       "args",  "comment", "includes", "excludes", NULL};
    struct said said = {.entry = index};
    bool counts = false;

    if (!json_is_object(entry))
        return oci_fail(im, "an object with names and action is expected");
    int r = oci_check_keys(im, entry, keys);
    if (r >= 0)
        r = oci_applies(im, entry, &counts);
    if (r >= 0)
        r = read_action_name(im, entry, "action", &said.action);
    if (r >= 0)
        r = read_errno(im, entry, "errnoRet", "errno", &said.action);
    if (r >= 0)
        r = read_args(im, entry, &said.compares);
    return r >= 0 ? add_entry(im, entry, &said, counts) : r;
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
        r = read_errno(im, root, "defaultErrnoRet", "defaultErrno", &im->fallback);
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
    static const char mark[] = "\xef\xbb\xbf"; /* of the order of bytes */
    size_t skip = length >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    json_error_t error;
    json_t *document = json_loadb(text + skip, length - skip, JSON_REJECT_DUPLICATES, &error);
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
    free(im.notes);
    return r;
}
