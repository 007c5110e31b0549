/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Structs that can grow, all of them: options of an older caller, which are shorter, and of a newer
 * one, which say more than this library knows. Each lies at the end of its own memory, so that a
 * sanitizer sees what is read or written beyond it.
 */

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <aiotools-sd/sandbox.h>

#include "check.h"

/* A member that is added begins where the struct ends now: not in padding, of which nobody knows
 * what it holds. */
#define NO_PADDING(type, last)                                                                     \
    _Static_assert(offsetof(type, last) + sizeof(((type *)NULL)->last) == sizeof(type), #type)

NO_PADDING(ait_bus_serve_options, stack_size);
NO_PADDING(ait_cache_info, n_evicted);
NO_PADDING(ait_cache_options, error_age);
NO_PADDING(ait_connect_options, userdata);
NO_PADDING(ait_error_info, name);
NO_PADDING(ait_fork_options, stop_usec);
NO_PADDING(ait_gather_options, userdata);
NO_PADDING(ait_local, destroy);
NO_PADDING(ait_offload_options, destroy);
NO_PADDING(ait_policy_rule, compares);
NO_PADDING(ait_process_result, n_err);
NO_PADDING(ait_sandbox_event, repeats);
NO_PADDING(ait_sandbox_options, protect);
NO_PADDING(ait_sandbox_problem, message);
NO_PADDING(ait_serve_counters, draining);
NO_PADDING(ait_serve_options, stack_size);
NO_PADDING(ait_spawn_options, max_output);
NO_PADDING(ait_stack_use, resident);
NO_PADDING(ait_stream_options, write_size);
NO_PADDING(ait_stream_transport, destroy);
NO_PADDING(ait_task_options, destroy);
NO_PADDING(ait_tick, missed);

#define BEYOND 24 /* bytes of members that are not known yet */

/* ---- options that are read ------------------------------------------------------------------- */

static int nothing(void *userdata)
{
    return 0;
}

static int load_nothing(const void *key, void **ret_value, void *userdata)
{
    *ret_value = NULL;
    return 0;
}

static int spawn_task(const void *options)
{
    return ait_task_spawn(NULL, nothing, NULL, options);
}

static int start_task(const void *options)
{
    int r = ait_scope_start(ait_loop_root(ait_loop_current()), NULL, nothing, NULL, options);

    return r == -EPROTO ? 0 : r; /* it ends without having started */
}

static int spawn_in_set(const void *options)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
    int r = ait_taskset_new(&set, NULL, 0);

    return r < 0 ? r : ait_taskset_spawn(set, NULL, nothing, NULL, options);
}

static int gather_with_task_options(const void *options)
{
    return ait_gather(&(ait_call){nothing, NULL, options}, 1, NULL, NULL);
}

static int add_with_task_options(const void *options)
{
    AIT_COMPLETION(c);
    int r = ait_completion_open(&c, NULL, 0, NULL);

    return r < 0 ? r : ait_completion_add(c, &(ait_call){nothing, NULL, options});
}

static int gather(const void *options)
{
    return ait_gather(&(ait_call){nothing, NULL, NULL}, 1, options, NULL);
}

static int race(const void *options)
{
    return ait_race(&(ait_call){nothing, NULL, NULL}, 1, options, NULL, NULL);
}

static int open_completion(const void *options)
{
    AIT_COMPLETION(c);

    return ait_completion_open(&c, &(ait_call){nothing, NULL, NULL}, 1, options);
}

static int new_cache(const void *options)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = NULL;

    return ait_cache_new(&cache, options);
}

static int serve(const void *options)
{
    static const sd_bus_vtable vtable[] = {SD_BUS_VTABLE_START(0), SD_BUS_VTABLE_END};
    sd_bus *bus = NULL;
    int r;

    CHECK_EQ(sd_bus_new(&bus), 0);
    r = ait_bus_serve(bus, "/", "org.example", vtable, NULL, options);
    sd_bus_unref(bus);
    return r == -EUNATCH ? 0 : r; /* the bus is at fault, not the options */
}

