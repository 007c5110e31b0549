/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Layers: what is included, what a file says itself, names and groups; what conflicts, and what
 * provably does not; what is remarked upon.
 */

#include <unistd.h>

#include "policy-check.h"
#include "policy/draft.h"

/* A file that includes another, written for each row. */
static char directory[] = "/tmp/policy-merge-XXXXXX";
static char below_path[64], above_path[64];

static int make_directory(void **unused)
{
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(below_path, sizeof(below_path), "%s/below", directory);
    (void)snprintf(above_path, sizeof(above_path), "%s/above", directory);
    return 0;
}

static int remove_directory(void **unused)
{
    (void)unlink(below_path);
    (void)unlink(above_path);
    return rmdir(directory);
}

static void put(const char *path, const char *before, const char *text)
{
    FILE *out = fopen(path, "we");

    assert_non_null(out);
    (void)fprintf(out, "policy 1\n%s%s", before, text);
    assert_int_equal(fclose(out), 0);
}

static int read_layers(const char *below, const char *above, ait_policy **ret,
                       ait_sandbox_problem *problem)
{
    put(below_path, "", below ? below : "");
    put(above_path, below ? "include below\n" : "\n", above);
    return ait_policy_from_file(ret, above_path, problem);
}

static const struct {
    const char *below; /* NULL: nothing is included */
    const char *above; /* from its line 3 on */
    struct call_row calls[5];
} layers[] = {
    /* In one file explicit names beat groups, whatever the order, and the later group wins. */
    {NULL, "read: kill\n@basic-io\n", {{"read", {0}, "kill"}, {"write", {0}, "allow"}}},
    {NULL, "@basic-io: log\nread: kill\n", {{"read", {0}, "kill"}, {"write", {0}, "log"}}},
    {NULL, "@basic-io: log\n@system-service: trap\n", {{"read", {0}, "trap"}}},
    {NULL,
     "@system-service: trap\n@basic-io: log\n",
     {{"read", {0}, "log"}, {"openat", {0}, "trap"}}},
    {NULL,
     "@system-service: trap\n!@basic-io\n",
     {{"read", {0}, "errno(EPERM)"}, {"openat", {0}, "trap"}}},
    {NULL, "!@basic-io\n@system-service: trap\n", {{"read", {0}, "trap"}}},
    {NULL, "!read\n@basic-io\n", {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}}},
    {NULL, "!@basic-io\nread\n", {{"read", {0}, "allow"}, {"write", {0}, "errno(EPERM)"}}},
    {NULL, "read\nread\nread: allow\n", {{"read", {0}, "allow"}}},
    {NULL, "read arg0 == 1: kill\n@basic-io: log\n", {{"read", {1}, "kill"}, {"read", {0}, "log"}}},
    /* What a file says stands above what it includes. */
    {"read\nwrite\n", "read: kill\n", {{"read", {0}, "kill"}, {"write", {0}, "allow"}}},
    /* A group opens what a group below has closed, but not what was closed by name; it closes both.
     */
    {"@basic-io: kill\n", "@basic-io\n", {{"read", {0}, "allow"}, {"write", {0}, "allow"}}},
    {"read: kill\n@basic-io: trap\n",
     "@basic-io\n",
     {{"read", {0}, "kill"}, {"write", {0}, "allow"}}},
    {"read: kill\n", "@basic-io\nread\n", {{"read", {0}, "allow"}, {"write", {0}, "allow"}}},
    {"read: kill\n",
     "!read\n@basic-io\n",
     {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}}},
    {"read\nwrite: log\n", "@basic-io: trap\n", {{"read", {0}, "trap"}, {"write", {0}, "trap"}}},
    {"personality: errno(EPERM)\npersonality arg0 == 0\n",
     "@system-service\n",
     {{"personality", {0}, "allow"}, {"personality", {1}, "errno(EPERM)"}}},
    {"read\nwrite\nopenat\n", "!read\n", {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}}},
    {"@system-service\n",
     "!@basic-io\nwrite\n",
     {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}, {"openat", {0}, "allow"}}},
    {"default kill\nread\n", "", {{"read", {0}, "allow"}, {"write", {0}, "kill"}}},
    {"default kill\nread\n", "default log\n!read\n", {{"read", {0}, "log"}, {"write", {0}, "log"}}},
    {"read: errno(EACCES)\n",
     "default allow\n",
     {{"read", {0}, "errno(EACCES)"}, {"write", {0}, "allow"}}},
    /* Unconditional replaces all; conditional comes before; '!' takes all away. */
    {"socket arg0 == 1: kill\nsocket\n",
     "socket: log\n",
     {{"socket", {1}, "log"}, {"socket", {2}, "log"}}},
    {"socket arg0 == 1: kill\nsocket\n",
     "socket arg0 == 2: trap\n",
     {{"socket", {1}, "kill"}, {"socket", {2}, "trap"}, {"socket", {3}, "allow"}}},
    {"socket arg0 == 1: kill\nsocket\n",
     "!socket\n",
     {{"socket", {1}, "errno(EPERM)"}, {"socket", {2}, "errno(EPERM)"}}},
    {"socket arg0 == 1: kill\nsocket\n",
     "socket arg0 == 2: trap\nsocket: log\n",
     {{"socket", {1}, "log"}, {"socket", {2}, "trap"}, {"socket", {3}, "log"}}},
    /* What covers a rule below takes its place, and needs to exclude nothing. */
    {"socket arg0 == 1: kill\n",
     "socket arg0 == 1\n",
     {{"socket", {1}, "allow"}, {"socket", {2}, "errno(EPERM)"}}},
    {"socket arg0 == 1 && arg1 == 2: kill\n", "socket arg0 == 1\n", {{"socket", {1, 2}, "allow"}}},
    {"socket arg0 & 0xff == 0x11: kill\n",
     "socket arg0 & 0xf == 1\n",
     {{"socket", {0x11}, "allow"}, {"socket", {0x21}, "allow"}}},
    /* A group neither loosens what is said of arguments below it, nor leaves there what it denies.
     */
    {"socket arg0 == 1: kill\nsocket\n",
     "@network-io: log\n",
     {{"socket", {1}, "kill"}, {"socket", {2}, "log"}}},
    {"socket arg0 == 1\n",
     "@network-io: errno(EACCES)\n",
     {{"socket", {1}, "errno(EACCES)"}, {"socket", {2}, "errno(EACCES)"}}},
    {"socket arg0 == 1: kill\n", "!@network-io\n", {{"socket", {1}, "errno(EPERM)"}}},
    {"socket arg0 == 1: kill\n",
     "!@network-io\n@network-io\n",
     {{"socket", {1}, "kill"}, {"socket", {2}, "allow"}}},
};

