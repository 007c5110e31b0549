/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "utf8.h"

#define TEXT(s) s, sizeof(s) - 1

static const struct {
    const char *text;
    size_t n, length;
    uint32_t code;
} cases[] = {
    {TEXT(""), 0, 0},
    {TEXT("a"), 1, 'a'},
    {TEXT("\0"), 1, 0},
    {TEXT("\x7f"), 1, 0x7f},
    {TEXT("\xc3\xa9t"), 2, 0xe9},
    {TEXT("\xe2\x82\xac"), 3, 0x20ac},
    {TEXT("\xf0\x9f\x98\x80!"), 4, 0x1f600},
    {TEXT("\xf4\x8f\xbf\xbf"), 4, 0x10ffff},
    /* cut off */
    {TEXT("\xc3"), 0, 0},
    {TEXT("\xe2\x82"), 0, 0},
    {TEXT("\xf0\x9f\x98"), 0, 0},
    /* a continuation without a beginning, and the other way round */
    {TEXT("\x80"), 0, 0},
    {TEXT("\xbf\xbf"), 0, 0},
    {TEXT("\xc3("), 0, 0},
    {TEXT("\xe2\x28\xa1"), 0, 0},
    {TEXT("\xe2\x82\x28"), 0, 0},
    /* overlong */
    {TEXT("\xc0\x80"), 0, 0},
    {TEXT("\xc1\xbf"), 0, 0},
    {TEXT("\xe0\x9f\xbf"), 0, 0},
    {TEXT("\xf0\x8f\xbf\xbf"), 0, 0},
    /* surrogates, and what is above the last code point */
    {TEXT("\xed\xa0\x80"), 0, 0},
    {TEXT("\xed\xbf\xbf"), 0, 0},
    {TEXT("\xf4\x90\x80\x80"), 0, 0},
    {TEXT("\xf8\x88\x80\x80\x80"), 0, 0},
    {TEXT("\xff"), 0, 0},
    /* the neighbours of surrogates */
    {TEXT("\xed\x9f\xbf"), 3, 0xd7ff},
    {TEXT("\xee\x80\x80"), 3, 0xe000},
};

static void test_characters(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t code = UINT32_MAX;

        print_message("case %zu\n", i);
        assert_int_equal(utf8_character(cases[i].text, cases[i].n, &code), cases[i].length);
        assert_int_equal(code, cases[i].length > 0 ? cases[i].code : UINT32_MAX);
    }
}

static size_t encode(uint32_t code, char *p)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = n; i-- > 1; code >>= 6)
        p[i] = (char)(0x80 | (code & 0x3f));
    p[0] = (char)(first[n] | code);
    return n;
}

static void test_each_code_point(void **state)
{
    for (uint32_t code = 0; code < 0x110000; code++) {
        char text[4];
        uint32_t found = 0;
        size_t n = encode(code, text);
        size_t want = code >= 0xd800 && code < 0xe000 ? 0 : n;

        if (utf8_character(text, n, &found) != want || (want > 0 && found != code))
            fail_msg("U+%04X", (unsigned)code);
    }
}

static void test_controls(void **state)
{
    static const uint32_t controls[] = {0, '\n', 0x1f, 0x7f, 0x80, 0x85, 0x9f, 0x2028, 0x2029};
    static const uint32_t others[] = {' ', '~', 0xa0, 0x2027, 0x202a, 0x10ffff};

    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
        assert_true(utf8_is_control(controls[i]));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(utf8_is_control(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_each_code_point),
        cmocka_unit_test(test_controls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
