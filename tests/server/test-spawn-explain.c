/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spawning into a sandbox that explains: the listener comes to us, and nothing of it stays where it
 * does not belong. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/parse.h"
#include "spawned.h"

static ait_sandbox *service, *nothing;
static ait_explainer *explainer;
static unsigned n_events;
static char directory[] = "/tmp/test-spawn-explain-XXXXXX";

static void on_event(ait_explainer *e, const ait_sandbox_event *event, void *userdata)
{
    (void)e;
    (void)event;
    (void)userdata;
    n_events++;
}

static ait_sandbox *explaining(const char *text)
{
    ait_policy *policy = NULL;
    ait_sandbox *sandbox = NULL;

    assert_int_equal(ait_policy_from_text(&policy, "test", text, strlen(text), NULL), 0);
    assert_int_equal(
        ait_sandbox_new(&sandbox,
                        AIT_SANDBOX_OPTIONS(.policy = policy, .deny = AIT_SANDBOX_DENY_EXPLAIN,
                                            .capabilities = AIT_SANDBOX_SERVICE_CAPABILITIES,
                                            .flags = AIT_SANDBOX_EXEC),
                        NULL),
        0);
    ait_policy_unref(policy);
    return sandbox;
}

static int setup(void **state)
{
    (void)state;
    service = explaining("policy 1\ninclude service\n");
    nothing = explaining("policy 1\n");
    assert_non_null(mkdtemp(directory));
    return chmod(directory, 0755);
}

static int cleanup(void **state)
{
    char command[128];

    (void)state;
    ait_sandbox_unref(service);
    ait_sandbox_unref(nothing);
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static void init(struct spawned *s)
{
    spawned_init(s, "report", NULL);
    explainer = NULL;
    s->params.sandbox = service;
    s->params.explain = on_event;
    s->ret_explainer = &explainer;
}

/* Answers until the worker has ended. */
static void serve(struct spawned *s)
{
    struct pollfd fds[] = {{.fd = ait_explainer_fd(explainer), .events = POLLIN},
                           {.fd = s->pidfd, .events = POLLIN}};

    do {
        assert_true(poll(fds, 2, 10000) > 0);
        while (ait_explainer_process(explainer) > 0)
            ;
    } while (!fds[1].revents);
}

static void the_listener_comes_and_nothing_stays(void **state)
{
    int socket = open("/dev/null", O_RDONLY | O_CLOEXEC), pipe[2];
    struct spawned s;
    char *text;

    (void)state;
    assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
    size_t fds = count_fds();
    init(&s);
    s.params.socket_fds = &socket;
    s.params.n_socket_fds = 1;
    s.params.ready_fd = pipe[1];
    s.params.ready_target = 9;
    int r = spawned_start(&s);
    if (r < 0)
        fail_msg("%s", s.problem.text);
    assert_non_null(explainer);
    assert_true(fcntl(ait_explainer_fd(explainer), F_GETFD) & FD_CLOEXEC);
    serve(&s);
    assert_int_equal(spawned_finish(&s, &text), 0);
    assert_string_equal(spawned_value(text, "fds"), "0 1 2 3 9");
    assert_string_equal(spawned_value(text, "Seccomp"), "2");
    assert_string_equal(spawned_value(text, "death_signal"), "9");
    assert_int_equal(n_events, 0);
    free(text);
    explainer = ait_explainer_free(explainer);
    spawned_done(&s);
    assert_int_equal(count_fds(), fds);
    assert_int_equal(count_children(), 0);
    (void)close(socket);
    (void)close(pipe[0]);
    (void)close(pipe[1]);
}

static void what_the_child_changed_is_put_back(void **state)
{
    struct account account = {.uid = 65534, .gid = 65534};
    const char *why_not = spawned_why_not_as_nobody();
    struct spawned s;
    char *text;

    (void)state;
    if (why_not) {
        print_message("# SKIP: %s\n", why_not);
        skip();
    }
    init(&s);
    s.params.account = &account;
    assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
    int r = spawned_start(&s);
    if (r < 0)
        fail_msg("%s", s.problem.text);
    assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
    serve(&s);
    assert_int_equal(spawned_finish(&s, &text), 0);
    assert_string_equal(spawned_value(text, "uid"), "65534");
    free(text);
    explainer = ait_explainer_free(explainer);
    spawned_done(&s);
}

/* ---- failing --------------------------------------------------------------------------------- */

static const struct spawn_rlimit bad_limit[] = {{9999, {1, 1}}};

/* Before there is a listener. */
static void no_directory(struct spawn_params *p)
{
    p->working_directory = "/nonexistent";
}
static void no_limit(struct spawn_params *p)
{
    p->rlimits = bad_limit;
    p->n_rlimits = 1;
}
/* After it has come. */
static void no_format(struct spawn_params *p)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/text", directory);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    (void)fputs("no program\n", f);
    (void)fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
    p->path = path;
}
/* And where it may not even end. */
static void no_end(struct spawn_params *p)
{
    no_format(p);
    p->sandbox = nothing;
}
static void no_sandbox(struct spawn_params *p)
{
    p->sandbox = NULL;
}

static void failures_leave_nothing(void **state)
{
    static const struct {
        void (*spoil)(struct spawn_params *p);
        int error, status;
        const char *words;
    } cases[] = {
        {no_directory, -ENOENT, STATUS_CONFIG, "--chdir"},
        {no_limit, -EINVAL, STATUS_CONFIG, "--rlimit"},
        {no_format, -ENOEXEC, STATUS_CONFIG, "format"},
        {no_end, -ENOEXEC, STATUS_CONFIG, "format"},
        {no_sandbox, -EINVAL, STATUS_OS, "preparing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct spawned s;
        size_t fds = count_fds();

        init(&s);
        cases[i].spoil(&s.params);
        int r = spawned_start(&s);
        if (r != cases[i].error || s.problem.status != cases[i].status ||
            !strstr(s.problem.text, cases[i].words))
            fail_msg("case %zu: %d, status %d: %s", i, r, s.problem.status, s.problem.text);
        assert_null(explainer);
        assert_int_equal(s.pid, -1);
        assert_int_equal(s.pidfd, -1);
        assert_int_equal(count_children(), 0);
        assert_int_equal(count_fds(), fds);
        spawned_done(&s);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_listener_comes_and_nothing_stays),
        cmocka_unit_test(what_the_child_changed_is_put_back),
        cmocka_unit_test(failures_leave_nothing),
    };

    spawned_main(argc, argv);
    return cmocka_run_group_tests(tests, setup, cleanup);
}
