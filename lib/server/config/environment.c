/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "parse.h"
#include "environment.h"

/* Ten digits hold every pid. */
#define PID_PLACE "\0\0\0\0\0\0\0\0\0\0"

/*
 * An outer supervisor's instance may itself contain an outer one; longer chains lose their
 * beginning.
 */
#define OUTER_INSTANCE_MAX 256

#define INSTANCE_NAME "AIOTOOLS_SD_INSTANCE"

/* Variables that concern the supervisor itself. */
static const char *const private_prefixes[] = {
    "AIOTOOLS_SD_",    "LISTEN_FDNAMES=", "LISTEN_FDS=",   "LISTEN_PID=",
    "LISTEN_PIDFDID=", "NOTIFY_SOCKET=",  "WATCHDOG_PID=", "WATCHDOG_USEC=",
};

static const char *const placeholder_shells[] = {
    "/bin/false",     "/bin/nologin",     "/bin/true",     "/sbin/nologin",
    "/usr/bin/false", "/usr/bin/nologin", "/usr/bin/true", "/usr/sbin/nologin",
};

struct list {
    char **items; /* NULL-terminated once there is one */
    size_t n, allocated;
    int error; /* the first failure; later additions are ignored */
};

static bool is_private(const char *assignment)
{
    for (size_t i = 0; i < sizeof(private_prefixes) / sizeof(private_prefixes[0]); i++)
        if (strncmp(assignment, private_prefixes[i], strlen(private_prefixes[i])) == 0)
            return true;
    return false;
}

static bool same_name(const char *assignment, const char *name, size_t length)
{
    return strncmp(assignment, name, length) == 0 && assignment[length] == '=';
}

static ssize_t list_find(const struct list *list, const char *name, size_t length)
{
    for (size_t i = 0; i < list->n; i++)
        if (same_name(list->items[i], name, length))
            return (ssize_t)i;
    return -1;
}

static void list_remove(struct list *list, const char *name)
{
    ssize_t i = list_find(list, name, strlen(name));
    if (i < 0)
        return;
    free(list->items[i]);
    list->items[i] = list->items[--list->n];
    list->items[list->n] = NULL;
}

static int list_grow(struct list *list)
{
    if (list->n + 1 < list->allocated)
        return 0;
    size_t allocated = list->allocated ? list->allocated * 2 : 64;
    char **items = realloc(list->items, allocated * sizeof(*items));
    if (!items)
        return -ENOMEM;
    list->items = items;
    list->allocated = allocated;
    return 0;
}

/* Takes over the string, even if it fails. Returns it if it was added to the list. */
static char *list_take(struct list *list, char *assignment)
{
    const char *equals = assignment ? strchr(assignment, '=') : NULL;

    if (!assignment)
        list->error = list->error ? list->error : -ENOMEM;
    if (list->error)
        goto refused;
    ssize_t i = list_find(list, assignment, (size_t)(equals - assignment));
    if (i >= 0) {
        free(list->items[i]);
        return list->items[i] = assignment;
    }
    list->error = list_grow(list);
    if (list->error)
        goto refused;
    list->items[list->n++] = assignment;
    list->items[list->n] = NULL;
    return assignment;
refused:
    free(assignment);
    return NULL;
}

static void __attribute__((format(printf, 2, 3)))
list_set(struct list *list, const char *format, ...)
{
    char *assignment;
    va_list args;

    va_start(args, format);
    if (vasprintf(&assignment, format, args) < 0)
        assignment = NULL;
    va_end(args);
    (void)list_take(list, assignment);
}

/* NAME=, with room for a pid behind it. Returns the place for the digits. */
static char *list_set_place(struct list *list, const char *name)
{
    size_t length = strlen(name);
    char *assignment = calloc(1, length + 1 + sizeof(PID_PLACE));

    if (assignment) {
        memcpy(assignment, name, length);
        assignment[length] = '=';
    }
    assignment = list_take(list, assignment);
    return assignment ? assignment + length + 1 : NULL;
}

static void add_base(struct list *list, char *const *base)
{
    for (; base && *base; base++) {
        const char *equals = strchr(*base, '=');
        /* If names are equal, getenv() sees the first. */
        if (equals && !is_private(*base) && list_find(list, *base, (size_t)(equals - *base)) < 0)
            (void)list_take(list, strdup(*base));
    }
}

static bool shell_admits(const char *shell)
{
    if (!shell || shell[0] != '/')
        return false;
    for (size_t i = 0; i < sizeof(placeholder_shells) / sizeof(placeholder_shells[0]); i++)
        if (strcmp(shell, placeholder_shells[i]) == 0)
            return false;
    return true;
}

