/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "enter/sandbox.h"
#include "explainer.h"
#include "proc.h"
#include "slurp.h"

/*
 * How often one call of ait_explainer_process() looks at the listener: callers may end between the
 * look and the receive.
 */
#define LOOKS_MAX 16

/* ---- the listener ---------------------------------------------------------------------------- */

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
}

/* Exactly one of the descriptors that came with the message. */
static int take_descriptor(struct msghdr *message)
{
    int result = -EBADMSG;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const int *fds = (const int *)(const void *)CMSG_DATA(c);
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (n == 1 && result < 0)
            result = fds[0];
        else
            close_all(fds, n);
    }
    return result;
}

static ssize_t receive(int socket, struct msghdr *message)
{
    struct pollfd p = {.fd = socket, .events = POLLIN};

    for (;;) {
        ssize_t n = recvmsg(socket, message, MSG_CMSG_CLOEXEC);
        if (n >= 0)
            return n;
        if (errno == EAGAIN)
            (void)poll(&p, 1, -1);
        else if (errno != EINTR)
            return -errno;
    }
}

static int receive_listener(int socket)
{
    char byte;
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = receive(socket, &message);

    if (n <= 0)
        return n == 0 ? -ECONNRESET : (int)n;
    int fd = take_descriptor(&message);
    /* There was one, and no room for it. */
    return fd < 0 && message.msg_flags & MSG_CTRUNC ? -EMFILE : fd;
}

/* ---- life ------------------------------------------------------------------------------------ */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static int make_buffers(ait_explainer *e)
{
    struct seccomp_notif_sizes sizes;

    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
        return -errno;
    e->request_size = larger(sizes.seccomp_notif, sizeof(*e->request));
    e->response_size = larger(sizes.seccomp_notif_resp, sizeof(*e->response));
    e->request = calloc(1, e->request_size);
    e->response = calloc(1, e->response_size);
    return e->request && e->response ? 0 : -ENOMEM;
}

static int open_listener(ait_explainer *e, int socket)
{
    int fd = receive_listener(socket);

    if (fd < 0)
        return fd;
    e->fd = fd;
    return 0;
}

int explainer_new(ait_explainer **ret, const struct explainer_options *options)
{
    ait_explainer *e AIT_CLEANUP(ait_explainer_freep) = calloc(1, sizeof(*e));

    if (!e)
        return -ENOMEM;
    e->fd = -1;
    e->policy = ait_policy_ref(options->policy);
    e->cb = options->cb;
    e->userdata = options->userdata;
    int r = make_buffers(e);
    if (r >= 0 && options->learning)
        r = learned_new(&e->learned, options->policy, options->base);
    if (r >= 0)
        r = open_listener(e, options->socket);
    if (r < 0)
        return r;
    *ret = e;
    e = NULL;
    return 0;
}

/* The defaults for the base and the reference. */
static int learning_policies(const struct ait_sandbox *sandbox, ait_policy **ret_policy,
                             ait_policy **ret_base)
{
    if (sandbox->deny != AIT_SANDBOX_DENY_LEARN) {
        *ret_policy = ait_policy_ref(sandbox->policy);
        return 0;
    }
    int r = ait_policy_from_preset(ret_base, "base", NULL);
    if (r < 0)
        return r;
    if (!sandbox->policy)
        return ait_policy_from_preset(ret_policy, "service", NULL);
    *ret_policy = ait_policy_ref(sandbox->policy);
    return 0;
}

AIT_PUBLIC int ait_explainer_new(ait_explainer **ret, ait_sandbox *sandbox, int socket,
                                 ait_sandbox_event_cb cb, void *userdata)
{
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    ait_policy *base AIT_CLEANUP(ait_policy_unrefp) = NULL;

    if (!ret || !sandbox || socket < 0 || !filter_listens(sandbox->deny))
        return -EINVAL;
    int r = learning_policies(sandbox, &policy, &base);
    if (r < 0)
        return r;
    const struct explainer_options options = {
        .policy = policy,
        .base = base,
        .learning = sandbox->deny == AIT_SANDBOX_DENY_LEARN,
        .socket = socket,
        .cb = cb,
        .userdata = userdata,
    };
    r = explainer_new(ret, &options);
    if (r >= 0)
        (*ret)->sandbox = ait_sandbox_ref(sandbox);
    return r;
}

