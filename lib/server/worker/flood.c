/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "flood.h"

#define SEC UINT64_C(1000000)

static void leak(struct flood *f, uint64_t now)
{
    uint64_t gone = now - f->at < 60 * SEC ? (now - f->at) * FLOOD_RATE / SEC : UINT64_MAX;

    f->level = f->level > gone ? f->level - gone : 0;
    /* What is less than one notification is not lost. */
    f->at = f->level > 0 ? f->at + gone * SEC / FLOOD_RATE : now;
}

uint64_t flood_account(struct flood *f, unsigned n, bool more, uint64_t now)
{
    if (f->since == 0)
        f->since = now;
    leak(f, now);
    f->level += n;
    f->n += n;
    if (f->level > FLOOD_BURST) {
        f->level = FLOOD_BURST;
        f->pause = f->pause == 0                     ? FLOOD_PAUSE_MIN
                   : f->pause <= FLOOD_PAUSE_MAX / 2 ? 2 * f->pause
                                                     : FLOOD_PAUSE_MAX;
    } else if (!more && f->level <= FLOOD_BURST / 2) {
        f->pause = 0;
    }
    return f->pause;
}

bool flood_report(struct flood *f, uint64_t now, uint64_t *ret_n, uint64_t *ret_usec)
{
    if (f->pause == 0 || (f->told && now - f->since < FLOOD_SILENCE))
        return false;
    *ret_n = f->n;
    *ret_usec = now - f->since;
    f->told = true;
    f->n = 0;
    f->since = now;
    return true;
}

bool flood_may_say(struct flood_words *words, uint64_t now, unsigned *ret_unsaid)
{
    uint64_t seconds = (now - words->refilled) / SEC;

    if (words->refilled == 0) {
        words->left = FLOOD_WORDS;
        words->refilled = now;
    } else {
        words->left =
            seconds >= FLOOD_WORDS - words->left ? FLOOD_WORDS : words->left + (unsigned)seconds;
        words->refilled += seconds * SEC;
    }
    if (words->left == 0) {
        words->unsaid++;
        return false;
    }
    words->left--;
    *ret_unsaid = words->unsaid;
    words->unsaid = 0;
    return true;
}

uint64_t flood_spend(struct flood_time *f, uint64_t spent, unsigned share, uint64_t now)
{
    uint64_t paid = (now - f->at) / share;

    f->debt = f->debt > paid ? f->debt - paid : 0;
    f->debt += spent;
    f->at = now;
    return f->debt <= FLOOD_TIME_BURST ? 0 : (f->debt - FLOOD_TIME_BURST + FLOOD_TIME_STEP) * share;
}
