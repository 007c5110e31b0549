/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration: defaults, checks of options against each other, what is looked up. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define SEC       ((uint64_t)1000000)

static void config_true(struct server_config *c)
{
    char *argv[] = {(char *)"true", (char *)"--one", NULL};

    server_config_init(c);
    assert_int_equal(server_config_set_argv(c, argv), 0);
}

static void test_auto_ready_before_the_timeout(void **state)
{
    static const uint64_t timeouts[] = {SEC, 4 * SEC, 5 * SEC, 6 * SEC};

    for (size_t i = 0; i < LENGTH(timeouts); i++) {
        struct server_config c;

        config_true(&c);
        c.start_timeout = timeouts[i];
        assert_int_equal(server_config_finish(&c, NULL), 0);
        assert_true(c.ready_auto_usec < c.start_timeout);
        server_config_done(&c);
    }
}

/* ---- defaults -------------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
    struct server_config c;

    config_true(&c);
    assert_int_equal(server_config_finish(&c, NULL), 0);
    assert_true(c.workers >= 1);
    assert_int_equal(c.ready, READY_AUTO);
    assert_int_equal(c.ready_auto_usec, 5 * SEC);
    assert_int_equal(c.start_timeout, 30 * SEC);
    assert_int_equal(c.settle, 2 * SEC);
    assert_int_equal(c.stop_timeout, 30 * SEC);
    assert_int_equal(c.stop_signal, SIGTERM);
    assert_int_equal(c.drain, SEC / 2);
    assert_int_equal(c.restart, RESTART_ALWAYS);
    assert_int_equal(c.backoff.base_usec, SEC / 10);
    assert_int_equal(c.backoff.cap_usec, 30 * SEC);
    assert_int_equal(c.stable, 10 * SEC);
    assert_int_equal(c.give_up.count, 20);
    assert_int_equal(c.give_up.usec, 300 * SEC);
    assert_int_equal(c.max_surge.value, 1);
    assert_int_equal(c.max_unavailable.value, 0);
    assert_int_equal(c.umask, -1);
    assert_int_equal(c.sandbox.mode, SANDBOX_SERVICE);
    assert_int_equal(c.log, LOG_PREFIX);
    assert_string_equal(c.argv[0], "true");
    assert_string_equal(c.argv[1], "--one");
    assert_null(c.argv[2]);
    server_config_done(&c);
    server_config_done(&c);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"web", true},  {"a", true},     {"web-8080", true},     {"A.b_c-9", true},
        {"", false},    {".web", false}, {"..", false},          {"a/b", false},
        {"a b", false}, {"a\n", false},  {"caf\xc3\xa9", false},
    };
    char longest[SERVER_NAME_MAX + 2];

    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_int_equal(server_config_name_valid(cases[i].name), cases[i].valid);
    memset(longest, 'x', sizeof(longest));
    longest[SERVER_NAME_MAX] = '\0';
    assert_true(server_config_name_valid(longest));
    longest[SERVER_NAME_MAX] = 'x';
    longest[SERVER_NAME_MAX + 1] = '\0';
    assert_false(server_config_name_valid(longest));
}

static void test_default_name(void **state)
{
    static const struct {
        const char *argv0;
        unsigned port;
        const char *name; /* NULL: ends with the pid */
    } cases[] = {
        {"gunicorn", 8080, "gunicorn-8080"},
        {"/usr/bin/gunicorn", 80, "gunicorn-80"},
        {"./a b/my server", 80, "my_server-80"},
        {".hidden", 80, "_hidden-80"},
        {"server", 0, NULL},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct server_config c;
        char *argv[] = {(char *)cases[i].argv0, NULL}, with_pid[64];

        server_config_init(&c);
        assert_int_equal(server_config_set_argv(&c, argv), 0);
        assert_int_equal(server_config_name_sockets(&c, cases[i].port), 0);
        snprintf(with_pid, sizeof(with_pid), "%s-%d", cases[i].argv0, (int)getpid());
        assert_string_equal(c.name, cases[i].name ? cases[i].name : with_pid);
        assert_true(server_config_name_valid(c.name));
        server_config_done(&c);
    }
}

