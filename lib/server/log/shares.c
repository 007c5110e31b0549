/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shares.h"

#include <stdlib.h>
#include <string.h>

/* Held by one slot: not enough to be slowed. */
#define EASY       (128u * 1024)
#define N_SEGMENTS 16u /* are kept */
#define PAUSE      UINT64_C(10000)

void shares_done(struct shares *s)
{
    free(s->slots);
    free(s->segments);
    *s = (struct shares){0};
}

struct share *shares_of(struct shares *s, int slot)
{
    if (slot < 0)
        return NULL;
    if ((unsigned)slot >= s->n_slots) {
        unsigned n = (unsigned)slot + 1;
        struct share *slots = reallocarray(s->slots, n, sizeof(*slots));

        if (!slots)
            return NULL;
        memset(slots + s->n_slots, 0, (n - s->n_slots) * sizeof(*slots));
        s->slots = slots;
        s->n_slots = n;
    }
    return &s->slots[slot];
}

static size_t room(bool event, size_t used)
{
    size_t size = event ? SHARES_SIZE : SHARES_LINES;

    return used < size ? size - used : 0;
}

bool shares_admit(const struct share *share, bool event, size_t n, size_t used)
{
    size_t left = room(event, used);
    size_t held = !share ? 0 : event ? share->events : share->lines;

    return n <= left && (!share || held + n <= left - n + 1);
}

bool shares_recovers(const struct share *share, size_t used)
{
    return share->lines <= room(false, used) / 2;
}

/* ---- segments -------------------------------------------------------------------------------- */

static bool make_room(struct shares *s)
{
    size_t n = s->n_allocated ? 2 * s->n_allocated : N_SEGMENTS;
    struct share_segment *segments;

    if (s->first_segment > s->n_allocated / 2) {
        memmove(s->segments, s->segments + s->first_segment, s->n_segments * sizeof(*s->segments));
        s->first_segment = 0;
    }
    if (s->first_segment + s->n_segments < s->n_allocated)
        return true;
    segments = reallocarray(s->segments, n, sizeof(*segments));
    if (!segments)
        return false;
    s->segments = segments;
    s->n_allocated = n;
    return true;
}

void shares_add(struct shares *s, int slot, bool event, uint64_t start, uint64_t end)
{
    struct share *share = shares_of(s, slot);
    struct share_segment *last =
        s->n_segments > 0 ? s->segments + s->first_segment + s->n_segments - 1 : NULL;

    if (!share)
        return;
    if (last && last->end == start && last->slot == slot && last->event == event) {
        last->end = end;
    } else {
        if (!make_room(s))
            return;
        s->segments[s->first_segment + s->n_segments++] =
            (struct share_segment){.start = start, .end = end, .slot = slot, .event = event};
    }
    *(event ? &share->events : &share->lines) += end - start;
}

/* A burst is over, and the next one is far. */
static void forget_segments(struct shares *s)
{
    s->first_segment = 0;
    if (s->n_allocated <= N_SEGMENTS)
        return;
    free(s->segments);
    s->segments = NULL;
    s->n_allocated = 0;
}

void shares_wrote(struct shares *s, uint64_t position)
{
    while (s->n_segments > 0) {
        struct share_segment *first = s->segments + s->first_segment;
        struct share *share = &s->slots[first->slot];
        uint64_t until = position < first->end ? position : first->end;

        if (position <= first->start)
            return;
        *(first->event ? &share->events : &share->lines) -= until - first->start;
        first->start = until;
        if (until < first->end)
            return;
        s->first_segment++;
        s->n_segments--;
    }
    forget_segments(s);
}

/* ---- backpressure ---------------------------------------------------------------------------- */

uint64_t shares_pause(const struct share *share, size_t used)
{
    size_t held = share ? share->lines : 0, left = room(false, used);

    if (held <= EASY && held <= left / 2)
        return 0;
    return left > SHARES_LINES / 5 * 2 ? PAUSE : left > SHARES_LINES / 4 ? 4 * PAUSE : 8 * PAUSE;
}
