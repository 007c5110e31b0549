/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An entry is in the table from when its load begins. It is in the list of the least recently used
 * once it has a value, or an error that is remembered. After it has left the table, it lives
 * as long as somebody holds it; a load whose entry was dropped ends like any other, only that
 * nobody new can find it.
 *
 * The one who loads is the entry's "loader". To hand the load on is to name the first waiter as the
 * loader and to wake it; if that one is cancelled, too, it hands on again.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <aiotools-sd/cache.h>

#include "now.h"
#include "scheduler.h"
#include "options.h"

#define MAX_ENTRIES 128
#define MIN_BUCKETS 16

enum entry_state { ENTRY_LOADING, ENTRY_READY, ENTRY_FAILED };

struct ait_cache_entry {
    struct list used;             /* in the cache's list, or in none */
    struct list waiters;          /* while it is loading */
    struct ait_cache_entry *next; /* in its bucket */
    struct ait_task *loader;
    ait_destroy_fn destroy;
    void *value;
    uint64_t hash;
    uint64_t expires;
    uint32_t refs;
    int error;
    uint8_t state;
    bool in_table;
    _Alignas(max_align_t) char key[];
};

struct ait_cache {
    ait_cache_options options;
    struct ait_loop *loop;
    struct ait_cache_entry **buckets;
    size_t n_buckets; /* a power of two */
    size_t n_in_table, n_used;
    struct list used; /* from the one that was asked for longest ago */
    uint64_t secret[2];
    uint64_t n_hits, n_misses, n_waits, n_evicted;
    uint32_t refs;
};

