/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies to JSON of container runtimes and back, which has to be the same policy, and those that
 * cannot be told to them; a profile as docker has them; orderings, which become sets of bits; and
 * what is wrong in a file, with its place.
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
#include <unistd.h>

#include <cmocka.h>

#include "architecture.h"
#include "bpf.h"

#include "oci-import.h"
#include "sandbox/oci-export.h"

#define ROUNDS 400 /* of random arguments a call and policy */

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t state = 1;

static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Values that policies speak of, their neighbours, and noise in the upper half. */
static uint64_t choose_argument(void)
{
    static const uint64_t values[] = {
        0,      1,      2,      3,          10,         16,         17,         38,   40,
        0x5412, 0x541c, 0x5413, 0x10000000, 0x00010000, 0x10010000, 0xffffffff, 4096, UINT64_MAX};
    uint64_t v = values[chance() % (sizeof(values) / sizeof(values[0]))];

    switch (chance() % 6) {
    case 0:
        return v + 1;
    case 1:
        return v - 1;
    case 2:
        return v | chance() << 32;
    case 3:
        return v ^ UINT64_C(1) << chance() % 64;
    case 4:
        return chance();
    default:
        return v;
    }
}

/* ---- round trips ----------------------------------------------------------------------------- */

static ait_policy *from_text(const char *text)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;

    int r = ait_policy_from_text(&policy, "test", text, strlen(text), &problem);
    if (r < 0)
        fail_msg("%s: %u:%u: %s", text, problem.line, problem.column, problem.message);
    return policy;
}

static char *exported(const ait_policy *policy)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    int r = oci_export(policy, "test", out, &problem);
    assert_int_equal(fclose(out), 0);
    if (r < 0)
        fail_msg("export: %s", problem.message);
    return text;
}

static ait_policy *there_and_back(const ait_policy *policy)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *back = NULL;
    char *text = exported(policy);

    if (oci_import(&back, "test", text, strlen(text), &problem, NULL) < 0)
        fail_msg("import: %s\n%s", problem.message, text);
    free(text);
    return back;
}

static void check_same(const ait_policy *a, const ait_policy *b)
{
    for (int number = 0; number <= ait_syscall_newest(); number++)
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t args[6];

            for (int i = 0; i < 6; i++)
                args[i] = choose_argument();
            ait_policy_action x = ait_policy_evaluate(a, number, args),
                              y = ait_policy_evaluate(b, number, args);
            if (x.kind != y.kind || x.error != y.error)
                fail_msg("%s(%#llx, %#llx, %#llx): %d/%d, and %d/%d after the round trip",
                         ait_syscall_name(number), (unsigned long long)args[0],
                         (unsigned long long)args[1], (unsigned long long)args[2], x.kind, x.error,
                         y.kind, y.error);
        }
}

/* What runtimes can be told. */
static const char *const sayable[] = {
    "policy 1\n",
    "policy 1\ndefault allow\nswapon: errno(EPERM)\nbpf: kill\nptrace: enosys\n",
    "policy 1\ndefault kill\nread\nwrite: log\nclose: trap\n",
    "policy 1\nioctl\n",
    "policy 1\nioctl arg1 == TIOCSTI: kill\nioctl arg1 == FIONREAD\n",
    "policy 1\nclone arg0 & 0x10010000 == 0x10000\n",
    "policy 1\nsocket arg0 == 2 && arg1 & 0xf == 3\nsocket arg0 == 17: log\n",
    "policy 1\nlseek arg1 < 4096\n",
    "policy 1\ndefault allow\nlseek arg1 >= 4097: errno(EFBIG)\n",
    "policy 1\nread arg2 != 0x4000000000000000\n",
    "policy 1\ninclude strict\n",
    "policy 1\ninclude base\n",
};
#define N_SAYABLE (sizeof(sayable) / sizeof(sayable[0]))

static void test_round_trips(void **unused)
{
    for (size_t i = 0; i < N_SAYABLE; i++) {
        ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = from_text(sayable[i]);
        ait_policy *back AIT_CLEANUP(ait_policy_unrefp) = there_and_back(policy);

        check_same(policy, back);
    }
}

