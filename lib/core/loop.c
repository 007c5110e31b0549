/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>
#ifdef AIT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

#include "guest.h"
#include "loop.h"

#define WATCH_TAG  (UINT64_C(1) << 63)
#define MAX_EVENTS 256
#define TRIM_USEC  (2 * AIT_USEC_PER_SEC)

__thread struct ait_loop *this_loop;
unsigned loop_fork_generation;
static __thread bool forked;     /* this thread's loop was left behind in the parent, */
static __thread bool was_forked; /* the same, though it may have another by now */

struct ait_loop *ait_debug_loops;
static pthread_mutex_t debug_lock = PTHREAD_MUTEX_INITIALIZER;

int loop_foreign(void)
{
    return forked ? -ECHILD : -EPERM;
}

int loop_foreign_object(void)
{
    return was_forked ? -ECHILD : -EPERM;
}

void loop_end_child(int r)
{
    exit(r < 0 ? EXIT_FAILURE : r);
}

static void after_fork_in_child(void)
{
    if (this_loop)
        forked = was_forked = true;
    this_loop = NULL;
    loop_fork_generation++;
    /* None of them is this process's, and whoever held the lock is not here. */
    ait_debug_loops = NULL;
    (void)pthread_mutex_init(&debug_lock, NULL);
}

/* ---- ready ring ---------------------------------------------------------------------------------- */

