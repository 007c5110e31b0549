/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECEIVE_BUFFER (8 << 20)

/* ---- the socket ------------------------------------------------------------------------------ */

static int set_options(int fd)
{
    int one = 1, size = RECEIVE_BUFFER;

    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof one) < 0)
        return -errno;
    /* Only root may go beyond net.core.rmem_max; less will do. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return 0;
}

static int make_name(char path[static sizeof(((struct sockaddr_un *)0)->sun_path)],
                     const char *directory, unsigned slot)
{
    const size_t size = sizeof(((struct sockaddr_un *)0)->sun_path);
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -errno;
    if ((size_t)snprintf(path, size, "%s/notify-%u-%016llx", directory, slot,
                         (unsigned long long)random) >= size)
        return -ENAMETOOLONG;
    return 0;
}

/* The file gets its owner and mode, then its name. */
static int publish(const char *bound, const char *path, uid_t uid, gid_t gid, struct stat *ret)
{
    mode_t mode = uid == 0 ? 0666 : 0600;

    if ((uid != geteuid() || gid != getegid()) &&
        fchownat(AT_FDCWD, bound, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (chmod(bound, mode) < 0 || lstat(bound, ret) < 0 || rename(bound, path) < 0)
        return -errno;
    return 0;
}

static int bind_and_publish(struct notify_socket *s, const char *directory, uid_t uid, gid_t gid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    int r;

    /*
     * Shorter than the final name, which fits. One at a time: nothing else runs between bind() and
     * rename().
     */
    snprintf(address.sun_path, sizeof address.sun_path, "%s/.notify", directory);
    (void)unlink(address.sun_path);
    (void)fchmod(s->fd, 0600);
    if (bind(s->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    r = publish(address.sun_path, s->path, uid, gid, &st);
    if (r < 0) {
        (void)unlink(address.sun_path);
        return r;
    }
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    s->owner = getpid();
    return 0;
}

static int describe(int error, const char *call, const char *directory, struct problem *p)
{
    if (error == -ENOSYS || (call && problem_is_refusal(error)))
        return problem_set_refused(p, error, call ?: "chmod, chown or rename",
                                   "cannot open the worker's notification socket");
    if (error == -ENAMETOOLONG)
        return problem_set(p, STATUS_CONFIG, error,
                           "runtime directory %s: the path is too long for a socket in it; choose "
                           "a shorter --name",
                           directory);
    if (error == -EMFILE || error == -ENFILE)
        return problem_set(p, STATUS_OS, error,
                           "cannot open the worker's notification socket: %s; raise the limit of "
                           "open files (ulimit -n)",
                           strerror(-error));
    return problem_set(
        p, STATUS_OS, error,
        "runtime directory %s: cannot create the worker's notification socket in it: %s", directory,
        strerror(-error));
}

/* s->path is set. *ret_call is the call that failed, unless it may be refused for a reason. */
static int open_at(struct notify_socket *s, const char *directory, uid_t uid, gid_t gid,
                   const char **ret_call)
{
    int r;

    *ret_call = "socket";
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    r = s->fd < 0 ? -errno : 0;
    if (r == 0) {
        *ret_call = "setsockopt";
        r = set_options(s->fd);
    }
    if (r < 0) {
        if (s->fd >= 0)
            close(s->fd);
        return r;
    }
    *ret_call = NULL;
    r = bind_and_publish(s, directory, uid, gid);
    if (r < 0)
        close(s->fd);
    return r;
}

int notify_socket_open(struct notify_socket *ret, const char *directory, unsigned slot, uid_t uid,
                       gid_t gid, struct problem *ret_problem)
{
    struct notify_socket s = NOTIFY_SOCKET_CLOSED;
    const char *call = "getrandom";
    int r = make_name(s.path, directory, slot);

    if (r == 0)
        r = open_at(&s, directory, uid, gid, &call);
    if (r < 0)
        return describe(r, call, directory, ret_problem);
    *ret = s;
    return 0;
}

static bool is_at(const struct notify_socket *s)
{
    struct stat st;

    return lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;
}

bool notify_socket_is_there(const struct notify_socket *s)
{
    return s->fd >= 0 && is_at(s);
}

int notify_socket_renew(struct notify_socket *ret, const struct notify_socket *old, uid_t uid,
                        gid_t gid, struct problem *ret_problem)
{
    struct notify_socket s = *old;
    char directory[sizeof s.path];
    const char *call;
    int r;

    s.drops = (struct notify_drops){0};
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(s.path, '/') - s.path), s.path);
    r = open_at(&s, directory, uid, gid, &call);
    if (r < 0)
        return describe(r, call, directory, ret_problem);
    *ret = s;
    return 0;
}

static ssize_t peek(const struct notify_socket *s, struct msghdr *h)
{
    ssize_t n;

    do
        n = recvmsg(s->fd, h, MSG_DONTWAIT | MSG_PEEK);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Descriptors are all that has no room. To look at them gives us none. */
static bool passes_fds(const struct msghdr *h)
{
    return h->msg_flags & MSG_CTRUNC;
}

static int take_away(struct notify_socket *s, bool with_fds, bool all)
{
    ssize_t n;

    if (with_fds)
        return notify_drop(&s->drops, s->fd, all) < 0 ? -EBUSY : 0;
    do
        n = recv(s->fd, NULL, 0, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

bool notify_socket_empty(struct notify_socket *s)
{
    char control[CMSG_SPACE(sizeof(struct ucred))];
    int r = 0;

    /* From now on nobody can send to it. */
    (void)shutdown(s->fd, SHUT_RD);
    while (r >= 0) {
        struct msghdr h = {.msg_control = control, .msg_controllen = sizeof control};

        r = (int)peek(s, &h);
        if (r >= 0)
            r = take_away(s, passes_fds(&h), true);
    }
    return r != -EBUSY;
}

void notify_socket_close(struct notify_socket *s)
{
    if (!s || s->fd < 0)
        return;
    if (s->owner != getpid()) {
        close(s->fd);
    } else {
        if (is_at(s))
            (void)unlink(s->path);
        /* Rather a descriptor that is left open than one that blocks. */
        if (notify_socket_empty(s))
            close(s->fd);
        notify_drops_done(&s->drops);
    }
    *s = NOTIFY_SOCKET_CLOSED;
}

/* ---- one datagram ---------------------------------------------------------------------------- */

static void take_control(struct msghdr *h, struct notify_message *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        struct ucred credentials;

        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
            c->cmsg_len == CMSG_LEN(sizeof credentials)) {
            memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
            m->pid = credentials.pid;
            m->uid = credentials.uid;
            m->gid = credentials.gid;
        }
    }
}

int notify_receive(struct notify_socket *s, struct notify_message *ret)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec part = {.iov_base = ret->text, .iov_len = sizeof ret->text};
    struct msghdr h = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n = peek(s, &h);
    int r;

    if (n < 0)
        return n == -EAGAIN ? 0 : (int)n;
    r = take_away(s, passes_fds(&h), false);
    if (r < 0)
        return r;

    memset(ret, 0, offsetof(struct notify_message, text));
    ret->uid = (uid_t)-1;
    ret->gid = (gid_t)-1;
    ret->passes_fds = passes_fds(&h);
    take_control(&h, ret);
    if (h.msg_flags & MSG_TRUNC)
        ret->n_bad = 1;
    else
        notify_parse(ret->text, (size_t)n, ret);
    return 1;
}
