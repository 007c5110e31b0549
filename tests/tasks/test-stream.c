/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading from a stream: what is read must not depend on how the bytes arrive, nor on who was
 * cancelled meanwhile. */

#include "stream-bench.h"

/* ---- lines ----------------------------------------------------------------------------------- */

static const struct line_case {
    const char *input;
    const char *lines[6];
} line_cases[] = {
    {"", {}},
    {"\n", {""}},
    {"\r\n", {""}},
    {"one\n", {"one"}},
    {"one\r\n", {"one"}},
    {"one", {"one"}},
    {"one\r", {"one\r"}},
    {"one\ntwo\nthree", {"one", "two", "three"}},
    {"\n\n\n", {"", "", ""}},
    {"a\rb\n\rc\n", {"a\rb", "\rc"}},
    {"a\r\r\n", {"a\r"}},
    {"exactly as long as it may be, 40 bytes.\n", {"exactly as long as it may be, 40 bytes."}},
};

static const struct line_case *line_case;

static int lines_body(struct bench *b)
{
    unsigned i = 0;
    char *line;
    size_t n;
    int r;

    CHECK_EQ(start_feed(b, line_case->input, strlen(line_case->input)), 0);
    while ((r = ait_stream_read_line(b->stream, &line, &n)) > 0) {
        if (!CHECK(i < ELEMENTS(line_case->lines) && line_case->lines[i]))
            return -EIO;
        CHECK_EQ(strcmp(line, line_case->lines[i]), 0);
        CHECK_EQ(n, strlen(line_case->lines[i]));
        i++;
    }
    CHECK(!line_case->lines[i]);
    CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), 0);
    return r;
}

static void test_lines(void **unused)
{
    static const size_t chunks[] = {1, 2, 3, 7, 1000};

    for (unsigned i = 0; i < ELEMENTS(line_cases); i++)
        for (unsigned k = 0; k < ELEMENTS(chunks); k++) {
            line_case = line_cases + i;
            run_bench(lines_body, &(struct bench){.chunk = chunks[k],
                                                  .options = AIT_STREAM_OPTIONS(.read_limit = 40)});
        }
}

static int long_line_body(struct bench *b)
{
    const void *p;
    char *line;

    CHECK_EQ(ait_write_all(b->fds[1], "0123456789abcdefg\nok\n", 21, NULL), 0);
    CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), -EMSGSIZE);
    /* It stays so, and nothing is lost. */
    CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), -EMSGSIZE);
    CHECK_EQ(ait_stream_available(b->stream), 16);
    CHECK_EQ(ait_stream_peek(b->stream, 1, &p), 16);
    CHECK_EQ(memcmp(p, "0123456789abcdef", 16), 0);
    CHECK_EQ(ait_stream_consume(b->stream, 100), 16);
    CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), 1);
    CHECK_EQ(strcmp(line, "g"), 0);
    CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), 1);
    CHECK_EQ(strcmp(line, "ok"), 0);
    return 0;
}

static void test_long_line(void **unused)
{
    run_plain(long_line_body, AIT_STREAM_OPTIONS(.read_limit = 16));
}

/* A line as long as the limit, one shorter, one longer; then more, or the end. */
struct edge {
    size_t n;
    const char *after;
    size_t chunk;
    int line, until; /* what the calls return */
};

static const struct edge *edge;

