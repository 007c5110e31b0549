/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The ABI: each symbol of the version script is declared by the public headers, exported by the
 * real library, and the one that a program is linked with. What the calls say to NULL, where there
 * is no loop and no task.
 */

#include <dlfcn.h>

#include <aiotools-sd/sandbox.h>

#include "check.h"

struct symbol {
    const char *name;
    void (*address)(void);
};

#define SYMBOL(name) {#name, (void (*)(void))name},
static const struct symbol symbols[] = {
#include "libaiotools-sd-symbols.h"
};
static const struct symbol sandbox_symbols[] = {
#include "libaiotools-sd-sandbox-symbols.h"
};

static const struct {
    const char *version;
    const struct symbol *symbols;
    size_t n;
} libraries[] = {
    {"LIBAIOTOOLS_SD_0", symbols, ELEMENTS(symbols)},
    {"LIBAIOTOOLS_SD_SANDBOX_0", sandbox_symbols, ELEMENTS(sandbox_symbols)},
};

static void test_symbols(void **unused)
{
    assert_true(ELEMENTS(symbols) > 80 && ELEMENTS(sandbox_symbols) > 20);
    for (size_t i = 0; i < ELEMENTS(libraries); i++)
        for (size_t k = 0; k < libraries[i].n; k++) {
            const struct symbol *symbol = libraries[i].symbols + k;
            void *found = dlvsym(RTLD_DEFAULT, symbol->name, libraries[i].version);

            if (!found || found != (void *)(uintptr_t)symbol->address)
                fail_msg("%s is not exported, or not as %s", symbol->name, libraries[i].version);
            if (k > 0 && strcmp(symbol[-1].name, symbol->name) >= 0)
                fail_msg("%s is not in its place", symbol->name);
        }
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
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
