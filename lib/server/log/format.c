/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format.h"

#include <string.h>

#include "utf8.h"

/* At the end of each piece of a split line but the last. */
#define SPLIT_MARK " \\"

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error",
};
static const char *const channel_names[] = {
    [LOG_STDOUT] = "stdout",
    [LOG_STDERR] = "stderr",
};

/* ---- bytes ----------------------------------------------------------------------------------- */

static void put(struct log_text *t, const char *s, size_t n)
{
    if (t->full || (size_t)(t->end - t->p) < n) {
        t->full = true;
        return;
    }
    memcpy(t->p, s, n);
    t->p += n;
}

static void puts_(struct log_text *t, const char *s)
{
    put(t, s, strlen(s));
}

/* Decimal, padded with zeros to width. */
static void put_number(struct log_text *t, unsigned long long v, unsigned width)
{
    char digits[20];
    size_t i = sizeof(digits);

    do
        digits[--i] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    while (sizeof(digits) - i < width)
        digits[--i] = '0';
    put(t, digits + i, sizeof(digits) - i);
}

/* ---- what a terminal would act on ------------------------------------------------------------ */

static void put_bytes_visibly(struct log_text *t, const char *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        const char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};

        put(t, escape, sizeof(escape));
    }
}

static size_t put_visible_special(struct log_text *t, const char *p, size_t n)
{
    uint32_t code = 0;
    size_t length = utf8_character(p, n, &code);

    if (length == 0 || (utf8_is_control(code) && code != '\t'))
        put_bytes_visibly(t, p, length ?: 1);
    else
        put(t, p, length);
    return length ?: 1;
}

