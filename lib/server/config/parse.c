/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parse.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define USEC_PER_MSEC  UINT64_C(1000)
#define USEC_PER_SEC   UINT64_C(1000000)
#define USEC_PER_MIN   (60 * USEC_PER_SEC)
#define USEC_PER_HOUR  (60 * USEC_PER_MIN)
#define USEC_PER_DAY   (24 * USEC_PER_HOUR)
/* 365.25 days, and a twelfth of them */
#define USEC_PER_YEAR  (UINT64_C(31557600) * USEC_PER_SEC)
#define USEC_PER_MONTH (USEC_PER_YEAR / 12)

#define WHY_TIME    "is not a time; write 500ms, 1.5s, 2min (a bare number is in seconds) or infinity"
#define WHY_SIZE    "is not a size; write 4096, 64M, 1.5G or infinity"
#define WHY_NUMBER  "is not a number; write decimal digits only"
#define WHY_RATE    "is not N/TIME; write a number and a time, such as 20/5min"
#define WHY_RANGE   "is not BASE..CAP; write two times, such as 100ms..30s"
#define WHY_AMOUNT  "is neither a number nor a percentage; write 1 or 25%"
#define WHY_WORKERS "is not a number of workers; write auto, or a number from 1 to 1024"
#define WHY_SIGNAL  "is not a signal; write a name or a number, such as TERM, SIGQUIT or 15"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {
    {"", USEC_PER_SEC},
    {"us", 1},
    {"usec", 1},
    {"\xc2\xb5s", 1}, /* U+00B5 micro sign */
    {"\xce\xbcs", 1}, /* U+03BC mu */
    {"ms", USEC_PER_MSEC},
    {"msec", USEC_PER_MSEC},
    {"s", USEC_PER_SEC},
    {"sec", USEC_PER_SEC},
    {"second", USEC_PER_SEC},
    {"seconds", USEC_PER_SEC},
    {"m", USEC_PER_MIN},
    {"min", USEC_PER_MIN},
    {"minute", USEC_PER_MIN},
    {"minutes", USEC_PER_MIN},
    {"h", USEC_PER_HOUR},
    {"hr", USEC_PER_HOUR},
    {"hour", USEC_PER_HOUR},
    {"hours", USEC_PER_HOUR},
    {"d", USEC_PER_DAY},
    {"day", USEC_PER_DAY},
    {"days", USEC_PER_DAY},
    {"w", 7 * USEC_PER_DAY},
    {"week", 7 * USEC_PER_DAY},
    {"weeks", 7 * USEC_PER_DAY},
    {"M", USEC_PER_MONTH},
    {"month", USEC_PER_MONTH},
    {"months", USEC_PER_MONTH},
    {"y", USEC_PER_YEAR},
    {"year", USEC_PER_YEAR},
    {"years", USEC_PER_YEAR},
    {NULL, 0},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"K", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
    {"P", UINT64_C(1) << 50},
    {"E", UINT64_C(1) << 60},
    {NULL, 0},
};

static int fail(int error, const char *why, const char **ret_why)
{
    if (ret_why)
        *ret_why = why;
    return error;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters, and the bytes of the micro sign. */
static bool is_unit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

/* Digits to a number; advances *p. -EINVAL: there are none. */
static int take_digits(const char **p, uint64_t *ret)
{
    uint64_t value = 0;
    const char *c = *p;

    if (!is_digit(*c))
        return -EINVAL;
    for (; is_digit(*c); c++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *c - '0', &value))
            return -ERANGE;
    *p = c;
    *ret = value;
    return 0;
}

/* Whole and fraction of one term; the fraction in 10^-9, further digits are dropped. */
static int take_decimal(const char **p, uint64_t *ret_whole, uint32_t *ret_nano)
{
    uint64_t whole = 0;
    uint32_t nano = 0, weight = 100000000;
    int r = take_digits(p, &whole);

    if (r == -ERANGE)
        return r;
    if (**p == '.') {
        (*p)++;
        if (!is_digit(**p))
            return -EINVAL;
        for (; is_digit(**p); (*p)++, weight /= 10)
            nano += (uint32_t)(**p - '0') * weight;
    } else if (r < 0) {
        return r;
    }
    *ret_whole = whole;
    *ret_nano = nano;
    return 0;
}

static const struct unit *take_unit(const char **p, const struct unit *units)
{
    size_t n = 0;

    while (is_unit((*p)[n]))
        n++;
    for (; units->name; units++)
        if (strlen(units->name) == n && memcmp(units->name, *p, n) == 0) {
            *p += n;
            return units;
        }
    return NULL;
}

