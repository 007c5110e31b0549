/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The ABI: each symbol of the version script is declared by the public headers, exported by the real library, and the one that a program is linked
 * with. What the calls say to NULL, where there is no loop and no task.
 */

#include <dlfcn.h>

#include "check.h"

static const struct {
    const char *name;
    void (*address)(void);
} symbols[] = {
#define SYMBOL(name) {#name, (void (*)(void))name},
#include "api-symbols.h"
};

static void test_symbols(void **unused)
{
    assert_true(ELEMENTS(symbols) > 80);
    for (size_t i = 0; i < ELEMENTS(symbols); i++) {
        void *found = dlsym(RTLD_DEFAULT, symbols[i].name);

        if (!found || found != (void *)(uintptr_t)symbols[i].address)
            fail_msg("%s is not exported", symbols[i].name);
        if (i > 0 && strcmp(symbols[i - 1].name, symbols[i].name) >= 0)
            fail_msg("%s is not in its place", symbols[i].name);
    }
}

static void test_version(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(symbols); i++)
        if (!dlvsym(RTLD_DEFAULT, symbols[i].name, "LIBAIOTOOLS_SD_0"))
            fail_msg("%s has no version", symbols[i].name);
}

static void test_hidden(void **unused)
{
    static const char *const names[] = {"context_main", "task_spawn", "this_loop", "timers_fire",
                                        "op_refused"};

    for (size_t i = 0; i < ELEMENTS(names); i++)
        assert_null(dlsym(RTLD_DEFAULT, names[i]));
}

/* Objects: NULL is an error to those that work on it, and nothing to those that end it. */
static void test_null(void **unused)
{
    assert_int_equal(ait_task_cancel(NULL), -EINVAL);
    assert_int_equal(ait_task_uncancel(NULL), -EINVAL);
    assert_int_equal(ait_task_cancelling(NULL), -EINVAL);
    assert_int_equal(ait_task_is_done(NULL), -EINVAL);
    assert_int_equal(ait_task_result(NULL, NULL), -EINVAL);
    assert_int_equal(ait_task_wait(NULL, NULL), -EINVAL);
    assert_int_equal(ait_task_set_name(NULL, "x"), -EINVAL);
    assert_int_equal(ait_cancel_and_wait(NULL, NULL), -EINVAL);
    assert_int_equal(ait_cancel_and_wait_many(NULL, 1), -EINVAL);
    assert_int_equal(ait_scope_spawn(NULL, NULL, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(ait_scope_start(NULL, NULL, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(ait_scope_cancel(NULL), -EINVAL);
    assert_int_equal(ait_scope_cancel_and_wait(NULL), -EINVAL);
    assert_int_equal(ait_scope_abort(NULL), -EINVAL);
    assert_int_equal(ait_scope_set_deadline(NULL, 0), -EINVAL);
    assert_int_equal(ait_scope_set_timeout(NULL, 0), -EINVAL);
    assert_int_equal(ait_scope_is_expired(NULL), -EINVAL);
    assert_int_equal(ait_scope_cancelled_caught(NULL), -EINVAL);
    assert_int_equal(ait_scope_is_cancelled(NULL), -EINVAL);
    assert_int_equal(ait_scope_set_error_handler(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(ait_loop_get_event(NULL, NULL), -EINVAL);
    assert_string_equal(ait_task_name(NULL), "task");
    assert_true(ait_scope_deadline(NULL) == AIT_USEC_INFINITY);
    assert_null(ait_task_ref(NULL));
    assert_null(ait_task_unref(NULL));
    assert_null(ait_loop_ref(NULL));
    assert_null(ait_loop_unref(NULL));
    assert_null(ait_scope_leave(NULL));
    assert_null(ait_clock_ref(NULL));
    assert_null(ait_child_ref(NULL));
    assert_null(ait_task_current());
    assert_null(ait_scope_current());
    assert_null(ait_loop_current());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