/* ---- as runtimes read it --------------------------------------------------------------------- */

static uint32_t scmp_action(const char *name, json_int_t error)
{
    return strcmp(name, "SCMP_ACT_ALLOW") == 0   ? SCMP_ACT_ALLOW
           : strcmp(name, "SCMP_ACT_ERRNO") == 0 ? SCMP_ACT_ERRNO((uint32_t)error)
           : strcmp(name, "SCMP_ACT_LOG") == 0   ? SCMP_ACT_LOG
           : strcmp(name, "SCMP_ACT_TRAP") == 0  ? SCMP_ACT_TRAP
                                                 : SCMP_ACT_KILL_PROCESS;
}

static enum scmp_compare scmp_op(const char *name)
{
    static const char *const ops[] = {
        [SCMP_CMP_NE] = "NE", [SCMP_CMP_LT] = "LT", [SCMP_CMP_LE] = "LE",
        [SCMP_CMP_EQ] = "EQ", [SCMP_CMP_GE] = "GE", [SCMP_CMP_GT] = "GT"};

    for (enum scmp_compare op = SCMP_CMP_NE; op <= SCMP_CMP_GT; op++)
        if (strcmp(name + strlen("SCMP_CMP_"), ops[op]) == 0)
            return op;
    assert_string_equal(name, "SCMP_CMP_MASKED_EQ");
    return SCMP_CMP_MASKED_EQ;
}

static void add_entry(scmp_filter_ctx context, json_t *entry)
{
    struct scmp_arg_cmp compares[6];
    json_t *names, *args = NULL, *name, *arg;
    json_int_t error = 0;
    const char *action;
    unsigned n = 0;
    size_t i;

    assert_int_equal(json_unpack(entry, "{s:o, s:s, s?I, s?o}", "names", &names, "action", &action,
                                 "errnoRet", &error, "args", &args),
                     0);
    json_array_foreach(args, i, arg)
    {
        json_int_t index, value, second = 0;
        const char *op;

        assert_int_equal(json_unpack(arg, "{s:I, s:I, s?I, s:s}", "index", &index, "value", &value,
                                     "valueTwo", &second, "op", &op),
                         0);
        compares[n++] =
            (struct scmp_arg_cmp){(unsigned)index, scmp_op(op), (uint64_t)value, (uint64_t)second};
    }
    json_array_foreach(names, i, name)
    {
        int number = seccomp_syscall_resolve_name(json_string_value(name));

        if (number >= 0) /* what libseccomp does not know has the default */
            assert_int_equal(
                seccomp_rule_add_array(context, scmp_action(action, error), number, n, compares),
                0);
    }
}

static size_t compile(const char *text, struct sock_filter program[BPF_MAXINSNS])
{
    json_t *document = json_loads(text, 0, NULL), *entries, *entry;
    json_int_t error = 0;
    const char *fallback;
    size_t i;
    int file = memfd_create("program", MFD_CLOEXEC);

    assert_non_null(document);
    assert_int_equal(json_unpack(document, "{s:s, s?I, s:o}", "defaultAction", &fallback,
                                 "defaultErrnoRet", &error, "syscalls", &entries),
                     0);
    scmp_filter_ctx context = seccomp_init(scmp_action(fallback, error));
    assert_non_null(context);
    json_array_foreach(entries, i, entry) add_entry(context, entry);
    assert_int_equal(seccomp_export_bpf(context, file), 0);
    seccomp_release(context);
    json_decref(document);
    ssize_t n = pread(file, program, BPF_MAXINSNS * sizeof(*program), 0);
    assert_true(n > 0);
    assert_int_equal(close(file), 0);
    return (size_t)n / sizeof(*program);
}

static uint32_t answer_of(ait_policy_action action)
{
    static const uint32_t answers[] = {
        [AIT_POLICY_ALLOW] = SECCOMP_RET_ALLOW,       [AIT_POLICY_ERRNO] = SECCOMP_RET_ERRNO,
        [AIT_POLICY_LOG] = SECCOMP_RET_LOG,           [AIT_POLICY_TRAP] = SECCOMP_RET_TRAP,
        [AIT_POLICY_KILL] = SECCOMP_RET_KILL_PROCESS,
    };

    return answers[action.kind] | action.error;
}