static int offload(const void *options)
{
    return ait_offload_full(NULL, nothing, NULL, options);
}

static int open_stream(const void *options)
{
    ait_stream *stream = NULL;
    int r = ait_stream_open(&stream, STDIN_FILENO, options);

    ait_stream_close(stream);
    return r;
}

static ssize_t read_nothing(void *userdata, void *buf, size_t n)
{
    return 0;
}

static ssize_t write_all(void *userdata, const void *buf, size_t n)
{
    return (ssize_t)n;
}

static int open_transport(const void *transport)
{
    ait_stream *stream = NULL;
    int r = ait_stream_open_transport(&stream, transport, NULL, NULL);

    ait_stream_close(stream);
    return r;
}

static int spawn_process(const void *options)
{
    AIT_CHILD(child);
    int r = ait_spawn(&child, AIT_ARGV("true"), options);

    return r < 0 ? r : ait_child_supervise(child, NULL);
}

static int run_process(const void *options)
{
    ait_process_result result = {.size = sizeof(result)};
    int r = ait_run_process(&result, AIT_ARGV("true"), NULL, 0, options);

    ait_process_result_free(&result);
    return r;
}

static int fork_process(const void *options)
{
    AIT_CHILD(child);
    int r = ait_fork(&child, nothing, NULL, options);

    if (r == -ENOSYS) /* Valgrind knows no pidfd_open(); the options were taken */
        return 0;
    return r < 0 ? r : ait_child_supervise(child, NULL);
}

static int connect_nowhere(const void *options)
{
    int fd, r = ait_connect_addresses(&fd, NULL, options);

    return r == -ENOENT ? 0 : r;
}

static int connect_host(const void *options)
{
    int fd, r = ait_connect_host(&fd, "127.0.0.1", "1", options);

    if (r >= 0)
        ait_close(fd);
    return r == -ECONNREFUSED ? 0 : r;
}

static int serve_none(int fd, void *userdata)
{
    return 0;
}

/* For a moment; the options are taken if the end of that moment is what ends it. */
static int serve_sockets(const void *options)
{
    AIT_SCOPE(moment);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    CHECK_EQ(listen(fd, 1), 0);
    CHECK_EQ(ait_scope_enter(&moment, 0), 0);
    CHECK_EQ(ait_scope_cancel_after(moment, 1), 0);
    r = ait_scope_exit(moment, ait_serve_listeners(&fd, 1, serve_none, NULL, options));
    ait_close(fd);
    return r;
}

static int new_sandbox(const void *options)
{
    AIT_CLEANUP(ait_sandbox_unrefp) ait_sandbox *sandbox = NULL;

    return ait_sandbox_new(&sandbox, options, NULL);
}

#define PLAIN(type, call)                                                                          \
    {                                                                                              \
#call, sizeof(type), sizeof(size_t), NULL, call                                            \
    }

static const ait_cache_options loads = {.load = load_nothing};
static const ait_stream_transport reads = {.read = read_nothing, .write = write_all};

static const struct row {
    const char *name;
    size_t now;
    size_t enough;     /* from this size on it says what has to be said */
    const void *model; /* NULL: all zero */
    int (*call)(const void *options);
} rows[] = {
    PLAIN(ait_task_options, spawn_task),
    PLAIN(ait_task_options, start_task),
    PLAIN(ait_task_options, spawn_in_set),
    PLAIN(ait_task_options, gather_with_task_options),
    PLAIN(ait_task_options, add_with_task_options),
    PLAIN(ait_gather_options, gather),
    PLAIN(ait_gather_options, race),
    PLAIN(ait_gather_options, open_completion),
    {"new_cache", sizeof(ait_cache_options), offsetof(ait_cache_options, destroy), &loads,
     new_cache},
    PLAIN(ait_bus_serve_options, serve),
    PLAIN(ait_offload_options, offload),
    PLAIN(ait_stream_options, open_stream),
    {"open_transport", sizeof(ait_stream_transport), offsetof(ait_stream_transport, shutdown),
     &reads, open_transport},
    PLAIN(ait_spawn_options, spawn_process),
    PLAIN(ait_spawn_options, run_process),
    PLAIN(ait_fork_options, fork_process),
    PLAIN(ait_connect_options, connect_nowhere),
    PLAIN(ait_connect_options, connect_host),
    PLAIN(ait_serve_options, serve_sockets),
    PLAIN(ait_sandbox_options, new_sandbox),
};

