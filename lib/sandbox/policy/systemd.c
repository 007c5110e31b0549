/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parse.h"
#include "problem.h"
#include "syscalls/syscalls.h"

#define WORD_SIZE 64

static const ait_policy_action refuse = {.kind = AIT_POLICY_ERRNO, .error = EPERM};

/* The meaning of a line's value. VALUE_APART: it makes another filter in systemd. */
enum value_kind { VALUE_LIST, VALUE_ERROR, VALUE_ARCHITECTURES, VALUE_APART, VALUE_OTHER };

/* What the lists say about a call. */
struct entry {
    bool listed;
    bool has_action;
    ait_policy_action action;
};

struct import {
    struct draft *draft;
    const struct source *source;
    ait_sandbox_problem *problem;
    bool has_refusal;
    ait_policy_action refusal; /* for what is denied without an errno of its own */
    bool is_unit;              /* what systemd ignores, it ignores; else it is a mistake */
    bool has_list;             /* the first one decides which kind they all are */
    bool is_allow_list;
    struct entry entries[SYSCALL_NEWEST + 1];

    /* Where it is. */
    unsigned line;
    const char *start; /* of the line */
    bool in_other;     /* a section that has no such lines */
    enum value_kind kind;
    bool inverted;
    bool begun;     /* the value has been seen to hold something */
    bool continued; /* on this line, from the one before */
    bool goes_on;   /* on the next */
};

struct word {
    const char *text;
    size_t n;
    char name[WORD_SIZE];
    bool has_action;
    ait_policy_action action;
};

