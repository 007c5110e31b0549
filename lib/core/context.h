/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A thread of control that can be suspended and resumed: stack pointer, instruction pointer, frame
 * pointer, floating-point modes.
 *
 * The switch is inline assembly that saves those and declares every other register clobbered, so
 * that the compiler keeps alive only what the call site needs. It is inlined into each suspending
 * call: one indirect jump per site is predicted well, while a shared switch function that is left
 * by a jump is not. A context does not own its stack and knows nothing of tasks. Only this module
 * reports switches to the sanitizers.
 */

#include "macros.h"

#if defined(__SANITIZE_ADDRESS__)
#define CONTEXT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONTEXT_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define CONTEXT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CONTEXT_TSAN 1
#endif

#if !defined(AIT_CONTEXT_PORTABLE) && !defined(__x86_64__) && !defined(__aarch64__)
#define AIT_CONTEXT_PORTABLE 1
#endif

#ifdef AIT_CONTEXT_PORTABLE
#include <setjmp.h>
#include <ucontext.h>
#endif

#ifdef CONTEXT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CONTEXT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct context {
#ifdef AIT_CONTEXT_PORTABLE
    jmp_buf regs;
    ucontext_t *fresh; /* on the new stack itself, until the first switch to it */
    uint32_t fpmode[2];
#else
    void *sp;
    void *ip;
    void *bp;
    uint32_t fpmode[2]; /* x86-64: MXCSR, x87 control word; aarch64: FPCR */
#endif
#ifdef CONTEXT_ASAN
    void *fake_stack;
    const void *stack_bottom;
    size_t stack_size;
#endif
#ifdef CONTEXT_TSAN
    void *tsan_fiber;
#endif
};

/* Fills in what the sanitizers need to come back to the calling thread's own stack. */
void context_init_thread(struct context *ctx);
/* Where contexts begin. Defined by the user of this module; never returns. */
__attribute__((noreturn)) void context_main(void);

#if defined(__x86_64__)

static always_inline void context_save_modes(uint32_t mode[2])
{
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mode[0]), "=m"(mode[1]));
}

#elif defined(__aarch64__)

static always_inline void context_save_modes(uint32_t mode[2])
{
    uint64_t fpcr;

    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __builtin_memcpy(mode, &fpcr, sizeof(fpcr));
}

#else

/* On other architectures the floating-point modes stay the thread's. */
static always_inline void context_save_modes(uint32_t mode[2])
{
}

#endif

#if defined(AIT_CONTEXT_PORTABLE)

void context_prepare(struct context *ctx, void *bottom, void *top);
void context_jump(struct context *from, struct context *to);
__attribute__((noreturn)) void context_goto(struct context *to);

#else

/* In assembly: goes on in context_main(). */
__attribute__((visibility("hidden"))) void context_begin(void);

static always_inline void context_prepare(struct context *ctx, void *bottom, void *top)
{
    ctx->sp = top;
    ctx->ip = (void *)context_begin;
    ctx->bp = NULL;
    context_save_modes(ctx->fpmode);
}

#if defined(__x86_64__)

#ifdef __AVX512F__
#define CONTEXT_CLOBBER_AVX512                                                                     \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5",  \
        "k6", "k7"
#else
#define CONTEXT_CLOBBER_AVX512
#endif

static always_inline void context_jump(struct context *from, struct context *to)
{
    __asm__ volatile(
        "leaq 1f(%%rip), %%rax\n\tmovq %%rsp, 0(%0)\n\tmovq %%rax, 8(%0)\n\tmovq %%rbp, "
        "16(%0)\n\tstmxcsr 24(%0)\n\tfnstcw 28(%0)\n\tmovq 8(%1), %%rax\n\tldmxcsr 24(%1)\n\tfldcw "
        "28(%1)\n\tmovq 0(%1), %%rsp\n\tmovq 16(%1), %%rbp\n\tjmp *%%rax\n"
        "1:\tendbr64\n"
        : "+D"(from), "+S"(to)
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
          "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15" CONTEXT_CLOBBER_AVX512, "st", "st(1)", "st(2)",
          "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5",
          "mm6", "mm7", "cc", "memory");
}

__attribute__((noreturn)) static always_inline void context_goto(struct context *to)
{
    __asm__ volatile(
        "ldmxcsr 24(%0)\n\tfldcw 28(%0)\n\tmovq 0(%0), %%rsp\n\tmovq 16(%0), %%rbp\n\tjmp *8(%0)\n"
        :
        : "S"(to)
        : "memory");
    __builtin_unreachable();
}

#elif defined(__aarch64__)

static always_inline void context_jump(struct context *from, struct context *to)
{
    register struct context *x0 __asm__("x0") = from;
    register struct context *x1 __asm__("x1") = to;

    /* Through x16, the register that a BTI landing pad accepts from any kind of target. */
    __asm__ volatile("mov x9, sp\n\tadr x10, 1f\n\tmrs x11, fpcr\n\tstp x9, x10, [x0]\n\tstr x29, "
                     "[x0, #16]\n\tstr x11, [x0, #24]\n\tldp x9, x16, [x1]\n\tldr x29, [x1, "
                     "#16]\n\tldr x11, [x1, #24]\n\tmsr fpcr, x11\n\tmov sp, x9\n\tbr x16\n"
                     "1:\thint #36\n"
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
                       "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6",
                       "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
                       "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
                       "v29", "v30", "v31", "cc", "memory");
}

__attribute__((noreturn)) static always_inline void context_goto(struct context *to)
{
    register struct context *x1 __asm__("x1") = to;

    __asm__ volatile("ldp x9, x16, [x1]\n\tldr x29, [x1, #16]\n\tldr x11, [x1, #24]\n\tmsr fpcr, "
                     "x11\n\tmov sp, x9\n\tbr x16\n"
                     :
                     : "r"(x1)
                     : "memory");
    __builtin_unreachable();
}

#endif
#endif

/*
 * Prepares ctx to begin in context_main(), with its stack pointer at top, which is 16-byte aligned.
 * bottom tells the sanitizers where the stack ends. The memory of ctx is zero, or was a context
 * before.
 */
static always_inline void context_init(struct context *ctx, void *bottom, void *top)
{
    context_prepare(ctx, bottom, top);
#ifdef CONTEXT_ASAN
    ctx->fake_stack = NULL;
    ctx->stack_bottom = bottom;
    ctx->stack_size = (size_t)((char *)top - (char *)bottom);
#endif
#ifdef CONTEXT_TSAN
    /* The fiber of the stack's former user could not be destroyed while it was running. */
    if (ctx->tsan_fiber)
        __tsan_destroy_fiber(ctx->tsan_fiber);
    ctx->tsan_fiber = __tsan_create_fiber(0);
#endif
}

/* Suspends from and resumes to. Returns when something switches back to from. */
static always_inline void context_switch(struct context *from, struct context *to)
{
#ifdef CONTEXT_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack_bottom, to->stack_size);
#endif
#ifdef CONTEXT_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    context_jump(from, to);
#ifdef CONTEXT_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

/* The same for a context that ends here. */
__attribute__((noreturn)) static always_inline void context_leave(struct context *to)
{
#ifdef CONTEXT_ASAN
    __sanitizer_start_switch_fiber(NULL, to->stack_bottom, to->stack_size);
#endif
#ifdef CONTEXT_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    context_goto(to);
}

/* Must be the first call of a new context. */
static always_inline void context_entered(void)
{
#ifdef CONTEXT_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}
