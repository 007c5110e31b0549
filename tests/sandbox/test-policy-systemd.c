/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lists as systemd has them: what they mean, what is refused, and lists and policies made of each
 * other.
 */

#include "policy-check.h"

/* error: SystemCallErrorNumber=; 0: there is none. */
static ait_policy *import(const char *lists, int error)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    char *text = NULL;

    assert_true(asprintf(&text, "SystemCallErrorNumber=%.*d\n%s", error > 0, error, lists) > 0);
    int r = ait_policy_from_systemd(&policy, "unit", text, &problem);
    free(text);

    if (r < 0)
        fail_msg("%s:%u:%u: %s (%d)\n%s", problem.file, problem.line, problem.column,
                 problem.message, r, lists);
    return policy;
}

static const struct {
    const char *lists;
    int error;
    struct call_row calls[5];
} right[] = {
    {"@system-service",
     0,
     {{"read", {0}, "allow"}, {"mount", {0}, "errno(EPERM)"}, {"openat", {0}, "allow"}}},
    {"@system-service\n~@resources:EACCES",
     0,
     {{"read", {0}, "allow"}, {"mbind", {0}, "errno(EACCES)"}, {"mount", {0}, "errno(EPERM)"}}},
    {"@system-service\n~@resources",
     EACCES,
     {{"read", {0}, "allow"}, {"mbind", {0}, "errno(EACCES)"}}},
    /* The first line decides; an allow list has @default in it. */
    {"read",
     0,
     {{"read", {0}, "allow"}, {"write", {0}, "errno(EPERM)"}, {"exit_group", {0}, "allow"}}},
    {"read\n~exit_group", 0, {{"exit_group", {0}, "errno(EPERM)"}, {"read", {0}, "allow"}}},
    {"~read write:ENOSYS close:kill dup:22",
     0,
     {{"read", {0}, "errno(EPERM)"},
      {"write", {0}, "enosys"},
      {"close", {0}, "kill"},
      {"dup", {0}, "errno(EINVAL)"},
      {"openat", {0}, "allow"}}},
    {"~@basic-io\nread",
     0,
     {{"read", {0}, "allow"}, {"write", {0}, "errno(EPERM)"}, {"openat", {0}, "allow"}}},
    {"read:EACCES write", 0, {{"read", {0}, "errno(EACCES)"}, {"write", {0}, "allow"}}},
    {"~ read", 0, {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}}},
    {"~", 0, {{"read", {0}, "allow"}}},
    {"~read:EACCES\n~read:ENOENT", 0, {{"read", {0}, "errno(ENOENT)"}}},
    {"~read:EACCES\n~read", 0, {{"read", {0}, "errno(EPERM)"}}},
    {"read write\n~read\nread", 0, {{"read", {0}, "allow"}}},
    /* As it stands in a unit. */
    {"# a comment\n[Service]\nExecStart=/bin/true read\nSystemCallFilter=@basic-io\n; one "
     "more\nSystemCallFilter = openat\n",
     0,
     {{"read", {0}, "allow"}, {"openat", {0}, "allow"}, {"mkdir", {0}, "kill"}}},
    {"SystemCallFilter=mount\nSystemCallFilter=\nSystemCallFilter=~read\n",
     EPERM,
     {{"read", {0}, "errno(EPERM)"}, {"openat", {0}, "allow"}}},
    {"SystemCallFilter=read \\\n  write \\\n# between\n  close\nSystemCallFilter=dup",
     EPERM,
     {{"read", {0}, "allow"},
      {"write", {0}, "allow"},
      {"close", {0}, "allow"},
      {"dup", {0}, "allow"},
      {"mkdir", {0}, "errno(EPERM)"}}},
    {"SystemCallFilter=\\\n~read \\\nwrite\n",
     EPERM,
     {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "errno(EPERM)"}, {"dup", {0}, "allow"}}},
    {"SystemCallFilter=~read\nSystemCallErrorNumber=ENOENT\n",
     EACCES,
     {{"read", {0}, "errno(ENOENT)"}}},
    {"SystemCallErrorNumber=kill\nSystemCallFilter=read\n",
     0,
     {{"read", {0}, "allow"}, {"mount", {0}, "kill"}}},
    {"SystemCallErrorNumber=kill\nSystemCallErrorNumber=\nSystemCallFilter=read\n",
     EACCES,
     {{"mount", {0}, "kill"}}},
    {"SystemCallFilter=read\r\nSystemCallArchitectures=native\r\n",
     EPERM,
     {{"read", {0}, "allow"}, {"mount", {0}, "errno(EPERM)"}}},
    {"ExecStart=/bin/x \\\n read nosuchcall\nSystemCallFilter=~write\n",
     EPERM,
     {{"write", {0}, "errno(EPERM)"}, {"read", {0}, "allow"}}},
    {"waitpid read", 0, {{"read", {0}, "allow"}}},
    /* A call with an errno is denied in lists of either kind. */
    {"~@mount\nmount:EACCES",
     0,
     {{"mount", {0}, "errno(EACCES)"}, {"umount2", {0}, "errno(EPERM)"}}},
    {"~read:eacces write:0x16 close:010",
     0,
     {{"read", {0}, "errno(EACCES)"},
      {"write", {0}, "errno(EINVAL)"},
      {"close", {0}, "errno(ENOEXEC)"}}},
};

