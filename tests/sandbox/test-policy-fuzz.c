/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Texts mutated from right ones, for about three seconds: each is read or refused with a place in
 * it, and nothing is read outside of it, leaked or left undefined (which the sanitizers watch).
 * AIT_FUZZ_SECONDS runs longer, AIT_FUZZ_SEED begins elsewhere; what fails is printed with its
 * seed.
 */

#include "policy-check.h"
#include "policy-draw.h"

#define ORDINARY_MS 1400 /* for each of two */
#define GROWTH_MAX  64
#define MUTATIONS   3

static const char *const words[] = {
    "&&",
    "||",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&",
    "|",
    "(",
    ")",
    ":",
    "!",
    "@",
    "\"",
    "#",
    "\n",
    " ",
    "-",
    "arg0",
    "arg5",
    "arg9",
    "allow",
    "errno(",
    "EPERM",
    "0x",
    "18446744073709551615",
    "0xffffffffffffffff",
    "policy 1\n",
    "include service\n",
    "include \"",
    "default ",
    "@known",
    "@system-service",
    "socket",
    "clone",
    "AF_INET",
    "CLONE_NEWUSER",
    "\\\n",
    "SystemCallFilter=",
    "~",
    "SystemCallErrorNumber=",
    ":kill",
    "\r",
    "\t",
};

#define SEED_NAMES                                                                                 \
    (P "include service\n"                                                                         \
       "socket arg0 == AF_INET && arg1 & 0xf == SOCK_RAW: errno(EACCES)\n"                         \
       "!ptrace\n"                                                                                 \
       "@clock: kill\n")
#define SEED_VALUES                                                                                \
    (P "default allow\n"                                                                           \
       "clone arg0 & (CLONE_NEWUSER|CLONE_NEWNET) != 0: trap\n"                                    \
       "brk arg0 >= 0x100: log # why\n")
#define SEED_UNIT                                                                                  \
    ("[Service]\n"                                                                                 \
     "SystemCallFilter=@system-service \\\n"                                                       \
     " ~read\n"                                                                                    \
     "SystemCallFilter=~@resources:EACCES\n"                                                       \
     "SystemCallErrorNumber=EPERM\n")

static const char *const seeds[] = {SEED_NAMES, SEED_VALUES, SEED_UNIT};

struct buffer {
    char *text;
    size_t n;
    size_t size;
};

static void splice(struct buffer *b, size_t at, size_t n_cut, const char *with, size_t n_with)
{
    if (n_cut > b->n - at)
        n_cut = b->n - at;
    if (b->n - n_cut + n_with > b->size)
        return;
    memmove(b->text + at + n_with, b->text + at + n_cut, b->n - at - n_cut);
    memcpy(b->text + at, with, n_with);
    b->n += n_with - n_cut;
}

static void mutate(struct draw *draw, struct buffer *b)
{
    size_t at = draw_below(draw, b->n + 1), other = draw_below(draw, b->n + 1);
    char byte = (char)draw_below(draw, 256);
    const char *word = words[draw_below(draw, ELEMENTS(words))];
    char copy[GROWTH_MAX];
    size_t n = b->n - other < sizeof(copy) ? b->n - other : sizeof(copy);

    switch (draw_below(draw, 6)) {
    case 0:
        splice(b, at, 1, &byte, 1);
        break;
    case 1:
        splice(b, at, draw_below(draw, 12), "", 0);
        break;
    case 2:
        memcpy(copy, b->text + other, n);
        splice(b, at, 0, copy, n);
        break;
    case 3:
        if (at < b->n)
            b->text[at] ^= (char)(1 << draw_below(draw, 8));
        break;
    default:
        splice(b, at, draw_below(draw, 4), word, strlen(word));
    }
}

