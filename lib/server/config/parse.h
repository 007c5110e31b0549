/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * parse: words of the command line and the configuration file, to values.
 *
 * Every parser has the shape `int parse_X(const char *text, ..., T *ret, const char **ret_why)`:
 *   0        and *ret is set;
 *   -EINVAL  the text is not an X;  -ERANGE  it is one, but out of bounds;
 *   -ENOENT  it names something that is absent (user, group);  others as the system gave them.
 * On failure *ret is untouched and *ret_why (may be NULL) is a constant clause, lower case, without
 * a full stop, that completes "--option=TEXT: ..." and says what is accepted, such as
 *     is not a time; write 500ms, 1.5s, 2min or infinity
 * It is never freed. The option and the text are for the caller to add.
 *
 * Times and sizes follow systemd: several terms add up ("1min 30s"), a bare time is in seconds, a
 * bare size in bytes, sizes count in 1024. No parser depends on the locale, allocates (accounts
 * aside), or keeps state.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PARSE_INFINITY UINT64_MAX /* "infinity", for times and sizes */

struct rate { /* "20/5min"; no limit if one of them is 0, as in systemd */
    unsigned count;
    uint64_t usec;
};

struct time_range { /* "100ms..30s": base <= cap, base > 0, neither infinite */
    uint64_t base_usec;
    uint64_t cap_usec;
};

struct amount { /* "1" or "25%" */
    unsigned value;
    bool percent;
};

int parse_time(const char *text, uint64_t *ret_usec, const char **ret_why);
int parse_size(const char *text, uint64_t *ret_bytes, const char **ret_why);
/* Decimal, within min..max. */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret, const char **ret_why);
#define PARSE_RATE_MAX 10000u
int parse_rate(const char *text, struct rate *ret, const char **ret_why);
int parse_time_range(const char *text, struct time_range *ret, const char **ret_why);
int parse_amount(const char *text, struct amount *ret, const char **ret_why);
/* "auto" (cpu_count()) or 1..PARSE_WORKERS_MAX. */
#define PARSE_WORKERS_MAX 1024u
int parse_workers(const char *text, unsigned *ret, const char **ret_why);
/* "TERM", "SIGTERM", "15", "RTMIN+1"; letters of either case. */
int parse_signal(const char *text, int *ret_signo, const char **ret_why);

/* How many of `total` an amount is. Percentages are rounded up (surge) or down (unavailable). */
unsigned amount_of(struct amount a, unsigned total, bool round_up);

/* "1.04s", "350ms"; buf as large as FORMAT_TIME_MAX. Returns buf. */
#define FORMAT_TIME_MAX 32
const char *format_time(uint64_t usec, char *buf);

/* "SIGTERM", or NULL if the number has no name (real-time signals, for example). A constant. */
const char *signal_name(int signo);

/*
 * CPUs this process may use, at least 1: affinity mask, bounded by the cgroup's quota (v2 cpu.max,
 * v1 cfs_quota_us, of the own group and its ancestors; a fraction counts as a whole one).
 */
unsigned cpu_count(void);
/* The same from a given /proc and /sys/fs/cgroup: UINT_MAX where no quota applies. For tests. */
unsigned cpu_quota(const char *proc_self_cgroup, const char *cgroup_root);

/* The user and group that a worker runs as. It owns its strings and groups: account_done(). */
struct account {
    uid_t uid;
    gid_t gid;
    char *name;    /* NULL where a uid has no entry */
    char *home;    /* NULL likewise */
    char *shell;   /* NULL likewise */
    gid_t *groups; /* supplementary ones, the primary one included, for setgroups() */
    size_t n_groups;
};

/*
 * `user` (name or number) or NULL for the caller's own, `group` (name or number) or NULL for the
 * user's own. A number need not have an entry. -ENOENT: no such user or group. Reads the user
 * database: may block on a network service.
 */
int account_resolve(const char *user, const char *group, struct account *ret, const char **ret_why);
void account_done(struct account *a);
