// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * load: an HTTP/1.1 load client that knows what a failed request is.
 *
 * A request has FAILED when it was sent on a fresh connection and got no complete, good answer; or
 * when it was sent on a reused connection and broke after the first byte of its answer. A reused
 * connection that the server closes before that byte is no failure: the server was closing an idle
 * connection, which is within its rights. Such a request is sent again on a fresh connection and
 * counted as idle_closed.
 *
 * Invariants: a slot (struct conn) has at most one request in flight; every request ends in exactly
 * one of ok and failed[kind]; on SIGTERM or SIGINT no new request is begun and those in flight are
 * finished, so that ending the load never makes a failure. The report is one JSON line on stdout,
 * at the end and at each SIGUSR1.
 *
 * What it is not: a benchmark (wrk is), nor a general HTTP client: answers need Content-Length or
 * end with the connection.
 *
 * Exit status: 0 no request failed, 1 some did, 64 usage, 71 the system refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX    8192
#define SCAN_USEC   5000
#define RETRY_USEC  1000
#define DETAILS_MAX 20

enum kind { REFUSED, RESET, CLOSED_EARLY, BAD_STATUS, TIMEOUT, OTHER, KINDS };

static const char *const kind_names[KINDS] = {"refused",    "reset",   "closed_early",
                                              "bad_status", "timeout", "other"};

enum state { RESTING, CONNECTING, SENDING, READING, LINGERING };

struct conn {
    int fd;
    enum state state;
    bool reused;  /* an answer was read completely on this connection before */
    bool pending; /* a request has been taken and not yet answered */
    bool head_done;
    bool until_eof; /* the answer has no length: the end of the connection ends it */
    bool server_closes;
    int status;
    uint64_t begun; /* of the request, over all its retries */
    uint64_t wake;  /* RESTING: when to go on; else the deadline */
    size_t sent;
    size_t have; /* bytes in buf: head, then the beginning of the body */
    size_t head_len;
    uint64_t body_len, body_have;
    long pid; /* who answered last on this connection */
    char buf[HEAD_MAX];
};

struct options {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    unsigned connections;
    uint64_t requests; /* 0: until a signal */
    uint64_t timeout, pause;
    bool keep_alive;
    const char *path;
};

struct pid_count {
    long pid;
    uint64_t count;
};

/* Latencies in a histogram of 32 linear steps a power of two: 3 % resolution, no allocation. */
#define STEPS   32
#define BUCKETS (64 * STEPS)

static struct {
    uint64_t begun, ok, failed[KINDS], idle_closed, backlog_full, connects;
    uint64_t histogram[BUCKETS], latency_max;
    struct pid_count *pids;
    size_t n_pids, pids_allocated;
    uint64_t started;
    unsigned details;
} stats;

static struct options opt = {
    .connections = 16, .timeout = 10000000, .keep_alive = true, .path = "/"};
static int epoll_fd = -1;
static char request[512];
static size_t request_len;
static bool stopping;

static uint64_t now_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(int status, const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(status);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static unsigned bucket_of(uint64_t usec)
{
    unsigned shift = 0;

    while ((usec >> shift) >= 2 * STEPS)
        shift++;
    return shift == 0 ? (unsigned)usec : (shift + 1) * STEPS + (unsigned)((usec >> shift) - STEPS);
}

static uint64_t bucket_value(unsigned bucket)
{
    unsigned shift = bucket / STEPS;

    return shift < 2 ? bucket : (uint64_t)(bucket % STEPS + STEPS) << (shift - 1);
}

static void count_latency(uint64_t usec)
{
    stats.histogram[bucket_of(usec)]++;
    if (usec > stats.latency_max)
        stats.latency_max = usec;
}

static uint64_t percentile(double share)
{
    uint64_t want = (uint64_t)(share * (double)stats.ok), seen = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += stats.histogram[i];
        if (seen > want)
            return bucket_value(i);
    }
    return stats.latency_max;
}

/* Linear, newest first: a few hundred workers at most, and the one that answers is nearly always a
 * late one. */
