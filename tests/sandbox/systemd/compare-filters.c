/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * compare-filters ROOT FILTERS: the policies of unit files against what systemd made of them.
 *
 * ROOT has the unit files in the folders of a system, and FILTERS what filter-tap has written for
 * each. The policy of a unit is compiled, and compared with systemd's programs for each number that
 * either knows and all arguments. For other architectures and numbers ours must deny.
 *
 * Units probe-NAME.service deny or allow one group each, probe-names.service denies calls by their
 * names. From them it learns which calls this systemd has in other groups, where a policy may be
 * stricter, and which it does not know by name, where all is expected. Other expected differences
 * are those that the manual page tells: errno 0, and what systemd 257 does by other means.
 *
 * The exit status is 1 if a policy is looser or stricter than systemd in any other call.
 */

#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bpf-equivalent.h"
#include "filter/compile.h"
#include "policy/model.h"

#define PROGRAMS_MAX 256
#define SHOWN_MAX    60
#define SHOWN_A_UNIT 3
/* systemd.exec(5): its own reasons for an exit; EXIT_EXEC comes after the filters. */
#define EXIT_FIRST   200
#define EXIT_EXEC    203
#define EXIT_LAST    245

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "which architecture is this?"
#endif

struct stack {
    uint32_t status;
    struct bpf_stack stack;
    struct bpf_program programs[PROGRAMS_MAX];
    struct sock_filter *code[PROGRAMS_MAX];
};

static struct {
    unsigned units, refused, not_started, same, differ, unfiltered;
    unsigned looser, stricter, other, expected, shown;
} total;

/* What this systemd knows about a call. */
static bool unknown[SYSCALL_NEWEST + 1];           /* not its name */
static bool differs_in_groups[SYSCALL_NEWEST + 1]; /* others are in the same ones */
static bool is_obsolete[SYSCALL_NEWEST + 1];
static bool locks_memory_by_prctl; /* MemoryDenyWriteExecute= makes no filter */

struct comparison {
    const char *unit;
    struct bpf_stack ours;
    unsigned differences;
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "compare-filters: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    exit(2);
}

/* ---- what systemd has made of it ------------------------------------------------------------- */

static void get(FILE *f, void *data, size_t n, const char *path)
{
    if (fread(data, 1, n, f) != n)
        die("%s is not complete", path);
}

static void stack_read(const char *folder, const char *unit, struct stack *ret)
{
    char path[4096];
    uint32_t head[2];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, unit);
    FILE *f = fopen(path, "re");
    if (!f)
        die("%s: %s", path, strerror(errno));
    get(f, head, sizeof(head), path);
    *ret = (struct stack){.status = head[0], .stack = {ret->programs, head[1]}};
    for (uint32_t i = 0, n; i < head[1] && i < PROGRAMS_MAX; i++) {
        get(f, &n, sizeof(n), path);
        ret->code[i] = calloc(n, sizeof(struct sock_filter));
        get(f, ret->code[i], n * sizeof(struct sock_filter), path);
        ret->programs[i] = (struct bpf_program){ret->code[i], n};
    }
    (void)fclose(f);
}

static void stack_done(struct stack *stack)
{
    for (size_t i = 0; i < stack->stack.n; i++)
        free(stack->code[i]);
}

/* ---- differences ----------------------------------------------------------------------------- */

static unsigned strictness(uint32_t answer)
{
    switch (answer & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
        return 0;
    case SECCOMP_RET_LOG:
        return 1;
    case SECCOMP_RET_ERRNO:
        return 2;
    default:
        return 3;
    }
}

static const char *text_of(uint32_t answer, char text[static 32])
{
    static const char *const names[] = {"allowed", "logged", NULL, "killed"};
    const char *name = names[strictness(answer)];

    (void)snprintf(text, 32, name ? name : "errno %u", answer & SECCOMP_RET_DATA);
    return text;
}

static void show(const struct comparison *c, const char *how, const struct seccomp_data *data,
                 uint32_t ours, uint32_t theirs)
{
    const char *name = ait_syscall_name(data->nr);
    char a[32], b[32];

    if (c->differences <= SHOWN_A_UNIT && total.shown++ < SHOWN_MAX)
        printf("%s: %s: %s(%#llx, %#llx, %#llx, %#llx), number %d: %s, by systemd %s\n", c->unit,
               how, name ? name : "?", (unsigned long long)data->args[0],
               (unsigned long long)data->args[1], (unsigned long long)data->args[2],
               (unsigned long long)data->args[3], data->nr, text_of(ours, a), text_of(theirs, b));
}

