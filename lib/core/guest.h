/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The loop and its sd_event: which epoll contains which.
 *
 * Guest (ait_loop_attach): the host runs sd_event_loop(). Our poll set is one io source of it, and
 * our next timer is one time source. There is no defer source per wake-up: it would cost some fifty
 * switches and, if left enabled, starve other sources. A wake-up from outside rings the bell inside
 * our poll set. Owned: our poll set contains the sd_event's fd. One iteration of the sd_event runs
 * when that fd is ready, and from time to time. In both cases an exit source drains the tasks after
 * sd_event_exit().
 */

struct ait_loop;

/* Removes the sources from the sd_event. */
void guest_done(struct ait_loop *loop);
/* The exit source. */
int event_add_exit(struct ait_loop *loop);