static void test_layers(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(layers); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        char what[32];
        size_t n = 0;
        if (read_layers(layers[i].below, layers[i].above, &policy, &problem) < 0)
            fail_msg("row %zu: %s:%u: %s", i, problem.file, problem.line, problem.message);
        while (n < ELEMENTS(layers[i].calls) && layers[i].calls[n].name)
            n++;
        (void)snprintf(what, sizeof(what), "layers %zu", i);
        check_calls(what, policy, layers[i].calls, n);
        ait_policy_unref(policy);
    }
}

static const struct {
    const char *below;
    const char *above; /* from its line 3 on */
    unsigned line;
    const char *message[2];
} conflicts[] = {
    {NULL, "read\nread: kill\n", 4, {"conflicting: line 3 gives read another action", ""}},
    {NULL, "read: errno(EPERM)\nread: errno(EACCES)\n", 4, {"conflicting: line 3", ""}},
    {NULL, "!read\n@basic-io\nread\n", 5, {"both '!read' and a rule for read", "line 3"}},
    {NULL, "read arg0 == 1\n!read\n", 3, {"both '!read' and a rule for read", "line 4"}},
    {NULL,
     "socket arg0 == 1\nsocket arg1 == 1: kill\n",
     4,
     {"conflicting: a call of socket", "line 3"}},
    {NULL, "socket arg0 == 1\nsocket arg0 != 2: kill\n", 4, {"conflicting", "line 3"}},
    {NULL, "socket arg0 & 3 == 1\nsocket arg0 & 12 == 4: kill\n", 4, {"conflicting", "line 3"}},
    {NULL, "socket arg0 & 3 != 0\nsocket arg0 & 4 == 4: kill\n", 4, {"conflicting", "line 3"}},
    {NULL, "brk arg0 > 5\nbrk arg0 & 1 == 0: kill\n", 4, {"conflicting", "line 3"}},
    {NULL, "socket arg0 == 1\nsocket arg0 == 1: kill\n", 4, {"conflicting", "line 3"}},
    {NULL,
     "brk arg0 > 5 && arg0 < 10\n",
     3,
     {"a second comparison by <", "only one per system call"}},
    {NULL, "brk arg0 > 5\nbrk arg1 > 5\n", 4, {"a second comparison", "line 3"}},
    {NULL, "close arg0 > 5\nclose arg0 < 3: kill\n", 4, {"conflicting", ""}},
    {"socket arg0 == 1: kill\n", "socket arg1 == 1\n", 3, {"conflicting", "below 2"}},
    {"brk arg0 > 5\n", "brk arg1 > 5\n", 2, {"a second comparison", "above 3"}},
};