__attribute__((format(printf, 3, 4))) static int fail(struct import *im, const char *at,
                                                      const char *format, ...)
{
    char message[sizeof(im->problem->message)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return problem_at(im->problem, -EINVAL, im->source->name, im->line,
                      (unsigned)(at - im->start) + 1, "%s", message);
}

__attribute__((format(printf, 3, 4))) static void note(struct import *im, const char *at,
                                                       const char *format, ...)
{
    struct place place = {im->source, im->line, (unsigned)(at - im->start) + 1};
    char message[sizeof(im->problem->message)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    draft_note(im->draft, place, "%s", message);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* ---- words ----------------------------------------------------------------------------------- */

static int read_action(struct import *im, const char *text, size_t n, ait_policy_action *ret)
{
    int error = policy_errno_from_text(text, n);

    if (n == 4 && !memcmp(text, "kill", 4)) {
        *ret = (ait_policy_action){.kind = AIT_POLICY_KILL};
        return 0;
    }
    if (error == 0)
        return fail(im, text, "an error's name or number, or kill, is expected, not '%.*s'",
                    n < 40 ? (int)n : 40, text);
    *ret = (ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = (uint16_t)error};
    return 0;
}

/* 0: systemd ignores the word. */
static int read_word(struct import *im, struct word *word)
{
    const char *colon = memchr(word->text, ':', word->n);
    size_t n = colon ? (size_t)(colon - word->text) : word->n;
    ait_sandbox_problem *problem = im->problem;

    (void)snprintf(word->name, sizeof(word->name), "%.*s", n < WORD_SIZE ? (int)n : WORD_SIZE - 1,
                   word->text);
    word->has_action = colon;
    if (!colon)
        return 1;
    if (im->is_unit && im->is_allow_list && !im->inverted) {
        note(im, word->text,
             "a call that is allowed takes no errno: '%.*s' is ignored, as by systemd; write "
             "SystemCallFilter=~%.*s",
             word->n < 40 ? (int)word->n : 40, word->text, word->n < 40 ? (int)word->n : 40,
             word->text);
        return 0;
    }
    im->problem = im->is_unit ? NULL : problem;
    int e = read_action(im, colon + 1, word->n - n - 1, &word->action);
    im->problem = problem;
    if (e >= 0 || !im->is_unit)
        return e < 0 ? e : 1;
    note(im, word->text, "'%.*s' has no errno that is known; it is ignored, as by systemd",
         word->n < 40 ? (int)word->n : 40, word->text);
    return 0;
}

/* In an allow list a call stays listed if it is denied with an errno of its own. */
static void say(struct import *im, const struct word *word, int number)
{
    struct entry *entry = &im->entries[number];

    entry->listed = im->inverted != im->is_allow_list || (im->inverted && word->has_action);
    entry->has_action = entry->listed && word->has_action;
    entry->action = word->action;
}

struct saying {
    struct import *import;
    const struct word *word;
};

static int say_member(int number, void *userdata)
{
    const struct saying *s = userdata;

    say(s->import, s->word, number);
    return 0;
}

static int unknown(struct import *im, const struct word *word)
{
    const char *nearest = syscall_nearest(word->name);

    if (im->is_unit) {
        note(im, word->text, "unknown %s '%s'%s%s%s; it is ignored, as by systemd",
             *word->name == '@' ? "group" : "system call", word->name, nearest ? ": is it " : "",
             nearest ? nearest : "", nearest ? "?" : "");
        return 0;
    }
    return fail(im, word->text, "unknown %s '%s'%s%s%s",
                *word->name == '@' ? "group" : "system call", word->name, nearest ? ": is it " : "",
                nearest ? nearest : "", nearest ? "?" : "");
}

static int say_word(struct import *im, struct word *word)
{
    struct saying s = {im, word};
    int e = read_word(im, word);

    if (e <= 0)
        return e;
    if (*word->name == '@') {
        e = syscall_group_expand(word->name, say_member, &s);
        return e < 0 ? unknown(im, word) : 0;
    }
    int number = ait_syscall_from_name(word->name);
    if (number == -ENOENT)
        return unknown(im, word);
    if (number < 0) {
        note(im, word->text, "this architecture has no system call %s: it is skipped", word->name);
        return 0;
    }
    say(im, word, number);
    return 0;
}

static int read_words(struct import *im, const char *p, const char *end)
{
    while (p < end) {
        const char *q = p;
        while (q < end && !is_space(*q))
            q++;
        struct word word = {.text = p, .n = (size_t)(q - p)};
        int e = word.n > 0 ? say_word(im, &word) : 0;
        if (e < 0)
            return e;
        p = q + 1;
    }
    return 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static void reset_lists(struct import *im)
{
    im->has_list = false;
    memset(im->entries, 0, sizeof(im->entries));
}

/* The first list decides of which kind all are; an allow list has what every program needs. */
static void begin_list(struct import *im, bool inverted)
{
    struct word none = {0};
    struct saying s = {im, &none};

    im->inverted = false;
    if (!im->has_list) {
        im->has_list = true;
        im->is_allow_list = !inverted;
        if (!inverted)
            (void)syscall_group_expand("@default", say_member, &s);
    }
    im->inverted = inverted;
}

static int read_list(struct import *im, const char *p, const char *end)
{
    if (im->begun)
        return read_words(im, p, end);
    if (p == end) {
        if (!im->goes_on)
            reset_lists(im);
        return 0;
    }
    bool inverted = *p == '~';
    im->begun = true;
    begin_list(im, inverted);
    return read_words(im, inverted ? p + 1 : p, end);
}

static int read_error(struct import *im, const char *p, const char *end)
{
    ait_sandbox_problem *problem = im->problem;

    if (p == end) {
        if (!im->begun && !im->goes_on)
            im->has_refusal = false;
        return 0;
    }
    im->begun = true;
    im->problem = im->is_unit ? NULL : problem;
    int e = read_action(im, p, (size_t)(end - p), &im->refusal);
    im->problem = problem;
    if (e < 0 && !im->is_unit)
        return e;
    if (e < 0)
        note(im, p, "'%.*s' is no errno that is known; it is ignored, as by systemd",
             end - p < 40 ? (int)(end - p) : 40, p);
    else
        im->has_refusal = true;
    return 0;
}

/* The policy is for this architecture only, and kills the others. */
static void read_architectures(struct import *im, const char *p, const char *end)
{
    if (p < end && !(end - p == 6 && !memcmp(p, "native", 6)))
        note(im, p, "only calls of this architecture are allowed, whatever is listed here");
}

static bool is_off(const char *p, const char *end)
{
    static const char *const words[] = {"", "0", "no", "n", "false", "f", "off"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i]) == (size_t)(end - p) && !strncasecmp(words[i], p, (size_t)(end - p)))
            return true;
    return false;
}

static int read_value(struct import *im, const char *p, const char *end)
{
    if (im->kind == VALUE_LIST)
        return read_list(im, p, end);
    if (im->kind == VALUE_ERROR)
        return read_error(im, p, end);
    if (im->kind == VALUE_ARCHITECTURES && !im->continued)
        read_architectures(im, p, end);
    if (im->kind == VALUE_APART && !im->continued && !is_off(p, end))
        note(im, im->start,
             "%.*s is a filter of its own in systemd and is not read; write rules for it",
             (int)strcspn(im->start, "= \t"), im->start);
    return 0;
}

/* The start of the value; NULL: the line is a bare value. */
static const char *value_of(const char *p, const char *end)
{
    while (p < end && (isalnum((unsigned char)*p) || *p == '-' || *p == '_'))
        p++;
    while (p < end && is_space(*p))
        p++;
    return p < end && *p == '=' ? p + 1 : NULL;
}

static const char *read_key(struct import *im, const char *p, const char *end)
{
    static const struct {
        const char *name;
        enum value_kind kind;
    } keys[] = {
        {"SystemCallFilter", VALUE_LIST},
        {"SystemCallErrorNumber", VALUE_ERROR},
        {"SystemCallArchitectures", VALUE_ARCHITECTURES},
        {"SystemCallLog", VALUE_APART},
        {"LockPersonality", VALUE_APART},
        {"MemoryDenyWriteExecute", VALUE_APART},
        {"ProtectClock", VALUE_APART},
        {"ProtectHostname", VALUE_APART},
        {"ProtectKernelLogs", VALUE_APART},
        {"ProtectKernelModules", VALUE_APART},
        {"RestrictAddressFamilies", VALUE_APART},
        {"RestrictNamespaces", VALUE_APART},
        {"RestrictRealtime", VALUE_APART},
        {"RestrictSUIDSGID", VALUE_APART},
    };
    const char *value = value_of(p, end);
    size_t n = strcspn(p, " \t\r=");

    im->kind = value ? VALUE_OTHER : VALUE_LIST;
    if (!value)
        return p;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strlen(keys[i].name) == n && !memcmp(keys[i].name, p, n))
            im->kind = keys[i].kind;
    if (im->in_other && im->kind != VALUE_OTHER) {
        note(im, p, "this section has no %.*s; it is ignored, as by systemd", (int)n, p);
        im->kind = VALUE_OTHER;
    }
    while (value < end && is_space(*value))
        value++;
    return value;
}

/* Sections of units that run programs. */
static void read_section(struct import *im, const char *p, const char *end)
{
    static const char *const sections[] = {"[Service]", "[Socket]", "[Mount]", "[Swap]"};

    im->in_other = true;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        if (strlen(sections[i]) == (size_t)(end - p) && !memcmp(sections[i], p, (size_t)(end - p)))
            im->in_other = false;
}

static int read_line(struct import *im, const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    while (end > p && is_space(end[-1]))
        end--;
    if (p < end && (*p == '#' || *p == ';'))
        return 0;
    im->goes_on = end > p && end[-1] == '\\';
    if (im->goes_on)
        end--;
    if (!im->continued) {
        if (p < end && *p == '[')
            read_section(im, p, end);
        if (p == end || *p == '[')
            return 0;
        p = read_key(im, p, end);
        im->begun = false;
    }
    while (end > p && is_space(end[-1]))
        end--;
    int e = read_value(im, p, end);
    im->continued = im->goes_on;
    return e;
}

/* Whether it is more than bare lists. */
static bool is_unit(const char *text)
{
    static const char key[] = "SystemCallFilter";

    for (; text; text = strchr(text, '\n')) {
        text += strspn(text, " \t\r\n");
        if (!strncmp(text, key, strlen(key)) &&
            text[strlen(key) + strspn(text + strlen(key), " \t")] == '=')
            return true;
    }
    return false;
}

static int read_lines(struct import *im, const char *text)
{
    text += text_mark(text, strlen(text));
    im->is_unit = is_unit(text);
    while (*text) {
        size_t n = strcspn(text, "\n");
        im->line++;
        im->start = text;
        int e = read_line(im, text, text + n);
        if (e < 0)
            return e;
        text += n + (text[n] == '\n');
    }
    return 0;
}

/* ---- the policy ------------------------------------------------------------------------------ */

static void fill_layer(const struct import *im, struct layer *layer)
{
    const ait_policy_action allow = {.kind = AIT_POLICY_ALLOW};
    ait_policy_action listed = im->is_allow_list ? allow : im->refusal;

    layer->has_fallback = true;
    layer->fallback = im->is_allow_list ? im->refusal : allow;
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        const struct entry *entry = &im->entries[i];
        if (!entry->listed)
            continue;
        layer->calls[i].has_action = true;
        layer->calls[i].action = entry->has_action ? entry->action : listed;
    }
}

