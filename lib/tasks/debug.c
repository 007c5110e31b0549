/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <aiotools-sd/debug.h>

#include "taskset.h"
#include "current.h"
#include "debug.h"

#define PAGE            ((size_t)4096)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define BATCH           64 /* pages that are asked for at once: a stack of the usual size */

/* ---- the tree -------------------------------------------------------------------------------- */

static struct ait_scope *child_from(const struct ait_scope *s, uint32_t i)
{
    for (; i < s->n_children; i++)
        if (s->children[i])
            return &s->children[i]->root;
    return NULL;
}

static struct ait_scope *set_from(const struct ait_scope *s, const struct list *l)
{
    return l != &s->extra->sets ? &container_of(l, struct ait_taskset, link)->scope : NULL;
}

static struct ait_scope *first_set(const struct ait_scope *s)
{
    return s->flags & SCOPE_HAS_SETS ? set_from(s, s->extra->sets.next) : NULL;
}

static struct ait_scope *first_below(const struct ait_scope *s)
{
    struct ait_scope *x = child_from(s, 0);

    x = x ? x : first_set(s);
    return x ? x : s->inner;
}

/* What lies under s's parent after s. */
static struct ait_scope *next_beside(const struct ait_scope *s)
{
    const struct ait_scope *parent = s->parent;
    struct ait_scope *x = NULL;

    if (s == parent->inner)
        return NULL;
    if (s->flags & SCOPE_OF_SET) {
        x = set_from(parent, container_of(s, struct ait_taskset, scope)->link.next);
    } else {
        x = child_from(parent, s->owner->index + 1);
        x = x ? x : first_set(parent);
    }
    return x ? x : parent->inner;
}

void walk_next(struct walk *w)
{
    struct ait_scope *s = w->scope, *x = first_below(s);

    if (x) {
        w->scope = x;
        w->depth++;
        return;
    }
    for (; s->parent; s = s->parent, w->depth--) {
        x = next_beside(s);
        if (x) {
            w->scope = x;
            return;
        }
    }
    w->scope = NULL;
}

AIT_PUBLIC int ait_loop_foreach_task(ait_loop *loop, ait_task_cb cb, void *userdata)
{
    int r;

    if (!loop || !cb)
        return -EINVAL;
    LOOP_CHECK(loop);
    for (struct walk w = walk_begin(loop); w.scope; walk_next(&w)) {
        struct ait_task *t = walk_task(&w);

        r = t ? cb(t, userdata) : 0;
        if (r != 0)
            return r;
    }
    return 0;
}

AIT_PUBLIC int ait_loop_foreach_taskset(ait_loop *loop, ait_taskset_cb cb, void *userdata)
{
    int r = 0;

    if (!loop || !cb)
        return -EINVAL;
    LOOP_CHECK(loop);
    for (struct walk w = walk_begin(loop); w.scope && r == 0; walk_next(&w)) {
        struct ait_taskset *set = container_of(w.scope, struct ait_taskset, scope);

        if ((w.scope->flags & SCOPE_OF_SET) && !taskset_is_private(set))
            r = cb(set, userdata);
    }
    return r;
}

/* ---- stacks ---------------------------------------------------------------------------------- */

int walk_pagemap_open(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

/* Which of n pages from address on are there. */
static int pages_touched(int pagemap, const char *address, size_t n, bool *ret)
{
    unsigned char resident[BATCH];
    uint64_t entries[BATCH];
    off_t offset = (off_t)((uintptr_t)address / PAGE * sizeof(*entries));

    if (pagemap >= 0) {
        if (pread(pagemap, entries, n * sizeof(*entries), offset) !=
            (ssize_t)(n * sizeof(*entries)))
            return -EOPNOTSUPP;
        for (size_t i = 0; i < n; i++)
            ret[i] = entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED);
        return 0;
    }
    if (mincore((void *)address, n * PAGE, resident) < 0)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < n; i++)
        ret[i] = resident[i] & 1;
    return 0;
}

int walk_stack_use(int pagemap, const struct ait_task *t, size_t *ret_depth, size_t *ret_resident)
{
    const char *bottom = stack_bottom(t, t->class), *deepest = NULL;
    size_t n_pages = (stack_class_size(t->class) - STACK_GUARD) / PAGE, resident = 0;
    bool touched[BATCH];
    int r;

    for (size_t i = 0, n; i < n_pages; i += n) {
        n = n_pages - i < BATCH ? n_pages - i : BATCH;
        r = pages_touched(pagemap, bottom + i * PAGE, n, touched);
        if (r < 0)
            return r;
        for (size_t k = 0; k < n; k++) {
            if (!touched[k])
                continue;
            if (!deepest)
                deepest = bottom + (i + k) * PAGE;
            resident++;
        }
    }
    *ret_depth = deepest ? (size_t)(bottom + n_pages * PAGE - deepest) : 0;
    *ret_resident = resident * PAGE;
    return 0;
}

struct census {
    int pagemap;
    ait_stack_cb cb;
    void *userdata;
};

static int census_task(ait_task *t, void *userdata)
{
    struct census *c = userdata;
    ait_stack_use use = {.size = sizeof(use), .task = t, .stack_size = stack_class_size(t->class)};
    int r;

    r = walk_stack_use(c->pagemap, t, &use.depth, &use.resident);
    return r < 0 ? r : c->cb(&use, c->userdata);
}

AIT_PUBLIC int ait_loop_foreach_stack(ait_loop *loop, ait_stack_cb cb, void *userdata)
{
    struct census c = {.cb = cb, .userdata = userdata};
    int r;

    if (!loop || !cb)
        return -EINVAL;
    LOOP_CHECK(loop);
    c.pagemap = walk_pagemap_open();
    r = ait_loop_foreach_task(loop, census_task, &c);
    if (c.pagemap >= 0)
        (void)close(c.pagemap);
    return r;
}
