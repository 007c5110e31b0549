/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dropins.h"
#include "parse.h"
#include "problem.h"
#include "slurp.h"
#include "systemd.h"

static const struct place nowhere = {0};

static int include(struct draft *draft, const struct reading *from, struct place place,
                   const char *what, bool is_path, ait_sandbox_problem *problem);

/* About the file itself, or about the line that includes it. */
static int fail(ait_sandbox_problem *problem, int error, struct place place, const char *what,
                const char *message)
{
    if (place.source)
        return problem_at(problem, error, place.source->name, place.line, place.column,
                          "include '%.128s': %s", what, message);
    return problem_at(problem, error, what, 0, 0, "%s", message);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void text_freep(char **p)
{
    free(*p);
}

/*
 * Opening never blocks: neither for the writer of a FIFO, nor for a terminal. What is not a regular
 * file can be read only once, and has no files beside it.
 */
static int load(const char *path, bool regular, struct reading *reading, char **ret,
                size_t *ret_length, const char **ret_message)
{
    __attribute__((cleanup(closep))) int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        int e = -errno;
        *ret_message = e == -EAGAIN ? "a process holds a lease on it, and nobody else may open it; "
                                      "end that process, or try again later"
                                    : strerrordesc_np(-e);
        return e;
    }
    if (S_ISREG(st.st_mode)) {
        reading->path = path;
        reading->device = st.st_dev;
        reading->inode = st.st_ino;
    } else if (regular || S_ISDIR(st.st_mode)) {
        *ret_message =
            S_ISDIR(st.st_mode) ? "a directory; a policy is a regular file" : "not a regular file";
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    }
    int e = slurp(fd, POLICY_TEXT_MAX, ret, ret_length);
    if (e < 0)
        *ret_message =
            e == -EFBIG ? "it is larger than 1 MiB, the limit for a policy" : strerrordesc_np(-e);
    return e == -EFBIG ? -E2BIG : e;
}

/* ---- includes -------------------------------------------------------------------------------- */

static bool is_same(const struct reading *a, const struct reading *b)
{
    if (a->preset || b->preset)
        return a->preset && b->preset && !strcmp(a->source->name, b->source->name);
    return a->path && b->path && a->device == b->device && a->inode == b->inode;
}

static void append_chain(const struct reading *reading, char *buffer,
                         size_t size) /* NOLINT(misc-no-recursion) */
{
    if (reading->parent)
        append_chain(reading->parent, buffer, size);
    size_t n = strlen(buffer);
    (void)snprintf(buffer + n, size - n, "%s%s", n ? " -> " : "", reading->source->name);
}

static int check_chain(const struct draft *draft, const struct reading *reading, struct place place,
                       ait_sandbox_problem *problem)
{
    char chain[400] = "";

    for (const struct reading *r = reading->parent; r; r = r->parent)
        if (is_same(r, reading)) {
            append_chain(reading, chain, sizeof(chain));
            return problem_at(problem, -ELOOP, place.source->name, place.line, place.column,
                              "files that include each other: %s", chain);
        }
    if (reading->depth > POLICY_DEPTH_MAX) {
        append_chain(reading, chain, sizeof(chain));
        return problem_at(problem, -ELOOP, place.source->name, place.line, place.column,
                          "includes are nested more than %d deep: %s", POLICY_DEPTH_MAX, chain);
    }
    if (draft->n_files > POLICY_FILES_MAX)
        return problem_at(problem, -E2BIG, place.source->name, place.line, place.column,
                          "more than %d files in one policy", POLICY_FILES_MAX);
    return 0;
}

static const struct policy_preset *find_preset(const char *name)
{
    for (size_t i = 0; i < policy_n_presets; i++)
        if (!strcmp(policy_presets[i].name, name))
            return &policy_presets[i];
    return NULL;
}

static int read_preset(struct draft *draft, const struct reading *from, struct place place,
                       const struct policy_preset *preset, ait_sandbox_problem *problem)
{
    struct reading reading = {
        .include = include, .parent = from, .preset = true, .depth = from ? from->depth + 1 : 0};

    draft->n_files++;
    reading.source = draft_source(draft, preset->name);
    if (!reading.source)
        return -ENOMEM;
    int e = check_chain(draft, &reading, place, problem);
    return e < 0 ? e
                 : policy_parse_text(draft, &reading, preset->text, strlen(preset->text), problem);
}

static int read_file(struct draft *draft, const struct reading *from, struct place place,
                     const char *path, ait_sandbox_problem *problem)
{
    struct reading reading = {
        .include = include, .parent = from, .depth = from ? from->depth + 1 : 0};
    __attribute__((cleanup(text_freep))) char *text = NULL;
    const char *message = NULL;
    size_t length = 0;

    draft->n_files++;
    reading.source = draft_source(draft, path);
    if (!reading.source)
        return -ENOMEM;
    int e = load(path, true, &reading, &text, &length, &message);
    if (e < 0)
        return fail(problem, e, place, path, message);
    e = check_chain(draft, &reading, place, problem);
    return e < 0 ? e : policy_parse_text(draft, &reading, text, length, problem);
}

