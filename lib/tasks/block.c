/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/block.h>

enum { BLOCK_NEW, BLOCK_ENTERED, BLOCK_OVER };

static void block_exit(ait_block *b)
{
    *b->result = ait_scope_exit(b->scope, *b->result);
    b->scope = ait_scope_leave(b->scope);
    b->state = BLOCK_OVER;
}

AIT_PUBLIC int ait_block_next(ait_block *block, unsigned flags, uint64_t usec)
{
    if (block->state == BLOCK_NEW) {
        *block->result = ait_scope_enter_after(&block->scope, flags, usec);
        block->state = *block->result < 0 ? BLOCK_OVER : BLOCK_ENTERED;
    } else if (block->state == BLOCK_ENTERED) {
        block_exit(block);
    }
    return block->state == BLOCK_ENTERED;
}

AIT_PUBLIC void ait_block_end(ait_block *block)
{
    if (block->state != BLOCK_ENTERED)
        return;
    (void)ait_scope_abort(block->scope);
    block_exit(block);
}
