/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Processes, threads, files, connections, transfers, caches, context groups, exit stacks, locals,
 * dumps: that each allocation and each call that makes something may be refused, alone or with all
 * that follow. Who asked is told, no block, descriptor, process or thread is left behind, and the
 * same loop does the same work afterwards.
 */

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "faults.h"
#include "process-helpers.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int r_ = (int)(call);                                                                      \
        if (r_ < 0) {                                                                              \
            if (!CHECK((r_ == -ENOMEM || r_ == -EAGAIN) && faults.failed))                         \
                (void)fprintf(stderr, "%d: %s: %d\n", __LINE__, #call, r_);                        \
            return -ENOMEM;                                                                        \
        }                                                                                          \
    } while (0)

/* What the programs use and the library has not made. */
static struct {
    FILE *null;
    int listener;
    char port[8];
    char directory[32];
    int pipe[2], file;
} x;

/* ---- cache ----------------------------------------------------------------------------------- */

static int n_values;

static int load(const void *key, void **ret_value, void *userdata)
{
    int r = ait_sleep(100);

    if (r < 0)
        return r;
    n_values++;
    *ret_value = userdata;
    return 0;
}

static void unload(void *userdata)
{
    n_values--;
}

static int get_one(void *userdata)
{
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *entry = NULL;

    return ait_cache_get(userdata, "shared", &entry);
}

static int cache_with(ait_cache *cache)
{
    AIT_SCOPE(scope);

    for (int i = 0; i < 100; i++) {
        AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *entry = NULL;
        char key[8];

        (void)snprintf(key, sizeof(key), "%d", i);
        TRY(ait_cache_get(cache, key, &entry));
        CHECK(ait_cache_entry_value(entry) == &x);
    }
    TRY(ait_scope_enter(&scope, 0));
    for (int i = 0; i < 5; i++)
        TRY(ait_scope_spawn(scope, NULL, get_one, cache, NULL));
    return ait_scope_exit(scope, 0);
}

static int cache_main(void *unused)
{
    ait_cache *cache = NULL;
    int r;

    n_values = 0;
    TRY(ait_cache_new(&cache, &(const ait_cache_options){.size = sizeof(ait_cache_options),
                                                         .load = load,
                                                         .destroy = unload,
                                                         .userdata = &x,
                                                         .max_entries = 80}));
    r = cache_with(cache);
    ait_cache_unref(cache);
    CHECK_EQ(n_values, 0);
    TRY(r);
    return 0;
}

/* ---- context groups, exit stacks, locals ----------------------------------------------------- */

static int n_entered;

static int enter(void *userdata, void **ret_value)
{
    int r = ait_yield();

    if (r < 0)
        return r;
    n_entered++;
    *ret_value = userdata;
    return 0;
}

static int leave(void *userdata, int r)
{
    n_entered--;
    return r;
}

static void destroy_entered(void *userdata)
{
    n_entered--;
}

static int leave_task(void *userdata)
{
    n_entered--;
    return 0;
}

static const ait_ctx ctx = {enter, leave, &x};

static int group_with(ait_ctxgroup *group)
{
    int r;

    TRY(ait_ctxgroup_set_grace(group, AIT_USEC_PER_SEC));
    for (int i = 0; i < 20; i++)
        TRY(ait_ctxgroup_add(group, &ctx));
    r = ait_ctxgroup_enter(group);
    if (r >= 0)
        CHECK_EQ(n_entered, 20);
    TRY(r);
    TRY(ait_ctxgroup_exit(group, 0));
    return 0;
}

static int group_main(void *unused)
{
    ait_ctxgroup *group = NULL;
    int r;

    n_entered = 0;
    TRY(ait_ctxgroup_open(&group, 0));
    r = group_with(group);
    ait_ctxgroup_close(group);
    CHECK_EQ(n_entered, 0);
    return r;
}