static void count_pid(long pid)
{
    for (size_t i = stats.n_pids; i-- > 0;)
        if (stats.pids[i].pid == pid) {
            stats.pids[i].count++;
            return;
        }
    if (stats.n_pids == stats.pids_allocated) {
        stats.pids_allocated = stats.pids_allocated * 2 + 64;
        stats.pids = reallocarray(stats.pids, stats.pids_allocated, sizeof(*stats.pids));
        if (!stats.pids)
            die(71, "memory");
    }
    stats.pids[stats.n_pids++] = (struct pid_count){pid, 1};
}

static uint64_t failures(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < KINDS; i++)
        sum += stats.failed[i];
    return sum;
}

static void report(void)
{
    printf("{\"ok\": %" PRIu64 ", \"failed\": %" PRIu64, stats.ok, failures());
    for (int i = 0; i < KINDS; i++)
        printf(", \"%s\": %" PRIu64, kind_names[i], stats.failed[i]);
    printf(", \"idle_closed\": %" PRIu64 ", \"backlog_full\": %" PRIu64 ", \"connects\": %" PRIu64,
           stats.idle_closed, stats.backlog_full, stats.connects);
    printf(", \"seconds\": %.3f", (double)(now_usec() - stats.started) / 1e6);
    printf(", \"p50_usec\": %" PRIu64 ", \"p90_usec\": %" PRIu64 ", \"p99_usec\": %" PRIu64
           ", \"p999_usec\": %" PRIu64 ", \"max_usec\": %" PRIu64 ", \"pids\": {",
           percentile(.5), percentile(.9), percentile(.99), percentile(.999), stats.latency_max);
    for (size_t i = 0; i < stats.n_pids; i++)
        printf("%s\"%ld\": %" PRIu64, i ? ", " : "", stats.pids[i].pid, stats.pids[i].count);
    printf("}}\n");
    fflush(stdout);
}

/* ---- one request ----------------------------------------------------------------------------- */

static void conn_begin(struct conn *c, uint64_t now);

static void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->reused = false;
    c->pid = 0;
}

static void conn_rest(struct conn *c, uint64_t until)
{
    c->state = RESTING;
    c->wake = until;
}

static void conn_watch(struct conn *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev) < 0)
        die(71, "epoll_ctl");
}

static bool may_begin(void)
{
    return !stopping && (opt.requests == 0 || stats.begun < opt.requests);
}

static void conn_failed(struct conn *c, enum kind kind, int error, uint64_t now)
{
    stats.failed[kind]++;
    if (stats.details++ < DETAILS_MAX)
        fprintf(stderr,
                "load: failed at %.3f s: %s, %s connection, %zu bytes sent, %zu received, worker "
                "%ld%s%s\n",
                (double)(now - stats.started) / 1e6, kind_names[kind],
                c->reused ? "reused" : "fresh", c->sent, c->have, c->pid, error ? ", " : "",
                error ? strerror(error) : "");
    conn_close(c);
    c->pending = false;
    /* A server that refuses everything shall not be hammered, nor make millions of failures. */
    conn_rest(c, now + RETRY_USEC);
}

/* The connection broke with error, or ended where error is 0: a failure, or a close of an idle
 * connection? */
static void conn_broken(struct conn *c, int error, uint64_t now)
{
    if (!c->reused || c->have > 0) {
        enum kind kind = error == 0                                 ? CLOSED_EARLY
                         : error == ECONNREFUSED || error == ENOENT ? REFUSED
                         : error == ECONNRESET || error == EPIPE || error == ECONNABORTED ? RESET
                         : error == ETIMEDOUT                                             ? TIMEOUT
                                                                                          : OTHER;
        conn_failed(c, kind, error, now);
        return;
    }
    stats.idle_closed++;
    conn_close(c);
    conn_begin(c, now);
}

