/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profiles as their own consumers read them. The filter that libseccomp makes of a profile for runc
 * and crun has to answer as the imported policy does: each call that libseccomp knows, with
 * arguments near those that the profile speaks of.
 *
 *     test-oci-runtimes PROFILE...
 *
 * compares any other profiles, and says what differs.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "architecture.h"
#include "bpf.h"

#include "oci-import.h"
#include "oci-runtime.h"

#define ROUNDS 300 /* of arguments a call with conditions */

#define RANDOM_PROFILES 400U

/* libseccomp keeps some of what it allocates, even after seccomp_release(). */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libseccomp\n";
}

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t state = 1;

static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
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

/* Of an argument of 16 or 32 bits the policy ignores the rest, as the kernel does. */
static uint64_t width_of(const char *name, unsigned arg)
{
    static const unsigned widths[] = {16, 32};
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    uint64_t args[6] = {0};
    char text[128];
    int n = snprintf(text, sizeof(text), "policy 1\n%s arg%u == 1\n", name, arg);

    assert_int_equal(ait_policy_from_text(&policy, name, text, (size_t)n, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        args[arg] = UINT64_C(1) << widths[i] | 1;
        if (ait_policy_evaluate(policy, ait_syscall_from_name(name), args).kind == AIT_POLICY_ALLOW)
            return (UINT64_C(1) << widths[i]) - 1;
    }
    return UINT64_MAX;
}

static uint64_t choose(const struct spoken *spoken)
{
    uint64_t v = chance();

    if (spoken->n_compares > 0) {
        const struct rule *rule;

        do
            rule = &spoken->rules[chance() % spoken->n];
        while (rule->n == 0);
        const struct scmp_arg_cmp *c = &rule->compares[chance() % rule->n];
        v = chance() % 3 == 0 ? c->datum_b : c->datum_a;
    }
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

static bool compare_holds(const struct scmp_arg_cmp *c, const uint64_t args[6])
{
    uint64_t x = args[c->arg];

    switch (c->op) {
    case SCMP_CMP_NE:
        return x != c->datum_a;
    case SCMP_CMP_LT:
        return x < c->datum_a;
    case SCMP_CMP_LE:
        return x <= c->datum_a;
    case SCMP_CMP_EQ:
        return x == c->datum_a;
    case SCMP_CMP_GE:
        return x >= c->datum_a;
    case SCMP_CMP_GT:
        return x > c->datum_a;
    default:
        return (x & c->datum_a) == (c->datum_a & c->datum_b);
    }
}

static bool holds(const struct rule *rule, const uint64_t args[6])
{
    for (unsigned i = 0; i < rule->n; i++)
        if (!compare_holds(&rule->compares[i], args))
            return false;
    return true;
}

/* What libseccomp ought to answer; false: rules with several actions hold, and it decides. */
static bool model(const struct spoken *spoken, uint32_t fallback, const uint64_t args[6],
                  uint32_t *ret)
{
    bool found = false;

    *ret = fallback;
    for (size_t i = 0; i < spoken->n; i++)
        if (spoken->rules[i].n == 0) {
            *ret = spoken->rules[i].action;
            return true;
        }
    for (size_t i = 0; i < spoken->n; i++) {
        if (!holds(&spoken->rules[i], args))
            continue;
        if (found && spoken->rules[i].action != *ret)
            return false;
        found = true;
        *ret = spoken->rules[i].action;
    }
    return true;
}

struct difference {
    const char *call;
    uint64_t args[6];
    uint32_t theirs;
    ait_policy_action ours;
};

/*
 * libseccomp before 2.6.1 gets some filters wrong: with several orderings (GHSA-4q85-33p6-j5g6),
 * and where rules of several arguments share one that they compare with "not equal". The policy has
 * to answer as the profile says.
 */
static bool compare_call(const ait_policy *policy, struct theirs *theirs, int number,
                         struct difference *ret)
{
    const struct spoken *spoken = &theirs->spoken[number];
    struct seccomp_data data = {.nr = number, .arch = NATIVE_ARCHITECTURE};
    uint64_t width[6];

    for (unsigned i = 0; i < 6; i++)
        width[i] = spoken->n_compares > 0 ? width_of(ait_syscall_name(number), i) : UINT64_MAX;
    for (int round = 0; round < (spoken->n_compares > 0 ? ROUNDS : 3); round++) {
        uint32_t said;

        for (int i = 0; i < 6; i++)
            data.args[i] = ret->args[i] = choose(spoken) & width[i];
        ret->theirs = bpf_run(theirs->program, theirs->n, &data);
        if (model(spoken, theirs->fallback, ret->args, &said) && ret->theirs != said) {
            theirs->n_flaws++;
            ret->theirs = said;
        }
        ret->ours = ait_policy_evaluate(policy, number, ret->args);
        ret->call = ait_syscall_name(number);
        if (!is_same(ret->ours, ret->theirs))
            return false;
    }
    return true;
}

static bool compare(const ait_policy *policy, struct theirs *theirs, struct difference *ret)
{
    for (int number = 0; number <= ait_syscall_newest(); number++) {
        const char *name = ait_syscall_name(number);

        if (name && seccomp_syscall_resolve_name(name) == number &&
            !compare_call(policy, theirs, number, ret))
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

static unsigned n_flaws; /* profiles that libseccomp gets wrong */

/* Empty: the same. */
static void judge(const char *text, size_t size, char *verdict, size_t verdict_size)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    struct difference d = {0};
    char action[AIT_POLICY_ACTION_SIZE];
    json_t *document = json_loadb(text, size, 0, NULL);
    struct theirs *theirs = runtime_compile(document);

    *verdict = '\0';
    int r = oci_import(&policy, "profile", text, size, &problem, NULL);
    if (r < 0)
        (void)snprintf(verdict, verdict_size, "%s: %s",
                       theirs->n > 0 ? "refused" : "refused by both", problem.message);
    else if (theirs->n == 0)
        (void)snprintf(verdict, verdict_size, "taken, though libseccomp refuses it");
    else if (!compare(policy, theirs, &d))
        (void)snprintf(verdict, verdict_size, "%s(%#llx, %#llx, %#llx): %s, libseccomp: %#x",
                       d.call, (unsigned long long)d.args[0], (unsigned long long)d.args[1],
                       (unsigned long long)d.args[2], ait_policy_action_text(d.ours, action),
                       d.theirs);
    n_flaws += theirs->n_flaws > 0;
    json_decref(document);
    runtime_forget(theirs);
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
    {"{'_comment': 'x', '$schema': 'y', '//': 1, 'defaultAction': 'SCMP_ACT_ERRNO', 'syscalls': "
     "[{'names': ['dup'], 'action': 'SCMP_ACT_ALLOW', 'x-comment': 1}," ENTRY(
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

    /* entries that overlap: which one counts depends on values, and not on their order */
    {ENOSYS_BUT(ENTRY("'socket'", "ERRNO", ARGS(CMP("0", "EQ", "40"))) "," ENTRY(
         "'socket'", "ALLOW", ARGS(CMP("0", "NE", "16")))),
     "/syscalls/1: socket: for some arguments /syscalls/0 applies, too; libseccomp then decides "
     "for errno(EPERM)",
     NULL},
    {ENOSYS_BUT(ENTRY("'socket'", "ALLOW", ARGS(CMP("0", "NE", "16"))) "," ENTRY(
         "'socket'", "ERRNO", ARGS(CMP("0", "EQ", "8")))),
     "/syscalls/1: socket: for some arguments /syscalls/0 applies, too; libseccomp then decides "
     "for allow",
     NULL},
    {ENOSYS_BUT(ENTRY("'socket'", "ERRNO", ARGS(CMP("0", "EQ", "40"))) "," ENTRY(
         "'socket'", "ERRNO",
         ", 'errnoRet': 22" ARGS(CMP("0", "EQ", "16") "," CMP(
             "2", "EQ", "9"))) "," ENTRY("'socket'", "ALLOW",
                                         ARGS(CMP("0", "EQ", "16") "," CMP(
                                             "2", "NE", "9"))) "," ENTRY("'socket'", "ALLOW",
                                                                         ARGS(CMP("0", "NE",
                                                                                  "16")))),
     "/syscalls/3: socket: for some arguments /syscalls/0 applies, too", NULL},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "GT", "100"))) "," ENTRY(
         "'lseek'", "LOG", ARGS(CMP("1", "EQ", "4096")))),
     NULL, "refused: /syscalls/0: conflicting: entries of lseek"},
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(MASKED("1", "3", "1"))) "," ENTRY(
         "'lseek'", "LOG", ARGS(CMP("2", "EQ", "4096")))),
     "/syscalls/", NULL},

    /* an errno of what has none */
    {"{'defaultAction': 'SCMP_ACT_ALLOW', 'defaultErrnoRet': 1}",
     "/defaultErrnoRet: only SCMP_ACT_ERRNO", NULL},

    /* what a container would not start with, either */
    {ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "3"))) "," ENTRY(
         "'lseek'", "LOG", ARGS(CMP("1", "EQ", "3")))),
     NULL, "refused by both: /syscalls/1: conflicting: another entry gives lseek"},
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