static int stack_with(ait_exitstack *stack, ait_exitstack **moved)
{
    void *value = NULL;

    TRY(ait_exitstack_set_grace(stack, AIT_USEC_PER_SEC));
    for (int i = 0; i < 20; i++) {
        /* What is refused stays the caller's. */
        TRY(ait_exitstack_push_destroy(stack, destroy_entered, &x));
        n_entered++;
        TRY(ait_exitstack_push(stack, leave, &x));
        n_entered++;
        TRY(ait_defer_push(stack, leave_task, &x));
        n_entered++;
        TRY(ait_exitstack_enter(stack, &ctx, &value));
        CHECK(value == &x);
    }
    TRY(ait_exitstack_pop_all(stack, moved));
    return 0;
}

static int stack_main(void *unused)
{
    ait_exitstack *stack = NULL, *moved = NULL;
    int r;

    n_entered = 0;
    TRY(ait_exitstack_open(&stack));
    r = stack_with(stack, &moved);
    ait_exitstack_close(stack);
    ait_exitstack_close(moved);
    CHECK_EQ(n_entered, 0);
    return r;
}

static const ait_local variable = {.size = sizeof(ait_local), .name = "variable"};

static int look(void *userdata)
{
    CHECK(ait_local_get(&variable) == userdata);
    return ait_sleep(100);
}

static int local_main(void *unused)
{
    AIT_SCOPE(scope);
    ait_local_binding here;
    AIT_CLEANUP(ait_local_popp) ait_local_binding *binding = ait_local_push(&here, &variable, &x);

    CHECK(binding == &here);
    TRY(ait_scope_enter(&scope, 0));
    for (int i = 0; i < 5; i++)
        TRY(ait_scope_spawn(scope, NULL, look, &x, NULL));
    return ait_scope_exit(scope, 0);
}

/* ---- processes ------------------------------------------------------------------------------- */

static char *const cat[] = {(char *)"cat", NULL};

static int converse(ait_child *child)
{
    int in = ait_child_stdio(child, 0), out = ait_child_stdio(child, 1);
    char buf[8];

    TRY(ait_write_all(in, "text", 4, NULL));
    TRY(ait_read(out, buf, sizeof(buf)));
    TRY(ait_child_close_stdio(child, 0));
    TRY(ait_child_wait(child, NULL));
    CHECK_EQ(ait_child_exit_code(child), 0);
    return 0;
}

static int spawn_main(void *unused)
{
    const ait_spawn_fd fds[] = {{x.file, 5}, {x.file, 7}};
    const ait_spawn_options options = {
        .size = sizeof(options),
        .flags = AIT_SPAWN_STDIN_PIPE | AIT_SPAWN_STDOUT_PIPE | AIT_SPAWN_STDERR_NULL |
                 AIT_SPAWN_PROCESS_GROUP,
        .fds = fds,
        .n_fds = ELEMENTS(fds),
    };
    AIT_CLEANUP(ait_child_endp) ait_child *child = NULL;
    int r = ait_spawn(&child, cat, &options);

    CHECK((r >= 0) == (child != NULL));
    TRY(r);
    TRY(converse(child));
    return 0;
}

static int run_process_main(void *unused)
{
    const ait_spawn_options options = {.size = sizeof(options),
                                       .flags = AIT_SPAWN_STDIN_PIPE | AIT_SPAWN_STDOUT_PIPE};
    ait_process_result result = {.size = sizeof(result)};
    static char input[20000];
    int r = ait_run_process(&result, cat, input, sizeof(input), &options);

    if (r >= 0)
        CHECK_EQ(result.n_out, sizeof(input));
    else
        CHECK(!result.out && !result.err);
    ait_process_result_free(&result);
    TRY(r);
    return 0;
}

static int forked(void *userdata)
{
    int r = ait_task_started(3);

    return r < 0 ? r : ait_sleep(100);
}

