/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "context.h"
#include "stack.h"

#ifdef CONTEXT_ASAN
#include <sanitizer/lsan_interface.h>
#endif
#ifdef AIT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000) /* Linux 6.14 */
#endif

#define PAGE       ((size_t)4096)
#define COLOURS    8
/*
 * A call that advises many guards at once takes half of the time, but sandboxes count it among
 * those that reach into other processes. A program with few tasks does not make it.
 */
#define MANY_SLOTS 1024
#define AT_ONCE    32

enum { GUARD_UNKNOWN, GUARD_ADVICE, GUARD_PROTECT };
enum { MANY_UNKNOWN, MANY_WORKS, MANY_REFUSED };

#ifdef CONTEXT_ASAN
/* LeakSanitizer reads all of a slab. */
#define SLAB_BYTES ((size_t)2 << 20)
#else
#define SLAB_BYTES ((size_t)16 << 20)
#endif

#ifdef AIT_HAVE_VALGRIND
/* A switch between stacks that Valgrind knows is taken for what it is, and not for a huge frame. */
static void valgrind_register(struct stack_slab *slab)
{
    for (uint32_t i = 0; i < slab->n_slots && RUNNING_ON_VALGRIND; i++) {
        char *bottom = slab->base + i * slab->slot_size;

        slab->valgrind_ids[i] = VALGRIND_STACK_REGISTER(bottom, bottom + slab->slot_size - 1);
    }
}

static void valgrind_unregister(struct stack_slab *slab)
{
    for (uint32_t i = 0; i < slab->n_slots && RUNNING_ON_VALGRIND; i++)
        VALGRIND_STACK_DEREGISTER(slab->valgrind_ids[i]);
}
#endif

/* Informs the memory checkers. */
static void slab_register(struct stack_slab *slab)
{
#ifdef AIT_HAVE_VALGRIND
    valgrind_register(slab);
#endif
#ifdef CONTEXT_ASAN
    __lsan_register_root_region(slab->base, slab->slot_size * slab->n_slots);
#endif
}

static void slab_unregister(struct stack_slab *slab)
{
#ifdef AIT_HAVE_VALGRIND
    valgrind_unregister(slab);
#endif
#ifdef CONTEXT_ASAN
    __lsan_unregister_root_region(slab->base, slab->slot_size * slab->n_slots);
    __asan_unpoison_memory_region(slab->base, slab->slot_size * slab->n_slots);
#endif
}

int stacks_init(struct stacks *s, size_t object_size)
{
    *s = (struct stacks){.object_size = ROUND_UP(object_size, 64)};
    if (sysconf(_SC_PAGESIZE) != (long)PAGE)
        return -EOPNOTSUPP;
    return 0;
}

void stacks_done(struct stacks *s)
{
    struct stack_slab *next;

    for (struct stack_slab *slab = s->slabs; slab; slab = next) {
        next = slab->next;
        slab_unregister(slab);
        (void)munmap(slab->base, slab->slot_size * slab->n_slots);
        free(slab);
    }
    for (unsigned i = 0; i < STACK_CLASSES; i++)
        free(s->classes[i].free);
    *s = (struct stacks){};
}

int stack_class_of(size_t size)
{
    for (unsigned class = 0; class < STACK_CLASSES; class ++)
        if (size <= stack_class_size(class))
            return (int)class;
    return -EINVAL;
}

/* Emulators accept the advice and do nothing: a guard that does not fault is none. */
static bool guard_faults(void *page)
{
    int fds[2];
    bool faults;

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    faults = write(fds[1], page, 1) < 0 && errno == EFAULT;
    (void)close(fds[0]);
    (void)close(fds[1]);
    return faults;
}

static bool advise_each(const struct stack_slab *slab)
{
    for (uint32_t i = 0; i < slab->n_slots; i++)
        if (madvise(slab->base + i * slab->slot_size, STACK_GUARD, MADV_GUARD_INSTALL) < 0)
            return false;
    return true;
}

static bool advise_many(const struct stack_slab *slab)
{
#ifdef AIT_HAVE_VALGRIND
    /* It does not know the call, and says so aloud. */
    if (RUNNING_ON_VALGRIND)
        return false;
#endif
    for (uint32_t i = 0; i < slab->n_slots;) {
        struct iovec pages[AT_ONCE];
        unsigned n = 0;

        for (; n < AT_ONCE && i < slab->n_slots; i++, n++)
            pages[n] = (struct iovec){slab->base + i * slab->slot_size, STACK_GUARD};
        if (syscall(SYS_process_madvise, PIDFD_SELF, pages, n, MADV_GUARD_INSTALL, 0) !=
            (long)(n * STACK_GUARD))
            return false;
    }
    return true;
}

static bool guard_by_advice(struct stacks *s, const struct stack_slab *slab, bool many)
{
    if (s->guard == GUARD_ADVICE && many && s->guard_many != MANY_REFUSED) {
        bool works = advise_many(slab) && (s->guard_many == MANY_WORKS || guard_faults(slab->base));

        s->guard_many = works ? MANY_WORKS : MANY_REFUSED;
        if (works)
            return true;
    }
    return advise_each(slab) && (s->guard == GUARD_ADVICE || guard_faults(slab->base));
}

