/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rows of the table of `aiotools-sd sandbox`, each defined by the file of that command. */

#include "command.h"

extern const struct command groups_command, show_command, check_command, export_command,
    learn_command, explain_command;

/* Completions for the name of a policy. */
#define OFFER_POLICIES "-f -W 'service strict'"