/* The program that runc and others make of it by libseccomp, which knows nothing of our importer,
 * answers as the policy does. */
static void test_as_runtimes_read_it(void **unused)
{
    static struct sock_filter program[BPF_MAXINSNS];

    for (size_t i = 0; i < N_SAYABLE; i++) {
        ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = from_text(sayable[i]);
        char *text = exported(policy);
        size_t n = compile(text, program);

        free(text);
        for (int round = 0; round < 400 * ROUNDS; round++) {
            struct seccomp_data data = {.nr =
                                            (int)(chance() % (uint64_t)(ait_syscall_newest() + 1)),
                                        .arch = NATIVE_ARCHITECTURE};
            const char *name = ait_syscall_name(data.nr);
            uint64_t args[6];

            if (!name || seccomp_syscall_resolve_name(name) != data.nr)
                continue;
            for (int k = 0; k < 6; k++)
                data.args[k] = args[k] = choose_argument();
            uint32_t got = bpf_run(program, n, &data),
                     wanted = answer_of(ait_policy_evaluate(policy, data.nr, args));
            if (got != wanted)
                fail_msg("%s: %s(%#llx, %#llx, %#llx): %#x, not %#x", sayable[i], name,
                         (unsigned long long)args[0], (unsigned long long)args[1],
                         (unsigned long long)args[2], got, wanted);
        }
    }
}

/* What is left of the arguments has an answer of its own, or one argument is looked at twice, or a
 * part of it in a way that no operator has. */
static void test_what_cannot_be_said(void **unused)
{
    static const char *const policies[] = {
        "policy 1\nread\nioctl: allow\nioctl arg1 == TIOCSTI: errno(EPERM)\n",
        "policy 1\nread\nioctl: errno(ENOTTY)\nioctl arg1 == FIONREAD: allow\n",
        "policy 1\nread\nioctl arg1 & 0xff != 3\n",
        "policy 1\nread\nioctl arg1 != 3 && arg1 != 4\n",
        "policy 1\nread\nioctl arg1 <= 4096\n",
        "policy 1\ndefault allow\nioctl: errno(EPERM)\nioctl arg1 == 3: allow\n",
    };

    for (size_t i = 0; i <= sizeof(policies) / sizeof(policies[0]); i++) {
        bool last = i == sizeof(policies) / sizeof(policies[0]);
        ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) =
            from_text(last ? "policy 1\ninclude service\n" : policies[i]);
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        int r = oci_export(policy, "test", out, &problem);
        assert_int_equal(fclose(out), 0);
        free(text);
        if (r != -EOPNOTSUPP || problem.error != r || !strstr(problem.message, "arguments") ||
            (!last && strncmp(problem.message, "ioctl ", 6) != 0))
            fail_msg("case %zu: %d: %s", i, r, problem.message);
    }
}

/* ---- orderings ------------------------------------------------------------------------------- */

static bool holds(const char *op, uint64_t x, uint64_t value)
{
    return strcmp(op, "LT") == 0   ? x < value
           : strcmp(op, "LE") == 0 ? x <= value
           : strcmp(op, "GT") == 0 ? x > value
                                   : x >= value;
}

/* Two of one call, so that none of them stays what it is; the first has 64 bits to compare (lseek),
 * or 32 (ioctl). */
