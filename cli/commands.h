/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The table of commands, used by main() and the generator of the completion, and its rows, each
 * defined in the file of its command.
 */

#include "command.h"

extern const struct command *const commands[]; /* ends with NULL */
extern const struct option_spec global_options[];

extern const struct command run_command, sandbox_command, doctor_command;
