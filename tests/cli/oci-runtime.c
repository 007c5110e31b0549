/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "oci-runtime.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include <aiotools-sd/policy.h>

struct runtime {
    scmp_filter_ctx filter;
    uint32_t fallback;
    struct spoken *spoken; /* by number */
    int error;             /* of libseccomp: the container would not start */
};

static const char *const errnos[] = {
    [EPERM] = "EPERM",   [ENOENT] = "ENOENT", [EACCES] = "EACCES",
    [EINVAL] = "EINVAL", [ENOSYS] = "ENOSYS",
};

/* podman has names as well; they win. */
static uint32_t read_errno(const json_t *object, const char *number, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    const json_t *value = json_object_get(object, number);

    if (text && *text) {
        for (uint32_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++)
            if (errnos[i] && strcmp(errnos[i], text) == 0)
                return i;
        return (uint32_t)strtoul(text, NULL, 10);
    }
    return json_is_integer(value) ? (uint32_t)json_integer_value(value) : EPERM;
}

static uint32_t action_of(const json_t *object, const char *key, uint32_t error)
{
    const char *name = json_string_value(json_object_get(object, key));
    static const struct {
        const char *name;
        uint32_t action;
    } actions[] = {
        {"ALLOW", SCMP_ACT_ALLOW},
        {"KILL", SCMP_ACT_KILL_THREAD},
        {"KILL_THREAD", SCMP_ACT_KILL_THREAD},
        {"KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
        {"TRAP", SCMP_ACT_TRAP},
        {"LOG", SCMP_ACT_LOG},
        {"NOTIFY", SCMP_ACT_NOTIFY},
    };

    assert_non_null(name);
    name += strlen("SCMP_ACT_");
    if (strcmp(name, "ERRNO") == 0)
        return SCMP_ACT_ERRNO(error);
    if (strcmp(name, "TRACE") == 0)
        return SCMP_ACT_TRACE(error);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, name) == 0)
            return actions[i].action;
    fail_msg("action %s", name);
    return 0;
}

static enum scmp_compare op_of(const json_t *arg)
{
    const char *name = json_string_value(json_object_get(arg, "op"));
    static const char *const ops[] = {
        [SCMP_CMP_NE] = "SCMP_CMP_NE",
        [SCMP_CMP_LT] = "SCMP_CMP_LT",
        [SCMP_CMP_LE] = "SCMP_CMP_LE",
        [SCMP_CMP_EQ] = "SCMP_CMP_EQ",
        [SCMP_CMP_GE] = "SCMP_CMP_GE",
        [SCMP_CMP_GT] = "SCMP_CMP_GT",
        [SCMP_CMP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
    };

    assert_non_null(name);
    for (int op = SCMP_CMP_NE; op <= SCMP_CMP_MASKED_EQ; op++)
        if (strcmp(ops[op], name) == 0)
            return (enum scmp_compare)op;
    fail_msg("operator %s", name);
    return SCMP_CMP_EQ;
}

static bool has(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
            return true;
    return false;
}

static bool kernel_is_new(const char *wanted)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    struct utsname system;

    assert_int_equal(uname(&system), 0);
    (void)sscanf(system.release, "%u.%u", &a, &b);
    (void)sscanf(wanted, "%u.%u", &c, &d);
    return a > c || (a == c && b >= d);
}

#if defined(__x86_64__)
#define GO_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define GO_ARCHITECTURE "arm64"
#else
#define GO_ARCHITECTURE "?"
#endif

/* For a container without capabilities. */
static bool counts(const json_t *entry)
{
    const json_t *in = json_object_get(entry, "includes"),
                 *out = json_object_get(entry, "excludes");
    const json_t *in_arches = json_object_get(in, "arches");
    const char *in_kernel = json_string_value(json_object_get(in, "minKernel"));
    const char *out_kernel = json_string_value(json_object_get(out, "minKernel"));

    if (has(json_object_get(out, "arches"), GO_ARCHITECTURE) ||
        (json_array_size(in_arches) > 0 && !has(in_arches, GO_ARCHITECTURE)))
        return false;
    if ((in_kernel && *in_kernel && !kernel_is_new(in_kernel)) ||
        (out_kernel && *out_kernel && kernel_is_new(out_kernel)))
        return false;
    return json_array_size(json_object_get(in, "caps")) == 0;
}

