/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the open ports of a host: port-scanner HOST FIRST LAST [AT-A-TIME]. It makes a thousand
 * connections and more, but only a limited number at a time, each with its own time limit. Results
 * are printed as they arrive. Scan only your own hosts.
 */
#include <aiotools-sd/aiotools-sd.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT (2 * AIT_USEC_PER_SEC)

struct scan {
    const char *host;
    unsigned first, last, at_a_time;
};

struct probe {
    const char *host;
    char port[8];
};

/* 1: open. 0: closed, or no answer in time. */
static int probe(void *userdata)
{
    struct probe *p = userdata;
    int r, fd = -1;

    AIT_MOVE_ON_AFTER(r, TIMEOUT)
        r = ait_connect_host(&fd, p->host, p->port, NULL);
    if (fd >= 0)
        (void)ait_close(fd);
    if (r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -ENETUNREACH)
        return 0;
    return r < 0 ? r : fd >= 0;
}

/* Reports each port as soon as it is known. */
static int report(const struct probe *probes, ait_call *calls, size_t n, size_t at_a_time)
{
    size_t i, n_open = 0;
    int result;
    AIT_COMPLETION(done);

    int r = ait_completion_open(&done, calls, n, AIT_GATHER_OPTIONS(.limit = at_a_time));
    while (r >= 0 && (r = ait_completion_next(done, &i, &result)) > 0) {
        if (result < 0)
            return result; /* leaving the block cancels the rest and waits for it */
        if (result > 0) {
            printf("%s is open\n", probes[i].port);
            n_open++;
        }
    }
    if (r >= 0)
        printf("%zu of %zu ports are open\n", n_open, n);
    return r;
}

static int scan(void *userdata)
{
    const struct scan *s = userdata;
    size_t n = s->last - s->first + 1;
    struct probe *probes = calloc(n, sizeof(*probes));
    ait_call *calls = calloc(n, sizeof(*calls));
    int r = probes && calls ? 0 : -ENOMEM;

    for (size_t i = 0; i < n && r >= 0; i++) {
        probes[i].host = s->host;
        (void)snprintf(probes[i].port, sizeof(probes[i].port), "%u", s->first + (unsigned)i);
        calls[i] = (ait_call){.fn = probe, .userdata = &probes[i]};
    }
    if (r >= 0)
        r = report(probes, calls, n, s->at_a_time);
    free(calls);
    free(probes);
    return r;
}

int main(int argc, char **argv)
{
    struct scan s = {.at_a_time = 100};

    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: port-scanner HOST FIRST LAST [AT-A-TIME]\n");
        return 2;
    }
    s.host = argv[1];
    s.first = (unsigned)strtoul(argv[2], NULL, 10);
    s.last = (unsigned)strtoul(argv[3], NULL, 10);
    if (argc > 4)
        s.at_a_time = (unsigned)strtoul(argv[4], NULL, 10);
    if (s.first == 0 || s.last < s.first || s.last > 65535) {
        fprintf(stderr, "port-scanner: ports are 1 to 65535, the first not above the last\n");
        return 2;
    }
    int r = ait_run(scan, &s, 0);
    if (r < 0)
        fprintf(stderr, "port-scanner: %s\n", strerror(-r));
    return r < 0;
}
