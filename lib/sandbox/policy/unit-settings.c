/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parse.h"
#include "problem.h"
#include "scan.h"
#include "syscalls/syscalls.h"
#include "unit-import.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* ---- values ---------------------------------------------------------------------------------- */

static const char *const switches[UNIT_SWITCHES] = {
    [UNIT_LOCK_PERSONALITY] = "LockPersonality",
    [UNIT_MEMORY_DENY_WRITE_EXECUTE] = "MemoryDenyWriteExecute",
    [UNIT_PRIVATE_DEVICES] = "PrivateDevices",
    [UNIT_PROTECT_CLOCK] = "ProtectClock",
    [UNIT_PROTECT_HOSTNAME] = "ProtectHostname",
    [UNIT_PROTECT_KERNEL_LOGS] = "ProtectKernelLogs",
    [UNIT_PROTECT_KERNEL_MODULES] = "ProtectKernelModules",
    [UNIT_PROTECT_KERNEL_TUNABLES] = "ProtectKernelTunables",
    [UNIT_RESTRICT_REALTIME] = "RestrictRealtime",
    [UNIT_RESTRICT_SUID_SGID] = "RestrictSUIDSGID",
    [UNIT_DYNAMIC_USER] = "DynamicUser",
};

/* -1: neither. */
static int read_boolean(const char *value)
{
    static const char *const words[][6] = {{"0", "no", "n", "false", "f", "off"},
                                           {"1", "yes", "y", "true", "t", "on"}};

    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < 6; j++)
            if (!strcasecmp(words[i][j], value))
                return i;
    return -1;
}

static int bad_value(struct import *im, const char *key, const char *value)
{
    import_note(im, value, "%s: '%.40s' is not understood; it is ignored, as by systemd", key,
                value);
    return 0;
}

static int read_switch(struct import *im, const char *key, const char *value)
{
    int on = read_boolean(value);

    if (on < 0)
        return bad_value(im, key, value);
    for (size_t i = 0; i < UNIT_SWITCHES; i++)
        if (!strcmp(switches[i], key))
            im->settings.on[i] = on;
    return 0;
}