static void test_long_program_name(void **state)
{
    struct server_config c;
    char long_name[300], *argv[] = {long_name, NULL};

    memset(long_name, 'p', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    server_config_init(&c);
    assert_int_equal(server_config_set_argv(&c, argv), 0);
    assert_int_equal(server_config_name_sockets(&c, 65535), 0);
    assert_true(server_config_name_valid(c.name));
    server_config_done(&c);
}

static void test_given_name_stays(void **state)
{
    struct server_config c;

    config_true(&c);
    c.name = strdup("mine");
    c.name_set = true;
    assert_int_equal(server_config_finish(&c, NULL), 0);
    assert_int_equal(server_config_name_sockets(&c, 8080), 0);
    assert_string_equal(c.name, "mine");
    server_config_done(&c);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void test_lists(void **state)
{
    struct server_config c;
    const char *why = NULL;

    config_true(&c);
    assert_int_equal(server_config_add_env(&c, "A=1", &why), 0);
    assert_int_equal(server_config_add_env(&c, "B=", &why), 0);
    assert_int_equal(server_config_add_env(&c, "C=x=y", &why), 0);
    assert_null(why);
    assert_int_equal(server_config_add_env(&c, "=x", &why), -EINVAL);
    assert_non_null(why);
    assert_int_equal(server_config_add_env(&c, "D", NULL), -EINVAL);
    assert_int_equal(c.n_env, 3);
    assert_string_equal(c.env[2], "C=x=y");
    assert_null(c.env[3]);

    assert_int_equal(server_config_add_listen(&c, "web=127.0.0.1:80", &why), 0);
    assert_int_equal(server_config_add_listen(&c, "/run/x.sock", &why), 0);
    assert_int_equal(server_config_add_listen(&c, "nonsense", &why), -EINVAL);
    assert_int_equal(c.n_listen, 2);
    assert_string_equal(c.listen[0], "web=127.0.0.1:80");
    assert_null(c.listen[2]);
    server_config_done(&c);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void no_replacement(struct server_config *c)
{
    c->max_surge.value = 0;
}

static void no_replacement_percent(struct server_config *c)
{
    c->workers = 3;
    c->max_surge.value = 0;
    c->max_unavailable = (struct amount){.value = 33, .percent = true};
}

static void one_of_four(struct server_config *c)
{
    c->workers = 4;
    c->max_surge.value = 0;
    c->max_unavailable = (struct amount){.value = 25, .percent = true};
}

static void ready_fd_on_socket(struct server_config *c)
{
    assert_int_equal(server_config_add_listen(c, "8080", NULL), 0);
    c->ready = READY_FD;
    c->ready_fd = 3;
}

static void ready_fd_above(struct server_config *c)
{
    ready_fd_on_socket(c);
    c->ready_fd = 4;
}

static void delay_too_long(struct server_config *c)
{
    c->ready = READY_DELAY;
    c->ready_delay = c->start_timeout;
}

static void settles_for_ever(struct server_config *c)
{
    c->settle = PARSE_INFINITY;
}

static void drains_for_ever(struct server_config *c)
{
    c->drain = PARSE_INFINITY;
}

static void no_program(struct server_config *c)
{
    char *argv[] = {NULL};

    assert_int_equal(server_config_set_argv(c, argv), 0);
}

static void test_checks(void **state)
{
    static const struct {
        void (*set)(struct server_config *c);
        int status; /* 0: accepted */
        const char *text;
    } cases[] = {
        {no_replacement, STATUS_USAGE, "--max-surge=0"},
        {no_replacement_percent, STATUS_USAGE, "33% of 3 workers"},
        {one_of_four, 0, NULL},
        {ready_fd_on_socket, STATUS_USAGE, "--ready=fd:3"},
        {ready_fd_above, 0, NULL},
        {delay_too_long, STATUS_USAGE, "--start-timeout"},
        {drains_for_ever, STATUS_USAGE, "--drain=infinity"},
        {settles_for_ever, STATUS_USAGE, "--settle=infinity"},
        {no_program, STATUS_USAGE, "no program"},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct server_config c;
        struct problem p = {.status = 0, .text = "none"};

        config_true(&c);
        cases[i].set(&c);
        int r = server_config_finish(&c, &p);
        if (cases[i].status) {
            assert_true(r < 0);
            assert_int_equal(p.status, cases[i].status);
            if (!strstr(p.text, cases[i].text))
                fail_msg("%s: says nothing of %s", p.text, cases[i].text);
        } else {
            if (r < 0)
                fail_msg("case %zu: %s", i, p.text);
            assert_string_equal(p.text, "none");
        }
        server_config_done(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auto_ready_before_the_timeout),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_default_name),
        cmocka_unit_test(test_long_program_name),
        cmocka_unit_test(test_given_name_stays),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_checks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
