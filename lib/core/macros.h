/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every file of the library uses: branch hints, container_of, the intrusive list.
 *
 * The list is circular with a head of the same type; a link that is in no list points to itself. It
 * owns nothing.
 */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)      __builtin_expect(!!(x), 1)
#define unlikely(x)    __builtin_expect(!!(x), 0)
#define always_inline  inline __attribute__((always_inline))
#define cold           __attribute__((cold, noinline))
#define ARRAY_SIZE(a)  (sizeof(a) / sizeof(*(a)))
#define ROUND_UP(n, m) (((n) + (m)-1) / (m) * (m))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_append(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

/* Removes l from its list. Has no effect if it is in none. */
static inline void list_remove(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

/* Moves all entries of from to the end of head. */
static inline void list_splice(struct list *head, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = head->prev;
    head->prev->next = from->next;
    from->prev->next = head;
    head->prev = from->prev;
    list_init(from);
}