static int edge_body(struct bench *b)
{
    char data[32];
    const void *p;
    char *line = NULL;
    size_t n = 0;

    memset(data, 'a', sizeof(data));
    for (size_t done = 0; done < edge->n; done += edge->chunk)
        CHECK_EQ(ait_write_all(b->fds[1], data,
                               edge->n - done < edge->chunk ? edge->n - done : edge->chunk, NULL),
                 0);
    CHECK_EQ(ait_write_all(b->fds[1], edge->after, strlen(edge->after), NULL), 0);
    CHECK_EQ(ait_close(b->fds[1]), 0);
    b->fds[1] = -1;
    if (edge->until != 0)
        CHECK_EQ(ait_stream_read_until(b->stream, "Z", 1, &p, &n), edge->until);
    if (!CHECK_EQ(ait_stream_read_line(b->stream, &line, &n), edge->line))
        (void)fprintf(stderr, "  %zu, chunks of %zu\n", edge->n, edge->chunk);
    if (edge->line == 1) {
        CHECK_EQ(n, edge->n);
        CHECK_EQ(memcmp(line, data, n), 0);
    } else {
        /* All of it is there, and in order. */
        char all[64];

        CHECK_EQ(ait_stream_read(b->stream, all, 16), 16);
        CHECK_EQ(ait_stream_read_exact(b->stream, all + 16, edge->n + strlen(edge->after) - 16, &n),
                 1);
        CHECK_EQ(memcmp(all, data, edge->n), 0);
        CHECK_EQ(memcmp(all + edge->n, edge->after, strlen(edge->after)), 0);
    }
    CHECK_EQ(ait_stream_read_line(b->stream, &line, &n), 0);
    return 0;
}

static void test_edges(void **unused)
{
    static const struct edge edges[] = {
        {15, "", 32, 1, -ENODATA},
        {15, "\n", 32, 1, 0},
        {16, "", 32, 1, -ENODATA},
        {16, "", 1, 1, -ENODATA},
        {16, "\n", 32, -EMSGSIZE, -EMSGSIZE},
        {17, "", 32, -EMSGSIZE, -EMSGSIZE},
        {17, "", 1, -EMSGSIZE, -EMSGSIZE},
        {17, "\n", 5, -EMSGSIZE, 0},
        {30, "\nb", 7, -EMSGSIZE, -EMSGSIZE},
    };

    for (size_t i = 0; i < ELEMENTS(edges); i++) {
        edge = edges + i;
        run_plain(edge_body, AIT_STREAM_OPTIONS(.read_limit = 16));
    }
}

#define BIG 30000

static int growing_body(struct bench *b)
{
    char *text = malloc(2 * BIG + 3), *line;
    size_t n;

    memset(text, 'x', 2 * BIG + 2);
    memcpy(text + BIG, "\n", 1);
    text[2 * BIG + 1] = '\n';
    b->chunk = 1000;
    CHECK_EQ(start_feed(b, text, 2 * BIG + 2), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(ait_stream_read_line(b->stream, &line, &n), 1);
        CHECK_EQ(n, BIG);
        CHECK_EQ(strspn(line, "x"), BIG);
    }
    CHECK_EQ(ait_stream_read_line(b->stream, &line, &n), 0);
    free(text);
    return 0;
}

static void test_growing(void **unused)
{
    run_plain(growing_body, NULL);
}

/* ---- delimiters and exact sizes -------------------------------------------------------------- */

static const struct until_case {
    const char *input, *delimiter;
    const char *parts[4];
    int end;
} until_cases[] = {
    {"", "ab", {}, 0},
    {"ab", "ab", {"ab"}, 0},
    {"aab", "ab", {"aab"}, 0},
    {"aaab", "aab", {"aaab"}, 0},
    {"a\r\n\r\nb\r\n\r\n", "\r\n\r\n", {"a\r\n\r\n", "b\r\n\r\n"}, 0},
    {"one;two;rest", ";", {"one;", "two;"}, -ENODATA},
    {"\r\n\r", "\r\n\r\n", {}, -ENODATA},
};

static const struct until_case *until_case;

static int until_body(struct bench *b)
{
    size_t n = 99, left = strlen(until_case->input);
    const void *part = NULL;
    unsigned i = 0;
    int r;

    CHECK_EQ(start_feed(b, until_case->input, left), 0);
    while ((r = ait_stream_read_until(b->stream, until_case->delimiter,
                                      strlen(until_case->delimiter), &part, &n)) > 0) {
        if (!CHECK(until_case->parts[i] != NULL))
            return -EIO;
        CHECK_EQ(n, strlen(until_case->parts[i]));
        CHECK_EQ(memcmp(part, until_case->parts[i], n), 0);
        left -= n;
        i++;
    }
    CHECK(!until_case->parts[i]);
    CHECK_EQ(r, until_case->end);
    CHECK_EQ(ait_stream_available(b->stream), left);
    return 0;
}