static void test_orderings(void **unused)
{
    static const uint64_t values[] = {1, 2, 38, 4096, 0x7fffffff, 0x80000000, 0xfffffffe};
    static const char *const ops[] = {"LT", "LE", "GT", "GE"};
    static const char *const calls[] = {"lseek", "ioctl"};

    for (size_t i = 0; i < 2 * 4 * 7; i++) {
        const char *call = calls[i % 2], *op = ops[i / 2 % 4];
        uint64_t value = values[i / 8];
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
        char text[512];
        int n = snprintf(text, sizeof(text),
                         "{\"defaultAction\":\"SCMP_ACT_KILL\",\"syscalls\":[{\"names\":[\"%s\"],"
                         "\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"value\":%llu,"
                         "\"op\":\"SCMP_CMP_%s\"}]},{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_"
                         "ALLOW\",\"args\":[{\"index\":2,\"value\":3,\"op\":\"SCMP_CMP_GE\"}]}]}",
                         call, (unsigned long long)value, op, call);

        if (oci_import(&policy, "test", text, (size_t)n, &problem, NULL) < 0)
            fail_msg("%s: %s", text, problem.message);
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t args[6] = {
                0, round % 2 ? choose_argument() : value + (uint64_t)(round % 8) - 4, chance() % 6};
            uint64_t x = i % 2 ? (uint32_t)args[1] : args[1];
            bool wanted = holds(op, x, value) || args[2] >= 3;
            bool got = ait_policy_evaluate(policy, ait_syscall_from_name(call), args).kind ==
                       AIT_POLICY_ALLOW;

            if (got != wanted)
                fail_msg("%s %s %#llx: %#llx, %#llx", call, op, (unsigned long long)value,
                         (unsigned long long)args[1], (unsigned long long)args[2]);
        }
    }
}

/* ---- a profile ------------------------------------------------------------------------------- */

static char *read_file(const char *name, size_t *ret_size)
{
    FILE *file = fopen(name, "re");
    char *text = calloc(1, 65536);

    assert_non_null(file);
    assert_non_null(text);
    *ret_size = fread(text, 1, 65535, file);
    (void)fclose(file);
    return text;
}

static const char *profile; /* its path */

static void test_profile(void **unused)
{
    static const struct {
        const char *name;
        uint64_t first, second;
        ait_policy_action wanted;
    } table[] = {
        {"read", 0, 0, {AIT_POLICY_ALLOW, 0}},
        {"ptrace", 0, 0, {AIT_POLICY_ALLOW, 0}},           /* this kernel is newer than 4.8 */
        {"pidfd_getfd", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}}, /* and older than 99.1 */
        {"socket", 2, 1, {AIT_POLICY_ALLOW, 0}},           /* two orderings of one argument */
        {"socket", 37, 1, {AIT_POLICY_ALLOW, 0}},
        {"socket", 38, 1, {AIT_POLICY_ERRNO, ENOSYS}},
        {"socket", 39, 1, {AIT_POLICY_ALLOW, 0}},
        {"socket", 40, 1, {AIT_POLICY_ERRNO, ENOSYS}},
        {"socket", 0x100000026, 1, {AIT_POLICY_ERRNO, ENOSYS}}, /* 38 to the kernel */
        {"socket", 41, 1, {AIT_POLICY_ALLOW, 0}},
        {"personality", 0, 0, {AIT_POLICY_ALLOW, 0}},
        {"personality", 0xffffffff, 0, {AIT_POLICY_ALLOW, 0}},
        {"personality", 0x40000, 0, {AIT_POLICY_ERRNO, ENOSYS}},
        {"clone", 0x11, 0, {AIT_POLICY_ALLOW, 0}},
        {"clone",
         0x10000011,
         0,
         {AIT_POLICY_ERRNO, ENOSYS}}, /* not by argument 1, nor by capability */
        {"clone3", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}},
        {"mount", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}},
        {"reboot", 0, 0, {AIT_POLICY_KILL, 0}},
        {"swapon", 0, 0, {AIT_POLICY_ERRNO, ENOSYS}},
    };
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    size_t size;
    char *text = read_file(profile, &size);

    if (oci_import(&policy, "container.json", text, size, &problem, NULL) < 0)
        fail_msg("%s", problem.message);
    free(text);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint64_t args[6] = {table[i].first, table[i].second};
        ait_policy_action got =
            ait_policy_evaluate(policy, ait_syscall_from_name(table[i].name), args);

        if (got.kind != table[i].wanted.kind ||
            (got.kind == AIT_POLICY_ERRNO && got.error != table[i].wanted.error))
            fail_msg("%s(%#llx): got %d/%d", table[i].name, (unsigned long long)table[i].first,
                     got.kind, got.error);
    }
}

/* ---- mistakes -------------------------------------------------------------------------------- */