static void test_right(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(right); i++) {
        ait_policy *policy = import(right[i].lists, right[i].error);
        size_t n = 0;
        while (n < ELEMENTS(right[i].calls) && right[i].calls[n].name)
            n++;
        check_calls(right[i].lists, policy, right[i].calls, n);
        ait_policy_unref(policy);
    }
}

static const struct {
    const char *lists;
    unsigned line;
    unsigned column;
    const char *message;
} wrong[] = {
    {"", 0, 0, "no list of system calls"},
    {"# nothing\nExecStart=x\n", 0, 0, "no list of system calls"},
    {"SystemCallFilter=read\nSystemCallFilter=\n", 0, 0, "no list of system calls"},
    {"opneat", 1, 1, "unknown system call 'opneat': is it openat?"},
    {"read\n~write @resuorces", 2, 8, "unknown group '@resuorces': is it @resources?"},
    {"read:", 1, 6, "an error's name or number, or kill, is expected"},
    {"read:EPREM", 1, 6, "not 'EPREM'"},
    {"read:0", 1, 6, "not '0'"},
    {"read:4096", 1, 6, "not '4096'"},
    {"read\nSystemCallErrorNumber=no", 2, 23, "not 'no'"},
    {":EPERM", 1, 1, "unknown system call ''"},
    {"[Service\nSystemCallFilter=read\n", 1, 1, "'[Service' is no header of a section"},
    {"SystemCallFilter=~read\n[Ser'vice]\n", 2, 1, "'[Ser'vice]' is no header of a section"},
};

static void test_wrong(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        int r = ait_policy_from_systemd(&policy, "unit", wrong[i].lists, &problem);
        if (r != -EINVAL || problem.line != wrong[i].line || problem.column != wrong[i].column ||
            !strstr(problem.message, wrong[i].message) || strcmp(problem.file, "unit") != 0 ||
            policy)
            fail_msg("row %zu: %d %u:%u: %s", i, r, problem.line, problem.column, problem.message);
    }
}

/* The note on units that do not say what denied calls get. */
#define KILLS "0: denied calls kill"

