/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "groups.h"

#include <poll.h>
#include <string.h>

#include "config/address.h"

#define CLOSE_PASSES     400
#define CLOSE_PAUSE_MSEC 5

/* ---- what was left --------------------------------------------------------------------------- */

/* That the server will be named after, if no sockets are inherited. */
static unsigned first_wanted_port(const struct server_config *config)
{
    char name[ADDRESS_NAME_MAX + 1];
    struct address address;
    const char *why;

    for (size_t i = 0; i < config->n_listen; i++)
        if (address_parse_named(config->listen[i], name, &address, &why) >= 0 &&
            address_port(&address))
            return address_port(&address);
    return 0;
}

bool groups_end_former(struct server_config *config, struct predecessor *predecessor)
{
    char mark[CGROUP_MARK_MAX];

    return server_config_name_sockets(config, first_wanted_port(config)) >= 0 &&
           rundir_peek_left(config->name, mark, sizeof(mark)) >= 0 &&
           predecessor_end_group(predecessor, mark) > 0;
}

static void say_former(struct predecessor *p, struct log *log)
{
    if (p->left.n == 0)
        return;
    log_event(log, p->stuck ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              "the server of this name was killed together with its guardian, and has left %u "
              "process%s in its control group; %s: %s",
              p->left.n, p->left.n == 1 ? "" : "es",
              p->stuck ? "some cannot be killed (in uninterruptible sleep?)" : "killed",
              process_names_text(&p->left));
}

void groups_end_left(const struct rundir *rundir, struct predecessor *predecessor, struct log *log)
{
    char mark[CGROUP_MARK_MAX];

    if (rundir_read_left(rundir, mark, sizeof(mark)) >= 0) {
        (void)predecessor_end_group(predecessor, mark);
        /* Not before: we may be killed, too. */
        (void)rundir_leave(rundir, "");
    }
    say_former(predecessor, log);
}

/* ---- our own --------------------------------------------------------------------------------- */

static int explain(struct problem *p, int error)
{
    struct problem why = *p;

    return problem_set(p, STATUS_OS, error, "--control-group=yes: no control group can be had: %s",
                       why.text);
}

/* From the moment in which it is there somebody removes it, whoever is killed. */
static int use(struct cgroups *groups, const struct rundir *rundir, struct guardian *guardian,
               struct problem *p)
{
    char mark[CGROUP_MARK_MAX];
    int r = guardian_set_group(guardian, &groups->all);

    if (r < 0)
        (void)problem_set(p, STATUS_OS, r, "telling the guardian: %s", strerror(-r));
    if (cgroups_mark(groups, mark, sizeof(mark)) >= 0)
        (void)rundir_leave(rundir, mark);
    if (r >= 0)
        r = cgroups_try(groups, p);
    if (r >= 0)
        return 0;
    (void)cgroups_close(groups);
    (void)guardian_set_group(guardian, &groups->all);
    (void)rundir_leave(rundir, "");
    return r;
}

int groups_open(struct cgroups *ret, const struct server_config *config,
                const struct rundir *rundir, struct guardian *guardian, struct problem *ret_problem)
{
    int r;

    *ret = (struct cgroups)CGROUPS_NONE;
    if (config->control_group == CONTROL_GROUP_NO)
        return 0;
    r = cgroups_open(ret, config->name, ret_problem);
    if (r >= 0)
        r = use(ret, rundir, guardian, ret_problem);
    return r < 0 && config->control_group == CONTROL_GROUP_YES ? explain(ret_problem, r) : 0;
}

void groups_close(struct cgroups *groups)
{
    for (unsigned i = 0; groups->all.fd >= 0 && i < CLOSE_PASSES; i++) {
        if (cgroup_kill(&groups->all) <= 0)
            break;
        (void)poll(NULL, 0, CLOSE_PAUSE_MSEC);
    }
    (void)cgroups_close(groups);
}
