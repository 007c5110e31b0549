/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fortified longjmp takes a jump to another stack for an attack. */
#undef _FORTIFY_SOURCE

#include <pthread.h>
#include <signal.h>

#include "context.h"

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

void context_goto(struct context *to)
{
    if (to->fresh) {
        ucontext_t *fresh = to->fresh;

        to->fresh = NULL;
        modes_load(to->fpmode);
        /* It would restore the signal mask of the time when the context was made. */
        (void)pthread_sigmask(SIG_SETMASK, NULL, &fresh->uc_sigmask);
        setcontext(fresh);
    }
    _longjmp(to->regs, 1);
}

void context_jump(struct context *from, struct context *to)
{
    context_save_modes(from->fpmode);
    if (_setjmp(from->regs) != 0) {
        modes_load(from->fpmode);
        return;
    }
    context_goto(to);
}

void context_prepare(struct context *ctx, void *bottom, void *top)
{
    /*
     * Read once, by the first setcontext(), before anything runs on the new stack: so it may lie on
     * that stack.
     */
    ucontext_t *fresh = (ucontext_t *)((char *)top - 8192);

    getcontext(fresh);
    fresh->uc_link = NULL;
    fresh->uc_stack.ss_sp = bottom;
    fresh->uc_stack.ss_size = (size_t)((char *)top - (char *)bottom);
    makecontext(fresh, context_main, 0);
    ctx->fresh = fresh;
    context_save_modes(ctx->fpmode);
}

#else

/*
 * The end of the unwinder's way: there is no return address. context_main() is reached by a jump,
 * with a return address in place, and not by a call. It never returns, and each entry that a call
 * leaves in the processor's return predictor costs a later return a misprediction.
 */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl context_begin\n"
        ".hidden context_begin\n"
        ".type context_begin, @function\n"
        "context_begin:\n\t.cfi_startproc\n\t.cfi_undefined rip\n\tendbr64\n\txorl %ebp, "
        "%ebp\n\tleaq 1f(%rip), %rax\n\tpushq %rax\n\tjmp context_main\n\t1:\tud2\n\t.cfi_endproc\n"
        ".size context_begin, .-context_begin\n");
#else
__asm__(".text\n"
        ".globl context_begin\n"
        ".hidden context_begin\n"
        ".type context_begin, %function\n"
        "context_begin:\n\t.cfi_startproc\n\t.cfi_undefined x30\n\thint #36\n\tmov x29, xzr\n\tadr "
        "x30, 1f\n\tb context_main\n\t1:\tbrk #1\n\t.cfi_endproc\n"
        ".size context_begin, .-context_begin\n");
#endif

#endif

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
