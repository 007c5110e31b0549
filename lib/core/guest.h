/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_GUEST_H
#define CORE_GUEST_H

/*
 * The loop and its sd_event: who sleeps in whose epoll.
 *
 * Guest (ait_loop_attach): the host runs sd_event_loop(). Our poll set is one io source of it, our next timer one time source; never a
 * defer source a wake-up, which costs some fifty switches and, left enabled, starves its neighbours. A wake-up from
 * outside rings the bell inside our poll set.
 * Owned: our poll set holds the sd_event's fd, and one iteration of it is run when that fd is ready and now and then.
 * In both, an exit source drains the tasks when somebody calls sd_event_exit().
 */

struct ait_loop;

/* Takes the sources out of the sd_event. */
void guest_done(struct ait_loop *loop);
/* The exit source. */
int event_add_exit(struct ait_loop *loop);

#endif
