/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages to the guardian: one per packet. An ADD message carries the worker's pidfd. Internal.
 *
 * The parent prepares a registration, and the worker itself sends it before it execs. A
 * registration holds pointers into itself and must not be copied.
 */

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "process-tree.h"

enum guardian_message_kind {
    GUARDIAN_ADD = 1,
    GUARDIAN_REMOVE, /* tree.pid alone counts */
    GUARDIAN_STOP,
    GUARDIAN_HOLD, /* with a descriptor */
};

/* The one packet that the guardian sends: that it stands guard, or why it cannot. */
struct guardian_report {
    int32_t error; /* negative errno; 0: it does */
    char call[28]; /* the system call that failed */
};

struct guardian_message {
    uint32_t kind;
    struct guardian_tree tree;
};

struct guardian_registration {
    struct guardian_message message;
    struct iovec iov;
    struct msghdr header;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

void guardian_registration_init(struct guardian_registration *r, const struct guardian_tree *tree);

/* Raw system calls only: fills in the caller's own pid and pidfd, and sends. */
int guardian_register_self(struct guardian_registration *r, int fd);

/* Any message without a descriptor, or with one (pidfd >= 0). */
int guardian_send(int fd, const struct guardian_message *message, int pidfd);
