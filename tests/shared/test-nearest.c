/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nearest.h"

static void test_distance(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"abc", "abc", 0},
        {"kitten", "sitting", 3},
        {"sitting", "kitten", 3},
        {"ab", "ba", 2},
        {"listen", "listeners", 3},
        {"a-word-of-some-sixty-characters-which-is-the-longest-that-is-ok", "a", 62},
        {"a-word-of-more-than-sixty-characters-which-is-too-long-for-anyone", "a",
         NEAREST_WORD_MAX},
        {"a", "a-word-of-more-than-sixty-characters-which-is-too-long-for-anyone",
         NEAREST_WORD_MAX},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(edit_distance(cases[i].a, strlen(cases[i].a), cases[i].b),
                         cases[i].distance);
}

static void test_best(void **state)
{
    struct nearest nearest = {.word = "opneat-and-more", .n = 6, .distance = 4};

    assert_false(nearest_offer(&nearest, "socket"));
    assert_null(nearest.best);
    assert_true(nearest_offer(&nearest, "open"));
    assert_string_equal(nearest.best, "open");
    assert_true(nearest_offer(&nearest, "openat"));
    /* no nearer than what is there */
    assert_false(nearest_offer(&nearest, "openrt"));
    assert_string_equal(nearest.best, "openat");
    assert_int_equal(nearest.distance, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_distance),
                                       cmocka_unit_test(test_best)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
