/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aiotools-sd sandbox export: writes a policy in another language, or as the program that the
 * kernel runs.
 */
#include "subcommands.h"

#include <aiotools-sd/sandbox.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "oci-export.h"
#include "output.h"

enum { TO_NATIVE, TO_SYSTEMD, TO_OCI, TO_BPF };
static const char *const to_words[] = {
    [TO_NATIVE] = "native", [TO_SYSTEMD] = "systemd", [TO_OCI] = "oci", [TO_BPF] = "bpf", NULL};

struct export_config {
    int from;     /* ait_policy_format */
    int to;       /* -1: not said */
    char *output; /* NULL: standard output */
};

static const struct option_spec export_options[] = {
    {"to", 0, "native|systemd|oci|bpf", option_word, offsetof(struct export_config, to),
     "our language, SystemCallFilter= lines, JSON of container\n"
     "runtimes, or the raw seccomp program",
     to_words},
    {"from", 0, "auto|native|systemd|oci", option_word, offsetof(struct export_config, from),
     "language of FILE (auto: decided by its first line)", sandbox_from_words},
    {"output", 'o', "FILE", option_string, offsetof(struct export_config, output),
     "write to FILE, completely or not at all (standard output)", .kind = OPTION_PATH},
    {"help", 'h', NULL, option_stop, 0, "show this help"},
    {0},
};

/* As bubblewrap --seccomp and prctl(PR_SET_SECCOMP) take it. */
static int write_program(ait_policy *policy, FILE *out, ait_sandbox_problem *problem)
{
    ait_sandbox *sandbox AIT_CLEANUP(ait_sandbox_unrefp) = NULL;
    size_t n = 0;
    int r = ait_sandbox_new(
        &sandbox, AIT_SANDBOX_OPTIONS(.policy = policy, .flags = AIT_SANDBOX_KEEP_CAPABILITIES),
        problem);

    if (r < 0)
        return r;
    const struct sock_filter *program = ait_sandbox_program(sandbox, &n);
    return fwrite(program, sizeof(*program), n, out) == n ? 0 : -EIO;
}

static int write_as(ait_policy *policy, const char *name, int to, FILE *out,
                    ait_sandbox_problem *problem)
{
    if (to == TO_OCI)
        return oci_export(policy, name, out, problem);
    if (to == TO_BPF)
        return write_program(policy, out, problem);
    return ait_policy_write(policy, out,
                            to == TO_SYSTEMD ? AIT_POLICY_FORMAT_SYSTEMD : AIT_POLICY_FORMAT_NATIVE,
                            problem);
}

static int export_policy(const struct export_config *config, const char *name)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    struct output output;
    struct problem p;
    int r = sandbox_load(&policy, name, (ait_policy_format)config->from, &problem);

    if (r < 0)
        return sandbox_report(&problem);
    if (output_open(&output, config->output, &p) < 0)
        return report(&p);
    r = write_as(policy, name, config->to, output.stream, &problem);
    int status = 0;
    if (r < 0 && !ferror(output.stream)) {
        problem.error = r;
        status = sandbox_report(&problem);
    } else if (output_commit(&output, &p) < 0)
        status = report(&p);
    output_done(&output);
    return status;
}

static int check_config(const struct export_config *config, struct problem *p)
{
    if (config->to < 0)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--to: is missing; write --to=native, systemd, oci or bpf");
    if (config->to == TO_BPF && !config->output && isatty(STDOUT_FILENO))
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--to=bpf: writes binary data, and standard output is a terminal; name "
                           "a file with --output");
    return output_check(config->output, p);
}

static int export_run(const struct command *command, int argc, char **argv)
{
    struct export_config config = {.to = -1};
    struct problem p;
    int status;
    const char *name =
        command_one_word(command, &config, argc, argv, "a preset or a file", &status);

    if (name)
        status = check_config(&config, &p) < 0 ? report(&p) : export_policy(&config, name);
    free(config.output);
    return status;
}

const struct command export_command = {
    .name = "export",
    .parent = "sandbox",
    .arguments = "[OPTION...] --to=FORMAT FILE|PRESET",
    .summary = "write a policy in another language, or as a seccomp program",
    .options = export_options,
    .run = export_run,
    .offers = OFFER_POLICIES,
};