static void test_until(void **unused)
{
    for (unsigned i = 0; i < ELEMENTS(until_cases); i++)
        for (size_t chunk = 1; chunk < 8; chunk++) {
            until_case = until_cases + i;
            run_bench(until_body, &(struct bench){.chunk = chunk});
        }
}

static int exact_body(struct bench *b)
{
    char buf[64] = "";
    size_t done = 99;

    CHECK_EQ(start_feed(b, "0123456789abcdefghijklmnopqrstuvwxyzABC", 39), 0);
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 0, &done), 1);
    CHECK_EQ(done, 0);
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 10, &done), 1);
    CHECK_EQ(done, 10);
    CHECK_EQ(memcmp(buf, "0123456789", 10), 0);
    /* Longer than the limit. */
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 26, NULL), 1);
    CHECK_EQ(memcmp(buf, "abcdefghijklmnopqrstuvwxyz", 26), 0);
    /* Cut off: what can be held stays in the stream, */
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 4, &done), -ENODATA);
    CHECK_EQ(done, 0);
    CHECK_EQ(ait_stream_available(b->stream), 3);
    /* what cannot is handed out. */
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 17, &done), -ENODATA);
    CHECK_EQ(done, 3);
    CHECK_EQ(memcmp(buf, "ABC", 3), 0);
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 4, &done), 0);
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 17, &done), 0);
    CHECK_EQ(done, 0);
    return 0;
}

static void test_exact(void **unused)
{
    for (size_t chunk = 1; chunk < 50; chunk += 4)
        run_bench(exact_body,
                  &(struct bench){.chunk = chunk, .options = AIT_STREAM_OPTIONS(.read_limit = 16)});
}

static int read_body(struct bench *b)
{
    char buf[8192];
    const void *p;

    CHECK_EQ(ait_write_all(b->fds[1], "hello world", 11, NULL), 0);
    CHECK_EQ(ait_stream_read(b->stream, buf, 0), 0);
    CHECK_EQ(ait_stream_read(b->stream, buf, 5), 5);
    CHECK_EQ(ait_stream_available(b->stream), 6);
    CHECK_EQ(ait_stream_peek(b->stream, 0, &p), 6);
    CHECK_EQ(ait_stream_peek(b->stream, 6, &p), 6);
    CHECK_EQ(memcmp(p, " world", 6), 0);
    CHECK_EQ(ait_stream_consume(b->stream, 1), 1);
    CHECK_EQ(ait_stream_read(b->stream, buf, sizeof(buf)), 5);
    CHECK_EQ(memcmp(buf, "world", 5), 0);
    /* Past the buffer. */
    CHECK_EQ(ait_write_all(b->fds[1], "direct", 6, NULL), 0);
    CHECK_EQ(ait_stream_read(b->stream, buf, sizeof(buf)), 6);
    CHECK_EQ(ait_stream_available(b->stream), 0);
    CHECK_EQ(shut(b), 0);
    CHECK_EQ(ait_stream_read(b->stream, buf, 1), 0);
    CHECK_EQ(ait_stream_read(b->stream, buf, sizeof(buf)), 0);
    CHECK_EQ(ait_stream_peek(b->stream, 1, &p), 0);
    CHECK_EQ(ait_stream_peek(b->stream, SIZE_MAX, &p), -EMSGSIZE);
    return 0;
}

static void test_read(void **unused)
{
    run_plain(read_body, NULL);
}

/* ---- a cancelled read loses nothing ---------------------------------------------------------- */

static const char poem[] = "the first line\nthe second\n\na fourth that is longer\nend";

struct reading {
    const char *name;
    size_t limit;
    /* Appends what it has got; 1, 0 at the end. */
    int (*read)(struct bench *b, char *all, size_t *n);
};

static int by_line(struct bench *b, char *all, size_t *n)
{
    char *line;
    size_t k;
    int r = ait_stream_read_line(b->stream, &line, &k);

    if (r <= 0)
        return r;
    memcpy(all + *n, line, k);
    *n += k;
    if (*n < sizeof(poem) - 1)
        all[(*n)++] = '\n';
    return r;
}

