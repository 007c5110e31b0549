/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log: lines, formats, slow and dead readers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "log/format.h"
#include "log/log.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

/* ---- a log between two pipes ----------------------------------------------------------------- */

struct rig {
    struct log *log;
    int out[2], err[2];
    unsigned wakes;
};

static bool count_wake(void *userdata)
{
    struct rig *rig = userdata;

    rig->wakes++;
    return true;
}

static void rig_init(struct rig *rig, enum log_format format)
{
    *rig = (struct rig){0};
    assert_int_equal(pipe2(rig->out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(rig->err, O_CLOEXEC), 0);
    assert_int_equal(log_new(&rig->log, "web", format, rig->out[1], rig->err[1]), 0);
    log_set_wake(rig->log, count_wake, rig);
}

static void rig_done(struct rig *rig)
{
    rig->log = log_free(rig->log);
    for (int i = 0; i < 2; i++) {
        close(rig->out[i]);
        close(rig->err[i]);
    }
}

/* What is in the pipe now, as a string. */
static char *take(int fd)
{
    size_t n = 0, size = 1 << 20;
    char *buf = malloc(size);
    ssize_t k;

    assert_non_null(buf);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (n < size - 1 && (k = read(fd, buf + n, size - 1 - n)) > 0)
        n += (size_t)k;
    buf[n] = '\0';
    return buf;
}

static void expect(int fd, const char *text)
{
    char *got = take(fd);

    assert_string_equal(got, text);
    free(got);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void test_lines(void **state)
{
    static const struct {
        const char *feed[4];
        const char *prefix, *plain;
    } cases[] = {
        {{"one\n"}, "web[2:77] one\n", "one\n"},
        {{"one\ntwo\n"}, "web[2:77] one\nweb[2:77] two\n", "one\ntwo\n"},
        {{"o", "n", "e\nt", "wo\n"}, "web[2:77] one\nweb[2:77] two\n", "one\ntwo\n"},
        {{"\n\n"}, "web[2:77] \nweb[2:77] \n", "\n\n"},
        {{"no newline at the end"}, "web[2:77] no newline at the end\n", "no newline at the end\n"},
        {{"a\nb"}, "web[2:77] a\nweb[2:77] b\n", "a\nb\n"},
        {{"", ""}, "", ""},
        {{"\r\n"}, "web[2:77] \r\n", "\r\n"},
    };
    static const enum log_format formats[] = {LOG_PREFIX, LOG_PLAIN};

    for (size_t i = 0; i < LENGTH(cases); i++)
        for (size_t f = 0; f < LENGTH(formats); f++) {
            struct rig rig;
            struct log_stream stream;

            rig_init(&rig, formats[f]);
            log_stream_init(&stream, rig.log, 2, 77, LOG_STDOUT);
            for (size_t k = 0; k < LENGTH(cases[i].feed) && cases[i].feed[k]; k++)
                log_stream_feed(&stream, cases[i].feed[k], strlen(cases[i].feed[k]));
            log_stream_end(&stream);
            expect(rig.out[0], f == 0 ? cases[i].prefix : cases[i].plain);
            expect(rig.err[0], "");
            assert_null(stream.rest);
            rig_done(&rig);
        }
}

static void test_channels(void **state)
{
    struct rig rig;
    struct log_stream out, err;

    rig_init(&rig, LOG_PREFIX);
    log_stream_init(&out, rig.log, 0, 10, LOG_STDOUT);
    log_stream_init(&err, rig.log, 1, 11, LOG_STDERR);
    log_stream_feed(&out, "to out\n", 7);
    log_stream_feed(&err, "to err\n", 7);
    log_event(rig.log, LOG_LEVEL_INFO, 1, 11, "ready after %d ms", 12);
    log_event(rig.log, LOG_LEVEL_WARNING, 3, 0, "back-off");
    log_event(rig.log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "gave up");
    expect(rig.out[0], "web[0:10] to out\n");
    expect(rig.err[0], "web[1:11] to err\n"
                       "web: slot 1, pid 11: ready after 12 ms\n"
                       "web: slot 3: warning: back-off\n"
                       "web: error: gave up\n");
    log_stream_end(&out);
    log_stream_end(&err);
    rig_done(&rig);
}

/* The same pipe as stdout and stderr: one output, in order. */
static void test_one_file(void **state)
{
    struct log *log;
    struct log_stream out, err;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    int other = fcntl(p[1], F_DUPFD_CLOEXEC, 3);
    assert_true(other >= 0);
    assert_int_equal(log_new(&log, "web", LOG_PLAIN, p[1], other), 0);
    log_stream_init(&out, log, 0, 1, LOG_STDOUT);
    log_stream_init(&err, log, 0, 1, LOG_STDERR);
    log_stream_feed(&out, "1\n", 2);
    log_stream_feed(&err, "2\n", 2);
    log_stream_feed(&out, "3\n", 2);
    expect(p[0], "1\n2\n3\n");
    log = log_free(log);
    close(other);
    close(p[0]);
    close(p[1]);
}

/* ---- long lines ------------------------------------------------------------------------------ */

/* A line of n bytes, fed in chunks: pieces of at most LOG_LINE_MAX, all but the last with the mark,
 * and nothing lost. */
static void check_long(size_t n, size_t chunk)
{
    struct rig rig;
    struct log_stream stream;
    char *line = malloc(n + 1);

    assert_non_null(line);
    for (size_t i = 0; i < n; i++)
        line[i] = (char)('a' + i % 26);
    line[n] = '\n';

    rig_init(&rig, LOG_PLAIN);
    log_stream_init(&stream, rig.log, 0, 1, LOG_STDOUT);
    for (size_t i = 0; i <= n; i += chunk)
        log_stream_feed(&stream, line + i, n + 1 - i < chunk ? n + 1 - i : chunk);

    char *got = take(rig.out[0]);
    const char *p = got;
    for (size_t i = 0; i < n || n == 0;) {
        size_t piece = n - i < LOG_LINE_MAX ? n - i : LOG_LINE_MAX;
        const char *mark = n - i > LOG_LINE_MAX ? " \\\n" : "\n";

        assert_memory_equal(p, line + i, piece);
        assert_memory_equal(p + piece, mark, strlen(mark));
        p += piece + strlen(mark);
        i += piece;
        if (n == 0)
            break;
    }
    assert_string_equal(p, "");
    free(got);
    free(line);
    rig_done(&rig);
}

static void test_long_lines(void **state)
{
    static const size_t lengths[] = {
        0,
        1,
        LOG_LINE_MAX - 1,
        LOG_LINE_MAX,
        LOG_LINE_MAX + 1,
        2 * LOG_LINE_MAX,
        3 * LOG_LINE_MAX + 5,
    };
    static const size_t chunks[] = {1, 7, 4096, LOG_LINE_MAX, 100000};

    for (size_t i = 0; i < LENGTH(lengths); i++)
        for (size_t k = 0; k < LENGTH(chunks); k++)
            check_long(lengths[i], chunks[k]);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void test_json_records(void **state)
{
    static const struct log_field fields[] = {{"command", "a\"b\033", false},
                                              {"args", "[1,2]", true}};
    static const struct {
        struct log_record record;
        const char *text;
    } cases[] = {
        {{.time = 0, .slot = 2, .pid = 77, .channel = LOG_STDOUT, .text = "hi", .n = 2},
         "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"name\":\"web\",\"slot\":2,\"pid\":77,"
         "\"stream\":\"stdout\",\"message\":\"hi\"}\n"},
        {{.time = 951827696123456,
          .slot = 0,
          .pid = 1,
          .channel = LOG_STDERR,
          .split = true,
          .text = "",
          .n = 0},
         "{\"time\":\"2000-02-29T12:34:56.123456Z\",\"name\":\"web\",\"slot\":0,\"pid\":1,"
         "\"stream\":\"stderr\",\"message\":\"\",\"continued\":true}\n"},
        {{.time = 4107542399999999,
          .event = true,
          .level = LOG_LEVEL_WARNING,
          .slot = LOG_NO_SLOT,
          .text = "a\"b\\c",
          .n = 5},
         "{\"time\":\"2100-02-28T23:59:59.999999Z\",\"name\":\"web\",\"level\":\"warning\","
         "\"message\":\"a\\\"b\\\\c\"}\n"},
        {{.time = 1735689600000001,
          .event = true,
          .slot = 4,
          .pid = 9,
          .level = LOG_LEVEL_INFO,
          .text = "x",
          .n = 1},
         "{\"time\":\"2025-01-01T00:00:00.000001Z\",\"name\":\"web\",\"level\":\"info\",\"slot\":4,"
         "\"pid\":9,\"message\":\"x\"}\n"},
        {{.time = 0,
          .event = true,
          .slot = LOG_NO_SLOT,
          .level = LOG_LEVEL_WARNING,
          .text = "x",
          .n = 1,
          .fields = fields,
          .n_fields = LENGTH(fields)},
         "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"name\":\"web\",\"level\":\"warning\","
         "\"command\":\"a\\\"b\\u001b\",\"args\":[1,2],\"message\":\"x\"}\n"},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char buf[512];
        struct log_text t = {.p = buf, .end = buf + sizeof(buf) - 1};

        log_format_record(&t, LOG_JSON, "web", &cases[i].record);
        assert_false(t.full);
        *t.p = '\0';
        assert_string_equal(buf, cases[i].text);
    }
}

static void test_json_strings(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *json;
    } cases[] = {
#define CASE(text, json) {text, sizeof(text) - 1, json}
        CASE("plain ~", "plain ~"),
        CASE("\"\\/", "\\\"\\\\/"),
        CASE("\b\t\n\f\r\x1b\x01", "\\b\\t\\n\\u000c\\r\\u001b\\u0001"),
        CASE("\0x", "\\u0000x"),
        CASE("\x7f", "\\u007f"),
        CASE("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
             "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
        CASE("\xff\xfe", "\\ufffd\\ufffd"),
        CASE("\xc0\xaf", "\\ufffd\\ufffd"),                       /* overlong */
        CASE("\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"),            /* overlong */
        CASE("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"),            /* surrogate */
        CASE("\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"), /* above U+10FFFF */
        CASE("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"),
        CASE("\xe2\x82", "\\ufffd\\ufffd"), /* cut short */
        CASE("\xc3(", "\\ufffd("),
        CASE("\xe2\x82(", "\\ufffd\\ufffd("),
        CASE("\x80", "\\ufffd"),
        CASE("\xc2\x85\xc2\x9b\xc2\xa0", "\\u0085\\u009b\xc2\xa0"),
        CASE("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa",
             "\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa"),
#undef CASE
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char buf[512], wanted[512];
        struct log_text t = {.p = buf, .end = buf + sizeof(buf) - 1};
        const struct log_record record = {
            .slot = LOG_NO_SLOT, .event = true, .text = cases[i].text, .n = cases[i].n};

        log_format_record(&t, LOG_JSON, "w", &record);
        *t.p = '\0';
        snprintf(wanted, sizeof(wanted),
                 "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"name\":\"w\",\"level\":\"debug\","
                 "\"message\":\"%s\"}\n",
                 cases[i].json);
        assert_string_equal(buf, wanted);
    }
}

/* What a terminal would act on is made visible, there and in all events. */
static void test_visible(void **state)
{
    static const struct {
        const char *text, *visible;
    } cases[] = {
        {"plain, caf\xc3\xa9, \tand \xf0\x9f\x98\x80", NULL},
        {"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"},
        {"a\rb\b\x7f", "a\\x0db\\x08\\x7f"},
        {"forged\nweb: stopped", "forged\\x0aweb: stopped"},
        {"C1 \xc2\x9b"
         "31m, raw \x9b"
         "31m",
         "C1 \\xc2\\x9b31m, raw \\x9b31m"},
        {"overlong \xc0\x9b, cut \xe2\x82", "overlong \\xc0\\x9b, cut \\xe2\\x82"},
        {"line \xe2\x80\xa8 paragraph \xe2\x80\xa9",
         "line \\xe2\\x80\\xa8 paragraph \\xe2\\x80\\xa9"},
    };
    static const enum log_format formats[] = {LOG_PREFIX, LOG_PLAIN};

    for (size_t i = 0; i < LENGTH(cases); i++)
        for (unsigned k = 0; k < 8; k++) {
            struct log_record record = {.event = k & 1,
                                        .terminal = k & 2,
                                        .level = LOG_LEVEL_INFO,
                                        .slot = LOG_NO_SLOT,
                                        .text = cases[i].text,
                                        .n = strlen(cases[i].text)};
            bool as_is = !cases[i].visible || !(k & 3);
            char got[256];
            struct log_text t = {.p = got, .end = got + sizeof(got)};

            log_format_record(&t, formats[k / 4], "web", &record);
            assert_false(t.full);
            t.p[-1] = '\0';
            if (!strstr(got, as_is ? cases[i].text : cases[i].visible))
                fail_msg("case %zu, %u: %s", i, k, got);
        }
}

/* A terminal is one, a pipe is none. */
static void test_terminal(void **state)
{
    struct termios raw;
    struct log *log;
    struct log_stream stream;
    int out[2];

    assert_int_equal(openpty(&out[0], &out[1], NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(out[1], &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(out[1], TCSANOW, &raw), 0);
    assert_int_equal(log_new(&log, "web", LOG_PREFIX, out[1], out[1]), 0);
    log_stream_init(&stream, log, 2, 77, LOG_STDOUT);
    log_stream_feed(&stream, "a\x1b[31m\rb\n", 9);
    expect(out[0], "web[2:77] a\\x1b[31m\\x0db\n");
    log_stream_end(&stream);
    log_free(log);
    close(out[0]);
    close(out[1]);
}

/* A range of every size below what the record needs: marked full, nothing written behind it. */
static void test_no_room(void **state)
{
    static const enum log_format formats[] = {LOG_PREFIX, LOG_PLAIN, LOG_JSON};
    const struct log_record record = {.slot = 3, .pid = 4, .text = "caf\xc3\xa9\xff\"", .n = 7};

    for (size_t f = 0; f < LENGTH(formats); f++) {
        char whole[256];
        struct log_text t = {.p = whole, .end = whole + sizeof(whole)};

        log_format_record(&t, formats[f], "web", &record);
        assert_false(t.full);
        size_t need = (size_t)(t.p - whole);
        for (size_t n = 0; n <= need; n++) {
            char *exact = malloc(n + 1);

            assert_non_null(exact);
            exact[n] = '#';
            t = (struct log_text){.p = exact, .end = exact + n};
            log_format_record(&t, formats[f], "web", &record);
            assert_int_equal(t.full, n < need);
            assert_int_equal(exact[n], '#');
            free(exact);
        }
    }
}

/* ---- slow and dead readers ------------------------------------------------------------------- */

/* Feeds numbered lines until some are dropped; then reads. Every line that arrives is whole, in
 * order, and the report counts the rest. */
static void check_slow_reader(struct rig *rig)
{
    struct log_stream stream;
    unsigned long fed = 0, next = 0, dropped = 0;

    log_stream_init(&stream, rig->log, 0, 1, LOG_STDOUT);
    while (log_dropped(rig->log) < 100) {
        char line[32];
        int n = snprintf(line, sizeof(line), "line %08lu\n", fed++);

        log_stream_feed(&stream, line, (size_t)n);
        assert_true(fed < 1000000);
    }
    assert_int_equal(rig->wakes, 1);
    assert_true(log_pending_fd(rig->log, LOG_STDOUT) >= 0);

    /* a line can be spread over two readings */
    char *all = malloc(16 << 20), *end = all;
    assert_non_null(all);
    for (bool pending = true; pending;) {
        char *got = take(rig->out[0]);

        end = stpcpy(end, got);
        free(got);
        pending = log_flush(rig->log);
    }
    char *got = take(rig->out[0]);
    (void)stpcpy(end, got);
    free(got);
    assert_int_equal(log_pending_fd(rig->log, LOG_STDOUT), -1);

    for (char *save, *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned long v;

        if (sscanf(line, "line %lu", &v) == 1) {
            assert_int_equal(v, next);
            assert_int_equal(strlen(line), 13);
            next = v + 1;
        } else {
            assert_int_equal(sscanf(line, "web: slot 0: warning: %lu lines dropped", &dropped), 1);
            next += dropped;
        }
    }
    free(all);
    assert_true(dropped >= 100);
    assert_int_equal(next, fed);
    assert_int_equal(log_dropped(rig->log), dropped);

    log_stream_feed(&stream, "after\n", 6);
    expect(rig->out[0], "after\n");
    log_stream_end(&stream);
}

static void test_slow_pipe(void **state)
{
    struct rig rig;

    rig_init(&rig, LOG_PLAIN);
    check_slow_reader(&rig);
    rig_done(&rig);
}

static void test_slow_socket(void **state)
{
    struct rig rig = {0};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, rig.out), 0);
    assert_int_equal(pipe2(rig.err, O_CLOEXEC), 0);
    assert_int_equal(log_new(&rig.log, "web", LOG_PLAIN, rig.out[1], rig.err[1]), 0);
    log_set_wake(rig.log, count_wake, &rig);
    check_slow_reader(&rig);
    rig_done(&rig);
}

struct heard {
    unsigned long fed, heard, dropped;
};

/* Whatever was written: its number, or the loss that it tells. */
static void hear(char *line, struct heard *slots, unsigned n_slots, unsigned *ret_events)
{
    unsigned slot;
    unsigned long n;

    if (sscanf(line, "web: slot %u: warning: %lu line", &slot, &n) == 2) {
        assert_true(slot < n_slots);
        slots[slot].dropped += n;
    } else if (sscanf(line, "web[%u:1] %lu", &slot, &n) == 2) {
        assert_true(slot < n_slots);
        /* In order, and what is missing has been told before. */
        assert_int_equal(n, slots[slot].heard + slots[slot].dropped);
        slots[slot].heard++;
    } else {
        assert_non_null(strstr(line, "event"));
        ++*ret_events;
    }
}

/*
 * Two slots flood, nobody reads, and then a slow reader comes. The others say what they have to
 * say, and so do we.
 */
static void test_fair(void **state)
{
    enum { N_SLOTS = 5, N_FLOODERS = 2, N_LINES = 2000 };
    struct heard slots[N_SLOTS] = {0};
    struct log_stream streams[N_SLOTS];
    unsigned n_events = 0, told_events = 0;
    struct rig rig;
    char line[128], *all = calloc(1, 64 << 20), *end = all;
    size_t n;

    assert_non_null(all);
    rig_init(&rig, LOG_PREFIX);
    for (unsigned i = 0; i < N_SLOTS; i++)
        log_stream_init(&streams[i], rig.log, (int)i, 1, LOG_STDERR);
    for (unsigned round = 0; round < N_LINES; round++) {
        for (unsigned i = 0; i < N_SLOTS; i++)
            for (unsigned k = 0; k < (i < N_FLOODERS ? 50 : 1); k++) {
                n = (size_t)snprintf(line, sizeof(line), "%lu %060d\n", slots[i].fed++, 0);
                log_stream_feed(&streams[i], line, n);
            }
        if (round % 10 == 0)
            log_event(rig.log, LOG_LEVEL_INFO, n_events++ % 2 ? 4 : LOG_NO_SLOT, 0, "event");
        if (round == N_LINES / 2)
            assert_true(log_stream_pause(&streams[0]) > 0);
        assert_int_equal(log_stream_pause(&streams[N_SLOTS - 1]), 0);
        if (round > N_LINES / 2) {
            end += read(rig.err[0], end, 20000);
            (void)log_flush(rig.log);
        }
    }
    for (bool pending = true; pending;) {
        char *got = take(rig.err[0]);

        end = stpcpy(end, got);
        free(got);
        pending = log_flush(rig.log);
    }
    char *got = take(rig.err[0]);
    (void)stpcpy(end, got);
    free(got);
    for (char *save, *p = strtok_r(all, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
        hear(p, slots, N_SLOTS, &told_events);
    for (unsigned i = 0; i < N_SLOTS; i++) {
        assert_int_equal(slots[i].heard + slots[i].dropped, slots[i].fed);
        assert_int_equal(slots[i].dropped > 0, i < N_FLOODERS);
    }
    assert_int_equal(told_events, n_events);
    free(all);
    rig_done(&rig);
}

/* Our own description is non-blocking, the one that we were given stays as it is. */
static void test_description_untouched(void **state)
{
    struct rig rig;
    struct log_stream stream;

    rig_init(&rig, LOG_PLAIN);
    log_stream_init(&stream, rig.log, 0, 1, LOG_STDOUT);
    log_stream_feed(&stream, "x\n", 2);
    assert_int_equal(fcntl(rig.out[1], F_GETFL) & O_NONBLOCK, 0);
    rig_done(&rig);
}

static unsigned long number_before(const char *text, const char *words)
{
    const char *at = strstr(text, words);

    if (!at)
        return 0;
    while (at > text && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return strtoul(at, NULL, 10);
}

/* What is reported as dropped in any of these lines. */
static unsigned long count_reported(const char *text)
{
    unsigned long n = 0;

    for (const char *at = text; (at = strstr(at, "web: warning: ")); at += 14)
        n += number_before(at, " line");
    return n;
}

/* The other channel goes on, and says what is lost; another reader of the FIFO gets later lines. */
static void test_dead_reader(void **state)
{
    char folder[] = "/tmp/test-log-XXXXXX", path[64], *told, *got;
    struct rig rig;
    struct log_stream stream;

    rig_init(&rig, LOG_PLAIN);
    log_free(rig.log);
    close(rig.out[0]);
    close(rig.out[1]);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    rig.out[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    rig.out[1] = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(log_new(&rig.log, "web", LOG_PLAIN, rig.out[1], rig.err[1]), 0);
    log_set_wake(rig.log, count_wake, &rig);
    close(rig.out[0]);

    log_stream_init(&stream, rig.log, 0, 1, LOG_STDOUT);
    for (int i = 0; i < 100; i++)
        log_stream_feed(&stream, "x\n", 2);
    assert_int_equal(log_pending_fd(rig.log, LOG_STDOUT), -1);
    assert_int_equal(rig.wakes, 0);
    assert_int_equal(log_dropped(rig.log), 100);
    expect(rig.err[0],
           "web: warning: 1 line dropped: cannot write to standard output: Broken pipe\n");

    rig.out[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    log_stream_feed(&stream, "y\n", 2);
    expect(rig.out[0],
           "web: warning: 99 lines dropped: cannot write to standard output: Broken pipe\ny\n");
    assert_int_equal(log_dropped(rig.log), 100);

    close(rig.out[0]);
    for (int i = 0; i < 10; i++)
        log_stream_feed(&stream, "x\n", 2);
    log_finish(rig.log, 1000000, 1000000, -1);
    told = take(rig.err[0]);
    assert_int_equal(count_reported(told), 10);
    free(told);
    rig.out[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    got = take(rig.err[0]);
    assert_string_equal(got, "");
    free(got);
    rig_done(&rig);
    unlink(path);
    rmdir(folder);
}

/* A line that was written in part ends where the disk was full; the next one is whole. */
static void test_full_disk(void **state)
{
    char folder[] = "/tmp/test-log-XXXXXX", path[64], *told;
    struct log *log;
    struct rig rig;
    struct log_stream stream;
    struct rlimit before, limit;
    unsigned long n_lines = 0;

    rig_init(&rig, LOG_PLAIN);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/log", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(log_new(&log, "web", LOG_PLAIN, fd, rig.err[1]), 0);
    log_stream_init(&stream, log, 0, 1, LOG_STDOUT);
    /* EFBIG stands for ENOSPC: it is what an ordinary user can have. */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1003;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 200; i++)
        log_stream_feed(&stream, "123456789\n", 10);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(log_dropped(log), 100);
    for (int i = 0; i < 5; i++)
        log_stream_feed(&stream, "987654321\n", 10);
    log = log_free(log);

    char *text = malloc(1 << 16);
    ssize_t n = pread(fd, text, (1 << 16) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    told = take(rig.err[0]);
    assert_int_equal(count_reported(text) + count_reported(told), 100);
    assert_non_null(strstr(text, "123456789\n123\nweb: warning: "));
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        n_lines += strcmp(line, "123456789") == 0 || strcmp(line, "987654321") == 0;
    assert_int_equal(n_lines, 105);
    free(text);
    free(told);
    close(fd);
    unlink(path);
    rmdir(folder);
    rig_done(&rig);
}

/* Whoever the two outputs are, each line is written or counted. */
static void test_full_device(void **state)
{
    struct rig rig;
    struct log *log;
    struct log_stream stream;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    char *told;

    if (full < 0)
        skip();
    rig_init(&rig, LOG_PLAIN);
    for (int channel = 0; channel < LOG_CHANNELS; channel++) {
        assert_int_equal(log_new(&log, "web", LOG_JSON, channel == 0 ? full : rig.out[1],
                                 channel == 0 ? rig.err[1] : full),
                         0);
        log_stream_init(&stream, log, 0, 1, channel);
        for (int i = 0; i < 50; i++)
            log_stream_feed(&stream, "x\n", 2);
        log_event(log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "event");
        log_finish(log, 1000, 1000, -1);
        assert_int_equal(log_dropped(log), 50 + channel);
        told = take(channel == 0 ? rig.err[0] : rig.out[0]);
        assert_non_null(strstr(told, "1 line dropped: cannot write to standard "));
        assert_non_null(strstr(told, channel == 0 ? "49 lines dropped" : "50 lines dropped"));
        assert_non_null(strstr(told, "No space left on device"));
        free(told);
        log = log_free(log);
    }
    close(full);
    rig_done(&rig);
}

static void test_closed_fds(void **state)
{
    struct log *log;
    struct log_stream stream;

    assert_int_equal(log_new(&log, "web", LOG_JSON, -1, -1), 0);
    log_stream_init(&stream, log, 0, 1, LOG_STDERR);
    log_stream_feed(&stream, "x\n", 2);
    log_event(log, LOG_LEVEL_INFO, 0, 0, "y");
    assert_false(log_flush(log));
    log_finish(log, 1000000, 1000000, -1);
    log = log_free(log);
    assert_null(log);
    assert_null(log_free(NULL));
}

/* A file is appended to where it stands, not from its beginning. */
static void test_file_offset(void **state)
{
    char path[] = "/tmp/test-log-XXXXXX", got[64] = "";
    struct log *log;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, "before\n", 7), 7);
    assert_int_equal(log_new(&log, "web", LOG_PLAIN, fd, fd), 0);
    log_event(log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "event");
    log = log_free(log);
    assert_true(pread(fd, got, sizeof(got) - 1, 0) > 0);
    assert_string_equal(got, "before\nweb: event\n");
    close(fd);
}

/* Lines until some have to wait. Returns how many there are. */
static unsigned long fill(struct rig *rig, struct log_stream *stream)
{
    char line[1024];
    unsigned long n = 0;

    memset(line, 'z', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    log_stream_init(stream, rig->log, 0, 1, LOG_STDOUT);
    for (; log_pending_fd(rig->log, LOG_STDOUT) < 0; n++)
        log_stream_feed(stream, line, sizeof(line));
    for (int i = 0; i < 9; i++, n++)
        log_stream_feed(stream, line, sizeof(line));
    return n;
}

static unsigned long count_lines(const char *text)
{
    unsigned long n = 0;

    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

static void test_finish_waits(void **state)
{
    struct rig rig;
    struct log_stream stream;
    pid_t reader;

    rig_init(&rig, LOG_PLAIN);
    (void)fill(&rig, &stream);
    reader = fork();
    if (reader == 0) {
        (void)poll(NULL, 0, 100);
        free(take(rig.out[0]));
        _exit(0);
    }
    log_finish(rig.log, 10 * 1000000, 10 * 1000000, -1);
    assert_int_equal(log_pending_fd(rig.log, LOG_STDOUT), -1);
    assert_int_equal(log_dropped(rig.log), 0);
    assert_int_equal(waitpid(reader, NULL, 0), reader);
    expect(rig.err[0], "");
    log_stream_end(&stream);
    rig_done(&rig);
}

/* Nobody reads, or somebody is in a hurry: what is lost is told on the other output. */
static void test_finish_gives_up(void **state)
{
    static const struct {
        uint64_t idle, total;
        bool hurry;
    } cases[] = {
        {1000, 3600 * UINT64_C(1000000), false},
        {3600 * UINT64_C(1000000), 1000, false},
        {3600 * UINT64_C(1000000), 3600 * UINT64_C(1000000), true},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct rig rig;
        struct log_stream stream;
        int hurry[2];

        rig_init(&rig, LOG_PLAIN);
        assert_int_equal(pipe2(hurry, O_CLOEXEC), 0);
        if (cases[i].hurry)
            assert_int_equal(write(hurry[1], "", 1), 1);
        unsigned long n = fill(&rig, &stream);
        log_finish(rig.log, cases[i].idle, cases[i].total, hurry[0]);
        assert_int_equal(log_pending_fd(rig.log, LOG_STDOUT), -1);
        char *got = take(rig.out[0]), *told = take(rig.err[0]);
        assert_int_equal(count_lines(got) + count_reported(told), n);
        assert_true(count_reported(told) >= 9);
        assert_non_null(strstr(told, "the reader of standard output has not taken them"));
        free(got);
        free(told);
        log_stream_end(&stream);
        rig_done(&rig);
        close(hurry[0]);
        close(hurry[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_one_file),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_json_records),
        cmocka_unit_test(test_json_strings),
        cmocka_unit_test(test_visible),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_slow_pipe),
        cmocka_unit_test(test_slow_socket),
        cmocka_unit_test(test_fair),
        cmocka_unit_test(test_description_untouched),
        cmocka_unit_test(test_dead_reader),
        cmocka_unit_test(test_closed_fds),
        cmocka_unit_test(test_file_offset),
        cmocka_unit_test(test_finish_waits),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_full_device),
        cmocka_unit_test(test_finish_gives_up),
    };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