static int take_term(const char **p, const struct unit *units, uint64_t *ret)
{
    const struct unit *unit;
    uint64_t whole, value;
    uint32_t nano;
    int r;

    r = take_decimal(p, &whole, &nano);
    if (r < 0)
        return r;
    *p = skip_blanks(*p);
    unit = take_unit(p, units);
    if (!unit)
        return -EINVAL;
    if (__builtin_mul_overflow(whole, unit->factor, &value))
        return -ERANGE;
    /* At most 10^9 * 2^60, above 64 bits. */
    if (__builtin_add_overflow(
            value, (uint64_t)((unsigned __int128)nano * unit->factor / 1000000000), &value))
        return -ERANGE;
    *ret = value;
    return 0;
}

static int parse_terms(const char *text, const struct unit *units, uint64_t *ret)
{
    const char *p = skip_blanks(text);
    uint64_t sum = 0, term;
    int r;

    if (strcmp(p, "infinity") == 0) {
        *ret = PARSE_INFINITY;
        return 0;
    }
    do {
        r = take_term(&p, units, &term);
        if (r < 0)
            return r;
        if (__builtin_add_overflow(sum, term, &sum))
            return -ERANGE;
        p = skip_blanks(p);
    } while (*p);
    if (sum == PARSE_INFINITY)
        return -ERANGE;
    *ret = sum;
    return 0;
}

int parse_time(const char *text, uint64_t *ret_usec, const char **ret_why)
{
    int r = parse_terms(text, time_units, ret_usec);

    if (r == -ERANGE)
        return fail(r, "is too long; write infinity for no limit", ret_why);
    return r < 0 ? fail(r, WHY_TIME, ret_why) : 0;
}

int parse_size(const char *text, uint64_t *ret_bytes, const char **ret_why)
{
    int r = parse_terms(text, size_units, ret_bytes);

    if (r == -ERANGE)
        return fail(r, "is too large; write infinity for no limit", ret_why);
    return r < 0 ? fail(r, WHY_SIZE, ret_why) : 0;
}

int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret, const char **ret_why)
{
    uint64_t value;
    int r = take_digits(&text, &value);

    if (r == 0 && *text)
        r = -EINVAL;
    if (r == 0 && (value < min || value > max))
        r = -ERANGE;
    if (r == -ERANGE)
        return fail(r, "is out of range", ret_why);
    if (r < 0)
        return fail(r, WHY_NUMBER, ret_why);
    *ret = value;
    return 0;
}

int parse_rate(const char *text, struct rate *ret, const char **ret_why)
{
    uint64_t count, usec;
    int r = take_digits(&text, &count);

    if (r < 0 || *text != '/')
        return fail(r < 0 ? r : -EINVAL, WHY_RATE, ret_why);
    r = parse_time(text + 1, &usec, NULL);
    if (r < 0)
        return fail(r, WHY_RATE, ret_why);
    if (count > PARSE_RATE_MAX)
        return fail(-ERANGE, "is out of range; N is at most 10000, or 0 for no limit", ret_why);
    *ret = (struct rate){.count = (unsigned)count, .usec = usec};
    return 0;
}

int parse_time_range(const char *text, struct time_range *ret, const char **ret_why)
{
    char base[64];
    struct time_range range;
    const char *dots = strstr(text, "..");
    int r;

    if (!dots || (size_t)(dots - text) >= sizeof base)
        return fail(-EINVAL, WHY_RANGE, ret_why);
    memcpy(base, text, (size_t)(dots - text));
    base[dots - text] = 0;

    r = parse_time(base, &range.base_usec, NULL);
    if (r == 0)
        r = parse_time(dots + 2, &range.cap_usec, NULL);
    if (r < 0)
        return fail(r, WHY_RANGE, ret_why);
    if (range.base_usec == 0 || range.cap_usec == PARSE_INFINITY ||
        range.base_usec > range.cap_usec)
        return fail(-ERANGE,
                    "is out of range; BASE must be above 0, and CAP finite and not below BASE",
                    ret_why);
    *ret = range;
    return 0;
}

int parse_amount(const char *text, struct amount *ret, const char **ret_why)
{
    uint64_t value;
    bool percent;
    int r = take_digits(&text, &value);

    percent = r == 0 && *text == '%';
    if (percent)
        text++;
    if (r == -EINVAL || *text)
        return fail(-EINVAL, WHY_AMOUNT, ret_why);
    if (r < 0 || value > (percent ? 100 : PARSE_WORKERS_MAX))
        return fail(-ERANGE, "is too large; write a number up to 1024, or a percentage up to 100%",
                    ret_why);
    *ret = (struct amount){.value = (unsigned)value, .percent = percent};
    return 0;
}

unsigned amount_of(struct amount a, unsigned total, bool round_up)
{
    uint64_t hundredths = (uint64_t)a.value * total;

    if (!a.percent)
        return a.value;
    return (unsigned)((hundredths + (round_up ? 99 : 0)) / 100);
}

