/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * notify: the private NOTIFY_SOCKET of one worker, and the messages on it (protocol 1).
 *
 * Each worker has its own socket, so the address identifies the sender without a race through
 * /proc. It is a path, not an abstract name: a path has an owner and a mode, and Landlock's scopes
 * do not block it. The file belongs to the worker's uid and has mode 0600. If the worker starts as
 * root, and may change its user before it is ready, the mode is 0666, and only the check of the
 * sender decides. The name ends in 64 random bits, and the file was bound under another name, so
 * /proc/net/unix does not reveal it: only processes that were given the environment know it.
 *
 * notify_receive() never blocks and trusts nothing. Passed fds are always closed, which
 * acknowledges a BARRIER, also that of a refused sender; and so are those that wait in the socket
 * when it is closed. None of them ever becomes ours (notify-drop.h). Malformed lines are skipped. A
 * datagram above NOTIFY_MESSAGE_MAX is dropped whole. It does not check the sender; the caller must
 * call notify_sender_check().
 *
 * The struct is embedded in its owner. There is no allocation and no global state.
 */

#include "config/problem.h"
#include "process/family.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "notify-drop.h"

#define NOTIFY_MESSAGE_MAX 4096
#define NOTIFY_STATUS_MAX  512

struct notify_socket {
    int fd;                                                 /* poll for reading; -1 when closed */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* value of NOTIFY_SOCKET */
    dev_t dev;
    ino_t ino;
    pid_t owner; /* only the process that opened it unlinks */
    struct notify_drops drops;
};

#define NOTIFY_SOCKET_CLOSED ((struct notify_socket){.fd = -1})

/* `directory` exists and the worker's uid can traverse it; `slot` is for people who list it. */
int notify_socket_open(struct notify_socket *ret, const char *directory, unsigned slot, uid_t uid,
                       gid_t gid, struct problem *ret_problem);
void notify_socket_close(struct notify_socket *s); /* unlinks; closed already: no-op */

/* Whether its path still leads to it. */
bool notify_socket_is_there(const struct notify_socket *s);
/*
 * Another socket of the same path, after that was removed. The old one stays open: senders may be
 * connected to it.
 */
int notify_socket_renew(struct notify_socket *ret, const struct notify_socket *old, uid_t uid,
                        gid_t gid, struct problem *ret_problem);

enum {
    NOTIFY_READY = 1 << 0,
    NOTIFY_STATUS = 1 << 1,
    NOTIFY_STOPPING = 1 << 2,
    NOTIFY_RELOADING = 1 << 3,
    NOTIFY_MONOTONIC_USEC = 1 << 4,
    NOTIFY_WATCHDOG = 1 << 5,
    NOTIFY_WATCHDOG_TRIGGER = 1 << 6,
    NOTIFY_EXTEND_TIMEOUT = 1 << 7,
    NOTIFY_ERRNO = 1 << 8,
    NOTIFY_BARRIER = 1 << 9,
    NOTIFY_REQUESTS = 1 << 10,
    NOTIFY_INFLIGHT = 1 << 11,
    NOTIFY_LOAD = 1 << 12,
};

struct notify_message {
    unsigned fields; /* which of the following were said; 0 is possible */
    unsigned n_bad;  /* malformed lines, skipped (an unknown name is no mistake); 1 for a dropped
                        datagram */
    bool passes_fds; /* which are closed, as soon as each can be */
    pid_t pid;       /* the sender's, as the kernel says; 0: not in our pid namespace */
    uid_t uid;
    gid_t gid;
    uint64_t monotonic_usec;
    uint64_t extend_usec;
    uint64_t requests;              /* X_AIOTOOLS_REQUESTS: served so far */
    uint64_t inflight;              /* X_AIOTOOLS_INFLIGHT: being served */
    uint64_t load_milli;            /* X_AIOTOOLS_LOAD: 0.75 is 750 */
    int error;                      /* ERRNO, positive */
    char status[NOTIFY_STATUS_MAX]; /* valid UTF-8, no control characters, cut at a character */
    /* Where the datagram is received: here, so that no stack has to be that deep. */
    char text[NOTIFY_MESSAGE_MAX];
};

/*
 * 1: *ret is a message. 0: nothing to read. -EBUSY: descriptors that were passed cannot be closed,
 * or no process can be made that closes them; try again later. Otherwise: the socket is broken.
 */
int notify_receive(struct notify_socket *s, struct notify_message *ret);
/* Before it is closed by another way than notify_socket_close(). False: do not close it yet. */
bool notify_socket_empty(struct notify_socket *s);

/*
 * The fields of one datagram, without a socket. `text` need not be terminated. Does not touch pid,
 * uid, gid, passes_fds.
 */
void notify_parse(const char *text, size_t size, struct notify_message *m);

enum notify_sender {
    NOTIFY_FROM_WORKER,
    NOTIFY_FROM_HELPER, /* one of the worker's processes, as process-tree.h recognises them */
    NOTIFY_FROM_DAEMON, /* of some worker: nothing shows of which */
    NOTIFY_FROM_GONE,   /* exited already, with the worker's uid */
};

/*
 * Who sent it, or -EPERM: drop it. is_known() claims the leaders of all workers.
 *
 * A helper such as systemd-notify may be gone when its message is read (with --no-block, or
 * sd_notify() and exit); the service manager drops those, which makes readiness a matter of luck.
 * Here the address is private, so a sender that exists no longer is believed where its uid is the
 * worker's. What remains: a process of the same uid that has found out the address and dies at once
 * can speak for the worker. Without a sandbox it could have killed it just as well; in one it could
 * not, so that the caller had better not believe NOTIFY_FROM_GONE where there are others. The same
 * holds for a daemon that has a session of its own and has overwritten its environment.
 */
int notify_sender_check(const struct notify_message *m, const struct family *family,
                        uid_t worker_uid, guardian_known_fn is_known, void *userdata);