static void set_or_remove(struct list *list, const char *name, const char *value)
{
    if (value)
        list_set(list, "%s=%s", name, value);
    else
        list_remove(list, name);
}

/* As systemd's User=: what is unknown is absent, never the supervisor's own. */
static void add_account(struct list *list, const struct account *account)
{
    if (!account)
        return;
    set_or_remove(list, "USER", account->name);
    set_or_remove(list, "LOGNAME", account->name);
    set_or_remove(list, "HOME", account->home && account->home[0] == '/' ? account->home : NULL);
    set_or_remove(list, "SHELL", shell_admits(account->shell) ? account->shell : NULL);
}

static void add_settings(struct list *list, const char *const *settings)
{
    for (; settings && *settings; settings++) {
        if (!strchr(*settings, '=') || **settings == '=') {
            list->error = list->error ? list->error : -EINVAL;
            return;
        }
        (void)list_take(list, strdup(*settings));
    }
}

static char *join_fdnames(const struct spawn_environment_params *params)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    fputs("LISTEN_FDNAMES=", f);
    for (size_t i = 0; i < params->n_sockets; i++) {
        const char *name = params->fdnames ? params->fdnames[i] : NULL;
        fprintf(f, "%s%s", i > 0 ? ":" : "", name ? name : "unknown");
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static void add_sockets(struct list *list, const struct spawn_environment_params *params,
                        struct spawn_environment *environment)
{
    if (params->n_sockets == 0)
        return;
    list_set(list, "LISTEN_FDS=%zu", params->n_sockets);
    (void)list_take(list, join_fdnames(params));
    environment->listen_pid = list_set_place(list, "LISTEN_PID");
}

static void add_notification(struct list *list, const struct spawn_environment_params *params,
                             struct spawn_environment *environment)
{
    if (params->notify_socket)
        list_set(list, "NOTIFY_SOCKET=%s", params->notify_socket);
    if (params->watchdog_usec > 0) {
        list_set(list, "WATCHDOG_USEC=%" PRIu64, params->watchdog_usec);
        environment->watchdog_pid = list_set_place(list, "WATCHDOG_PID");
    }
}

static void add_instance(struct list *list, const struct spawn_environment_params *params,
                         const char *token)
{
    const char *outer = spawn_environment_lookup(params->base, NULL, INSTANCE_NAME);

    if (outer && *outer && strlen(outer) < OUTER_INSTANCE_MAX)
        list_set(list, INSTANCE_NAME "=%s.%s", outer, token);
    else
        list_set(list, INSTANCE_NAME "=%s", token);
}

static void add_contract(struct list *list, const struct spawn_environment_params *params,
                         struct spawn_environment *environment)
{
    add_sockets(list, params, environment);
    add_notification(list, params, environment);
    list_set(list, "AIOTOOLS_SD_PROTO=1");
    if (params->name)
        list_set(list, "AIOTOOLS_SD_NAME=%s", params->name);
    list_set(list, "AIOTOOLS_SD_SLOT=%u", params->slot);
    list_set(list, "AIOTOOLS_SD_WORKERS=%u", params->workers);
    list_set(list, "AIOTOOLS_SD_GENERATION=%" PRIu64, params->generation);
    add_instance(list, params, environment->token);
}

static int make_token(char token[static SPAWN_TOKEN_SIZE])
{
    unsigned char bytes[(SPAWN_TOKEN_SIZE - 1) / 2];

    /* Never short and never interrupted below 256 bytes, once the pool is initialised. */
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return -EIO;
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int spawn_environment_new(const struct spawn_environment_params *params,
                          struct spawn_environment **ret)
{
    struct list list = {0};
    struct spawn_environment *environment = calloc(1, sizeof(*environment));

    if (!environment)
        return -ENOMEM;
    list.error = make_token(environment->token);
    add_base(&list, params->base);
    add_account(&list, params->account);
    add_settings(&list, params->settings);
    add_contract(&list, params, environment);
    environment->envp = list.items;
    if (list.error) {
        (void)spawn_environment_free(environment);
        return list.error;
    }
    *ret = environment;
    return 0;
}

struct spawn_environment *spawn_environment_free(struct spawn_environment *environment)
{
    if (!environment)
        return NULL;
    for (char **item = environment->envp; item && *item; item++)
        free(*item);
    free(environment->envp);
    free(environment);
    return NULL;
}

const char *spawn_environment_lookup(char *const *base, const char *const *settings,
                                     const char *name)
{
    size_t length = strlen(name);
    const char *found = NULL;

    for (; base && *base && !found; base++)
        if (same_name(*base, name, length))
            found = *base + length + 1;
    for (; settings && *settings; settings++)
        if (same_name(*settings, name, length))
            found = *settings + length + 1;
    return found;
}
