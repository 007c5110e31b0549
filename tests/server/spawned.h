/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of spawn and guardian share: a test binary starts itself again as the worker,
 * which does as its arguments say, and writes what it sees to its standard output as NAME=VALUE
 * lines.
 *
 * A `struct spawned` owns its environment, pipe and pidfd; spawned_done() kills and reaps what
 * still runs. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "worker/spawn.h"

struct spawned {
    struct spawn_params params;
    struct spawn_environment *environment;
    const char *argv[8];
    pid_t pid;
    int pidfd;
    int output; /* read end of its standard output, -1 once read */
    struct guardian_tree tree;
    ait_explainer **ret_explainer; /* NULL: none is wanted */
    struct problem problem;
};

/* The test's main(): where it was started as a worker, this does not return. */
void spawned_main(int argc, char **argv);

/* Parameters for this binary in the given role; change them, then spawned_start(). */
void spawned_init(struct spawned *s, const char *role,
                  const struct spawn_environment_params *environment);
int spawned_start(struct spawned *s);
/* Until the exec. After a failure there is no process. */
int spawn_and_wait(const struct spawn_params *params, pid_t *ret_pid, int *ret_pidfd,
                   struct guardian_tree *ret_tree, ait_explainer **ret_explainer,
                   struct problem *ret_problem);
/* Waits for the end of its output, and of the process itself. Returns what waitid() put into
 * si_status, and in *ret_text (malloc'ed) what it wrote. */
int spawned_finish(struct spawned *s, char **ret_text);
/* One line of its output, without the newline; for workers that go on. */
void spawned_read_line(struct spawned *s, char *line, size_t size);
void spawned_done(struct spawned *s);

/* Why the test cannot start itself as user 65534, or NULL where it can: that needs root, and a
 * binary that this user can reach, to which ../reachable.py helps. */
const char *spawned_why_not_as_nobody(void);

/* The value of NAME in such a text, in a static buffer; NULL where it is absent. */
const char *spawned_value(const char *text, const char *name);

/* Descriptors open in this process, and children of it, dead ones too. */
size_t count_fds(void);
size_t count_children(void);

/* Waits for a pidfd, 10 s at most. */
bool has_ended_within(int pidfd, int milliseconds);
