/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What ait_select() asks of the objects that it waits for: to take effect at once if that is
 * possible, and the list in which to wait otherwise.
 */

#include <stdbool.h>

#include <aiotools-sd/select.h>

struct list;

/* queue.c */
bool queue_select(struct ait_queue *q, ait_select_case *c);
struct list *queue_select_list(struct ait_queue *q, ait_case_kind kind);
struct ait_loop *queue_loop(const struct ait_queue *q);

/* sync.c */
bool event_select(struct ait_event *event);
struct list *event_select_list(struct ait_event *event);
struct ait_loop *event_loop(const struct ait_event *event);
bool semaphore_select(struct ait_semaphore *semaphore);
struct list *semaphore_select_list(struct ait_semaphore *semaphore);
struct ait_loop *semaphore_loop(const struct ait_semaphore *semaphore);
