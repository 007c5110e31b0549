/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "fdtable.h"

int fdtable_get_slow(struct fdtable *table, int fd, struct fd_entry **ret)
{
    struct fd_entry *chunk;
    uint32_t i;

    if (fd < 0)
        return -EBADF;
    i = (uint32_t)fd / FD_CHUNK;
    if (i >= table->n_chunks) {
        uint32_t n = i + 1 > table->n_chunks * 2 ? i + 1 : table->n_chunks * 2;
        struct fd_entry **chunks = realloc(table->chunks, n * sizeof(struct fd_entry *));

        if (!chunks)
            return -ENOMEM;
        memset(chunks + table->n_chunks, 0, (n - table->n_chunks) * sizeof(struct fd_entry *));
        table->chunks = chunks;
        table->n_chunks = n;
    }
    if (!table->chunks[i]) {
        chunk = calloc(FD_CHUNK, sizeof(*chunk));
        if (!chunk)
            return -ENOMEM;
        for (unsigned k = 0; k < FD_CHUNK; k++) {
            list_init(&chunk[k].readers);
            list_init(&chunk[k].writers);
            list_init(&chunk[k].pollers);
        }
        table->chunks[i] = chunk;
    }
    *ret = table->chunks[i] + (uint32_t)fd % FD_CHUNK;
    return 0;
}

void fdtable_done(struct fdtable *table)
{
    for (uint32_t i = 0; i < table->n_chunks; i++)
        free(table->chunks[i]);
    free(table->chunks);
    *table = (struct fdtable){};
}
