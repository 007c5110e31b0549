/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The rows of bench-limit: what each row of bench-ait is held against. limit_*: bare fibers, a raw
 * epoll loop, a heap. sdevent_*: plain sd-event, the loop that this library lives in.
 */

#include "harness.h"

int limit_spawn_live(struct bench *b);
int limit_spawn_end(struct bench *b);
int limit_switch_same(struct bench *b);
int limit_switch_sites(struct bench *b);
int limit_switch_deep(struct bench *b);
int limit_park(struct bench *b);
int limit_cancel(struct bench *b);
int limit_timers(struct bench *b);
int limit_echo(struct bench *b);
int limit_pingpong(struct bench *b);
int limit_vfork(struct bench *b);
int limit_fork(struct bench *b);
int sdevent_echo(struct bench *b);
int sdevent_pingpong(struct bench *b);

/* Reads and answers until a connection is drained, closed or broken; false where it is over. */
bool echo_drain(int fd);

/* As many events as the library takes in one epoll_wait(). */
#define LIMIT_MAX_EVENTS 256
