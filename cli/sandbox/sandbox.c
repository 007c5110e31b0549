/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* aiotools-sd sandbox: its sub-commands, and how they take their words. */
#include "sandbox.h"

#include <errno.h>
#include <string.h>

#define OFFER_POLICIES "-f -W 'service strict'"

const struct option_spec sandbox_help_options[] = {
    {.name = "help", .letter = 'h', .parse = option_stop, .help = "show this help"},
    {0},
};

const struct command sandbox_commands[] = {
    {
        .name = "groups",
        .parent = "sandbox",
        .arguments = "",
        .summary = "list the groups of system calls",
        .options = sandbox_help_options,
        .run = groups_main,
        .offers = "-W ''",
    },
    {
        .name = "show",
        .parent = "sandbox",
        .arguments = "[OPTION...] @GROUP|NAME|NUMBER|PRESET|FILE",
        .summary = "tell what a group, a system call or a policy is",
        .options = show_options,
        .run = show_main,
        .offers = "-f -W 'service strict $(aiotools-sd sandbox groups 2>/dev/null | cut -d ' ' -f 1)'",
    },
    {
        .name = "check",
        .parent = "sandbox",
        .arguments = "[OPTION...] FILE|PRESET...",
        .summary = "read, compile and verify policies",
        .options = check_options,
        .run = check_main,
        .offers = OFFER_POLICIES,
    },
    {
        .name = "export",
        .parent = "sandbox",
        .arguments = "[OPTION...] --to=FORMAT FILE|PRESET",
        .summary = "write a policy in another language, or as a seccomp program",
        .options = export_options,
        .run = export_main,
        .offers = OFFER_POLICIES,
    },
    {
        .name = "learn",
        .parent = "sandbox",
        .arguments = "[OPTION...] [--] PROGRAM [ARG...]",
        .summary = "run PROGRAM, and write the policy that it needs",
        .options = learn_options,
        .run = learn_main,
        .note = "The exit status is that of PROGRAM.",
    },
    {
        .name = "explain",
        .parent = "sandbox",
        .arguments = "[OPTION...] PID",
        .summary = "tell in what sandbox a running process is",
        .options = explain_options,
        .run = explain_main,
        .offers = "-W ''",
        .note = "Which system calls are denied is seen as root only.",
    },
    {0},
};

static int print_help(const struct command *command)
{
    printf("Usage: aiotools-sd %s %s\n\n%c%s.\n\nCommands:\n", command->name, command->arguments,
           command->summary[0] - ('a' - 'A'), command->summary + 1);
    for (const struct command *c = sandbox_commands; c->name; c++)
        printf("  %-27s %s\n", c->name, c->summary);
    printf("\nOptions:\n");
    options_print(command->options, stdout);
    printf("\naiotools-sd sandbox COMMAND --help shows the options of a command.\n");
    return print_done();
}

int sandbox_main(const struct command *command, int argc, char **argv)
{
    const struct option_spec *stopped;
    struct problem p;
    int first;

    int r = options_parse(command->options, NULL, argc, argv, &first, &stopped, &p);
    if (r < 0)
        return report(&p);
    if (r == OPTION_STOP || first >= argc)
        return print_help(command);
    const struct command *found = find_command(sandbox_commands, argv[first]);
    return found ? found->run(found, argc - first, argv + first)
                 : unknown_command(sandbox_commands, argv[first]);
}

/* ---- words ---------------------------------------------------------------------------------------- */

int sandbox_words(const struct command *command, void *target, int argc, char **argv, int *ret_status)
{
    const struct option_spec *stopped;
    struct problem p;
    char **words = argv;
    int n = 0, first;

    for (;;) {
        int r = options_parse(command->options, target, argc, argv, &first, &stopped, &p);
        if (r != 0) {
            *ret_status = r == OPTION_STOP ? print_command_help(command) : report(&p);
            return -1;
        }
        bool no_more_options = first > 1 && strcmp(argv[first - 1], "--") == 0;
        argc -= first;
        argv += first;
        while (argc > 0) {
            words[n++] = *argv;
            if (!no_more_options)
                break; /* what is parsed next begins behind this word */
            argc--;
            argv++;
        }
        if (argc <= 0)
            return n;
    }
}

const char *sandbox_one_word(const struct command *command, void *target, int argc, char **argv,
                             const char *what, int *ret_status)
{
    struct problem p;
    int n = sandbox_words(command, target, argc, argv, ret_status);

    if (n == 1)
        return argv[0];
    if (n < 0)
        return NULL;
    if (n == 0)
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "sandbox %s: name %s", command->name, what);
    else
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "%s: sandbox %s takes one word only", argv[1],
                          command->name);
    *ret_status = report(&p);
    return NULL;
}
