/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aiotools-sd sandbox check: does everything with a policy that is done before a worker gets it,
 * file by file.
 */
#include "subcommands.h"

#include <aiotools-sd/sandbox.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "load.h"
#include "view.h"

struct check_config {
    int from; /* ait_policy_format */
};

static const struct option_spec check_options[] = {
    {"from", 0, "auto|native|systemd|oci", option_word, offsetof(struct check_config, from),
     "language of the files (auto: decided by the first line of each)", sandbox_from_words},
    {"help", 'h', NULL, option_stop, 0, "show this help"},
    {0},
};

static double milliseconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int print_note(const ait_sandbox_problem *note, void *userdata)
{
    char text[sizeof(note->message) + sizeof("note: ")];
    ait_sandbox_problem marked = *note;

    (void)snprintf(text, sizeof(text), "note: %s", note->message);
    (void)snprintf(marked.message, sizeof(marked.message), "%.*s", (int)sizeof(marked.message) - 1,
                   text);
    sandbox_print_problem(stderr, &marked);
    return 0;
}

/*
 * A policy that does not compile is as wrong as one that cannot be read. One that cannot be tried
 * on this machine is not.
 */
static int refused(const char *name, ait_sandbox_problem *problem)
{
    if (!problem->file[0])
        (void)snprintf(problem->file, sizeof(problem->file), "%s", name);
    sandbox_print_problem(stderr, problem);
    switch (problem->error) {
    case -ENOMEM:
    case -EIO:
        return STATUS_OS;
    case -EOPNOTSUPP:
    case -ENOSYS:
    case -EBADMSG:
        return STATUS_SANDBOX;
    default:
        return STATUS_CONFIG;
    }
}

static int print_verdict(const char *name, const ait_policy *policy, const ait_sandbox *sandbox,
                         double took)
{
    struct view view;
    size_t n = 0;
    int r = view_init(&view, policy);

    if (r < 0)
        return r;
    (void)ait_sandbox_program(sandbox, &n);
    printf("%s: %u system calls allowed, %u denied, %u by their arguments (%u rules); %zu "
           "instructions, verified; %.1f ms\n",
           name, view.n_allowed, view.n_denied, view.n_by_arguments, view.n_rules, n, took);
    view_done(&view);
    return 0;
}

/* Landlock does not see all that root does: what is denied besides, and what the policy keeps. */
static int print_as_root(const char *name, ait_policy *policy, ait_sandbox_problem *problem)
{
    static const char mark[] = "the policy names ";
    ait_sandbox *sandbox AIT_CLEANUP(ait_sandbox_unrefp) = NULL;
    int r = ait_sandbox_new(
        &sandbox,
        AIT_SANDBOX_OPTIONS(.policy = policy,
                            .flags = AIT_SANDBOX_KEEP_CAPABILITIES | AIT_SANDBOX_ROOT),
        problem);

    if (r < 0)
        return r;
    const char *kept = strstr(ait_sandbox_text(sandbox), mark);
    printf("%s: as root with confined files, also without what the presets root and root-files "
           "deny",
           name);
    if (kept)
        printf("; it names %.*s: files outside are reached by that",
               (int)strcspn(kept + strlen(mark), ":;"), kept + strlen(mark));
    printf("\n");
    return 0;
}

static int check_one(const char *name, ait_policy_format from)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    ait_sandbox *sandbox AIT_CLEANUP(ait_sandbox_unrefp) = NULL;
    double begin = milliseconds();
    int r = sandbox_load(&policy, name, from, &problem);

    if (r < 0)
        return refused(name, &problem);
    (void)ait_policy_foreach_note(policy, print_note, NULL);
    r = ait_sandbox_new(
        &sandbox, AIT_SANDBOX_OPTIONS(.policy = policy, .flags = AIT_SANDBOX_KEEP_CAPABILITIES),
        &problem);
    if (r >= 0)
        r = print_verdict(name, policy, sandbox, milliseconds() - begin);
    if (r >= 0)
        r = print_as_root(name, policy, &problem);
    if (r < 0) {
        problem.error = r;
        return refused(name, &problem);
    }
    return 0;
}

static int check_run(const struct command *command, int argc, char **argv)
{
    struct check_config config = {0};
    struct problem p;
    int status = 0, n = command_words(command, &config, argc, argv, &status);

    if (n < 0)
        return status;
    if (n == 0) {
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "sandbox check: name a file or a preset");
        return report(&p);
    }
    for (int i = 0; i < n; i++) {
        int one = check_one(argv[i], (ait_policy_format)config.from);

        if (one > status)
            status = one;
    }
    int done = print_done();
    return status > 0 ? status : done;
}

const struct command check_command = {
    .name = "check",
    .parent = "sandbox",
    .arguments = "[OPTION...] FILE|PRESET...",
    .summary = "read, compile and verify policies",
    .options = check_options,
    .run = check_run,
    .offers = OFFER_POLICIES,
};
