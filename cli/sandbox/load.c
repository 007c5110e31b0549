/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies by name: presets, and files in one of the languages that are known. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "oci.h"
#include "config/policy-file.h"
#include "slurp.h"

#define FILE_SIZE_MAX (1024 * 1024)

const char *const sandbox_from_words[] = {
    [FORMAT_AUTO] = "auto",
    [FORMAT_NATIVE] = "native",
    [FORMAT_SYSTEMD] = "systemd",
    [FORMAT_OCI] = "oci",
    NULL,
};
const char *const sandbox_to_words[] = {"native", "systemd", "oci", "bpf", NULL};

int sandbox_take_to(const struct option_spec *spec, const char *text, void *field, const char **ret_why)
{
    int i, r = option_word(spec, text, &i, ret_why);

    if (r >= 0)
        *(enum sandbox_format *)field = (enum sandbox_format)(i + FORMAT_NATIVE);
    return r;
}

bool sandbox_is_preset(const char *name)
{
    ait_policy *policy = NULL;

    if (strcmp(name, "base") != 0 && strcmp(name, "service") != 0 && strcmp(name, "strict") != 0)
        return false;
    bool there = ait_policy_from_preset(&policy, name, NULL) >= 0;
    ait_policy_unref(policy);
    return there;
}

static bool was_json;

bool sandbox_was_json(void)
{
    return was_json;
}

static int import_json(ait_policy **ret, const char *name, const char *text, size_t length,
                       ait_sandbox_problem *problem)
{
    was_json = true;
    return oci_import(ret, name, text, length, problem);
}

/* ---- files ---------------------------------------------------------------------------------------- */

static int set_problem(ait_sandbox_problem *problem, int error, const char *name, const char *message)
{
    problem->error = error;
    problem->line = problem->column = 0;
    (void)snprintf(problem->file, sizeof(problem->file), "%s", name);
    (void)snprintf(problem->message, sizeof(problem->message), "%s", message);
    return error;
}

static int load_as(ait_policy **ret, const char *name, enum sandbox_format from, ait_sandbox_problem *problem)
{
    char *text = NULL;
    size_t length = 0;
    int r = slurp_path(name, O_NOCTTY, FILE_SIZE_MAX, &text, &length);

    if (r == -EFBIG)
        return set_problem(problem, -E2BIG, name, "it is larger than 1 MiB, which no policy needs to be");
    if (r < 0)
        return set_problem(problem, r, name, strerror(-r));
    if (from == FORMAT_OCI)
        r = import_json(ret, name, text, length, problem);
    else if (strlen(text) != length)
        r = set_problem(problem, -EINVAL, name, "there is a zero byte in it; a policy is text");
    else
        r = ait_policy_from_systemd(ret, name, text, 0, problem);
    free(text);
    return r;
}

int sandbox_load(ait_policy **ret, const char *name, enum sandbox_format from, ait_sandbox_problem *problem)
{
    was_json = false;
    if (from == FORMAT_AUTO && sandbox_is_preset(name))
        return ait_policy_from_preset(ret, name, problem);
    if (from == FORMAT_AUTO)
        return policy_file_load(ret, name, import_json, problem);
    if (from == FORMAT_NATIVE)
        return ait_policy_from_file(ret, name, problem);
    return load_as(ret, name, from, problem);
}

/* ---- problems ------------------------------------------------------------------------------------- */

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
