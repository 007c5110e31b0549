/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How other threads reach the loop, and the bell that a guest loop rings for itself. */

#include "state.h"

int post_init(struct ait_loop *loop);
/*
 * ait_loop_post() with memory of the caller's own, which cannot fail. Any thread may call it, as
 * long as something else keeps the loop alive.
 */
void post_lent(struct ait_loop *loop, struct post *p);
void post_done(struct ait_loop *loop);