static void put_visible(struct log_text *t, const char *text, size_t n)
{
    while (n > 0) {
        size_t k = 0;

        while (k < n && text[k] >= 0x20 && text[k] < 0x7f)
            k++;
        put(t, text, k);
        if (k < n)
            k += put_visible_special(t, text + k, n - k);
        text += k;
        n -= k;
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_json_escape(struct log_text *t, unsigned c)
{
    static const char hex[] = "0123456789abcdef";
    const char *s = c == '\n'   ? "\\n"
                    : c == '\r' ? "\\r"
                    : c == '\t' ? "\\t"
                    : c == '\b' ? "\\b"
                                : NULL;

    if (s) {
        puts_(t, s);
        return;
    }
    const char escape[6] = {'\\',       'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15],
                            hex[c & 15]};
    put(t, escape, sizeof(escape));
}

static size_t put_json_special(struct log_text *t, const char *p, size_t n)
{
    uint32_t code = 0xfffd;
    size_t length = utf8_character(p, n, &code);

    if (length == 0 || utf8_is_control(code)) {
        put_json_escape(t, code);
        return length ? length : 1;
    }
    if (*p == '"' || *p == '\\')
        put(t, "\\", 1);
    put(t, p, length);
    return length;
}

/* Bytes that are not UTF-8 become U+FFFD, one each. */
static void put_json_string(struct log_text *t, const char *text, size_t n)
{
    put(t, "\"", 1);
    while (n > 0) {
        size_t k = 0;

        while (k < n && text[k] >= 0x20 && text[k] < 0x7f && text[k] != '"' && text[k] != '\\')
            k++;
        put(t, text, k);
        if (k < n)
            k += put_json_special(t, text + k, n - k);
        text += k;
        n -= k;
    }
    put(t, "\"", 1);
}

/*
 * Converts a day of the Unix epoch to a date; gmtime_r() would first read the time zone files. Days
 * are counted from 0000-03-01, so that the leap day is the last of its year.
 */
static void civil_date(uint64_t day, unsigned *year, unsigned *month, unsigned *mday)
{
    uint64_t z = day + 719468;
    unsigned era_day = (unsigned)(z % 146097);
    unsigned era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
    unsigned year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    unsigned m = (5 * year_day + 2) / 153;

    *mday = year_day - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = (unsigned)(z / 146097) * 400 + era_year + (*month <= 2);
}

/* RFC 3339, in UTC, with microseconds */
static void put_time(struct log_text *t, uint64_t usec)
{
    uint64_t second = usec / 1000000;
    unsigned year, month, mday, clock = (unsigned)(second % 86400);

    civil_date(second / 86400, &year, &month, &mday);
    const struct {
        unsigned value, width;
        const char *mark;
    } parts[] = {
        {year, 4, "-"},
        {month, 2, "-"},
        {mday, 2, "T"},
        {clock / 3600, 2, ":"},
        {clock / 60 % 60, 2, ":"},
        {clock % 60, 2, "."},
        {(unsigned)(usec % 1000000), 6, "Z"},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        put_number(t, parts[i].value, parts[i].width);
        puts_(t, parts[i].mark);
    }
}

static void put_member(struct log_text *t, const char *key, const char *value)
{
    puts_(t, ",\"");
    puts_(t, key);
    puts_(t, "\":\"");
    puts_(t, value);
    put(t, "\"", 1);
}

static void put_fields(struct log_text *t, const struct log_record *r)
{
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct log_field *field = &r->fields[i];

        puts_(t, ",\"");
        puts_(t, field->key);
        puts_(t, "\":");
        if (field->raw)
            puts_(t, field->text);
        else
            put_json_string(t, field->text, strlen(field->text));
    }
}

static void format_json(struct log_text *t, const char *name, const struct log_record *r)
{
    puts_(t, "{\"time\":\"");
    put_time(t, r->time);
    puts_(t, "\",\"name\":");
    put_json_string(t, name, strlen(name));
    if (r->event)
        put_member(t, "level", level_names[r->level]);
    if (r->slot >= 0) {
        puts_(t, ",\"slot\":");
        put_number(t, (unsigned)r->slot, 1);
    }
    if (r->pid > 0) {
        puts_(t, ",\"pid\":");
        put_number(t, (unsigned)r->pid, 1);
    }
    if (!r->event)
        put_member(t, "stream", channel_names[r->channel]);
    put_fields(t, r);
    puts_(t, ",\"message\":");
    put_json_string(t, r->text, r->n);
    puts_(t, r->split ? ",\"continued\":true}\n" : "}\n");
}

/* ---- text ------------------------------------------------------------------------------------ */

static void put_event_head(struct log_text *t, const char *name, const struct log_record *r)
{
    puts_(t, name);
    puts_(t, ": ");
    if (r->slot >= 0) {
        puts_(t, "slot ");
        put_number(t, (unsigned)r->slot, 1);
        puts_(t, r->pid > 0 ? ", " : ": ");
    }
    if (r->pid > 0) {
        puts_(t, "pid ");
        put_number(t, (unsigned)r->pid, 1);
        puts_(t, ": ");
    }
    if (r->level != LOG_LEVEL_INFO) {
        puts_(t, level_names[r->level]);
        puts_(t, ": ");
    }
}

static void put_line_head(struct log_text *t, const char *name, const struct log_record *r)
{
    puts_(t, name);
    put(t, "[", 1);
    put_number(t, (unsigned)r->slot, 1);
    put(t, ":", 1);
    put_number(t, (unsigned)r->pid, 1);
    puts_(t, "] ");
}

void log_format_record(struct log_text *t, enum log_format format, const char *name,
                       const struct log_record *record)
{
    if (format == LOG_JSON) {
        format_json(t, name, record);
        return;
    }
    if (record->event)
        put_event_head(t, name, record);
    else if (format == LOG_PREFIX)
        put_line_head(t, name, record);
    if (record->event || record->terminal)
        put_visible(t, record->text, record->n);
    else
        put(t, record->text, record->n);
    puts_(t, record->split ? SPLIT_MARK "\n" : "\n");
}
