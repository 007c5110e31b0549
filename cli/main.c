/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* aiotools-sd: finds the command and hands over. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

static int print_help(void)
{
    printf(
        "Usage: aiotools-sd COMMAND [OPTION...]\n"
        "\n"
        "Runs any program as a supervised, sandboxed, socket-activated server of several workers\n"
        "that drops no request.\n");
    print_commands(commands);
    printf("\nOptions:\n");
    options_print(global_options, stdout);
    printf("\naiotools-sd COMMAND --help shows the options of a command.\n");
    return print_done();
}

static int print_version(void)
{
    printf("aiotools-sd %s\n", AIT_VERSION);
    return print_done();
}

/* A socket or pipe of ours must not become a standard stream of another process. */
static void open_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

int main(int argc, char **argv)
{
    const struct option_spec *stopped;
    struct problem p;
    int first;

    open_standard_fds();
    int r = options_parse(global_options, NULL, argc, argv, &first, &stopped, &p);
    if (r < 0)
        return report(&p);
    if (r == OPTION_STOP)
        return strcmp(stopped->name, "help") == 0 ? print_help() : print_version();
    if (first >= argc) {
        fprintf(stderr, "aiotools-sd: no command is given; aiotools-sd --help lists them\n");
        return STATUS_USAGE;
    }
    const struct command *found = find_command(commands, argv[first]);
    return found ? found->run(found, argc - first, argv + first)
                 : unknown_command(commands, argv[first]);
}
