/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_CACHE_H
#define AIT_CACHE_H

/*
 * A cache that loads what it does not have, once: whoever asks for a key first runs the loader, and whoever asks meanwhile waits for it.
 *
 * A value is handed out in an entry, which is counted: it stays valid for who holds it when the cache has long dropped it. The cache drops an entry
 * when it is too old, when there are too many (the one that was asked for longest ago goes), and when it is told to. Errors
 * are told to all who wait and then forgotten, unless an age is set for them. A loader that is cancelled hands the load on to the next who waits: no
 * one's patience is another's.
 *
 * A cache belongs to the loop it was made on. What outlives that loop can be looked at and dropped.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

typedef struct ait_cache ait_cache;
typedef struct ait_cache_entry ait_cache_entry;

/* Makes the value of a key, in the task that asked; it may suspend. An error (negative), or 0 with the value. */
typedef int (*ait_cache_load_fn)(const void *key, void **ret_value, void *userdata);
typedef uint64_t (*ait_cache_hash_fn)(const void *key, void *userdata);
/* Not 0: they are equal. */
typedef int (*ait_cache_equal_fn)(const void *a, const void *b, void *userdata);

typedef struct ait_cache_options {
    size_t size; /* sizeof(ait_cache_options) */

    ait_cache_load_fn load;
    /* Of a value, with the last reference to its entry; may be NULL. Must not suspend. */
    ait_destroy_fn destroy;
    void *userdata;

    /* Keys are copied: strings where key_size is 0, else memory of that size. hash and equal (both or neither) replace
     * comparison byte by byte. */
    size_t key_size;
    ait_cache_hash_fn hash;
    ait_cache_equal_fn equal;

    size_t max_entries; /* 0: 128; SIZE_MAX: no bound */
    uint64_t max_age;   /* of a value, from when it was loaded; 0: no bound */
    uint64_t error_age; /* how long an error is remembered; 0: not at all */
} ait_cache_options;

#define AIT_CACHE_OPTIONS(...) AIT_OPTIONS_(ait_cache_options, __VA_ARGS__)

int ait_cache_new(ait_cache **ret, const ait_cache_options *options) AIT_MUST_CHECK;
ait_cache *ait_cache_ref(ait_cache *cache);
ait_cache *ait_cache_unref(ait_cache *cache);
AIT_DEFINE_CLEANUP_(ait_cache, ait_cache_unref)

/*
 * The entry of a key, loaded where it is not there. Returns 1 where it was there, 0 where it was loaded, by this call or another; or the loader's
 * error. -EDEADLK: the calling task is loading this key. A hit is a suspension point, too, though it does not suspend.
 */
int ait_cache_get(ait_cache *cache, const void *key, ait_cache_entry **ret);

ait_cache_entry *ait_cache_entry_ref(ait_cache_entry *entry);
ait_cache_entry *ait_cache_entry_unref(ait_cache_entry *entry);
AIT_DEFINE_CLEANUP_(ait_cache_entry, ait_cache_entry_unref)
/* Borrowed. */
void *ait_cache_entry_value(const ait_cache_entry *entry);
const void *ait_cache_entry_key(const ait_cache_entry *entry);

/*
 * Drops a key. Returns 1 where there was one, else 0. A load that is under way goes on for those who have asked already; who asks from here on
 * loads anew.
 */
int ait_cache_invalidate(ait_cache *cache, const void *key);
/* Drops all. */
int ait_cache_clear(ait_cache *cache);

typedef struct ait_cache_info {
    size_t size;      /* sizeof(ait_cache_info), set by the caller */
    size_t n_entries; /* values and remembered errors */
    uint64_t n_hits;
    uint64_t n_misses; /* loads that were begun */
    uint64_t n_waits;  /* of callers who found a load under way */
    uint64_t n_evicted;
} ait_cache_info;

int ait_cache_get_info(const ait_cache *cache, ait_cache_info *ret);

AIT_END_DECLS

#endif
