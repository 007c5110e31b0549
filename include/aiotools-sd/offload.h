/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_OFFLOAD_H
#define AIT_OFFLOAD_H

/*
 * Blocking calls that run on threads and are awaited by tasks. They are for work that the kernel or
 * a library offers in no other way, such as regular files, name lookups and compression.
 *
 * Two small pools of threads serve all loops of the process: one for calls with AIT_OFFLOAD_DETACH,
 * such as name lookups, and one for all others, such as files, which so do not wait for calls that
 * hang. A thread is started when a call waits for one, up to a limit, and ends after it has been
 * idle for a while. A thread whose call was left behind is replaced. In each pool calls begin in
 * the order in which they were made. The threads block all signals and have no loop; code on them
 * must not make ait_* calls that need a task. A forked child begins with an empty pool.
 *
 * A thread cannot be interrupted. If the caller is cancelled before its call has begun, the call is
 * withdrawn. A call that runs is waited for, so its arguments may lie in the caller's frame. With
 * AIT_OFFLOAD_DETACH it is not waited for. Use that for calls that may block for ever.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

enum {
    AIT_OFFLOAD_DETACH = 1 << 0, /* a cancelled caller does not wait for a call that runs */
};

typedef struct ait_offload_options {
    size_t size; /* sizeof(ait_offload_options) */
    unsigned flags;
    ait_destroy_fn destroy; /* releases a userdata that was left behind; called on any thread */
} ait_offload_options;

#define AIT_OFFLOAD_OPTIONS(...) AIT_OPTIONS_(ait_offload_options, __VA_ARGS__)

typedef int (*ait_offload_fn)(void *userdata);

/*
 * Runs fn(userdata) on a thread and returns its result. -ECANCELED: the caller was cancelled before
 * fn had begun, and fn was not run. If fn had begun, its result is waited for and returned.
 * -EPROTO: fn has returned -ECANCELED. -EAGAIN: no thread could be created. Allocates no memory.
 */
int ait_offload(ait_offload_fn fn, void *userdata);

/*
 * The same with options (may be NULL). Returns 0, with fn's result in ret_result (may be NULL).
 *
 * With AIT_OFFLOAD_DETACH, userdata must not lie in the caller's frame. On -ECANCELED its ownership
 * has passed to the pool: destroy (may be NULL) is called with it, at once or when fn has returned.
 * After every other return value it stays the caller's.
 */
int ait_offload_full(int *ret_result, ait_offload_fn fn, void *userdata,
                     const ait_offload_options *options);

/*
 * Sets the limits of each of the process's pools: at most n_threads, which end after having been
 * idle for idle_usec. n_threads 0: the default, 4 more than the number of processors, but at
 * most 32. idle_usec 0: the default, 10 s. Threads above a new limit end when they are idle. Any
 * thread may call it.
 */
int ait_offload_configure(unsigned n_threads, uint64_t idle_usec);

/*
 * Files; threads are used where the kernel cannot answer at once. Like the system calls, but a
 * negative errno is returned and errno is not used. The fd of ait_open() is close-on-exec. A call
 * that has begun is waited for even if the caller is cancelled, and its result is returned.
 */
int ait_open(const char *path, int flags, mode_t mode);
/*
 * At most n bytes from offset; 0 is the end of the file. Data in the page cache is read without a
 * thread.
 */
ssize_t ait_pread(int fd, void *buf, size_t n, uint64_t offset);
ssize_t ait_pwrite(int fd, const void *buf, size_t n, uint64_t offset);
int ait_fsync(int fd);
int ait_fdatasync(int fd);

/*
 * Reads a whole file. The caller must free() ret_data, which has a zero byte after its n bytes.
 * -EFBIG: the file has more than max bytes.
 */
int ait_read_file(void **ret_data, size_t *ret_n, const char *path, size_t max);
/*
 * Replaces the file at path, all or nothing: writes a new file beside it, syncs it, renames it, and
 * syncs the directory. mode is the mode of the new file.
 */
int ait_write_file(const char *path, const void *data, size_t n, mode_t mode);

AIT_END_DECLS

#endif
