/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

#include "faults.h"

struct faults faults;

void faults_arm(unsigned n, bool for_ever)
{
    faults.fail_at = n;
    faults.for_ever = for_ever;
    faults.failed = false;
    faults.n_calls = 0;
}

void faults_disarm(void)
{
    faults.fail_at = 0;
}

bool faults_refuse(void)
{
    faults.n_calls++;
    if (faults.fail_at == 0 ||
        (faults.for_ever ? faults.n_calls < faults.fail_at : faults.n_calls != faults.fail_at))
        return false;
    faults.failed = true;
    errno = ENOMEM;
    return true;
}

static void *allocated(void *p)
{
    faults.n_allocations++;
    faults.n_live += p != NULL;
    return p;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__real_mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset);
void *__real_mmap64(void *p, size_t n, int prot, int flags, int fd, off_t offset);
int __real_epoll_create1(int flags);
int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *e);
int __real_eventfd(unsigned n, int flags);
int __real_signalfd(int fd, const sigset_t *set, int flags);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);
void *__wrap_mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *p, size_t n, int prot, int flags, int fd, off_t offset);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *e);
int __wrap_eventfd(unsigned n, int flags);
int __wrap_signalfd(int fd, const sigset_t *set, int flags);

void *__wrap_malloc(size_t n)
{
    return faults_refuse() ? NULL : allocated(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return faults_refuse() ? NULL : allocated(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (faults_refuse())
        return NULL;
    faults.n_live -= p != NULL;
    return allocated(__real_realloc(p, n));
}

char *__wrap_strdup(const char *s)
{
    return faults_refuse() ? NULL : allocated(__real_strdup(s));
}

void __wrap_free(void *p)
{
    faults.n_live -= p != NULL;
    __real_free(p);
}

void *__wrap_mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset)
{
    return faults_refuse() ? MAP_FAILED : __real_mmap(p, n, prot, flags, fd, offset);
}

void *__wrap_mmap64(void *p, size_t n, int prot, int flags, int fd, off_t offset)
{
    return faults_refuse() ? MAP_FAILED : __real_mmap64(p, n, prot, flags, fd, offset);
}

int __wrap_epoll_create1(int flags)
{
    return faults_refuse() ? -1 : __real_epoll_create1(flags);
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *e)
{
    return op != EPOLL_CTL_DEL && faults_refuse() ? -1 : __real_epoll_ctl(epfd, op, fd, e);
}

int __wrap_eventfd(unsigned n, int flags)
{
    return faults_refuse() ? -1 : __real_eventfd(n, flags);
}

int __wrap_signalfd(int fd, const sigset_t *set, int flags)
{
    return faults_refuse() ? -1 : __real_signalfd(fd, set, flags);
}
/* NOLINTEND(bugprone-reserved-identifier) */