/* libseccomp 2.5 does not end with some filters of orderings, and of "not equal" before another
 * argument. */
static size_t put_entry(char *json)
{
    static const char *const calls[] = {"lseek", "socket"};
    static const char *const words[] = {"ALLOW", "ERRNO", "LOG"};
    static const unsigned values[] = {1, 2, 3, 7, 8, 16, 40, 63, 4096};
    unsigned arg = (unsigned)(chance() % 3), last = arg + (unsigned)(chance() % (3 - arg));
    size_t at = (size_t)sprintf(json, ",{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_%s\",\"args\":[",
                                calls[chance() % 8 == 0], words[chance() % 3]);

    for (unsigned i = arg; i <= last; i++) {
        unsigned op = (unsigned)(chance() % (i < last ? 2 : 3));

        at += (size_t)sprintf(
            json + at, "%s{\"index\":%u,\"op\":\"SCMP_CMP_%s\",\"value\":%u,\"valueTwo\":%u}",
            i > arg ? "," : "", i,
            op == 0   ? "EQ"
            : op == 1 ? "MASKED_EQ"
                      : "NE",
            values[chance() % 9], values[chance() % 9]);
    }
    return at + (size_t)sprintf(json + at, "]}");
}

/* Whatever overlaps: the policy answers as libseccomp's filter, or the profile is refused. */
static void test_overlaps(void **unused)
{
    const char *wanted = getenv("AIT_RANDOM_POLICIES");
    unsigned n_taken = 0, n = wanted ? (unsigned)atoi(wanted) : RANDOM_PROFILES;

    for (unsigned i = 0; i < n; i++) {
        char json[4096], verdict[700];
        size_t at = (size_t)sprintf(json, "{\"defaultAction\":\"SCMP_ACT_TRAP\",\"syscalls\":[{"
                                          "\"names\":[],\"action\":\"SCMP_ACT_LOG\"}");

        for (unsigned k = 2 + (unsigned)(chance() % 3); k > 0; k--)
            at += put_entry(json + at);
        (void)sprintf(json + at, "]}");
        judge(json, strlen(json), verdict, sizeof(verdict));
        if (*verdict && strncmp(verdict, "refused", 7) != 0)
            fail_msg("%s: %s", json, verdict);
        n_taken += !*verdict;
    }
    print_message("%u of %u were taken; libseccomp itself gets %u wrong\n", n_taken, n, n_flaws);
    assert_true(n_taken > n / 2);
}

