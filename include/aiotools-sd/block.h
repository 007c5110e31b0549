/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_BLOCK_H
#define AIT_BLOCK_H

/*
 * Blocks of code with a limit of time, or out of cancellation's reach.
 *
 *     int r;
 *
 *     AIT_MOVE_ON_AFTER(r, 2 * AIT_USEC_PER_SEC)
 *             r = fetch(&page);
 *     if (r < 0)
 *             return r;
 *
 *     AIT_SHIELD(AIT_USEC_PER_SEC) {
 *             (void)ait_write_all(fd, "BYE\n", 4, NULL);
 *             (void)ait_close(fd);
 *     }
 *
 * Each is a scope of its own (scope.h), entered and exited around the statement that follows. Tasks that are spawned in it are waited for at its
 * end; where it is left by break, goto or return they are cancelled first. Like a loop that runs once: break and continue leave the block,
 * not the loop around it. longjmp() out of it is an error.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/defer.h>
#include <aiotools-sd/scope.h>

AIT_BEGIN_DECLS

/* What lies in the frame; its members are the library's. Frozen. */
typedef struct ait_block {
    ait_scope *scope;
    int *result;
    int state;
} ait_block;

/* What the macros below are made of. Enters a scope at the first call and returns 1; exits it at the second and returns 0, as where it could not be entered. */
int ait_block_next(ait_block *block, unsigned flags, uint64_t usec);
/* Exits what has not been exited, its tasks cancelled. */
void ait_block_end(ait_block *block);

#define AIT_BLOCK_(r, flags, usec) AIT_BLOCK__(AIT_UNIQUE(ait_block_), r, flags, usec)
#define AIT_BLOCK__(name, r, flags, usec)                                                                    \
    for (AIT_CLEANUP(ait_block_end) ait_block name = {NULL, &(r), 0}; ait_block_next(&name, (flags), (usec));)

/*
 * Runs the statement for at most usec; then everything in it is cancelled. r, an int variable, is the result: 0 to begin with, set by the
 * statement, and at its end what ait_scope_exit() makes of it: a success stays; where time had run out -ECANCELED becomes 0 for AIT_MOVE_ON_AFTER
 * and -ETIME for AIT_TIMEOUT; -ECANCELED from outside stays. Where the scope cannot be entered (-ENOMEM, -EPERM outside tasks) r says so, and the statement
 * does not run. ait_scope_current() in it is the scope, for who wants to move its deadline.
 */
#define AIT_MOVE_ON_AFTER(r, usec) AIT_BLOCK_(r, AIT_SCOPE_MOVE_ON, usec)
#define AIT_TIMEOUT(r, usec)       AIT_BLOCK_(r, 0, usec)

/*
 * Runs the statement where cancellation from outside does not come in, for usec at most (AIT_USEC_INFINITY: for ever): AIT_SHIELD_CLEANUP() for a part of
 * a block. The statement runs in any case; outside tasks, and where there is no memory, without a shield.
 */
#define AIT_SHIELD(usec) AIT_SHIELD_(AIT_UNIQUE(ait_once_), AIT_UNIQUE(ait_shield_), usec)
#define AIT_SHIELD_(once, shield, usec)                                                                      \
    for (int once = 1; once; once = 0)                                                                       \
        for (AIT_CLEANUP(ait_scope_leavep) ait_scope *shield = ait_shield_enter(usec); once;                 \
             once = ((void)ait_scope_exit(shield, 0), 0))

AIT_END_DECLS

#endif
