/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The seats of a slot's workers (sockets/set.h): who has which, who gets new connections, and when
 * a worker has accepted what waits at it.
 *
 * The slot's seat belongs to its current worker, and to the next one if that dies. A replacement
 * gets a seat of its own while current serves, so that both have their own queue; otherwise it
 * shares the slot's, with what waits there. When it is committed, its seat becomes the slot's, and
 * the old worker keeps its own until it has ended. If connections still wait there then, another
 * worker is started for them, once.
 *
 * For slot.c only.
 */

#include "slot.h"

/* Starts a worker on a seat. */
int slot_start_worker(struct slot *slot, struct revision *revision, unsigned seat,
                      struct worker **ret);

/* The seat for a replacement. */
unsigned slot_take_seat(struct slot *slot);
/* Lets go of a worker that has ended, and of its seat if that is not the slot's. NULL. */
struct worker *slot_dismiss(struct slot *slot, struct worker *w);
/*
 * After next has become current, and its predecessor old, if there is one: its seat is the slot's
 * from now on.
 */
void slot_change_seat(struct slot *slot);
/* Old has ended. True if another worker takes its place, for what waits at its seat. */
bool slot_old_has_successor(struct slot *slot);

/* Steers to where the slot's state says: to is that of the slot. */
void slot_steer(struct slot *slot, enum steer to);

/*
 * Whether the worker has accepted what waits at it, and may be asked to stop. It must be steered
 * away first. slot->look_at says when to ask again.
 */
bool slot_is_drained(struct slot *slot, const struct worker *w, struct drain *drain);
/* Logs how many connections wait at a seat that is about to be closed. */
void slot_say_lost(const struct slot *slot, unsigned seat);
