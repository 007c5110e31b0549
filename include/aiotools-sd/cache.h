/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_CACHE_H
#define AIT_CACHE_H

/*
 * A cache that loads a missing value once: the first caller that asks for a key runs the loader,
 * and callers that ask meanwhile wait for it.
 *
 * Values are handed out in reference-counted entries. An entry stays valid for its holder after the
 * cache has dropped it. The cache drops an entry when it is too old, when there are too many (the
 * least recently used one goes), and on request. An error is returned to all waiters and then
 * forgotten, unless error_age is set. If the task that loads is cancelled, the next waiter loads
 * instead.
 *
 * A cache belongs to the loop that it was made on. Entries that outlive that loop can still be read
 * and dropped.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

typedef struct ait_cache ait_cache;
typedef struct ait_cache_entry ait_cache_entry;

/*
 * Makes the value of a key, in the task that asked. It may suspend. Returns 0 and the value, or a
 * negative error.
 */
typedef int (*ait_cache_load_fn)(const void *key, void **ret_value, void *userdata);
typedef uint64_t (*ait_cache_hash_fn)(const void *key, void *userdata);
/* Not 0: the keys are equal. */
typedef int (*ait_cache_equal_fn)(const void *a, const void *b, void *userdata);

typedef struct ait_cache_options {
    size_t size; /* sizeof(ait_cache_options) */

    ait_cache_load_fn load;
    /*
     * Destroys a value when the last reference to its entry is dropped. May be NULL. Must not
     * suspend.
     */
    ait_destroy_fn destroy;
    void *userdata;

    /*
     * Keys are copied: strings if key_size is 0, else memory of that size. hash and equal (both or
     * neither) replace the comparison byte by byte.
     */
    size_t key_size;
    ait_cache_hash_fn hash;
    ait_cache_equal_fn equal;

    size_t max_entries; /* 0: 128; SIZE_MAX: no limit */
    uint64_t max_age;   /* of a value, from when it was loaded; 0: no limit */
    uint64_t error_age; /* how long an error is remembered; 0: not at all */
} ait_cache_options;

#define AIT_CACHE_OPTIONS(...) AIT_OPTIONS_(ait_cache_options, __VA_ARGS__)

int ait_cache_new(ait_cache **ret, const ait_cache_options *options) AIT_MUST_CHECK;
ait_cache *ait_cache_ref(ait_cache *cache);
ait_cache *ait_cache_unref(ait_cache *cache);
AIT_DEFINE_CLEANUP_(ait_cache, ait_cache_unref)

/*
 * Returns the entry of a key, and loads it if it is missing. Returns 1 if it was cached, 0 if it
 * was loaded by this call or another, or the loader's error. -EDEADLK: the calling task is loading
 * this key. -EPROTO: the loader has returned -ECANCELED, and its task was not cancelled. A hit
 * never suspends, but reports cancellation like a suspension point.
 */
int ait_cache_get(ait_cache *cache, const void *key, ait_cache_entry **ret);

ait_cache_entry *ait_cache_entry_ref(ait_cache_entry *entry);
ait_cache_entry *ait_cache_entry_unref(ait_cache_entry *entry);
AIT_DEFINE_CLEANUP_(ait_cache_entry, ait_cache_entry_unref)
/* The entry's value, borrowed. */
void *ait_cache_entry_value(const ait_cache_entry *entry);
const void *ait_cache_entry_key(const ait_cache_entry *entry);

/*
 * Drops a key. Returns 1 if it was cached, else 0. A load in progress continues for the callers
 * that already wait for it; later callers load again.
 */
int ait_cache_invalidate(ait_cache *cache, const void *key);
/* Drops all keys. */
int ait_cache_clear(ait_cache *cache);

typedef struct ait_cache_info {
    size_t size;      /* sizeof(ait_cache_info), set by the caller */
    size_t n_entries; /* values and remembered errors */
    uint64_t n_hits;
    uint64_t n_misses; /* loads that were started */
    uint64_t n_waits;  /* callers that found a load in progress */
    uint64_t n_evicted;
} ait_cache_info;

int ait_cache_get_info(const ait_cache *cache, ait_cache_info *ret);

AIT_END_DECLS

#endif
