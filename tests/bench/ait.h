/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The rows of bench-ait: this library, through its public headers alone, and the spawn of the
 * server layer. Each row runs inside a task, whether the loop is its own (ait_run) or a guest in an
 * sd_event_loop (-g): the code of a row does not know.
 */

#include "harness.h"

int ait_spawn_live(struct bench *b);
int ait_spawn_end(struct bench *b);
int ait_switch_same(struct bench *b);
int ait_switch_sites(struct bench *b);
int ait_switch_deep(struct bench *b);
int ait_park(struct bench *b);
int ait_cancel(struct bench *b);
int ait_timers(struct bench *b);
int ait_echo(struct bench *b);
int ait_pingpong(struct bench *b);
int ait_process(struct bench *b);
