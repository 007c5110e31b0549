/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acceptance.h"

#define SEC  AIT_USEC_PER_SEC
#define MSEC AIT_USEC_PER_MSEC

#define SUSPICION (8 * SEC)
#define LIMIT     (10 * SEC)
#define PATIENCE  (60 * SEC)
#define N_CLOSE   100 /* close looks that make an accusation */
#define MANY      50  /* new connections among which an accepted one may go unseen */

enum acceptance_finding acceptance_look(struct acceptance *a, size_t waiting, bool full,
                                        uint64_t now)
{
    size_t before = a->waiting;
    bool suspected = a->n_close > 0;

    a->waiting = waiting;
    if (waiting == 0 || waiting < before || before == 0) {
        a->since = now;
        a->n_close = 0;
        a->came = 0;
        return waiting == 0 || waiting < before ? ACCEPTANCE_SEEN : ACCEPTANCE_UNKNOWN;
    }
    if (now - a->since < SUSPICION)
        return ACCEPTANCE_UNKNOWN;
    a->n_close++;
    if (!suspected)
        return ACCEPTANCE_SUSPICION;
    a->came += waiting - before;
    if (now - a->since < LIMIT || a->n_close < N_CLOSE)
        return ACCEPTANCE_UNKNOWN;
    return (a->came > MANY || full) && now - a->since < PATIENCE ? ACCEPTANCE_HIDDEN
                                                                 : ACCEPTANCE_NONE;
}

uint64_t acceptance_pause(const struct acceptance *a)
{
    if (a->waiting == 0)
        return 5 * SEC;
    if (a->stuck)
        return SEC / 2;
    if (a->n_close == 0)
        return SEC;
    return a->n_close < N_CLOSE ? 20 * MSEC : 200 * MSEC;
}