static void test_conflicts(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(conflicts); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        int r = read_layers(conflicts[i].below, conflicts[i].above, &policy, &problem);
        if (r != -EINVAL || problem.line != conflicts[i].line ||
            !strstr(problem.message, conflicts[i].message[0]) ||
            !strstr(problem.message, conflicts[i].message[1]))
            fail_msg("row %zu: %d %s:%u:%u: %s", i, r, problem.file, problem.line, problem.column,
                     problem.message);
    }
}

/* Different actions whose conditions exclude each other, provably. */
static const char *const disjoint[] = {
    "socket arg0 == 1\nsocket arg0 == 2: kill\n",
    "socket arg0 == 1 && arg1 == 5\nsocket arg1 == 6: kill\n",
    "socket arg0 & 3 == 1\nsocket arg0 & 6 == 6: kill\n" /* bit 1 */,
    "socket arg0 == 1\nsocket arg0 != 1: kill\n",
    "socket arg0 & 1 != 0\nsocket arg0 & 1 != 1: kill\n",
    "socket arg0 & 7 == 0\nsocket arg0 & 3 != 0: kill\n",
    "brk arg0 == 3\nbrk arg0 > 5: kill\n",
    "brk arg0 & 0xff == 3\nbrk arg0 & 0xf > 5: kill\n",
};

static void test_disjoint(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(disjoint); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        if (read_layers(NULL, disjoint[i], &policy, &problem) < 0)
            fail_msg("row %zu: %s", i, problem.message);
        ait_policy_unref(policy);
    }
}

/* ---- the proofs, against trying all ---------------------------------------------------------- */

#define BITS 4

static ait_policy_compare small_compare(unsigned code)
{
    return (ait_policy_compare){
        .op = (uint8_t)(code % 6), .mask = code / 6 % (1 << BITS), .value = code / 6 / (1 << BITS)};
}

#define SMALL_COMPARES (6u << (2 * BITS))

static bool small_holds(const ait_policy_compare *c, uint64_t x)
{
    uint64_t args[6] = {x};

    return policy_compare_holds(c, args);
}

/* Over arguments of four bits what is said never and always to hold does so, and there is nothing
 * else. */
static void test_never_and_always(void **unused)
{
    for (unsigned code = 0; code < SMALL_COMPARES; code++) {
        ait_policy_compare c = small_compare(code);
        unsigned n = 0;
        for (uint64_t x = 0; x < 1 << BITS; x++)
            n += small_holds(&c, x);
        bool never = compare_never(&c), always = compare_always(&c);
        if (c.mask == 0 && c.value == 0 && (never || always))
            continue;
        if (never != (n == 0) || always != (n == 1 << BITS))
            fail_msg("op %u mask %#x value %#x holds for %u", c.op, (unsigned)c.mask,
                     (unsigned)c.value, n);
    }
}

/* The parser refuses it. */
static bool is_idle(const ait_policy_compare *c)
{
    return compare_never(c) || compare_always(c);
}

static void test_contradictions(void **unused)
{
    unsigned n_proven = 0, n_true = 0;

    for (unsigned a = 0; a < SMALL_COMPARES; a++)
        for (unsigned b = a; b < SMALL_COMPARES; b += 7) {
            ait_policy_compare x = small_compare(a), y = small_compare(b);
            bool both = false;
            if (is_idle(&x) || is_idle(&y) || (compare_is_ordering(&x) && compare_is_ordering(&y)))
                continue;
            for (uint64_t v = 0; v < 1 << BITS && !both; v++)
                both = small_holds(&x, v) && small_holds(&y, v);
            bool proven = compare_contradicts(&x, &y);
            if (proven != compare_contradicts(&y, &x) || (proven && both))
                fail_msg("op %u mask %#x value %#x and op %u mask %#x value %#x", x.op,
                         (unsigned)x.mask, (unsigned)x.value, y.op, (unsigned)y.mask,
                         (unsigned)y.value);
            n_proven += proven;
            n_true += !both;
        }
    print_message("%u of %u contradictions are proven\n", n_proven, n_true);
    assert_true(n_proven > n_true / 2);
}

static void test_covers(void **unused)
{
    unsigned n_proven = 0;

    for (unsigned a = 0; a < SMALL_COMPARES; a++)
        for (unsigned b = a % 5; b < SMALL_COMPARES; b += 5) {
            struct draft_rule x = {.n_compares = 1, .compares = {small_compare(a)}};
            struct draft_rule y = {.n_compares = 1, .compares = {small_compare(b)}};
            if (is_idle(&x.compares[0]) || is_idle(&y.compares[0]) || !rule_covers(&x, &y))
                continue;
            n_proven++;
            for (uint64_t v = 0; v < 1 << BITS; v++)
                if (small_holds(&y.compares[0], v) && !small_holds(&x.compares[0], v))
                    fail_msg("compares %u and %u, for %u", a, b, (unsigned)v);
        }
    assert_true(n_proven > 1000);
}