static void conn_answered(struct conn *c, uint64_t now)
{
    stats.ok++;
    count_latency(now - c->begun);
    if (c->pid > 0)
        count_pid(c->pid);
    c->pending = false;
    c->reused = true;
    c->have = 0;
    if (c->server_closes && !c->until_eof) {
        /* Whoever closes first keeps the port in TIME_WAIT: leave that to the server, as browsers
         * do. */
        c->state = LINGERING;
        c->wake = now + opt.timeout;
        return;
    }
    if (c->until_eof || !opt.keep_alive)
        conn_close(c);
    if (opt.pause > 0)
        conn_rest(c, now + opt.pause);
    else
        conn_begin(c, now);
}

static const char *header_value(const char *line, const char *name)
{
    size_t n = strlen(name);

    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    line += n + 1;
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

static void parse_header(struct conn *c, const char *line)
{
    const char *v;

    if ((v = header_value(line, "Content-Length"))) {
        c->body_len = strtoull(v, NULL, 10);
        c->until_eof = false;
    } else if ((v = header_value(line, "Connection")))
        c->server_closes = strcasecmp(v, "close") == 0;
    else if ((v = header_value(line, "X-Worker-Pid")))
        c->pid = strtol(v, NULL, 10);
    else if ((v = header_value(line, "Transfer-Encoding")))
        c->status = -1; /* not for this client: see above */
}

static int parse_status(const char *line)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ')
        return -1;
    return atoi(line + 9);
}

/* The head is complete in buf[0..head_len). Lines are cut in place. */
static void parse_head(struct conn *c)
{
    char *line = c->buf, *end;

    c->until_eof = true;
    c->server_closes = !opt.keep_alive;
    c->status = parse_status(line);
    while ((end = strstr(line, "\r\n")) && end > line) {
        *end = '\0';
        if (line != c->buf)
            parse_header(c, line);
        line = end + 2;
    }
    if (c->until_eof)
        c->server_closes = true;
}

static void parse_body_pid(struct conn *c)
{
    const char *body = c->buf + c->head_len;

    c->buf[c->have < HEAD_MAX ? c->have : HEAD_MAX - 1] = '\0';
    if (c->pid == 0 && strncmp(body, "pid=", 4) == 0)
        c->pid = strtol(body + 4, NULL, 10);
}

/* Looks at what has been read so far. Returns true when the request has ended, one way or the
 * other. */
static bool conn_digest(struct conn *c, size_t fresh, uint64_t now)
{
    if (!c->head_done) {
        char *end;

        c->buf[c->have] = '\0';
        end = strstr(c->buf, "\r\n\r\n");
        if (!end && c->have < HEAD_MAX - 1)
            return false;
        if (!end)
            return conn_failed(c, BAD_STATUS, 0, now), true;
        c->head_len = (size_t)(end + 4 - c->buf);
        c->head_done = true;
        c->body_have = c->have - c->head_len;
        end[2] = '\0';
        c->pid = 0;
        parse_head(c);
        if (c->status < 200 || c->status > 299)
            return conn_failed(c, BAD_STATUS, 0, now), true;
    } else
        c->body_have += fresh;
    if (c->until_eof || c->body_have < c->body_len)
        return false;
    if (c->body_have > c->body_len)
        return conn_failed(c, BAD_STATUS, 0, now), true;
    parse_body_pid(c);
    conn_answered(c, now);
    return true;
}

static void conn_ended(struct conn *c, int error, uint64_t now)
{
    if (error == 0 && c->head_done && c->until_eof) {
        parse_body_pid(c);
        conn_answered(c, now);
    } else
        conn_broken(c, error, now);
}

static void conn_read(struct conn *c, uint64_t now)
{
    for (;;) {
        char spill[4096];
        bool room = c->have < HEAD_MAX - 1;
        ssize_t n = room ? recv(c->fd, c->buf + c->have, HEAD_MAX - 1 - c->have, 0)
                         : recv(c->fd, spill, sizeof(spill), 0);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            conn_ended(c, n < 0 ? errno : 0, now);
            return;
        }
        if (room)
            c->have += (size_t)n;
        if (conn_digest(c, (size_t)n, now))
            return;
    }
}

