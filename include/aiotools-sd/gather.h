/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_GATHER_H
#define AIT_GATHER_H

/*
 * Many calls at once: all of them (gather), the first of them (race), each as it ends (completion).
 *
 * Every call runs as a task of its own. When one of these functions returns, or a completion is closed, none of its tasks is left: those not needed any
 * more have been cancelled and waited for. At most .limit of them run at a time; the others begin, in order, as those end.
 *
 * The array of calls is read until the function returns, and not changed. A call's options may be NULL; where they have a destroy function it is called with
 * the call's userdata exactly once, whether the call was begun or not, except where the function returns -EINVAL, -E2BIG, -EPERM or -ECHILD. Errors of
 * calls are returned, and never reported to an error handler.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/task.h>

AIT_BEGIN_DECLS

/* Frozen: arrays are made of it. What may be added goes into options. */
typedef struct ait_call {
    ait_task_fn fn;
    void *userdata;
    const ait_task_options *options;
} ait_call;

enum {
    AIT_GATHER_CONTINUE = 1 << 0, /* a call that fails does not end the others */
};

/* Takes back a result (>= 0) that its caller will not see, so that what it stands for (an fd, say) does not leak. Must not suspend. */
typedef void (*ait_discard_fn)(size_t index, int result, void *userdata);

typedef struct ait_gather_options {
    size_t size; /* sizeof(ait_gather_options) */
    unsigned flags;
    size_t limit;           /* how many calls run at a time; 0: all */
    ait_discard_fn discard; /* of race and completion; may be NULL */
    void *userdata;         /* of discard */
} ait_gather_options;

#define AIT_GATHER_OPTIONS(...) AIT_OPTIONS_(ait_gather_options, __VA_ARGS__)

/*
 * Runs all calls. results (may be NULL) has room for n; it is filled in any case but -EINVAL, -E2BIG, -EPERM and -ECHILD, so that what was reached can be read after a failure,
 * too: results[i] is what calls[i] returned, and -ECANCELED where it was cancelled or not begun.
 *
 * Returns 0 where all calls succeeded (>= 0). Else, without AIT_GATHER_CONTINUE, the first error, by time; the other calls have been cancelled. With it, how
 * many calls failed. -ECANCELED: the caller was cancelled before all calls had ended. A call that returns -ECANCELED though nobody
 * cancelled it ends nothing, and counts as one that failed.
 */
int ait_gather(const ait_call *calls, size_t n, const ait_gather_options *options, int *results);

/*
 * Runs all calls until the first has ended, and returns its result; ret_winner (may be NULL) tells which it was. With
 * AIT_GATHER_CONTINUE: until the first has succeeded; where all have failed, the first error, by time, and ret_winner is
 * that call's index as well. results as above. Where a loser had succeeded as well, its result goes to discard if there is one, and then reads -ECANCELED.
 *
 * -EINVAL: n is 0. -ECANCELED: the caller was cancelled before there was a winner; ret_winner is untouched. A call that returns -ECANCELED by itself is no winner;
 * where there is none else, -EPROTO.
 */
int ait_race(const ait_call *calls, size_t n, const ait_gather_options *options, size_t *ret_winner,
             int *results);

/*
 * Calls in the order of their ends:
 *
 *     AIT_COMPLETION(c);
 *     int r = ait_completion_open(&c, calls, n, AIT_GATHER_OPTIONS(.limit = 8));
 *     while (r >= 0 && (r = ait_completion_next(c, &index, &result)) > 0)
 *             use(index, result);
 *
 * A completion lives in the scope that it was opened in: cancelling that cancels its calls, leaving it ends them. Calls can be added while others run, by
 * any task, also from inside a call. Closing cancels what runs, waits for it, and discards results that nobody has fetched.
 */
typedef struct ait_completion ait_completion;

#define AIT_COMPLETION(name) AIT_CLEANUP(ait_completion_closep) ait_completion *name = NULL

/* The array is copied; n may be 0. Here a failure takes no userdata. flags must be 0. */
int ait_completion_open(ait_completion **ret, const ait_call *calls, size_t n,
                        const ait_gather_options *options) AIT_MUST_CHECK;
/* Returns NULL. Not from inside a call. Tasks that wait in ait_completion_next() then return 0. */
ait_completion *ait_completion_close(ait_completion *completion);
AIT_DEFINE_CLEANUP_(ait_completion, ait_completion_close)

/* One more call; it gets the next index, counted from 0. The options behind it are read until it begins. On failure the userdata is not taken.
 * -ECANCELED: the completion's scope is cancelled; -ESTALE: it has been left. */
int ait_completion_add(ait_completion *completion, const ait_call *call) AIT_MUST_CHECK;

/* Waits until another call has ended: 1. 0: all have been fetched; more may be added then. A call that was cancelled has result -ECANCELED.
 * Where the caller is cancelled nothing is fetched. -EDEADLK: from inside a call. */
int ait_completion_next(ait_completion *completion, size_t *ret_index, int *ret_result);
/* The same without waiting, -EAGAIN where it would; also in a cancelled task, to see what was reached. */
int ait_completion_try_next(ait_completion *completion, size_t *ret_index, int *ret_result);

AIT_END_DECLS

#endif
