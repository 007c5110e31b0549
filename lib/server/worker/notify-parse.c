/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <string.h>

#include "utf8.h"

struct value {
    const char *p, *end;
};

/* Each parser takes a value and returns whether it was valid; if not, the message is unchanged. */
struct field {
    const char *name;
    unsigned flag;
    bool (*take)(struct notify_message *m, struct value v);
};

/* ---- values ---------------------------------------------------------------------------------- */

static bool equals(struct value v, const char *word)
{
    size_t n = strlen(word);

    return (size_t)(v.end - v.p) == n && memcmp(v.p, word, n) == 0;
}

static bool take_one(struct notify_message *m, struct value v)
{
    return equals(v, "1");
}

/* Digits only. */
static bool number(struct value v, uint64_t *ret)
{
    uint64_t n = 0;

    if (v.p == v.end)
        return false;
    for (; v.p < v.end; v.p++) {
        if (*v.p < '0' || *v.p > '9')
            return false;
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*v.p - '0'), &n))
            return false;
    }
    *ret = n;
    return true;
}

static bool take_monotonic(struct notify_message *m, struct value v)
{
    return number(v, &m->monotonic_usec);
}

static bool take_extend(struct notify_message *m, struct value v)
{
    return number(v, &m->extend_usec);
}

static bool take_requests(struct notify_message *m, struct value v)
{
    return number(v, &m->requests);
}

static bool take_inflight(struct notify_message *m, struct value v)
{
    return number(v, &m->inflight);
}

static bool take_errno(struct notify_message *m, struct value v)
{
    uint64_t n;

    if (!number(v, &n) || n == 0 || n > 4095) /* the kernel's MAX_ERRNO */
        return false;
    m->error = (int)n;
    return true;
}

/* "0.75", in thousandths; digits beyond are dropped. */
static bool take_load(struct notify_message *m, struct value v)
{
    const char *point = memchr(v.p, '.', (size_t)(v.end - v.p));
    const char *digit = point ? point + 1 : v.end;
    uint64_t whole, milli, weight = 100;

    if (!number((struct value){v.p, point ? point : v.end}, &whole) || (point && digit == v.end))
        return false;
    if (__builtin_mul_overflow(whole, 1000, &milli))
        return false;
    for (; digit < v.end; digit++, weight /= 10)
        if (*digit < '0' || *digit > '9' ||
            __builtin_add_overflow(milli, (uint64_t)(*digit - '0') * weight, &milli))
            return false;
    m->load_milli = milli;
    return true;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Control characters would reach the terminal that shows the status. */
static bool take_status(struct notify_message *m, struct value v)
{
    char status[NOTIFY_STATUS_MAX];
    size_t used = 0;
    bool full = false;

    while (v.p < v.end) {
        uint32_t code;
        size_t n = utf8_character(v.p, (size_t)(v.end - v.p), &code);
        bool control;

        if (n == 0)
            return false;
        control = utf8_is_control(code);
        full |= used + n >= sizeof status;
        if (!full && control)
            status[used++] = '?';
        else if (!full)
            memcpy(status + used, v.p, n), used += n;
        v.p += n;
    }
    memcpy(m->status, status, used);
    m->status[used] = 0;
    return true;
}

static bool take_watchdog(struct notify_message *m, struct value v)
{
    if (equals(v, "trigger"))
        m->fields |= NOTIFY_WATCHDOG_TRIGGER;
    return equals(v, "1") || equals(v, "trigger");
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const struct field fields[] = {
    {"BARRIER", NOTIFY_BARRIER, take_one},
    {"ERRNO", NOTIFY_ERRNO, take_errno},
    {"EXTEND_TIMEOUT_USEC", NOTIFY_EXTEND_TIMEOUT, take_extend},
    {"MONOTONIC_USEC", NOTIFY_MONOTONIC_USEC, take_monotonic},
    {"READY", NOTIFY_READY, take_one},
    {"RELOADING", NOTIFY_RELOADING, take_one},
    {"STATUS", NOTIFY_STATUS, take_status},
    {"STOPPING", NOTIFY_STOPPING, take_one},
    {"WATCHDOG", NOTIFY_WATCHDOG, take_watchdog},
    {"X_AIOTOOLS_INFLIGHT", NOTIFY_INFLIGHT, take_inflight},
    {"X_AIOTOOLS_LOAD", NOTIFY_LOAD, take_load},
    {"X_AIOTOOLS_REQUESTS", NOTIFY_REQUESTS, take_requests},
};

/* Unknown names (MAINPID, FDSTORE, later additions of systemd) are not errors. */
static bool parse_line(const char *line, const char *end, struct notify_message *m)
{
    const char *equal = memchr(line, '=', (size_t)(end - line));
    struct value name = {line, equal};

    if (line == end)
        return true;
    if (!equal || equal == line || memchr(line, 0, (size_t)(end - line)))
        return false;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!equals(name, fields[i].name))
            continue;
        if (!fields[i].take(m, (struct value){equal + 1, end}))
            return false;
        m->fields |= fields[i].flag;
        return true;
    }
    return true;
}

void notify_parse(const char *text, size_t size, struct notify_message *m)
{
    const char *end = text + size;

    /* Some clients count the string's terminator. */
    if (size > 0 && end[-1] == 0)
        end--;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;

        m->n_bad += !parse_line(text, stop, m);
        text = newline ? newline + 1 : end;
    }
}
