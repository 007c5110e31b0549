/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For each loop, in its thread: see overflow.c. */
void overflow_handler_install(void);

/* The thread's loop has ended: gives the memory back that the handler had for this thread. */
void overflow_handler_leave_thread(void);
