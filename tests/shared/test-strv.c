/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "strv.h"

static void test_append(void **state)
{
    char **list = NULL;
    size_t n = 0;
    char text[] = "0";

    for (; n < 9; text[0]++) {
        assert_int_equal(strv_append(&list, &n, text), 0);
        assert_null(list[n]);
    }
    assert_string_equal(list[0], "0");
    assert_string_equal(list[8], "8");
    assert_null(strv_free(list));
}

static void test_empty(void **state)
{
    assert_null(strv_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_append), cmocka_unit_test(test_empty)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