static bool is_of_memory(int number)
{
    static const char *const names[] = {"mmap", "mprotect", "pkey_mprotect", "shmat"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (ait_syscall_from_name(names[i]) == number)
            return true;
    return false;
}

/* Differences that the manual page tells. */
static bool is_expected(int number, uint32_t ours, uint32_t theirs)
{
    if (unknown[number])
        return true;
    if (differs_in_groups[number] &&
        (strictness(ours) >= 2 || strictness(ours) > strictness(theirs)))
        return true;
    if (strictness(ours) < strictness(theirs))
        return false;
    if (theirs == SECCOMP_RET_ERRNO && strictness(ours) == 2)
        return true;
    if (theirs == (SECCOMP_RET_ERRNO | ENOSYS) && is_obsolete[number])
        return true;
    return locks_memory_by_prctl && is_of_memory(number) && ours == (SECCOMP_RET_ERRNO | EPERM) &&
           strictness(theirs) < 2;
}

static int differ(const struct seccomp_data *data, uint32_t ours, uint32_t theirs, void *userdata)
{
    struct comparison *c = userdata;

    if (is_expected(data->nr, ours, theirs)) {
        total.expected++;
        return 1;
    }
    c->differences++;
    if (strictness(ours) < strictness(theirs)) {
        total.looser++;
        show(c, "looser", data, ours, theirs);
    } else if (strictness(ours) > strictness(theirs)) {
        total.stricter++;
        show(c, "stricter", data, ours, theirs);
    } else {
        total.other++;
        show(c, "another errno", data, ours, theirs);
    }
    return 1;
}

/* What systemd allows or denies elsewhere, we deny. */
static int must_deny(const struct seccomp_data *data, uint32_t ours, uint32_t theirs,
                     void *userdata)
{
    struct comparison *c = userdata;

    if (strictness(ours) < 2) {
        c->differences++;
        total.looser++;
        show(c, "unknown, but allowed", data, ours, theirs);
    }
    return 1;
}

static void check(int r, const char *unit, uint32_t number)
{
    if (r < 0)
        die("%s: call %u cannot be compared: %s", unit, number, strerror(-r));
}

static void compare(struct comparison *c, struct bpf_stack theirs)
{
    static const uint32_t elsewhere[] = {SYSCALL_NEWEST + 1, 1000,       0x3fffffff,
                                         0x40000000,         0x40000001, 0x40000208,
                                         0x7fffffff,         0x80000000, UINT32_MAX};

    for (uint32_t i = 0; i <= SYSCALL_NEWEST; i++) {
        uint64_t masks[6];
        for (unsigned arg = 0; arg < 6; arg++)
            masks[arg] = syscall_argument_mask((int)i, arg);
        if (ait_syscall_name((int)i))
            check(bpf_compare_stacks(c->ours, theirs, ARCH, i, masks, differ, c), c->unit, i);
    }
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
        check(bpf_compare_stacks(c->ours, theirs, ARCH, elsewhere[i], NULL, must_deny, c), c->unit,
              elsewhere[i]);
    for (uint32_t i = 0; i <= SYSCALL_NEWEST; i++)
        check(bpf_compare_stacks(c->ours, theirs, AUDIT_ARCH_I386, i, NULL, must_deny, c), c->unit,
              i);
}

/* ---- units ----------------------------------------------------------------------------------- */

static ait_policy *load(const char *root, const char *unit, ait_sandbox_problem *problem)
{
    ait_policy *policy = NULL;
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/etc/systemd/system/%s", root, unit);
    if (access(path, F_OK) < 0)
        (void)snprintf(path, sizeof(path), "%s/usr/lib/systemd/system/%s", root, unit);
    int r = ait_policy_load(&policy, path, AIT_POLICY_FORMAT_SYSTEMD, NULL, NULL, problem);
    if (r < 0 && r != -EINVAL)
        die("%s: %s", path, problem->message);
    return policy;
}

static void compare_policy(const char *unit, const ait_policy *policy, struct stack *theirs)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    struct sandbox_filter filter = {0};

    if (filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, 0, &filter, &problem) < 0)
        die("%s: %s", unit, problem.message);
    struct bpf_program programs[] = {{filter.program, filter.n}, {filter.quiet, filter.n_quiet}};
    struct comparison c = {unit, {programs, filter.quiet ? 2 : 1}, 0};
    compare(&c, theirs->stack);
    *(c.differences ? &total.differ : &total.same) += 1;
    filter_done(&filter);
}