/* A profile is wrong for the test if nothing of it can be seen to differ. */
static void test_the_test(void **unused)
{
    char json[4096];
    struct difference d = {0};

    for (int i = 0; i < 2; i++) {
        ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
        const char *one = ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "4096"))));
        const char *other =
            i == 0 ? ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ""))
                   : ENOSYS_BUT(ENTRY("'lseek'", "ALLOW", ARGS(CMP("1", "EQ", "4097"))));

        convert(one, json);
        json_t *document = json_loads(json, 0, NULL);
        assert_non_null(document);
        struct theirs *theirs = runtime_compile(document);
        assert_true(theirs->n > 0);
        convert(other, json);
        assert_int_equal(oci_import(&policy, "x", json, strlen(json), NULL, NULL), 0);
        assert_false(compare(policy, theirs, &d));
        assert_string_equal(d.call, "lseek");
        json_decref(document);
        runtime_forget(theirs);
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
    printf("%u profiles, %u differ; libseccomp itself gets %u wrong\n", n, n_other, n_flaws);
    return n_other > 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_the_test),
        cmocka_unit_test(test_file),
    };

    if (argc != 3 || strcmp(argv[1], "--test") != 0)
        return judge_files(argv + 1);
    profile = argv[2];
    if (!getenv("AIT_RANDOM_POLICIES"))
        (void)alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
