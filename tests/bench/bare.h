/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The limit: fibers and nothing else. A ring of ready fibers, stacks without guards that are never
 * given back, a switch of seven instructions. No scopes, no cancellation, no results, no errors, no
 * growth: whatever does more is slower, and by how much is what the benchmarks tell. x86-64 only;
 * elsewhere the programs say so and end with status 77.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
#define BARE_SUPPORTED 1
#else
#define BARE_SUPPORTED 0
#endif

#define BARE_STACK_SIZE (64 * 1024)

struct bare_fiber {
    void *sp, *ip, *bp;
    void (*fn)(void *argument);
    void *argument;
};

extern struct bare_fiber **bare_ring; /* of ready fibers, bare_mask + 1 places */
extern uint32_t bare_head, bare_tail, bare_mask;
extern struct bare_fiber *bare_current;

/* Room for n fibers at a time, beside the caller's own. */
int bare_init(size_t n);

/* Makes a fiber ready. It starts when the caller next yields. */
void bare_spawn(void (*fn)(void *argument), void *argument);

/* Runs until every fiber has ended or is parked; from the caller's own context only. */
void bare_run(void);

#if BARE_SUPPORTED
static inline __attribute__((always_inline)) void bare_switch(struct bare_fiber *from,
                                                              struct bare_fiber *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\tmovq %%rsp, 0(%0)\n\tmovq %%rax, 8(%0)\n\tmovq "
                     "%%rbp, 16(%0)\n\tmovq 0(%1), %%rsp\n\tmovq 16(%1), %%rbp\n\tjmp *8(%1)\n"
                     "1:\n\tendbr64"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                       "memory", "cc");
}
#else
static inline void bare_switch(struct bare_fiber *from, struct bare_fiber *to)
{
    (void)from;
    (void)to;
}
#endif

static inline void bare_make_ready(struct bare_fiber *f)
{
    bare_ring[bare_tail++ & bare_mask] = f;
}

/* The next ready fiber, or, where there is none, whoever called bare_run(). */
struct bare_fiber *bare_idle(void);

static inline __attribute__((always_inline)) void bare_suspend(void)
{
    struct bare_fiber *self = bare_current;
    struct bare_fiber *next =
        bare_head != bare_tail ? bare_ring[bare_head++ & bare_mask] : bare_idle();

    bare_current = next;
    bare_switch(self, next);
}

static inline __attribute__((always_inline)) void bare_yield(void)
{
    bare_make_ready(bare_current);
    bare_suspend();
}
