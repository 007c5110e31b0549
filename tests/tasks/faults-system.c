/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* To the calls of faults.h: those that make descriptors in pairs, processes and threads,
 * asprintf(), strndup(). */

#include <errno.h>
#include <sched.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_pipe2(int fds[2], int flags);
char *__real_strndup(const char *s, size_t n);
int __real_socketpair(int domain, int type, int protocol, int fds[2]);
pid_t __real_fork(void);
int __real_clone(int (*fn)(void *), void *stack, int flags, void *arg, void *parent, void *tls,
                 void *child);
int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_pipe2(int fds[2], int flags);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_socketpair(int domain, int type, int protocol, int fds[2]);
pid_t __wrap_fork(void);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, void *parent, void *tls,
                 void *child);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

int __wrap_asprintf(char **ret, const char *format, ...)
{
    va_list arguments;
    int n;

    if (faults_refuse())
        return -1;
    va_start(arguments, format);
    n = vasprintf(ret, format, arguments);
    va_end(arguments);
    faults.n_allocations++;
    faults.n_live += n >= 0;
    return n;
}

char *__wrap_strndup(const char *s, size_t n)
{
    char *copy = faults_refuse() ? NULL : __real_strndup(s, n);

    faults.n_allocations++;
    faults.n_live += copy != NULL;
    return copy;
}

int __wrap_pipe2(int fds[2], int flags)
{
    return faults_refuse() ? -1 : __real_pipe2(fds, flags);
}

int __wrap_socketpair(int domain, int type, int protocol, int fds[2])
{
    return faults_refuse() ? -1 : __real_socketpair(domain, type, protocol, fds);
}

pid_t __wrap_fork(void)
{
    return faults_refuse() ? -1 : __real_fork();
}

int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, void *parent, void *tls,
                 void *child)
{
    return faults_refuse() ? -1 : __real_clone(fn, stack, flags, arg, parent, tls, child);
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    return faults_refuse() ? EAGAIN : __real_pthread_create(ret, attr, fn, arg);
}
/* NOLINTEND(bugprone-reserved-identifier) */
