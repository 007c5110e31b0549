/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The context switch, for each of its implementations: x86-64, aarch64 (under an emulator),
 * portable. Uses nothing but context.c and libc, so that it can be built for a machine that has
 * none of our dependencies.
 */

#include <fenv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(bottom, top) ((void)(bottom), (void)(top), 0)
#define VALGRIND_STACK_DEREGISTER(id)        ((void)(id))
#endif

#include "context.h"

#define STACK_SIZE ((size_t)256 * 1024)
#define N_FIBERS   64
#define N_ROUNDS   200

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

struct fiber {
    struct context context;
    void (*fn)(struct fiber *f);
    char *stack;
    unsigned valgrind_id;
    unsigned count;
    bool ended;
};

static struct context thread_context;
static struct fiber *current;
static volatile sig_atomic_t n_signals;

/* ---- a scheduler of three lines -------------------------------------------------------------- */

void context_main(void)
{
    struct fiber *f = current;

    context_entered();
    f->fn(f);
    f->ended = true;
    context_leave(&thread_context);
}

static void fiber_init(struct fiber *f, void (*fn)(struct fiber *f))
{
    if (!f->stack) {
        f->stack = calloc(1, STACK_SIZE);
        CHECK(f->stack);
        f->valgrind_id = VALGRIND_STACK_REGISTER(f->stack, f->stack + STACK_SIZE - 1);
    }
    f->fn = fn;
    f->ended = false;
    context_init(&f->context, f->stack, f->stack + STACK_SIZE - 64); /* as below a task */
}

static void fiber_resume(struct fiber *f)
{
    current = f;
    context_switch(&thread_context, &f->context);
    current = NULL;
}

static void fiber_suspend(struct fiber *f)
{
    context_switch(&f->context, &thread_context);
}

static void fiber_done(struct fiber *f)
{
    CHECK(f->ended);
    VALGRIND_STACK_DEREGISTER(f->valgrind_id);
    free(f->stack);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void count(struct fiber *f)
{
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        CHECK(f->count == i);
        f->count++;
        fiber_suspend(f);
    }
}

static void test_ring(void)
{
    static struct fiber fibers[N_FIBERS];

    for (unsigned i = 0; i < N_FIBERS; i++)
        fiber_init(fibers + i, count);
    for (unsigned k = 0; k <= N_ROUNDS; k++)
        for (unsigned i = 0; i < N_FIBERS; i++)
            fiber_resume(fibers + i);
    for (unsigned i = 0; i < N_FIBERS; i++) {
        CHECK(fibers[i].count == N_ROUNDS);
        fiber_done(fibers + i);
    }
}

/* More values than there are registers, integer and floating, live across a switch. */
static void keep_values(struct fiber *f)
{
    uint64_t n[24];
    double d[40];

    for (unsigned k = 0; k < N_ROUNDS; k++) {
        for (unsigned i = 0; i < ARRAY_SIZE(n); i++)
            n[i] = (uint64_t)f->count * 1000003 + i * k;
        for (unsigned i = 0; i < ARRAY_SIZE(d); i++)
            d[i] = f->count * 0.5 + i * k;
        fiber_suspend(f);
        for (unsigned i = 0; i < ARRAY_SIZE(n); i++)
            CHECK(n[i] == (uint64_t)f->count * 1000003 + i * k);
        for (unsigned i = 0; i < ARRAY_SIZE(d); i++)
            CHECK(d[i] == f->count * 0.5 + i * k);
    }
}

static void test_values(void)
{
    struct fiber a = {.count = 1}, b = {.count = 77};
    double sum = 0.0;

    fiber_init(&a, keep_values);
    fiber_init(&b, keep_values);
    for (unsigned i = 0; i <= N_ROUNDS; i++) {
        double before = sum;

        fiber_resume(&a);
        CHECK(sum == before);
        fiber_resume(&b);
        sum += 0.25;
    }
    CHECK(sum == 0.25 * (N_ROUNDS + 1));
    fiber_done(&a);
    fiber_done(&b);
}

static bool modes_count; /* to Valgrind they do not */

/* Where there are two units with a mode each, fegetround() looks at one of them, arithmetic at the
 * other. */
static bool rounds_up(void)
{
    volatile double one = 1.0, tiny = 1e-30;

    return one + tiny > one;
}

static void round_up(struct fiber *f)
{
    CHECK(fegetround() == FE_TONEAREST && !rounds_up());
    CHECK(fesetround(FE_UPWARD) == 0);
    CHECK(rounds_up() == modes_count);
    fiber_suspend(f);
    CHECK(fegetround() == FE_UPWARD && rounds_up() == modes_count);
    CHECK(fesetround(FE_TONEAREST) == 0);
}

