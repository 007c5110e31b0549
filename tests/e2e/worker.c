// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * worker: a worker that behaves, or misbehaves, as told by its command line. It knows the worker
 * contract (LISTEN_FDS, NOTIFY_SOCKET) from its documentation alone and links nothing but libc, so
 * that what it shows is the supervisor's doing.
 *
 * --trace=FILE is how tests see order without sleeping: each worker appends one line an event,
 *     USEC PID SLOT GENERATION EVENT
 * to the one file (O_APPEND, a single write, so lines never mix), and does so *before* the act that
 * the supervisor can see: "ready" stands before any consequence of READY=1, "exit" before any of
 * the death.
 *
 * Invariants: one thread; signals only set flags; a connection that was accepted is answered before
 * the worker leaves, unless it has been answered before and is idle. It never outlives a stop
 * signal it was not told to ignore.
 *
 * What it is not: an example. examples/http-hello shows how a worker is written with the library.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX    1024
#define LISTEN_START 3

struct options {
    const char *trace, *stats, *dump, *ready, *ready_if, *broken_if, *mute_if, *ignore, *exit_slot,
        *status;
    int exit_status, children, daemons, nameless;
    long exit_after, slow_start, slow_stop, lines, long_line, flood, binary, answer_after;
    bool exits, extend_start, extend_stop;
};

struct conn {
    bool answered;
    size_t have;
    uint64_t answer_at;
    char buf[2048];
};

static struct options opt = {.ready = "notify"};
static const char *slot = "-", *generation = "-";
static struct pollfd polls[CONNS_MAX];
static struct conn *conns[CONNS_MAX];
static unsigned n_polls, n_listeners;
static volatile uint64_t *open_connections;
static volatile sig_atomic_t stop_signal;

static uint64_t now_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Signals are blocked outside: only here and in serve() do they arrive, and end the wait. */
static void nap(uint64_t usec)
{
    struct timespec ts = {(time_t)(usec / 1000000), (long)(usec % 1000000 * 1000)};
    sigset_t none;

    sigemptyset(&none);
    (void)ppoll(NULL, 0, &ts, &none);
}

static void die(const char *what)
{
    fprintf(stderr, "worker: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void trace_at(uint64_t when, const char *event)
{
    char line[160];
    int fd, n;

    if (!opt.trace)
        return;
    n = snprintf(line, sizeof(line), "%" PRIu64 " %d %s %s %s\n", when, (int)getpid(), slot,
                 generation, event);
    fd = open(opt.trace, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        die(opt.trace);
    close(fd);
}

static void trace(const char *event)
{
    trace_at(now_usec(), event);
}

static void leave(int status)
{
    trace("exit");
    _exit(status);
}

/* ---- the contract ---------------------------------------------------------------------------- */

static void notify(const char *text)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n;
    int fd;

    if (!path || (n = strlen(path)) >= sizeof(un.sun_path))
        return;
    memcpy(un.sun_path, path, n);
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&un,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        die("NOTIFY_SOCKET");
    close(fd);
}

static bool exists(const char *path)
{
    return path && access(path, F_OK) == 0;
}

/* FILE concerns all workers, FILE.SLOT one. */
static bool told_by_file(const char *path)
{
    char one[512];

    if (!path)
        return false;
    snprintf(one, sizeof(one), "%s.%s", path, slot);
    return exists(path) || exists(one);
}

static void tell_ready(void)
{
    char text[256];

    trace("ready");
    if (strcmp(opt.ready, "notify") == 0) {
        snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", opt.status ? opt.status : "serving");
        if (!told_by_file(opt.mute_if))
            notify(text);
    } else if (strncmp(opt.ready, "fd:", 3) == 0) {
        int fd = atoi(opt.ready + 3);

        if (write(fd, "\n", 1) != 1)
            die(opt.ready);
        close(fd);
    }
}

/* Takes its time, and asks for more of it where told. Steps of 20 ms, an extension reaches 200 ms
 * ahead. */
static void take_time(long msec, bool extend)
{
    uint64_t end = now_usec() + (uint64_t)msec * 1000;

    while (now_usec() < end) {
        if (extend)
            notify("EXTEND_TIMEOUT_USEC=200000");
        nap(20000);
    }
}

static void start_slowly(void)
{
    uint64_t end = now_usec() + (uint64_t)opt.slow_start * 1000;

    while (!stop_signal && (now_usec() < end || (opt.ready_if && !exists(opt.ready_if)))) {
        if (opt.extend_start)
            notify("EXTEND_TIMEOUT_USEC=200000");
        nap(5000);
    }
}

/* ---- what tests look at ---------------------------------------------------------------------- */

static FILE *dump_open(const char *kind)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s.%d", opt.dump, kind, (int)getpid());
    f = fopen(path, "we");
    if (!f)
        die(path);
    return f;
}

static void dump_copy(const char *kind, const char *from)
{
    FILE *to = dump_open(kind), *f = fopen(from, "re");
    int c;

    while (f && (c = getc(f)) != EOF)
        putc(c, to);
    if (f)
        fclose(f);
    fclose(to);
}

/* Before anything else opens a descriptor: fd, then what it is. */
static void dump_fds(void)
{
    char lines[8192] = "", path[64], target[256];
    size_t used = 0;
    FILE *f;

    for (int fd = 0; fd < 1024 && used < sizeof(lines) - 300; fd++) {
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, target, sizeof(target) - 1);
        if (n >= 0)
            used += (size_t)snprintf(lines + used, sizeof(lines) - used, "%d %.*s\n", fd, (int)n,
                                     target);
    }
    f = dump_open("fds");
    fputs(lines, f);
    fclose(f);
}