static int fork_main(void *unused)
{
    AIT_CLEANUP(ait_child_endp) ait_child *child = NULL;
    int r = ait_fork_start(&child, forked, NULL, NULL);

    if (r == -ENOMEM || r == -EAGAIN)
        faults.failed = true; /* here, or in the child, which tells */
    CHECK((r >= 0) == (child != NULL));
    TRY(r);
    CHECK_EQ(r, 3);
    r = ait_child_wait(child, NULL);
    TRY(r);
    return 0;
}

static int fork_alone_main(void *unused)
{
    AIT_CLEANUP(ait_child_endp) ait_child *child = NULL;
    int r;

    r = ait_fork(&child, forked, NULL, NULL);
    if (r == -ENOMEM || r == -EAGAIN)
        faults.failed = true;
    TRY(r);
    TRY(ait_child_supervise(child, NULL));
    return 0;
}

/* ---- threads, files, connections ------------------------------------------------------------- */

static int job(void *userdata)
{
    return 7;
}

static atomic_int n_jobs;

static void job_destroyed(void *userdata)
{
    n_jobs--;
}

static int offload_main(void *unused)
{
    int result = 0;
    int r;

    r = ait_offload(job, NULL);
    TRY(r);
    CHECK_EQ(r, 7);
    TRY(ait_offload_full(
        &result, job, NULL,
        AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH, .destroy = job_destroyed)));
    CHECK_EQ(result, 7);
    CHECK_EQ(n_jobs, 0);
    return 0;
}

static int files_main(void *unused)
{
    static char data[100000];
    char path[64];
    void *got = NULL;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "%s/file", x.directory);
    TRY(ait_write_file(path, data, sizeof(data), 0600));
    TRY(ait_read_file(&got, &n, path, sizeof(data)));
    CHECK_EQ(n, sizeof(data));
    free(got);
    got = NULL;
    TRY(ait_read_file(&got, &n, "/proc/self/status", 1 << 20));
    free(got);
    TRY(ait_fsync(x.file));
    TRY(ait_pwrite(x.file, "x", 1, 0));
    TRY(ait_pread(x.file, path, 1, 0));
    return 0;
}

static int connect_main(void *unused)
{
    int fd = -1, r;

    r = ait_connect_host(&fd, "127.0.0.1", x.port, NULL);
    CHECK((r >= 0) == (fd >= 0));
    TRY(r);
    CHECK_EQ(ait_close(fd), 0);
    TRY(fd = ait_accept(x.listener, NULL, NULL));
    CHECK_EQ(ait_close(fd), 0);
    return 0;
}

static int transfer_main(void *unused)
{
    struct pollfd fds[] = {{.fd = x.pipe[0], .events = POLLIN},
                           {.fd = x.pipe[1], .events = POLLOUT}};
    off_t offset = 0;
    char c;

    TRY(ait_poll_many(fds, 2));
    TRY(ait_sendfile(x.pipe[1], x.file, &offset, 1));
    TRY(ait_splice(x.pipe[0], NULL, x.file, &offset, 1, 0));
    TRY(ait_write(x.pipe[1], "y", 1));
    TRY(ait_read(x.pipe[0], &c, 1));
    return 0;
}

/* ---- seen from outside ----------------------------------------------------------------------- */

static int count_use(const ait_stack_use *use, void *userdata)
{
    return 0;
}

static int dump_main(void *unused)
{
    ait_loop *loop = ait_loop_current();
    AIT_SCOPE(scope);

    TRY(ait_scope_enter(&scope, 0));
    for (int i = 0; i < 5; i++)
        TRY(ait_scope_spawn(scope, NULL, look, NULL, AIT_TASK_OPTIONS(.name = "looked at")));
    TRY(ait_loop_dump(loop, x.null, AIT_DUMP_STACKS));
    TRY(ait_loop_foreach_stack(loop, count_use, NULL));
    return ait_scope_exit(scope, 0);
}

/* ---- the loop over them ---------------------------------------------------------------------- */

