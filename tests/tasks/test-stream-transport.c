/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a stream asks of its transport: which callback is called when, with what, and what becomes
 * of its answers. That reading and writing are the same over a transport is what test-stream and
 * test-stream-write are built for a second time.
 */

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* Answers from a list, and writes down what it was asked. */
struct script {
    ssize_t answers[8];
    unsigned n_answers, next;
    bool sleeps; /* before each answer */
    char log[256];
    ait_stream *stream; /* closed by the first call, if not NULL */
};

static void note(struct script *s, const char *what, size_t n)
{
    size_t used = strlen(s->log);

    (void)snprintf(s->log + used, sizeof(s->log) - used, "%s%zu ", what, n);
}

static ssize_t answer(struct script *s)
{
    ssize_t k = s->next < s->n_answers ? s->answers[s->next] : -EPIPE;
    int r = s->sleeps ? ait_sleep(MS(10)) : 0;

    s->next++;
    if (s->stream)
        s->stream = ait_stream_close(s->stream);
    return r < 0 ? r : k;
}

static ssize_t script_read(void *userdata, void *buf, size_t n)
{
    struct script *s = userdata;
    ssize_t k;

    note(s, "r", n);
    k = answer(s);
    if (k > 0)
        memset(buf, 'x', (size_t)k < n ? (size_t)k : n);
    return k;
}

static ssize_t script_write(void *userdata, const void *buf, size_t n)
{
    struct script *s = userdata;

    CHECK(buf != NULL);
    note(s, "w", n);
    return answer(s);
}

static int script_shutdown(void *userdata)
{
    struct script *s = userdata;

    note(s, "s", 0);
    return (int)answer(s);
}

static void script_close(void *userdata)
{
    note(userdata, "c", 0);
}

static void script_destroy(void *userdata)
{
    note(userdata, "d", 0);
}

static const ait_stream_transport scripted = {
    .size = sizeof(scripted),
    .read = script_read,
    .write = script_write,
    .shutdown = script_shutdown,
    .close = script_close,
    .destroy = script_destroy,
};

static const struct row {
    const char *name;
    ssize_t answers[8];
    unsigned n_answers;
    enum { READ, READ_EXACT, WRITE, WRITE_LARGE, PRINT, FLUSH, SHUTDOWN } call;
    ssize_t result;
    size_t pending; /* afterwards */
    const char *log;
} rows[] = {
    {"read", {3}, 1, READ, 3, 0, "r4096 "},
    {"end", {0}, 1, READ, 0, 0, "r4096 "},
    {"read error", {-EPROTO}, 1, READ, -EPROTO, 0, "r4096 "},
    {"too much read", {5000}, 1, READ, -EIO, 0, "r4096 "},
    {"several reads", {3, 2, 3}, 3, READ_EXACT, 1, 0, "r4096 r4093 r4091 "},
    {"end in a record", {3, 0}, 2, READ_EXACT, -ENODATA, 0, "r4096 r4093 "},
    {"write", {}, 0, WRITE, 0, 8, ""},
    {"write and flush", {8}, 1, FLUSH, 0, 0, "w8 "},
    {"in parts", {5, 2, 1}, 3, FLUSH, 0, 0, "w8 w3 w1 "},
    {"error in parts", {5, -ECONNRESET}, 2, FLUSH, -ECONNRESET, 3, "w8 w3 "},
    {"nothing written", {0}, 1, FLUSH, -EIO, 8, "w8 "},
    {"too much written", {9}, 1, FLUSH, -EIO, 8, "w8 "},
    {"through", {100}, 1, WRITE_LARGE, 0, 0, "w100 "},
    {"through, in parts", {60, 30, 10}, 3, WRITE_LARGE, 0, 0, "w100 w40 w10 "},
    {"print more than fits", {100}, 1, PRINT, 0, 100, ""},
    {"shut down", {8, 0}, 2, SHUTDOWN, 0, 0, "w8 s0 "},
    {"shut down unflushed", {-EPIPE}, 1, SHUTDOWN, -EPIPE, 8, "w8 "},
    {"shutdown fails", {8, -EPROTO}, 2, SHUTDOWN, -EPROTO, 0, "w8 s0 "},
    {"shutdown says more", {8, 7}, 2, SHUTDOWN, 0, 0, "w8 s0 "},
};