/* Calls with options that say they have that size, and have; the byte at dirt, where it is not 0,
 * is set. */
static int call_sized(const struct row *row, size_t size, size_t dirt)
{
    size_t room = size < sizeof(size) ? sizeof(size) : size;
    unsigned char *options = calloc(1, room);
    int r;

    if (row->model)
        memcpy(options, row->model, room < row->now ? room : row->now);
    memcpy(options, &size, sizeof(size));
    if (dirt > 0)
        options[dirt] = 1;
    r = row->call(options);
    free(options);
    return r;
}

static int read_main(void *userdata)
{
    const struct row *row = userdata;

    CHECK_EQ(call_sized(row, 0, 0), -EINVAL);
    for (size_t size = 1; size < row->now + BEYOND; size++)
        if (size % sizeof(size) != 0) /* no struct ends there */
            CHECK_EQ(call_sized(row, size, 0), -EINVAL);
    for (size_t size = sizeof(size); size < row->now; size += sizeof(size))
        CHECK_EQ(call_sized(row, size, 0), size < row->enough ? -EINVAL : 0);
    CHECK_EQ(call_sized(row, row->now, 0), 0);
    CHECK_EQ(call_sized(row, row->now + sizeof(size_t), 0), 0);
    CHECK_EQ(call_sized(row, row->now + BEYOND, 0), 0);
    for (size_t dirt = row->now; dirt < row->now + BEYOND; dirt++)
        CHECK_EQ(call_sized(row, row->now + BEYOND, dirt), -E2BIG);
    /* Nobody has set that. */
    CHECK_EQ(call_sized(row, 1 << 20, 0), -E2BIG);
    return ait_yield();
}

static void test_read(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(run_real(read_main, (void *)(rows + i)), 0);
        check_assert();
    }
}

/* ---- structs that are filled ----------------------------------------------------------------- */

#define GUARD 16
#define STALE 0xa5

/* What only a part of was asked for has to be the first bytes of the whole. */
static int cache_info(void *to)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = NULL;
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *entry = NULL;

    CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load_nothing, .max_entries = 1)), 0);
    for (int i = 0; i < 3; i++) {
        entry = ait_cache_entry_unref(entry);
        CHECK(ait_cache_get(cache, i == 1 ? "a" : "b", &entry) >= 0);
    }
    return ait_cache_get_info(cache, to);
}

static int serve_counters(void *to)
{
    return serve_sockets(AIT_SERVE_OPTIONS(.counters = to));
}

static int problem(void *to)
{
    ait_policy *policy = NULL;

    return ait_policy_from_text(&policy, "text", "policy 1\nnothing\n", 17, to) == -EINVAL ? 0
                                                                                           : -EIO;
}

static const struct filled {
    const char *name;
    size_t now;
    int (*fill)(void *to);
    size_t text; /* from here on it is text, of which the last byte ends it */
} filled[] = {
    {"cache info", sizeof(ait_cache_info), cache_info, SIZE_MAX},
    {"serve counters", sizeof(ait_serve_counters), serve_counters, SIZE_MAX},
    {"problem", sizeof(ait_sandbox_problem), problem, offsetof(ait_sandbox_problem, file)},
};

static void fill_sized(const struct filled *f, size_t size, const unsigned char *whole)
{
    size_t n = size < f->now ? size : f->now;
    unsigned char *to = malloc(size + GUARD);

    memset(to, STALE, size + GUARD);
    memcpy(to, &size, sizeof(size));
    CHECK_EQ(f->fill(to), 0);
    if (n > f->text && n < f->now) {
        n--;
        CHECK_EQ(to[n], 0);
    }
    CHECK(memcmp(to, &size, sizeof(size)) == 0);
    CHECK(memcmp(to + sizeof(size), whole + sizeof(size), n - sizeof(size)) == 0);
    for (size_t i = f->now; i < size; i++)
        CHECK_EQ(to[i], 0);
    for (size_t i = size; i < size + GUARD; i++)
        CHECK_EQ(to[i], STALE);
    free(to);
}

