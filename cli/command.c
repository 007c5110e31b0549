/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands and how they speak, apart from main() so that the generator of the completion
 * can link it. */
#include "command.h"

#include <errno.h>
#include <string.h>

#define MAX_COMMANDS 32

const struct option_spec global_options[] = {
    {.name = "help", .letter = 'h', .parse = option_stop, .help = "show this help"},
    {.name = "version", .parse = option_stop, .help = "show the version"},
    {0},
};

const struct command commands[] = {
    {
        .name = "run",
        .arguments = "[OPTION...] [--] PROGRAM [ARG...]",
        .summary = "run PROGRAM as a supervised server of several workers",
        .options = run_options,
        .run = run_main,
        .note = "Times are written as in systemd (500ms, 1.5s, 2min, infinity). aiotools-sd(1) says more.",
    },
    {
        .name = "sandbox",
        .arguments = "COMMAND [OPTION...]",
        .summary = "look at, check, learn and translate sandbox policies",
        .options = sandbox_help_options,
        .run = sandbox_main,
        .commands = sandbox_commands,
    },
    {
        .name = "doctor",
        .arguments = "[OPTION...]",
        .summary = "tell what this system offers, and what is lost without it",
        .options = doctor_options,
        .run = doctor_main,
        .offers = "-W ''",
    },
    {0},
};

const struct command *find_command(const struct command *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

int unknown_command(const struct command *table, const char *word)
{
    const char *names[MAX_COMMANDS + 1] = {NULL};
    const char *parent = table->parent ? table->parent : "", *space = table->parent ? " " : "";
    struct problem p;

    for (size_t i = 0; table[i].name && i < MAX_COMMANDS; i++)
        names[i] = table[i].name;
    int nearest = options_nearest(word, names);
    if (nearest >= 0)
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "%s%s%s: unknown command; did you mean %s%s%s?", parent,
                          space, word, parent, space, names[nearest]);
    else
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "%s%s%s: unknown command; %s%s--help lists them", parent,
                          space, word, parent, space);
    return report(&p);
}

int report(const struct problem *problem)
{
    fprintf(stderr, "aiotools-sd: %s\n", problem->text);
    return problem->status;
}

int print_done(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "aiotools-sd: standard output: %s\n", strerror(errno));
    return STATUS_OS;
}

int print_command_help(const struct command *command)
{
    printf("Usage: aiotools-sd %s%s%s %s\n\n%c%s.\n", command->parent ? command->parent : "",
           command->parent ? " " : "", command->name, command->arguments, command->summary[0] - ('a' - 'A'),
           command->summary + 1);
    if (!command->options->section)
        printf("\n");
    options_print(command->options, stdout);
    if (command->note)
        printf("\n%s\n", command->note);
    return print_done();
}
