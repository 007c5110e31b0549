/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profiles as their own consumers read them. A reader of its own makes libseccomp's filter of a
 * profile, step by step as runc and crun do, and the filter has to answer as the imported policy
 * does: each call that libseccomp knows, with arguments near those that the profile speaks of.
 *
 *     test-oci-runtimes PROFILE...
 *
 * compares any other profiles, and says what differs.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "architecture.h"
#include "bpf.h"

#include "oci-import.h"

#define VALUES_MAX 4096 /* of one call */
#define ROUNDS     300  /* of arguments a call with conditions */

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t state = 1;

static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* ---- as the runtimes read it ----------------------------------------------------------------- */

/* What the profile says about a call, for the choice of arguments. */
struct spoken {
    uint64_t values[VALUES_MAX];
    size_t n;
    unsigned orderings;
};

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

static void remember(struct spoken *spoken, const struct scmp_arg_cmp *compare)
{
    const uint64_t values[] = {compare->datum_a, compare->datum_b,
                               compare->datum_a | compare->datum_b};

    for (size_t i = 0; i < 3 && spoken->n < VALUES_MAX; i++)
        spoken->values[spoken->n++] = values[i];
    spoken->orderings += compare->op == SCMP_CMP_LT || compare->op == SCMP_CMP_LE ||
                         compare->op == SCMP_CMP_GT || compare->op == SCMP_CMP_GE;
}