static int filled_main(void *userdata)
{
    const struct filled *f = userdata;
    unsigned char *whole = calloc(1, f->now);

    memcpy(whole, &f->now, sizeof(f->now));
    CHECK_EQ(f->fill(whole), 0);
    for (size_t size = sizeof(size); size <= f->now + BEYOND; size += sizeof(size))
        fill_sized(f, size, whole);
    free(whole);
    return 0;
}

static void test_filled(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(filled); i++) {
        assert_int_equal(run_real(filled_main, (void *)(filled + i)), 0);
        check_assert();
    }
}

/* What it owns and the caller has no room for is not leaked. */
static int results_main(void *userdata)
{
    const size_t sizes[] = {
        sizeof(size_t),
        offsetof(ait_process_result, exit_code),
        offsetof(ait_process_result, out),
        offsetof(ait_process_result, n_out),
        offsetof(ait_process_result, err),
        offsetof(ait_process_result, n_err),
        sizeof(ait_process_result),
        sizeof(ait_process_result) + BEYOND,
    };

    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        ait_process_result *result = malloc(sizes[i] + GUARD);

        memset(result, STALE, sizes[i] + GUARD);
        result->size = sizes[i];
        CHECK_EQ(ait_run_process(result, AIT_ARGV("sh", "-c", "echo out; echo err >&2; exit 3"),
                                 NULL, 0, NULL),
                 0);
        CHECK_EQ(result->size, sizes[i]);
        if (AIT_HAS(result, exit_code))
            CHECK_EQ(result->exit_code, 3);
        if (AIT_HAS(result, out))
            CHECK(strcmp(result->out, "out\n") == 0);
        if (AIT_HAS(result, n_err))
            CHECK(result->n_err == 4 && strcmp(result->err, "err\n") == 0);
        for (size_t k = sizes[i]; k < sizes[i] + GUARD; k++)
            CHECK_EQ(((unsigned char *)result)[k], STALE);
        ait_process_result_free(result);
        free(result);
    }
    return 0;
}

static void test_results(void **unused)
{
    assert_int_equal(run_real(results_main, NULL), 0);
    check_assert();
}

static int too_small_main(void *userdata)
{
    ait_process_result result = {.size = sizeof(size_t) - 1};
    ait_cache_info info = {.size = 0};
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = NULL;

    CHECK_EQ(
        ait_cache_new(&cache, &(ait_cache_options){.size = sizeof(loads), .load = load_nothing}),
        0);
    CHECK_EQ(ait_cache_get_info(cache, &info), -EINVAL);
    CHECK_EQ(ait_run_process(&result, AIT_ARGV("true"), NULL, 0, NULL), -EINVAL);
    return 0;
}

static void test_too_small(void **unused)
{
    ait_sandbox_problem alone = {.size = 3, .line = 7};
    ait_policy *policy = NULL;

    assert_int_equal(run_real(too_small_main, NULL), 0);
    check_assert();
    assert_int_equal(ait_policy_from_text(&policy, "text", "policy 1\nnothing\n", 17, &alone),
                     -EINVAL);
    assert_int_equal(alone.line, 7);
}

/* ---- variables, which are read where they lie ------------------------------------------------ */

static void never(void *value)
{
    fail();
}

static int short_variable_main(void *userdata)
{
    static const ait_local variable = {offsetof(ait_local, destroy), "short", never};

    AIT_LOCAL_SCOPED(variable, (void *)1);
    CHECK(ait_local_get(&variable) == (void *)1);
    return 0;
}

static void test_variable(void **unused)
{
    assert_int_equal(run_real(short_variable_main, NULL), 0);
    check_assert();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),     cmocka_unit_test(test_filled),
        cmocka_unit_test(test_results),  cmocka_unit_test(test_too_small),
        cmocka_unit_test(test_variable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
