/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Two pools, of threads for calls that end and for calls that may hang, so that a name server that
 * does not answer does not keep a file from being read. Both are the process's, under one lock. A
 * job lies in the frame of the task that waits for it, or on the heap if it may be left behind.
 *
 * A thread whose job was left behind does not count any more: another one takes its place. How many
 * there may be of them is limited, too.
 *
 * A job that has ended is posted to its loop while the lock is held, and the task takes the lock
 * once more before it continues. So the thread does not touch job or loop after either was freed.
 * Until then the task keeps the loop alive.
 */

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <aiotools-sd/offload.h>

#include "now.h"
#include "post.h"
#include "scheduler.h"
#include "options.h"

#define STACK_SIZE        ((size_t)1024 * 1024) /* name service modules are deep */
#define THREADS_OVER_CPUS 4
#define THREADS_MAX       32
#define IDLE_USEC         (10 * AIT_USEC_PER_SEC)
#define LOST_MAX          64 /* threads whose jobs were left behind; more count like others */

enum job_state {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_DETACHED, /* it runs, and no task waits */
    JOB_POSTED,
};

struct job {
    struct list link; /* in the queue */
    struct pool *pool;
    enum job_state state;
    ait_offload_fn fn;
    void *userdata;
    int result;
    ait_destroy_fn destroy;
    struct ait_loop *loop;
    struct ait_task *task;
    struct post post;
    bool lost; /* left behind, with its thread */
    bool done; /* for the loop's thread alone */
};

static struct {
    pthread_mutex_t lock;
    unsigned max_threads; /* of each pool; 0: not looked up yet */
    uint64_t idle_usec;
} pools = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .idle_usec = IDLE_USEC,
};

static struct pool {
    pthread_cond_t work;
    struct list queue;
    unsigned n_threads, n_idle, n_queued;
    unsigned n_lost; /* not among n_threads */
} attached = {.queue = {&attached.queue, &attached.queue}},
  detachable = {.queue = {&detachable.queue, &detachable.queue}};

static void pool_lock(void)
{
    (void)pthread_mutex_lock(&pools.lock);
}

static void pool_unlock(void)
{
    (void)pthread_mutex_unlock(&pools.lock);
}

static void init_conditions(void)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&attached.work, &attr);
    (void)pthread_cond_init(&detachable.work, &attr);
    (void)pthread_condattr_destroy(&attr);
}

/* The threads are the parent's. So are the jobs, whose tasks do not run here. */
static void after_fork_in_child(void)
{
    attached = detachable = (struct pool){};
    list_init(&attached.queue);
    list_init(&detachable.queue);
    init_conditions();
    pool_unlock();
}

static void pool_init(void)
{
    init_conditions();
    (void)pthread_atfork(pool_lock, pool_unlock, after_fork_in_child);
}

static void pool_init_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, pool_init);
}

static unsigned default_threads(void)
{
    cpu_set_t set;
    unsigned n;

    CPU_ZERO(&set);
    (void)sched_getaffinity(0, sizeof(set), &set);
    n = (unsigned)CPU_COUNT(&set) + THREADS_OVER_CPUS;
    return n < THREADS_MAX ? n : THREADS_MAX;
}

/* ---- threads --------------------------------------------------------------------------------- */

static struct timespec idle_end(uint64_t since)
{
    uint64_t end =
        pools.idle_usec < INT32_MAX * AIT_USEC_PER_SEC ? since + pools.idle_usec : INT64_MAX;

    return (struct timespec){.tv_sec = (time_t)(end / AIT_USEC_PER_SEC),
                             .tv_nsec = (long)(end % AIT_USEC_PER_SEC) * 1000};
}

/* The next job; NULL if the thread must end. Called with the lock held. */
static struct job *pool_take(struct pool *p)
{
    uint64_t since = list_empty(&p->queue) ? clock_now_real() : 0;
    struct job *job;
    int r = 0;

    while (list_empty(&p->queue)) {
        struct timespec end = idle_end(since);

        if (r == ETIMEDOUT || p->n_threads > pools.max_threads)
            return NULL;
        p->n_idle++;
        r = pthread_cond_timedwait(&p->work, &pools.lock, &end);
        p->n_idle--;
    }
    job = container_of(p->queue.next, struct job, link);
    list_remove(&job->link);
    p->n_queued--;
    job->state = JOB_RUNNING;
    return job;
}

static void job_completed(void *userdata)
{
    struct job *job = userdata;

    job->done = true;
    task_wake(job->task);
}

/* With the lock held, but for what runs. */
static void job_run(struct job *job)
{
    struct pool *p = job->pool;
    int result;

    pool_unlock();
    result = job->fn(job->userdata);
    pool_lock();
    job->result = result;
    if (job->state == JOB_RUNNING) {
        job->state = JOB_POSTED;
        job->post.fn = job_completed;
        job->post.userdata = job;
        post_lent(job->loop, &job->post);
        return;
    }
    pool_unlock();
    if (job->destroy)
        job->destroy(job->userdata);
    pool_lock();
    if (job->lost) {
        p->n_lost--;
        p->n_threads++;
    }
    free(job);
}

static void *thread_main(void *userdata)
{
    struct pool *p = userdata;
    struct job *job;

    (void)pthread_setname_np(pthread_self(), p == &attached ? "ait-offload" : "ait-detachable");
    pool_lock();
    while ((job = pool_take(p)) != NULL)
        job_run(job);
    p->n_threads--;
    pool_unlock();
    return NULL;
}

