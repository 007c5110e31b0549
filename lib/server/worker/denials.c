/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "denials.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls answered before others get their turn. */
#define BATCH       32u
#define TOTALS_SIZE 4096u

/* ---- how often ------------------------------------------------------------------------------- */

struct limit {
    uint64_t refilled; /* 0: it was never logged */
    uint64_t reported; /* when it last was */
    uint64_t what;     /* that was, of the same call: thread and arguments, hashed */
    unsigned left;
    unsigned unreported;
};

struct denial_limits {
    unsigned n;
    struct limit limit[];
};

struct denial_limits *denial_limits_free(struct denial_limits *limits)
{
    free(limits);
    return NULL;
}

/* NULL: no memory, no limit. */
static struct limit *limit_of(struct denial_limits **limits, int number)
{
    unsigned n = (unsigned)ait_syscall_newest() + 2;

    if (!*limits) {
        *limits = calloc(1, sizeof(**limits) + n * sizeof(struct limit));
        if (!*limits)
            return NULL;
        (*limits)->n = n;
    }
    return &(*limits)->limit[number >= 0 && number < (int)n - 1 ? (unsigned)number : n - 1];
}

static uint64_t hash_event(const ait_sandbox_event *e)
{
    uint64_t hash = (uint64_t)e->tid;

    for (unsigned i = 0; i < 6; i++)
        hash = (hash ^ e->args[i]) * 0x9e3779b97f4a7c15u + (hash >> 32);
    return hash;
}

static void refill(struct limit *limit, uint64_t now)
{
    uint64_t seconds = (now - limit->refilled) / AIT_USEC_PER_SEC;

    if (limit->refilled == 0) {
        limit->left = DENIALS_BURST;
        limit->refilled = now;
        return;
    }
    limit->left =
        seconds >= DENIALS_BURST - limit->left ? DENIALS_BURST : limit->left + (unsigned)seconds;
    limit->refilled += seconds * AIT_USEC_PER_SEC;
}

static bool may_tell(struct limit *limit, const ait_sandbox_event *event, uint64_t now)
{
    uint64_t what = hash_event(event);
    bool again = limit->reported && limit->what == what && now - limit->reported < AIT_USEC_PER_SEC;

    refill(limit, now);
    if (again || limit->left == 0) {
        limit->unreported++;
        return false;
    }
    limit->left--;
    limit->reported = now;
    limit->what = what;
    return true;
}

/* ---- one event ------------------------------------------------------------------------------- */

/* Whatever the policy does, the call was answered with an errno. */
static const char *describe_action(ait_policy_action action, char text[AIT_POLICY_ACTION_SIZE])
{
    const ait_policy_action answer = {.kind = AIT_POLICY_ERRNO, .error = action.error ?: EPERM};

    return ait_policy_action_is_denial(action) ? ait_policy_action_text(answer, text) : "allowed";
}

static void put_event(struct worker *w, const ait_sandbox_event *e, unsigned unreported)
{
    char action[AIT_POLICY_ACTION_SIZE], thread[12], worker[12], args[6 * 21 + 3], number[12],
        more[64] = "", left_out[12];
    const char *what = describe_action(e->action, action), *name = e->name;
    const uint64_t *a = e->args;

    if (!name) {
        (void)snprintf(number, sizeof(number), "#%d", e->number);
        name = number;
    }
    (void)snprintf(thread, sizeof(thread), "%d", (int)e->tid);
    (void)snprintf(worker, sizeof(worker), "%d", (int)w->pid);
    (void)snprintf(left_out, sizeof(left_out), "%u", unreported);
    (void)snprintf(args, sizeof(args),
                   "[\"0x%" PRIx64 "\",\"0x%" PRIx64 "\",\"0x%" PRIx64 "\",\"0x%" PRIx64
                   "\",\"0x%" PRIx64 "\",\"0x%" PRIx64 "\"]",
                   a[0], a[1], a[2], a[3], a[4], a[5]);
    if (unreported > 0)
        (void)snprintf(more, sizeof(more), "; %u more were not logged", unreported);
    const struct log_field fields[] = {
        {"event", "sandbox-denied", false},
        {"worker", worker, true},
        {"thread", thread, true},
        {"syscall", name, false},
        {"args", args, true},
        {"command", e->command, false},
        {"action", what, false},
        {"untold", left_out, true},
    };
    log_event_fields(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, e->pid, fields,
                     sizeof(fields) / sizeof(*fields),
                     "sandbox denied %s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
                     ", 0x%" PRIx64 ", 0x%" PRIx64 ") to \"%s\", thread %d: %s%s",
                     name, a[0], a[1], a[2], a[3], a[4], a[5], e->command, (int)e->tid, what, more);
}

void denials_event(ait_explainer *explainer, const ait_sandbox_event *event, void *userdata)
{
    struct worker *w = userdata;
    struct limit *limit = limit_of(w->limits, event->number);

    (void)explainer;
    if (limit && !may_tell(limit, event, ait_now(NULL))) {
        w->n_unreported++;
        return;
    }
    put_event(w, event, limit ? limit->unreported : 0);
    if (limit)
        limit->unreported = 0;
}