static int by_delimiter(struct bench *b, char *all, size_t *n)
{
    const void *part;
    size_t k;
    int r = ait_stream_read_until(b->stream, "\n", 1, &part, &k);

    if (r == -ENODATA) {
        k = (size_t)ait_stream_peek(b->stream, 0, &part);
        memcpy(all + *n, part, k);
        *n += k;
        CHECK_EQ(ait_stream_consume(b->stream, k), k);
        return 1;
    }
    if (r <= 0)
        return r;
    memcpy(all + *n, part, k);
    *n += k;
    return r;
}

static int by_size(struct bench *b, char *all, size_t *n)
{
    size_t done = 0;
    int r = ait_stream_read_exact(b->stream, all + *n, sizeof(poem) - 1 - *n, &done);

    *n += done;
    return r > 0 ? (int)done : r;
}

static const struct reading readings[] = {{"line", 0, by_line},
                                          {"until", 0, by_delimiter},
                                          {"exact", 0, by_size},
                                          {"exact, in pieces", 8, by_size}};

static const struct reading *reading;

static int cancelled_body(struct bench *b)
{
    char all[sizeof(poem)] = "";
    size_t n = 0;
    int r = 1;

    b->delay = MS(2);
    CHECK_EQ(start_feed(b, poem, sizeof(poem) - 1), 0);
    while (r != 0) {
        AIT_SCOPE(limit);

        CHECK_EQ(ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, MS(5)), 0);
        r = reading->read(b, all, &n);
        if (r == -ECANCELED)
            b->n++;
        else if (!CHECK(r >= 0) || n == sizeof(poem) - 1)
            break;
        CHECK_EQ(ait_scope_exit(limit, r < 0 ? r : 0), 0);
    }
    CHECK_EQ(n, sizeof(poem) - 1);
    CHECK_EQ(memcmp(all, poem, n), 0);
    /* Otherwise this has shown nothing. */
    CHECK(b->n > 5);
    return 0;
}

static void test_cancelled_read(void **unused)
{
    for (unsigned i = 0; i < ELEMENTS(readings); i++) {
        reading = readings + i;
        run_bench(cancelled_body,
                  &(struct bench){.chunk = 1,
                                  .options = AIT_STREAM_OPTIONS(.read_limit = readings[i].limit)});
    }
}

/* Cancelled at entry, with all of it there: refused, and still there. */
static int refused_body(struct bench *b)
{
    char *line, buf[8];
    const void *p;
    size_t n;
    int r;

    CHECK_EQ(ait_write_all(b->fds[1], "a\nb\nc\nd\n", 8, NULL), 0);
    CHECK_EQ(ait_stream_peek(b->stream, 8, &p), 8);
    {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        CHECK_EQ(ait_scope_cancel(scope), 0);
        CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), -ECANCELED);
        CHECK_EQ(ait_stream_read_until(b->stream, "\n", 1, &p, &n), -ECANCELED);
        CHECK_EQ(ait_stream_read_exact(b->stream, buf, 1, NULL), -ECANCELED);
        CHECK_EQ(ait_stream_read(b->stream, buf, 1), -ECANCELED);
        CHECK_EQ(ait_stream_peek(b->stream, 0, &p), -ECANCELED);
        CHECK_EQ(ait_stream_write(b->stream, "x", 1, &n), -ECANCELED);
        CHECK_EQ(n, 0);
        CHECK_EQ(ait_stream_printf(b->stream, "x"), -ECANCELED);
        CHECK_EQ(ait_stream_flush(b->stream), -ECANCELED);
        r = ait_scope_exit(scope, -ECANCELED);
        CHECK_EQ(r, 0);
    }
    CHECK_EQ(ait_stream_pending(b->stream), 0);
    CHECK_EQ(ait_stream_read_exact(b->stream, buf, 8, NULL), 1);
    CHECK_EQ(memcmp(buf, "a\nb\nc\nd\n", 8), 0);
    return 0;
}