static int import_lists(struct import *im, const char *lists)
{
    __attribute__((cleanup(layer_freep))) struct layer *layer = calloc(1, sizeof(*layer));

    if (!layer)
        return -ENOMEM;
    if (strlen(lists) > POLICY_TEXT_MAX)
        return problem_at(im->problem, -E2BIG, im->source->name, 0, 0, "larger than %d bytes",
                          POLICY_TEXT_MAX);
    int e = read_lines(im, lists);
    if (e < 0)
        return e;
    if (!im->has_list)
        return problem_at(
            im->problem, -EINVAL, im->source->name, 0, 0,
            "it contains no list of system calls; a line SystemCallFilter=... is expected");
    im->line = 0;
    im->start = lists;
    if (!im->has_refusal && im->is_unit) {
        im->refusal = (ait_policy_action){.kind = AIT_POLICY_KILL};
        note(im, lists,
             "denied calls kill, which is systemd's default; SystemCallErrorNumber=EPERM lets them "
             "fail");
    } else if (!im->has_refusal)
        im->refusal = refuse;
    fill_layer(im, layer);
    return draft_put(im->draft, layer, im->problem);
}

static void import_freep(struct import **p)
{
    if (*p && (*p)->draft)
        draft_done((*p)->draft);
    if (*p)
        free((*p)->draft);
    free(*p);
}

AIT_PUBLIC int ait_policy_from_systemd(ait_policy **ret, const char *name, const char *lists,
                                       ait_sandbox_problem *problem)
{
    if (!ret || !lists)
        return -EINVAL;
    name = name ? name : "lists";
    __attribute__((cleanup(import_freep))) struct import *im = calloc(1, sizeof(*im));
    if (im) {
        im->problem = problem;
        im->draft = calloc(1, sizeof(*im->draft));
        im->source = im->draft ? draft_source(im->draft, name) : NULL;
    }
    int e = im && im->source ? import_lists(im, lists) : -ENOMEM;
    if (e >= 0)
        e = draft_finish(im->draft, name, ret, problem);
    return e == -ENOMEM ? problem_at(problem, e, name, 0, 0, "out of memory") : e;
}
