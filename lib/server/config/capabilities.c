/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "capabilities.h"

#include <aiotools-sd/sandbox.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PREFIX "cap_"

/* libcap also accepts numbers, and stops at a character that is not a letter. */
static int from_name(const char *name, size_t n)
{
    char full[sizeof(PREFIX) + CAPABILITY_NAME_SIZE];
    bool has_prefix = n >= strlen(PREFIX) && strncasecmp(name, PREFIX, strlen(PREFIX)) == 0;
    cap_value_t number;

    if (n > CAPABILITY_NAME_SIZE)
        return -EINVAL;
    (void)snprintf(full, sizeof(full), "%s%.*s", has_prefix ? "" : PREFIX, (int)n, name);
    for (const char *c = full; *c; c++)
        if (*c != '_' && !((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z'))
            return -EINVAL;
    return cap_from_name(full, &number) < 0 || number < 0 || number > 63 ? -EINVAL : number;
}

static int parse_names(const char *text, uint64_t *ret)
{
    uint64_t set = 0;

    for (;;) {
        text += strspn(text, ", ");
        size_t n = strcspn(text, ", ");
        if (n == 0)
            break;
        int number = from_name(text, n);
        if (number < 0)
            return number;
        set |= UINT64_C(1) << number;
        text += n;
    }
    if (set == 0)
        return -EINVAL;
    *ret = set;
    return 0;
}

int parse_capabilities(const char *text, uint64_t *ret, const char **ret_why)
{
    int r = 0;

    if (strcmp(text, "all") == 0)
        *ret = UINT64_MAX;
    else if (strcmp(text, "none") == 0)
        *ret = 0;
    else if (strcmp(text, "service") == 0)
        *ret = AIT_SANDBOX_SERVICE_CAPABILITIES;
    else
        r = parse_names(text, ret);
    if (r < 0 && ret_why)
        *ret_why = "is not a list of capabilities; write names such as net_bind_service,chown, or "
                   "all, none or service";
    return r;
}

const char *capability_name(unsigned number, char text[CAPABILITY_NAME_SIZE])
{
    char *name = cap_to_name((cap_value_t)number);
    bool has_prefix = name && strncmp(name, PREFIX, strlen(PREFIX)) == 0;

    if (name)
        (void)snprintf(text, CAPABILITY_NAME_SIZE, "%s", has_prefix ? name + strlen(PREFIX) : name);
    else
        (void)snprintf(text, CAPABILITY_NAME_SIZE, "%u", number);
    (void)cap_free(name);
    return text;
}

unsigned capability_count(void)
{
    cap_value_t n = cap_max_bits();

    return n > 0 && n <= 64 ? (unsigned)n : CAP_LAST_CAP + 1;
}

uint64_t capabilities_held(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return 0;
    return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}
