/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>

#include "nearest.h"
#include "other-words.h"

#define MAX_OPTIONS 64
#define LONG_BASE   256 /* getopt_long's values for long options: above every letter */
#define HELP_COLUMN 30

const struct option_spec help_options[] = {
    {.name = "help", .letter = 'h', .parse = option_stop, .help = "show this help"},
    {0},
};

static size_t count(const struct option_spec *options)
{
    size_t n = 0;

    while (options[n].name)
        n++;
    return n;
}

/* ---- misspelt words -------------------------------------------------------------------------- */

/* A longer or shorter form of the same word is near, whatever the distance. */
static bool is_form(const char *a, size_t n, const char *b, size_t k)
{
    return n >= 3 && k >= 3 && strncmp(a, b, n < k ? n : k) == 0;
}

int options_nearest(const char *word, const char *const *words)
{
    size_t n = strlen(word);
    unsigned limit = n < 3 ? 0 : 1 + (unsigned)n / 3, least = NEAREST_WORD_MAX;
    int best = -1;

    for (int i = 0; words[i]; i++) {
        unsigned d = edit_distance(word, n, words[i]);

        if (d >= least || (d > limit && !is_form(word, n, words[i], strlen(words[i]))))
            continue;
        least = d;
        best = i;
    }
    return best;
}

/* ---- parsing --------------------------------------------------------------------------------- */

struct getopt_tables {
    struct option longs[MAX_OPTIONS + 1];
    char shorts[2 * MAX_OPTIONS + 3];
};

static void tables_init(struct getopt_tables *t, const struct option_spec *options, size_t n)
{
    char *p = t->shorts;

    memset(t, 0, sizeof(*t));
    *p++ = '+'; /* stop at the first word that is not an option: it is the program */
    *p++ = ':'; /* distinguish a missing value from an unknown option */
    for (size_t i = 0; i < n; i++) {
        t->longs[i].name = options[i].name;
        t->longs[i].has_arg = options[i].value ? required_argument : no_argument;
        t->longs[i].val = LONG_BASE + (int)i;
        if (!options[i].letter)
            continue;
        *p++ = options[i].letter;
        if (options[i].value)
            *p++ = ':';
    }
}

static const struct option_spec *find(const struct option_spec *options, int value)
{
    if (value >= LONG_BASE)
        return &options[value - LONG_BASE];
    for (; options->name; options++)
        if (options->letter && options->letter == value)
            return options;
    return NULL;
}

/* More than one option begins like this. */
static int ambiguous_option(const struct option_spec *options, const char *name, size_t n,
                            struct problem *p)
{
    char list[256] = "";
    unsigned found = 0;

    for (; options->name; options++)
        if (strncmp(options->name, name, n) == 0) {
            size_t k = strlen(list);

            snprintf(list + k, sizeof(list) - k, "%s--%s", found++ ? ", " : "", options->name);
        }
    if (found < 2)
        return 0;
    return problem_set(p, STATUS_USAGE, -EINVAL, "--%.*s: is ambiguous: %s; write the option out",
                       (int)n, name, list);
}

/* What another program calls an option of ours, or has and we do not. 0: it is no such word. */
static int other_option(const struct option_spec *options, const char *dashes, const char *word,
                        size_t n, struct problem *p)
{
    const struct other_words *other = other_words_find(word, n, options);

    if (!other)
        return 0;
    if (!other->option)
        return problem_set(p, STATUS_USAGE, -EINVAL, "%s%.*s: unknown option; %s", dashes, (int)n,
                           word, other->advice);
    return problem_set(p, STATUS_USAGE, -EINVAL, "%s%.*s: unknown option; did you mean --%s?",
                       dashes, (int)n, word, other->option);
}

