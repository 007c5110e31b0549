/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tasks of the server that fail: each is told, tried again, and at last ends the server. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervise/service.h"

struct fault {
    const char *name;
    unsigned failures; /* before it does what it is for */
    uint64_t life;     /* of each try */
    int error;
    int last;      /* what it returns afterwards; 1: it waits until it is cancelled */
    unsigned runs; /* expected */
    bool gives_up;
};

static const struct fault faults[] = {
    {"nothing to do", 0, 0, 0, 0, 1, false},
    {"well", 0, 0, 0, 1, 1, false},
    {"once", 1, 0, -EIO, 1, 2, false},
    {"nearly too often", SERVICE_TRIES - 1, 0, -ENOMEM, 1, SERVICE_TRIES, false},
    {"too often", 1000, 0, -EMFILE, 1, SERVICE_TRIES, true},
    {"too often, and slowly", 1000, SERVICE_STABLE / 2, -EIO, 1, SERVICE_TRIES, true},
    {"now and then", 20, SERVICE_STABLE, -EIO, 1, 21, false},
};

struct rig {
    const struct fault *fault;
    unsigned runs, given_up;
    int pipe[2];
};

static int run(void *userdata)
{
    struct rig *rig = userdata;
    int r;

    if (rig->runs++ < rig->fault->failures) {
        r = rig->fault->life > 0 ? ait_sleep(rig->fault->life) : 0;
        return r < 0 ? r : rig->fault->error;
    }
    return rig->fault->last == 1 ? ait_sleep(AIT_USEC_INFINITY) : rig->fault->last;
}

static void give_up(void *userdata)
{
    struct rig *rig = userdata;

    rig->given_up++;
}

static int serve_for_a_day(void *userdata)
{
    struct rig *rig = userdata;
    struct log *log;
    ait_clock *clock;
    AIT_SCOPE(scope);
    int r = log_new(&log, "web", LOG_PREFIX, rig->pipe[1], rig->pipe[1]);

    assert_int_equal(r, 0);
    assert_int_equal(ait_vclock_new(&clock), 0);
    assert_int_equal(ait_vclock_set_autojump(clock, true), 0);
    assert_int_equal(ait_loop_set_clock(ait_loop_current(), clock), 0);
    r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR);
    struct services all = {.log = log, .scope = scope, .give_up = give_up, .userdata = rig};
    struct service service = {"do it", run, rig, NULL};
    if (r >= 0)
        r = service_start(&service, &all);
    if (r >= 0)
        r = ait_sleep(24 * 3600 * AIT_USEC_PER_SEC);
    (void)ait_scope_cancel(scope);
    (void)ait_scope_exit(scope, 0);
    log_free(log);
    ait_clock_unref(clock);
    return r;
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}

static void test_faults(void **state)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        struct rig rig = {.fault = &faults[i]};
        char text[8192] = "";
        unsigned told;

        assert_int_equal(pipe2(rig.pipe, O_NONBLOCK | O_CLOEXEC), 0);
        assert_int_equal(ait_run(serve_for_a_day, &rig, AIT_RUN_KEEP_SIGNALS), 0);
        (void)!read(rig.pipe[0], text, sizeof(text) - 1);
        told = count(text, "web: error: cannot do it: ");
        if (rig.runs != faults[i].runs || rig.given_up != faults[i].gives_up ||
            told != (rig.runs == 1 ? 0 : rig.runs - !rig.given_up) ||
            count(text, "so the server stops") != rig.given_up)
            fail_msg("%s: it ran %u times, gave up %u times:\n%s", faults[i].name, rig.runs,
                     rig.given_up, text);
        close(rig.pipe[0]);
        close(rig.pipe[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