static void conn_send(struct conn *c, uint64_t now)
{
    ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);

    if (n < 0 && errno == EAGAIN) {
        c->state = SENDING;
        conn_watch(c, EPOLLOUT);
        return;
    }
    if (n < 0) {
        conn_broken(c, errno, now);
        return;
    }
    c->sent += (size_t)n;
    if (c->sent < request_len) {
        conn_watch(c, EPOLLOUT);
        return;
    }
    c->state = READING;
    conn_watch(c, EPOLLIN);
}

/* Returns false when the request has to wait: a full backlog of a unix socket says EAGAIN to a
 * non-blocking connect, where a blocking one would have waited. That is no failure. */
static bool conn_open(struct conn *c, uint64_t now)
{
    struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
    int error;

    c->fd = socket(opt.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die(71, "socket");
    stats.connects++;
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&opt.addr, opt.addr_len) == 0 || errno == EINPROGRESS)
        return true;
    error = errno;
    if (error != EAGAIN) {
        conn_broken(c, error, now);
        return false;
    }
    stats.backlog_full++;
    conn_close(c);
    conn_rest(c, now + RETRY_USEC);
    return false;
}

static void conn_begin(struct conn *c, uint64_t now)
{
    if (!c->pending) {
        if (!may_begin()) {
            conn_close(c);
            conn_rest(c, UINT64_MAX);
            return;
        }
        stats.begun++;
        c->pending = true;
        c->begun = now;
    }
    c->sent = c->have = 0;
    c->head_done = false;
    if (c->fd >= 0)
        conn_send(c, now);
    else if (!conn_open(c, now))
        return;
    if (c->state != RESTING)
        c->wake = c->begun + opt.timeout;
}

static void conn_connected(struct conn *c, uint64_t now)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error)
        conn_broken(c, error, now);
    else
        conn_send(c, now);
}

/* After an answer that announced the close: whatever comes now, the request was served. */
static void conn_linger(struct conn *c, uint64_t now)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    conn_close(c);
    if (opt.pause > 0)
        conn_rest(c, now + opt.pause);
    else
        conn_begin(c, now);
}

/* Resting on an open connection, and something stirs: the server closes it, as it may. */
static void conn_disturbed(struct conn *c)
{
    stats.idle_closed++;
    conn_close(c);
}

static void conn_event(struct conn *c, uint64_t now)
{
    if (c->fd < 0)
        return;
    switch (c->state) {
    case RESTING:
        conn_disturbed(c);
        break;
    case CONNECTING:
        conn_connected(c, now);
        break;
    case SENDING:
        conn_send(c, now);
        break;
    case READING:
        conn_read(c, now);
        break;
    case LINGERING:
        conn_linger(c, now);
        break;
    }
}

static void conn_due(struct conn *c, uint64_t now)
{
    if (now < c->wake)
        return;
    if (c->state == RESTING || c->state == LINGERING) {
        if (c->state == LINGERING)
            conn_close(c);
        conn_begin(c, now);
    } else
        conn_failed(c, TIMEOUT, 0, now);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static unsigned busy(const struct conn *conns)
{
    unsigned n = 0;

    for (unsigned i = 0; i < opt.connections; i++)
        n += conns[i].pending || (!stopping && may_begin());
    return n;
}

static bool take_signals(int fd)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGUSR1) {
            report();
            continue;
        }
        if (stopping)
            return false;
        stopping = true;
    }
    return true;
}

static void scan(struct conn *conns, uint64_t now)
{
    for (unsigned i = 0; i < opt.connections; i++)
        conn_due(&conns[i], now);
}

static void run(struct conn *conns, int signal_fd)
{
    struct epoll_event events[64];
    uint64_t next_scan = 0;

    while (busy(conns) > 0) {
        uint64_t now = now_usec();
        int n;

        if (now >= next_scan) {
            scan(conns, now);
            next_scan = now + SCAN_USEC;
        }
        n = epoll_wait(epoll_fd, events, 64, SCAN_USEC / 1000);
        now = now_usec();
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                conn_event(events[i].data.ptr, now);
            else if (!take_signals(signal_fd))
                return;
    }
}

