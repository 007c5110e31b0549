/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "slot-stage.h"

void advance(uint64_t usec)
{
    assert_int_equal(ait_sleep(usec), 0);
}

void settle(void)
{
    advance(1);
}

static void make_workers(struct stage *s, const char *address)
{
    struct listen_options options = {.listen = &address, .n_listen = address != NULL, .n_slots = 1};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct problem p;

    assert_int_equal(log_new(&s->workers.log, "test", LOG_PREFIX, null, null), 0);
    assert_int_equal(listen_set_open(&s->workers.listen, &options, &p), 0);
    if (address)
        assert_int_equal(listen_set_take_seat(s->workers.listen, &p), 0);
    s->workers.n_slots = 1;
}

void stage_open(struct stage *s, ait_scope **scope, const char *address, const struct rate *give_up)
{
    static char program[] = "program";
    static char *argv[] = {program, NULL};

    server_config_init(&s->config);
    s->config.settle = 0;
    s->config.argv = argv;
    if (give_up)
        s->config.give_up = *give_up;
    for (unsigned i = 0; i < 2; i++)
        s->revisions[i] = (struct revision){.refs = 1, .config = &s->config, .generation = i};
    make_workers(s, address);
    assert_int_equal(ait_vclock_new(&s->clock), 0);
    assert_int_equal(ait_loop_set_clock(ait_loop_current(), s->clock), 0);
    assert_int_equal(ait_event_new(&s->changed), 0);
    assert_int_equal(
        slot_new(&s->slot, &s->config, &s->workers, s->changed, &s->revisions[0], 0, 0), 0);
    assert_int_equal(ait_scope_enter(scope, AIT_SCOPE_SUPERVISOR), 0);
    assert_int_equal(slot_start(s->slot, *scope), 0);
    settle();
}

void stage_close(struct stage *s, ait_scope *scope)
{
    (void)ait_scope_cancel(scope);
    assert_int_equal(ait_scope_exit(scope, 0), 0);
    slot_free(s->slot);
    ait_event_unref(s->changed);
    ait_clock_unref(s->clock);
    assert_int_equal(n_fakes_alive, 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(s->revisions[i].refs, 1);
    listen_set_close(s->workers.listen);
    log_free(s->workers.log);
    s->config.argv = NULL;
    server_config_done(&s->config);
}