/* What systemd ignores with a warning is ignored with a note. The texts were tried with it. */
static const struct {
    const char *unit;
    const char *note; /* NULL: none */
    struct call_row calls[3];
} ignored[] = {
    {"SystemCallFilter=read\nSystemCallErrorNumber=EPERM\n",
     NULL,
     {{"mount", {0}, "errno(EPERM)"}}},
    {"SystemCallFilter=read\n",
     "0: denied calls kill",
     {{"read", {0}, "allow"}, {"mount", {0}, "kill"}}},
    {"SystemCallFilter=read nosuchcallatall @nonesuchgroup\n",
     "1: unknown system call 'nosuchcallatall'",
     {{"read", {0}, "allow"}, {"mount", {0}, "kill"}}},
    {"SystemCallFilter=~reed\n", "'reed': is it read?; it is ignored", {{"read", {0}, "allow"}}},
    {"SystemCallFilter=read @resuorces\n",
     "1: unknown group '@resuorces': is it @resources?",
     {{"read", {0}, "allow"}, {"mbind", {0}, "kill"}}},
    {"SystemCallFilter=read,write\n",
     "1: unknown system call 'read,write'",
     {{"read", {0}, "kill"}}},
    {"SystemCallFilter=~read ~write\n",
     "1: unknown system call '~write'",
     {{"read", {0}, "kill"}, {"write", {0}, "allow"}}},
    {"SystemCallFilter=~read:EFOO write\n",
     "1: 'read:EFOO' has no errno",
     {{"read", {0}, "allow"}, {"write", {0}, "kill"}}},
    {"SystemCallFilter=read write:EACCES\n",
     "1: a call that is allowed takes no errno: 'write:EACCES'",
     {{"read", {0}, "allow"}, {"write", {0}, "kill"}}},
    {"SystemCallFilter=read\nSystemCallFilter=~write:EACCES\nSystemCallErrorNumber=1\n",
     NULL,
     {{"read", {0}, "allow"}, {"write", {0}, "errno(EACCES)"}}},
    {"SystemCallFilter=~read\nSystemCallErrorNumber=EFOO\n",
     "2: 'EFOO' is no errno",
     {{"read", {0}, "kill"}}},
    {"[Unit]\nSystemCallFilter=~read\n[Service]\nSystemCallFilter=~write\n",
     "2: this section has no SystemCallFilter",
     {{"read", {0}, "allow"}, {"write", {0}, "kill"}}},
    {"SystemCallFilter=~read\nSystemCallArchitectures=native x86\n",
     "2: only calls of this architecture",
     {{"read", {0}, "kill"}}},
    {"SystemCallFilter=~read\nSystemCallErrorNumber=1\nRestrictNamespaces=no\nLockPersonality=\n",
     "4: LockPersonality: '' is not understood",
     {{"read", {0}, "errno(EPERM)"}}},
    {"\xef\xbb\xbf[Service]\nSystemCallFilter=~read\nSystemCallErrorNumber=1\n",
     NULL,
     {{"read", {0}, "errno(EPERM)"}}},
    /* An errno does not make a list of calls that are allowed one of calls that are denied. */
    {"SystemCallFilter=~@mount\nSystemCallFilter=mount:EPERM\n",
     "2: a call that is allowed takes no errno",
     {{"mount", {0}, "kill"}, {"umount2", {0}, "kill"}, {"read", {0}, "allow"}}},
    {"SystemCallFilter=~@mount\nSystemCallFilter=umount2\n",
     KILLS,
     {{"mount", {0}, "kill"}, {"umount2", {0}, "allow"}}},
    /* Groups allow what all versions of systemd have in them, and deny what any has. */
    {"SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\n",
     NULL,
     {{"cachestat", {0}, "errno(EPERM)"},
      {"seccomp", {0}, "errno(EPERM)"},
      {"fchmodat2", {0}, "allow"}}},
    {"SystemCallFilter=@system-service @sandbox cachestat\nSystemCallErrorNumber=EPERM\n",
     NULL,
     {{"cachestat", {0}, "allow"}, {"seccomp", {0}, "allow"}, {"mseal", {0}, "errno(EPERM)"}}},
    {"SystemCallFilter=~@default @file-system\n",
     KILLS,
     {{"cachestat", {0}, "kill"}, {"seccomp", {0}, "kill"}, {"mseal", {0}, "kill"}}},
    {"SystemCallFilter=@system-service seccomp\nSystemCallFilter=~@default\n",
     KILLS,
     {{"seccomp", {0}, "kill"}, {"read", {0}, "allow"}, {"getpid", {0}, "kill"}}},
    /* Errors as strtol(3) reads them, and names in any case. */
    {"SystemCallFilter=~read:0x16 write:010 close:0b11 dup:0o7 open:eperm mkdir:+5\n",
     KILLS,
     {{"read", {0}, "errno(EINVAL)"},
      {"write", {0}, "errno(ENOEXEC)"},
      {"close", {0}, "errno(ESRCH)"}}},
    {"SystemCallFilter=~read:0x16 write:010 close:0b11 dup:0o7 open:eperm mkdir:+5\n",
     KILLS,
     {{"dup", {0}, "errno(E2BIG)"}, {"open", {0}, "errno(EPERM)"}, {"mkdir", {0}, "errno(EIO)"}}},
    {"SystemCallErrorNumber=eNoEnT\nSystemCallFilter=~read write:KILL close:-1\n",
     "2: 'write:KILL' has no errno",
     {{"read", {0}, "errno(ENOENT)"}, {"write", {0}, "allow"}, {"close", {0}, "allow"}}},
    {"SystemCallFilter=~read:0\n",
     "1: read:0: systemd lets it do nothing and report success; here it gets EPERM",
     {{"read", {0}, "errno(EPERM)"}}},
    {"SystemCallErrorNumber=ENOENT\nSystemCallErrorNumber=0\nSystemCallFilter=~read\n",
     "2: '0' is no errno",
     {{"read", {0}, "errno(ENOENT)"}}},
    /* A backslash stands for what follows it, and quotes are letters. */
    {"SystemCallFilter=~re\\ad \"write\" clo\\ se\n",
     "1: unknown system call '\"write\"'",
     {{"read", {0}, "kill"}, {"write", {0}, "allow"}, {"close", {0}, "allow"}}},
    {"SystemCallFilter=~read write\\ \n",
     "1: nothing follows the last backslash",
     {{"read", {0}, "kill"}, {"write", {0}, "allow"}}},
    /* Lines that go on. */
    {"SystemCallFilter=~read \\\\\nSystemCallFilter=~write\n",
     "1: unknown system call '\\'",
     {{"read", {0}, "kill"}, {"write", {0}, "kill"}}},
    {"SystemCallFilter \\\n  = \\\n~read\n",
     KILLS,
     {{"read", {0}, "kill"}, {"write", {0}, "allow"}}},
    {"[Serv\\\nice]\nSystemCallFilter=~read\n[Service]\nSystemCallFilter=~write\n",
     "3: this section has no SystemCallFilter",
     {{"read", {0}, "allow"}, {"write", {0}, "kill"}}},
    {"Description=x \\\n[X-Old]\nSystemCallFilter=~read\n", KILLS, {{"read", {0}, "kill"}}},
    {"SystemCallFilter=~read \\\n; none \\\n  # none\n\twrite\nUMask=022\n",
     KILLS,
     {{"read", {0}, "kill"}, {"write", {0}, "kill"}}},
    {"SystemCallFilter=~read\rSystemCallFilter=~write\r",
     KILLS,
     {{"read", {0}, "kill"}, {"write", {0}, "kill"}}},
    {"SystemCallFilter=~read\n\nwrite\n",
     "3: there is no '=' in this line",
     {{"write", {0}, "allow"}}},
    /* Lines of no section, and of other ones. */
    {"SystemCallFilter=~read\n[Service]\nSystemCallFilter=~write\n",
     "1: this section has no SystemCallFilter",
     {{"read", {0}, "allow"}, {"write", {0}, "kill"}}},
    {"[Service]\nSystemCallFilter=~write\n[X-Old]\nSystemCallFilter=~read\n[Service]\n"
     "SystemCallFilter=~close\n",
     "4: this section has no SystemCallFilter",
     {{"read", {0}, "allow"}, {"write", {0}, "kill"}, {"close", {0}, "kill"}}},
};

