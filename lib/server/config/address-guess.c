/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "address-guess.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What others write before an address. */
static const struct {
    const char *theirs, *ours;
} prefixes[] = {
    {"abns@", "@"},    {"unix@", ""},      {"ipv4@", ""},        {"ipv6@", ""},
    {"udp4:", "udp:"}, {"udp6:", "udp:"},  {"udp://", "udp:"},   {"tcp://", ""},
    {"tcp:", ""},      {"tcp4:", ""},      {"tcp6:", ""},        {"file://", ""},
    {"stream:", ""},   {"dgram:", "udp:"}, {"unix-listen:", ""}, {"tcp-listen:", ""},
};

static const char *const schemes[] = {"http", "https", "ws", "wss", "ssl", "tls", "fcgi"};

static const struct {
    const char *theirs, *ours;
} hosts[] = {
    {"localhost:", "127.0.0.1:"}, {"0:", "0.0.0.0:"}, {"*:", ""}, {"[*]:", ""}, {":", ""},
};

static const struct {
    const char *theirs, *ours; /* an end, and the beginning that means the same */
} ends[] = {
    {"/tcp", ""},
    {"/udp", "udp:"},
};

/* The first n bytes become `start`. */
static void set_start(char *text, size_t n, const char *start)
{
    char copy[ADDRESS_TEXT_MAX];

    (void)snprintf(copy, sizeof copy, "%s%s", start, text + n);
    (void)strcpy(text, copy);
}

/* https://HOST:PORT/PATH */
static void drop_url(char *text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);

        if (strncasecmp(text, schemes[i], n) != 0 || strncmp(text + n, "://", 3) != 0)
            continue;
        set_start(text, n + 3, "");
        text[strcspn(text, "/?#")] = 0;
        return;
    }
}

static void drop_prefix(char *text)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncasecmp(text, prefixes[i].theirs, strlen(prefixes[i].theirs)) == 0)
            set_start(text, strlen(prefixes[i].theirs), prefixes[i].ours);
}

static void turn_end(char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i].theirs);

        if (n <= k || strchr("/@", *text) || strcmp(text + n - k, ends[i].theirs) != 0)
            continue;
        text[n - k] = 0;
        set_start(text, 0, ends[i].ours);
        return;
    }
}

/* HOST_PORT:CONTAINER_PORT of a container engine: the first one. */
static void drop_second_port(char *text)
{
    char *last = strrchr(text, ':'), *before;

    if (!last || last == text || !last[1] || last[1 + strspn(last + 1, "0123456789")])
        return;
    *last = 0;
    before = strrchr(text, ':');
    before = before ? before + 1 : text;
    /* ::1:80 is an address of IPv6. */
    if (!*before || strcmp(before, "0") == 0 || before[strspn(before, "0123456789")] ||
        strstr(text, "::"))
        *last = ':';
}

static void name_host(char *text)
{
    size_t n = strncmp(text, "udp:", 4) == 0 ? 4 : 0;

    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (strncasecmp(text + n, hosts[i].theirs, strlen(hosts[i].theirs)) == 0) {
            set_start(text + n, strlen(hosts[i].theirs), hosts[i].ours);
            return;
        }
}

/* ::1:8080 */
static void add_brackets(char *text)
{
    char copy[ADDRESS_TEXT_MAX], *last = strrchr(text, ':');

    if (!strstr(text, "::") || text[strspn(text, "0123456789abcdefABCDEF:.")] || last == text)
        return;
    *last = 0;
    /* The one of :::80 that is left */
    (void)snprintf(copy, sizeof copy, "[%s%s]:%s", text,
                   last[-1] == ':' && last - text == 1 ? ":" : "", last + 1);
    (void)strcpy(text, copy);
}

const char *address_guess(const char *text, char buffer[static ADDRESS_TEXT_MAX])
{
    static void (*const steps[])(char *) = {drop_url,         drop_prefix,  turn_end,
                                            drop_second_port, add_brackets, name_host};
    struct address a;

    if (strlen(text) + 8 > ADDRESS_TEXT_MAX)
        return NULL;
    (void)strcpy(buffer, text);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        steps[i](buffer);
    return strcmp(buffer, text) != 0 && address_parse(buffer, &a, NULL) == 0 ? buffer : NULL;
}
