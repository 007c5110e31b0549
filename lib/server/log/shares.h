/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * shares: how much of an output's buffer each slot holds, and how much it may hold.
 *
 * A slot may hold as much as is still free. So one that floods gets half of the buffer at most, two
 * of them a third each, and another one always finds room. Lines of workers leave the last
 * SHARES_EVENTS bytes to the events of the supervisor, of which those about one slot are limited
 * likewise.
 *
 * Pure: it knows positions in all that is ever written, and no buffer. Without memory a line is not
 * attributed to its slot; nothing fails. Zeroed: nothing is held.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARES_SIZE   (4u * 1024 * 1024) /* of the buffer */
#define SHARES_EVENTS (512u * 1024)
#define SHARES_LINES  (SHARES_SIZE - SHARES_EVENTS)

struct share {
    size_t lines, events;       /* bytes in the buffer */
    uint64_t dropped, reported; /* lines and events */
};

/* What one slot has written in a row. */
struct share_segment {
    uint64_t start, end;
    int slot;
    bool event;
};

struct shares {
    struct share *slots;
    unsigned n_slots;
    struct share_segment *segments; /* n_segments from first_segment on */
    size_t first_segment, n_segments, n_allocated;
};

void shares_done(struct shares *s);

/* NULL: no slot, or no memory for it. Valid until the next call. */
struct share *shares_of(struct shares *s, int slot);

/* Whether n bytes may follow what the buffer holds, which is `used` bytes. share may be NULL. */
bool shares_admit(const struct share *share, bool event, size_t n, size_t used);
/* After a loss: whether enough has been written that another line is worth a report. */
bool shares_recovers(const struct share *share, size_t used);
/* What is between the two positions belongs to the slot. */
void shares_add(struct shares *s, int slot, bool event, uint64_t start, uint64_t end);
/* All up to this position has been written. */
void shares_wrote(struct shares *s, uint64_t position);

/*
 * How long, in microseconds, the output of a worker of this slot should be left unread, so that it
 * waits rather than that lines are dropped. Never so long that it stands still: with pieces of 16
 * kB it may write at least 200 kB a second.
 */
uint64_t shares_pause(const struct share *share, size_t used);
