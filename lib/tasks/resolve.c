/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <aiotools-sd/gather.h>
#include <aiotools-sd/io.h>
#include <aiotools-sd/offload.h>
#include <aiotools-sd/resolve.h>
#include <aiotools-sd/scope.h>
#include <aiotools-sd/sync.h>

#include "macros.h"
#include "options.h"
#include "resolve.h"

#define ATTEMPT_DELAY (250 * AIT_USEC_PER_MSEC) /* RFC 8305, 5 */

struct resolve_calls resolve_calls = {.lookup = getaddrinfo, .connect = ait_connect};

/* ---- lookups --------------------------------------------------------------------------------- */

/* Not in the caller's frame, which a cancelled caller leaves while the thread still reads. */
struct lookup {
    char *host, *service;
    struct addrinfo hints;
    struct addrinfo *found;
    int error; /* errno of EAI_SYSTEM */
};

static void lookup_free(void *userdata)
{
    struct lookup *l = userdata;

    if (!l)
        return;
    if (l->found)
        freeaddrinfo(l->found);
    free(l->host);
    free(l->service);
    free(l);
}

static void lookup_freep(struct lookup **p)
{
    lookup_free(*p);
}

static struct lookup *lookup_new(const char *host, const char *service,
                                 const struct addrinfo *hints)
{
    struct lookup *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    if ((host && !(l->host = strdup(host))) || (service && !(l->service = strdup(service)))) {
        lookup_free(l);
        return NULL;
    }
    if (hints) {
        l->hints.ai_flags = hints->ai_flags;
        l->hints.ai_family = hints->ai_family;
        l->hints.ai_socktype = hints->ai_socktype;
        l->hints.ai_protocol = hints->ai_protocol;
    } else {
        l->hints.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG; /* what no hints mean */
    }
    return l;
}

static int from_eai(int eai, int error)
{
    static const struct {
        int eai, error;
    } table[] = {
        {EAI_NONAME, ENOENT},       {EAI_NODATA, ENOENT},
        {EAI_ADDRFAMILY, ENOENT},   {EAI_AGAIN, EAGAIN},
        {EAI_FAIL, EREMOTEIO},      {EAI_SERVICE, EPROTONOSUPPORT},
        {EAI_FAMILY, EAFNOSUPPORT}, {EAI_SOCKTYPE, ESOCKTNOSUPPORT},
        {EAI_BADFLAGS, EINVAL},     {EAI_MEMORY, ENOMEM},
        {EAI_OVERFLOW, EOVERFLOW},
    };

    if (eai == EAI_SYSTEM)
        return error > 0 ? -error : -EIO;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].eai == eai)
            return -table[i].error;
    return eai == 0 ? 0 : -EIO;
}

static int lookup_run(void *userdata)
{
    struct lookup *l = userdata;
    int eai = resolve_calls.lookup(l->host, l->service, &l->hints, &l->found);

    return from_eai(eai, errno);
}

static bool all_digits(const char *s)
{
    return s[strspn(s, "0123456789")] == '\0';
}

/* Numeric addresses and services. This reads no file and makes no query. */
static int lookup_numeric(void *userdata)
{
    struct lookup *l = userdata;
    struct addrinfo hints = l->hints;
    int eai;

    if (l->service && !all_digits(l->service))
        return -ENOENT;
    hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    eai = getaddrinfo(l->host, l->service, &hints, &l->found);
    return from_eai(eai, errno);
}

/*
 * libc takes a port modulo 65536, and whatever strtoul() takes for a number: signs and spaces, too.
 */
static bool service_valid(const char *service)
{
    const char *p = service + strspn(service, "0");

    if (!*service)
        return true;
    if (!isalnum((unsigned char)*service))
        return false;
    return !all_digits(service) || strlen(p) < 5 || (strlen(p) == 5 && strcmp(p, "65535") <= 0);
}

AIT_PUBLIC int ait_getaddrinfo(struct addrinfo **ret, const char *host, const char *service,
                               const struct addrinfo *hints)
{
    const ait_offload_options *detach =
        AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH, .destroy = lookup_free);
    AIT_CLEANUP(lookup_freep) struct lookup *l = NULL;
    int r, result;

    if (!ret || (!host && !service))
        return -EINVAL;
    r = ait_check_cancel();
    if (r >= 0 && service && !service_valid(service))
        r = -EPROTONOSUPPORT;
    if (r < 0)
        return r;
    l = lookup_new(host, service, hints);
    if (!l)
        return -ENOMEM;
    /* The resolver uses a few pages of stack, which a task would keep. */
    r = ait_call_on_thread_stack(lookup_numeric, l);
    if (r == -ENOENT) {
        r = ait_offload_full(&result, lookup_run, l, detach);
        if (r == -ECANCELED)
            l = NULL;
        r = r < 0 ? r : result;
    }
    if (r < 0)
        return r;
    *ret = l->found;
    l->found = NULL;
    return 0;
}

/* ---- happy eyeballs -------------------------------------------------------------------------- */

struct race {
    const ait_connect_options *options;
    ait_completion *attempts;
    uint64_t delay;
    size_t n;
    struct attempt {
        struct race *race;
        const struct addrinfo *address;
        ait_event *failed;
    } attempt[];
};

static int attempt_main(void *userdata);