/* Relative to the file that includes it; in a text, to the current directory. */
static char *beside(const struct reading *from, const char *path)
{
    const char *slash = from->path ? strrchr(from->path, '/') : NULL;
    size_t n = slash && *path != '/' ? (size_t)(slash - from->path) + 1 : 0;
    size_t size = n + strlen(path) + 1;
    char *joined = malloc(size);

    if (joined)
        (void)snprintf(joined, size, "%.*s%s", (int)n, n ? from->path : "", path);
    return joined;
}

static int include(struct draft *draft, const struct reading *from, struct place place,
                   const char *what, bool is_path, ait_sandbox_problem *problem)
{
    const struct policy_preset *preset = is_path ? NULL : find_preset(what);

    if (preset)
        return read_preset(draft, from, place, preset, problem);
    if (from->preset)
        return fail(problem, -ENOENT, place, what, "no such preset");
    __attribute__((cleanup(text_freep))) char *path = beside(from, what);
    if (!path)
        return -ENOMEM;
    return read_file(draft, from, place, path, problem);
}

/* ---- the public side ------------------------------------------------------------------------- */

static void draft_freep(struct draft **p)
{
    if (*p)
        draft_done(*p);
    free(*p);
}

static int no_memory(ait_sandbox_problem *problem, int error, const char *name)
{
    return error == -ENOMEM ? problem_at(problem, error, name, 0, 0, "out of memory") : error;
}

static int parse(ait_policy **ret, struct reading *reading, const char *name, const char *text,
                 size_t length, ait_sandbox_problem *problem)
{
    __attribute__((cleanup(draft_freep))) struct draft *draft = calloc(1, sizeof(*draft));

    reading->source = draft ? draft_source(draft, name) : NULL;
    int e = reading->source ? policy_parse_text(draft, reading, text, length, problem) : -ENOMEM;
    if (e >= 0)
        e = draft_finish(draft, name, ret, problem);
    return no_memory(problem, e, name);
}

AIT_PUBLIC int ait_policy_from_text(ait_policy **ret, const char *name, const char *text,
                                    size_t length, ait_sandbox_problem *problem)
{
    struct reading reading = {.include = include};

    if (!ret || (!text && length > 0))
        return -EINVAL;
    return parse(ret, &reading, name ? name : "policy", text ? text : "", length, problem);
}

AIT_PUBLIC int ait_policy_from_file(ait_policy **ret, const char *path,
                                    ait_sandbox_problem *problem)
{
    if (!ret || !path)
        return -EINVAL;
    __attribute__((cleanup(draft_freep))) struct draft *draft = calloc(1, sizeof(*draft));
    int e = draft ? read_file(draft, NULL, nowhere, path, problem) : -ENOMEM;

    if (e >= 0)
        e = draft_finish(draft, path, ret, problem);
    return no_memory(problem, e, path);
}

AIT_PUBLIC int ait_policy_from_preset(ait_policy **ret, const char *name,
                                      ait_sandbox_problem *problem)
{
    if (!ret || !name)
        return -EINVAL;
    const struct policy_preset *preset = find_preset(name);
    if (!preset)
        return problem_at(problem, -ENOENT, name, 0, 0,
                          "no such preset: there are service and strict");
    __attribute__((cleanup(draft_freep))) struct draft *draft = calloc(1, sizeof(*draft));
    int e = draft ? read_preset(draft, NULL, nowhere, preset, problem) : -ENOMEM;

    if (e >= 0)
        e = draft_finish(draft, name, ret, problem);
    return no_memory(problem, e, name);
}

/* ---- any language ---------------------------------------------------------------------------- */

static const char *first_line(const char *text)
{
    text += text_mark(text, strlen(text));
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (*text != '#' && *text != ';')
            return text;
        text += strcspn(text, "\n");
    }
}

static ait_policy_format recognise(const char *text)
{
    const char *first = first_line(text);

    if (strncmp(first, "policy", 6) == 0 && strchr(" \t\r\n", first[6]))
        return AIT_POLICY_FORMAT_NATIVE;
    return *first == '{' ? AIT_POLICY_FORMAT_JSON : AIT_POLICY_FORMAT_SYSTEMD;
}

/* ---- units ----------------------------------------------------------------------------------- */

static void unit_texts_freep(struct unit_text **p)
{
    while (*p) {
        struct unit_text *next = (*p)->next;
        free((*p)->name);
        free((*p)->text);
        free(*p);
        *p = next;
    }
}

static void dropins_freep(struct dropin **p)
{
    *p = dropins_free(*p);
}

