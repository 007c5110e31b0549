/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bare.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

struct bare_fiber **bare_ring;
uint32_t bare_head, bare_tail, bare_mask;
struct bare_fiber *bare_current;

static struct bare_fiber caller;
static struct bare_fiber **cache; /* of fibers that have ended, or never began: LIFO */
static size_t n_cache;

struct bare_fiber *bare_idle(void)
{
    return &caller;
}

static void lay_out(char *stacks, size_t i)
{
    char *top = stacks + (i + 1) * BARE_STACK_SIZE;
    struct bare_fiber *f;

    /* Colouring: at equal offsets all fibers would fight for the same few cache sets. */
    top -= (i % 16) * 64;
    f = (struct bare_fiber *)(top - 64);
    cache[n_cache++] = f;
}

int bare_init(size_t n)
{
    size_t ring = 64;
    char *stacks;

    while (ring < n + 2)
        ring *= 2;
    bare_mask = (uint32_t)ring - 1;
    bare_ring = calloc(ring, sizeof(*bare_ring));
    cache = calloc(n, sizeof(*cache));
    stacks = mmap(NULL, n * BARE_STACK_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (!bare_ring || !cache || stacks == MAP_FAILED)
        return -ENOMEM;
    (void)madvise(stacks, n * BARE_STACK_SIZE, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < n; i++)
        lay_out(stacks, n - 1 - i);
    bare_current = &caller;
    return 0;
}

static void entry(void)
{
    struct bare_fiber *self = bare_current;

    self->fn(self->argument);
    cache[n_cache++] = self;
    bare_suspend();
    __builtin_unreachable();
}

void bare_spawn(void (*fn)(void *argument), void *argument)
{
    struct bare_fiber *f = cache[--n_cache];

    f->sp = (char *)f - 8; /* as after a call */
    f->ip = (void *)entry;
    f->fn = fn;
    f->argument = argument;
    bare_make_ready(f);
}

void bare_run(void)
{
    while (bare_head != bare_tail)
        bare_suspend();
}