/* Settings that make filters of their own in systemd, without and with lists. */
static const struct {
    const char *unit;
    struct call_row calls[8];
} settings[] = {
    {"[Service]\nLockPersonality=yes\n",
     {{"personality", {0}, "allow"},
      {"personality", {8}, "errno(EPERM)"},
      {"personality", {0xffffffff}, "errno(EPERM)"},
      {"mount", {0}, "allow"}}},
    {"[Service]\nMemoryDenyWriteExecute=ON\n",
     {{"mmap", {0, 0, 6}, "errno(EPERM)"},
      {"mmap", {0, 0, 5}, "allow"},
      {"mprotect", {0, 0, 4}, "errno(EPERM)"},
      {"pkey_mprotect", {0, 0, 5}, "errno(EPERM)"},
      {"shmat", {0, 0, 0100000}, "errno(EPERM)"},
      {"mprotect", {0, 0, 3}, "allow"}}},
    {"[Service]\nPrivateDevices=1\nProtectClock=y\nProtectHostname=t\nProtectKernelModules=true\n",
     {{"ioperm", {0}, "errno(EPERM)"},
      {"clock_settime", {0}, "errno(EPERM)"},
      {"clock_gettime", {0}, "allow"},
      {"sethostname", {0}, "errno(EPERM)"},
      {"setdomainname", {0}, "errno(EPERM)"},
      {"finit_module", {0}, "errno(EPERM)"}}},
    {"[Service]\nProtectKernelLogs=yes\nProtectKernelTunables=yes\nProtectClock=yes\nProtectClock="
     "no\n"
     "ProtectKernelLogs=perhaps\n",
     {{"syslog", {0}, "errno(EPERM)"},
      {"_sysctl", {0}, "errno(EPERM)"},
      {"clock_settime", {0}, "allow"}}},
    {"[Service]\nRestrictRealtime=yes\n",
     {{"sched_setscheduler", {0, 0}, "allow"},
      {"sched_setscheduler", {0, 1}, "errno(EPERM)"},
      {"sched_setscheduler", {0, 3}, "allow"},
      {"sched_setscheduler", {0, 5}, "allow"},
      {"sched_setscheduler", {0, 6}, "errno(EPERM)"},
      {"sched_setscheduler", {0, 0x40000000}, "errno(EPERM)"}}},
    {"[Service]\nRestrictSUIDSGID=yes\n",
     {{"chmod", {0, 04755}, "errno(EPERM)"},
      {"fchmodat", {0, 0, 02755}, "errno(EPERM)"},
      {"chmod", {0, 01755}, "allow"},
      {"openat", {0, 0, 0100, 04755}, "errno(EPERM)"},
      {"openat", {0, 0, 0, 04755}, "allow"},
      {"openat2", {0}, "enosys"},
      {"mknodat", {0, 0, 02000}, "errno(EPERM)"},
      {"mkdir", {0, 02000}, "errno(EPERM)"}}},
    {"[Service]\nDynamicUser=yes\n", {{"fchmod", {0, 04755}, "errno(EPERM)"}}},
    {"[Service]\nRestrictNamespaces=yes\n",
     {{"clone3", {0}, "enosys"},
      {"clone", {0x20000000}, "errno(EPERM)"},
      {"clone", {17}, "allow"},
      {"unshare", {0x200}, "allow"},
      {"unshare", {0x80}, "errno(EPERM)"},
      {"setns", {0, 0x200}, "errno(EPERM)"}}},
    {"[Service]\nRestrictNamespaces=net\nRestrictNamespaces=user\nRestrictNamespaces=~net\n"
     "RestrictNamespaces=pid nonsense\n",
     {{"unshare", {0x10000000}, "allow"},
      {"unshare", {0x40000000}, "errno(EPERM)"},
      {"setns", {0, 0x10000000}, "allow"},
      {"setns", {0, 0}, "errno(EPERM)"},
      {"unshare", {0x20000000}, "errno(EPERM)"}}},
    {"[Service]\nRestrictNamespaces=~pid\nProtectClock=yes\n",
     {{"unshare", {0x20000000}, "errno(EPERM)"}, {"unshare", {0x40000000}, "allow"}}},
    {"[Service]\nProtectClock=yes\nRestrictNamespaces=yes\nRestrictNamespaces=no\n",
     {{"unshare", {0x20000000}, "allow"}, {"clone3", {0}, "allow"}}},
    {"[Service]\nRestrictAddressFamilies=AF_UNIX \"af_inet\"\nRestrictAddressFamilies=AF_INET6\n"
     "RestrictAddressFamilies=~AF_INET6\n",
     {{"socket", {1}, "allow"},
      {"socket", {2}, "allow"},
      {"socket", {10}, "errno(EAFNOSUPPORT)"},
      {"socket", {0}, "errno(EAFNOSUPPORT)"},
      {"socket", {0x100000001}, "allow"},
      {"socketpair", {1}, "allow"}}},
    {"[Service]\nRestrictAddressFamilies=~AF_PACKET AF_NOSUCH\n",
     {{"socket", {17}, "errno(EAFNOSUPPORT)"},
      {"socket", {0x100000011}, "errno(EAFNOSUPPORT)"},
      {"socket", {1}, "allow"}}},
    {"[Service]\nRestrictAddressFamilies=none\n", {{"socket", {1}, "errno(EAFNOSUPPORT)"}}},
    {"[Service]\nSystemCallLog=@swap mount\nSystemCallLog=~mount\nRestrictRealtime=yes\n",
     {{"swapon", {0}, "log"}, {"mount", {0}, "allow"}, {"read", {0}, "allow"}}},
    {"[Service]\nSystemCallLog=~read\nRestrictAddressFamilies=AF_UNIX\n",
     {{"read", {0}, "allow"},
      {"write", {0}, "log"},
      {"socket", {1}, "log"},
      {"socket", {2}, "errno(EAFNOSUPPORT)"}}},
    /* What the lists deny stays denied as they say. */
    {"[Service]\nSystemCallFilter=~@clock:ENOENT socket:kill\nProtectClock=yes\n"
     "RestrictAddressFamilies=AF_UNIX\nSystemCallLog=settimeofday\n",
     {{"clock_settime", {0}, "errno(ENOENT)"},
      {"settimeofday", {0}, "errno(ENOENT)"},
      {"socket", {1}, "kill"},
      {"socket", {2}, "kill"}}},
    {"[Service]\nSystemCallErrorNumber=ENOENT\nSystemCallFilter=chmod "
     "socket\nRestrictSUIDSGID=yes\n"
     "RestrictAddressFamilies=~AF_INET\n",
     {{"chmod", {0, 04000}, "errno(EPERM)"},
      {"chmod", {0, 0}, "allow"},
      {"fchmod", {0, 04000}, "errno(ENOENT)"},
      {"openat2", {0}, "errno(ENOENT)"},
      {"socket", {2}, "errno(EAFNOSUPPORT)"},
      {"socket", {1}, "allow"}}},
};