static void remember(struct spoken *spoken, uint32_t action, const struct scmp_arg_cmp *compares,
                     unsigned n)
{
    assert_true(n <= 6);
    spoken->rules = realloc(spoken->rules, (spoken->n + 1) * sizeof(spoken->rules[0]));
    assert_non_null(spoken->rules);
    struct rule *rule = &spoken->rules[spoken->n++];
    *rule = (struct rule){.action = action};
    for (unsigned i = 0; i < n; i++)
        if (compares[i].op != SCMP_CMP_MASKED_EQ || compares[i].datum_a != 0)
            rule->compares[rule->n++] = compares[i]; /* a mask of 0 is no comparison */
    spoken->n_compares += rule->n;
}

static void add(struct runtime *rt, uint32_t action, int number,
                const struct scmp_arg_cmp *compares, unsigned n)
{
    int r = seccomp_rule_add_array(rt->filter, action, number, n, compares);

    if (r < 0 && rt->error == 0)
        rt->error = r;
    if (number >= 0 && number <= ait_syscall_newest())
        remember(&rt->spoken[number], action, compares, n);
}

/* Two comparisons of one argument: each is a rule. */
static void add_call(struct runtime *rt, uint32_t action, int number, const json_t *args)
{
    struct scmp_arg_cmp compares[64];
    unsigned n = 0, seen = 0;
    bool twice = false;

    for (size_t i = 0; i < json_array_size(args); i++) {
        const json_t *arg = json_array_get(args, i);
        unsigned index = (unsigned)json_integer_value(json_object_get(arg, "index"));

        assert_true(index < 6 && n < 64);
        twice |= seen >> index & 1;
        seen |= 1U << index;
        compares[n++] = (struct scmp_arg_cmp){
            index, op_of(arg), (uint64_t)json_integer_value(json_object_get(arg, "value")),
            (uint64_t)json_integer_value(json_object_get(arg, "valueTwo"))};
    }
    if (!twice)
        add(rt, action, number, compares, n);
    for (unsigned i = 0; twice && i < n; i++)
        add(rt, action, number, &compares[i], 1);
}

/* What has the default's action is left out: libseccomp would refuse it. */
static void add_entry(struct runtime *rt, const json_t *entry)
{
    uint32_t action = action_of(entry, "action", read_errno(entry, "errnoRet", "errno"));
    const json_t *names = json_object_get(entry, "names"), *name = json_object_get(entry, "name");

    if (action == rt->fallback || !counts(entry))
        return;
    for (size_t i = 0; i < json_array_size(names) + (name != NULL); i++) {
        const json_t *one = i < json_array_size(names) ? json_array_get(names, i) : name;
        int number = seccomp_syscall_resolve_name(json_string_value(one));

        if (number != __NR_SCMP_ERROR && *json_string_value(one))
            add_call(rt, action, number, json_object_get(entry, "args"));
    }
}

static size_t export_filter(struct runtime *rt, struct sock_filter *program)
{
    int file = memfd_create("program", MFD_CLOEXEC);
    ssize_t n = 0;

    if (rt->error == 0)
        rt->error = seccomp_export_bpf(rt->filter, file);
    if (rt->error == 0) {
        n = pread(file, program, BPF_MAXINSNS * sizeof(*program), 0);
        assert_true(n > 0);
    }
    assert_int_equal(close(file), 0);
    return (size_t)n / sizeof(*program);
}

struct theirs *runtime_compile(const json_t *document)
{
    const json_t *profile = json_object_get(json_object_get(document, "linux"), "seccomp");
    struct theirs *theirs = calloc(1, sizeof(*theirs));

    assert_non_null(theirs);
    theirs->spoken = calloc((size_t)ait_syscall_newest() + 1, sizeof(theirs->spoken[0]));
    assert_non_null(theirs->spoken);
    profile = profile ? profile : document;
    if (!json_is_string(json_object_get(profile, "defaultAction")))
        return theirs;
    theirs->fallback =
        action_of(profile, "defaultAction", read_errno(profile, "defaultErrnoRet", "defaultErrno"));
    struct runtime rt = {.fallback = theirs->fallback, .spoken = theirs->spoken};
    const json_t *entries = json_object_get(profile, "syscalls");

    rt.filter = seccomp_init(rt.fallback);
    assert_non_null(rt.filter);
    for (size_t i = 0; i < json_array_size(entries); i++)
        add_entry(&rt, json_array_get(entries, i));
    theirs->n = export_filter(&rt, theirs->program);
    seccomp_release(rt.filter);
    return theirs;
}

void runtime_forget(struct theirs *theirs)
{
    for (int number = 0; number <= ait_syscall_newest(); number++)
        free(theirs->spoken[number].rules);
    free(theirs->spoken);
    free(theirs);
}