int loop_reserve_ready_slow(struct ait_loop *loop)
{
    uint32_t capacity = loop->ring_capacity ? loop->ring_capacity * 2 : 64, n = loop->tail - loop->head;
    struct ait_task **ring;

    ring = malloc(capacity * sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        ring[i] = loop->ring[(loop->head + i) & loop->mask];
    /* The prefetch reads ahead of the tail. */
    memset(ring + n, 0, (capacity - n) * sizeof(*ring));
    free(loop->ring);
    loop->ring = ring;
    loop->round_end -= loop->head;
    loop->head = 0;
    loop->tail = n;
    loop->ring_capacity = capacity;
    loop->mask = capacity - 1;
    return 0;
}

/* xorshift64* */
static uint64_t shuffle_next(struct ait_loop *loop)
{
    uint64_t x = loop->shuffle_state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    loop->shuffle_state = x;
    return x * UINT64_C(2685821657736338717);
}

void loop_shuffle_round(struct ait_loop *loop)
{
    for (uint32_t n = loop->round_end - loop->head; n > 1; n--) {
        uint32_t a = (loop->head + n - 1) & loop->mask;
        uint32_t b = (loop->head + (uint32_t)(shuffle_next(loop) % n)) & loop->mask;
        struct ait_task *t = loop->ring[a];

        loop->ring[a] = loop->ring[b];
        loop->ring[b] = t;
    }
}

/* ---- running ------------------------------------------------------------------------------------- */

static void run_callbacks(struct ait_loop *loop)
{
    struct list batch;

    loop->attention = false;
    list_init(&batch);
    list_splice(&batch, &loop->callbacks);
    while (!list_empty(&batch)) {
        struct ait_slot *slot = container_of(batch.next, struct ait_slot, waiter.link);

        list_remove(&slot->waiter.link);
        slot_run(slot);
    }
}

/* Until the batch is used up, nothing is ready, or callbacks are to be run. */
static void run_ready(struct ait_loop *loop)
{
    struct ait_task *t;

    t = loop_next(loop);
    if (t)
        context_switch(&loop->context, &t->context);
    while (unlikely(loop->deep != NULL)) {
        struct deep_call *call = loop->deep;

        loop->deep = NULL;
        call->result = call->fn(call->userdata);
        loop->current = call->task;
        context_switch(&loop->context, &call->task->context);
    }
}

/* Mostly called by the task that has used up the slice: a way through the loop's context costs several mispredicted branches. */
bool loop_new_slice(struct ait_loop *loop)
{
    if (loop->n_slices == 0)
        return false;
    if (loop->batch_end == 0) {
        loop->batch_end = clock_now_real() + BATCH_USEC;
    } else if (clock_now_real() >= loop->batch_end) {
        loop->n_slices = 0;
        return false;
    }
    loop->n_slices--;
    loop->slice = SLICE;
    return true;
}

void loop_run_batch(struct ait_loop *loop)
{
    loop->slice = SLICE;
    loop->n_slices = BATCH_SLICES - 1;
    loop->batch_end = 0;
    loop_check_child(loop);
    do {
        run_ready(loop);
        if (loop->attention) {
            run_callbacks(loop);
            loop_check_child(loop);
        }
    } while (loop_has_ready(loop) && loop_new_slice(loop));
}

void loop_fire_timers(struct ait_loop *loop)
{
    uint64_t next = timers_next(&loop->timers);

    if (next != UINT64_MAX) {
        uint64_t now = loop_now(loop);

        if (next <= now)
            timers_fire(&loop->timers, now);
    }
}

uint64_t loop_idle_until(struct ait_loop *loop)
{
    if (loop_has_ready(loop) || loop->attention)
        return 0;
    return timers_next(&loop->timers);
}

void loop_drain(struct ait_loop *loop)
{
    while (loop->n_tasks > 0) {
        loop_run_batch(loop);
        loop_fire_timers(loop);
        if (loop->n_tasks > 0)
            loop_poll(loop, loop_idle_until(loop));
    }
}

/* About to sleep for up to timeout: gives back what was not needed for a while. Returns how long to sleep. */
static uint64_t rest(struct ait_loop *loop, uint64_t timeout)
{
    uint64_t now;

    if (!stacks_worth_trimming(&loop->stacks))
        return timeout;
    now = clock_now_real();
    if (now - loop->last_trim >= TRIM_USEC) {
        loop->last_trim = now;
        stacks_trim(&loop->stacks);
    }
    return timeout > TRIM_USEC ? TRIM_USEC : timeout;
}

/* ---- polling ------------------------------------------------------------------------------------- */

/* Rounds up: waking early would spin. */
static int wait_events(struct ait_loop *loop, struct epoll_event *events, uint64_t timeout)
{
    int n;

    if (timeout == 0 || timeout == UINT64_MAX)
        return epoll_wait(loop->epoll_fd, events, MAX_EVENTS, timeout == 0 ? 0 : -1);
#ifdef SYS_epoll_pwait2
    if (!loop->no_pwait2) {
        struct timespec ts = {.tv_sec = (time_t)(timeout / AIT_USEC_PER_SEC),
                              .tv_nsec = (long)(timeout % AIT_USEC_PER_SEC) * 1000};

        n = epoll_pwait2(loop->epoll_fd, events, MAX_EVENTS, &ts, NULL);
        /* Sandboxes that do not know it refuse it in their own ways. */
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        loop->no_pwait2 = true;
    }
#endif
    timeout = (timeout + 999) / 1000;
    return epoll_wait(loop->epoll_fd, events, MAX_EVENTS, timeout > INT32_MAX ? INT32_MAX : (int)timeout);
}

static uint64_t poll_timeout(struct ait_loop *loop, uint64_t until)
{
    uint64_t now;

    if (until == 0 || until == UINT64_MAX)
        return until;
    /* A virtual clock does not move while we sleep: look at the fds, then either it jumps or only they can bring anything. */
    if (loop->clock.virtual)
        return clock_jumps(&loop->clock) ? 0 : UINT64_MAX;
    now = clock_now_real();
    return until > now ? until - now : 0;
}

int loop_poll(struct ait_loop *loop, uint64_t until)
{
    struct epoll_event events[MAX_EVENTS];
    uint64_t timeout = poll_timeout(loop, until);
    int n;

    if (timeout > 0)
        timeout = rest(loop, timeout);
    n = wait_events(loop, events, timeout);
    if (n == 0 && until != 0 && until != UINT64_MAX && clock_jumps(&loop->clock) &&
        (!loop->guest || loop->finishing))
        clock_jump(&loop->clock, until);
    for (int i = 0; i < n; i++) {
        uint64_t data = events[i].data.u64;

        if (likely(!(data & WATCH_TAG)))
            fd_event(loop, data, events[i].events);
        else if (loop->watches[data & ~WATCH_TAG].ready)
            loop->watches[data & ~WATCH_TAG].ready(loop, events[i].events);
    }
    return n > 0 ? n : 0;
}

int loop_watch(struct ait_loop *loop, enum watch_id id, int fd,
               void (*ready)(struct ait_loop *loop, uint32_t events))
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = WATCH_TAG | (uint64_t)id};

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        return -errno;
    loop->watches[id] = (struct watch){.ready = ready, .fd = fd};
    return 0;
}

