/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "other-words.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define THE_PROGRAMS                                                                               \
    "aiotools-sd has no such option; options of the program follow its name: aiotools-sd run "     \
    "[OPTION...] -- PROGRAM [ARG...]"

/* gunicorn, uvicorn, hypercorn, daphne, puma, unicorn, uwsgi, nginx, Node's pm2, supervisord;
 * systemd, systemd-run, systemd-socket-activate, start-stop-daemon, daemontools and s6; docker,
 * podman, bubblewrap. */
const struct other_words other_words[] = {
    {"b bind p port host H a address addr bindaddress s socket sockets http httpsocket httpport "
     "uds unixsocket publish P expose listenstream listendatagram listenstreams endpoint",
     "listen", NULL},
    {"w worker process processes numworkers workerprocesses concurrency instances i replicas scale "
     "numprocs jobs j children maxchildren",
     "workers", NULL},
    {"reuseport soreuseport", "listeners", NULL},
    {"nonblock", "non-blocking", NULL},
    {"procname appname title processname servicename syslogidentifier unit N", "name", NULL},

    {"type notify sdnotify readiness notifyaccess", "ready", NULL},
    {"startuptimeout starttimeoutsec timeoutstartsec workerboottimeout boottimeout startsecs "
     "waitready listentimeout",
     "start-timeout", NULL},
    {"t timeout gracefultimeout timeoutgracefulshutdown workertimeout workershutdowntimeout "
     "shutdowntimeout stopwaitsecs timeoutstopsec stopgraceperiod graceperiod killtimeout "
     "workerreloadmercy retry",
     "stop-timeout", NULL},
    {"signal killsignal stopsig shutdownsignal", "stop-signal", NULL},

    {"autorestart respawn restartpolicy always", "restart", NULL},
    {"once oneshot", "run-to-completion", NULL},
    {"restartsec restartdelay respawndelay throttle", "backoff", NULL},
    {"minuptime startlimitintervalsec", "stable", NULL},
    {"maxrestarts startretries startlimitburst retries", "give-up", NULL},

    {"e E environment setenv", "env", NULL},
    {"environmentfile dotenv", "env-file", NULL},
    {"cwd d dir directory workdir workingdir workingdirectory appdir rootdirectory", "chdir", NULL},
    {"u uid setuid chuid runas username", "user", NULL},
    {"g gid setgid groupname", "group", NULL},
    {"m mask", "umask", NULL},

    {"seccomp seccompprofile securityopt systemcallfilter", "policy", NULL},
    {"privileged nosandbox unconfined", "sandbox", NULL},
    {"robind readonlypaths bindreadonlypaths ro", "read-only", NULL},
    {"v volume mount bindpaths readwritepaths rw", "read-write", NULL},
    {"bind", "read-write", NULL}, /* where there is no --listen */
    {"capadd capdrop caps cap ambientcapabilities capabilityboundingset", "capabilities", NULL},
    {"logformat outputformat standardoutput", "log", NULL},

    {"daemon daemonize D background fork detach", NULL,
     "aiotools-sd stays in the foreground; leave it out, and start it from a service manager"},
    {"pid pidfile makepidfile", NULL,
     "aiotools-sd writes no such file; leave it out, and signal the process that was started"},
    {"c C config conf configfile f file ini", NULL,
     "aiotools-sd reads no configuration file; write the options, and those of the program after "
     "its name: aiotools-sd run [OPTION...] -- PROGRAM [ARG...]"},
    {"fd systemd sd inherit", NULL,
     "sockets that a service manager passes are taken without an option; leave it out"},
    {"reload R hotreload watch", NULL,
     "leave it out; a SIGHUP to aiotools-sd replaces the workers"},
    {"nice ionice rlimit ulimit limitnofile memory maxmemory memorymax cpus cpuaffinity "
     "oomscoreadjust",
     NULL,
     "aiotools-sd has no such option; set it for aiotools-sd itself, in its unit or with nice(1), "
     "ulimit or taskset(1): its workers inherit it"},
    {"health healthcheck healthcmd status metrics watchdog maxrequests maxlifetime check "
     "configtest dryrun test",
     NULL, "aiotools-sd has no such option; leave it out"},
    {"threads k workerclass workerconnections preload preloadapp loglevel accesslogfile accesslog "
     "errorlogfile errorlog interface loop ws factory app module wsgi wsgifile plugin master "
     "lifespan proxyheaders rootpath certfile keyfile sslkeyfile sslcertfile cert key ssl backlog "
     "keepalive maxrequestsjitter limitmaxrequests limitconcurrency stats buffersize harakiri "
     "vacuum pythonpath virtualenv home debug quiet q verbose",
     NULL, THE_PROGRAMS},
    {0},
};

/* "--Kill_Signal" is "killsignal"; a single letter keeps its case. */
static bool equal(const char *word, size_t n, const char *other, size_t n_other)
{
    size_t k = 0;

    if (n == 1)
        return n_other == 1 && *word == *other;
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '-' || word[i] == '_')
            continue;
        if (k == n_other || tolower((unsigned char)word[i]) != other[k++])
            return false;
    }
    return k == n_other && k > 1;
}

static bool has_word(const char *words, const char *word, size_t n)
{
    while (*words) {
        size_t k = strcspn(words, " ");

        if (equal(word, n, words, k))
            return true;
        words += k + (words[k] == ' ');
    }
    return false;
}

static bool has_option(const struct option_spec *options, const char *name)
{
    while (options->name && strcmp(options->name, name) != 0)
        options++;
    return options->name;
}

const struct other_words *other_words_find(const char *word, size_t n,
                                           const struct option_spec *options)
{
    for (const struct other_words *row = other_words; row->words; row++)
        if (has_word(row->words, word, n) && has_option(options, row->option ?: "listen"))
            return row;
    return NULL;
}
