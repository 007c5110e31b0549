/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policies from unit files, as systemd understands them: the file, then its drop-ins (dropins.h) in
 * their order, as if they were one.
 *
 * In a unit, what systemd ignores is ignored with a note. In bare lists it is a mistake.
 */

#include <aiotools-sd/policy.h>

/* A drop-in: its path and what it contains. */
struct unit_text {
    struct unit_text *next;
    char *name;
    char *text;
};

/* "service" and so on, if a file of this name is a unit that runs programs; else NULL. */
const char *unit_type(const char *path);

int policy_from_unit(ait_policy **ret, const char *name, const char *text,
                     const struct unit_text *dropins, ait_sandbox_problem *problem);
