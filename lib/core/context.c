/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fortified longjmp takes a jump to another stack for an attack. */
#undef _FORTIFY_SOURCE

#include <pthread.h>
#include <signal.h>

#include "context.h"

#if defined(__x86_64__)

static void modes_save(uint32_t mode[2])
{
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mode[0]), "=m"(mode[1]));
}

#elif defined(__aarch64__)

static void modes_save(uint32_t mode[2])
{
    uint64_t fpcr;

    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __builtin_memcpy(mode, &fpcr, sizeof(fpcr));
}

#else

/* Elsewhere the floating point modes stay the thread's. */
static void modes_save(uint32_t mode[2])
{
}

#endif

#if defined(AIT_CONTEXT_PORTABLE)

/* setjmp() leaves them out. */
static void modes_load(const uint32_t mode[2])
{
#if defined(__x86_64__)
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mode[0]), "m"(mode[1]));
#elif defined(__aarch64__)
    uint64_t fpcr;

    __builtin_memcpy(&fpcr, mode, sizeof(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
#endif
}

void context_jump(struct context *from, struct context *to)
{
    modes_save(from->fpmode);
    if (_setjmp(from->regs) != 0) {
        modes_load(from->fpmode);
        return;
    }
    if (to->fresh) {
        ucontext_t *fresh = to->fresh;

        to->fresh = NULL;
        modes_load(to->fpmode);
        /* It would put back the mask of the time when the context was made. */
        (void)pthread_sigmask(SIG_SETMASK, NULL, &fresh->uc_sigmask);
        setcontext(fresh);
    }
    _longjmp(to->regs, 1);
}

static void prepare(struct context *ctx, void *bottom, void *top)
{
    /* Read once, by the first setcontext(), before anything runs on the new stack: so it may lie on that stack. */
    ucontext_t *fresh = (ucontext_t *)((char *)top - 8192);

    getcontext(fresh);
    fresh->uc_link = NULL;
    fresh->uc_stack.ss_sp = bottom;
    fresh->uc_stack.ss_size = (size_t)((char *)top - (char *)bottom);
    makecontext(fresh, context_main, 0);
    ctx->fresh = fresh;
    modes_save(ctx->fpmode);
}

#else

/* The end of the unwinder's way: no return address. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".type context_begin, @function\n"
        "context_begin:\n\t"
        ".cfi_startproc\n\t"
        ".cfi_undefined rip\n\t"
        "endbr64\n\t"
        "xorl %ebp, %ebp\n\t"
        "call context_main\n\t"
        "ud2\n\t"
        ".cfi_endproc\n"
        ".size context_begin, .-context_begin\n");
#else
__asm__(".text\n"
        ".type context_begin, %function\n"
        "context_begin:\n\t"
        ".cfi_startproc\n\t"
        ".cfi_undefined x30\n\t"
        "hint #36\n\t"
        "mov x29, xzr\n\t"
        "mov x30, xzr\n\t"
        "bl context_main\n\t"
        "brk #1\n\t"
        ".cfi_endproc\n"
        ".size context_begin, .-context_begin\n");
#endif

__attribute__((visibility("hidden"))) void context_begin(void);

static void prepare(struct context *ctx, void *bottom, void *top)
{
    ctx->sp = top;
    ctx->ip = (void *)context_begin;
    ctx->bp = NULL;
    modes_save(ctx->fpmode);
}

#endif

void context_init(struct context *ctx, void *bottom, void *top)
{
    prepare(ctx, bottom, top);
#ifdef CONTEXT_ASAN
    ctx->fake_stack = NULL;
    ctx->stack_bottom = bottom;
    ctx->stack_size = (size_t)((char *)top - (char *)bottom);
#endif
#ifdef CONTEXT_TSAN
    /* The one of the stack's former user could not be destroyed while it was running. */
    if (ctx->tsan_fiber)
        __tsan_destroy_fiber(ctx->tsan_fiber);
    ctx->tsan_fiber = __tsan_create_fiber(0);
#endif
}

void context_init_thread(struct context *ctx)
{
#ifdef AIT_CONTEXT_PORTABLE
    ctx->fresh = NULL;
#endif
#ifdef CONTEXT_ASAN
    pthread_attr_t attr;
    void *bottom = NULL;
    size_t size = 0;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstack(&attr, &bottom, &size);
        (void)pthread_attr_destroy(&attr);
    }
    ctx->fake_stack = NULL;
    ctx->stack_bottom = bottom;
    ctx->stack_size = size;
#endif
#ifdef CONTEXT_TSAN
    ctx->tsan_fiber = __tsan_get_current_fiber();
#endif
}
