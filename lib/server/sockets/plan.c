/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "set-internal.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct problem *p)
{
    return problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
}

/* Replaces the string by a copy. */
static int set_text(char **text, const char *value, struct problem *p)
{
    char *copy = strdup(value);

    if (!copy)
        return no_memory(p);
    free(*text);
    *text = copy;
    return 0;
}

static struct listen_entry *append(struct listen_set *s)
{
    struct listen_entry *e = &s->entries[s->n_entries++];

    *e = (struct listen_entry){.fd = -1};
    return e;
}

/* Or waits for datagrams of everybody. */
static bool is_listening(const struct inherited_fd *f)
{
    int family = f->address.size > 0 ? f->address.sa.sa_family : AF_UNSPEC;
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;
    int on = 0;
    socklen_t size = sizeof on;

    if (f->address.type == SOCK_DGRAM && (address_is_inet(&f->address) || family == AF_UNIX))
        return getpeername(f->fd, (void *)&peer, &peer_size) < 0;
    return getsockopt(f->fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on;
}

static int plan_inherited(struct listen_set *s, struct inherited *i, struct problem *p)
{
    for (size_t k = 0; i && k < i->n_fds; k++) {
        struct listen_entry *e = append(s);
        int r;

        e->source = &i->fds[k];
        e->inherited = true;
        e->address = e->source->address;
        e->listens = is_listening(e->source);
        r = set_text(&e->name, e->source->name, p);
        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * The inherited entry that an option asks for. -ENOTUNIQ: its name exists, but only with other
 * addresses.
 */
static int match(struct listen_set *s, const char *name, const struct address *wanted,
                 struct listen_entry **ret)
{
    struct listen_entry *found = NULL;
    bool name_seen = false;

    for (size_t k = 0; k < s->n_entries; k++) {
        struct listen_entry *e = &s->entries[k];
        bool same_name = *name && e->inherited && strcmp(e->name, name) == 0;

        name_seen |= same_name;
        if (!e->inherited || e->option || !address_matches(wanted, &e->address, same_name))
            continue;
        /* An entry of that name is preferred to one that only has the address. */
        if (!found || same_name)
            found = e;
        if (same_name)
            break;
    }
    if (name_seen && !(found && strcmp(found->name, name) == 0))
        return -ENOTUNIQ;
    *ret = found;
    return 0;
}

static int refuse_name(struct listen_set *s, const char *option, const char *name,
                       struct problem *p)
{
    char text[ADDRESS_TEXT_MAX] = "";

    for (size_t k = 0; k < s->n_entries && !*text; k++)
        if (s->entries[k].inherited && strcmp(s->entries[k].name, name) == 0)
            address_format(&s->entries[k].address, text);
    return problem_set(
        p, STATUS_CONFIG, -ENOTUNIQ,
        "--listen=%s: the inherited socket %s has the address %s (change one of them)", option,
        name, text);
}

/*
 * A duplicate would otherwise be blamed on another server. Of inherited sockets only equal
 * addresses are reported: whether they overlap otherwise depends on how they were made, and bind()
 * finds out.
 */
static int check_overlap(struct listen_set *s, const char *option, const struct address *a,
                         struct problem *p)
{
    for (size_t k = 0; k < s->n_entries; k++) {
        const struct listen_entry *e = &s->entries[k];

        if (e->option && (e->inherited ? address_matches(a, &e->address, false)
                                       : address_overlaps(a, &e->address)))
            return problem_set(
                p, STATUS_USAGE, -EEXIST,
                "--listen=%s: takes the same address as --listen=%s (drop one of them)", option,
                e->option);
    }
    return 0;
}

static int check_model(enum listen_model model, bool inherited, const char *what,
                       const struct address *a, struct problem *p)
{
    if (model != LISTEN_SLOT || (address_is_inet(a) && !inherited))
        return 0;
    return problem_set(p, STATUS_USAGE, -EOPNOTSUPP,
                       "--listeners=slot: %s is %s, which all workers share (leave the option out, "
                       "or write --listeners=shared)",
                       what, inherited ? "an inherited socket" : "a unix socket");
}

static int plan_option(struct listen_set *s, const struct listen_options *o, const char *option,
                       struct problem *p)
{
    char name[ADDRESS_NAME_MAX + 1];
    struct listen_entry *e = NULL;
    const char *why = NULL;
    struct address a;
    int r = address_parse_named(option, name, &a, &why);

    if (r < 0)
        return problem_set(p, r == -ENODEV ? STATUS_CONFIG : STATUS_USAGE, r, "--listen=%s: %s",
                           option, why);
    r = match(s, name, &a, &e);
    if (r == -ENOTUNIQ)
        return refuse_name(s, option, name, p);
    if (!e) {
        r = check_overlap(s, option, &a, p);
        if (r == 0)
            r = check_model(o->model, false, option, &a, p);
        if (r < 0)
            return r;
        e = append(s);
        e->address = a;
        if (address_is_inet(&a) && o->model != LISTEN_SHARED)
            e->owner = a.type == SOCK_STREAM ? LISTEN_OF_WORKER : LISTEN_OF_SLOT;
        reuseport_init(&e->group, &a);
        e->listens = true;
    }
    r = set_text(&e->option, option, p);
    if (r == 0 && (*name || !e->name))
        r = set_text(&e->name, *name ? name : "unknown", p);
    return r;
}

static int check_inherited_models(struct listen_set *s, const struct listen_options *o,
                                  struct problem *p)
{
    for (size_t k = 0; k < s->n_entries; k++) {
        int r = check_model(o->model, s->entries[k].inherited, s->entries[k].name,
                            &s->entries[k].address, p);

        if (r < 0)
            return r;
    }
    return 0;
}

int listen_plan(struct listen_set *s, const struct listen_options *o, struct problem *ret_problem)
{
    size_t n = o->n_listen + (o->inherited ? o->inherited->n_fds : 0);
    int r;

    if (o->n_slots > LISTEN_SLOTS_MAX)
        return problem_set(ret_problem, STATUS_USAGE, -ERANGE,
                           "--workers=%u: at most %u are possible", o->n_slots, LISTEN_SLOTS_MAX);
    s->entries = calloc(n + 1, sizeof *s->entries);
    if (!s->entries)
        return no_memory(ret_problem);
    r = plan_inherited(s, o->inherited, ret_problem);
    for (size_t k = 0; r == 0 && k < o->n_listen; k++)
        r = plan_option(s, o, o->listen[k], ret_problem);
    return r < 0 ? r : check_inherited_models(s, o, ret_problem);
}