static void race_freep(struct race **p)
{
    struct race *race = *p;

    if (!race)
        return;
    for (size_t i = 0; i < race->n; i++)
        ait_event_unref(race->attempt[i].failed);
    free(race);
}

/* The first family in the order of its list, the other ones in theirs, by turns. */
static void interleave(struct race *race, const struct addrinfo *list)
{
    const struct addrinfo *next[] = {list, list};
    int family = list->ai_family;
    size_t n = 0;

    for (unsigned which = 0; n < race->n; which ^= 1) {
        const struct addrinfo **a = next + which;

        while (*a && ((*a)->ai_family != family) != which)
            *a = (*a)->ai_next;
        if (*a) {
            race->attempt[n++].address = *a;
            *a = (*a)->ai_next;
        }
    }
}

static int race_new(struct race **ret, const struct addrinfo *list,
                    const ait_connect_options *options)
{
    AIT_CLEANUP(race_freep) struct race *race = NULL;
    size_t n = 0;
    int r;

    for (const struct addrinfo *a = list; a; a = a->ai_next)
        n++;
    if (n == 0)
        return -ENOENT;
    race = calloc(1, sizeof(*race) + n * sizeof(*race->attempt));
    if (!race)
        return -ENOMEM;
    race->n = n;
    race->options = options;
    race->delay = options->delay > 0 ? options->delay : ATTEMPT_DELAY;
    interleave(race, list);
    if (options->max_attempts > 0 && n > options->max_attempts)
        race->n = options->max_attempts;
    for (size_t i = 0; i < race->n; i++) {
        race->attempt[i].race = race;
        r = ait_event_new(&race->attempt[i].failed);
        if (r < 0)
            return r;
    }
    *ret = race;
    race = NULL;
    return 0;
}

static int race_begin(struct race *race, size_t i)
{
    if (i >= race->n)
        return 0;
    return ait_completion_add(race->attempts,
                              &(const ait_call){.fn = attempt_main, .userdata = race->attempt + i});
}

/* Until the one before has failed, or has had its start. */
static int attempt_wait(struct attempt *a)
{
    AIT_SCOPE(start);
    int r;

    if (a == a->race->attempt)
        return 0;
    r = ait_scope_enter_after(&start, AIT_SCOPE_MOVE_ON, a->race->delay);
    if (r < 0)
        return r;
    return ait_scope_exit(start, ait_event_wait(a[-1].failed));
}

static int attempt_connect(struct attempt *a)
{
    const struct addrinfo *address = a->address;
    const ait_connect_options *options = a->race->options;
    int r = 0, fd;

    fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                address->ai_protocol);
    if (fd < 0)
        return -errno;
    if (options->prepare)
        r = options->prepare(fd, address->ai_addr, address->ai_addrlen, options->userdata);
    if (r >= 0)
        r = resolve_calls.connect(fd, address->ai_addr, address->ai_addrlen);
    if (r >= 0)
        return fd;
    (void)ait_close(fd);
    return r;
}

static int attempt_main(void *userdata)
{
    struct attempt *a = userdata;
    int r;

    r = attempt_wait(a);
    if (r < 0)
        return r;
    r = race_begin(a->race, (size_t)(a - a->race->attempt) + 1);
    if (r >= 0)
        r = attempt_connect(a);
    if (r < 0)
        (void)ait_event_set(a->failed);
    return r;
}

static void discard_connection(size_t index, int fd, void *userdata)
{
    (void)ait_close(fd);
}

static int race_run(struct race *race, int *ret_fd)
{
    AIT_COMPLETION(attempts);
    int r, result, error = 0;

    r = ait_completion_open(&attempts, NULL, 0, AIT_GATHER_OPTIONS(.discard = discard_connection));
    if (r < 0)
        return r;
    race->attempts = attempts;
    r = race_begin(race, 0);
    while (r >= 0 && (r = ait_completion_next(attempts, NULL, &result)) > 0) {
        if (result >= 0) {
            *ret_fd = result;
            return 0;
        }
        error = error < 0 ? error : result;
    }
    return r < 0 ? r : error;
}

AIT_PUBLIC int ait_connect_addresses(int *ret_fd, const struct addrinfo *addresses,
                                     const ait_connect_options *options)
{
    AIT_CLEANUP(race_freep) struct race *race = NULL;
    ait_connect_options o;
    int r;

    if (!ret_fd)
        return -EINVAL;
    r = options_copy(&o, sizeof(o), options);
    if (r >= 0)
        r = ait_check_cancel();
    if (r < 0)
        return r;
    r = race_new(&race, addresses, &o);
    return r < 0 ? r : race_run(race, ret_fd);
}

AIT_PUBLIC int ait_connect_host(int *ret_fd, const char *host, const char *service,
                                const ait_connect_options *options)
{
    struct addrinfo hints = {}, *addresses;
    ait_connect_options o;
    int r;

    if (!ret_fd || !service || !*service)
        return -EINVAL;
    r = options_copy(&o, sizeof(o), options);
    if (r < 0)
        return r;
    hints.ai_family = o.family;
    hints.ai_socktype = o.socktype != 0 ? o.socktype : SOCK_STREAM;
    r = ait_getaddrinfo(&addresses, host, service, &hints);
    if (r < 0)
        return r;
    r = ait_connect_addresses(ret_fd, addresses, &o);
    freeaddrinfo(addresses);
    return r;
}