AIT_PUBLIC ait_explainer *ait_explainer_free(ait_explainer *e)
{
    if (!e)
        return NULL;
    if (e->fd >= 0)
        (void)close(e->fd);
    learned_free(e->learned);
    ait_policy_unref(e->policy);
    ait_sandbox_unref(e->sandbox);
    free(e->request);
    free(e->response);
    free(e);
    return NULL;
}

AIT_PUBLIC int ait_explainer_fd(const ait_explainer *e)
{
    return e ? e->fd : -EINVAL;
}

/* ---- who it was ------------------------------------------------------------------------------ */

static void parse_identity(const char *text, ait_sandbox_event *event)
{
    char number[16] = "";

    (void)proc_status_value(text, "Name", event->command, sizeof(event->command));
    /* A name is whatever the thread likes. The kernel escapes line ends and backslashes only. */
    for (char *c = event->command; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    if (proc_status_value(text, "Tgid", number, sizeof(number)))
        event->pid = (pid_t)strtol(number, NULL, 10);
}

/*
 * While the thread waits: afterwards it may be gone, and its number reused. If a signal has already
 * ended the wait, this may describe another thread.
 */
static void read_identity(const ait_explainer *e, ait_sandbox_event *event)
{
    char path[32], text[512];

    (void)snprintf(path, sizeof(path), "/proc/%u/status", e->request->pid);
    if (read_text(path, text, sizeof(text)) > 0 &&
        ioctl(e->fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &e->request->id) >= 0)
        parse_identity(text, event);
}

/* ---- answering ------------------------------------------------------------------------------- */

static ait_policy_action decide(const ait_explainer *e, const struct seccomp_data *data)
{
    const ait_policy_action absent = {.kind = AIT_POLICY_ERRNO, .error = ENOSYS};
    uint64_t args[6];

    if (data->nr < 0 || data->nr > SYSCALL_NEWEST)
        return absent;
    if (!e->policy)
        return (ait_policy_action){.kind = AIT_POLICY_ALLOW};
    memcpy(args, data->args, sizeof(args));
    ait_policy_action action = ait_policy_evaluate(e->policy, data->nr, args);
    if (e->learned && !policy_action_is_absent(action))
        return (ait_policy_action){.kind = AIT_POLICY_ALLOW};
    return action;
}

static int answer(ait_explainer *e, ait_policy_action action)
{
    memset(e->response, 0, e->response_size);
    e->response->id = e->request->id;
    if (action.kind == AIT_POLICY_ALLOW || action.kind == AIT_POLICY_LOG)
        e->response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else
        e->response->error = -(action.error ? action.error : EPERM);
    while (ioctl(e->fd, SECCOMP_IOCTL_NOTIF_SEND, e->response) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

static struct explainer_interrupted *interrupted_of(ait_explainer *e)
{
    return &e->interrupted[e->request->pid % EXPLAINER_INTERRUPTED];
}

static bool is_same(const struct explainer_interrupted *i, const struct seccomp_notif *request)
{
    return i->tid == (pid_t)request->pid && i->number == request->data.nr &&
           i->address == request->data.instruction_pointer;
}

/* Whether this is what a signal has interrupted before we could answer. */
static bool is_repeat(ait_explainer *e)
{
    struct explainer_interrupted *i = interrupted_of(e);

    if (!is_same(i, e->request) || !i->waits)
        return false;
    i->waits = false;
    i->repeats++;
    return true;
}

static void note_interrupted(ait_explainer *e)
{
    struct explainer_interrupted *i = interrupted_of(e);

    if (!is_same(i, e->request))
        *i = (struct explainer_interrupted){
            .tid = (pid_t)e->request->pid,
            .number = e->request->data.nr,
            .address = e->request->data.instruction_pointer,
        };
    i->waits = true;
}

static unsigned take_repeats(ait_explainer *e)
{
    struct explainer_interrupted *i = interrupted_of(e);
    unsigned n = is_same(i, e->request) ? i->repeats : 0;

    if (n > 0)
        i->repeats = 0;
    return n;
}

static size_t count_index(int number)
{
    return number < 0 || number > SYSCALL_NEWEST ? SYSCALL_NEWEST + 1 : (size_t)number;
}

static void count(ait_explainer *e, ait_policy_action action)
{
    const struct seccomp_data *data = &e->request->data;
    size_t i = count_index(data->nr);
    uint64_t args[6];

    e->counts[i]++;
    e->actions[i] = action;
    if (!e->learned || i > SYSCALL_NEWEST)
        return;
    memcpy(args, data->args, sizeof(args));
    learned_count(e->learned, data->nr, args);
}

static void describe(ait_explainer *e, ait_policy_action action, ait_sandbox_event *ret)
{
    const struct seccomp_data *data = &e->request->data;

    *ret = (ait_sandbox_event){
        .size = sizeof(*ret),
        .pid = (pid_t)e->request->pid,
        .tid = (pid_t)e->request->pid,
        .number = data->nr,
        .name = ait_syscall_name(data->nr),
        .address = data->instruction_pointer,
        .action = action,
        .repeats = take_repeats(e),
    };
    memcpy(ret->args, data->args, sizeof(ret->args));
    read_identity(e, ret);
}

static bool is_reported(const ait_explainer *e, ait_policy_action action)
{
    return e->cb && !policy_action_is_absent(action);
}

/* 1: a call was answered, or would have been; -ENOENT: the caller has ended. */
static int take_one(ait_explainer *e)
{
    memset(e->request, 0, e->request_size);
    if (ioctl(e->fd, SECCOMP_IOCTL_NOTIF_RECV, e->request) < 0)
        return errno == EINTR ? -ENOENT : -errno;
    ait_policy_action action = decide(e, &e->request->data);
    bool repeat = is_repeat(e), reported = !repeat && is_reported(e, action);
    ait_sandbox_event event;
    if (reported)
        describe(e, action, &event);
    int r = answer(e, action);
    if (r == -ENOENT)
        note_interrupted(e);
    if (!repeat)
        count(e, action);
    if (reported)
        e->cb(e, &event, e->userdata);
    return r < 0 && r != -ENOENT ? r : 1;
}

AIT_PUBLIC int ait_explainer_process(ait_explainer *e)
{
    if (!e)
        return -EINVAL;
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        struct pollfd p = {.fd = e->fd, .events = POLLIN};

        if (poll(&p, 1, 0) < 0)
            return errno == EINTR ? 1 : -errno;
        if (!(p.revents & POLLIN))
            return p.revents ? -EPIPE : 0;
        int r = take_one(e);
        if (r != -ENOENT)
            return r;
    }
    return 1;
}

/* ---- what was counted ------------------------------------------------------------------------ */

AIT_PUBLIC int ait_explainer_foreach_count(const ait_explainer *e, ait_explainer_count_cb cb,
                                           void *userdata)
{
    if (!e || !cb)
        return -EINVAL;
    for (int i = 0; i <= SYSCALL_NEWEST + 1; i++) {
        int number = i <= SYSCALL_NEWEST ? i : -1;

        if (e->counts[i] == 0)
            continue;
        int r = cb(number, number < 0 ? NULL : ait_syscall_name(number), e->actions[i],
                   e->counts[i], userdata);
        if (r != 0)
            return r;
    }
    return 0;
}

AIT_PUBLIC int ait_explainer_write_policy(const ait_explainer *e, FILE *out, const char *title,
                                          unsigned flags)
{
    if (!e || !out || !e->learned || (flags & ~AIT_LEARN_BY_COUNT))
        return -EINVAL;
    return learned_write(e->learned, out, title, flags);
}
