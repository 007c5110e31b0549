/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies by name: presets, and files in one of the languages that are known. */
#include "load.h"

#include <errno.h>
#include <string.h>

#include "config/problem.h"
#include "oci-import.h"

const char *const sandbox_from_words[] = {
    [AIT_POLICY_FORMAT_AUTO] = "auto",
    [AIT_POLICY_FORMAT_NATIVE] = "native",
    [AIT_POLICY_FORMAT_SYSTEMD] = "systemd",
    [AIT_POLICY_FORMAT_JSON] = "oci",
    NULL,
};

bool sandbox_is_preset(const char *name)
{
    ait_policy *policy = NULL;

    if (strcmp(name, "base") != 0 && strcmp(name, "service") != 0 && strcmp(name, "strict") != 0 &&
        strncmp(name, "root", 4) != 0)
        return false;
    bool there = ait_policy_from_preset(&policy, name, NULL) >= 0;
    ait_policy_unref(policy);
    return there;
}

int sandbox_load(ait_policy **ret, const char *name, ait_policy_format from,
                 ait_sandbox_problem *problem)
{
    if (from == AIT_POLICY_FORMAT_AUTO && sandbox_is_preset(name))
        return ait_policy_from_preset(ret, name, problem);
    return ait_policy_load(ret, name, from, oci_import, NULL, problem);
}

/* ---- problems -------------------------------------------------------------------------------- */

/* A line, whatever is in the name of the file. */
static void put_plain(FILE *file, const char *text)
{
    for (; *text; text++)
        (void)fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, file);
}

void sandbox_print_problem(FILE *file, const ait_sandbox_problem *problem)
{
    put_plain(file, problem->file);
    if (problem->line > 0)
        (void)fprintf(file, ":%u", problem->line);
    if (problem->line > 0 && problem->column > 0)
        (void)fprintf(file, ":%u", problem->column);
    (void)fputs(problem->file[0] ? ": " : "", file);
    put_plain(file, problem->message[0] ? problem->message : strerror(-problem->error));
    (void)fputc('\n', file);
}

int sandbox_report(const ait_sandbox_problem *problem)
{
    (void)fputs("aiotools-sd: ", stderr);
    sandbox_print_problem(stderr, problem);
    return problem->error == -ENOMEM || problem->error == -EIO ? STATUS_OS : STATUS_CONFIG;
}
