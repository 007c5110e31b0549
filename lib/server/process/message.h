/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages from the supervisor to the guardian: one per packet, of a version, a kind, a text and
 * descriptors. Internal to the guardian.
 *
 * A supervisor may be newer than its guardian, since it can be replaced by an exec while the
 * guardian stays. So a guardian ignores kinds that it does not know, and closes what came with
 * them. A new kind needs no new version; a new meaning of an old kind does.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARDIAN_PROTOCOL 1
#define GUARDIAN_TEXT_MAX 4096 /* the zero byte included */
#define GUARDIAN_FDS_MAX  253  /* SCM_MAX_FD of the kernel */

enum guardian_message_kind {
    GUARDIAN_NAME = 1, /* text: the server's */
    GUARDIAN_HOLD,     /* a descriptor, or none, in place of the one before */
    GUARDIAN_NOTIFY,   /* text and descriptors, for the service manager */
    GUARDIAN_GROUP, /* path and descriptor of the server's control group, and that of the directory
                       that it lies in; or no descriptors: there is none */
    GUARDIAN_N_KINDS,
};

struct guardian_message {
    uint32_t version, kind;
    char text[GUARDIAN_TEXT_MAX];
};

/* What came. The descriptors belong to the receiver. */
struct guardian_post {
    struct guardian_message message; /* the text ends with a zero byte */
    int fds[GUARDIAN_FDS_MAX];
    size_t n_fds;
};

/*
 * Never waits. -EPIPE: there is no guardian any more. -EAGAIN: its queue is full. -E2BIG: the text
 * is too long, or there are too many descriptors.
 */
int guardian_send(int fd, enum guardian_message_kind kind, const char *text, const int *fds,
                  size_t n_fds);
/* Never waits. 1: a message; 0: none now; -EPIPE: nobody is left who could send one. */
int guardian_receive(int fd, struct guardian_post *ret);
void guardian_post_done(struct guardian_post *post);