static void test_settings(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(settings); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        size_t n = 0;

        if (ait_policy_from_systemd(&policy, "unit", settings[i].unit, &problem) < 0)
            fail_msg("%s: %s", settings[i].unit, problem.message);
        while (n < ELEMENTS(settings[i].calls) && settings[i].calls[n].name)
            n++;
        check_calls(settings[i].unit, policy, settings[i].calls, n);
        ait_policy_unref(policy);
    }
}

static int append(const ait_sandbox_problem *note, void *userdata)
{
    char *notes = userdata;
    size_t n = strlen(notes);

    (void)snprintf(notes + n, 4096 - n, "%u: %s\n", note->line, note->message);
    return 0;
}

static void test_ignored(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(ignored); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        char notes[4096] = "";
        size_t n = 0;

        if (ait_policy_from_systemd(&policy, "unit", ignored[i].unit, &problem) < 0)
            fail_msg("%s: %s", ignored[i].unit, problem.message);
        (void)ait_policy_foreach_note(policy, append, notes);
        if (ignored[i].note ? !strstr(notes, ignored[i].note) : *notes)
            fail_msg("%s: %s", ignored[i].unit, notes);
        while (n < ELEMENTS(ignored[i].calls) && ignored[i].calls[n].name)
            n++;
        check_calls(ignored[i].unit, policy, ignored[i].calls, n);
        ait_policy_unref(policy);
    }
}