/* systemd's order does not matter; that "time" is not in its "all" does. */
static const struct {
    const char *name;
    unsigned long flag;
} namespaces[] = {
    {"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC},   {"net", CLONE_NEWNET},
    {"mnt", CLONE_NEWNS},        {"pid", CLONE_NEWPID},   {"user", CLONE_NEWUSER},
    {"uts", CLONE_NEWUTS},       {"time", CLONE_NEWTIME},
};

static const unsigned long all_namespaces = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET |
                                            CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER |
                                            CLONE_NEWUTS;

static int read_namespace_flags(struct import *im, const char *value, unsigned long *ret)
{
    struct unit_word word;
    unsigned long flags = 0;
    int e;

    while ((e = import_word(im, false, &value, &word)) > 0) {
        unsigned long flag = 0;
        for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
            if (!strcmp(namespaces[i].name, word.text))
                flag = namespaces[i].flag;
        if (!flag)
            return -EBADMSG;
        flags |= flag;
    }
    *ret = flags;
    return e;
}

static int read_namespaces(struct import *im, const char *key, const char *value)
{
    struct unit_settings *s = &im->settings;
    int on = read_boolean(value);
    bool inverted = *value == '~';
    unsigned long flags;

    if (!*value) {
        s->has_namespaces = false;
        return 0;
    }
    if (on >= 0) {
        s->has_namespaces = true;
        s->namespaces = on ? 0 : all_namespaces;
        return 0;
    }
    int e = read_namespace_flags(im, value + inverted, &flags);
    if (e == -EBADMSG)
        return bad_value(im, key, value);
    if (e < 0)
        return e;
    if (!s->has_namespaces)
        s->namespaces = inverted ? ~flags & all_namespaces : flags;
    else
        s->namespaces = inverted ? s->namespaces & ~flags : s->namespaces | flags;
    s->has_namespaces = true;
    return 0;
}

/* In any case; AF_UNSPEC is none, as for systemd. -1: there is no such family. */
static int family_from_name(const char *text)
{
    char name[UNIT_WORD_SIZE];
    size_t n = strlen(text);

    for (size_t i = 0; i <= n; i++)
        name[i] = (char)toupper((unsigned char)text[i]);
    if (!strcmp(name, "AF_FILE"))
        (void)snprintf(name, sizeof(name), "AF_UNIX");
    const struct policy_constant *c = policy_constant_find(name, strlen(name));
    if (strncmp(name, "AF_", 3) != 0 || !c || c->value == 0 || c->value >= UNIT_FAMILY_MAX)
        return -1;
    return (int)c->value;
}

static int read_families(struct import *im, const char *key, const char *value)
{
    struct unit_families *f = &im->settings.families;
    bool inverted = *value == '~', none = !strcmp(value, "none");
    struct unit_word word;
    int e;

    if (!*value || none) {
        *f = (struct unit_families){.is_allow_list = none};
        return 0;
    }
    if (!f->has_list)
        *f = (struct unit_families){.has_list = true, .is_allow_list = !inverted};
    value += inverted;
    while ((e = import_word(im, true, &value, &word)) > 0) {
        int family = family_from_name(word.text);
        if (family < 0)
            import_note(im, word.at, "%s: unknown family '%.40s'; it is ignored, as by systemd",
                        key, word.text);
        else
            f->listed[family] = inverted != f->is_allow_list;
    }
    return e == -EBADMSG ? 0 : e;
}

struct marking {
    bool *listed;
    bool is_listed;
};

static int mark(int number, void *userdata)
{
    const struct marking *m = userdata;

    m->listed[number] = m->is_listed;
    return 0;
}

static void mark_word(struct import *im, const struct unit_word *word, bool is_listed)
{
    struct unit_log *log = &im->settings.log;
    struct marking m = {log->listed, is_listed};
    int number = ait_syscall_from_name(word->text);

    if (*word->text == '@' &&
        import_expand(word->text, is_listed == log->is_log_list, mark, &m) >= 0)
        return;
    if (number >= 0)
        (void)mark(number, &m);
    else if (number == -EOPNOTSUPP)
        log->elsewhere |= is_listed;
    else
        (void)import_unknown(im, word);
}

static int read_log(struct import *im, const char *key, const char *value)
{
    struct unit_log *log = &im->settings.log;
    bool inverted = *value == '~';
    struct unit_word word;
    int e;

    (void)key;
    if (!*value) {
        *log = (struct unit_log){0};
        return 0;
    }
    if (!log->has_list)
        *log = (struct unit_log){.has_list = true, .is_log_list = !inverted};
    value += inverted;
    while ((e = import_word(im, false, &value, &word)) > 0)
        mark_word(im, &word, inverted != log->is_log_list);
    return e == -EBADMSG ? 0 : e;
}

unit_reader unit_settings_reader(const char *key)
{
    static const struct {
        const char *name;
        unit_reader read;
    } others[] = {{"RestrictAddressFamilies", read_families},
                  {"RestrictNamespaces", read_namespaces},
                  {"SystemCallLog", read_log}};

    for (size_t i = 0; i < UNIT_SWITCHES; i++)
        if (!strcmp(switches[i], key))
            return read_switch;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (!strcmp(others[i].name, key))
            return others[i].read;
    return NULL;
}

/* ---- what they make -------------------------------------------------------------------------- */

static bool any(const bool *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (values[i])
            return true;
    return false;
}

static bool restricts_namespaces(const struct unit_settings *s)
{
    return s->has_namespaces && (s->namespaces & all_namespaces) != all_namespaces;
}

static bool restricts_families(const struct unit_settings *s)
{
    return s->families.is_allow_list || any(s->families.listed, UNIT_FAMILY_MAX);
}

static bool logs(const struct unit_settings *s)
{
    return s->log.is_log_list || s->log.elsewhere || any(s->log.listed, SYSCALL_NEWEST + 1);
}

bool unit_settings_any(const struct unit_settings *s)
{
    return any(s->on, UNIT_SWITCHES) || restricts_namespaces(s) || restricts_families(s) || logs(s);
}

void unit_settings_log(const struct unit_settings *s, struct layer *layer)
{
    for (int i = 0; logs(s) && i <= SYSCALL_NEWEST; i++) {
        struct layer_call *call = &layer->calls[i];
        ait_policy_action action = call->has_action ? call->action : layer->fallback;
        if (action.kind != AIT_POLICY_ALLOW || s->log.listed[i] != s->log.is_log_list ||
            !ait_syscall_name(i))
            continue;
        call->has_action = true;
        call->action = (ait_policy_action){.kind = AIT_POLICY_LOG};
    }
}

/*
 * What systemd denies, in our language. Arguments are compared as wide as the kernel reads them.
 * Where systemd's own filter looks at more, it denies values that the kernel would not see, or
 * allows them, which is worse. openat2, which is told the mode in memory, does not exist.
 */
#define SUID_SGID(arg) arg " & (S_ISUID|S_ISGID) != 0"

static const struct {
    enum unit_switch of;
    const char *call; /* or group */
    const char *conditions;
    const char *action; /* NULL: as without the setting */
} rules[] = {
    {UNIT_LOCK_PERSONALITY, "personality", "arg0 != 0", "errno(EPERM)"},
    {UNIT_MEMORY_DENY_WRITE_EXECUTE, "mmap",
     "arg2 & (PROT_WRITE|PROT_EXEC) == (PROT_WRITE|PROT_EXEC)", "errno(EPERM)"},
    {UNIT_MEMORY_DENY_WRITE_EXECUTE, "mprotect", "arg2 & PROT_EXEC != 0", "errno(EPERM)"},
    {UNIT_MEMORY_DENY_WRITE_EXECUTE, "pkey_mprotect", "arg2 & PROT_EXEC != 0", "errno(EPERM)"},
    {UNIT_MEMORY_DENY_WRITE_EXECUTE, "shmat", "arg2 & SHM_EXEC != 0", "errno(EPERM)"},
    {UNIT_PRIVATE_DEVICES, "@raw-io", "", "errno(EPERM)"},
    {UNIT_PROTECT_CLOCK, "@clock", "", "errno(EPERM)"},
    {UNIT_PROTECT_HOSTNAME, "sethostname", "", "errno(EPERM)"},
    {UNIT_PROTECT_HOSTNAME, "setdomainname", "", "errno(EPERM)"},
    {UNIT_PROTECT_KERNEL_LOGS, "syslog", "", "errno(EPERM)"},
    {UNIT_PROTECT_KERNEL_MODULES, "@module", "", "errno(EPERM)"},
    {UNIT_PROTECT_KERNEL_TUNABLES, "_sysctl", "", "errno(EPERM)"},
    {UNIT_RESTRICT_REALTIME, "sched_setscheduler", "", "errno(EPERM)"},
    {UNIT_RESTRICT_REALTIME, "sched_setscheduler", "arg1 == SCHED_OTHER", NULL},
    {UNIT_RESTRICT_REALTIME, "sched_setscheduler", "arg1 == SCHED_BATCH", NULL},
    {UNIT_RESTRICT_REALTIME, "sched_setscheduler", "arg1 == SCHED_IDLE", NULL},
    {UNIT_RESTRICT_SUID_SGID, "chmod", SUID_SGID("arg1"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "fchmod", SUID_SGID("arg1"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "fchmodat", SUID_SGID("arg2"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "fchmodat2", SUID_SGID("arg2"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "mkdir", SUID_SGID("arg1"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "mkdirat", SUID_SGID("arg2"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "mknod", SUID_SGID("arg1"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "mknodat", SUID_SGID("arg2"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "creat", SUID_SGID("arg1"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "open", "arg1 & O_CREAT != 0 && " SUID_SGID("arg2"), "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "openat", "arg2 & O_CREAT != 0 && " SUID_SGID("arg3"),
     "errno(EPERM)"},
    {UNIT_RESTRICT_SUID_SGID, "openat2", "", "enosys"},
};

/* ---- their text ------------------------------------------------------------------------------ */

#define TEXT_MAX 16384 /* all settings at once take a quarter of it */

struct writing {
    const ait_policy_action *base;
    size_t n;
    char text[TEXT_MAX];
};

/* A call that is denied, or that this architecture lacks, needs no rule. action NULL: its own. */
static void write_rule(struct writing *w, int number, const char *conditions, const char *action)
{
    if (number < 0 || ait_policy_action_is_denial(w->base[number]))
        return;
    if (!action)
        action = w->base[number].kind == AIT_POLICY_LOG ? "log" : "allow";
    int n = snprintf(w->text + w->n, TEXT_MAX - w->n, "%s %s: %s\n", ait_syscall_name(number),
                     conditions, action);
    assert(n > 0 && (size_t)n < TEXT_MAX - w->n);
    w->n += (size_t)n;
}

static int write_denied(int number, void *userdata)
{
    write_rule(userdata, number, "", "errno(EPERM)");
    return 0;
}

static void write_switches(struct writing *w, const struct unit_settings *s)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        bool on = s->on[rules[i].of] ||
                  (rules[i].of == UNIT_RESTRICT_SUID_SGID && s->on[UNIT_DYNAMIC_USER]);
        if (on && *rules[i].call == '@')
            (void)syscall_group_expand(rules[i].call, write_denied, w);
        else if (on)
            write_rule(w, ait_syscall_from_name(rules[i].call), rules[i].conditions,
                       rules[i].action);
    }
}

static void write_namespaces(struct writing *w, const struct unit_settings *s)
{
    int number = ait_syscall_from_name("setns");
    bool some = s->namespaces & all_namespaces;
    unsigned long gone = 0;
    char conditions[64];

    if (!restricts_namespaces(s))
        return;
    for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
        gone |= s->namespaces & namespaces[i].flag ? 0 : namespaces[i].flag;
    (void)snprintf(conditions, sizeof(conditions), "arg0 & %#lx != 0", gone);
    write_rule(w, ait_syscall_from_name("clone3"), "", "enosys");
    write_rule(w, ait_syscall_from_name("unshare"), conditions, "errno(EPERM)");
    write_rule(w, ait_syscall_from_name("clone"), conditions, "errno(EPERM)");
    conditions[3] = '1';
    write_rule(w, number, some ? conditions : "", "errno(EPERM)");
    if (some)
        write_rule(w, number, "arg1 == 0", "errno(EPERM)");
}

static void write_families(struct writing *w, const struct unit_settings *s)
{
    int number = ait_syscall_from_name("socket");
    bool allow = s->families.is_allow_list;
    char conditions[32];

    if (allow)
        write_rule(w, number, "", "errno(EAFNOSUPPORT)");
    for (int i = 0; i < UNIT_FAMILY_MAX; i++) {
        (void)snprintf(conditions, sizeof(conditions), "arg0 == %d", i);
        if (s->families.listed[i])
            write_rule(w, number, conditions, allow ? NULL : "errno(EAFNOSUPPORT)");
    }
}

int unit_settings_put(struct import *im, const ait_policy_action base[SYSCALL_NEWEST + 1])
{
    const struct reading reading = {.source = im->source, .preset = true};
    struct writing *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->base = base;
    w->n = (size_t)snprintf(w->text, TEXT_MAX, "policy 1\n");
    write_switches(w, &im->settings);
    write_namespaces(w, &im->settings);
    write_families(w, &im->settings);
    int e = policy_parse_text(im->draft, &reading, w->text, w->n, im->problem);
    free(w);
    return e;
}
