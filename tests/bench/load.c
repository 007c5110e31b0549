/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * The client of the echo rows, the same for every server.
 *
 *     bench-load [-c CONNECTIONS] [-n REQUESTS] [-r ROUNDS] PID:PORT...
 *
 * Opens the connections to all servers, then sends bursts of REQUESTS to one server after the
 * other, ROUNDS times: what disturbs one of them disturbs its neighbours in time. Each connection
 * has one 64-byte message under way. Prints, for each burst, the server's index and per request the
 * CPU of the server process (user and system, as the kernel keeps it), the wall, the server's
 * system calls where the kernel lets us count them (root, tracefs), and its user instructions where
 * there is a counter. The order within a round turns with the round. Ends with an error after 120
 * seconds, or when a server closes.
 */

#define MESSAGE     64
#define MAX_BATCH   512
#define MAX_THREADS 16

struct server {
    pid_t pid;
    int poller;
    int *fds;
    int *pending; /* bytes of the answer that have not come, by connection */
    unsigned n_threads;
    int syscalls[MAX_THREADS],
        instructions[MAX_THREADS]; /* perf counters, -1 where there is none */
    clockid_t clock;
};

static unsigned connections = 64, rounds = 5;
static uint64_t requests = 20000;

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "bench-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) < 0)
        fail("clock of the server");
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int tracepoint_id(void)
{
    static const char *const paths[] = {
        "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
        "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
    };
    int id = -1;

    for (unsigned i = 0; i < 2 && id < 0; i++) {
        FILE *file = fopen(paths[i], "re");

        if (!file)
            continue;
        if (fscanf(file, "%d", &id) != 1)
            id = -1;
        fclose(file);
    }
    return id;
}

static int open_counter(uint32_t type, uint64_t config, pid_t pid)
{
    struct perf_event_attr attr = {.size = sizeof(attr),
                                   .type = type,
                                   .config = config,
                                   .exclude_kernel = type == PERF_TYPE_HARDWARE};

    return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* A counter counts one thread: one for each that the server has by now. */
static void open_counters(struct server *s)
{
    int id = tracepoint_id(), tid;
    char path[64];
    DIR *tasks;

    snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
    tasks = opendir(path);
    for (struct dirent *entry; tasks && s->n_threads < MAX_THREADS && (entry = readdir(tasks));) {
        tid = atoi(entry->d_name);
        if (tid <= 0)
            continue;
        s->instructions[s->n_threads] =
            open_counter(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, tid);
        s->syscalls[s->n_threads++] =
            id < 0 ? -1 : open_counter(PERF_TYPE_TRACEPOINT, (uint64_t)id, tid);
    }
    if (tasks)
        closedir(tasks);
}

static uint64_t read_counters(const struct server *s, const int *counters)
{
    uint64_t sum = 0, value;

    for (unsigned i = 0; i < s->n_threads; i++)
        if (counters[i] >= 0 && read(counters[i], &value, sizeof(value)) == sizeof(value))
            sum += value;
    return sum;
}

static int open_connection(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("connect");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl");
    return fd;
}

static void open_server(struct server *s, const char *argument)
{
    unsigned port;

    if (sscanf(argument, "%d:%u", &s->pid, &port) != 2 ||
        clock_getcpuclockid(s->pid, &s->clock) != 0)
        fail(argument);
    s->poller = epoll_create1(EPOLL_CLOEXEC);
    s->fds = calloc(connections, sizeof(*s->fds));
    s->pending = calloc(connections, sizeof(*s->pending));
    if (s->poller < 0 || !s->fds || !s->pending)
        fail("memory");
    for (unsigned i = 0; i < connections; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = i};

        s->fds[i] = open_connection((uint16_t)port);
        if (epoll_ctl(s->poller, EPOLL_CTL_ADD, s->fds[i], &event) < 0)
            fail("epoll_ctl");
    }
}

static void send_message(struct server *s, unsigned i)
{
    static const char message[MESSAGE];

    if (send(s->fds[i], message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
        fail("send");
    s->pending[i] = MESSAGE;
}

/* True when a whole answer is there. */
static bool receive(struct server *s, unsigned i)
{
    char buffer[4 * MESSAGE];
    ssize_t n = recv(s->fds[i], buffer, sizeof(buffer), 0);

    if (n == 0)
        errno = ECONNRESET;
    if (n == 0 || (n < 0 && errno != EAGAIN))
        fail("recv");
    if (n > 0)
        s->pending[i] -= (int)n;
    return n > 0 && s->pending[i] == 0;
}

static void burst(struct server *s, uint64_t n)
{
    struct epoll_event events[MAX_BATCH];
    uint64_t sent = 0, answered = 0;

    for (unsigned i = 0; i < connections && sent < n; i++, sent++)
        send_message(s, i);
    while (answered < n) {
        int batch = epoll_wait(s->poller, events, MAX_BATCH, 120000);

        if (batch <= 0 && errno != EINTR)
            fail("no answer");
        for (int k = 0; k < batch; k++) {
            if (!receive(s, events[k].data.u32))
                continue;
            answered++;
            if (sent < n) {
                send_message(s, events[k].data.u32);
                sent++;
            }
        }
    }
}

static void print_number(unsigned index, const char *key, uint64_t sum)
{
    printf("%u %s %.4f\n", index, key, (double)sum / (double)requests);
}

static void measure(struct server *s, unsigned index)
{
    uint64_t cpu = clock_ns(s->clock), wall = clock_ns(CLOCK_MONOTONIC);
    uint64_t syscalls = read_counters(s, s->syscalls),
             instructions = read_counters(s, s->instructions);

    burst(s, requests);
    print_number(index, "cpu_ns", clock_ns(s->clock) - cpu);
    print_number(index, "wall_ns", clock_ns(CLOCK_MONOTONIC) - wall);
    if (s->syscalls[0] >= 0)
        print_number(index, "syscalls", read_counters(s, s->syscalls) - syscalls);
    if (s->instructions[0] >= 0)
        print_number(index, "instructions", read_counters(s, s->instructions) - instructions);
}

static void parse(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "c:n:r:")) >= 0)
        switch (option) {
        case 'c':
            connections = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            requests = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            rounds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            exit(2);
        }
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    struct server *servers;
    unsigned n;

    parse(argc, argv);
    alarm(120);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    n = (unsigned)(argc - optind);
    servers = calloc(n + 1, sizeof(*servers));
    if (!servers)
        fail("memory");
    for (unsigned i = 0; i < n; i++)
        open_server(&servers[i], argv[optind + (int)i]);
    for (unsigned i = 0; i < n; i++) {
        burst(&servers[i],
              connections); /* every connection has been accepted, every thread is there */
        open_counters(&servers[i]);
    }
    for (unsigned k = 0; k < rounds; k++)
        for (unsigned i = 0; i < n; i++)
            measure(&servers[(i + k) % n], (i + k) % n);
    free(servers);
    return 0;
}
