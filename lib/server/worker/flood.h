/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * flood: how fast the notifications of one worker are read.
 *
 * A worker may send FLOOD_BURST notifications at once, and FLOOD_RATE a second on average. From
 * then on it floods: its socket is left unread for pauses that grow, until all that it sent has
 * been read. Meanwhile the kernel's queue is full, which blocks the sender. So the worker is
 * slowed, and not the server.
 *
 * Pure; no clock, no socket. Zeroed: nothing was sent.
 */

#include <stdbool.h>
#include <stdint.h>

#define FLOOD_BATCH 32u /* notifications that are read before others get their turn */
#define FLOOD_BURST 2000u
#define FLOOD_RATE  250u

#define FLOOD_PAUSE_MIN UINT64_C(10000)
#define FLOOD_PAUSE_MAX UINT64_C(500000)
#define FLOOD_SILENCE   UINT64_C(60000000) /* between two reports */

struct flood {
    uint64_t at;    /* when the level was that */
    uint64_t level; /* notifications beyond the rate */
    uint64_t pause; /* 0: it does not flood */
    uint64_t n;     /* notifications since the last report, or ever */
    uint64_t since; /* the last report, or the first notification; 0: there was none */
    bool told;      /* there was a report */
};

/*
 * n notifications were read, and there are more. Returns how long none should be read, in
 * microseconds.
 */
uint64_t flood_account(struct flood *f, unsigned n, bool more, uint64_t now);

/*
 * Whether to report that it floods: when it begins to, and then not before FLOOD_SILENCE is over.
 * If so, the number of notifications and the time in which they came.
 */
bool flood_report(struct flood *f, uint64_t now, uint64_t *ret_n, uint64_t *ret_usec);

/*
 * What a worker costs: time of the supervisor for its output, and for answers to its denied calls.
 * FLOOD_TIME_BURST at once, and a share of a CPU on average. The supervisor comes before the
 * workers, so this is also what keeps a worker from taking CPU time of the others by way of it.
 * Zeroed: nothing was spent.
 */
#define FLOOD_TIME_BURST UINT64_C(100000)
#define FLOOD_TIME_STEP  UINT64_C(5000) /* so much is paid off by one pause */

struct flood_time {
    uint64_t at, debt;
};

/*
 * That much time was spent, until now. One of `share` parts of a CPU is the worker's. Returns how
 * long nothing should be spent on it, in microseconds.
 */
uint64_t flood_spend(struct flood_time *f, uint64_t spent, unsigned share, uint64_t now);

/*
 * What a worker makes the server say: lines of the log of which each is caused by a notification.
 * FLOOD_WORDS at once, and one more a second. Zeroed: nothing was said.
 */
#define FLOOD_WORDS 32u

struct flood_words {
    uint64_t refilled; /* 0: never */
    unsigned left;
    unsigned unsaid;
};

/* Whether one more may be said. If so, the number of those before it that were not. */
bool flood_may_say(struct flood_words *words, uint64_t now, unsigned *ret_unsaid);
