/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "find-program.h"

#define MAX_COMMANDS 32

const struct command *find_command(const struct command *const *table, const char *name)
{
    for (; *table; table++)
        if (strcmp((*table)->name, name) == 0)
            return *table;
    return NULL;
}

static bool is_program(const char *word)
{
    char *path = NULL, *refused = NULL;
    int r = program_search(word, getenv("PATH"), NULL, &path, &refused);

    free(path);
    free(refused);
    return r >= 0;
}

int unknown_command(const struct command *const *table, const char *word)
{
    const char *names[MAX_COMMANDS + 1] = {NULL};
    const char *parent = (*table)->parent ? (*table)->parent : "", *space = *parent ? " " : "";
    struct problem p;

    for (size_t i = 0; table[i] && i < MAX_COMMANDS; i++)
        names[i] = table[i]->name;
    int nearest = options_nearest(word, names);
    if (nearest >= 0)
        (void)problem_set(&p, STATUS_USAGE, -EINVAL,
                          "%s%s%s: unknown command; did you mean %s%s%s?", parent, space, word,
                          parent, space, names[nearest]);
    else if (!*parent && is_program(word))
        (void)problem_set(&p, STATUS_USAGE, -EINVAL,
                          "%s: unknown command; to run that program, write aiotools-sd run "
                          "[OPTION...] -- %s [ARG...]",
                          word, word);
    else
        (void)problem_set(&p, STATUS_USAGE, -EINVAL,
                          "%s%s%s: unknown command; %s%s--help lists them", parent, space, word,
                          parent, space);
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
           command->parent ? " " : "", command->name, command->arguments,
           command->summary[0] - ('a' - 'A'), command->summary + 1);
    if (!command->options->section)
        printf("\n");
    options_print(command->options, stdout);
    if (command->note)
        printf("\n%s\n", command->note);
    return print_done();
}

void print_commands(const struct command *const *table)
{
    printf("\nCommands:\n");
    for (; *table; table++)
        printf("  %-27s %s\n", (*table)->name, (*table)->summary);
}

/* ---- words ----------------------------------------------------------------------------------- */

int command_words(const struct command *command, void *target, int argc, char **argv,
                  int *ret_status)
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

const char *command_one_word(const struct command *command, void *target, int argc, char **argv,
                             const char *what, int *ret_status)
{
    const char *parent = command->parent ? command->parent : "", *space = *parent ? " " : "";
    struct problem p;
    int n = command_words(command, target, argc, argv, ret_status);

    if (n == 1)
        return argv[0];
    if (n < 0)
        return NULL;
    if (n == 0)
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "%s%s%s: name %s", parent, space,
                          command->name, what);
    else
        (void)problem_set(&p, STATUS_USAGE, -EINVAL, "%s: %s%s%s takes only one argument", argv[1],
                          parent, space, command->name);
    *ret_status = report(&p);
    return NULL;
}
