/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "notified.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int load_filter(const struct notified_options *o)
{
    struct sock_filter filter[NOTIFIED_CALLS_MAX * 2 + 4];
    unsigned short n = 0;
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;

    filter[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; o->numbers[i] >= 0; i++) {
        filter[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)o->numbers[i], 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {.len = n, .filter = filter};
    if (o->killable)
        flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    return fd < 0 ? -errno : fd;
}

static void send_descriptor(int socket, int fd)
{
    char byte = 0;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1)
        _exit(98);
}

static void __attribute__((noreturn))
child(int socket, const struct notified_options *o, struct shared *shared)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = load_filter(o);
    if (fd < 0)
        _exit(fd == -EINVAL ? 97 : 99);
    send_descriptor(socket, fd);
    (void)close(fd);
    (void)close(socket);
    _exit(o->run(shared));
}

static void on_event(ait_explainer *e, const ait_sandbox_event *event, void *userdata)
{
    struct notified *n = userdata;

    (void)e;
    n->told = now_ns();
    if (n->n_events < EVENTS_MAX)
        n->events[n->n_events] = *event;
    n->n_events++;
}

int notified_start(struct notified *n, const struct notified_options *options)
{
    int pair[2], status;

    *n = (struct notified){.pidfd = -1};
    n->shared =
        mmap(NULL, sizeof(*n->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(n->shared, MAP_FAILED);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    n->pid = fork();
    assert_true(n->pid >= 0);
    if (n->pid == 0) {
        (void)close(pair[0]);
        child(pair[1], options, n->shared);
    }
    (void)close(pair[1]);
    n->pidfd = (int)syscall(SYS_pidfd_open, n->pid, 0);
    assert_true(n->pidfd >= 0);
    const struct explainer_options o = {
        .policy = options->policy,
        .base = options->base,
        .learning = options->learning,
        .socket = pair[0],
        .cb = options->quiet ? NULL : on_event,
        .userdata = n,
    };
    struct rlimit none = {.rlim_cur = 0};
    if (options->crowded && getrlimit(RLIMIT_NOFILE, &none) == 0) {
        none.rlim_cur = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    }
    int r = explainer_new(&n->explainer, &o);
    (void)close(pair[0]);
    if (r >= 0)
        return 0;
    assert_int_equal(waitpid(n->pid, &status, 0), n->pid);
    n->pid = 0;
    notified_done(n);
    return WIFEXITED(status) && WEXITSTATUS(status) == 97 ? -EINVAL : r;
}

void notified_answer(struct notified *n)
{
    while (ait_explainer_process(n->explainer) > 0)
        ;
}

int notified_serve(struct notified *n)
{
    struct pollfd fds[] = {{.fd = ait_explainer_fd(n->explainer), .events = POLLIN},
                           {.fd = n->pidfd, .events = POLLIN}};
    int status;

    for (;;) {
        int r = poll(fds, 2, 60000);
        assert_true(r > 0 || errno == EINTR);
        r = ait_explainer_process(n->explainer);
        assert_true(r >= 0 || r == -EPIPE);
        if (r == -EPIPE)
            fds[0].fd = -1;
        if (r <= 0 && fds[1].revents)
            break;
    }
    assert_int_equal(waitpid(n->pid, &status, 0), n->pid);
    n->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void notified_done(struct notified *n)
{
    if (n->pid > 0) {
        (void)kill(n->pid, SIGKILL);
        (void)waitpid(n->pid, NULL, 0);
    }
    if (n->pidfd >= 0)
        (void)close(n->pidfd);
    if (n->shared)
        (void)munmap(n->shared, sizeof(*n->shared));
    ait_explainer_free(n->explainer);
    n->explainer = NULL;
    n->pidfd = -1;
    n->shared = NULL;
    n->pid = 0;
}

struct find {
    int number;
    uint64_t count;
};

static int find_count(int number, const char *name, ait_policy_action action, uint64_t count,
                      void *userdata)
{
    struct find *find = userdata;

    (void)name;
    (void)action;
    if (number == find->number)
        find->count = count;
    return 0;
}

uint64_t notified_count(const struct notified *n, int number)
{
    struct find find = {.number = number};

    assert_int_equal(ait_explainer_foreach_count(n->explainer, find_count, &find), 0);
    return find.count;
}
