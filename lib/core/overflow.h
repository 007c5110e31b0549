/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Once a thread: see overflow.c. */
void overflow_handler_install(void);
