/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every allocation of the scheduler, its slots and their revisions, refused in turn, alone and with
 * all that follow for a minute: nobody waits for ever, nothing is left behind, and when there is
 * memory again a reload brings all slots to the newest revision. On virtual time, with workers that
 * are none.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-worker.h"
#include "faults.h"
#include "strv.h"
#include "supervise/scheduler.h"

#define SEC   AIT_USEC_PER_SEC
#define SLOTS 2u

/* ---- what only these take from libc ---------------------------------------------------------- */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_realpath(const char *path, char *resolved);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_realpath(const char *path, char *resolved);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    void *grown = faults_refuse() ? NULL : __real_reallocarray(p, n, size);

    faults.n_live += grown && !p;
    return grown;
}

char *__wrap_realpath(const char *path, char *resolved)
{
    char *found = faults_refuse() ? NULL : __real_realpath(path, resolved);

    faults.n_live += found && !resolved;
    return found;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- revisions ------------------------------------------------------------------------------- */

static char env_path[] = "/tmp/aiotools-sd-oom-XXXXXX";

static void config_for(struct server_config *c)
{
    char *argv[] = {(char[]){"/bin/true"}, NULL};

    server_config_init(c);
    assert_int_equal(server_config_set_argv(c, argv), 0);
    assert_non_null(c->chdir = strdup("/tmp"));
    assert_int_equal(strv_append(&c->env_files, &c->n_env_files, env_path), 0);
    assert_int_equal(server_config_add_env(c, "C=3", NULL), 0);
    /* Nobody else may ask for an account. */
    if (geteuid() == 0) {
        assert_non_null(c->user = strdup("0"));
        assert_non_null(c->group = strdup("0"));
    }
    c->sandbox.mode = SANDBOX_NONE;
    c->workers = SLOTS;
}

static void test_revision(void **state)
{
    struct server_config c;
    unsigned n;
    bool failed;

    config_for(&c);
    long live = faults.n_live;
    int fds = count_fds();
    for (n = 1, failed = true; failed; n++) {
        struct problem p = {.status = 0};
        struct revision *rev = NULL;

        faults_arm(n, false);
        int r = revision_new(&rev, &c, 1, &p);
        failed = faults.failed;
        faults_disarm();
        if (failed && r >= 0)
            fail_msg("allocation %u is not missed", n);
        if (failed && p.status != STATUS_OS)
            fail_msg("allocation %u: status %d, %s", n, p.status, p.text);
        assert_int_equal(r < 0, failed);
        revision_unref(rev);
        assert_int_equal(faults.n_live, live);
        assert_int_equal(count_fds(), fds);
    }
    assert_true(n > 8);
    server_config_done(&c);
}

/* ---- the scheduler --------------------------------------------------------------------------- */

struct play {
    unsigned n;
    bool for_a_minute;

    struct server_config config;
    struct workers workers;
    struct systemd systemd;
    struct scheduler scheduler;
    bool failed, began;
};

/* Scopes come from a pool, sixteen at a time. Takes what is there, so that the next one that is
 * entered needs memory. */
struct hoard {
    ait_scope *scopes[64];
    unsigned n;
};

static void hoard_scopes(struct hoard *hoard)
{
    unsigned n_chunks = 0, size = 0;

    while (n_chunks < 2) {
        unsigned before = faults.n_allocations;

        assert_true(hoard->n < 64);
        assert_int_equal(ait_scope_enter(&hoard->scopes[hoard->n++], 0), 0);
        n_chunks += faults.n_allocations != before;
        size += n_chunks == 1;
    }
    while (--size > 0)
        assert_int_equal(ait_scope_enter(&hoard->scopes[hoard->n++], 0), 0);
}

static void hoard_leave(struct hoard *hoard)
{
    while (hoard->n > 0)
        (void)ait_scope_leave(hoard->scopes[--hoard->n]);
}

/* Plays the workers' part: ready after a second, gone a second after they were asked. */
static int direct(void *userdata)
{
    int r = 0;

    while (r >= 0) {
        for (unsigned i = 0; i < n_fakes; i++) {
            struct worker *w = fakes[i];

            if (w && w->state == WORKER_STARTING && ait_now(NULL) - w->started >= SEC)
                fake_ready(w);
            else if (w && w->state == WORKER_DRAINING && (w->pid < 0 || (w->pid = -w->pid) == 0))
                fake_exit(w, 0);
        }
        r = ait_sleep(SEC);
    }
    return r;
}

static int act(struct play *p)
{
    struct scheduler *s = &p->scheduler;
    int r = ait_sleep(3 * SEC);

    scheduler_reload(s);
    if (r >= 0)
        r = ait_sleep(20 * SEC);
    scheduler_scale(s, 1);
    if (r >= 0)
        r = ait_sleep(5 * SEC);
    if (n_fakes > 0 && s->slots[0]->current)
        fake_exit(s->slots[0]->current, 1);
    if (r >= 0)
        r = ait_sleep(5 * SEC);
    scheduler_scale(s, -1);
    return r < 0 ? r : ait_sleep(60 * SEC);
}

/* There is memory again: all of it works. */
static void check_goes_on(struct play *p)
{
    struct scheduler *s = &p->scheduler;
    unsigned n_reloads = s->n_reloads;

    assert_int_equal(ait_sleep(120 * SEC), 0);
    if (scheduler_n_ready(s) != s->n_slots)
        fail_msg("call %u: %u of %u slots are ready", p->n, scheduler_n_ready(s), s->n_slots);
    assert_int_equal(s->n_slots, s->n_workers_wanted);
    scheduler_reload(s);
    assert_int_equal(ait_sleep(120 * SEC), 0);
    if (s->n_reloads != n_reloads + 1 || s->reload_state)
        fail_msg("call %u: reload: %s", p->n, s->reload_state ?: "has not ended");
    for (unsigned i = 0; i < s->n_slots; i++)
        assert_int_equal(s->slots[i]->current->revision->generation, s->generation);
    assert_int_equal(n_fakes_alive, s->n_slots);
}

static int run(struct play *p)
{
    struct scheduler *s = &p->scheduler;
    struct revision *first = NULL;
    struct hoard hoard = {.n = 0};
    AIT_SCOPE(scope);
    int r;

    assert_int_equal(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
    assert_int_equal(ait_scope_spawn(scope, NULL, direct, p, NULL), 0);
    hoard_scopes(&hoard);
    faults_arm(p->n, p->for_a_minute);
    r = revision_new(&first, &p->config, 0, &p->workers.problem);
    if (r >= 0)
        r = scheduler_init(s, &p->config, &p->workers, &p->systemd, first);
    revision_unref(first);
    if (r >= 0)
        r = scheduler_start(s, scope);
    p->began = r >= 0;
    if (r >= 0)
        r = act(p);
    p->failed = faults.failed;
    faults_disarm();
    if (p->began) {
        assert_int_equal(r, 0);
        check_goes_on(p);
    } else {
        if (!p->failed)
            fail_msg("%d: %s", r, p->workers.problem.text);
    }
    hoard_leave(&hoard);
    (void)ait_scope_cancel(scope);
    (void)ait_scope_exit(scope, 0);
    scheduler_done(s);
    return 0;
}

static int play(void *userdata)
{
    struct play *p = userdata;
    const char *listen[] = {"127.0.0.1:0"};
    struct listen_options options = {.n_slots = SLOTS, .listen = listen, .n_listen = 1};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ait_clock *clock;

    n_fakes = 0;
    config_for(&p->config);
    assert_int_equal(log_new(&p->workers.log, "test", LOG_PREFIX, null, null), 0);
    assert_int_equal(listen_set_open(&p->workers.listen, &options, &p->workers.problem), 0);
    assert_int_equal(ait_vclock_new(&clock), 0);
    assert_int_equal(ait_loop_set_clock(ait_loop_current(), clock), 0);
    ait_clock_unref(clock);
    assert_int_equal(run(p), 0);
    assert_int_equal(n_fakes_alive, 0);
    listen_set_close(p->workers.listen);
    log_free(p->workers.log);
    server_config_done(&p->config);
    (void)close(null);
    return 0;
}

static void each(bool for_a_minute)
{
    unsigned n = 0, n_began = 0;
    bool failed = true;

    while (failed) {
        struct play p = {.n = ++n, .for_a_minute = for_a_minute};
        long live = faults.n_live;
        int fds = count_fds();

        assert_int_equal(ait_run(play, &p, 0), 0);
        if (faults.n_live != live || count_fds() != fds)
            fail_msg("refusing call %u leaves %ld blocks, %d fds", n, (long)faults.n_live - live,
                     count_fds() - fds);
        failed = p.failed;
        n_began += failed && p.began;
    }
    print_message("%u calls refused, %u of them while it ran\n", n - 1, n_began);
    assert_true(n_began > 20);
}

static void test_each_in_turn(void **state)
{
    each(false);
}

static void test_all_for_a_minute(void **state)
{
    each(true);
}

/* ---- the stage ------------------------------------------------------------------------------- */

static int make_file(void **state)
{
    static const char text[] = "A=1\nB='2'\n";
    int fd = mkstemp(env_path);

    return fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1 ? close(fd) : -1;
}

static int remove_file(void **state)
{
    return unlink(env_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revision),
        cmocka_unit_test(test_each_in_turn),
        cmocka_unit_test(test_all_for_a_minute),
    };

    (void)alarm(120);
    (void)unsetenv("NOTIFY_SOCKET");
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
