/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"

#define ERRNO_MAX       4095
#define ERRNO_NAMED_MAX 256

static const struct {
    const char *name;
    ait_policy_action action;
} actions[] = {
    {"allow", {.kind = AIT_POLICY_ALLOW}},
    {"errno", {.kind = AIT_POLICY_ERRNO, .error = EPERM}},
    {"enosys", {.kind = AIT_POLICY_ERRNO, .error = ENOSYS}},
    {"log", {.kind = AIT_POLICY_LOG}},
    {"trap", {.kind = AIT_POLICY_TRAP}},
    {"notify", {.kind = AIT_POLICY_NOTIFY, .error = EPERM}},
    {"kill", {.kind = AIT_POLICY_KILL}},
};

bool policy_action_kind(const char *name, size_t n, ait_policy_action *ret)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strlen(actions[i].name) == n && !memcmp(actions[i].name, name, n)) {
            *ret = actions[i].action;
            return true;
        }
    return false;
}

static int from_digits(const char *text, size_t n)
{
    int error = 0;

    for (size_t i = 0; i < n && error <= ERRNO_MAX; i++)
        error = text[i] >= '0' && text[i] <= '9' ? 10 * error + text[i] - '0' : ERRNO_MAX + 1;
    return error <= ERRNO_MAX ? error : 0;
}

int policy_errno_from_text(const char *name, size_t n)
{
    static const struct {
        const char *name;
        int error;
    } aliases[] = {{"EWOULDBLOCK", EWOULDBLOCK}, {"EDEADLOCK", EDEADLOCK}, {"ENOTSUP", ENOTSUP}};

    if (n > 0 && *name >= '0' && *name <= '9')
        return from_digits(name, n);
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (strlen(aliases[i].name) == n && !memcmp(aliases[i].name, name, n))
            return aliases[i].error;
    for (int i = 1; i < ERRNO_NAMED_MAX; i++) {
        const char *known = strerrorname_np(i);
        if (known && strlen(known) == n && !memcmp(known, name, n))
            return i;
    }
    return 0;
}

AIT_PUBLIC const char *ait_policy_action_text(ait_policy_action action,
                                              char text[AIT_POLICY_ACTION_SIZE])
{
    const char *kind = action.kind == AIT_POLICY_NOTIFY ? "notify" : "errno",
               *error = strerrorname_np(action.error);

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (ait_policy_action_is_equal(actions[i].action, action) &&
            strcmp(actions[i].name, "errno") != 0)
            return strcpy(text, actions[i].name);
    if (error)
        (void)snprintf(text, AIT_POLICY_ACTION_SIZE, "%s(%s)", kind, error);
    else
        (void)snprintf(text, AIT_POLICY_ACTION_SIZE, "%s(%u)", kind, action.error);
    return text;
}