int parse_workers(const char *text, unsigned *ret, const char **ret_why)
{
    uint64_t value;
    int r;

    if (strcmp(text, "auto") == 0) {
        unsigned n = cpu_count();
        *ret = n < PARSE_WORKERS_MAX ? n : PARSE_WORKERS_MAX;
        return 0;
    }
    r = parse_number(text, 1, PARSE_WORKERS_MAX, &value, NULL);
    if (r < 0)
        return fail(r, WHY_WORKERS, ret_why);
    *ret = (unsigned)value;
    return 0;
}

/* clang-format off */
#define SIGNAL(name) {#name, name}
/* clang-format on */

static const struct {
    const char *name;
    int signo;
} signals[] = {
    /* The first name of a number is the one that signal_name() gives. */
    SIGNAL(SIGABRT), SIGNAL(SIGALRM),     SIGNAL(SIGBUS),     SIGNAL(SIGCHLD),     SIGNAL(SIGCONT),
    SIGNAL(SIGFPE),  SIGNAL(SIGHUP),      SIGNAL(SIGILL),     SIGNAL(SIGINT),      SIGNAL(SIGIO),
    SIGNAL(SIGKILL), SIGNAL(SIGPIPE),     SIGNAL(SIGPROF),    SIGNAL(SIGPWR),      SIGNAL(SIGQUIT),
    SIGNAL(SIGSEGV), SIGNAL(SIGSTKFLT),   SIGNAL(SIGSTOP),    SIGNAL(SIGSYS),      SIGNAL(SIGTERM),
    SIGNAL(SIGTRAP), SIGNAL(SIGTSTP),     SIGNAL(SIGTTIN),    SIGNAL(SIGTTOU),     SIGNAL(SIGURG),
    SIGNAL(SIGUSR1), SIGNAL(SIGUSR2),     SIGNAL(SIGVTALRM),  SIGNAL(SIGWINCH),    SIGNAL(SIGXCPU),
    SIGNAL(SIGXFSZ), {"SIGIOT", SIGABRT}, {"SIGPOLL", SIGIO}, {"SIGCLD", SIGCHLD},
};

const char *signal_name(int signo)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].signo == signo)
            return signals[i].name;
    return NULL;
}

static bool signal_is_valid(uint64_t signo)
{
    return (signo <= INT32_MAX && signal_name((int)signo)) ||
           (signo >= (uint64_t)SIGRTMIN && signo <= (uint64_t)SIGRTMAX);
}

/* "RTMIN", "RTMIN+3", "RTMAX-1" */
static int realtime_signal(const char *text, uint64_t *ret)
{
    bool min = strncasecmp(text, "RTMIN", 5) == 0;
    uint64_t offset = 0;

    if (!min && strncasecmp(text, "RTMAX", 5) != 0)
        return -EINVAL;
    text += 5;
    if (*text == (min ? '+' : '-')) {
        text++;
        if (take_digits(&text, &offset) < 0 || offset > (uint64_t)(SIGRTMAX - SIGRTMIN))
            return -EINVAL;
    }
    if (*text)
        return -EINVAL;
    *ret = min ? (uint64_t)SIGRTMIN + offset : (uint64_t)SIGRTMAX - offset;
    return 0;
}

int parse_signal(const char *text, int *ret_signo, const char **ret_why)
{
    uint64_t number;

    if (parse_number(text, 1, INT32_MAX, &number, NULL) < 0) {
        if (strncasecmp(text, "SIG", 3) == 0)
            text += 3;
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            if (strcasecmp(text, signals[i].name + 3) == 0) {
                *ret_signo = signals[i].signo;
                return 0;
            }
        if (realtime_signal(text, &number) < 0)
            return fail(-EINVAL, WHY_SIGNAL, ret_why);
    }
    if (!signal_is_valid(number))
        return fail(-EINVAL, WHY_SIGNAL, ret_why);
    *ret_signo = (int)number;
    return 0;
}

/* ---- values, to words ------------------------------------------------------------------------ */

const char *format_time(uint64_t usec, char *buf)
{
    if (usec == PARSE_INFINITY)
        (void)snprintf(buf, FORMAT_TIME_MAX, "infinity");
    else if (usec < USEC_PER_SEC)
        (void)snprintf(buf, FORMAT_TIME_MAX, "%llums", (unsigned long long)usec / 1000);
    else if (usec < 100 * USEC_PER_SEC)
        (void)snprintf(buf, FORMAT_TIME_MAX, "%llu.%02llus",
                       (unsigned long long)(usec / USEC_PER_SEC),
                       (unsigned long long)(usec % USEC_PER_SEC / 10000));
    else
        (void)snprintf(buf, FORMAT_TIME_MAX, "%llumin %llus",
                       (unsigned long long)(usec / USEC_PER_SEC / 60),
                       (unsigned long long)(usec / USEC_PER_SEC % 60));
    return buf;
}
