/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lookup.h"

#include <errno.h>
#include <poll.h>

#include "config/parse.h"
#include "elsewhere.h"

/* In the child. Whatever comes of it: the reload itself reports it. */
static size_t look_up(void *userdata, void *buffer, size_t size)
{
    const struct lookup *l = userdata;
    struct revision *revision = NULL;

    (void)size;
    (void)revision_unref(revision_new(&revision, l->scheduler->config, 0, NULL) < 0 ? NULL
                                                                                    : revision);
    *(char *)buffer = '.';
    return 1;
}

struct trial {
    struct lookup *lookup;
    struct question question;
};

static int begin(void *userdata)
{
    struct trial *trial = userdata;

    return ask_begin(&trial->question, look_up, trial->lookup, 1);
}

/* -ETIME: it does not come to an end. */
static int await_end(const struct question *q, uint64_t usec)
{
    AIT_SCOPE(limit);
    int r = ait_scope_enter_after(&limit, 0, usec);

    if (r < 0)
        return r;
    r = ait_poll(q->fd, POLLIN);
    return ait_scope_exit(limit, r < 0 ? r : 0);
}

static int try(struct lookup *l)
{
    struct trial trial = {.lookup = l};
    char answer;
    int r = ait_call_on_thread_stack(begin, &trial);

    /* Without a child it is tried without one. */
    if (r < 0)
        return 0;
    r = await_end(&trial.question, l->scheduler->config->start_timeout);
    (void)ait_fd_forget(trial.question.fd);
    (void)ask_end(&trial.question, &answer, 1);
    return r;
}

static int refuse(void *userdata)
{
    const struct lookup *l = userdata;
    struct scheduler *s = l->scheduler;
    char limit[FORMAT_TIME_MAX];

    log_event(
        s->workers->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
        "reload: refused, all workers keep running unchanged: to look up program, files and "
        "accounts takes longer than --start-timeout=%s; does a file system or a name service hang?",
        format_time(s->config->start_timeout, limit));
    scheduler_reload_refused(s);
    return 0;
}

static int lookup_main(void *userdata)
{
    struct lookup *l = userdata;
    int r;

    do {
        l->again = false;
        r = try(l);
        if (r == -ECANCELED)
            break;
        if (r == -ETIME)
            (void)ait_call_on_thread_stack(refuse, l);
        else
            scheduler_reload(l->scheduler);
    } while (l->again);
    l->runs = false;
    return r == -ECANCELED ? r : 0;
}

void lookup_reload(struct lookup *l)
{
    if (l->runs) {
        l->again = true;
        return;
    }
    l->runs = l->scope && ait_scope_spawn(l->scope, NULL, lookup_main, l,
                                          AIT_TASK_OPTIONS(.name = "lookup")) >= 0;
    if (!l->runs)
        scheduler_reload(l->scheduler);
}