void loop_unwatch(struct ait_loop *loop, enum watch_id id)
{
    if (!loop->watches[id].ready)
        return;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->watches[id].fd, NULL);
    loop->watches[id].ready = NULL;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void register_fork_handler(void)
{
    (void)pthread_atfork(NULL, NULL, after_fork_in_child);
}

static void shuffle_from_environment(struct ait_loop *loop)
{
    const char *seed = secure_getenv("AIT_SHUFFLE");
    static bool told;
    uint64_t number;
    char *end;

    if (!seed || !*seed)
        return;
    number = strtoull(seed, &end, 0);
    if (end == seed || *end) {
        if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
            (void)fprintf(stderr, "aiotools-sd: AIT_SHUFFLE is '%s', which is no number: ignored\n", seed);
        return;
    }
    loop->shuffle = true;
    loop->shuffle_state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (loop->shuffle_state == 0)
        loop->shuffle_state = 1;
}

static void loop_enlist(struct ait_loop *loop)
{
    (void)pthread_mutex_lock(&debug_lock);
    loop->next_loop = ait_debug_loops;
    ait_debug_loops = loop;
    (void)pthread_mutex_unlock(&debug_lock);
}

static void loop_delist(struct ait_loop *loop)
{
    (void)pthread_mutex_lock(&debug_lock);
    for (struct ait_loop **p = &ait_debug_loops; *p; p = &(*p)->next_loop)
        if (*p == loop) {
            *p = loop->next_loop;
            break;
        }
    (void)pthread_mutex_unlock(&debug_lock);
}

static struct ait_loop *loop_free(struct ait_loop *loop)
{
    if (unlikely(loop->n_tasks > 0)) {
        (void)fprintf(
            stderr, "aiotools-sd: the last reference to a loop is dropped while %zu of its tasks are live\n",
            loop->n_tasks);
        abort();
    }
    loop_delist(loop);
    slots_drop(&loop->callbacks);
    guest_done(loop);
    post_done(loop);
    for (unsigned i = 0; i < WATCH_MAX; i++)
        loop_unwatch(loop, i);
    sd_event_unref(loop->event);
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    scope_done(&loop->root);
    scope_pool_done(&loop->scopes);
    fdtable_done(&loop->fds);
    timers_done(&loop->timers);
    stacks_done(&loop->stacks);
    if (loop->clock.virtual) {
        loop->clock.virtual->loop = NULL;
        ait_clock_unref(loop->clock.virtual);
    }
    free(loop->ring);
    if (this_loop == loop)
        this_loop = NULL;
    free(loop);
    return NULL;
}

AIT_PUBLIC int ait_loop_new(ait_loop **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ait_loop *loop;
    int r;

    if (!ret)
        return -EINVAL;
    if (this_loop)
        return -EBUSY;
    (void)pthread_once(&once, register_fork_handler);
    loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->refs = 1;
    loop->fork_generation = loop_fork_generation;
    loop->epoll_fd = -1;
#ifdef AIT_HAVE_VALGRIND
    /* It complains of calls that it does not know. */
    loop->no_pwait2 = RUNNING_ON_VALGRIND;
#endif
    list_init(&loop->callbacks);
    scope_init_root(&loop->root, loop, NULL, NULL);
    context_init_thread(&loop->context);
    shuffle_from_environment(loop);
    r = stacks_init(&loop->stacks, sizeof(struct ait_task));
    if (r < 0)
        goto fail;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        r = -errno;
        goto fail;
    }
    r = post_init(loop);
    if (r < 0)
        goto fail;
    overflow_handler_install();
    forked = false;
    loop_enlist(loop);
    this_loop = loop;
    *ret = loop;
    return 0;

fail:
    loop_free(loop);
    return r;
}

AIT_PUBLIC ait_loop *ait_loop_ref(ait_loop *loop)
{
    if (loop)
        loop->refs++;
    return loop;
}

AIT_PUBLIC ait_loop *ait_loop_unref(ait_loop *loop)
{
    /* What a fork has copied belongs to the parent: its epoll must not be touched. */
    if (loop && loop_is_this(loop) && --loop->refs == 0)
        loop_free(loop);
    return NULL;
}

AIT_PUBLIC ait_loop *ait_loop_current(void)
{
    return this_loop;
}

AIT_PUBLIC ait_scope *ait_loop_root(ait_loop *loop)
{
    return loop ? &loop->root : NULL;
}

AIT_PUBLIC size_t ait_loop_n_tasks(const ait_loop *loop)
{
    return loop ? loop->n_tasks : 0;
}
