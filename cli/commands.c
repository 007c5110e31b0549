/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"

const struct option_spec global_options[] = {
    {.name = "help", .letter = 'h', .parse = option_stop, .help = "show this help"},
    {.name = "version", .parse = option_stop, .help = "show the version"},
    {0},
};

const struct command *const commands[] = {&run_command, &sandbox_command, &doctor_command, NULL};