/* With the lock held: the thread begins by taking it. */
static int thread_start(struct pool *p)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    r = -pthread_attr_init(&attr);
    if (r < 0)
        return r;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&thread, &attr, thread_main, p);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (r == 0)
        p->n_threads++;
    return r;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* With the lock held: a thread more, if there is work for it. */
static int pool_grow(struct pool *p, unsigned n_more)
{
    return p->n_idle < p->n_queued + n_more && p->n_threads < pools.max_threads ? thread_start(p)
                                                                                : 0;
}

static int job_submit(struct job *job)
{
    struct pool *p = job->pool;
    int r;

    pool_init_once();
    pool_lock();
    if (pools.max_threads == 0)
        pools.max_threads = default_threads();
    r = pool_grow(p, 1);
    if (r < 0 && p->n_threads == 0) {
        pool_unlock();
        return -EAGAIN;
    }
    list_append(&p->queue, &job->link);
    p->n_queued++;
    if (p->n_idle > 0)
        (void)pthread_cond_signal(&p->work);
    pool_unlock();
    job->loop->clock.n_held++;
    return 0;
}

/* With the lock held: the thread may never come back. Those that wait behind it get another one. */
static void job_lose_thread(struct job *job)
{
    struct pool *p = job->pool;

    if (p->n_lost >= LOST_MAX)
        return;
    job->lost = true;
    p->n_lost++;
    p->n_threads--;
    (void)pool_grow(p, 0);
}

/*
 * For a cancelled caller. Returns whether the job is no longer the caller's concern: JOB_QUEUED,
 * JOB_DETACHED; otherwise the caller must wait.
 */
static enum job_state job_give_up(struct job *job, bool detach)
{
    enum job_state state;

    pool_lock();
    state = job->state;
    if (state == JOB_QUEUED) {
        list_remove(&job->link);
        job->pool->n_queued--;
    } else if (state == JOB_RUNNING && detach) {
        job->state = state = JOB_DETACHED;
        job_lose_thread(job);
    }
    pool_unlock();
    return state;
}

/* Returns JOB_POSTED if the job has ended. */
static enum job_state job_wait(struct job *job, bool detach)
{
    const struct wait wait = {.kind = "offload", .object = (const void *)(uintptr_t)job->fn};
    struct ait_task *t = job->task;
    enum job_state state = JOB_POSTED;

    while (!job->done && !t->scope->effective)
        task_suspend_in(job->loop, t, TASK_PARKED, &wait);
    if (!job->done)
        state = job_give_up(job, detach);
    if (state == JOB_QUEUED || state == JOB_DETACHED) {
        t->future.loop->clock.n_held--;
        return state;
    }
    while (!job->done)
        task_suspend_in(job->loop, t, TASK_WAITING, &wait);
    job->loop->clock.n_held--;
    pool_lock();
    pool_unlock();
    return JOB_POSTED;
}

static int offload_attached(struct job *job, int *ret_result)
{
    int r;

    r = op_enter(&job->loop, &job->task);
    if (r < 0)
        return r;
    r = job_submit(job);
    if (r < 0)
        return r;
    if (job_wait(job, false) != JOB_POSTED)
        return -ECANCELED;
    *ret_result = job->result;
    return 0;
}

static int offload_detachable(const struct job *template, int *ret_result)
{
    struct job *job;
    int r;

    job = malloc(sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = *template;
    r = op_enter(&job->loop, &job->task);
    if (r >= 0)
        r = job_submit(job);
    if (r >= 0) {
        switch (job_wait(job, true)) {
        case JOB_DETACHED:
            return -ECANCELED;
        case JOB_QUEUED:
            r = -ECANCELED;
            break;
        default:
            *ret_result = job->result;
        }
    }
    if (r == -ECANCELED && job->destroy)
        job->destroy(job->userdata);
    free(job);
    return r;
}

AIT_PUBLIC int ait_offload_full(int *ret_result, ait_offload_fn fn, void *userdata,
                                const ait_offload_options *options)
{
    struct job job = {.pool = &attached, .state = JOB_QUEUED, .fn = fn, .userdata = userdata};
    ait_offload_options o;
    int r, result = 0;

    r = options_copy(&o, sizeof(o), options);
    if (r < 0)
        return r;
    if (!fn || o.flags & ~(unsigned)AIT_OFFLOAD_DETACH)
        return -EINVAL;
    if (o.flags & AIT_OFFLOAD_DETACH) {
        job.pool = &detachable;
        job.destroy = o.destroy;
        r = offload_detachable(&job, &result);
    } else {
        r = offload_attached(&job, &result);
    }
    if (r >= 0 && ret_result)
        *ret_result = result;
    return r;
}

AIT_PUBLIC int ait_offload(ait_offload_fn fn, void *userdata)
{
    int r, result = 0;

    r = ait_offload_full(&result, fn, userdata, NULL);
    if (r < 0)
        return r;
    return result == -ECANCELED ? -EPROTO : result; /* it was not the caller who was cancelled */
}

AIT_PUBLIC int ait_offload_configure(unsigned n_threads, uint64_t idle_usec)
{
    pool_init_once();
    pool_lock();
    pools.max_threads = n_threads ? n_threads : default_threads();
    pools.idle_usec = idle_usec ? idle_usec : IDLE_USEC;
    (void)pthread_cond_broadcast(&attached.work);
    (void)pthread_cond_broadcast(&detachable.work);
    pool_unlock();
    return 0;
}
