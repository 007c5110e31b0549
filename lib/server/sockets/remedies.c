/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "set-internal.h"

#include <stdio.h>
#include <string.h>

enum { INET = 1, PATH = 2, ABSTRACT = 4, ANY = INET | PATH | ABSTRACT };

/* First match wins. One %s at most: the port, or the path. */
static const struct remedy {
    int error;
    int kind;
    int status;
    const char *cause; /* NULL: strerror() */
    const char *remedy;
} remedies[] = {
    {EADDRINUSE, INET, STATUS_OS, "address already in use",
     "is another server running on it? `ss -lntup sport = :%s` shows it"},
    {EADDRINUSE, PATH, STATUS_OS, "another server already listens on this socket",
     "`ss -lxp src %s` shows it; stop it, or choose another path"},
    {EADDRINUSE, ABSTRACT, STATUS_OS, "address already in use", "`ss -lxp` shows by which process"},
    {EEXIST, PATH, STATUS_OS, "the path exists and is not a socket",
     "remove %s, or choose another path"},
    {EACCES, INET, STATUS_OS, "not permitted",
     "port %s needs root or CAP_NET_BIND_SERVICE; ports from 1024 on do not"},
    {EACCES, PATH, STATUS_OS, "not permitted", "this user may not create or replace %s"},
    {EPERM, PATH, STATUS_OS, "not permitted", "this user may not create or replace %s"},
    {EROFS, PATH, STATUS_OS, "the file system is read-only", "choose a path in /run"},
    {ENOENT, PATH, STATUS_CONFIG, "the directory does not exist",
     "create the parent directory of %s"},
    {ENOTDIR, PATH, STATUS_CONFIG, "the parent is not a directory", "check the path %s"},
    {EADDRNOTAVAIL, INET, STATUS_OS, "no interface of this machine has this address",
     "`ip address` lists them"},
    {EAFNOSUPPORT, INET, STATUS_OS, "this system has no such address family",
     "write 0.0.0.0:%s where there is no IPv6"},
    {EINVAL, INET, STATUS_OS, "the system does not accept this address",
     "a link-local address needs its interface, such as [fe80::1%%eth0]:%s"},
    {EMFILE, ANY, STATUS_OS, "too many open files", "raise the limit (ulimit -n, LimitNOFILE=)"},
    {ENFILE, ANY, STATUS_OS, "too many open files in the system", "raise fs.file-max"},
    {0, ANY, STATUS_OS, NULL, "the system refused it"},
};

static int kind_of(const struct address *a)
{
    return address_is_inet(a) ? INET : address_path(a) ? PATH : ABSTRACT;
}

static const struct remedy *find(int error, int kind)
{
    const struct remedy *r = remedies;

    while (r->error && !(r->error == error && (r->kind & kind)))
        r++;
    return r;
}

/*
 * The remedy with its %s replaced. It is not a printf format, which the compiler could not check.
 */
static void fill(char *buffer, size_t size, const char *remedy, const char *word)
{
    size_t n = 0;

    for (; *remedy && n + 1 < size; remedy++) {
        if (remedy[0] == '%' && remedy[1] == 's') {
            n += (size_t)snprintf(buffer + n, size - n, "%s", word);
            if (n >= size)
                n = size - 1;
            remedy++;
            continue;
        }
        if (remedy[0] == '%' && remedy[1] == '%')
            remedy++;
        buffer[n++] = *remedy;
    }
    buffer[n] = 0;
}

int listen_describe(const struct listen_entry *e, int error, struct problem *ret_problem)
{
    const struct address *a = listen_entry_address(e);
    const struct remedy *r = find(-error, kind_of(a));
    const char *path = address_path(a);
    char remedy[256], port[8];

    snprintf(port, sizeof port, "%u", address_port(a));
    fill(remedy, sizeof remedy, r->remedy, path ? path : port);
    if (e->option)
        return problem_set(ret_problem, r->status, error, "--listen=%s: %s (%s)", e->option,
                           r->cause ? r->cause : strerror(-error), remedy);
    return problem_set(ret_problem, r->status, error, "inherited socket %s, %s: %s (%s)", e->name,
                       e->text, r->cause ? r->cause : strerror(-error), remedy);
}