static ssize_t call(const struct row *row, ait_stream *stream)
{
    char large[100] = "", buf[16];

    switch (row->call) {
    case READ:
        return ait_stream_read(stream, buf, sizeof(buf));
    case READ_EXACT:
        return ait_stream_read_exact(stream, buf, 8, NULL);
    case WRITE_LARGE:
        return ait_stream_write(stream, large, sizeof(large), NULL);
    case PRINT:
        return ait_stream_printf(stream, "%100d", 7);
    default:
        break;
    }
    CHECK_EQ(ait_stream_write(stream, "12345678", 8, NULL), 0);
    return row->call == FLUSH      ? ait_stream_flush(stream)
           : row->call == SHUTDOWN ? ait_stream_shutdown(stream)
                                   : 0;
}

static int rows_main(void *unused)
{
    for (unsigned i = 0; i < ELEMENTS(rows); i++)
        for (int sleeps = 0; sleeps < 2; sleeps++) {
            struct script s = {.n_answers = rows[i].n_answers, .sleeps = sleeps};
            ait_stream *stream = NULL;
            char log[64];

            memcpy(s.answers, rows[i].answers, sizeof(s.answers));
            CHECK_EQ(ait_stream_open_transport(&stream, &scripted, &s,
                                               AIT_STREAM_OPTIONS(.write_size = 16)),
                     0);
            if (!CHECK_EQ(call(rows + i, stream), rows[i].result) ||
                !CHECK_EQ(ait_stream_pending(stream), rows[i].pending) ||
                !CHECK_EQ(strcmp(s.log, rows[i].log), 0))
                print_message("%s: %s\n", rows[i].name, s.log);
            CHECK(!ait_stream_close(stream));
            (void)snprintf(log, sizeof(log), "%sc0 d0 ", rows[i].log);
            CHECK_EQ(strcmp(s.log, log), 0);
        }
    return 0;
}

static void test_rows(void **unused)
{
    assert_int_equal(run_virtual(rows_main, NULL), 0);
}

/* What is buffered goes first, in a call of its own; nothing is sent twice. */
static int order_main(void *unused)
{
    struct script s = {.answers = {4, 4, 50, 50}, .n_answers = 4};
    ait_stream *stream = NULL;
    char large[100] = "";

    CHECK_EQ(
        ait_stream_open_transport(&stream, &scripted, &s, AIT_STREAM_OPTIONS(.write_size = 16)), 0);
    CHECK_EQ(ait_stream_write(stream, "12345678", 8, NULL), 0);
    CHECK_EQ(ait_stream_write(stream, large, sizeof(large), NULL), 0);
    CHECK_EQ(strcmp(s.log, "w8 w4 w100 w50 "), 0);
    ait_stream_close(stream);
    return 0;
}

