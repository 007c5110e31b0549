/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* aiotools-sd run: from words to a struct server_config. */
#include <errno.h>

#include "commands.h"
#include "config/config.h"
#include "oci-import.h"
#include "supervise/server.h"

static int run(const struct command *command, int argc, char **argv)
{
    const struct option_spec *stopped;
    struct server_config config;
    struct problem p;
    int first, status;

    server_config_init(&config);
    config.sandbox.import_json = oci_import;
    int r = options_parse(server_options, &config, argc, argv, &first, &stopped, &p);
    if (r == OPTION_STOP) {
        server_config_done(&config);
        return print_command_help(command);
    }
    if (r >= 0 && (r = server_config_set_argv(&config, argv + first)) < 0)
        (void)problem_set(&p, STATUS_OS, r, "out of memory");
    if (r >= 0)
        r = server_config_finish(&config, &p);
    status = r < 0 ? report(&p) : server_run(&config);
    server_config_done(&config);
    return status;
}

const struct command run_command = {
    .name = "run",
    .arguments = "[OPTION...] [--] PROGRAM [ARG...]",
    .summary = "run PROGRAM as a supervised server of several workers",
    .options = server_options,
    .run = run,
    .note =
        "Times are written as in systemd (500ms, 1.5s, 2min, infinity). aiotools-sd(1) says more.",
};
