/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The server before this one, if it was killed (kill -9) a moment ago: until its guardian has ended
 * its workers, they hold ports, paths and locks. Whoever starts waits for that.
 */

#include <stdbool.h>
#include <stdint.h>

#include "process/process-names.h"

struct predecessor {
    uint64_t since;            /* when the waiting began, in us; 0: not yet */
    uint64_t seen;             /* when a guardian was last seen to kill; 0: never */
    bool any;                  /* a guardian was seen, which may have gone since */
    struct process_names left; /* what was found in its control group, and killed */
    bool stuck;                /* some of it still lives */
};

/*
 * Something that we need is taken. Sleeps for a moment and returns true if it is worth another try:
 * for some seconds while a guardian kills, and for a moment after that, since a process that ends
 * is not seen any more before its locks are released; and for a moment where any stood guard, since
 * its supervisor may have been about to die. With is_lock, that moment is granted in any case. The
 * first time it is always worth another try: what was in the way may have gone before this look.
 * False also if a signal to us waits.
 */
bool predecessor_may_end(struct predecessor *p, bool is_lock);

/*
 * If it was killed together with its guardian: kills what it has left in its control group, which
 * the mark names (cgroup.h), and removes that. 1: there was something; 0: there was not.
 */
int predecessor_end_group(struct predecessor *p, const char *mark);
