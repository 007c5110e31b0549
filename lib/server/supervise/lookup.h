/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a reload looks up may take as long as a name service or a file system likes. So a child
 * looks it up first: if that comes to an end, the reload begins, and looks it up again. If it does
 * not within --start-timeout, the reload is refused. Meanwhile all else goes on.
 */

#include "scheduler.h"

struct lookup {
    struct scheduler *scheduler;
    ait_scope *scope; /* that its task lives in; NULL: no task can be had any more */
    bool runs, again;
};

/* Asks for a reload. */
void lookup_reload(struct lookup *l);
