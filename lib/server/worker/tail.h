/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The last of what a worker wrote, on both channels, for what is said about its end. */

#include <stddef.h>

#define TAIL_MAX 4096

/* Zero-initialised, it is empty. Grows as needed, up to TAIL_MAX. */
struct tail {
    char *text; /* n bytes, and a zero */
    size_t n, size;
};

/* Without memory, it stays as it was. */
void tail_add(struct tail *tail, const char *data, size_t n);
/* Never NULL, always terminated. Zeros that were written are '?'. */
const char *tail_text(const struct tail *tail);
void tail_clear(struct tail *tail);
