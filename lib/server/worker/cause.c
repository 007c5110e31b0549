/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cause.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "config/parse.h"

/* A daemon ends its first process when it has read its configuration, at the latest. */
#define SOON (10 * AIT_USEC_PER_SEC)

/* ---- the background -------------------------------------------------------------------------- */

/* How well-known servers are kept in the foreground. A name may be followed by a version. */
static const struct {
    const char *name, *remedy;
} known[] = {
    {"apache2", "add -D FOREGROUND"},
    {"caddy", "write \"caddy run\" instead of \"caddy start\""},
    {"celery", "leave out --detach"},
    {"dnsmasq", "add --keep-in-foreground"},
    {"gunicorn", "leave out --daemon (-D)"},
    {"haproxy", "leave out -D, and \"daemon\" in its configuration"},
    {"httpd", "add -D FOREGROUND"},
    {"lighttpd", "add -D"},
    {"memcached", "leave out -d"},
    {"mongod", "leave out --fork"},
    {"named", "add -f"},
    {"nginx", "add -g 'daemon off;'"},
    {"php-fpm", "add --nodaemonize"},
    {"pm2", "run pm2-runtime"},
    {"proftpd", "add --nodaemon"},
    {"redis-server", "add --daemonize no"},
    {"squid", "add --foreground"},
    {"sshd", "add -D"},
    {"stunnel", "write \"foreground = yes\" in its configuration"},
    {"supervisord", "add --nodaemon"},
    {"twistd", "add --nodaemon"},
    {"unbound", "add -d"},
    {"uwsgi", "leave out --daemonize (-d)"},
    {"valkey-server", "add --daemonize no"},
    {"varnishd", "add -F"},
    {"vsftpd", "add -obackground=NO"},
};

/* "exec /usr/sbin/php-fpm8.2 -c x", "a[1], nginx[12]" */
static bool has_word(const char *text, const char *word)
{
    const char *at = strstr(text, word);

    if (!at || (at > text && at[-1] != ' ' && at[-1] != '/'))
        return false;
    at += strlen(word);
    return *at != '-' && *at != '_' && !isalpha((unsigned char)*at);
}

static const char *remedy_for(const char *text)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (has_word(text, known[i].name))
            return known[i].remedy;
    return NULL;
}

/* Of the arguments, then of the processes that are left. */
static const char *find_remedy(const struct worker *w, const char *names)
{
    const char *remedy = NULL;

    for (char **arg = w->revision->config->argv; *arg && !remedy; arg++)
        remedy = remedy_for(*arg);
    return remedy                ? remedy
           : remedy_for(names) ?: "look for an option such as --foreground, --nodaemon or -D";
}

static bool ended_well(const struct worker *w)
{
    siginfo_t info = {};

    return waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == w->pid && info.si_code == CLD_EXITED && info.si_status == 0;
}

int cause_background(void *userdata)
{
    struct worker *w = userdata;
    struct workers *all = w->all;
    struct process_names names = {};
    char ran[FORMAT_TIME_MAX];

    if (w->ended - w->started > SOON || !ended_well(w))
        return 0;
    if (all->background_said > w->revision->generation)
        return 0;
    (void)family_look(&w->family, workers_know_pid, all, &names);
    /* A job that is done ends in the same way. */
    if (names.n == 0 && (w->became_ready > 0 || w->revision->config->restart != RESTART_ALWAYS))
        return 0;
    all->background_said = w->revision->generation + 1;
    (void)format_time(w->ended - w->started, ran);
    if (names.n > 0)
        log_event(all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
                  "exited with status 0 after %s and left %s behind; a worker must stay in the "
                  "foreground, as the process that was started: %s",
                  ran, process_names_text(&names), find_remedy(w, names.text));
    else
        log_event(
            all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
            "exited with status 0 after %s, before it was ready; if it goes into the background, "
            "keep it in the foreground: %s; if its work is done, use --restart=on-failure",
            ran, find_remedy(w, ""));
    return 0;
}

/* ---- a SIGKILL of somebody else's ------------------------------------------------------------ */

/* Also one that a shell reports of its child. */
static bool was_killed(const struct worker *w)
{
    return w->info.si_code == CLD_EXITED ? w->info.si_status == 128 + SIGKILL
                                         : w->info.si_status == SIGKILL;
}

static void say_oom(const struct worker *w, uint64_t n)
{
    const struct oom_counter *counter = &w->all->oom;
    uint64_t limit = oom_limit(counter);
    char text[64] = "";

    if (limit != UINT64_MAX)
        (void)snprintf(text, sizeof(text), ", whose limit is %lluM",
                       (unsigned long long)(limit >> 20));
    log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
              "out of memory: the kernel's OOM killer has ended %llu process%s of %s%s; %s, or run "
              "fewer workers (--workers)",
              (unsigned long long)n, n == 1 ? "" : "es",
              counter->limit ? "this control group" : "this machine", text,
              counter->limit ? "raise the limit (MemoryMax= in systemd)" : "add memory");
}

int cause_kill(void *userdata)
{
    struct worker *w = userdata;
    struct workers *all = w->all;
    uint64_t before, now;

    if (!was_killed(w))
        return 0;
    w->end_cause = w->info.si_code == CLD_EXITED ? "" : " (not by aiotools-sd)";
    now = oom_count(&all->oom);
    before = w->oom_before > all->oom_explained ? w->oom_before : all->oom_explained;
    if (now <= before)
        return 0;
    /* The others may be for workers whose end is not known yet. */
    all->oom_explained = before + 1;
    w->end_cause = " (by the OOM killer)";
    say_oom(w, now - before);
    return 0;
}