/* The mode belongs to the context, not to the thread. */
static void test_rounding(void)
{
    struct fiber f = {};

    CHECK(fesetround(FE_UPWARD) == 0);
    modes_count = rounds_up();
    CHECK(fesetround(FE_TONEAREST) == 0);
    fiber_init(&f, round_up);
    fiber_resume(&f);
    CHECK(fegetround() == FE_TONEAREST && !rounds_up());
    CHECK(fesetround(FE_DOWNWARD) == 0);
    fiber_resume(&f);
    CHECK(fegetround() == FE_DOWNWARD && !rounds_up());
    CHECK(fesetround(FE_TONEAREST) == 0);
    fiber_done(&f);
}

static __attribute__((noinline)) unsigned deep(struct fiber *f, unsigned depth)
{
    volatile char frame[256];
    unsigned below;

    memset((char *)frame, (int)depth, sizeof(frame));
    if (depth == 0) {
        fiber_suspend(f);
        return 0;
    }
    below = deep(f, depth - 1);
    for (unsigned i = 0; i < sizeof(frame); i++)
        CHECK((unsigned char)frame[i] == (unsigned char)depth);
    return below + 1;
}

static void recurse(struct fiber *f)
{
    f->count = deep(f, 200);
}

static void test_deep(void)
{
    struct fiber f = {};

    fiber_init(&f, recurse);
    fiber_resume(&f);
    fiber_resume(&f);
    CHECK(f.count == 200);
    fiber_done(&f);
}

static void at_entry(struct fiber *f)
{
    /* Aligned spills and alloca() fail otherwise. */
    _Alignas(16) volatile char aligned[32];
    char *p = __builtin_alloca(100), text[64];

    aligned[0] = 1;
    CHECK((uintptr_t)aligned % 16 == 0);
    CHECK((uintptr_t)__builtin_frame_address(0) % 16 == 0);
    memset(p, 1, 100);
    CHECK(p[99] == 1);
    /* A double in varargs is saved with instructions that want alignment. */
    (void)snprintf(text, sizeof(text), "%.3f %Lf", 1.5, 2.5L);
    CHECK(strcmp(text, "1.500 2.500000") == 0);
}

static void test_entry(void)
{
    struct fiber f = {};

    fiber_init(&f, at_entry);
    fiber_resume(&f);
    /* Again, on the memory of a context that has ended. */
    fiber_init(&f, at_entry);
    fiber_resume(&f);
    fiber_done(&f);
}

static _Unwind_Reason_Code one_frame(struct _Unwind_Context *context, void *userdata)
{
    unsigned *n = userdata;

    return ++*n < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void unwind(struct fiber *f)
{
    (void)_Unwind_Backtrace(one_frame, &f->count);
}

/* Debuggers, profilers and pthread_exit() walk the stack: it has an end. */
static void test_unwind(void)
{
    struct fiber f = {};

    fiber_init(&f, unwind);
    fiber_resume(&f);
    CHECK(f.count >= 2 && f.count < 50);
    fiber_done(&f);
}

static void on_signal(int signo)
{
    n_signals++;
}

static void take_signal(struct fiber *f)
{
    CHECK(raise(SIGUSR1) == 0);
    fiber_suspend(f);
    CHECK(raise(SIGUSR1) == 0);
}

static void test_signal(void)
{
    struct fiber f = {};

    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
    fiber_init(&f, take_signal);
    fiber_resume(&f);
    fiber_resume(&f);
    CHECK(n_signals == 2);
    fiber_done(&f);
}

static void look_at_mask(struct fiber *f)
{
    sigset_t set;

    CHECK(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    f->count = sigismember(&set, SIGUSR2) == 1;
}

/* The signal mask is the thread's: a context that was made before a change does not undo it. */
static void test_mask(void)
{
    struct fiber f = {};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    fiber_init(&f, look_at_mask);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    fiber_resume(&f);
    CHECK(f.count == 1);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    fiber_done(&f);
}

static struct fiber ping, pong;

static void play(struct fiber *f)
{
    struct fiber *other = f == &ping ? &pong : &ping;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        f->count++;
        current = other;
        context_switch(&f->context, &other->context);
    }
}

/* From fiber to fiber, the first switch to a new one included; the thread's context is only the end
 * of it. */
static void test_direct(void)
{
    fiber_init(&ping, play);
    fiber_init(&pong, play);
    while (!ping.ended || !pong.ended)
        fiber_resume(ping.ended ? &pong : &ping);
    CHECK(ping.count == N_ROUNDS && pong.count == N_ROUNDS);
    fiber_done(&ping);
    fiber_done(&pong);
}

int main(void)
{
    context_init_thread(&thread_context);
    test_ring();
    test_values();
    test_rounding();
    test_deep();
    test_entry();
    test_unwind();
    test_signal();
    test_mask();
    test_direct();
    return 0;
}
