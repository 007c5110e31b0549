/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_BASE_H
#define AIT_BASE_H

/*
 * Types and conventions shared by all headers.
 *
 * Every call returns an int or ssize_t. A negative value is a negative errno. Zero and positive
 * values are success; a positive value is information. Outputs are named ret_* and are untouched on
 * failure. Most of them may be NULL. Times are microseconds, as in sd-event. Points in time are on
 * the loop's clock, which is CLOCK_MONOTONIC unless a virtual clock is set.
 *
 * -ECANCELED has one meaning: the calling task is cancelled, by one of its scopes, and should
 * unwind. -ETIME is returned only by the scope that owns the deadline. -EPERM: the call needs a
 * task, and was made outside one. -ECHILD: the loop belongs to the process that this one was forked
 * from.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__cplusplus) && defined(__GNUC__) && !defined(__clang__)
/*
 * g++ -Wextra complains about members that AIT_..._OPTIONS() leave out; a pragma in a macro cannot
 * silence it.
 */
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
/* Ignoring the result is always wrong. A cast to void does not silence gcc. */
#define AIT_MUST_CHECK    __attribute__((warn_unused_result))

/*
 * Defines endp() for AIT_CLEANUP(): it passes the variable to end(), which accepts NULL and returns
 * NULL.
 */
#define AIT_DEFINE_CLEANUP_(type, end)                                                             \
    static inline void end##p(type **p)                                                            \
    {                                                                                              \
        *p = end(*p);                                                                              \
    }

/*
 * Structs whose first member is their size can grow at their end. Programs set the size to sizeof
 * the struct that they were compiled with: by AIT_..._OPTIONS(), by AIT_..._INIT, or by hand. The
 * size must cover the size member itself (-EINVAL). Members that a smaller struct lacks are taken
 * as zero. A larger struct is accepted as long as the members that the library does not know are
 * zero; otherwise the call returns -E2BIG. Where the library fills in such a struct, it writes no
 * more than the size says, and zero to members that it does not know. Where the library made the
 * struct, AIT_HAS() tells whether a member is there. Structs without a size are frozen on purpose:
 * they lie in frames and arrays.
 */
#define AIT_HAS(p, member)                                                                         \
    ((p)->size >= (size_t)((const char *)(&(p)->member + 1) - (const char *)(p)))

/*
 * Used by AIT_..._OPTIONS(.name = "x", ...): the address of options with their size and these
 * members set, and all other members zero. In C the options last until the end of the block. In C++
 * they last until the end of the full expression, which is the call that they are an argument of,
 * and members must be named in the order of their declaration.
 */
#ifdef __cplusplus
#define AIT_OPTIONS_(type, ...)                                                                    \
    (&static_cast<const type &>(__extension__ type{.size = sizeof(type), __VA_ARGS__}))
#else
#define AIT_OPTIONS_(type, ...) (&(const type){.size = sizeof(type), __VA_ARGS__})
#endif

/*
 * A name that is unique at each use, for macros that declare variables: several may stand on one
 * line.
 */
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

/*
 * The body of a task. It returns the task's result: a negative value is an error, and -ECANCELED
 * says that the task was cancelled.
 */
typedef int (*ait_task_fn)(void *userdata);

/* Releases a userdata whose ownership was passed on. */
typedef void (*ait_destroy_fn)(void *userdata);

AIT_END_DECLS

#endif
