/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drain.h"

bool drain_look(struct drain *d, size_t pending, bool accepts, uint64_t now, uint64_t moment)
{
    if (!d->begun)
        *d = (struct drain){.begun = true, .end = now + DRAIN_LIMIT, .left = SIZE_MAX};
    if (!accepts)
        d->end = now + DRAIN_LIMIT;
    if (pending == 0 && d->left > 0)
        d->empty_since = now;
    if (pending < d->left || !accepts)
        d->accepted_at = now;
    d->left = pending;
    if (pending == 0)
        return now - d->empty_since >= moment;
    return now >= d->end || now - d->accepted_at >= DRAIN_PATIENCE;
}

uint64_t drain_next(const struct drain *d, uint64_t now, uint64_t moment)
{
    uint64_t over = d->left == 0 ? d->empty_since + moment : d->end;

    return over < now + DRAIN_PAUSE ? over : now + DRAIN_PAUSE;
}
