/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_OFFLOAD_H
#define AIT_OFFLOAD_H

/*
 * Blocking calls, run on threads and awaited by tasks: for what the kernel or a library offers in no other way (regular files, name
 * service, compression).
 *
 * One small pool of threads serves all loops of the process. A thread is started when a call waits for one, up to a bound; one that was idle for
 * a while ends. Calls begin in the order in which they were made. In the threads all signals are blocked, there is no loop, and no
 * ait_* call that needs a task may be made. A forked child begins with an empty pool.
 *
 * A thread cannot be interrupted. A call that is cancelled before it began is withdrawn; one that runs is waited for, so that its
 * arguments may lie in the caller's frame, or (AIT_OFFLOAD_DETACH) left to itself. Do not offload what may block for ever without the latter.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

enum {
    AIT_OFFLOAD_DETACH = 1 << 0, /* a caller that is cancelled does not wait for a call that runs */
};

typedef struct ait_offload_options {
    size_t size; /* sizeof(ait_offload_options) */
    unsigned flags;
    ait_destroy_fn destroy; /* of a userdata that was left behind; on any thread */
} ait_offload_options;

#define AIT_OFFLOAD_OPTIONS(...) AIT_OPTIONS_(ait_offload_options, __VA_ARGS__)

typedef int (*ait_offload_fn)(void *userdata);

/*
 * Runs fn(userdata) on a thread and returns its result. -ECANCELED: the caller is cancelled and fn was not run; where it had begun, its result is
 * waited for and returned. -EAGAIN: no thread could be made. Allocates nothing.
 */
int ait_offload(ait_offload_fn fn, void *userdata);

/*
 * The same with options (may be NULL): returns 0 with fn's result in ret_result (may be NULL).
 *
 * With AIT_OFFLOAD_DETACH, userdata must not lie in the caller's frame: on -ECANCELED it was given away, and destroy (may be NULL) is called with
 * it, at once or when fn has returned. After every other return it stays the caller's.
 */
int ait_offload_full(int *ret_result, ait_offload_fn fn, void *userdata, const ait_offload_options *options);

/*
 * Of the whole process: at most n_threads (0: as by default, 4 more than there are processors, but not above 32), which end when they were idle for
 * idle_usec (0: as by default, 10 s). Threads that are too many end when they are idle. Any thread may call it.
 */
int ait_offload_configure(unsigned n_threads, uint64_t idle_usec);

/*
 * Files, by threads where the kernel cannot answer at once. As the system calls, negative errno instead of errno; the fd of ait_open() is
 * close-on-exec. All wait for a call that has begun, even where the caller is cancelled, and then return what it returned.
 */
int ait_open(const char *path, int flags, mode_t mode);
/* At most n bytes from offset; 0 is the end. Data in the page cache is read without a thread. */
ssize_t ait_pread(int fd, void *buf, size_t n, uint64_t offset);
ssize_t ait_pwrite(int fd, const void *buf, size_t n, uint64_t offset);
int ait_fsync(int fd);
int ait_fdatasync(int fd);

/* A whole file: ret_data is the caller's to free(), and has one more byte behind its n, a zero. -EFBIG: it has more than max bytes. */
int ait_read_file(void **ret_data, size_t *ret_n, const char *path, size_t max);
/* Puts a file in place of path, all or nothing: written beside it, synced, renamed, the directory synced. mode is that of the new file. */
int ait_write_file(const char *path, const void *data, size_t n, mode_t mode);

AIT_END_DECLS

#endif
