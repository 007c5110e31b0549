/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_BLOCK_H
#define AIT_BLOCK_H

/*
 * Blocks of code with a time limit, or shielded from cancellation.
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
 * Each block is a scope of its own (scope.h), entered before and exited after the statement that
 * follows. At the end of the block its tasks are waited for. If the block is left by break, goto or
 * return, its tasks are cancelled first. A block is a loop that runs once: break and continue leave
 * the block, not the loop around it. Leaving it by longjmp() is an error.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/defer.h>
#include <aiotools-sd/scope.h>

AIT_BEGIN_DECLS

/* The block's state, in the frame. Its members belong to the library. Frozen. */
typedef struct ait_block {
    ait_scope *scope;
    int *result;
    int state;
} ait_block;

/*
 * Used by the macros below. The first call enters a scope and returns 1. The second call exits it
 * and returns 0. If the scope cannot be entered, the first call returns 0.
 */
int ait_block_next(ait_block *block, unsigned flags, uint64_t usec);
/* Exits the scope if that has not happened, and cancels its tasks. */
void ait_block_end(ait_block *block);

#define AIT_BLOCK_(r, flags, usec) AIT_BLOCK__(AIT_UNIQUE(ait_block_), r, flags, usec)
#define AIT_BLOCK__(name, r, flags, usec)                                                          \
    for (AIT_CLEANUP(ait_block_end) ait_block name = {NULL, &(r), 0};                              \
         ait_block_next(&name, (flags), (usec));)

/*
 * Runs the statement for at most usec, then cancels everything in it. r is an int variable that
 * receives the result. It is 0 at first, and the statement may set it. At the end it becomes what
 * ait_scope_exit() returns: a success stays; after the time limit -ECANCELED becomes 0 for
 * AIT_MOVE_ON_AFTER and -ETIME for AIT_TIMEOUT; -ECANCELED from outside stays. If the scope cannot
 * be entered (-ENOMEM, or -EPERM outside tasks), r is that error and the statement does not run.
 * Inside the statement ait_scope_current() is the scope, whose deadline may be moved.
 */
#define AIT_MOVE_ON_AFTER(r, usec) AIT_BLOCK_(r, AIT_SCOPE_MOVE_ON, usec)
#define AIT_TIMEOUT(r, usec)       AIT_BLOCK_(r, 0, usec)

/*
 * Runs the statement shielded from cancellation from outside, for at most usec (AIT_USEC_INFINITY:
 * no limit). AIT_SHIELD_CLEANUP() does the same for the rest of a block. The statement runs in any
 * case; outside tasks, and if memory is short, it runs without a shield.
 */
#define AIT_SHIELD(usec) AIT_SHIELD_(AIT_UNIQUE(ait_once_), AIT_UNIQUE(ait_shield_), usec)
#define AIT_SHIELD_(once, shield, usec)                                                            \
    for (int once = 1; once; once = 0)                                                             \
        for (AIT_CLEANUP(ait_scope_leavep) ait_scope *shield = ait_shield_enter(usec); once;       \
             once = ((void)ait_scope_exit(shield, 0), 0))

AIT_END_DECLS

#endif
