/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * System calls without libc: for the child of a CLONE_VM clone, which shares its parent's memory,
 * thread descriptor and locks, and must not even set errno.
 *
 * raw_call() returns what the kernel returns: a negative errno on failure. RAW_CODE marks functions
 * that run in such a child: sanitizers would leave marks on a stack that is never returned from. On
 * architectures without our assembly, libc's syscall() is used, and errno is clobbered.
 */

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RAW_CODE __attribute__((no_sanitize("address", "undefined", "thread")))

#define RAW_ARG(x)                                      ((long)(x))
#define RAW_PICK(_1, _2, _3, _4, _5, _6, _7, name, ...) name
#define RAW_1(n)                                        raw_syscall(n, 0, 0, 0, 0, 0, 0)
#define RAW_2(n, a)                                     raw_syscall(n, RAW_ARG(a), 0, 0, 0, 0, 0)
#define RAW_3(n, a, b)                                  raw_syscall(n, RAW_ARG(a), RAW_ARG(b), 0, 0, 0, 0)
#define RAW_4(n, a, b, c)                               raw_syscall(n, RAW_ARG(a), RAW_ARG(b), RAW_ARG(c), 0, 0, 0)
#define RAW_5(n, a, b, c, d)                            raw_syscall(n, RAW_ARG(a), RAW_ARG(b), RAW_ARG(c), RAW_ARG(d), 0, 0)
#define RAW_6(n, a, b, c, d, e)                                                                    \
    raw_syscall(n, RAW_ARG(a), RAW_ARG(b), RAW_ARG(c), RAW_ARG(d), RAW_ARG(e), 0)
#define RAW_7(n, a, b, c, d, e, f)                                                                 \
    raw_syscall(n, RAW_ARG(a), RAW_ARG(b), RAW_ARG(c), RAW_ARG(d), RAW_ARG(e), RAW_ARG(f))
/* raw_call(SYS_close, fd): pointers and integers alike, up to six. */
#define raw_call(...)                                                                              \
    RAW_PICK(__VA_ARGS__, RAW_7, RAW_6, RAW_5, RAW_4, RAW_3, RAW_2, RAW_1, 0)(__VA_ARGS__)

RAW_CODE static inline long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
#else
    long result = syscall(number, a, b, c, d, e, f);
    return result < 0 ? -errno : result;
#endif
}

/* In decimal, with a zero byte behind. Not negative. */
RAW_CODE static inline void raw_write_number(char *place, int number)
{
    char digits[12];
    int n = 0;

    for (; number > 0; number /= 10)
        digits[n++] = (char)('0' + number % 10);
    while (n > 0)
        *place++ = digits[--n];
    *place = '\0';
}
