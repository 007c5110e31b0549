/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tail.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_MIN 256

static int make_room(struct tail *tail, size_t n)
{
    size_t size = tail->size ?: SIZE_MIN;
    char *text;

    while (size <= n)
        size *= 2;
    if (size == tail->size)
        return 0;
    text = realloc(tail->text, size);
    if (!text)
        return -1;
    tail->text = text;
    tail->size = size;
    return 0;
}

void tail_add(struct tail *tail, const char *data, size_t n)
{
    size_t n_old;

    if (n >= TAIL_MAX) {
        data += n - (TAIL_MAX - 1);
        n = TAIL_MAX - 1;
    }
    n_old = tail->n + n < TAIL_MAX ? tail->n : TAIL_MAX - 1 - n;
    if (make_room(tail, n_old + n) < 0)
        return;
    memmove(tail->text, tail->text + tail->n - n_old, n_old);
    memcpy(tail->text + n_old, data, n);
    for (size_t i = n_old; i < n_old + n; i++)
        if (!tail->text[i])
            tail->text[i] = '?';
    tail->n = n_old + n;
    tail->text[tail->n] = '\0';
}

const char *tail_text(const struct tail *tail)
{
    return tail->text ?: "";
}

void tail_clear(struct tail *tail)
{
    free(tail->text);
    *tail = (struct tail){0};
}
