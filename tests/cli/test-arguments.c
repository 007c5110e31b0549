/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of options: parsing, order, what is said of mistakes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arguments.h"
#include "other-words.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

struct target {
    char *text;
    int colour;
    unsigned calls;
};

static int take_absent(const struct option_spec *spec, const char *text, void *field,
                       const char **ret_why)
{
    *ret_why = "is not there";
    return -ENOENT;
}

static int take_flag(const struct option_spec *spec, const char *text, void *field,
                     const char **ret_why)
{
    assert_null(text);
    ++*(unsigned *)field;
    return 0;
}

static int take_refused(const struct option_spec *spec, const char *text, void *field,
                        const char **ret_why)
{
    return -EIO;
}

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct option_spec options[] = {
    {"text", 't', "WORD", option_string, offsetof(struct target, text), "a text"},
    {"colour", 'c', "red|green|blue", option_word, offsetof(struct target, colour), "a colour",
     colours},
    {"flag", 'f', NULL, take_flag, offsetof(struct target, calls), "a flag"},
    {"flagged", 0, NULL, take_flag, offsetof(struct target, calls), "another flag"},
    {"absent", 0, "X", take_absent, 0, "names what is absent"},
    {"refused", 0, "X", take_refused, 0, "an error without a clause"},
    {"help", 'h', NULL, option_stop, 0, "help"},
    {0},
};

/* words separated by blanks, result, then what is set or said */
static const struct {
    const char *words;
    int result;
    const char *text; /* the target's text, or a part of the problem's */
    int colour;
    unsigned calls;
    const char *rest; /* the first word that is no option; NULL: none */
    int status;
} cases[] = {
    {"", 0, NULL, 0, 0, NULL, 0},
    {"prog --text=x", 0, NULL, 0, 0, "prog", 0},
    {"--text=x prog", 0, "x", 0, 0, "prog", 0},
    {"--text x prog", 0, "x", 0, 0, "prog", 0},
    {"-t x -c blue -f prog -f", 0, "x", 2, 1, "prog", 0},
    {"-ftx", 0, "x", 0, 1, NULL, 0},
    {"-ff --flag --flagged", 0, NULL, 0, 4, NULL, 0},
    {"--text=a --text=b", 0, "b", 0, 0, NULL, 0},
    {"--text=a=b", 0, "a=b", 0, 0, NULL, 0},
    {"-f -- -f", 0, NULL, 0, 1, "-f", 0},
    {"--col=green", 0, NULL, 1, 0, NULL, 0},
    {"-f --help --nonsense", OPTION_STOP, NULL, 0, 1, NULL, 0},
    {"--text=", -EINVAL, "--text=: is empty", 0, 0, NULL, STATUS_USAGE},
    {"--colour=pink", -EINVAL, "--colour=pink: is unknown; write red, green or blue", 0, 0, NULL,
     STATUS_USAGE},
    {"-c pink", -EINVAL, "--colour=pink: is unknown", 0, 0, NULL, STATUS_USAGE},
    {"--color=red", -EINVAL, "--color: unknown option; did you mean --colour?", 0, 0, NULL,
     STATUS_USAGE},
    {"--txet=x", -EINVAL, "--txet: unknown option; did you mean --text?", 0, 0, NULL, STATUS_USAGE},
    {"--something=x", -EINVAL, "--something: unknown option; --help lists them", 0, 0, NULL,
     STATUS_USAGE},
    {"--fla", -EINVAL, "--fla: is ambiguous: --flag, --flagged; write the option out", 0, 0, NULL,
     STATUS_USAGE},
    {"-x", -EINVAL, "-x: unknown option; --help lists them", 0, 0, NULL, STATUS_USAGE},
    {"-fx", -EINVAL, "-x: unknown option", 0, 1, NULL, STATUS_USAGE},
    {"--flag=1", -EINVAL, "--flag: takes no value", 0, 0, NULL, STATUS_USAGE},
    {"-f --text", -EINVAL, "--text: needs a value; write --text=WORD", 0, 1, NULL, STATUS_USAGE},
    {"-t", -EINVAL, "--text: needs a value", 0, 0, NULL, STATUS_USAGE},
    {"--absent=it", -ENOENT, "--absent=it: is not there", 0, 0, NULL, STATUS_CONFIG},
    {"--refused=it", -EIO, "--refused=it: Input/output error", 0, 0, NULL, STATUS_OS},
};

