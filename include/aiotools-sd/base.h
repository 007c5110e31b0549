/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_BASE_H
#define AIT_BASE_H

/*
 * Types and conventions shared by all headers.
 *
 * Every call returns an int or ssize_t: negative is -errno, zero or positive is success, a positive value is information. Outputs
 * are named ret_* and are untouched on failure; most may be NULL. Times are microseconds, as in sd-event; points in time
 * are on the loop's clock (CLOCK_MONOTONIC unless a virtual clock is set).
 *
 * -ECANCELED has one meaning: the scope chain of the calling task is cancelled; unwind. -ETIME comes only from the
 * scope that owns the deadline. -EPERM: called outside a task where one is needed. -ECHILD: the loop belongs to the
 * process that this one was forked from.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__cplusplus) && defined(__GNUC__) && !defined(__clang__)
/* g++ -Wextra counts members that AIT_..._OPTIONS() leave out; no pragma in a macro silences that. */
#pragma GCC system_header
#endif

#ifdef __cplusplus
#define AIT_BEGIN_DECLS extern "C" {
#define AIT_END_DECLS   }
#else
#define AIT_BEGIN_DECLS
#define AIT_END_DECLS
#endif

#define AIT_PUBLIC        __attribute__((visibility("default")))
#define AIT_CLEANUP(func) __attribute__((cleanup(func)))
/* Where ignoring the result is always wrong. gcc is not silenced by a cast to void. */
#define AIT_MUST_CHECK    __attribute__((warn_unused_result))

/* Defines endp(), for AIT_CLEANUP(): ends what the variable holds with end(), which takes NULL and returns it. */
#define AIT_DEFINE_CLEANUP_(type, end)                                                                       \
    static inline void end##p(type **p)                                                                      \
    {                                                                                                        \
        *p = end(*p);                                                                                        \
    }

/*
 * Structs whose first member is their size can grow, at the end. Programs set it to sizeof the struct that they know: by AIT_..._OPTIONS(), by AIT_..._INIT, or by hand. The library
 * takes what a smaller one lacks for zero, and returns -E2BIG where a larger one has something set that it does not know; the size itself has to be in it (-EINVAL). Where it
 * fills such a struct it writes no more than the size says, and zero where it knows nothing to write. Where the library has made the struct, AIT_HAS() tells whether a
 * member is there. Structs without a size are frozen on purpose: they lie in frames and arrays.
 */
#define AIT_HAS(p, member) ((p)->size >= (size_t)((const char *)(&(p)->member + 1) - (const char *)(p)))

/*
 * What AIT_..._OPTIONS(.name = "x", ...) are made of: the address of options with their size and these members, all others zero. In C
 * they last until the end of the block, in C++ to that of the expression, that is, of the call that they are an argument of; there the
 * members are named in the order of the structure.
 */
#ifdef __cplusplus
#define AIT_OPTIONS_(type, ...)                                                                              \
    (&static_cast<const type &>(__extension__ type{.size = sizeof(type), __VA_ARGS__}))
#else
#define AIT_OPTIONS_(type, ...) (&(const type){.size = sizeof(type), __VA_ARGS__})
#endif

/* A name of its own at each use, for macros that declare what nobody names: several may stand on a line. */
#define AIT_UNUSED       __attribute__((unused))
#define AIT_UNIQUE(name) AIT_JOIN_(name, __COUNTER__)
#define AIT_JOIN_(a, b)  AIT_JOIN__(a, b)
#define AIT_JOIN__(a, b) a##b

#define AIT_USEC_PER_MSEC ((uint64_t)1000)
#define AIT_USEC_PER_SEC  ((uint64_t)1000000)
#define AIT_USEC_INFINITY UINT64_MAX

AIT_BEGIN_DECLS

typedef struct ait_loop ait_loop;
typedef struct ait_task ait_task;
typedef struct ait_scope ait_scope;
typedef struct ait_future ait_future;
typedef struct ait_slot ait_slot;
typedef struct ait_clock ait_clock;
typedef struct ait_child ait_child;
typedef struct ait_signals ait_signals;

/* The body of a task. Its return value is the task's result: negative is an error, -ECANCELED "I was cancelled". */
typedef int (*ait_task_fn)(void *userdata);

/* Releases a userdata that was handed over. */
typedef void (*ait_destroy_fn)(void *userdata);

AIT_END_DECLS

#endif