static void test_arguments(void **unused)
{
    ait_policy *policy = NULL;

    assert_int_equal(ait_policy_from_systemd(NULL, "x", "read", NULL), -EINVAL);
    assert_int_equal(ait_policy_from_systemd(&policy, "x", NULL, NULL), -EINVAL);
    assert_null(policy);
    char *large = malloc((1 << 20) + 2);
    assert_non_null(large);
    memset(large, ' ', (1 << 20) + 1);
    large[(1 << 20) + 1] = 0;
    assert_int_equal(ait_policy_from_systemd(&policy, NULL, large, NULL), -E2BIG);
    free(large);
}

/* ---- there and back -------------------------------------------------------------------------- */

static const char *const expressible[] = {
    P "@system-service\n",
    P "default allow\n@clock: errno(EACCES)\n@mount: kill\n@keyring: enosys\n",
    P "default kill\nread\nwrite: errno(EACCES)\nexit_group: errno(1234)\n",
    P "default enosys\n@default\n!execve\n",
    P "default errno(4000)\n",
    P "default allow\n",
};

static void test_there_and_back(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(expressible); i++) {
        size_t n;
        ait_policy *policy = parse(expressible[i]);
        char *lists = written(policy, AIT_POLICY_FORMAT_SYSTEMD, &n);
        ait_policy *again = import(lists, 0);
        if (!policy_equal(policy, again))
            fail_msg("row %zu: not the same:\n%s", i, lists);
        ait_policy_unref(policy);
        ait_policy_unref(again);
        free(lists);
    }
}

static const struct {
    const char *text;
    const char *message;
} inexpressible[] = {
    {P "read\nsocket arg0 == 1\n", "socket has a rule that looks at arguments"},
    {P "read: log\n", "read is logged"},
    {P "read: trap\n", "read is logged, trapped"},
    {P "read: notify\n", "read is logged, trapped or asked about"},
    {P "default log\n", "what nothing names"},
    {P "include service\n", "looks at arguments"},
};

static void test_inexpressible(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(inexpressible); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = parse(inexpressible[i].text);
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        assert_int_equal(ait_policy_write(policy, out, AIT_POLICY_FORMAT_SYSTEMD, &problem),
                         -EOPNOTSUPP);
        assert_int_equal(fclose(out), 0);
        assert_int_equal(n, 0);
        if (!strstr(problem.message, inexpressible[i].message))
            fail_msg("row %zu: %s", i, problem.message);
        free(text);
        ait_policy_unref(policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),         cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_arguments),     cmocka_unit_test(test_ignored),
        cmocka_unit_test(test_settings),      cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_inexpressible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