static void test_refused(void **unused)
{
    run_plain(refused_body, NULL);
}

/* ---- who may not ----------------------------------------------------------------------------- */

static int read_for_ever(void *userdata)
{
    struct bench *b = userdata;
    char *line;

    return ait_stream_read_line(b->stream, &line, NULL);
}

static int busy_body(struct bench *b)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *reader = NULL;
    char *line, buf[1];
    const void *p;
    int result = 0;

    CHECK_EQ(ait_task_spawn(&reader, read_for_ever, b, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), -EBUSY);
    CHECK_EQ(ait_stream_read(b->stream, buf, 1), -EBUSY);
    CHECK_EQ(ait_stream_peek(b->stream, 1, &p), -EBUSY);
    CHECK_EQ(ait_stream_consume(b->stream, 1), -EBUSY);
    /* The other direction is free. */
    CHECK_EQ(ait_stream_write(b->stream, "x", 1, NULL), 0);
    CHECK_EQ(ait_stream_flush(b->stream), 0);
    CHECK_EQ(ait_cancel_and_wait(reader, &result), 0);
    CHECK_EQ(ait_write_all(b->fds[1], "y\n", 2, NULL), 0);
    CHECK_EQ(ait_stream_read_line(b->stream, &line, NULL), 1);
    return 0;
}

static void test_busy(void **unused)
{
    run_plain(busy_body, NULL);
}
static int misuse_body(struct bench *b)
{
    ait_stream_options small = {.size = 4};
    ait_stream *s = NULL;
    char *line, buf[1];
    const void *p;
    size_t n;

    CHECK_EQ(ait_stream_open(NULL, 0, NULL), -EINVAL);
    CHECK_EQ(ait_stream_open(&s, -1, NULL), -EBADF);
    CHECK_EQ(ait_stream_open(&s, 0, &small), -EINVAL);
    CHECK_EQ(ait_stream_open(&s, 0, AIT_STREAM_OPTIONS(.flags = 1u << 31)), -EINVAL);
    CHECK_EQ(ait_stream_open(&s, 0, AIT_STREAM_OPTIONS(.read_limit = SIZE_MAX)), -EINVAL);
    CHECK(!s);
    CHECK(!ait_stream_close(NULL));
    CHECK_EQ(ait_stream_fd(NULL), -EINVAL);
    CHECK_EQ(ait_stream_fd(b->stream), BENCH_FD(b));
    CHECK_EQ(ait_stream_available(NULL), -EINVAL);
    CHECK_EQ(ait_stream_pending(NULL), -EINVAL);
    CHECK_EQ(ait_stream_consume(NULL, 1), -EINVAL);
    CHECK_EQ(ait_stream_read_line(NULL, &line, NULL), -EINVAL);
    CHECK_EQ(ait_stream_read_line(b->stream, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_stream_read_until(b->stream, "", 0, &p, &n), -EINVAL);
    CHECK_EQ(ait_stream_read_until(b->stream, NULL, 1, &p, &n), -EINVAL);
    CHECK_EQ(ait_stream_read_exact(b->stream, NULL, 1, NULL), -EINVAL);
    CHECK_EQ(ait_stream_read(NULL, buf, 1), -EINVAL);
    CHECK_EQ(ait_stream_read(b->stream, NULL, 1), -EINVAL);
    CHECK_EQ(ait_stream_peek(b->stream, 1, NULL), -EINVAL);
    CHECK_EQ(ait_stream_write(b->stream, NULL, 1, NULL), -EINVAL);
    CHECK_EQ(ait_stream_write(NULL, "", 1, NULL), -EINVAL);
    CHECK_EQ(ait_stream_flush(NULL), -EINVAL);
    return 0;
}

static void test_misuse(void **unused)
{
    ait_stream *s;

    assert_int_equal(ait_stream_open(&s, 0, NULL), -EPERM);
    run_plain(misuse_body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_edges),   cmocka_unit_test(test_growing),
        cmocka_unit_test(test_until),   cmocka_unit_test(test_exact),
        cmocka_unit_test(test_read),    cmocka_unit_test(test_cancelled_read),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_busy),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
