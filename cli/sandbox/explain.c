/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aiotools-sd sandbox explain: shows the sandbox of a running process, as far as the kernel reports
 * it.
 */
#include "subcommands.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "architecture.h"
#include "proc.h"
#include "config/capabilities.h"
#include "config/parse.h"
#include "filters.h"
#include "view.h"

#define STATUS_FAILED 1
#define X32_BIT       0x40000000
#define ANSWERS_MAX   64

/* ---- /proc/PID/status ------------------------------------------------------------------------ */

enum capability_set { EFFECTIVE, PERMITTED, INHERITABLE, BOUNDING, AMBIENT, N_SETS };

struct state {
    char name[64];
    unsigned user;
    long tracer;
    unsigned threads;
    unsigned mode;    /* of seccomp */
    unsigned filters; /* also 0 if the kernel does not report it (before 5.9) */
    bool filters_known;
    bool no_new_privs;
    uint64_t sets[N_SETS];
};

static unsigned long number(const char *status, const char *name)
{
    char value[32] = "";

    return proc_status_value(status, name, value, sizeof(value)) ? strtoul(value, NULL, 10) : 0;
}

static int read_state(pid_t pid, struct state *ret)
{
    static const char *const sets[N_SETS] = {[EFFECTIVE] = "CapEff",
                                             [PERMITTED] = "CapPrm",
                                             [INHERITABLE] = "CapInh",
                                             [BOUNDING] = "CapBnd",
                                             [AMBIENT] = "CapAmb"};
    char *status, value[32];
    int r = proc_read_status(pid, &status);

    if (r < 0)
        return r;
    *ret = (struct state){
        .user = (unsigned)number(status, "Uid"),
        .tracer = (long)number(status, "TracerPid"),
        .threads = (unsigned)number(status, "Threads"),
        .mode = (unsigned)number(status, "Seccomp"),
        .filters = (unsigned)number(status, "Seccomp_filters"),
        .filters_known = proc_status_value(status, "Seccomp_filters", value, sizeof(value)),
        .no_new_privs = number(status, "NoNewPrivs") == 1,
    };
    (void)proc_status_value(status, "Name", ret->name, sizeof(ret->name));
    for (int i = 0; i < N_SETS; i++)
        if (proc_status_value(status, sets[i], value, sizeof(value)))
            ret->sets[i] = strtoull(value, NULL, 16);
    free(status);
    return 0;
}

/* ---- what it has ----------------------------------------------------------------------------- */

static void print_capabilities(const char *what, uint64_t set)
{
    const unsigned n = capability_count();
    const uint64_t all = UINT64_MAX >> (64 - n);
    bool but = __builtin_popcountll(set & all) > (int)n / 2;
    char name[CAPABILITY_NAME_SIZE];
    struct columns columns = {.indent = "                    "};

    printf("  %-17s", what);
    if (set == 0 || (set & all) == all) {
        printf(" %s\n", set == 0 ? "none" : "all");
        return;
    }
    printf(" %s\n", but ? "all but" : "these");
    for (unsigned i = 0; i < n; i++)
        if ((bool)(set >> i & 1) != but)
            columns_put(&columns, capability_name(i, name));
    columns_end(&columns);
}

static void print_state(pid_t pid, const struct state *s)
{
    static const char *const sets[] = {[EFFECTIVE] = "effective",
                                       [PERMITTED] = "permitted",
                                       [INHERITABLE] = "inheritable",
                                       [BOUNDING] = "bounding set",
                                       [AMBIENT] = "ambient"};
    char calls[64] = "not filtered";

    if (s->mode == 1)
        (void)snprintf(calls, sizeof(calls), "read, write, exit and sigreturn only (strict mode)");
    else if (s->mode == 2 && s->filters_known)
        (void)snprintf(calls, sizeof(calls), "%u filter%s", s->filters, s->filters == 1 ? "" : "s");
    else if (s->mode == 2)
        (void)snprintf(calls, sizeof(calls), "filtered");
    printf("process %d, user %u: ", (int)pid, s->user);
    for (const char *c = s->name; *c; c++)
        (void)putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    printf("\n\n  %-17s %s%s\n  %-17s %s\n", "system calls", calls,
           s->mode != 0 && s->threads > 1 ? " (of the first thread)" : "", "no_new_privs",
           s->no_new_privs ? "yes" : "no");
    printf("\nCapabilities\n");
    for (int i = 0; i < N_SETS; i++)
        print_capabilities(sets[i], s->sets[i]);
}

/* ---- what its filters answer ----------------------------------------------------------------- */

