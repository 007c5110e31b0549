/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PostgreSQL from tasks, through libpq: a connection, queries, a time limit that cancels the query
 * at the server, and notifications.
 *
 *     recipe-libpq CONNINFO
 *
 * libpq opens and closes its sockets itself, and one connection attempt may use several. ait_poll()
 * remembers nothing of an fd between two waits, so the number is asked for before each of them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include <aiotools-sd/aiotools-sd.h>

/* ---- what any program with libpq needs ------------------------------------------------------- */

static int pg_poll(PGconn *connection, short events)
{
    int fd = PQsocket(connection), r;

    if (fd < 0)
        return -ENOTCONN;
    r = ait_poll(fd, events);
    return r < 0 ? r : 0;
}

/* Always makes a connection, which may tell why it is none. */
static int pg_connect(PGconn **ret, const char *conninfo)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    PGconn *connection = PQconnectStart(conninfo);
    int r = 0;

    if (!connection)
        return -ENOMEM;
    *ret = connection;
    if (PQstatus(connection) == CONNECTION_BAD)
        return -ENOTCONN;
    while (status != PGRES_POLLING_OK && r >= 0) {
        r = pg_poll(connection, status == PGRES_POLLING_READING ? POLLIN : POLLOUT);
        if (r >= 0)
            status = PQconnectPoll(connection);
        if (r >= 0 && status == PGRES_POLLING_FAILED)
            r = -ENOTCONN;
    }
    if (r >= 0 && PQsetnonblocking(connection, 1) < 0)
        r = -ENOTCONN;
    return r;
}

/* What was sent has to go out, and the server may want to be read meanwhile. */
static int pg_flush(PGconn *connection)
{
    int r;

    while ((r = PQflush(connection)) > 0) {
        r = pg_poll(connection, POLLIN | POLLOUT);
        if (r >= 0 && !PQconsumeInput(connection))
            r = -EPIPE;
        if (r < 0)
            return r;
    }
    return r < 0 ? -EPIPE : 0;
}

/* The next result, which the caller clears; NULL: there is none left. */
static int pg_result(PGconn *connection, PGresult **ret)
{
    while (PQisBusy(connection)) {
        int r = pg_poll(connection, POLLIN);

        if (r < 0)
            return r;
        if (!PQconsumeInput(connection))
            return -EPIPE;
    }
    *ret = PQgetResult(connection);
    return 0;
}

/*
 * The query still runs at the server, and its results would be taken for those of the next one.
 * PQcancel() makes a connection of its own and blocks, so it is a job for a thread.
 */
static int cancel_request(void *userdata)
{
    char text[256];

    return PQcancel(userdata, text, sizeof(text)) ? 0 : -EPIPE;
}

static int pg_cancel(PGconn *connection)
{
    PGcancel *cancel = PQgetCancel(connection);
    PGresult *result = NULL;
    AIT_SCOPE(shield);
    int r =
        cancel ? ait_scope_enter_after(&shield, AIT_SCOPE_SHIELD, 5 * AIT_USEC_PER_SEC) : -ENOMEM;

    if (r >= 0)
        r = ait_offload(cancel_request, cancel);
    do {
        PQclear(result);
        result = NULL;
        if (r >= 0)
            r = pg_result(connection, &result);
    } while (result);
    r = ait_scope_exit(shield, r);
    PQfreeCancel(cancel);
    return r;
}

/* Sends a query and returns the last of its results. If it is cut short, so it is at the server. */
static int pg_query(PGconn *connection, const char *query, PGresult **ret)
{
    PGresult *last = NULL, *next = NULL;
    int r = PQsendQuery(connection, query) ? pg_flush(connection) : -EPIPE;

    while (r >= 0 && (r = pg_result(connection, &next)) >= 0 && next) {
        PQclear(last);
        last = next;
    }
    if (r == -ECANCELED)
        (void)pg_cancel(connection);
    if (r < 0)
        PQclear(last);
    else
        *ret = last;
    return r;
}

/* ---- what this one does with it -------------------------------------------------------------- */

static int ask(PGconn *connection, const char *query)
{
    PGresult *result = NULL;
    int r = pg_query(connection, query, &result);

    if (r >= 0 && PQresultStatus(result) == PGRES_TUPLES_OK)
        printf("%s\n", PQgetvalue(result, 0, 0));
    else if (r >= 0 && PQresultStatus(result) != PGRES_COMMAND_OK)
        printf("error: %s", PQerrorMessage(connection));
    PQclear(result);
    return r;
}

static int ask_within(PGconn *connection, const char *query, uint64_t usec)
{
    AIT_SCOPE(limit);
    int r = ait_scope_enter_after(&limit, 0, usec);

    return r < 0 ? r : ait_scope_exit(limit, ask(connection, query));
}

static int await_notification(PGconn *connection)
{
    PGnotify *notification;
    int r = 0;

    while (r >= 0 && !(notification = PQnotifies(connection))) {
        r = pg_poll(connection, POLLIN);
        if (r >= 0 && !PQconsumeInput(connection))
            r = -EPIPE;
    }
    if (r < 0)
        return r;
    printf("notified: %s\n", notification->extra);
    PQfreemem(notification);
    return 0;
}

static int session(PGconn *connection)
{
    int r = ask(connection, "SELECT 'hello'");

    if (r >= 0) {
        r = ask_within(connection, "SELECT pg_sleep(60)", AIT_USEC_PER_SEC / 5);
        printf("%s\n", r == -ETIME ? "too slow" : "in time");
        r = r == -ETIME ? 0 : r;
    }
    /* The connection is as good as before. */
    if (r >= 0)
        r = ask(connection, "SELECT 6 * 7");
    if (r >= 0)
        r = ask(connection, "SELECT no_such_function()");
    if (r >= 0)
        r = ask(connection, "LISTEN doorbell");
    if (r >= 0)
        r = ask(connection, "NOTIFY doorbell, 'ding'");
    return r < 0 ? r : await_notification(connection);
}

static int program(void *userdata)
{
    PGconn *connection = NULL;
    int r = pg_connect(&connection, userdata);

    if (r >= 0)
        r = session(connection);
    if (r < 0 && connection)
        fprintf(stderr, "%s", PQerrorMessage(connection));
    PQfinish(connection);
    return r;
}

int main(int argc, char *argv[])
{
    int r;

    if (argc != 2) {
        fprintf(stderr, "usage: recipe-libpq CONNINFO\n");
        return 2;
    }
    r = ait_run(program, argv[1], 0);
    if (r < 0)
        fprintf(stderr, "recipe-libpq: %s\n", strerror(-r));
    return r < 0;
}