static bool is_started(const struct stack *stack)
{
    int status = (int)stack->status, code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    /* systemd 257 aborts before it loads some lists that allow next to nothing. */
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        return false;
    return code < EXIT_FIRST || code > EXIT_LAST || code == EXIT_EXEC;
}

static void compare_unit(const char *root, const char *filters, const char *unit)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    struct stack theirs;
    ait_policy *policy = load(root, unit, &problem);

    stack_read(filters, unit, &theirs);
    total.units++;
    if (!is_started(&theirs))
        total.not_started++;
    else if (!policy && theirs.stack.n > 0) {
        total.refused++;
        if (total.shown++ < SHOWN_MAX)
            printf("%s: refused: line %u: %s\n", unit, problem.line, problem.message);
    } else if (!policy)
        total.unfiltered++;
    else
        compare_policy(unit, policy, &theirs);
    stack_done(&theirs);
    (void)ait_policy_unref(policy);
}

/* ---- probes ---------------------------------------------------------------------------------- */

static int note_answer(const struct seccomp_data *data, uint32_t ours, uint32_t theirs,
                       void *userdata)
{
    bool *denied = userdata;

    (void)data;
    (void)ours;
    *denied = strictness(theirs) > 0;
    return 1;
}

static bool denies(struct bpf_stack stack, int number, const char *unit)
{
    bool denied = false;

    check(bpf_compare_stacks((struct bpf_stack){0}, stack, ARCH, (uint32_t)number, NULL,
                             note_answer, &denied),
          unit, (uint32_t)number);
    return denied;
}

/* probe-names denies the calls of the tests, probe-allow-GROUP allows a group, the others deny one.
 */
static void learn_calls(const char *unit, const ait_policy *policy, const struct stack *theirs)
{
    const uint64_t none[6] = {0};
    bool names = !strcmp(unit, "probe-names.service"),
         obsolete = !strcmp(unit, "probe-obsolete.service");
    char list[2][4096] = {"", ""};

    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        const char *name = ait_syscall_name(i);
        if (!name)
            continue;
        bool ours = ait_policy_action_is_denial(ait_policy_evaluate(policy, i, none));
        bool differ = ours != denies(theirs->stack, i, unit);
        size_t n = strlen(list[ours]);
        if (differ)
            (void)snprintf(list[ours] + n, sizeof(list[ours]) - n, " %s", name);
        *(names ? &unknown[i] : &differs_in_groups[i]) |= differ;
        is_obsolete[i] |= ours && obsolete;
    }
    for (int ours = 0; ours < 2; ours++)
        if (*list[ours])
            printf("%.*s: denied only %s:%s\n", (int)strcspn(unit + 6, "."), unit + 6,
                   ours ? "here" : "by systemd", list[ours]);
}

static void learn(const char *root, const char *filters, const char *unit)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    struct stack theirs;
    ait_policy *policy = load(root, unit, &problem);

    if (!policy)
        die("%s: %s", unit, problem.message);
    stack_read(filters, unit, &theirs);
    if (!strcmp(unit, "probe-memory.service"))
        locks_memory_by_prctl = theirs.stack.n == 0;
    else
        learn_calls(unit, policy, &theirs);
    stack_done(&theirs);
    (void)ait_policy_unref(policy);
}

/* ---- main ------------------------------------------------------------------------------------ */

static int is_unit(const struct dirent *entry)
{
    return strlen(entry->d_name) > 8 &&
           !strcmp(entry->d_name + strlen(entry->d_name) - 8, ".service");
}

int main(int argc, char **argv)
{
    struct dirent **entries;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: compare-filters ROOT FILTERS\n");
        return 2;
    }
    int n = scandir(argv[2], &entries, is_unit, alphasort);
    for (int i = 0; i < n; i++)
        if (!strncmp(entries[i]->d_name, "probe-", 6))
            learn(argv[1], argv[2], entries[i]->d_name);
    for (int i = 0; i < n; i++) {
        if (!strncmp(entries[i]->d_name, "test-", 5))
            compare_unit(argv[1], argv[2], entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    printf("%u units: %u the same, %u different, %u without filters, %u refused here, %u not "
           "started by systemd; looser in %u places, stricter in %u, another errno in %u; %u "
           "expected differences\n",
           total.units, total.same, total.differ, total.unfiltered, total.refused,
           total.not_started, total.looser, total.stricter, total.other, total.expected);
    return total.units == 0 || total.differ > 0;
}