static void check_case(size_t i)
{
    char words[128], *argv[16] = {(char *)"test"};
    const struct option_spec *stopped = NULL;
    struct target target = {0};
    struct problem problem;
    int argc = 1, first = -1;

    snprintf(words, sizeof(words), "%s", cases[i].words);
    for (char *save, *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;

    int r = options_parse(options, &target, argc, argv, &first, &stopped, &problem);
    assert_int_equal(r, cases[i].result);
    assert_int_equal(target.calls, cases[i].calls);
    assert_int_equal(target.colour, cases[i].colour);
    if (r < 0) {
        assert_non_null(strstr(problem.text, cases[i].text));
        assert_int_equal(problem.status, cases[i].status);
    } else if (cases[i].text)
        assert_string_equal(target.text, cases[i].text);
    if (r == OPTION_STOP)
        assert_string_equal(stopped->name, "help");
    if (r == 0 && cases[i].rest)
        assert_string_equal(argv[first], cases[i].rest);
    else if (r == 0)
        assert_int_equal(first, argc);
    free(target.text);
}

static void test_parse(void **state)
{
    for (size_t i = 0; i < LENGTH(cases); i++) {
        print_message("words: %s\n", cases[i].words);
        check_case(i);
    }
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"workers", "listen", "listeners", "log",
                                        "env",     "user",   NULL};
    static const struct {
        const char *word;
        int index;
    } nearest[] = {
        {"workers", 0},  {"worker", 0},  {"wrokers", 0},
        {"listener", 2}, {"lisen", 1},   {"logs", 3},
        {"lgo", 3},      {"logging", 3}, {"environment", 4},
        {"usr", 5},      {"x", -1},      {"", -1},
        {"xxxxxxx", -1}, {"lo", -1},     {"a-word-that-is-longer-than-each-of-the-names-here", -1},
    };

    for (size_t i = 0; i < LENGTH(nearest); i++) {
        print_message("word: %s\n", nearest[i].word);
        assert_int_equal(options_nearest(nearest[i].word, words), nearest[i].index);
    }
}

/* Each row leads to an option that exists, or says what to do; no word stands in two rows. */
static void test_other_words(void **state)
{
    for (const struct other_words *row = other_words; row->words; row++) {
        const struct option_spec *o = server_options;

        print_message("words: %s\n", row->words);
        assert_true(!row->option == !!row->advice);
        while (row->option && o->name && strcmp(o->name, row->option) != 0)
            o++;
        assert_non_null(o->name);
        for (const char *word = row->words; *word; word += strspn(word, " ")) {
            size_t n = strcspn(word, " ");
            const struct other_words *found = other_words_find(word, n, server_options);

            /* "bind" is --listen here, and --read-write in a table without that. */
            assert_true(found == row || strncmp(word, "bind", n) == 0);
            assert_true(n == 1 || word[strcspn(word, "-_")] == '\0' || strcspn(word, "-_") > n);
            word += n;
        }
    }
    assert_ptr_equal(other_words_find("bind", 4, server_options), other_words);
    assert_null(other_words_find("bind", 4, options));
    assert_null(other_words_find("B", 1, server_options));
    assert_string_equal(other_words_find("Kill_Signal", 11, server_options)->option, "stop-signal");
}

static void test_print(void **state)
{
    char *text = NULL;
    size_t n;
    FILE *file = open_memstream(&text, &n);

    assert_non_null(file);
    options_print(options, file);
    fclose(file);
    for (const struct option_spec *o = options; o->name; o++) {
        assert_non_null(strstr(text, o->name));
        assert_non_null(strstr(text, o->help));
    }
    assert_non_null(strstr(text, "  -c, --colour=red|green|blue\n"));
    assert_non_null(strstr(text, "  -f, --flag                  a flag\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_other_words),
        cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