#define ENTRY(entry)                                                                               \
    "{\"defaultAction\":\"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [], \"action\": "           \
    "\"SCMP_ACT_LOG\"}, " entry "]}"
#define NAMES(names, action, more)                                                                 \
    "{\"names\":[" names "],\"action\":\"SCMP_ACT_" action "\"" more "}"
#define ALLOW(call, more)         ENTRY(NAMES("\"" call "\"", "ALLOW", more))
#define ARGS(list)                ",\"args\":[" list "]"
#define ARG(index, value, op)     "{\"index\":" index ",\"value\":" value ",\"op\":" op "}"
#define CMP(index, value, op)     ARG(index, value, "\"SCMP_CMP_" op "\"")
#define MASKED(index, mask, same) CMP(index, mask ",\"valueTwo\":" same, "MASKED_EQ")
#define ONLY(when, what)          ",\"" when "\":{" what "}"

static const struct mistake {
    const char *text;
    const char *message; /* begins like this */
    const char *more;    /* and has this in it */
} mistakes[] = {
    /* the file */
    {"", "JSON: ", ""},
    {"{", "JSON: ", ""},
    {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"x\": \"\0\"}", "JSON: ", ""},
    {"[]", "an object", "defaultAction"},
    {"{}", "\"defaultAction\" is missing", ""},
    {"{\"defaultAction\": 3}", "/defaultAction: an action is expected", ""},
    {"{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n  \"syscals\": []}", "\"syscals\" is unknown",
     "is it \"syscalls\"?"},
    {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"Syscalls\": []}", "\"Syscalls\" is unknown",
     "is it \"syscalls\"?"},
    {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrno\": \"EPREM\"}",
     "/defaultErrno: an errno", ""},
    {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 0}",
     "/defaultErrnoRet: an errno", "without being made"},
    {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 5000}",
     "/defaultErrnoRet: ", "1 to 4095"},
    {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultAction\": \"SCMP_ACT_ALLOW\"}",
     "JSON: ", ""},
    {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": 1}", "/syscalls: an array", ""},
    {"{\"linux\": {\"seccomp\": {\"defaultAction\": 1}}}",
     "/linux/seccomp/defaultAction: an action", ""},
    {"{\"linux\": {\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [" NAMES(
         "\"socket\"", "ALLOW", ARGS(CMP("0", "4294967296", "EQ"))) "]}}}",
     "/linux/seccomp/syscalls/0: ", "32 bits"},

    /* names and action of an entry */
    {ENTRY("1"), "/syscalls/1: an object", ""},
    {ENTRY("{\"action\":\"SCMP_ACT_ALLOW\"}"), "/syscalls/1: \"names\"", ""},
    {ENTRY("{\"names\":[\"read\"]}"), "/syscalls/1: \"action\" is missing", ""},
    {ENTRY("{\"names\":[\"read\"],\"action\":\"ALLOW\"}"),
     "/syscalls/1/action: an action is expected", ""},
    {ENTRY(NAMES("\"read\"", "ALLOW", ",\"name\":\"write\"")), "/syscalls/1: there are both", ""},
    {ENTRY(NAMES("\"\"", "ALLOW", "")), "/syscalls/1/names/0: the name of a system call", ""},
    {ENTRY(NAMES("1", "ALLOW", "")), "/syscalls/1/names/0: the name of a system call", ""},

    /* one argument */
    {ALLOW("read", ARGS("{\"index\":0,\"op\":\"SCMP_CMP_EQ\"}")),
     "/syscalls/1/args/0: ", "\"value\""},
    {ALLOW("read", ARGS(CMP("6", "1", "EQ"))), "/syscalls/1/args/0: ", "0 to 5"},
    {ALLOW("read", ARGS(CMP("0", "-1", "EQ"))), "/syscalls/1/args/0/value: ", "2^63"},
    {ALLOW("read", ARGS(CMP("0", "\"1\"", "EQ"))), "/syscalls/1/args/0/value: ", "2^63"},
    {ALLOW("read", ARGS(ARG("0", "1", "\"EQ\""))), "/syscalls/1/args/0/op: ", "operator"},
    {ALLOW("read", ARGS(CMP("0", "9223372036854775808", "EQ"))), "JSON: too big integer", ""},
    {ALLOW("socket", ARGS(MASKED("0", "1099511627775", "4294967297"))), "/syscalls/1: ", ""},
    {ALLOW("socket", ARGS(CMP("0", "4294967296", "EQ"))), "/syscalls/1: ", "32 bits"},

    /* several */
    {ALLOW("socket", ARGS(CMP("0", "4294967296", "LT") "," CMP("1", "3", "LT"))),
     "/syscalls/1: ", "32 bits"},

    /* conditions */
    {ALLOW("read", ONLY("includes", "\"capz\":[]")), "/syscalls/1/includes: \"capz\"", ""},
    {ALLOW("mount", ONLY("includes", "\"caps\":\"CAP_SYS_ADMIN\"")),
     "/syscalls/1/includes/caps: an array of strings", ""},
    {ALLOW("mount", ONLY("includes", "\"caps\":[21]")), "/syscalls/1/includes/caps/0: a string",
     ""},
    {ALLOW("bpf", ONLY("excludes", "\"arches\":{}")),
     "/syscalls/1/excludes/arches: an array of strings", ""},
    {ALLOW("bpf", ONLY("includes", "\"minKernel\":99")),
     "/syscalls/1/includes/minKernel: ", "\"5.10\""},
    {ALLOW("bpf", ONLY("excludes", "\"minKernel\":\"new\"")),
     "/syscalls/1/excludes/minKernel: ", "\"5.10\""},

    /* two entries of one call */
    {ENTRY(NAMES("\"lseek\"", "ALLOW", ARGS(CMP("1", "1", "EQ"))) "," NAMES(
         "\"lseek\"", "LOG", ARGS(CMP("1", "1", "EQ")))),
     "/syscalls/2: conflicting: another entry gives lseek", ""},
    /* libseccomp 2.5 does not end with these */
    {ENTRY(NAMES("\"lseek\"", "ALLOW", ARGS(CMP("0", "9", "NE") "," CMP("1", "8", "NE"))) "," NAMES(
         "\"lseek\"", "ALLOW",
         ARGS(CMP("2", "0", "NE"))) "," NAMES("\"lseek\"", "LOG",
                                              ARGS(MASKED("2", "16", "16") "," CMP("0", "9",
                                                                                   "NE")))),
     "/syscalls/1: conflicting: entries of lseek", ""},
};

