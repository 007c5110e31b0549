/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_GATHER_H
#define AIT_GATHER_H

/*
 * Several calls at once: all of them (gather), the first of them (race), or each as it ends
 * (completion).
 *
 * Each call runs as a task of its own. When one of these functions returns, or a completion is
 * closed, none of its tasks is left: those no longer needed have been cancelled and waited for. At
 * most .limit of them run at a time; the others begin, in order, as those end.
 *
 * The array of calls must not change until the function returns. A call's options may be NULL. If
 * they have a destroy function, it is called exactly once with the call's userdata, whether the
 * call was begun or not, unless the function returns -EINVAL, -E2BIG, -EPERM or -ECHILD. Errors of
 * calls are returned, and never reported to an error handler.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/task.h>

AIT_BEGIN_DECLS

/* Frozen: arrays are made of it. New members go into the options. */
typedef struct ait_call {
    ait_task_fn fn;
    void *userdata;
    const ait_task_options *options;
} ait_call;

enum {
    AIT_GATHER_CONTINUE = 1 << 0, /* a call that fails does not end the others */
};

/*
 * Releases a result (>= 0) that the caller will not see, such as an fd, so that it does not leak.
 * Must not suspend.
 */
typedef void (*ait_discard_fn)(size_t index, int result, void *userdata);

typedef struct ait_gather_options {
    size_t size; /* sizeof(ait_gather_options) */
    unsigned flags;
    size_t limit;           /* how many calls run at a time; 0: all */
    ait_discard_fn discard; /* of race and completion; may be NULL */
    void *userdata;         /* passed to discard */
} ait_gather_options;

#define AIT_GATHER_OPTIONS(...) AIT_OPTIONS_(ait_gather_options, __VA_ARGS__)

/*
 * Runs all calls. results (may be NULL) has room for n. It is filled in always, except on -EINVAL,
 * -E2BIG, -EPERM and -ECHILD, so that partial results can be read after a failure. results[i] is
 * what calls[i] returned, or -ECANCELED if it was cancelled or not begun.
 *
 * Returns 0 if all calls succeeded (>= 0). Otherwise, without AIT_GATHER_CONTINUE, returns the
 * first error by time; the other calls have been cancelled. With AIT_GATHER_CONTINUE, returns how
 * many calls failed, which is the only positive result. -ECANCELED: the caller was cancelled, and
 * calls were cut short by that. An outcome that they reach nevertheless is returned. A call that
 * returns -ECANCELED without having been cancelled does not end the others, and counts as failed:
 * -EPROTO if no other has failed.
 */
int ait_gather(const ait_call *calls, size_t n, const ait_gather_options *options, int *results);

/*
 * Runs all calls until the first has ended, and returns its result; ret_winner (may be NULL)
 * receives its index. With AIT_GATHER_CONTINUE, waits until the first has succeeded; if all have
 * failed, returns the first error by time, and ret_winner is that call's index. results is as
 * above. If another call had succeeded as well, its result goes to discard if there is one, and its
 * entry is then -ECANCELED.
 *
 * -EINVAL: n is 0. -ECANCELED: the caller was cancelled, and there is no winner; ret_winner is
 * untouched. A call that wins after the cancellation is a winner. A call that returns -ECANCELED by
 * itself is not a winner. -EPROTO: there was no other.
 */
int ait_race(const ait_call *calls, size_t n, const ait_gather_options *options, size_t *ret_winner,
             int *results);

/*
 * Results in the order in which calls end:
 *
 *     AIT_COMPLETION(c);
 *     int r = ait_completion_open(&c, calls, n, AIT_GATHER_OPTIONS(.limit = 8));
 *     while (r >= 0 && (r = ait_completion_next(c, &index, &result)) > 0)
 *             use(index, result);
 *
 * A completion lives in the scope in which it was opened: cancelling the scope cancels its calls,
 * and leaving the scope ends them. Any task, including a call itself, may add calls while others
 * run. Closing cancels running calls, waits for them, and discards results that were not fetched.
 */
typedef struct ait_completion ait_completion;

#define AIT_COMPLETION(name) AIT_CLEANUP(ait_completion_closep) ait_completion *name = NULL

/*
 * The array is copied; n may be 0. On failure the userdata of the calls stays the caller's. flags
 * must be 0.
 */
int ait_completion_open(ait_completion **ret, const ait_call *calls, size_t n,
                        const ait_gather_options *options) AIT_MUST_CHECK;
/*
 * Returns NULL. Must not be called from inside a call. Tasks that wait in ait_completion_next()
 * then return 0.
 */
ait_completion *ait_completion_close(ait_completion *completion);
AIT_DEFINE_CLEANUP_(ait_completion, ait_completion_close)

/*
 * Adds a call, which gets the next index, counted from 0. Its options are read until it begins. On
 * failure userdata stays the caller's. -ESHUTDOWN: the completion's scope is cancelled, and the
 * caller is not. -ESTALE: it has been left.
 */
int ait_completion_add(ait_completion *completion, const ait_call *call) AIT_MUST_CHECK;

/*
 * Waits until another call has ended, and returns 1. Returns 0 if all have been fetched; more may
 * be added then. A call that was cancelled has the result -ECANCELED. If the caller is cancelled,
 * nothing is fetched. -EDEADLK: called from inside a call.
 */
int ait_completion_next(ait_completion *completion, size_t *ret_index, int *ret_result);
/*
 * The same without waiting: -EAGAIN if it would wait. Works in a cancelled task, to fetch partial
 * results.
 */
int ait_completion_try_next(ait_completion *completion, size_t *ret_index, int *ret_result);

AIT_END_DECLS

#endif
