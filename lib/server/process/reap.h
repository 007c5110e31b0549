/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reaps children that nobody waits for: orphans that were reparented to the caller, a subreaper.
 *
 * The kernel names the dead one after the other, so the cost is that of the dead and does not grow
 * with those that live. Only behind a dead child that is known, whose owner reaps it later, all
 * children have to be tried.
 */

#include <stdbool.h>

#include "process-tree.h"

/*
 * Reaps at most `max` of them. is_known() claims the children that others reap. 1: there may be
 * more. 0: there are none. -EBUSY: the first dead child is known and hides whatever is behind it;
 * nothing was reaped that is not counted in *ret_n.
 */
int reap_dead(guardian_known_fn is_known, void *userdata, unsigned max, unsigned *ret_n);

/* Tries all children that are not known. Returns how many were reaped. */
int reap_behind(guardian_known_fn is_known, void *userdata);
