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
#include "systemd.h"
#include "unit-import.h"
#include "unit-lines.h"

#define ERRNO_MAX 4095

static const ait_policy_action refuse = {.kind = AIT_POLICY_ERRNO, .error = EPERM};

static struct place place_of(const struct import *im, const char *at)
{
    struct place place = {.source = im->source};

    if (im->lines)
        unit_lines_place(im->lines, at, &place.line, &place.column);
    return place;
}

int import_fail(struct import *im, const char *at, const char *format, ...)
{
    struct place place = place_of(im, at);
    char message[sizeof(im->problem->message)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return problem_at(im->problem, -EINVAL, im->source->name, place.line, place.column, "%s",
                      message);
}

void import_note(struct import *im, const char *at, const char *format, ...)
{
    char message[sizeof(im->problem->message)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    draft_note(im->draft, place_of(im, at), "%s", message);
}

/* ---- words ----------------------------------------------------------------------------------- */

/* A number as strtol(3) reads it, and with 0b or 0o before it. -1: no errno. */
static int errno_from_number(const char *text)
{
    const char *digits = text + strspn(text, " \t\r\n");
    int base = 0;
    char *end;

    if (digits[0] == '0' && (digits[1] == 'b' || digits[1] == 'o'))
        base = digits[1] == 'b' ? 2 : 8;
    else
        digits = text;
    digits += base ? 2 : 0;
    errno = 0;
    long n = strtol(digits, &end, base);
    return errno || end == digits || *end || n < 0 || n > ERRNO_MAX ? -1 : (int)n;
}

/* systemd does not look at the case of letters. */
static int errno_from_name(const char *text)
{
    char name[32];
    size_t n = strlen(text);

    if (n >= sizeof(name) || !isalpha((unsigned char)*text))
        return 0;
    for (size_t i = 0; i < n; i++)
        name[i] = (char)toupper((unsigned char)text[i]);
    return policy_errno_from_text(name, n);
}

/* 0: neither an errno nor "kill". An errno of 0 is passed on. */
static int read_action(const char *text, ait_policy_action *ret)
{
    int error = errno_from_name(text);

    if (!strcmp(text, "kill")) {
        *ret = (ait_policy_action){.kind = AIT_POLICY_KILL};
        return 1;
    }
    if (error <= 0)
        error = errno_from_number(text);
    if (error < 0)
        return 0;
    *ret = (ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = (uint16_t)error};
    return 1;
}

static int put_letter(struct import *im, struct unit_word *word, size_t *n, char c)
{
    if (*n == UNIT_WORD_SIZE - 1)
        return import_fail(im, word->at, "a word of more than %d characters", UNIT_WORD_SIZE - 1);
    word->text[(*n)++] = c;
    word->text[*n] = 0;
    return 0;
}

int import_word(struct import *im, bool quotes, const char **value, struct unit_word *word)
{
    const char *p = *value;
    char quote = 0;
    size_t n = 0;
    int e = 0;

    p += strspn(p, " \t\r\n");
    word->at = p;
    word->text[0] = 0;
    for (; *p && (quote || !unit_is_space(*p)) && e >= 0; p++) {
        if (*p == '\\' && p[1])
            e = put_letter(im, word, &n, *++p);
        else if (*p == '\\' || (quote && *p == quote))
            quote = *p == '\\' ? '\\' : 0;
        else if (!quote && quotes && strchr("'\"", *p))
            quote = *p;
        else
            e = put_letter(im, word, &n, *p);
    }
    *value = p;
    word->shown = p - word->at < 40 ? (int)(p - word->at) : 40;
    if (e < 0)
        return e;
    if (!quote)
        return p > word->at;
    if (!im->is_unit)
        return import_fail(im, word->at, "nothing follows the last backslash");
    import_note(im, word->at, "nothing follows the last %s; the word is ignored, as by systemd",
                quote == '\\' ? "backslash" : "quote");
    return -EBADMSG;
}

static int bad_action(struct import *im, const struct unit_word *word, const char *colon)
{
    if (!im->is_unit)
        return import_fail(im, word->at + (colon - word->text) + 1,
                           "an error's name or number, or kill, is expected, not '%.40s'",
                           colon + 1);
    import_note(im, word->at, "'%.*s' has no errno that is known; it is ignored, as by systemd",
                word->shown, word->at);
    return 0;
}

/* systemd answers 0 and does not make the call, which no program can rely on. */
static void avoid_zero(struct import *im, struct unit_word *word)
{
    if (word->action.kind != AIT_POLICY_ERRNO || word->action.error > 0)
        return;
    word->action = refuse;
    import_note(im, word->at,
                "%.*s: systemd lets it do nothing and report success; here it gets EPERM",
                word->shown, word->at);
}

/* Divides the word. 0: systemd ignores it. */
static int read_word(struct import *im, struct unit_word *word)
{
    char *colon = strchr(word->text, ':');

    word->has_action = colon;
    if (!colon)
        return 1;
    if (read_action(colon + 1, &word->action) == 0 ||
        (!im->is_unit && word->action.kind == AIT_POLICY_ERRNO && word->action.error == 0))
        return bad_action(im, word, colon);
    if (im->is_unit && !im->inverted) {
        import_note(im, word->at,
                    "a call that is allowed takes no errno: '%.*s' is ignored, as by systemd; "
                    "write SystemCallFilter=~%.*s",
                    word->shown, word->at, word->shown, word->at);
        return 0;
    }
    avoid_zero(im, word);
    *colon = 0;
    return 1;
}

/* A call with an errno of its own is denied, whichever kind the lists are. */
static void say(struct import *im, const struct unit_word *word, int number)
{
    struct unit_entry *entry = &im->entries[number];

    entry->listed = word->has_action || im->inverted != im->is_allow_list;
    entry->has_action = word->has_action;
    entry->action = word->action;
}

struct saying {
    struct import *import;
    const struct unit_word *word;
};

/* Calls that groups here have, and those of systemd 252 lack. */
#define CALL_URETPROBE 335
#define CALL_UPROBE    336
#define CALL_CACHESTAT 451 /* the first that systemd 252 does not know, but for the next one */
#define CALL_FCHMODAT2 452

static bool is_in_all(int number)
{
    return number != CALL_URETPROBE && number != CALL_UPROBE &&
           (number < CALL_CACHESTAT || number == CALL_FCHMODAT2);
}

struct expanding {
    const char *group;
    int (*fn)(int number, void *userdata);
    void *userdata;
};

/* systemd's @known lacks a call that has long been gone. */
static int pass_common(int number, void *userdata)
{
    const struct expanding *e = userdata;
    bool gone = !strcmp(e->group, "@known") && number == ait_syscall_from_name("nfsservctl");

    return is_in_all(number) && !gone ? e->fn(number, e->userdata) : 0;
}

int import_expand(const char *group, bool all, int (*fn)(int number, void *userdata),
                  void *userdata)
{
    /* what systemd 257 has in @default, and 252 has not */
    static const char *const later[] = {"seccomp",           "landlock_create_ruleset",
                                        "landlock_add_rule", "landlock_restrict_self",
                                        "lsm_get_self_attr", "lsm_list_modules"};
    struct expanding expanding = {group, fn, userdata};
    bool has_default = !strcmp(group, "@default") || !strcmp(group, "@system-service");
    int e = all ? syscall_group_expand(group, fn, userdata)
                : syscall_group_expand(group, pass_common, &expanding);

    for (size_t i = 0; e >= 0 && all && has_default && i < sizeof(later) / sizeof(later[0]); i++)
        e = fn(ait_syscall_from_name(later[i]), userdata);
    return e;
}

static int say_member(int number, void *userdata)
{
    const struct saying *s = userdata;

    say(s->import, s->word, number);
    return 0;
}

int import_unknown(struct import *im, const struct unit_word *word)
{
    const char *kind = *word->text == '@' ? "group" : "system call",
               *nearest = syscall_nearest(word->text);

    if (!im->is_unit)
        return import_fail(im, word->at, "unknown %s '%.63s'%s%s%s", kind, word->text,
                           nearest ? ": is it " : "", nearest ? nearest : "", nearest ? "?" : "");
    import_note(im, word->at, "unknown %s '%.63s'%s%s%s; it is ignored, as by systemd", kind,
                word->text, nearest ? ": is it " : "", nearest ? nearest : "", nearest ? "?" : "");
    return 0;
}

static int say_word(struct import *im, struct unit_word *word)
{
    struct saying s = {im, word};
    int e = read_word(im, word);

    if (e <= 0)
        return e;
    if (*word->text == '@') {
        e = import_expand(word->text, im->inverted, say_member, &s);
        return e < 0 ? import_unknown(im, word) : 0;
    }
    int number = ait_syscall_from_name(word->text);
    if (number == -ENOENT)
        return import_unknown(im, word);
    if (number < 0) {
        import_note(im, word->at, "this architecture has no system call %s: it is skipped",
                    word->text);
        return 0;
    }
    say(im, word, number);
    return 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static void reset_lists(struct import *im)
{
    im->has_list = im->is_allow_list = false;
    memset(im->entries, 0, sizeof(im->entries));
}

/* The first list decides of which kind all are; an allow list has what every program needs. */
static void begin_list(struct import *im, bool inverted)
{
    struct unit_word none = {0};
    struct saying s = {im, &none};

    im->inverted = false;
    if (!im->has_list) {
        im->has_list = true;
        im->is_allow_list = !inverted;
        if (!inverted)
            (void)import_expand("@default", false, say_member, &s);
    }
    im->inverted = inverted;
}

static int read_list(struct import *im, const char *key, const char *value)
{
    bool inverted = *value == '~';
    struct unit_word word;
    int e;

    (void)key;
    if (!*value) {
        reset_lists(im);
        return 0;
    }
    begin_list(im, inverted);
    value += inverted;
    while ((e = import_word(im, false, &value, &word)) > 0) {
        e = say_word(im, &word);
        if (e < 0)
            return e;
    }
    return e == -EBADMSG ? 0 : e;
}

static int read_error(struct import *im, const char *key, const char *value)
{
    ait_policy_action action = {0};

    (void)key;
    if (!*value) {
        im->has_refusal = false;
        return 0;
    }
    if (read_action(value, &action) > 0 && (action.kind == AIT_POLICY_KILL || action.error > 0)) {
        im->has_refusal = true;
        im->refusal = action;
        return 0;
    }
    if (!im->is_unit)
        return import_fail(im, value,
                           "an error's name or number, or kill, is expected, not '%.40s'", value);
    import_note(im, value, "'%.40s' is no errno that is known; it is ignored, as by systemd",
                value);
    return 0;
}

/* The policy is for this architecture only, and kills the others. */
static int read_architectures(struct import *im, const char *key, const char *value)
{
    (void)key;
    if (*value && strcmp(value, "native") != 0)
        import_note(im, value,
                    "only calls of this architecture are allowed, whatever is listed here");
    return 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static unit_reader find_reader(const char *key)
{
    static const struct {
        const char *name;
        unit_reader read;
    } keys[] = {{"SystemCallFilter", read_list},
                {"SystemCallErrorNumber", read_error},
                {"SystemCallArchitectures", read_architectures}};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!strcmp(keys[i].name, key))
            return keys[i].read;
    return unit_settings_reader(key);
}

/* Sections of units that run programs. */
static const char *const sections[][2] = {
    {"service", "[Service]"}, {"socket", "[Socket]"}, {"mount", "[Mount]"}, {"swap", "[Swap]"}};

static bool is_section_of(const struct import *im, const char *line)
{
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        if (!strcmp(sections[i][1], line))
            return !im->type || !strcmp(sections[i][0], im->type);
    return false;
}

/* systemd does not load a unit with a header that it cannot read. */
static int read_section(struct import *im, const char *line)
{
    size_t n = strlen(line);

    for (const char *p = line + 1; *p; p++)
        if (line[n - 1] != ']' || (unsigned char)*p < ' ' || strchr("'\"\\\x7f", *p))
            return import_fail(im, line, "'%.40s' is no header of a section", line);
    im->in_other = !is_section_of(im, line);
    return 0;
}

/* Whether it has the form of a key: letters, then the sign. */
static char *sign_of(char *line)
{
    char *p = line;

    while (isalnum((unsigned char)*p) || *p == '-' || *p == '_')
        p++;
    while (unit_is_space(*p))
        p++;
    return *p == '=' ? p : NULL;
}

static int read_assignment(struct import *im, char *line, char *sign)
{
    char *end = sign, *value = sign + 1;

    *sign = 0;
    while (end > line && unit_is_space(end[-1]))
        *--end = 0;
    while (unit_is_space(*value))
        value++;
    unit_reader read = find_reader(line);
    if (!read)
        return 0;
    if (!im->in_other)
        return read(im, line, value);
    import_note(im, line, "this section has no %s; it is ignored, as by systemd", line);
    return 0;
}

static int read_line(struct import *im, char *line)
{
    char *sign = im->is_unit ? strchr(line, '=') : sign_of(line);

    if (!*line)
        return 0;
    if (*line == '[' && im->is_unit)
        return read_section(im, line);
    if (sign)
        return read_assignment(im, line, sign);
    if (!im->is_unit)
        return read_list(im, NULL, line);
    if (!im->in_other)
        import_note(im, line, "there is no '=' in this line; it is ignored, as by systemd");
    return 0;
}

/* What a text is, before it is read. */
struct look {
    bool has_key;
    bool has_section;
};

static void look_at_line(char *line, struct look *look)
{
    char *sign = sign_of(line);

    look->has_section |= *line == '[';
    if (!sign)
        return;
    *sign = 0;
    line[strcspn(line, " \t")] = 0;
    look->has_key |= !strcmp(line, "SystemCallFilter");
}

static int look_at(const char *text, struct look *ret)
{
    struct unit_lines lines;
    char *line;
    int e = unit_lines_init(&lines, text);

    *ret = (struct look){0};
    while (e >= 0 && unit_lines_next(&lines, &line))
        look_at_line(line, ret);
    unit_lines_done(&lines);
    return e;
}

static int read_text_lines(struct import *im, const char *text)
{
    struct unit_lines lines;
    char *line;
    int e = unit_lines_init(&lines, text);

    im->lines = &lines;
    while (e >= 0 && unit_lines_next(&lines, &line))
        e = read_line(im, line);
    im->lines = NULL;
    unit_lines_done(&lines);
    return e;
}

/* Lines before the first section are nothing to systemd. A text without any may be a part. */
static int read_main(struct import *im, const char *text)
{
    struct look look;
    int e = look_at(text, &look);

    if (e < 0)
        return e;
    im->is_unit = look.has_key || look.has_section;
    im->in_other = look.has_section;
    return read_text_lines(im, text);
}

/* ---- the policy ------------------------------------------------------------------------------ */

static void fill_layer(const struct import *im, struct layer *layer)
{
    const ait_policy_action allow = {.kind = AIT_POLICY_ALLOW};
    ait_policy_action listed = im->is_allow_list ? allow : im->refusal;

    layer->has_fallback = true;
    layer->fallback = im->is_allow_list ? im->refusal : allow;
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        const struct unit_entry *entry = &im->entries[i];
        if (!entry->listed)
            continue;
        layer->calls[i].has_action = true;
        layer->calls[i].action = entry->has_action ? entry->action : listed;
    }
}

static void choose_refusal(struct import *im)
{
    if (im->has_refusal)
        return;
    im->refusal = im->is_unit ? (ait_policy_action){.kind = AIT_POLICY_KILL} : refuse;
    if (im->is_unit && im->has_list)
        import_note(im, NULL,
                    "denied calls kill, which is systemd's default; SystemCallErrorNumber=EPERM "
                    "lets them fail");
}

static int put_all(struct import *im)
{
    __attribute__((cleanup(layer_freep))) struct layer *layer = calloc(1, sizeof(*layer));
    ait_policy_action base[SYSCALL_NEWEST + 1];

    if (!layer)
        return -ENOMEM;
    if (!im->has_list && !unit_settings_any(&im->settings))
        return problem_at(
            im->problem, -EINVAL, im->source->name, 0, 0,
            "it contains no list of system calls; a line SystemCallFilter=... is expected");
    choose_refusal(im);
    fill_layer(im, layer);
    unit_settings_log(&im->settings, layer);
    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        base[i] = layer->calls[i].has_action ? layer->calls[i].action : layer->fallback;
    int e = draft_put(im->draft, layer, im->problem);
    return e < 0 ? e : unit_settings_put(im, base);
}

static int too_large(struct import *im)
{
    return problem_at(im->problem, -E2BIG, im->source->name, 0, 0, "larger than %d bytes",
                      POLICY_TEXT_MAX);
}

static int read_dropin(struct import *im, const struct unit_text *dropin)
{
    im->source = draft_source(im->draft, dropin->name);
    if (!im->source)
        return -ENOMEM;
    im->is_unit = true;
    im->in_other = true;
    import_note(im, NULL, "this drop-in of the unit has been read, as by systemd");
    return read_text_lines(im, dropin->text);
}

static int import_all(struct import *im, const char *text, const struct unit_text *dropins)
{
    const struct source *main = im->source;

    if (strlen(text) > POLICY_TEXT_MAX)
        return too_large(im);
    int e = read_main(im, text);
    for (; e >= 0 && im->is_unit && dropins; dropins = dropins->next)
        e = read_dropin(im, dropins);
    im->source = main;
    return e < 0 ? e : put_all(im);
}

static void import_freep(struct import **p)
{
    if (*p && (*p)->draft)
        draft_done((*p)->draft);
    if (*p)
        free((*p)->draft);
    free(*p);
}

const char *unit_type(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < sizeof(sections) / sizeof(sections[0]); i++)
        if (!strcmp(dot + 1, sections[i][0]))
            return sections[i][0];
    return NULL;
}

int policy_from_unit(ait_policy **ret, const char *name, const char *text,
                     const struct unit_text *dropins, ait_sandbox_problem *problem)
{
    __attribute__((cleanup(import_freep))) struct import *im = calloc(1, sizeof(*im));

    if (im) {
        im->problem = problem;
        im->type = unit_type(name);
        im->draft = calloc(1, sizeof(*im->draft));
        im->source = im->draft ? draft_source(im->draft, name) : NULL;
    }
    int e = im && im->source ? import_all(im, text, dropins) : -ENOMEM;
    if (e >= 0)
        e = draft_finish(im->draft, name, ret, problem);
    return e == -ENOMEM ? problem_at(problem, e, name, 0, 0, "out of memory") : e;
}

AIT_PUBLIC int ait_policy_from_systemd(ait_policy **ret, const char *name, const char *lists,
                                       ait_sandbox_problem *problem)
{
    if (!ret || !lists)
        return -EINVAL;
    return policy_from_unit(ret, name ? name : "lists", lists, NULL, problem);
}
