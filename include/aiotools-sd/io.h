/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_IO_H
#define AIT_IO_H

/*
 * File descriptors for tasks: each call tries first, and suspends the calling task where the kernel
 * would block.
 *
 * The fds stay the caller's. Sockets may be blocking or not. Other fds are made non-blocking at
 * their first use, except terminals and fds 0 to 2, whose mode is shared with other programs, and
 * regular files that never wait. The loop remembers each fd that it was given. Close it with
 * ait_close(); if other code closes it, call ait_fd_forget() first, or wait for it with ait_poll()
 * alone, which remembers nothing. Each call whose fd ait_close() closes while it waits, or while it
 * lets other tasks run, returns -EBADF. Time limits are deadlines of scopes (scope.h).
 */

#include <sys/socket.h>
#include <sys/uio.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* Like the system calls: at most n bytes; 0 is the end of file. Sockets never raise SIGPIPE. */
ssize_t ait_read(int fd, void *buf, size_t n);
ssize_t ait_write(int fd, const void *buf, size_t n);
ssize_t ait_recv(int fd, void *buf, size_t n, int flags);
ssize_t ait_send(int fd, const void *buf, size_t n, int flags);
ssize_t ait_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t ait_sendmsg(int fd, const struct msghdr *msg, int flags);

/*
 * Datagrams. addr and len may be NULL. *len is the room in addr, and receives the length of the
 * address. A datagram that is longer than n is truncated.
 */
ssize_t ait_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len);
ssize_t ait_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
                   socklen_t len);

/* n is the number of vectors, at most IOV_MAX. */
ssize_t ait_readv(int fd, const struct iovec *iov, int n);
ssize_t ait_writev(int fd, const struct iovec *iov, int n);

/*
 * Copy at most n bytes without passing through user space. Both return the number of bytes copied;
 * 0 is the end of in. ait_sendfile: in is a regular file, and offset is advanced (NULL: the file's
 * own position). ait_splice: one of the two is a pipe, and flags are those of splice(2). Both wait
 * while the other side has no room. Reading the file itself may block on the disk. Sockets that are
 * passed become non-blocking.
 */
ssize_t ait_sendfile(int out, int in, off_t *offset, size_t n);
ssize_t ait_splice(int in, off_t *in_offset, int out, off_t *out_offset, size_t n, unsigned flags);

/*
 * Writes all n bytes and returns 0. On an error ret_done (may be NULL) tells how many were written.
 */
int ait_write_all(int fd, const void *buf, size_t n, size_t *ret_done);

/* Returns the new connection, close-on-exec and non-blocking. addr and len may be NULL. */
int ait_accept(int fd, struct sockaddr *addr, socklen_t *len);
int ait_connect(int fd, const struct sockaddr *addr, socklen_t len);

/*
 * A message with file descriptors over a unix socket. Received descriptors are close-on-exec. If
 * more than max arrive, all are closed and -EMSGSIZE is returned.
 */
ssize_t ait_send_fds(int fd, const void *buf, size_t n, const int *fds, size_t n_fds);
ssize_t ait_recv_fds(int fd, void *buf, size_t n, int *ret_fds, size_t max, size_t *ret_n_fds);

/*
 * Waits until poll(2) would report one of events (POLLIN, POLLOUT, POLLRDHUP, POLLPRI and the
 * others of poll(2)), or POLLERR or POLLHUP. Returns the events that are ready. For fds of other
 * code, which may close them and open others between two calls: the loop remembers nothing of them,
 * and leaves their mode as it is. -EINVAL: events is empty.
 */
int ait_poll(int fd, short events);

/*
 * The same for several fds, like poll(2): fills in revents and returns how many entries have any.
 * Entries with a negative fd are skipped. n is at most AIT_POLL_MAX. An entry whose fd ait_close()
 * closes meanwhile has POLLNVAL.
 */
#define AIT_POLL_MAX 16
struct pollfd;
int ait_poll_many(struct pollfd *fds, size_t n);

/* Wakes the fd's waiters with -EBADF and closes it. Not a suspension point. */
int ait_close(int fd);
/*
 * The same without closing, for an fd that other code closes, or that other code reads from now on.
 */
int ait_fd_forget(int fd);

AIT_END_DECLS

#endif