static void test_order(void **unused)
{
    assert_int_equal(run_virtual(order_main, NULL), 0);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Closed by the callback itself: its answer does not count, and it is destroyed after the call. */
static int closed_inside_main(void *unused)
{
    char buf[8];

    for (int write = 0; write < 2; write++) {
        struct script s = {.answers = {3}, .n_answers = 1};
        ait_stream *stream = NULL;

        CHECK_EQ(
            ait_stream_open_transport(&stream, &scripted, &s, AIT_STREAM_OPTIONS(.write_size = 16)),
            0);
        s.stream = stream;
        if (write) {
            CHECK_EQ(ait_stream_write(stream, "abc", 3, NULL), 0);
            CHECK_EQ(ait_stream_flush(stream), -EBADF);
        } else {
            CHECK_EQ(ait_stream_read(stream, buf, sizeof(buf)), -EBADF);
        }
        CHECK_EQ(strcmp(s.log, write ? "w3 c0 d0 " : "r4096 c0 d0 "), 0);
    }
    return 0;
}

static void test_closed_inside(void **unused)
{
    assert_int_equal(run_virtual(closed_inside_main, NULL), 0);
}

/* Another task closes it while one waits in the transport, which close has to wake. */
struct waiting {
    int fds[2];
    ait_stream *stream;
    int result;
    unsigned n_destroyed;
};

static ssize_t waiting_read(void *userdata, void *buf, size_t n)
{
    return ait_read(((struct waiting *)userdata)->fds[0], buf, n);
}

static ssize_t waiting_write(void *userdata, const void *buf, size_t n)
{
    return (ssize_t)n;
}

static void waiting_close(void *userdata)
{
    struct waiting *w = userdata;

    (void)ait_close(w->fds[0]);
    CHECK_EQ(w->n_destroyed, 0);
}

static void waiting_destroy(void *userdata)
{
    ((struct waiting *)userdata)->n_destroyed++;
}

static int reader_main(void *userdata)
{
    struct waiting *w = userdata;
    char *line;

    w->result = ait_stream_read_line(w->stream, &line, NULL);
    CHECK_EQ(w->n_destroyed, 1);
    return 0;
}

static int closed_outside_main(void *unused)
{
    struct waiting w = {};

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w.fds), 0);
    CHECK_EQ(ait_stream_open_transport(
                 &w.stream,
                 AIT_STREAM_TRANSPORT(.read = waiting_read, .write = waiting_write,
                                      .close = waiting_close, .destroy = waiting_destroy),
                 &w, NULL),
             0);
    CHECK_EQ(ait_task_spawn(NULL, reader_main, &w, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_stream_shutdown(w.stream), -EOPNOTSUPP);
    w.stream = ait_stream_close(w.stream);
    CHECK_EQ(w.n_destroyed, 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(w.result, -EBADF);
    (void)ait_close(w.fds[1]);
    return 0;
}

static void test_closed_outside(void **unused)
{
    assert_int_equal(run_virtual(closed_outside_main, NULL), 0);
}

/* ---- shutting down an fd --------------------------------------------------------------------- */

static int shutdown_main(void *unused)
{
    ait_stream *stream = NULL;
    char buf[8];
    int fds[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(ait_stream_open(&stream, fds[0], NULL), 0);
    CHECK_EQ(ait_stream_write(stream, "abc", 3, NULL), 0);
    CHECK_EQ(ait_stream_shutdown(stream), 0);
    CHECK_EQ(ait_read(fds[1], buf, sizeof(buf)), 3);
    CHECK_EQ(ait_read(fds[1], buf, sizeof(buf)), 0);
    CHECK_EQ(ait_write_all(fds[1], "de", 2, NULL), 0);
    CHECK_EQ(ait_stream_read(stream, buf, sizeof(buf)), 2);
    CHECK_EQ(ait_stream_write(stream, "f", 1, NULL), 0);
    CHECK_EQ(ait_stream_flush(stream), -EPIPE);
    ait_stream_close(stream);
    (void)ait_close(fds[0]);
    (void)ait_close(fds[1]);
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(ait_stream_open(&stream, fds[1], NULL), 0);
    CHECK_EQ(ait_stream_shutdown(stream), -EOPNOTSUPP);
    ait_stream_close(stream);
    (void)ait_close(fds[0]);
    (void)ait_close(fds[1]);
    return 0;
}

static void test_shutdown(void **unused)
{
    assert_int_equal(run_virtual(shutdown_main, NULL), 0);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int arguments_main(void *unused)
{
    struct {
        ait_stream_transport transport;
        void *more;
    } larger = {.transport = scripted, .more = &larger};
    struct script s = {};
    ait_stream *stream = NULL;

    larger.transport.size = sizeof(larger);
    CHECK_EQ(ait_stream_open_transport(NULL, &scripted, &s, NULL), -EINVAL);
    CHECK_EQ(ait_stream_open_transport(&stream, NULL, &s, NULL), -EINVAL);
    CHECK_EQ(
        ait_stream_open_transport(&stream, AIT_STREAM_TRANSPORT(.read = script_read), &s, NULL),
        -EINVAL);
    CHECK_EQ(
        ait_stream_open_transport(&stream, AIT_STREAM_TRANSPORT(.write = script_write), &s, NULL),
        -EINVAL);
    CHECK_EQ(ait_stream_open_transport(&stream, &larger.transport, &s, NULL), -E2BIG);
    CHECK_EQ(ait_stream_open_transport(&stream, &scripted, &s,
                                       AIT_STREAM_OPTIONS(.flags = AIT_STREAM_OWN_FD)),
             -EINVAL);
    CHECK_EQ(ait_stream_shutdown(NULL), -EINVAL);
    CHECK(!stream);
    CHECK_EQ(s.log[0], 0);
    return 0;
}

static void test_arguments(void **unused)
{
    ait_stream *stream = NULL;

    assert_int_equal(ait_stream_open_transport(&stream, &scripted, NULL, NULL), -EPERM);
    assert_int_equal(run_virtual(arguments_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_order),
        cmocka_unit_test(test_closed_inside), cmocka_unit_test(test_closed_outside),
        cmocka_unit_test(test_shutdown),      cmocka_unit_test(test_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
