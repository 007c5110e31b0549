/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "advice.h"

#include <stdio.h>
#include <string.h>

#include "elsewhere.h"
#include "reach.h"
#include "worker.h"

#define FILES_MSEC 1000                    /* for a look at files */
#define YOUNG      (10 * AIT_USEC_PER_SEC) /* after it was ready */

/* Once may be chance, such as a connection that has the address for a moment. */
#define IN_USE_LIMIT 2

enum sign { SIGN_NONE, SIGN_IN_USE, SIGN_LOCKED };

enum { SAID_RIVAL = 1, SAID_IN_USE = 2 };

/* In any case of letters. What a library says comes before what a program says. */
static const struct {
    const char *text;
    enum sign sign;
} signs[] = {
    {"address already in use", SIGN_IN_USE},
    {"address in use", SIGN_IN_USE},
    {"address is already in use", SIGN_IN_USE},
    {"eaddrinuse", SIGN_IN_USE},
    {"addrinuse", SIGN_IN_USE},
    {"[errno 98]", SIGN_IN_USE},
    {"(os error 98)", SIGN_IN_USE},
    {"connection in use", SIGN_IN_USE},
    {"port is already in use", SIGN_IN_USE},
    {"port already in use", SIGN_IN_USE},
    {"already running", SIGN_LOCKED},
    {"already locked", SIGN_LOCKED},
    {"is locked", SIGN_LOCKED},
    {"lock file", SIGN_LOCKED},
    {"lockfile", SIGN_LOCKED},
    {"another instance", SIGN_LOCKED},
    {"another process", SIGN_LOCKED},
    {"already in use", SIGN_LOCKED},
    {"in use by another", SIGN_LOCKED},
    {"could not lock", SIGN_LOCKED},
    {"cannot lock", SIGN_LOCKED},
    {"can't lock", SIGN_LOCKED},
    {"unable to lock", SIGN_LOCKED},
    {"failed to lock", SIGN_LOCKED},
    {"could not get lock", SIGN_LOCKED},
    {"acquire lock", SIGN_LOCKED},
    {"acquire the lock", SIGN_LOCKED},
    {"acquire exclusive lock", SIGN_LOCKED},
    {"resource temporarily unavailable", SIGN_LOCKED},
};

static bool is_young(const struct worker *w)
{
    uint64_t now = w->ended > 0 ? w->ended : ait_now(NULL);

    return w->became_ready == 0 || now - w->became_ready < YOUNG;
}

void advice_listen(struct worker *w, const char *data, size_t n)
{
    if (is_young(w))
        tail_add(&w->tail, data, n);
    else
        tail_clear(&w->tail);
}

static enum sign find_sign(const char *output)
{
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strcasestr(output, signs[i].text))
            return signs[i].sign;
    return SIGN_NONE;
}

/* Another one that runs, of the same slot or of any. */
static bool has_rival(const struct worker *w, bool of_slot)
{
    const struct worker *other = w->all->living;

    while (other && (other == w || (of_slot && other->slot != w->slot)))
        other = other->next;
    return other;
}

static void say(const struct worker *w, unsigned bit, const char *text, const char *more)
{
    struct advice *a = &w->all->advice;

    if (a->said & bit)
        return;
    a->said |= bit;
    log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid, "%s%s", text, more);
}

/* ---- two of them ----------------------------------------------------------------------------- */

static void say_rival(const struct worker *w, enum sign sign)
{
    say(w, SAID_RIVAL,
        sign == SIGN_IN_USE ? "the worker that it is to replace has an address that it needs"
                            : "the worker that it is to replace seems to hold a lock that it needs",
        "; if two of this program cannot run at once, replace it in place: --max-surge=0 "
        "--max-unavailable=1");
}

static void say_in_use(const struct worker *w)
{
    bool many = w->all->n_slots > 1;

    if (++w->all->advice.n_in_use < IN_USE_LIMIT)
        return;
    if (listen_set_count(w->all->listen) > 0)
        say(w, SAID_IN_USE,
            "does it take its sockets from LISTEN_FDS? if it opens its port itself, leave out "
            "--listen",
            many ? ", and run one worker (-n 1), since only one can have the port" : "");
    else if (many)
        say(w, SAID_IN_USE,
            "only one worker can have a port that the program opens itself; run one (-n 1), or "
            "pass the socket with --listen",
            " if the program takes its sockets from LISTEN_FDS");
    else
        say(w, SAID_IN_USE,
            "a process outside this server has the address; `ss -lntup` shows which, stop it or "
            "choose another address",
            "");
}

/* True if that is why it has ended. */
static bool about_rivals(const struct worker *w)
{
    enum sign sign = find_sign(tail_text(&w->tail));

    if (sign == SIGN_NONE)
        return false;
    if (has_rival(w, true))
        say_rival(w, sign);
    else if (sign == SIGN_IN_USE)
        say_in_use(w);
    else if (has_rival(w, false))
        say(w, SAID_RIVAL,
            "another worker seems to hold a lock that it needs; if two of this program cannot run "
            "at once, run one worker (-n 1)",
            ", and replace it in place: --max-surge=0 --max-unavailable=1");
    return true;
}

/* ---- files ----------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

/* NULL if there is none: 0 bytes would be no answer. */
static size_t describe_files(void *userdata, void *buffer, size_t size)
{
    const struct worker *w = userdata;
    char text[REACH_TEXT_MAX];
    const char *found = reach_describe(w->revision, tail_text(&w->tail), text);

    (void)snprintf(buffer, size, "%s", found ? found : "");
    return strlen(buffer) + 1;
}

static void about_files(struct worker *w)
{
    struct advice *a = &w->all->advice;
    char text[REACH_TEXT_MAX];
    ssize_t n;

    if (w->revision->sandbox.identity == 0 || a->hung)
        return;
    /* The paths are the worker's: they may lead to a file system that does not answer. */
    n = ask_elsewhere(describe_files, w, text, sizeof(text), FILES_MSEC);
    a->hung = n == -ETIMEDOUT;
    if (n <= 1 || hash_of(text) == a->files)
        return;
    a->files = hash_of(text);
    log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid, "files are confined: %s", text);
}

/* ---- all ------------------------------------------------------------------------------------- */

void advice_give(struct worker *w)
{
    struct advice *a = &w->all->advice;

    if (!w->child || !is_young(w))
        return;
    if (a->generation != w->revision->generation)
        *a = (struct advice){.generation = w->revision->generation};
    /* Some say that the address is in use, and end as if all were well: daphne. */
    if (!about_rivals(w) && worker_exit_status(w) != 0)
        about_files(w);
}