static void dump_limits(void)
{
    FILE *f = dump_open("misc");
    char cwd[512];

    fprintf(f, "uid %d\ngid %d\nsid %d\npgid %d\n", (int)getuid(), (int)getgid(), (int)getsid(0),
            (int)getpgrp());
    fprintf(f, "cwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
    fclose(f);
}

static void dump(void)
{
    extern char **environ;
    FILE *f;

    if (!opt.dump)
        return;
    dump_fds();
    dump_limits();
    dump_copy("status", "/proc/self/status");
    f = dump_open("environ");
    for (char **e = environ; *e; e++)
        fprintf(f, "%s\n", *e);
    fclose(f);
}

/* The number of accepted connections, kept in a file that outlives a SIGKILL. */
static void open_stats(void)
{
    char path[512];
    void *p;
    int fd;

    if (!opt.stats)
        return;
    snprintf(path, sizeof(path), "%s/%d", opt.stats, (int)getpid());
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 8) < 0)
        die(path);
    p = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die("mmap");
    open_connections = p;
    close(fd);
}

/* ---- misbehaviour ---------------------------------------------------------------------------- */

static void sit_for_ever(const char *what)
{
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_IGN);
    trace(what);
    for (;;)
        pause();
}

static void fork_children(void)
{
    for (int i = 0; i < opt.children; i++)
        if (fork() == 0)
            sit_for_ever("child");
    for (int i = 0; i < opt.daemons; i++)
        if (fork() == 0) {
            setsid();
            if (fork() == 0)
                sit_for_ever("daemon");
            _exit(0);
        }
    for (int i = 0; i < opt.nameless; i++)
        if (fork() == 0) {
            setsid();
            if (fork() == 0) {
                trace("nameless");
                execle("/bin/sleep", "sleep", "1000", NULL, (char *[]){NULL});
                _exit(1);
            }
            _exit(0);
        }
    for (int i = 0; i < opt.daemons + opt.nameless; i++)
        (void)waitpid(-1, NULL, 0); /* the intermediate ones: children stay */
}

static void put_all(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t w = write(STDOUT_FILENO, data, n);

        if (w < 0)
            die("stdout");
        data += w;
        n -= (size_t)w;
    }
}

static void put_binary(size_t n)
{
    unsigned char block[4096];
    uint32_t x = 2463534242u;

    for (size_t done = 0; done < n; done += sizeof(block)) {
        for (size_t i = 0; i < sizeof(block); i++) {
            x ^= x << 13, x ^= x >> 17, x ^= x << 5;
            block[i] = (unsigned char)x;
        }
        put_all((char *)block, sizeof(block));
    }
    put_all("\n", 1);
}

static void put_long_line(size_t n)
{
    char *line = malloc(n + 1);

    if (!line)
        die("memory");
    memset(line, 'x', n);
    line[n] = '\n';
    put_all(line, n + 1);
    free(line);
}

static void write_output(void)
{
    char block[8000];

    for (long i = 0; i < opt.lines; i++) {
        printf("line %ld of slot %s\n", i, slot);
        fflush(stdout);
        fprintf(stderr, "error %ld of slot %s\n", i, slot);
    }
    if (opt.long_line)
        put_long_line((size_t)opt.long_line);
    if (opt.binary)
        put_binary((size_t)opt.binary);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = i % 80 == 79 ? '\n' : 'f';
    for (long done = 0; done < opt.flood; done += (long)sizeof(block))
        put_all(block, sizeof(block));
    if (opt.lines || opt.long_line || opt.binary || opt.flood)
        trace("wrote");
}

/* ---- serving --------------------------------------------------------------------------------- */

static void drop(unsigned i)
{
    close(polls[i].fd);
    free(conns[i]);
    n_polls--;
    polls[i] = polls[n_polls];
    conns[i] = conns[n_polls];
    if (open_connections)
        *open_connections = n_polls - n_listeners;
}

