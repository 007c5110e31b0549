/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writing to a stream: order, turns, cancellation; and closing one that is in use. */

#include "stream-bench.h"

static int expect(struct bench *b, const char *want)
{
    char buf[256];
    size_t n = 0;

    while (n < strlen(want)) {
        ssize_t k = ait_read(b->fds[1], buf + n, strlen(want) - n);

        if (!CHECK(k > 0))
            return -EIO;
        n += (size_t)k;
    }
    return CHECK_EQ(memcmp(buf, want, n), 0) ? 0 : -EIO;
}

static bool has_input(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static int write_body(struct bench *b)
{
    size_t done = 99;

    /* 16 bytes of buffer. */
    CHECK_EQ(ait_stream_write(b->stream, "small", 5, &done), 0);
    CHECK_EQ(done, 5);
    CHECK_EQ(ait_stream_printf(b->stream, "-%d-%s", 42, "is"), 0);
    CHECK_EQ(ait_stream_pending(b->stream), 11);
    CHECK(!has_input(b->fds[1]));
    CHECK_EQ(ait_stream_flush(b->stream), 0);
    CHECK_EQ(ait_stream_pending(b->stream), 0);
    CHECK_EQ(expect(b, "small-42-is"), 0);
    /* No room behind the first: that one leaves. */
    CHECK_EQ(ait_stream_write(b->stream, "0123456789", 10, NULL), 0);
    CHECK_EQ(ait_stream_write(b->stream, "abcdefghij", 10, NULL), 0);
    CHECK_EQ(ait_stream_pending(b->stream), 10);
    CHECK_EQ(expect(b, "0123456789"), 0);
    CHECK(!has_input(b->fds[1]));
    /* More than there is room for at all goes at once, behind what is there. */
    CHECK_EQ(ait_stream_write(b->stream, "larger than sixteen bytes", 25, &done), 0);
    CHECK_EQ(done, 25);
    CHECK_EQ(expect(b, "abcdefghijlarger than sixteen bytes"), 0);
    CHECK_EQ(ait_stream_pending(b->stream), 0);
    CHECK_EQ(ait_stream_write(b->stream, "x", 1, NULL), 0);
    CHECK_EQ(ait_stream_printf(b->stream, "%s", "a text that does not fit either"), 0);
    CHECK_EQ(ait_stream_printf(b->stream, "%s", ""), 0);
    CHECK_EQ(ait_stream_write(b->stream, NULL, 0, NULL), 0);
    CHECK_EQ(ait_stream_flush(b->stream), 0);
    CHECK_EQ(expect(b, "xa text that does not fit either"), 0);
    CHECK_EQ(shut(b), 0);
    CHECK_EQ(ait_stream_write(b->stream, "kept", 4, NULL), 0);
    CHECK_EQ(ait_stream_flush(b->stream), -EPIPE);
    CHECK_EQ(ait_stream_flush(b->stream), -EPIPE);
    CHECK_EQ(ait_stream_pending(b->stream), 4);
    CHECK_EQ(ait_stream_write(b->stream, "larger than sixteen bytes", 25, &done), -EPIPE);
    CHECK_EQ(done, 0);
    return 0;
}

static void test_write(void **unused)
{
    run_plain(write_body, AIT_STREAM_OPTIONS(.write_size = 16));
}

#define WRITERS 5
#define RECORDS 60

/* A record: its length, its writer, and that many letters; some larger than the buffer. */
static int write_records(void *userdata)
{
    struct bench *b = userdata;
    unsigned id = b->n++;
    char record[3000];

    for (unsigned i = 0; i < RECORDS; i++) {
        unsigned n = 4 + (i * 977 + id * 331) % (sizeof(record) - 4);
        int r;

        memset(record, (int)('a' + id), n);
        record[0] = (char)(n & 127);
        record[1] = (char)(n >> 7);
        record[2] = (char)id;
        record[3] = (char)i;
        r = ait_stream_write(b->stream, record, n, NULL);
        if (r >= 0 && i % 7 == 0)
            r = ait_stream_flush(b->stream);
        if (r < 0)
            return r;
    }
    return ait_stream_flush(b->stream);
}

static int read_records(struct bench *b)
{
    AIT_CLEANUP(ait_stream_closep) ait_stream *peer = NULL;
    unsigned next[WRITERS] = {0}, last = WRITERS, n_alternations = 0;
    char record[3000], head[4];

    CHECK_EQ(ait_stream_open(&peer, b->fds[1], NULL), 0);
    for (unsigned i = 0; i < WRITERS * RECORDS; i++) {
        size_t n;

        if (!CHECK_EQ(ait_stream_read_exact(peer, head, 4, NULL), 1))
            return -EIO;
        n = (size_t)head[0] | (size_t)head[1] << 7;
        if (!CHECK_EQ(ait_stream_read_exact(peer, record, n - 4, NULL), 1))
            return -EIO;
        CHECK_EQ(head[3], next[(unsigned)head[2]]++);
        for (size_t k = 0; k + 4 < n; k++)
            if (record[k] != 'a' + head[2])
                return CHECK(!"records mixed") ? 0 : -EIO;
        n_alternations += last != (unsigned)head[2];
        last = (unsigned)head[2];
    }
    /* In turn, not one after the other. */
    CHECK(n_alternations > WRITERS * RECORDS / 2);
    return 0;
}

static int records_body(struct bench *b)
{
    int small = 4096;

    CHECK_EQ(setsockopt(b->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    for (unsigned i = 0; i < WRITERS; i++)
        CHECK_EQ(ait_task_spawn(NULL, write_records, b, NULL), 0);
    return read_records(b);
}

static void test_writers_in_turn(void **unused)
{
    run_plain(records_body, AIT_STREAM_OPTIONS(.write_size = 1024));
}

static void fill_socket(int fd)
{
    char zeros[4096] = "";

    while (send(fd, zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
        continue;
}

static size_t drain_socket(int fd)
{
    char buf[4096];
    size_t total = 0;
    ssize_t k;

    while ((k = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
        for (ssize_t i = 0; i < k; i++)
            total += buf[i] != '\0';
    return total;
}

static int write_one(void *userdata)
{
    struct bench *b = userdata;
    size_t done = 99;
    int r = ait_stream_write(b->stream, "12345678", 8, &done);

    CHECK_EQ(done, r < 0 ? 0 : 8);
    b->n += r >= 0;
    return r;
}

/* One is stuck in the flush, others wait for their turn; the one cancelled leaves no trace, and the
 * rest go on. */
static int cancelled_write_body(struct bench *b)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *flusher = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *second = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *third = NULL;
    int result = 99;

    fill_socket(b->fds[0]);
    CHECK_EQ(ait_stream_write(b->stream, "abcdefgh", 8, NULL), 0);
    CHECK_EQ(ait_task_spawn(&flusher, write_one, b, NULL), 0);
    CHECK_EQ(ait_task_spawn(&second, write_one, b, NULL), 0);
    CHECK_EQ(ait_task_spawn(&third, write_one, b, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_cancel_and_wait(second, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(ait_cancel_and_wait(flusher, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    /* The third has its turn now, and waits for room itself. */
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_task_is_done(third), 0);
    CHECK_EQ(ait_stream_pending(b->stream), 8);
    CHECK_EQ(drain_socket(b->fds[1]), 0);
    CHECK_EQ(ait_task_wait(third, &result), 0);
    CHECK_EQ(result, 0);
    CHECK_EQ(b->n, 1);
    CHECK_EQ(ait_stream_flush(b->stream), 0);
    CHECK_EQ(drain_socket(b->fds[1]), 16);
    return 0;
}

static void test_cancelled_write(void **unused)
{
    run_plain(cancelled_write_body, AIT_STREAM_OPTIONS(.write_size = 8));
}

#define PENDING 7000
#define LARGE   20000

static int write_behind(void *userdata)
{
    struct bench *b = userdata;
    char *text = malloc(LARGE);
    int r;

    for (size_t i = 0; i < PENDING; i++)
        text[i] = (char)('a' + i % 26);
    r = ait_stream_write(b->stream, text, PENDING, NULL);
    for (size_t i = 0; i < LARGE; i++)
        text[i] = (char)('a' + (PENDING + i) % 26);
    if (r >= 0)
        r = ait_stream_write(b->stream, text, LARGE, NULL);
    free(text);
    return r;
}

/* The kernel takes less at once than what waits in the buffer. */
static int behind_body(struct bench *b)
{
    int small = 1;
    size_t n = 0;
    ssize_t k;
    char buf[500];

    CHECK_EQ(setsockopt(b->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    CHECK_EQ(ait_task_spawn(NULL, write_behind, b, NULL), 0);
    for (; n < PENDING + LARGE; n += (size_t)k) {
        k = ait_read(b->fds[1], buf, sizeof(buf));
        if (!CHECK(k > 0))
            return -EIO;
        for (ssize_t i = 0; i < k; i++)
            if (buf[i] != (char)('a' + (n + (size_t)i) % 26))
                return CHECK(!"bytes out of order") ? 0 : -EIO;
    }
    CHECK_EQ(n, PENDING + LARGE);
    return 0;
}

static void test_write_behind(void **unused)
{
    run_plain(behind_body, NULL);
}

/* ---- closing --------------------------------------------------------------------------------- */

static int read_for_ever(void *userdata)
{
    struct bench *b = userdata;
    char *line;

    return ait_stream_read_line(b->stream, &line, NULL);
}

/* Closed under a reader, a writer in the kernel's hands and one in the queue. */
static int closed_body(struct bench *b)
{
    ait_task_fn fns[] = {read_for_ever, write_one, write_one};
    ait_task *tasks[3];
    int result = 0;

    fill_socket(b->fds[0]);
    CHECK_EQ(ait_stream_write(b->stream, "abcdefgh", 8, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ait_scope_spawn(ait_loop_root(ait_loop_current()), &tasks[i], fns[i], b, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    b->stream = ait_stream_close(b->stream);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ait_task_wait(tasks[i], &result), 0);
        CHECK_EQ(result, -EBADF);
        ait_task_unref(tasks[i]);
    }
    return 0;
}

static int closed_owned_body(struct bench *b)
{
    CHECK_EQ(closed_body(b), 0);
    CHECK_EQ(close(b->fds[0]), -1);
    CHECK_EQ(errno, EBADF);
    b->fds[0] = -1;
    return 0;
}

static void test_closed(void **unused)
{
    run_plain(closed_body, AIT_STREAM_OPTIONS(.write_size = 8));
    run_plain(closed_owned_body, AIT_STREAM_OPTIONS(.write_size = 8, .flags = AIT_STREAM_OWN_FD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),        cmocka_unit_test(test_writers_in_turn),
        cmocka_unit_test(test_write_behind), cmocka_unit_test(test_cancelled_write),
        cmocka_unit_test(test_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