static void add(struct runtime *rt, uint32_t action, int number,
                const struct scmp_arg_cmp *compares, unsigned n)
{
    int r = seccomp_rule_add_array(rt->filter, action, number, n, compares);

    if (r < 0 && rt->error == 0)
        rt->error = r;
    for (unsigned i = 0; i < n && number >= 0 && number <= ait_syscall_newest(); i++)
        remember(&rt->spoken[number], &compares[i]);
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

/* The program's length; 0: no runtime would take the profile. */
static size_t compile(const json_t *document, struct spoken *spoken, struct sock_filter *program)
{
    const json_t *profile = json_object_get(json_object_get(document, "linux"), "seccomp");

    profile = profile ? profile : document;
    if (!json_is_string(json_object_get(profile, "defaultAction")))
        return 0;
    struct runtime rt = {.fallback =
                             action_of(profile, "defaultAction",
                                       read_errno(profile, "defaultErrnoRet", "defaultErrno")),
                         .spoken = spoken};
    const json_t *entries = json_object_get(profile, "syscalls");

    rt.filter = seccomp_init(rt.fallback);
    assert_non_null(rt.filter);
    for (size_t i = 0; i < json_array_size(entries); i++)
        add_entry(&rt, json_array_get(entries, i));
    size_t n = export_filter(&rt, program);
    seccomp_release(rt.filter);
    return n;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool is_same(ait_policy_action action, uint32_t answer)
{
    uint32_t data = answer & SECCOMP_RET_DATA;

    switch (answer & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
        return action.kind == AIT_POLICY_ALLOW;
    case SECCOMP_RET_ERRNO: /* the kernel's limit */
        return action.kind == AIT_POLICY_ERRNO && action.error == (data < 4095 ? data : 4095);
    case SECCOMP_RET_TRACE: /* nobody traces */
        return action.kind == AIT_POLICY_ERRNO && action.error == ENOSYS;
    case SECCOMP_RET_LOG:
        return action.kind == AIT_POLICY_LOG;
    case SECCOMP_RET_TRAP:
        return action.kind == AIT_POLICY_TRAP;
    case SECCOMP_RET_USER_NOTIF:
        return action.kind == AIT_POLICY_NOTIFY;
    default:
        return action.kind == AIT_POLICY_KILL;
    }
}

/* Of a 32 bit argument the policy ignores the upper half, as the kernel does. */
static uint64_t width_of(const char *name, unsigned arg)
{
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    uint64_t args[6] = {0};
    char text[128];
    int n = snprintf(text, sizeof(text), "policy 1\n%s arg%u == 1\n", name, arg);

    assert_int_equal(ait_policy_from_text(&policy, name, text, (size_t)n, NULL), 0);
    args[arg] = (UINT64_C(1) << 32) | 1;
    bool narrow =
        ait_policy_evaluate(policy, ait_syscall_from_name(name), args).kind == AIT_POLICY_ALLOW;
    return narrow ? UINT32_MAX : UINT64_MAX;
}

static uint64_t choose(const struct spoken *spoken)
{
    uint64_t v = spoken->n > 0 ? spoken->values[chance() % spoken->n] : chance();

    switch (chance() % 8) {
    case 0:
        return v + 1;
    case 1:
        return v - 1;
    case 2:
        return v ^ UINT64_C(1) << chance() % 64;
    case 3:
        return chance();
    case 4:
        return chance() % 64;
    default:
        return v;
    }
}

struct difference {
    const char *call;
    uint64_t args[6];
    uint32_t theirs;
    ait_policy_action ours;
};

static bool compare_call(const ait_policy *policy, const struct sock_filter *program, size_t n,
                         int number, const struct spoken *spoken, struct difference *ret)
{
    struct seccomp_data data = {.nr = number, .arch = NATIVE_ARCHITECTURE};
    uint64_t width[6];

    for (unsigned i = 0; i < 6; i++)
        width[i] = spoken->n > 0 ? width_of(ait_syscall_name(number), i) : UINT64_MAX;
    for (int round = 0; round < (spoken->n > 0 ? ROUNDS : 3); round++) {
        for (int i = 0; i < 6; i++)
            data.args[i] = ret->args[i] = choose(spoken) & width[i];
        ret->theirs = bpf_run(program, n, &data);
        ret->ours = ait_policy_evaluate(policy, number, ret->args);
        ret->call = ait_syscall_name(number);
        if (!is_same(ret->ours, ret->theirs))
            return false;
    }
    return true;
}

/* libseccomp before 2.6.1 miscompiles several orderings of one call (GHSA-4q85-33p6-j5g6). */
static bool is_flawed(const struct spoken *spoken)
{
    const struct scmp_version *v = seccomp_version();

    return spoken->orderings > 1 && (v->major < 2 || (v->major == 2 && v->minor < 6) ||
                                     (v->major == 2 && v->minor == 6 && v->micro < 1));
}

static bool compare(const ait_policy *policy, const struct sock_filter *program, size_t n,
                    const struct spoken *spoken, struct difference *ret)
{
    for (int number = 0; number <= ait_syscall_newest(); number++) {
        const char *name = ait_syscall_name(number);

        if (!name || seccomp_syscall_resolve_name(name) != number || is_flawed(&spoken[number]))
            continue;
        if (!compare_call(policy, program, n, number, &spoken[number], ret))
            return false;
    }
    return true;
}

/* ---- profiles -------------------------------------------------------------------------------- */

static char *read_file(const char *name, size_t *ret_size)
{
    FILE *file = fopen(name, "re");
    char *text = calloc(1, 1 << 20);

    if (!file)
        fail_msg("%s: %s", name, strerror(errno));
    assert_non_null(text);
    *ret_size = fread(text, 1, (1 << 20) - 1, file);
    (void)fclose(file);
    return text;
}

/* Empty: the same. */
static void judge(const char *text, size_t size, char *verdict, size_t verdict_size)
{
    static struct sock_filter program[BPF_MAXINSNS];
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    struct difference d = {0};
    char action[AIT_POLICY_ACTION_SIZE];
    struct spoken *spoken = calloc((size_t)ait_syscall_newest() + 1, sizeof(*spoken));
    json_t *document = json_loadb(text, size, 0, NULL);
    size_t n = 0;

    assert_non_null(spoken);
    *verdict = '\0';
    if (document)
        n = compile(document, spoken, program);
    int r = oci_import(&policy, "profile", text, size, &problem, NULL);
    if (r < 0)
        (void)snprintf(verdict, verdict_size, "%s: %s", n > 0 ? "refused" : "refused by both",
                       problem.message);
    else if (n == 0)
        (void)snprintf(verdict, verdict_size, "refused by libseccomp only");
    else if (!compare(policy, program, n, spoken, &d))
        (void)snprintf(verdict, verdict_size, "%s(%#llx, %#llx, %#llx): %s, libseccomp: %#x",
                       d.call, (unsigned long long)d.args[0], (unsigned long long)d.args[1],
                       (unsigned long long)d.args[2], ait_policy_action_text(d.ours, action),
                       d.theirs);
    json_decref(document);
    free(spoken);
}

/* ---- one of each shape ----------------------------------------------------------------------- */

#define ENOSYS_BUT(entries)                                                                        \
    "{'defaultAction': 'SCMP_ACT_ERRNO', 'defaultErrnoRet': 38, 'syscalls': [" entries "]}"
#define ENTRY(names, action, more) "{'names': [" names "], 'action': 'SCMP_ACT_" action "'" more "}"
#define ARGS(list)                 ", 'args': [" list "]"
#define CMP(index, op, value)      "{'index': " index ", 'value': " value ", 'op': 'SCMP_CMP_" op "'}"
#define MASKED(index, mask, value)                                                                 \
    "{'index': " index ", 'value': " mask ", 'valueTwo': " value ", 'op': 'SCMP_CMP_MASKED_EQ'}"

/* With ' for ". */
static const struct shape {
    const char *text;
    const char *note;    /* that is to be given; NULL: none */
    const char *verdict; /* begins like this; NULL: the same */
} shapes[] = {
    /* which of two entries decides */
    {ENOSYS_BUT(ENTRY("'read'", "ALLOW", "") "," ENTRY("'read'", "ERRNO", ", 'errnoRet': 1")),
     "/syscalls/1: read: errno(EPERM) never applies; container runtimes let /syscalls/0 decide",
     NULL},
    {ENOSYS_BUT(ENTRY("'read'", "ERRNO", "") "," ENTRY("'read'", "ALLOW", "")),
     "/syscalls/1: read: allow never applies", NULL},
    {ENOSYS_BUT(ENTRY("'read'", "KILL_THREAD", "") "," ENTRY("'read'", "KILL_PROCESS", "")), NULL,
     NULL},
    {ENOSYS_BUT(
         ENTRY("'lseek'", "ALLOW", "") "," ENTRY("'lseek'", "ERRNO", ARGS(CMP("1", "EQ", "7")))),
     "/syscalls/1: lseek: errno(EPERM) never applies; container runtimes let /syscalls/0 decide, "
     "which looks at no arguments (allow)",
     NULL},
    {ENOSYS_BUT(
         ENTRY("'lseek'", "ERRNO", ARGS(CMP("1", "EQ", "7"))) "," ENTRY("'lseek'", "ALLOW", "")),
     "/syscalls/0: lseek: errno(EPERM) never applies; container runtimes let /syscalls/1 decide",
     NULL},
    {"{'linux': {'seccomp': " ENOSYS_BUT(
         ENTRY("'read'", "ALLOW", "") "," ENTRY("'read'", "LOG", "")) "}}",
     "/linux/seccomp/syscalls/1: read: log never applies", NULL},
    /* what says the same as the default is no entry */
    {ENOSYS_BUT(ENTRY("'read'", "ERRNO", ", 'errnoRet': 38") "," ENTRY("'read'", "ALLOW", "")),
     NULL, NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ERRNO", ", 'errnoRet': 38") "," ENTRY("'lseek'", "ALLOW",
                                                                        ARGS(CMP("1", "EQ", "7")))),
     NULL, NULL},
    {"{'defaultAction': 'SCMP_ACT_KILL_THREAD', 'syscalls': [" ENTRY(
         "'read'", "KILL_PROCESS", "") "," ENTRY("'read'", "ALLOW", "") "]}",
     "/syscalls/1: read: allow never applies", NULL},
    {"{'defaultAction': 'SCMP_ACT_KILL', 'syscalls': [" ENTRY(
         "'read'", "KILL_THREAD", "") "," ENTRY("'read'", "ALLOW", "") "]}",
     NULL, NULL},
    {ENOSYS_BUT(ENTRY("'read'", "TRACE", "") "," ENTRY("'read'", "ALLOW", "")),
     "/syscalls/1: read: allow never applies", NULL},

    /* actions */
    {"{'defaultAction': 'SCMP_ACT_TRACE', 'syscalls': [" ENTRY("'read'", "ALLOW", "") "]}",
     "/defaultAction: nobody traces the program", NULL},
    {ENOSYS_BUT(ENTRY("'read'", "TRAP", "") "," ENTRY("'write'", "LOG", "") "," ENTRY(
         "'dup'", "NOTIFY", "") "," ENTRY("'dup2'", "KILL_PROCESS", "")),
     NULL, NULL},
    {"{'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [" ENTRY("'bpf'", "ERRNO", "") "]}", NULL,
     NULL},
    {"{'defaultAction': 'SCMP_ACT_ERRNO', 'defaultErrnoRet': 1, 'defaultErrno': 'ENOSYS', "
     "'syscalls': [" ENTRY("'read'", "ERRNO", ", 'errnoRet': 38, 'errno': 'EPERM'") "," ENTRY(
         "'write'", "ERRNO",
         ", 'errno': '22', 'errnoRet': null") "," ENTRY("'dup'", "ERRNO",
                                                        ", 'errno': '', 'errnoRet': 13") "]}",
     NULL, NULL},

    /* names */
    {ENOSYS_BUT(ENTRY("'read', 'opennat', 'waitpid', 'signaldeliver'", "ALLOW", "")),
     "/syscalls/0/names/1: unknown system call 'opennat': is it openat?; it is skipped", NULL},
    {ENOSYS_BUT("{'name': 'read', 'action': 'SCMP_ACT_ALLOW', 'args': null}"), NULL, NULL},
    {ENOSYS_BUT("{'name': 'read', 'names': null, 'action': 'SCMP_ACT_ALLOW'}"), NULL, NULL},
    {ENOSYS_BUT("{'name': 'read', 'names': [], 'action': 'SCMP_ACT_ALLOW'}"), NULL, NULL},
    {ENOSYS_BUT("{'names': ['read'], 'name': '', 'action': 'SCMP_ACT_ALLOW'}"), NULL, NULL},
    {"{'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': null}", NULL, NULL},
    {"{'defaultAction': 'SCMP_ACT_LOG'}", NULL, NULL},

    /* keys */
    {"{'_comment': 'x', '$schema': 'y', '//': 1, 'defaultAction': 'SCMP_ACT_ERRNO', 'syscalls': ["
     "{'names': ['dup'], 'action': 'SCMP_ACT_ALLOW', 'x-comment': 1}," ENTRY(
         "'lseek'", "ALLOW",
         ARGS("{'index': 1, 'op': 'SCMP_CMP_EQ', 'value': 3, 'comment': 'three'}")) "]}",
     NULL, NULL},
    {"{'description': 'x', 'defaultAction': 'SCMP_ACT_ERRNO'}", "\"description\" is unknown", NULL},

    /* arguments */
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "3") "," CMP("1", "EQ", "5")))),
     "/syscalls/0/args/1: a second comparison of argument 1", NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW",
                      ARGS(CMP("1", "EQ", "3") "," CMP("2", "EQ", "5") "," CMP("1", "EQ", "6")))),
     "/syscalls/0/args/2: a second comparison of argument 1", NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "NE", "3") "," CMP("2", "NE", "5")))), NULL,
     NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(MASKED("1", "12", "7")))),
     "/syscalls/0/args/0: valueTwo has bits outside the mask", NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "9") "," MASKED("2", "0", "0")))),
     NULL, NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(MASKED("2", "0", "0")))), NULL, NULL},
    {ENOSYS_BUT(
         ENTRY("'lseek'", "ALLOW", ARGS(MASKED("2", "0", "0"))) "," ENTRY("'lseek'", "ERRNO", "")),
     "/syscalls/1: lseek: errno(EPERM) never applies", NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "GT", "4096")))), NULL, NULL},
    {ENOSYS_BUT(ENTRY("'clone'", "ALLOW", ARGS(MASKED("0", "2114060288", "0")))), NULL, NULL},

    /* what a container would not start with, either */
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "3"))) "," ENTRY(
         "'lseek'", "LOG", ARGS(CMP("1", "EQ", "3")))),
     NULL, "refused by both: /syscalls/1: conflicting: a call of lseek"},
};