/* ---- keys ------------------------------------------------------------------------------------ */

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3: keys may come from strangers, who must not be able to choose keys that collide. */
static uint64_t sip_hash(const uint64_t secret[2], const char *data, size_t n)
{
    uint64_t v[4] = {
        secret[0] ^ UINT64_C(0x736f6d6570736575), secret[1] ^ UINT64_C(0x646f72616e646f6d),
        secret[0] ^ UINT64_C(0x6c7967656e657261), secret[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t word, last = (uint64_t)n << 56;

    for (; n >= 8; n -= 8, data += 8) {
        memcpy(&word, data, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)(uint8_t)data[i] << 8 * i;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t key_size(const struct ait_cache *c, const void *key)
{
    return c->options.key_size ? c->options.key_size : strlen(key) + 1;
}

static uint64_t key_hash(const struct ait_cache *c, const void *key)
{
    if (c->options.hash)
        return c->options.hash(key, c->options.userdata);
    return sip_hash(c->secret, key, key_size(c, key));
}

static bool key_equal(const struct ait_cache *c, const void *a, const void *b)
{
    if (c->options.equal)
        return c->options.equal(a, b, c->options.userdata);
    return c->options.key_size ? memcmp(a, b, c->options.key_size) == 0 : strcmp(a, b) == 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct ait_cache_entry **bucket_of(const struct ait_cache *c, uint64_t hash)
{
    /* Users' hashes need not be good in their low bits. */
    return c->buckets + ((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (c->n_buckets - 1));
}

static struct ait_cache_entry *find(const struct ait_cache *c, const void *key, uint64_t hash)
{
    for (struct ait_cache_entry *e = *bucket_of(c, hash); e; e = e->next)
        if (e->hash == hash && key_equal(c, e->key, key))
            return e;
    return NULL;
}

/* If memory is short, fuller buckets suffice. */
static void grow(struct ait_cache *c)
{
    size_t n = c->n_buckets, old_n = n;
    struct ait_cache_entry **old = c->buckets, **buckets;

    if (c->n_in_table < n)
        return;
    buckets = calloc(n * 2, sizeof(struct ait_cache_entry *));
    if (!buckets)
        return;
    c->buckets = buckets;
    c->n_buckets = n * 2;
    for (size_t i = 0; i < old_n; i++)
        for (struct ait_cache_entry *e = old[i], *next; e; e = next) {
            struct ait_cache_entry **bucket = bucket_of(c, e->hash);

            next = e->next;
            e->next = *bucket;
            *bucket = e;
        }
    free(old);
}

static struct ait_cache_entry *add(struct ait_cache *c, const void *key, uint64_t hash)
{
    size_t n = key_size(c, key);
    struct ait_cache_entry *e = malloc(sizeof(*e) + n);
    struct ait_cache_entry **bucket;

    if (!e)
        return NULL;
    *e = (struct ait_cache_entry){.state = ENTRY_LOADING,
                                  .hash = hash,
                                  .refs = 1,
                                  .in_table = true,
                                  .destroy = c->options.destroy};
    memcpy(e->key, key, n);
    list_init(&e->used);
    list_init(&e->waiters);
    grow(c);
    bucket = bucket_of(c, hash);
    e->next = *bucket;
    *bucket = e;
    c->n_in_table++;
    return e;
}

/* Out of the table, whose reference goes. */
static void drop(struct ait_cache *c, struct ait_cache_entry *e)
{
    struct ait_cache_entry **p = bucket_of(c, e->hash);

    if (!e->in_table)
        return;
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    e->in_table = false;
    c->n_in_table--;
    if (!list_empty(&e->used)) {
        list_remove(&e->used);
        c->n_used--;
    }
    ait_cache_entry_unref(e);
}

/* Something to be kept: makes room. */
static void keep(struct ait_cache *c, struct ait_cache_entry *e, uint64_t age)
{
    uint64_t now = loop_now(c->loop);

    e->expires = age == 0 || age >= UINT64_MAX - now ? UINT64_MAX : now + age;
    list_append(&c->used, &e->used);
    c->n_used++;
    while (c->n_used > c->options.max_entries) {
        drop(c, container_of(c->used.next, struct ait_cache_entry, used));
        c->n_evicted++;
    }
}

/* ---- loading --------------------------------------------------------------------------------- */

static void wake_waiters(struct ait_cache_entry *e)
{
    while (!list_empty(&e->waiters)) {
        struct waiter *w = container_of(e->waiters.next, struct waiter, link);

        list_remove(&w->link);
        task_wake(w->task);
    }
}

static void loaded(struct ait_cache *c, struct ait_cache_entry *e, void *value)
{
    e->state = ENTRY_READY;
    e->value = value;
    e->loader = NULL;
    wake_waiters(e);
    if (e->in_table)
        keep(c, e, c->options.max_age);
}

static void failed(struct ait_cache *c, struct ait_cache_entry *e, int error)
{
    e->state = ENTRY_FAILED;
    e->error = error;
    e->loader = NULL;
    wake_waiters(e);
    if (!e->in_table)
        return;
    if (c->options.error_age > 0)
        keep(c, e, c->options.error_age);
    else
        drop(c, e);
}

/* Its loader cannot continue. */
static void hand_on(struct ait_cache *c, struct ait_cache_entry *e)
{
    struct waiter *w;

    if (list_empty(&e->waiters)) {
        e->state = ENTRY_FAILED;
        e->error = -ECANCELED;
        e->loader = NULL;
        drop(c, e);
        return;
    }
    w = container_of(e->waiters.next, struct waiter, link);
    list_remove(&w->link);
    e->loader = w->task;
    task_wake(w->task);
}

static int load(struct ait_cache *c, struct ait_cache_entry *e, const struct ait_task *t)
{
    void *value = NULL;
    int r;

    c->n_misses++;
    r = c->options.load(e->key, &value, c->options.userdata);
    /* Something of the loader's was cancelled, which concerns nobody else. */
    if (r == -ECANCELED && !t->scope->effective)
        r = -EPROTO;
    if (r >= 0)
        loaded(c, e, value);
    else if (r == -ECANCELED)
        hand_on(c, e);
    else
        failed(c, e, r);
    return r < 0 ? r : 0;
}

/* Waits until the entry is loaded, by another task or by this one. */
static int wait_for(struct ait_cache *c, struct ait_cache_entry *e, struct ait_task *t)
{
    const struct wait wait = {.kind = "cache", .object = c};
    struct waiter w = {.task = t};

    c->n_waits++;
    list_append(&e->waiters, &w.link);
    do
        task_suspend_in(c->loop, t, TASK_PARKED, &wait);
    while (!list_empty(&w.link) && !t->scope->effective);
    list_remove(&w.link);
    if (e->state == ENTRY_READY)
        return 0;
    if (e->state == ENTRY_FAILED)
        return e->error;
    if (!t->scope->effective)
        return load(c, e, t);
    if (e->loader == t)
        hand_on(c, e);
    return -ECANCELED;
}

/* ---- calls ----------------------------------------------------------------------------------- */

AIT_PUBLIC int ait_cache_new(ait_cache **ret, const ait_cache_options *options)
{
    struct ait_cache *c;
    ait_cache_options o;
    int r;

    r = options_copy(&o, sizeof(o), options);
    if (r < 0)
        return r;
    if (!ret || !o.load || !o.hash != !o.equal)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->buckets = calloc(MIN_BUCKETS, sizeof(struct ait_cache_entry *));
    if (!c->buckets) {
        free(c);
        return -ENOMEM;
    }
    c->n_buckets = MIN_BUCKETS;
    c->refs = 1;
    c->loop = this_loop;
    c->options = o;
    if (c->options.max_entries == 0)
        c->options.max_entries = MAX_ENTRIES;
    list_init(&c->used);
    /* Too early after boot for a secret is too early for an attacker. */
    (void)!getrandom(c->secret, sizeof(c->secret), GRND_NONBLOCK);
    *ret = c;
    return 0;
}

AIT_PUBLIC ait_cache *ait_cache_ref(ait_cache *cache)
{
    if (cache)
        cache->refs++;
    return cache;
}

static void drop_all(struct ait_cache *c)
{
    for (size_t i = 0; i < c->n_buckets; i++)
        while (c->buckets[i])
            drop(c, c->buckets[i]);
}

AIT_PUBLIC ait_cache *ait_cache_unref(ait_cache *cache)
{
    if (!cache || --cache->refs > 0)
        return NULL;
    drop_all(cache);
    free(cache->buckets);
    free(cache);
    return NULL;
}

/* The entry for a lookup or a wait; NULL if there is none, or only one that is too old. */
static struct ait_cache_entry *look_up(struct ait_cache *c, const void *key, uint64_t hash)
{
    struct ait_cache_entry *e = find(c, key, hash);

    if (!e || e->state == ENTRY_LOADING || e->expires == UINT64_MAX ||
        loop_now(c->loop) < e->expires)
        return e;
    drop(c, e);
    return NULL;
}

static int hit(struct ait_cache *c, struct ait_cache_entry *e)
{
    c->n_hits++;
    list_remove(&e->used);
    list_append(&c->used, &e->used);
    return e->state == ENTRY_FAILED ? e->error : 1;
}

static int get(struct ait_cache *c, const void *key, struct ait_task *t,
               struct ait_cache_entry **ret)
{
    uint64_t hash = key_hash(c, key);
    struct ait_cache_entry *e = look_up(c, key, hash);
    int r;

    if (e) {
        if (e->loader == t)
            return -EDEADLK;
        ait_cache_entry_ref(e);
        r = e->state == ENTRY_LOADING ? wait_for(c, e, t) : hit(c, e);
    } else {
        e = add(c, key, hash);
        if (!e)
            return -ENOMEM;
        e->loader = t;
        ait_cache_entry_ref(e);
        r = load(c, e, t);
    }
    if (r < 0)
        ait_cache_entry_unref(e);
    else
        *ret = e;
    return r;
}

AIT_PUBLIC int ait_cache_get(ait_cache *cache, const void *key, ait_cache_entry **ret)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!cache || !key || !ret)
        return -EINVAL;
    LOOP_CHECK(cache->loop);
    r = op_enter(&loop, &t);
    if (r < 0)
        return r;
    /* Its owner may let go of it while we wait. */
    ait_cache_ref(cache);
    r = get(cache, key, t, ret);
    ait_cache_unref(cache);
    return r;
}

AIT_PUBLIC int ait_cache_invalidate(ait_cache *cache, const void *key)
{
    struct ait_cache_entry *e;

    if (!cache || !key)
        return -EINVAL;
    LOOP_CHECK(cache->loop);
    e = find(cache, key, key_hash(cache, key));
    if (!e)
        return 0;
    ait_cache_ref(cache); /* the destroy function may drop the caller's */
    drop(cache, e);
    ait_cache_unref(cache);
    return 1;
}

AIT_PUBLIC int ait_cache_clear(ait_cache *cache)
{
    if (!cache)
        return -EINVAL;
    LOOP_CHECK(cache->loop);
    ait_cache_ref(cache);
    drop_all(cache);
    ait_cache_unref(cache);
    return 0;
}

AIT_PUBLIC int ait_cache_get_info(const ait_cache *cache, ait_cache_info *ret)
{
    if (!cache || !ret)
        return -EINVAL;

    const ait_cache_info info = {.n_entries = cache->n_used,
                                 .n_hits = cache->n_hits,
                                 .n_misses = cache->n_misses,
                                 .n_waits = cache->n_waits,
                                 .n_evicted = cache->n_evicted};

    return options_fill(ret, &info, sizeof(info));
}

AIT_PUBLIC ait_cache_entry *ait_cache_entry_ref(ait_cache_entry *entry)
{
    if (entry)
        entry->refs++;
    return entry;
}

AIT_PUBLIC ait_cache_entry *ait_cache_entry_unref(ait_cache_entry *entry)
{
    if (!entry || --entry->refs > 0)
        return NULL;
    if (entry->state == ENTRY_READY && entry->destroy)
        entry->destroy(entry->value);
    free(entry);
    return NULL;
}

AIT_PUBLIC void *ait_cache_entry_value(const ait_cache_entry *entry)
{
    return entry ? entry->value : NULL;
}

AIT_PUBLIC const void *ait_cache_entry_key(const ait_cache_entry *entry)
{
    return entry ? entry->key : NULL;
}