/* 1: it is there. systemd passes over one that is not. */
static int read_dropin(const char *path, struct unit_text **ret, ait_sandbox_problem *problem)
{
    __attribute__((cleanup(unit_texts_freep))) struct unit_text *dropin =
        calloc(1, sizeof(*dropin));
    struct reading reading = {0};
    const char *message = NULL;
    size_t length = 0;

    if (!dropin || !(dropin->name = strdup(path)))
        return -ENOMEM;
    int e = load(path, false, &reading, &dropin->text, &length, &message);
    if (e == -ENOENT)
        return 0;
    if (e < 0)
        return fail(problem, e, nowhere, path, message);
    if (strlen(dropin->text) != length)
        return fail(problem, -EINVAL, nowhere, path, "it contains a NUL byte; a drop-in is text");
    *ret = dropin;
    dropin = NULL;
    return 1;
}

static int read_dropins(const char *path, struct unit_text **ret, ait_sandbox_problem *problem)
{
    __attribute__((cleanup(dropins_freep))) struct dropin *dropins = NULL;
    int e = dropins_find(path, &dropins);
    unsigned n = 0;

    if (e < 0 && e != -ENOMEM)
        return problem_at(problem, e, path, 0, 0, "its drop-ins cannot be read: %s",
                          strerrordesc_np(-e));
    for (const struct dropin *d = dropins; d && e >= 0; d = d->next) {
        if (++n > POLICY_FILES_MAX)
            return fail(problem, -E2BIG, nowhere, path, "it has more than 64 drop-ins");
        e = read_dropin(d->path, ret, problem);
        if (e > 0)
            ret = &(*ret)->next;
    }
    return e;
}

/* What can be read only once has no name that could be a unit's. */
static int read_unit(ait_policy **ret, const struct reading *reading, const char *path,
                     const char *text, ait_sandbox_problem *problem)
{
    __attribute__((cleanup(unit_texts_freep))) struct unit_text *dropins = NULL;
    int e = reading->path ? read_dropins(path, &dropins, problem) : 0;

    return no_memory(problem, e < 0 ? e : policy_from_unit(ret, path, text, dropins, problem),
                     path);
}

/* Text in our own language without its first line would be taken for lists. */
static int guess_lists(ait_policy **ret, const struct reading *reading, const char *path,
                       const char *text, ait_sandbox_problem *problem)
{
    int e = read_unit(ret, reading, path, text, problem);

    if (e != -EINVAL || !problem)
        return e;
    if (problem->line == 0)
        return problem_at(problem, e, path, 0, 0,
                          "this is not a policy; begin it with the line \"policy 1\", or write "
                          "lists as for SystemCallFilter=");
    if (!strchr("@~[", *first_line(text)) && !strstr(text, "SystemCall")) {
        size_t n = strlen(problem->message);
        (void)snprintf(problem->message + n, sizeof(problem->message) - n,
                       " (a policy in our own language begins with the line \"policy 1\")");
    }
    return e;
}

/* Lines that it speaks of are those of whatever the importer has made of it. */
static int import(ait_policy **ret, const char *path, const char *text, size_t length,
                  ait_policy_import_cb import_json, void *userdata, ait_sandbox_problem *problem)
{
    if (!import_json)
        return fail(problem, -EOPNOTSUPP, nowhere, path,
                    "JSON cannot be read here; write the policy as text");
    int e = import_json(ret, path, text, length, problem, userdata);
    if (e >= 0)
        policy_disown(*ret);
    for (struct policy_note *note = e < 0 ? NULL : (*ret)->notes; note; note = note->next)
        note->text.line = note->text.column = 0;
    return e;
}

AIT_PUBLIC int ait_policy_load(ait_policy **ret, const char *path, ait_policy_format format,
                               ait_policy_import_cb import_json, void *userdata,
                               ait_sandbox_problem *problem)
{
    struct reading reading = {.include = include};
    __attribute__((cleanup(text_freep))) char *text = NULL;
    const char *message;
    size_t length;

    if (!ret || !path || (unsigned)format > AIT_POLICY_FORMAT_JSON)
        return -EINVAL;
    int e = load(path, false, &reading, &text, &length, &message);
    if (e == -ENOENT && find_preset(path))
        message =
            "there is no such file; to use the preset of this name, include it in a policy file";
    if (e < 0)
        return fail(problem, e, nowhere, path, message);
    bool guessed = format == AIT_POLICY_FORMAT_AUTO;
    if (guessed)
        format = recognise(text);
    if (format == AIT_POLICY_FORMAT_NATIVE)
        return parse(ret, &reading, path, text, length, problem);
    if (format == AIT_POLICY_FORMAT_JSON)
        return import(ret, path, text, length, import_json, userdata, problem);
    if (strlen(text) != length)
        return fail(problem, -EINVAL, nowhere, path, "it contains a NUL byte; a policy is text");
    return guessed ? guess_lists(ret, &reading, path, text, problem)
                   : read_unit(ret, &reading, path, text, problem);
}