static void convert(const char *text, char *json)
{
    for (; *text; text++)
        *json++ = *text == '\'' ? '"' : *text;
    *json = '\0';
}

static int find_note(const ait_sandbox_problem *note, void *userdata)
{
    return strncmp(note->message, userdata, strlen(userdata)) == 0;
}

static int is_ours(const ait_sandbox_problem *note, void *userdata)
{
    return *note->message == '/' || *note->message == '"';
}

static void check_notes(const struct shape *shape, const char *json)
{
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;

    if (oci_import(&policy, "profile", json, strlen(json), NULL, NULL) < 0)
        return;
    if (shape->note && ait_policy_foreach_note(policy, find_note, (void *)shape->note) != 1)
        fail_msg("%s: no such note: %s", json, shape->note);
    if (!shape->note && ait_policy_foreach_note(policy, is_ours, NULL) != 0)
        fail_msg("%s: there is a note", json);
}

static void test_shapes(void **unused)
{
    char json[4096], verdict[700];

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const char *wanted = shapes[i].verdict;

        convert(shapes[i].text, json);
        judge(json, strlen(json), verdict, sizeof(verdict));
        if (wanted ? strncmp(verdict, wanted, strlen(wanted)) != 0 : *verdict)
            fail_msg("%s: %s", json, verdict);
        check_notes(&shapes[i], json);
    }
}

