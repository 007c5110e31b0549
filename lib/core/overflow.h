/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_OVERFLOW_H
#define CORE_OVERFLOW_H

/* Once a thread: see overflow.c. */
void overflow_handler_install(void);

#endif