static const struct program {
    const char *name;
    ait_task_fn fn;
    unsigned at_least; /* calls that can be refused */
    bool processes;
} programs[] = {
    {"cache", cache_main, 10, false},     {"context group", group_main, 3, false},
    {"exit stack", stack_main, 3, false}, {"local", local_main, 3, false},
    {"spawn", spawn_main, 5, true},       {"run process", run_process_main, 5, true},
    {"fork", fork_main, 5, true},         {"fork, alone", fork_alone_main, 3, true},
    {"offload", offload_main, 2, false},  {"files", files_main, 3, false},
    {"connect", connect_main, 3, false},  {"transfer", transfer_main, 1, false},
    {"dump", dump_main, 1, false},
};

struct turn {
    const struct program *program;
    unsigned n;
    bool for_ever, failed;
};

/* Threads are begun anew in each turn. */
static void threads_end(void)
{
    while (check_n_threads("ait-offload") > 0)
        CHECK_EQ(ait_sleep(MS(1)), 0);
}

static int turn_main(void *userdata)
{
    struct turn *t = userdata;
    int r;

    faults_arm(t->n, t->for_ever);
    r = t->program->fn(NULL);
    faults_disarm();
    t->failed = faults.failed;
    CHECK(r >= 0 || t->failed);
    threads_end();
    /* What could not be done can be done now. */
    CHECK_EQ(t->program->fn(NULL), 0);
    threads_end();
    return 0;
}

static void on_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
}

static void run_turn(struct turn *t)
{
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;

    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_scope_set_error_handler(ait_loop_root(loop), on_error, NULL), 0);
    assert_int_equal(ait_task_spawn(NULL, turn_main, t, NULL), 0);
    assert_int_equal(ait_loop_run(loop), 0);
}

static void each_refused(const struct program *p, bool for_ever)
{
    struct turn t = {.program = p, .for_ever = for_ever, .failed = true};

    if (p->processes && !has_pidfds())
        return;
    for (t.n = 1; t.failed; t.n++) {
        unsigned n_fds = count_fds();
        long live = faults.n_live;

        run_turn(&t);
        if (check_failures > 0)
            print_message("in: %s, call %u\n", p->name, t.n);
        check_assert();
        if (faults.n_live != live || count_fds() != n_fds)
            fail_msg("%s: refusing call %u leaves %ld blocks, %d fds", p->name, t.n,
                     faults.n_live - live, (int)(count_fds() - n_fds));
        if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
            fail_msg("%s: refusing call %u leaves a process", p->name, t.n);
        assert_null(ait_loop_current());
    }
    print_message("%s: %u calls\n", p->name, t.n - 2);
    assert_true(t.n - 2 >= p->at_least);
}

static void test_each_in_turn(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(programs); i++)
        each_refused(programs + i, false);
}

static void test_all_from_there(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(programs); i++)
        each_refused(programs + i, true);
}

static int set_up(void **unused)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(in);

    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(x.directory, sizeof(x.directory), "/tmp/test-memory-XXXXXX");
    x.null = fopen("/dev/null", "we");
    x.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (!x.null || !mkdtemp(x.directory) || pipe(x.pipe) < 0 ||
        bind(x.listener, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(x.listener, 10) < 0 ||
        getsockname(x.listener, (struct sockaddr *)&in, &n) < 0)
        return -1;
    x.file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    (void)snprintf(x.port, sizeof(x.port), "%u", ntohs(in.sin_port));
    return x.file < 0 || write(x.file, "z", 1) != 1 ? -1 : ait_offload_configure(2, MS(1));
}

static int tear_down(void **unused)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/file", x.directory);
    (void)unlink(path);
    (void)fclose(x.null);
    return rmdir(x.directory);
}

/* ThreadSanitizer would forbid threads in a child of a process with threads. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_in_turn),
        cmocka_unit_test(test_all_from_there),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