static char *draw_mutant(struct draw *draw, size_t *ret_length)
{
    struct buffer b = {0};
    size_t n;
    char *drawn = draw_below(draw, 2) ? draw_text(draw, &n) : NULL;
    const char *from = drawn ? drawn : seeds[draw_below(draw, ELEMENTS(seeds))];

    b.n = strlen(from);
    b.size = b.n + (size_t)MUTATIONS * GROWTH_MAX;
    b.text = malloc(b.size);
    assert_non_null(b.text);
    memcpy(b.text, from, b.n);
    free(drawn);
    for (uint64_t i = 1 + draw_below(draw, MUTATIONS); i > 0; i--)
        mutate(draw, &b);
    /* Of exactly its length, so that the sanitizer sees the first byte behind it. */
    char *exact = malloc(b.n ? b.n : 1);
    assert_non_null(exact);
    memcpy(exact, b.text, b.n);
    free(b.text);
    *ret_length = b.n;
    return exact;
}

static unsigned count_lines(const char *text, size_t n)
{
    unsigned lines = 1;

    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

static bool is_sane(int r, const ait_sandbox_problem *problem, const char *text, size_t n)
{
    static const int errors[] = {-EINVAL, -E2BIG,  -ENOENT,  -ELOOP,
                                 -EISDIR, -EACCES, -ENOTDIR, -ENAMETOOLONG};
    bool known = r >= 0;

    for (size_t i = 0; i < ELEMENTS(errors); i++)
        known |= r == errors[i];
    if (r >= 0 || !known)
        return known;
    bool is_here = !strcmp(problem->file, "text");
    return problem->error == r && *problem->message && *problem->file &&
           (!is_here || problem->line <= count_lines(text, n));
}

static void write_out(const ait_policy *policy, uint64_t seed)
{
    size_t n;
    char *native = written(policy, AIT_POLICY_FORMAT_NATIVE, &n);
    ait_policy *again = NULL;

    if (ait_policy_from_text(&again, "again", native, n, NULL) < 0 || !policy_equal(policy, again))
        fail_msg("AIT_FUZZ_SEED=%#llx: what is written is not read as it was",
                 (unsigned long long)seed);
    ait_policy_unref(again);
    free(native);
}

static int read_native(ait_policy **ret, const char *text, size_t n, ait_sandbox_problem *problem)
{
    return ait_policy_from_text(ret, "text", text, n, problem);
}

static int read_systemd(ait_policy **ret, const char *text, size_t n, ait_sandbox_problem *problem)
{
    char *terminated = malloc(n + 1);

    assert_non_null(terminated);
    memcpy(terminated, text, n);
    terminated[n] = 0;
    int r = ait_policy_from_systemd(ret, "text", terminated, problem);
    free(terminated);
    return r;
}

static void fuzz(int (*read)(ait_policy **, const char *, size_t, ait_sandbox_problem *))
{
    uint64_t end = now_milliseconds() + fuzz_milliseconds(ORDINARY_MS), seed = fuzz_seed(1);
    unsigned n_right = 0, n_all = 0;

    /* A slow machine takes as long as it needs for one of either kind. */
    for (; now_milliseconds() < end || n_right == 0 || n_right == n_all; seed++, n_all++) {
        struct draw draw = {seed};
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        size_t n;
        char *text = draw_mutant(&draw, &n);
        int r = read(&policy, text, n, &problem);
        if (!is_sane(r, &problem, text, n) || (r < 0) != !policy)
            fail_msg("AIT_FUZZ_SEED=%#llx: %d %s:%u:%u: %s\n%.*s", (unsigned long long)seed, r,
                     problem.file, problem.line, problem.column, problem.message, (int)n, text);
        if (policy)
            write_out(policy, seed);
        n_right += policy != NULL;
        ait_policy_unref(policy);
        free(text);
    }
    print_message("%u texts, %u of them right, seeds up to %#llx\n", n_all, n_right,
                  (unsigned long long)seed);
}

static void test_native(void **unused)
{
    fuzz(read_native);
}

static void test_systemd(void **unused)
{
    fuzz(read_systemd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_native),
                                       cmocka_unit_test(test_systemd)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