static int open_signals(void)
{
    struct epoll_event ev = {.events = EPOLLIN};
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        die(71, "signalfd");
    return fd;
}

/* ---- the command line ------------------------------------------------------------------------ */

static bool parse_unix(const char *s)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&opt.addr;
    size_t n = strlen(s);

    if (n >= sizeof(un->sun_path))
        return false;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, s, n);
    if (s[0] == '@')
        un->sun_path[0] = '\0';
    opt.addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

static bool parse_target(const char *s)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM},
                    *ai = NULL;
    char host[64];
    const char *colon = strrchr(s, ':');
    size_t n;

    if (s[0] == '/' || s[0] == '@')
        return parse_unix(s);
    if (!colon || (n = (size_t)(colon - s)) == 0 || n >= sizeof(host))
        return false;
    if (s[0] == '[' && colon[-1] == ']')
        s++, n -= 2;
    memcpy(host, s, n);
    host[n] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &ai) != 0)
        return false;
    memcpy(&opt.addr, ai->ai_addr, ai->ai_addrlen);
    opt.addr_len = ai->ai_addrlen;
    freeaddrinfo(ai);
    return true;
}

static void usage(int status)
{
    fprintf(status ? stderr : stdout,
            "usage: load [OPTION...] TARGET     (127.0.0.1:8080, [::1]:8080, /path or @abstract)\n"
            "  -c, --connections=N    at a time (16)\n"
            "  -n, --requests=N       then end (until SIGTERM or SIGINT)\n"
            "  -C, --close            a connection a request (keep-alive)\n"
            "  -t, --timeout=MS       of a request, its retries included (10000)\n"
            "  -p, --pause=MS         on each connection between two requests (0)\n"
            "  -P, --path=PATH        (/)\n");
    exit(status);
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"connections", required_argument, NULL, 'c'},
        {"requests", required_argument, NULL, 'n'},
        {"close", no_argument, NULL, 'C'},
        {"timeout", required_argument, NULL, 't'},
        {"pause", required_argument, NULL, 'p'},
        {"path", required_argument, NULL, 'P'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int o;

    while ((o = getopt_long(argc, argv, "c:n:Ct:p:P:h", options, NULL)) >= 0)
        switch (o) {
        case 'c':
            opt.connections = (unsigned)atoi(optarg);
            break;
        case 'n':
            opt.requests = strtoull(optarg, NULL, 10);
            break;
        case 'C':
            opt.keep_alive = false;
            break;
        case 't':
            opt.timeout = strtoull(optarg, NULL, 10) * 1000;
            break;
        case 'p':
            opt.pause = strtoull(optarg, NULL, 10) * 1000;
            break;
        case 'P':
            opt.path = optarg;
            break;
        default:
            usage(o == 'h' ? 0 : 64);
        }
    if (argc - optind != 1 || opt.connections == 0 || !parse_target(argv[optind]))
        usage(64);
}

int main(int argc, char **argv)
{
    struct conn *conns;
    int signal_fd;

    parse_options(argc, argv);
    request_len =
        (size_t)snprintf(request, sizeof(request), "GET %.300s HTTP/1.1\r\nHost: load\r\n%s\r\n",
                         opt.path, opt.keep_alive ? "" : "Connection: close\r\n");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(opt.connections, sizeof(*conns));
    if (epoll_fd < 0 || !conns)
        die(71, "start");
    signal_fd = open_signals();
    stats.started = now_usec();
    for (unsigned i = 0; i < opt.connections; i++)
        conns[i].fd = -1;
    run(conns, signal_fd);
    report();
    for (unsigned i = 0; i < opt.connections; i++)
        conn_close(&conns[i]);
    free(conns);
    free(stats.pids);
    close(signal_fd);
    close(epoll_fd);
    return failures() > 0;
}
