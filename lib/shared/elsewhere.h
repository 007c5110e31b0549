/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What may take as long as somebody likes, done by a child that may hang without harm. It holds
 * nothing of ours open meanwhile. What hangs ends some day, without us.
 *
 * Whoever has children that he does not know reaps them; so does this, if they end soon.
 */

#include <stddef.h>
#include <sys/types.h>

/*
 * Closes a descriptor. Whoever closes a socket last also closes what was passed over it and has not
 * been received, such as a file of a file system that does not answer: here the child does so, when
 * we have closed ours. Waits for it, but only for a moment: it usually ends at once, and has then
 * given up the name of a socket. Negative: no child can be had, and the descriptor stays open.
 */
int close_elsewhere(int fd);

/*
 * Asks a question about files, whose answer has at most `size` bytes, no more than PIPE_BUF.
 * Returns their number. -ETIMEDOUT: there is none in time. If others may stop the child, it is
 * resumed.
 */
typedef size_t (*ask_fn)(void *userdata, void *buffer, size_t size);
ssize_t ask_elsewhere(ask_fn fn, void *userdata, void *buffer, size_t size, int msec);

/* The same for those who wait in another way. */
struct question {
    int fd; /* readable when there is an answer, or will be none */
    pid_t pid;
};
int ask_begin(struct question *ret, ask_fn fn, void *userdata, size_t size);
/* -ETIMEDOUT: there is no answer yet, and none will be given. */
ssize_t ask_end(struct question *q, void *buffer, size_t size);
