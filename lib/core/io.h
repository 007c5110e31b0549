/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct ait_loop;

/*
 * For a call that a thread makes on fd: until fd_release() the number is given to no other file,
 * also if ait_close() closes it meanwhile. Only for the loop's thread; one hold a call.
 */
struct fd_hold {
    int fd;
    unsigned generation;
};

int fd_hold(struct fd_hold *hold, int fd);
/* Returns r, the call's result; -EBADF if it failed because the fd was closed. */
ssize_t fd_release(const struct fd_hold *hold, ssize_t r);

/* Handles an edge from epoll. data is what io.c registered. */
void fd_event(struct ait_loop *loop, uint64_t data, uint32_t events);