static int unknown_option(const struct option_spec *options, const char *word, struct problem *p)
{
    const char *names[MAX_OPTIONS + 1] = {NULL};
    char name[64];
    size_t n = strcspn(word + 2, "=");

    int r = ambiguous_option(options, word + 2, n, p);
    if (r >= 0)
        r = other_option(options, "--", word + 2, n, p);
    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%.*s", (int)n, word + 2);
    for (size_t i = 0; options[i].name; i++)
        names[i] = options[i].name;
    int nearest = options_nearest(name, names);
    if (nearest >= 0)
        return problem_set(p, STATUS_USAGE, -EINVAL, "--%s: unknown option; did you mean --%s?",
                           name, names[nearest]);
    return problem_set(p, STATUS_USAGE, -EINVAL, "--%s: unknown option; --help lists them", name);
}

static int bad_option(const struct option_spec *options, char **argv, struct problem *p)
{
    const struct option_spec *spec = optopt ? find(options, optopt) : NULL;

    if (spec)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--%s: takes no value; leave out what follows the =", spec->name);
    if (optopt) {
        const char letter = (char)optopt;
        int r = other_option(options, "-", &letter, 1, p);

        return r < 0 ? r
                     : problem_set(p, STATUS_USAGE, -EINVAL,
                                   "-%c: unknown option; --help lists them", letter);
    }
    return unknown_option(options, argv[optind - 1], p);
}

static int bad_value(const struct option_spec *spec, const char *text, int error, const char *why,
                     struct problem *p)
{
    int status = error == -ENOENT || error == -ENODEV        ? STATUS_CONFIG
                 : error == -EINVAL || error == -ERANGE      ? STATUS_USAGE
                 : error == -ENAMETOOLONG || error == -E2BIG ? STATUS_USAGE
                                                             : STATUS_OS;

    return problem_set(p, status, error, "--%s%s%s: %s", spec->name, text ? "=" : "",
                       text ? text : "", why ? why : strerror(-error));
}

static int take_option(const struct option_spec *spec, void *target, struct problem *p)
{
    const char *why = NULL;
    int r = spec->parse(spec, optarg, target ? (char *)target + spec->offset : NULL, &why);

    return r < 0 ? bad_value(spec, optarg, r, why, p) : r;
}

int options_parse(const struct option_spec *options, void *target, int argc, char **argv,
                  int *ret_first, const struct option_spec **ret_stopped,
                  struct problem *ret_problem)
{
    struct getopt_tables t;
    const struct option_spec *spec;
    int value, r = 0;

    tables_init(&t, options, count(options));
    opterr = 0;
    optind = 0; /* glibc: begin anew */
    while ((value = getopt_long(argc, argv, t.shorts, t.longs, NULL)) >= 0) {
        if (value == '?')
            return bad_option(options, argv, ret_problem);
        spec = find(options, value == ':' ? optopt : value);
        if (value == ':')
            return problem_set(ret_problem, STATUS_USAGE, -EINVAL,
                               "--%s: needs a value; write --%s=%s", spec->name, spec->name,
                               spec->value);
        r = take_option(spec, target, ret_problem);
        if (r < 0)
            return r;
        if (r == OPTION_STOP) {
            *ret_stopped = spec;
            return r;
        }
    }
    *ret_first = optind;
    return 0;
}

/* ---- help ------------------------------------------------------------------------------------ */

/* The rest of a help text, after a newline, is indented to the column. */
static void print_help_text(const char *text, FILE *file)
{
    for (;;) {
        size_t n = strcspn(text, "\n");

        fprintf(file, "%.*s\n", (int)n, text);
        if (!text[n])
            return;
        text += n + 1;
        fprintf(file, "%*s", HELP_COLUMN, "");
    }
}

void options_print(const struct option_spec *options, FILE *file)
{
    for (; options->name; options++) {
        char head[128];

        if (options->section)
            fprintf(file, "\n%s:\n", options->section);
        int n = options->letter ? snprintf(head, sizeof(head), "  -%c, ", options->letter)
                                : snprintf(head, sizeof(head), "      ");
        n += snprintf(head + n, sizeof(head) - (size_t)n, "--%s%s%s", options->name,
                      options->value ? "=" : "", options->value ? options->value : "");
        if (n > HELP_COLUMN - 2)
            fprintf(file, "%s\n%*s", head, HELP_COLUMN, "");
        else
            fprintf(file, "%-*s", HELP_COLUMN, head);
        print_help_text(options->help, file);
    }
}
