/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "strv.h"

static void close_range_of(int first, int n)
{
    for (int i = 0; i < n; i++)
        close(first + i);
}

/* Takes the name over. */
static void put(struct inherited *i, int fd, char *name)
{
    bool stored = strncmp(name, ADDRESS_STORED_PREFIX, strlen(ADDRESS_STORED_PREFIX)) == 0;
    struct inherited_fd *f = stored ? &i->stored[i->n_stored++] : &i->fds[i->n_fds++];

    *f = (struct inherited_fd){.fd = fd, .name = name};
    if (address_of_socket(fd, &f->address) < 0)
        f->address.size = 0;
}

int inherited_take(struct inherited *ret, struct problem *ret_problem)
{
    struct inherited i = {0};
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);

    if (n < 0)
        return problem_set(ret_problem, STATUS_CONFIG, n,
                           "LISTEN_FDS, LISTEN_FDNAMES: the sockets they announce were not passed "
                           "(%s); start aiotools-sd from a service manager, or unset them",
                           strerror(-n));
    if (n > 0) {
        i.fds = calloc((size_t)n, sizeof *i.fds);
        i.stored = calloc((size_t)n, sizeof *i.stored);
        if (!i.fds || !i.stored) {
            free(i.fds);
            free(i.stored);
            strv_free(names);
            close_range_of(SD_LISTEN_FDS_START, n);
            return problem_set(ret_problem, STATUS_OS, -ENOMEM, "out of memory");
        }
        for (int k = 0; k < n; k++)
            put(&i, SD_LISTEN_FDS_START + k, names[k]);
    }
    /* The strings have moved; the array itself has not. */
    free(names);
    *ret = i;
    return 0;
}

static void fds_done(struct inherited_fd *fds, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (fds[k].fd >= 0)
            close(fds[k].fd);
        free(fds[k].name);
    }
    free(fds);
}

void inherited_done(struct inherited *i)
{
    if (!i)
        return;
    fds_done(i->fds, i->n_fds);
    fds_done(i->stored, i->n_stored);
    *i = (struct inherited){0};
}