/* ---- the task -------------------------------------------------------------------------------- */

/* 1: there may be more; 0: there is not; negative: there will not be. */
static int answer_some(void *userdata)
{
    struct worker *w = userdata;
    int r = 1;

    for (unsigned i = 0; i < BATCH && r > 0; i++)
        r = ait_explainer_process(w->explainer);
    return r;
}

/* 0: all that were inside have ended. */
static int answer_all(struct worker *w)
{
    uint64_t begun, pause = 0;
    int r;

    do {
        r = ait_poll(ait_explainer_fd(w->explainer), POLLIN);
        begun = ait_now(NULL);
        if (r >= 0)
            r = ait_call_on_thread_stack(answer_some, w);
        /* Whoever is denied very many calls waits for the answers. */
        if (r >= 0)
            pause = worker_costs(w, begun);
        if (r >= 0 && pause > 0)
            r = ait_sleep(pause);
        else if (r > 0)
            r = ait_yield();
    } while (r >= 0);
    return r == -EPIPE ? 0 : r;
}

static int give_up(void *userdata)
{
    struct worker *w = userdata;

    denials_finish(w);
    return 0;
}

/* If it cannot continue, the listener is closed: calls that wait for an answer then get ENOSYS. */
static int answer_calls(void *userdata)
{
    struct worker *w = userdata;
    int r = answer_all(w);

    if (r >= 0 || r == -ECANCELED)
        return r;
    log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
              "the system calls that the sandbox denies are not logged any more: %s", strerror(-r));
    (void)ait_call_on_thread_stack(give_up, w);
    return 0;
}

int denials_start(struct worker *w, ait_scope *scope)
{
    if (!w->explainer)
        return 0;
    return ait_scope_spawn(scope, NULL, answer_calls, w,
                           AIT_TASK_OPTIONS(.name = "explain", .flags = AIT_TASK_SHIELD));
}

/* ---- the end of a worker --------------------------------------------------------------------- */

struct totals {
    bool absent; /* calls answered with ENOSYS by intention, and denied ones */
    uint64_t sum;
    size_t n_text, n_json;
    char text[TOTALS_SIZE], json[TOTALS_SIZE];
};

static void append(char *buf, size_t *n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An entry that does not fit is left out as a whole. */
static void append(char *buf, size_t *n, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    int k = vsnprintf(buf + *n, TOTALS_SIZE - *n, format, ap);
    va_end(ap);
    if (k > 0 && *n + (size_t)k < TOTALS_SIZE - 1)
        *n += (size_t)k;
    buf[*n] = '\0';
}

static int add_total(int number, const char *name, ait_policy_action action, uint64_t count,
                     void *userdata)
{
    struct totals *t = userdata;
    bool absent = action.kind == AIT_POLICY_ERRNO && action.error == ENOSYS;

    (void)number;
    if (absent != t->absent)
        return 0;
    t->sum += count;
    append(t->text, &t->n_text, "%s%s %" PRIu64, t->n_text ? ", " : "", name ?: "unknown ones",
           count);
    append(t->json, &t->n_json, "%s\"%s\":%" PRIu64, t->n_json > 1 ? "," : "", name ?: "unknown",
           count);
    return 0;
}

static void collect(struct worker *w, struct totals *t, bool absent)
{
    *t = (struct totals){.absent = absent};
    append(t->json, &t->n_json, "{");
    (void)ait_explainer_foreach_count(w->explainer, add_total, t);
    t->json[t->n_json] = '}'; /* append() leaves room */
    t->json[t->n_json + 1] = '\0';
}

static void tell_totals(struct worker *w, struct totals *t)
{
    char unreported[24], sum[24], note[64] = "";

    collect(w, t, false);
    if (t->sum == 0)
        return;
    (void)snprintf(unreported, sizeof(unreported), "%" PRIu64, w->n_unreported);
    (void)snprintf(sum, sizeof(sum), "%" PRIu64, t->sum);
    if (w->n_unreported > 0)
        (void)snprintf(note, sizeof(note), "; %s of them were not logged one by one", unreported);
    const struct log_field fields[] = {{"event", "sandbox-totals", false},
                                       {"denied", sum, true},
                                       {"untold", unreported, true},
                                       {"syscalls", t->json, true}};
    log_event_fields(w->all->log, LOG_LEVEL_INFO, (int)w->slot, w->pid, fields,
                     sizeof(fields) / sizeof(*fields), "the sandbox denied it %s calls%s: %s", sum,
                     note, t->text);
}

void denials_finish(struct worker *w)
{
    if (!w->explainer)
        return;
    struct totals *t = malloc(sizeof(*t));
    if (t)
        tell_totals(w, t);
    free(t);
    (void)ait_fd_forget(ait_explainer_fd(w->explainer));
    w->explainer = ait_explainer_free(w->explainer);
}
