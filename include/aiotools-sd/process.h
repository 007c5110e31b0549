/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_PROCESS_H
#define AIT_PROCESS_H

/*
 * Child processes, by pidfd: nothing here needs SIGCHLD, and a pid is never signalled after it was reaped. Counted; dropping the last
 * reference neither kills nor reaps. Several tasks may wait for one child.
 */

#include <signal.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* Takes a child of this process. pidfd may be -1: one is opened; else it is taken over on success. */
int ait_child_adopt(ait_child **ret, pid_t pid, int pidfd);
ait_child *ait_child_ref(ait_child *child);
ait_child *ait_child_unref(ait_child *child);
void ait_child_unrefp(ait_child **p);

pid_t ait_child_pid(ait_child *child);
/* Borrowed. */
int ait_child_pidfd(ait_child *child);

#if defined(_GNU_SOURCE) || defined(__cplusplus) || (defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199309L)
/* Waits until it has ended, and reaps it. ret_info (may be NULL) as from waitid(2). */
int ait_child_wait(ait_child *child, siginfo_t *ret_info);
#endif
/* -ESRCH: it has ended. */
int ait_child_kill(ait_child *child, int signo);

AIT_END_DECLS

#endif
