/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

struct ait_loop;

/* Handles an edge from epoll. data is what io.c registered. */
void fd_event(struct ait_loop *loop, uint64_t data, uint32_t events);
