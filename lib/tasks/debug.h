/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The tree of a loop's scopes and tasks, from top to bottom: below a scope lie the root scopes of
 * its tasks, then its task sets, then the scope that its owner has entered inside it. No recursion:
 * a tree may be as deep as there are tasks.
 */

#include "state.h"

struct walk {
    struct ait_scope *scope; /* NULL: the end */
    unsigned depth;
};

static inline struct walk walk_begin(struct ait_loop *loop)
{
    return (struct walk){.scope = &loop->root};
}

void walk_next(struct walk *w);

/* The task whose life the scope is, NULL where it is none. */
static inline struct ait_task *walk_task(const struct walk *w)
{
    return w->scope->is_root ? w->scope->owner : NULL;
}

/* What a stack has touched, both in bytes. */
int walk_stack_use(int pagemap, const struct ait_task *t, size_t *ret_depth, size_t *ret_resident);
/* For the former; negative where there is none: then it asks mincore(2). */
int walk_pagemap_open(void);