static void expect_mistake(const struct mistake *m)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    size_t size = strlen(m->text);
    int r = oci_import(&policy, "test.json", m->text, size, &problem, NULL);

    if (r >= 0 || policy)
        fail_msg("%s: was taken", m->text);
    if (problem.error != r || strncmp(problem.message, m->message, strlen(m->message)) != 0 ||
        !strstr(problem.message, m->more) || strcmp(problem.file, "test.json") != 0 ||
        (problem.line > 0) != (strncmp(problem.message, "JSON", 4) == 0))
        fail_msg("%s: got %d, %u:%u: %s", m->text, problem.error, problem.line, problem.column,
                 problem.message);
    assert_int_equal(oci_import(&policy, "test.json", m->text, size, NULL, NULL), r);
}

static void test_mistakes(void **unused)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        expect_mistake(&mistakes[i]);
}

/* Each beginning of a good file, and each file with one byte changed, is taken or refused, and
 * nothing else happens. */
static void test_damage(void **unused)
{
    size_t size;
    char *text = read_file(profile, &size);

    for (size_t i = 0; i < size; i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        bool cut = i % 2;
        char before = text[i];

        text[i] = (char)(chance() % 255 + 1);
        int r = oci_import(&policy, "test.json", text, cut ? i : size, &problem, NULL);
        text[i] = before;
        if (r < 0)
            assert_true(problem.error == r && problem.message[0]);
        else
            assert_non_null(policy);
        ait_policy_unref(policy);
    }
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_as_runtimes_read_it),
        cmocka_unit_test(test_what_cannot_be_said),
        cmocka_unit_test(test_orderings),
        cmocka_unit_test(test_profile),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_damage),
    };

    profile = argc > 1 ? argv[1] : "container.json";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
