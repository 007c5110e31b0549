/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands and how they speak, apart from main() so that the generator of the completion
 * can link it. */
#include "commands.h"

#include <errno.h>
#include <string.h>

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
        .name = "doctor",
        .arguments = "[OPTION...]",
        .summary = "tell what this system offers, and what is lost without it",
        .options = doctor_options,
        .run = doctor_main,
    },
    {0},
};

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
    printf("Usage: aiotools-sd %s %s\n\n%c%s.\n", command->name, command->arguments,
           command->summary[0] - ('a' - 'A'), command->summary + 1);
    options_print(command->options, stdout);
    if (command->note)
        printf("\n%s\n", command->note);
    return print_done();
}