static void accept_some(int listener)
{
    int fd;

    while (n_polls < CONNS_MAX &&
           (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        polls[n_polls] = (struct pollfd){.fd = fd, .events = POLLIN};
        conns[n_polls] = calloc(1, sizeof(struct conn));
        if (!conns[n_polls])
            die("memory");
        n_polls++;
        if (open_connections)
            *open_connections = n_polls - n_listeners;
    }
}

/* Returns false where the connection has come to its end. */
static bool answer(int fd, struct conn *c)
{
    bool last = stop_signal || strstr(c->buf, "Connection: close");
    char text[256], body[32];
    int n = snprintf(body, sizeof(body), "pid=%d\n", (int)getpid());

    n = snprintf(text, sizeof(text),
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
                 "%d\r\nX-Worker-Pid: %d\r\n%s\r\n%s",
                 n, (int)getpid(), last ? "Connection: close\r\n" : "", body);
    c->answered = true;
    c->have = 0;
    c->answer_at = 0;
    return send(fd, text, (size_t)n, MSG_NOSIGNAL) == n && !last;
}

static bool receive(int fd, struct conn *c)
{
    ssize_t n = recv(fd, c->buf + c->have, sizeof(c->buf) - 1 - c->have, 0);

    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    c->have += (size_t)n;
    c->buf[c->have] = '\0';
    if (!strstr(c->buf, "\r\n\r\n"))
        return c->have < sizeof(c->buf) - 1;
    if (opt.answer_after == 0)
        return answer(fd, c);
    c->answer_at = now_usec() + (uint64_t)opt.answer_after * 1000;
    return true;
}

static void open_listeners(void)
{
    const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

    if (!fds || !pid || atol(pid) != getpid())
        return;
    for (int i = 0; i < atoi(fds); i++) {
        int fd = LISTEN_START + i, type = 0, yes = 0;
        socklen_t n = sizeof(type), m = sizeof(yes);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &m) < 0 || type != SOCK_STREAM || !yes)
            continue;
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
            die("listener");
        polls[n_polls++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    n_listeners = n_polls;
}

static void serve_events(void)
{
    uint64_t now = now_usec();

    for (unsigned i = n_polls; i-- > n_listeners;) {
        bool due = conns[i]->answer_at && now >= conns[i]->answer_at;

        if ((due && !answer(polls[i].fd, conns[i])) ||
            (!conns[i]->answer_at && polls[i].revents && !receive(polls[i].fd, conns[i])))
            drop(i);
    }
    for (unsigned i = 0; i < n_listeners; i++)
        if (polls[i].revents)
            accept_some(polls[i].fd);
}

static void begin_drain(void)
{
    for (unsigned i = n_polls; i-- > n_listeners;)
        if (conns[i]->answered && conns[i]->have == 0 && conns[i]->answer_at == 0)
            drop(i);
    /* The supervisor has these sockets too: closing ours loses nothing that is queued. */
    while (n_listeners > 0) {
        close(polls[0].fd);
        n_listeners--;
        n_polls--;
        memmove(polls, polls + 1, n_polls * sizeof(polls[0]));
        memmove(conns, conns + 1, n_polls * sizeof(conns[0]));
    }
}

static void serve(void)
{
    struct timespec tick = {0, 5000000};
    sigset_t none;
    bool draining = false;

    sigemptyset(&none);
    while (!draining || n_polls > 0) {
        int n =
            ppoll(polls, n_polls, opt.answer_after && n_polls > n_listeners ? &tick : NULL, &none);

        if (n < 0 && errno != EINTR)
            die("ppoll");
        if (n < 0)
            for (unsigned i = 0; i < n_polls; i++)
                polls[i].revents = 0;
        serve_events();
        if (stop_signal && !draining) {
            begin_drain();
            draining = true;
        }
    }
}

/* ---- signals --------------------------------------------------------------------------------- */

static const struct {
    int number;
    const char *name;
} signals[] = {
    {SIGTERM, "TERM"}, {SIGINT, "INT"},   {SIGQUIT, "QUIT"},   {SIGHUP, "HUP"},
    {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}, {SIGWINCH, "WINCH"},
};

static void on_signal(int signo)
{
    stop_signal = signo;
}

static void on_ignored(int signo)
{
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (signals[i].number == signo) {
            char text[32] = "ignored ";

            trace(strcat(text, signals[i].name));
        }
}

static void set_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        bool ignored = opt.ignore && strstr(opt.ignore, signals[i].name);
        struct sigaction sa = {.sa_handler = ignored ? on_ignored : on_signal};

        sigaction(signals[i].number, &sa, NULL);
        sigaddset(&set, signals[i].number);
    }
    /* Blocked but inside ppoll, else a signal between the test of the flag and the wait would be
     * lost. */
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void trace_stop(void)
{
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (signals[i].number == stop_signal) {
            char text[32] = "stop ";

            trace(strcat(text, signals[i].name));
        }
}