static const char *answer_text(uint32_t answer, char text[AIT_POLICY_ACTION_SIZE])
{
    const ait_policy_action error = {AIT_POLICY_ERRNO, (uint16_t)(answer & SECCOMP_RET_DATA)};

    switch (answer & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
        return "allow";
    case SECCOMP_RET_LOG:
        return "log";
    case SECCOMP_RET_TRACE:
        return "ask the tracer";
    case SECCOMP_RET_USER_NOTIF:
        return "ask the holder of the listener";
    case SECCOMP_RET_ERRNO:
        return ait_policy_action_text(error, text);
    case SECCOMP_RET_TRAP:
        return "trap";
    case SECCOMP_RET_KILL_THREAD:
        return "kill the thread";
    default:
        return "kill";
    }
}

static bool is_allowed(uint32_t answer)
{
    return (answer & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ALLOW;
}

static void print_calls_with(const struct filters *filters, uint32_t answer)
{
    struct columns columns = {.indent = "    "};
    char text[AIT_POLICY_ACTION_SIZE];

    printf("  %s\n", answer_text(answer, text));
    for (int i = 0; i <= ait_syscall_newest(); i++)
        if (ait_syscall_name(i) && filters_run(filters, NATIVE_ARCHITECTURE, i) == answer)
            columns_put(&columns, ait_syscall_name(i));
    columns_end(&columns);
}

/* Other ways into the kernel than this architecture's known calls. */
static void print_others(const struct filters *filters)
{
    char text[AIT_POLICY_ACTION_SIZE];

    printf("\nBesides\n  %-17s %s\n", "newer calls",
           answer_text(filters_run(filters, NATIVE_ARCHITECTURE, ait_syscall_newest() + 1), text));
#ifdef __x86_64__
    printf("  %-17s %s\n", "x32",
           answer_text(filters_run(filters, NATIVE_ARCHITECTURE, X32_BIT), text));
    printf("  %-17s %s\n", "i386", answer_text(filters_run(filters, AUDIT_ARCH_I386, 1), text));
#endif
}

static void print_answers(const struct filters *filters)
{
    uint32_t seen[ANSWERS_MAX];
    size_t n = 0;

    printf("\nSystem calls that are not simply allowed, with arguments of 0\n");
    for (int i = 0; i <= ait_syscall_newest(); i++) {
        uint32_t answer = filters_run(filters, NATIVE_ARCHITECTURE, i);
        size_t k = 0;

        while (k < n && seen[k] != answer)
            k++;
        if (!ait_syscall_name(i) || is_allowed(answer) || k < n || n == ANSWERS_MAX)
            continue;
        seen[n++] = answer;
        print_calls_with(filters, answer);
    }
    if (n == 0)
        printf("  none\n");
    print_others(filters);
}

/* ---- the command ----------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static int failed(int error, const char *format, pid_t pid,
                                                        const char *text)
{
    struct problem p;

    (void)problem_set(&p, STATUS_FAILED, error, format, (int)pid, text);
    return report(&p);
}

static int explain(pid_t pid)
{
    struct filters filters;
    struct state state;
    const char *why = NULL;
    int r = read_state(pid, &state);

    if (r < 0)
        return failed(r, "%d: %s", pid, r == -ESRCH ? "there is no such process" : strerror(-r));
    print_state(pid, &state);
    if (state.mode != 2)
        return print_done();
    r = filters_fetch(&filters, pid, &why);
    if (r >= 0) {
        print_answers(&filters);
        filters_done(&filters);
        return print_done();
    }
    (void)fflush(stdout);
    if (state.tracer > 0) {
        char text[64];

        (void)snprintf(text, sizeof(text), "process %ld traces it", state.tracer);
        return failed(r, "%d: cannot read which system calls are denied: %s", pid, text);
    }
    return failed(r, "%d: cannot read which system calls are denied: %s", pid, why);
}

static int explain_run(const struct command *command, int argc, char **argv)
{
    struct problem p;
    uint64_t pid;
    int status;
    const char *word =
        command_one_word(command, NULL, argc, argv, "a process by its number", &status);

    if (!word)
        return status;
    if (parse_number(word, 1, INT32_MAX, &pid, NULL) < 0) {
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "%s: is not a process id; write a number",
                          word);
        return report(&p);
    }
    return explain((pid_t)pid);
}

const struct command explain_command = {
    .name = "explain",
    .parent = "sandbox",
    .arguments = "[OPTION...] PID",
    .summary = "show the sandbox of a running process",
    .options = help_options,
    .run = explain_run,
    .offers = "-W ''",
    .note = "Only root sees which system calls are denied.",
};
