/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stacks, cut from slabs and cached.
 *
 * A slab is one mapping of equal slots; the lowest pages of a slot are its guard. With
 * MADV_GUARD_INSTALL (Linux 6.13) a slab stays one VMA, so that vm.max_map_count bounds slabs and
 * not stacks; elsewhere the guards are mprotect()ed, two VMAs a slot. Slots come in classes of 128
 * KiB << n. Whoever has many slots advises the guards of further slabs in few calls of
 * process_madvise().
 *
 * The user's object (the task) lies at the top of the slot's highest page and the stack begins
 * below it: a shallow parked task touches one page. Tops are coloured, i.e. moved down by a
 * multiple of 64 bytes that differs from slot to slot, since equal page offsets would all fall into
 * one set of the first-level cache.
 *
 * Free slots are kept in an array, last in first out, which always has room for every slot there
 * is: stack_free() cannot fail. Slots that have lain unused between two calls of stacks_trim() give
 * their pages back. Slabs are unmapped with the stacks.
 */

#include "macros.h"

#define STACK_GUARD         ((size_t)4 * 4096) /* a frame smaller than this cannot skip it */
#define STACK_CLASSES       11                 /* 128 KiB .. 128 MiB */
#define STACK_CLASS_BASE    ((size_t)128 * 1024)
#define STACK_DEFAULT_SIZE  ((size_t)256 * 1024)
#define STACK_DEFAULT_CLASS 1

struct stack_slab {
    struct stack_slab *next;
    char *base;
    size_t slot_size;
    uint32_t n_slots;
    unsigned valgrind_ids[]; /* of the slots' stacks, where it watches */
};

struct stack_class {
    void **free; /* objects of free slots; [0, n_clean) have given back their pages */
    uint32_t n_free, n_clean;
    uint32_t n_low; /* least n_free since the last trim */
    uint32_t capacity;
    uint32_t n_slots;
};

struct stacks {
    struct stack_class classes[STACK_CLASSES];
    struct stack_slab *slabs;
    size_t object_size;
    uint8_t guard;      /* how guards are made on this kernel */
    uint8_t guard_many; /* and whether many can be made in one call */
};

int stacks_init(struct stacks *s, size_t object_size);
void stacks_done(struct stacks *s);

/* The class for a stack of size bytes, negative errno where there is none. */
int stack_class_of(size_t size);
/*
 * More slots for a class whose free array is empty. -ENOMEM; -EAGAIN: vm.max_map_count is used up.
 */
int stacks_grow(struct stacks *s, unsigned class);

/*
 * The object at the top of a free slot; NULL and *ret_error if none could be made. Its memory is
 * zero, or contains what the slot's last user left.
 */
static inline void *stack_alloc(struct stacks *s, unsigned class, int *ret_error)
{
    struct stack_class *c = s->classes + class;

    if (unlikely(c->n_free == 0)) {
        int r = stacks_grow(s, class);

        if (r < 0) {
            *ret_error = r;
            return NULL;
        }
    }
    if (unlikely(--c->n_free < c->n_low))
        c->n_low = c->n_free;
    if (unlikely(c->n_free < c->n_clean))
        c->n_clean = c->n_free;
    if (c->n_free >= 4) {
        const char *soon = c->free[c->n_free - 4];

        __builtin_prefetch(soon, 1);
        __builtin_prefetch(soon + 64, 1);
        __builtin_prefetch(soon + 128, 1);
        __builtin_prefetch(soon + 192, 1);
    }
    return c->free[c->n_free];
}

static inline void stack_free(struct stacks *s, unsigned class, void *object)
{
    struct stack_class *c = s->classes + class;

    c->free[c->n_free++] = object;
}

static inline size_t stack_class_size(unsigned class)
{
    return STACK_CLASS_BASE << class;
}

/* The lowest usable address of the stack under object. */
static inline void *stack_bottom(const void *object, unsigned class)
{
    uintptr_t top = ROUND_UP((uintptr_t)object, 4096);

    return (void *)(top - stack_class_size(class) + STACK_GUARD);
}

/* Whether a trim could release more than a handful of pages, now or soon. */
static inline bool stacks_worth_trimming(const struct stacks *s)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < STACK_CLASSES; i++)
        n += s->classes[i].n_free - s->classes[i].n_clean;
    return n > 4;
}

/* The object of a slot, free or not. */
void *stack_slot_object(const struct stacks *s, const struct stack_slab *slab, uint32_t i);

/* Whether a slot is in use. */
bool stacks_used(const struct stacks *s);

/* Returns the pages of slots that were not needed since the last call to the kernel. */
void stacks_trim(struct stacks *s);

/*
 * Whether address lies in a guard. Returns the object of that slot, which may be free.
 * Async-signal-safe.
 */
void *stacks_find_guard(struct stacks *s, const void *address);