/* A profile is wrong for the test if nothing of it can be seen to differ. */
static void test_the_test(void **unused)
{
    static struct sock_filter program[BPF_MAXINSNS];
    char json[4096];
    struct difference d = {0};

    for (int i = 0; i < 2; i++) {
        ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
        const char *one = ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "4096"))));
        const char *other =
            i == 0 ? ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ""))
                   : ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "4097"))));
        struct spoken *spoken = calloc((size_t)ait_syscall_newest() + 1, sizeof(*spoken));

        assert_non_null(spoken);
        convert(one, json);
        json_t *document = json_loads(json, 0, NULL);
        assert_non_null(document);
        size_t n = compile(document, spoken, program);
        assert_true(n > 0);
        convert(other, json);
        assert_int_equal(oci_import(&policy, "x", json, strlen(json), NULL, NULL), 0);
        assert_false(compare(policy, program, n, spoken, &d));
        assert_string_equal(d.call, "lseek");
        json_decref(document);
        free(spoken);
    }
}

static const char *profile; /* its path */

static void test_file(void **unused)
{
    char verdict[700];
    size_t size;
    char *text = read_file(profile, &size);

    judge(text, size, verdict, sizeof(verdict));
    assert_string_equal(verdict, "");
    free(text);
}

/* ---- main ------------------------------------------------------------------------------------ */

static int judge_files(char **names)
{
    unsigned n = 0, n_other = 0;
    char verdict[700];
    size_t size;

    for (; *names; names++, n++) {
        char *text = read_file(*names, &size);

        judge(text, size, verdict, sizeof(verdict));
        if (*verdict)
            printf("%s: %s\n", *names, verdict);
        n_other += *verdict != '\0';
        free(text);
    }
    printf("%u profiles, %u differ\n", n, n_other);
    return n_other > 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_the_test),
        cmocka_unit_test(test_file),
    };

    if (argc != 3 || strcmp(argv[1], "--test") != 0)
        return judge_files(argv + 1);
    profile = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
