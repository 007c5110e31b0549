/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* aiotools-sd sandbox: the table of its commands. */
#include "commands.h"
#include "subcommands.h"

static const struct command *const sandbox_commands[] = {
    &groups_command,  &show_command, &check_command, &export_command, &learn_command,
    &explain_command, NULL};

static int print_help(const struct command *command)
{
    printf("Usage: aiotools-sd %s %s\n\n%c%s.\n", command->name, command->arguments,
           command->summary[0] - ('a' - 'A'), command->summary + 1);
    print_commands(sandbox_commands);
    printf("\nOptions:\n");
    options_print(command->options, stdout);
    printf("\naiotools-sd sandbox COMMAND --help shows the options of a command.\n");
    return print_done();
}

static int sandbox(const struct command *command, int argc, char **argv)
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

const struct command sandbox_command = {
    .name = "sandbox",
    .arguments = "COMMAND [OPTION...]",
    .summary = "show, check, learn and translate sandbox policies",
    .options = help_options,
    .run = sandbox,
    .commands = sandbox_commands,
};