/* ---- the command line ------------------------------------------------------------------------ */

enum type { STRING, NUMBER, LONG, FLAG };

static const struct {
    const char *name;
    enum type type;
    void *value;
} table[] = {
    {"trace", STRING, &opt.trace},         /* the events, see above; the file must exist */
    {"stats", STRING, &opt.stats},         /* DIR/PID holds the number of open connections */
    {"dump", STRING, &opt.dump},           /* DIR/{fds,environ,status,misc}.PID */
    {"ready", STRING, &opt.ready},         /* notify, fd:N or none */
    {"ready-if", STRING, &opt.ready_if},   /* not before this file exists */
    {"broken-if", STRING, &opt.broken_if}, /* exits 3 at once where FILE or FILE.SLOT exists */
    {"mute-if", STRING, &opt.mute_if},     /* does not tell READY where one of them exists */
    {"ignore", STRING, &opt.ignore},       /* TERM,INT,...: these do not stop it */
    {"status", STRING, &opt.status},       /* its STATUS= */
    {"exit", NUMBER, &opt.exit_status},    /* exits so, see exit-after; before READY without it */
    {"exit-slot", STRING, &opt.exit_slot}, /* only in this slot */
    {"exit-after", LONG, &opt.exit_after}, /* this many ms after READY */
    {"children", NUMBER, &opt.children},   /* that ignore all signals */
    {"daemons", NUMBER, &opt.daemons},     /* the same, in sessions of their own, orphaned */
    {"nameless", NUMBER, &opt.nameless},   /* daemons that show no sign of whose they are */
    {"slow-start", LONG, &opt.slow_start}, /* ms before READY */
    {"extend-start", FLAG, &opt.extend_start}, /* with EXTEND_TIMEOUT_USEC meanwhile */
    {"slow-stop", LONG, &opt.slow_stop},       /* ms before it exits */
    {"extend-stop", FLAG, &opt.extend_stop},   /* with EXTEND_TIMEOUT_USEC meanwhile */
    {"answer-after", LONG, &opt.answer_after}, /* ms that a request takes */
    {"lines", LONG, &opt.lines},               /* so many to stdout and stderr each */
    {"long-line", LONG, &opt.long_line},       /* one of so many bytes */
    {"binary", LONG, &opt.binary},             /* bytes of garbage */
    {"flood", LONG, &opt.flood},               /* bytes of lines, as fast as it goes */
};
#define TABLE (sizeof(table) / sizeof(table[0]))

static void set_option(unsigned i, const char *value)
{
    if (table[i].type == STRING)
        *(const char **)table[i].value = value;
    else if (table[i].type == NUMBER)
        *(int *)table[i].value = atoi(value);
    else if (table[i].type == LONG)
        *(long *)table[i].value = atol(value);
    else
        *(bool *)table[i].value = true;
    if (strcmp(table[i].name, "exit") == 0)
        opt.exits = true;
}

static void parse_options(int argc, char **argv)
{
    struct option options[TABLE + 1] = {0};
    int o, index;

    for (unsigned i = 0; i < TABLE; i++)
        options[i] = (struct option){
            table[i].name, table[i].type == FLAG ? no_argument : required_argument, NULL, 1};
    while ((o = getopt_long(argc, argv, "", options, &index)) == 1)
        set_option((unsigned)index, optarg);
    if (o != -1 || optind != argc)
        exit(64);
}

int main(int argc, char **argv)
{
    uint64_t started = now_usec();
    bool exits;

    parse_options(argc, argv);
    if (getenv("AIOTOOLS_SD_SLOT"))
        slot = getenv("AIOTOOLS_SD_SLOT");
    if (getenv("AIOTOOLS_SD_GENERATION"))
        generation = getenv("AIOTOOLS_SD_GENERATION");
    dump();
    trace_at(started, "start");
    set_signals();
    open_stats();
    exits = opt.exits && (!opt.exit_slot || strcmp(opt.exit_slot, slot) == 0);
    if (told_by_file(opt.broken_if))
        leave(3);
    if (exits && opt.exit_after == 0)
        leave(opt.exit_status);
    fork_children();
    open_listeners();
    start_slowly();
    if (!stop_signal) {
        tell_ready();
        write_output();
        if (exits) {
            take_time(opt.exit_after, false);
            leave(opt.exit_status);
        }
        serve();
    }
    trace_stop();
    take_time(opt.slow_stop, opt.extend_stop);
    leave(0);
}