/* ---- remarks --------------------------------------------------------------------------------- */

static int append_note(const ait_sandbox_problem *note, void *userdata)
{
    char *notes = userdata;
    size_t n = strlen(notes);

    (void)snprintf(notes + n, 4096 - n, "%u:%u: %s\n", note->line, note->column, note->message);
    return 0;
}

static void test_notes(void **unused)
{
    static const struct {
        const char *text;
        const char *note; /* NULL: none at all */
    } rows[] = {
        {P "include service\n", NULL},
        {P "read\nwaitpid\n", "3:1: this architecture has no system call waitpid"},
        {P "default allow\nopenat: kill\n", "openat2"},
        {P "default allow\nexecve: kill\n", "3:1: execve is denied"},
        {P "default allow\nexecve: kill\nexecveat: kill\n", NULL},
        {P "openat: kill\n", NULL},
        {P "default allow\nunshare arg0 & CLONE_NEWUSER != 0: kill\n", "setns"},
        {P "include strict\nprlimit64: kill\n", NULL},
        {P "include service\nioctl\n", "3:1: ioctl is allowed with any arguments"},
        {P "include service\nioctl: kill\n", NULL},
        {P "include service\nioctl arg1 == TIOCGWINSZ\n", NULL},
    };

    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        char notes[4096] = "";
        ait_policy *policy = parse(rows[i].text);
        assert_int_equal(ait_policy_foreach_note(policy, append_note, notes), 0);
        if (rows[i].note ? !strstr(notes, rows[i].note) : *notes)
            fail_msg("row %zu: %s", i, notes);
        ait_policy_unref(policy);
    }
    assert_int_equal(ait_policy_foreach_note(NULL, append_note, NULL), -EINVAL);
}

/* Those of an importer are copies, and come last. */
static void test_added_notes(void **unused)
{
    ait_sandbox_problem note = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = parse(P "waitpid\n");
    char notes[4096] = "";

    (void)snprintf(note.message, sizeof(note.message), "added");
    note.line = 7;
    assert_int_equal(ait_policy_add_note(policy, &note), 0);
    (void)snprintf(note.message, sizeof(note.message), "changed");
    assert_int_equal(ait_policy_foreach_note(policy, append_note, notes), 0);
    const char *last = strchr(notes, '\n');
    assert_non_null(last);
    assert_string_equal(last + 1, "7:0: added\n");
    assert_int_equal(ait_policy_add_note(NULL, &note), -EINVAL);
    assert_int_equal(ait_policy_add_note(policy, NULL), -EINVAL);
    note.size = 3;
    assert_int_equal(ait_policy_add_note(policy, &note), -EINVAL);
    ait_policy_unref(policy);
}

static int count_rules(const ait_policy_rule *rule, void *userdata)
{
    unsigned *n = userdata;

    assert_int_equal(rule->size, sizeof(*rule));
    assert_string_equal(rule->name, ait_syscall_name(rule->number));
    n[rule->n_compares > 0]++;
    return 0;
}

static int stop(const ait_policy_rule *rule, void *userdata)
{
    return 5;
}

/* What says no more than would hold anyway is not kept: no rule has the action of its call's rest.
 */
static void test_rules(void **unused)
{
    ait_policy *policy =
        parse(P "read\nwrite: errno(EPERM)\nsocket arg0 == 1\nsocket arg0 == 2: kill\n"
                "ioctl arg1 == 1: errno(EPERM)\n@clock: errno(EPERM)\n");
    unsigned n[2] = {0};

    assert_int_equal(ait_policy_foreach_rule(policy, count_rules, n), 0);
    assert_int_equal(n[0], 1);
    assert_int_equal(n[1], 2);
    assert_int_equal(ait_policy_foreach_rule(policy, stop, n), 5);
    assert_int_equal(ait_policy_foreach_rule(NULL, stop, n), -EINVAL);
    assert_ptr_equal(ait_policy_ref(policy), policy);
    assert_null(ait_policy_unref(policy));
    assert_null(ait_policy_unref(policy));
    assert_null(ait_policy_unref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),         cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_disjoint),       cmocka_unit_test(test_never_and_always),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_covers),
        cmocka_unit_test(test_notes),          cmocka_unit_test(test_added_notes),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