static int guard_all(struct stacks *s, const struct stack_slab *slab, bool many)
{
#ifdef CONTEXT_ASAN
    /*
     * LeakSanitizer finds unreadable pages in /proc/self/maps, which does not show advised guards.
     */
    s->guard = GUARD_PROTECT;
#endif
    if (s->guard != GUARD_PROTECT) {
        if (guard_by_advice(s, slab, many)) {
            if (s->guard == GUARD_UNKNOWN)
                s->guard = GUARD_ADVICE;
            return 0;
        }
        if (s->guard == GUARD_UNKNOWN)
            s->guard = GUARD_PROTECT;
    }
    for (uint32_t i = 0; i < slab->n_slots; i++)
        if (mprotect(slab->base + i * slab->slot_size, STACK_GUARD, PROT_NONE) < 0)
            return errno == ENOMEM ? -EAGAIN : -errno;
    return 0;
}

static struct stack_slab *slab_free(struct stack_slab *slab)
{
    if (!slab)
        return NULL;
    if (slab->base)
        (void)munmap(slab->base, slab->slot_size * slab->n_slots);
    free(slab);
    return NULL;
}

static int slab_new(struct stacks *s, unsigned class, struct stack_slab **ret)
{
    size_t size = stack_class_size(class);
    uint32_t n_slots = size >= SLAB_BYTES ? 1 : (uint32_t)(SLAB_BYTES / size);
    struct stack_slab *slab = malloc(sizeof(*slab) + n_slots * sizeof(*slab->valgrind_ids));
    int r;

    if (!slab)
        return -ENOMEM;
    *slab = (struct stack_slab){.slot_size = size, .n_slots = n_slots};
    slab->base = mmap(NULL, size * slab->n_slots, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->base == MAP_FAILED) {
        r = errno == ENOMEM ? -EAGAIN : -errno;
        free(slab);
        return r;
    }
    /* One huge page would make eight parked tasks resident at full depth. */
    (void)madvise(slab->base, size * slab->n_slots, MADV_NOHUGEPAGE);
    r = guard_all(s, slab, s->classes[class].n_slots >= MANY_SLOTS);
    if (r < 0) {
        slab_free(slab);
        return r;
    }
    *ret = slab;
    return 0;
}

void *stack_slot_object(const struct stacks *s, const struct stack_slab *slab, uint32_t i)
{
    char *top = slab->base + (i + 1) * slab->slot_size;

    return top - s->object_size - (i % COLOURS) * 64;
}

int stacks_grow(struct stacks *s, unsigned class)
{
    struct stack_class *c = s->classes + class;
    struct stack_slab *slab = NULL;
    int r;

    r = slab_new(s, class, &slab);
    if (r < 0)
        return r;
    if (c->n_slots + slab->n_slots > c->capacity) {
        uint32_t capacity = c->capacity ? c->capacity * 2 : 64;
        void **array;

        if (capacity < c->n_slots + slab->n_slots)
            capacity = c->n_slots + slab->n_slots;
        array = realloc(c->free, capacity * sizeof(*array));
        if (!array) {
            slab_free(slab);
            return -ENOMEM;
        }
        c->free = array;
        c->capacity = capacity;
    }
    slab_register(slab);
    slab->next = s->slabs;
    s->slabs = slab;
    c->n_slots += slab->n_slots;
    /*
     * The lowest address on top: consecutive spawns walk up, as the kernel's fault-around likes it.
     */
    for (uint32_t i = slab->n_slots; i-- > 0;)
        c->free[c->n_free++] = stack_slot_object(s, slab, i);
    if (c->n_clean + slab->n_slots == c->n_free)
        c->n_clean = c->n_free;
    return 0;
}

bool stacks_used(const struct stacks *s)
{
    for (unsigned i = 0; i < STACK_CLASSES; i++)
        if (s->classes[i].n_free < s->classes[i].n_slots)
            return true;
    return false;
}

void stacks_trim(struct stacks *s)
{
    for (unsigned i = 0; i < STACK_CLASSES; i++) {
        struct stack_class *c = s->classes + i;

        for (; c->n_clean < c->n_low; c->n_clean++) {
            char *bottom = stack_bottom(c->free[c->n_clean], i);

#ifdef CONTEXT_ASAN
            __asan_unpoison_memory_region(bottom, stack_class_size(i) - STACK_GUARD);
#endif
            (void)madvise(bottom, stack_class_size(i) - STACK_GUARD, MADV_DONTNEED);
        }
        c->n_low = c->n_free;
    }
}

void *stacks_find_guard(struct stacks *s, const void *address)
{
    uintptr_t a = (uintptr_t)address;

    for (struct stack_slab *slab = s->slabs; slab; slab = slab->next) {
        uintptr_t offset = a - (uintptr_t)slab->base;

        if (a < (uintptr_t)slab->base || offset >= slab->slot_size * slab->n_slots)
            continue;
        if (offset % slab->slot_size < STACK_GUARD)
            return stack_slot_object(s, slab, (uint32_t)(offset / slab->slot_size));
        return NULL;
    }
    return NULL;
}
