/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_POLICY_H
#define AIT_POLICY_H

/*
 * A policy says which system calls a program may make. It is read from text, from a preset, or from
 * a list in systemd's syntax.
 *
 * For each system call of this machine's architecture, up to the newest one known, a policy holds
 * an action and rules that look at arguments. It is complete or absent, never changes afterwards,
 * and is reference counted. By itself it does nothing: see aiotools-sd/sandbox.h.
 *
 * The language has one rule per line (libaiotools-sd-policy(7)):
 *
 *     policy 1
 *     include service
 *     @resources: errno(EPERM)
 *     !ptrace
 *     ioctl arg1 == TIOCSTI: errno(EPERM)
 *     socket arg0 == AF_INET && arg1 & 0xf == SOCK_RAW: errno(EACCES)
 *
 * No function here needs a loop or a task, and none suspends.
 */

#include <stdio.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

typedef struct ait_policy ait_policy;

/* What was wrong, as text for people, and where. */
typedef struct ait_sandbox_problem {
    size_t size;       /* sizeof(ait_sandbox_problem), set by the caller */
    int error;         /* what the call returned */
    unsigned line;     /* from 1; 0: the problem is not in one line */
    unsigned column;   /* from 1; 0: the problem concerns the whole line */
    char file[256];    /* or the name that was given; empty if there is none */
    char message[516]; /* without the place and without a newline; says what to do */
} ait_sandbox_problem;

#define AIT_SANDBOX_PROBLEM_INIT                                                                   \
    {                                                                                              \
        sizeof(ait_sandbox_problem), 0, 0, 0, "", ""                                               \
    }

typedef enum ait_policy_action_kind {
    AIT_POLICY_ALLOW,
    AIT_POLICY_ERRNO,  /* the call fails with the action's error; ENOSYS: as if it did not exist */
    AIT_POLICY_LOG,    /* allowed, and reported to the audit log */
    AIT_POLICY_TRAP,   /* SIGSYS in the calling thread */
    AIT_POLICY_NOTIFY, /* asks the process that holds the listener */
    AIT_POLICY_KILL,   /* the whole process */
} ait_policy_action_kind;

/* Frozen: it is passed by value. */
typedef struct ait_policy_action {
    uint16_t kind;  /* ait_policy_action_kind */
    uint16_t error; /* ERRNO and NOTIFY: a positive errno */
} ait_policy_action;

static inline int ait_policy_action_is_equal(ait_policy_action a, ait_policy_action b)
{
    return a.kind == b.kind && a.error == b.error;
}

/* Whether the call is refused, or is made only if the holder of the listener permits it. */
static inline int ait_policy_action_is_denial(ait_policy_action action)
{
    return action.kind != AIT_POLICY_ALLOW && action.kind != AIT_POLICY_LOG;
}

/*
 * The action as the language writes it, such as "errno(EPERM)". It is written to text, which is
 * returned.
 */
#define AIT_POLICY_ACTION_SIZE 32
const char *ait_policy_action_text(ait_policy_action action, char text[AIT_POLICY_ACTION_SIZE]);

/*
 * Make a policy from text, a file or a preset: "service", "strict", or "base", which both of them
 * include. problem may be NULL. Included paths are relative to the file that includes them; in a
 * text, to the current directory. -EINVAL: the text is wrong, and problem says where, or the file
 * is not one that can hold text. -E2BIG: it is larger than a policy may be. -ELOOP: files include
 * each other. -ENOENT: no such file or preset.
 */
int ait_policy_from_text(ait_policy **ret, const char *name, const char *text, size_t length,
                         ait_sandbox_problem *problem) AIT_MUST_CHECK;
int ait_policy_from_file(ait_policy **ret, const char *path,
                         ait_sandbox_problem *problem) AIT_MUST_CHECK;
int ait_policy_from_preset(ait_policy **ret, const char *name,
                           ait_sandbox_problem *problem) AIT_MUST_CHECK;
/*
 * Makes a policy from the values of SystemCallFilter=, one per line in the order of the unit file
 * ("@system-service", "~@resources:EACCES"), or from a unit file, of which the lines
 * SystemCallFilter= and SystemCallErrorNumber= are used. In a unit file all is as in systemd, so
 * without the latter denied calls kill, and what systemd ignores becomes a note. In bare lists they
 * get EPERM.
 */
int ait_policy_from_systemd(ait_policy **ret, const char *name, const char *lists,
                            ait_sandbox_problem *problem) AIT_MUST_CHECK;

/* Languages of policies */
typedef enum ait_policy_format {
    AIT_POLICY_FORMAT_AUTO,    /* as the first line tells that is neither empty nor a comment */
    AIT_POLICY_FORMAT_NATIVE,  /* our own: "policy 1" */
    AIT_POLICY_FORMAT_SYSTEMD, /* as for ait_policy_from_systemd() */
    AIT_POLICY_FORMAT_JSON,    /* "{": read by import_json */
} ait_policy_format;

/* Like ait_policy_from_text(). */
typedef int (*ait_policy_import_cb)(ait_policy **ret, const char *name, const char *text,
                                    size_t length, ait_sandbox_problem *problem, void *userdata);

/*
 * Makes a policy from a user's file, in any of the languages. The file may be a pipe, such as the
 * shell's <(...); it is waited for only a short time (-ETIMEDOUT), and paths that it includes are
 * relative to the current directory. import_json(..., userdata) reads JSON. If it is NULL, JSON
 * gives -EOPNOTSUPP. Other errors are as above.
 */
int ait_policy_load(ait_policy **ret, const char *path, ait_policy_format format,
                    ait_policy_import_cb import_json, void *userdata,
                    ait_sandbox_problem *problem) AIT_MUST_CHECK;

ait_policy *ait_policy_ref(ait_policy *policy);
ait_policy *ait_policy_unref(ait_policy *policy);
AIT_DEFINE_CLEANUP_(ait_policy, ait_policy_unref)

/* The action for a call on this machine's own architecture. */
ait_policy_action ait_policy_evaluate(const ait_policy *policy, int number, const uint64_t args[6]);

typedef enum ait_policy_op {
    AIT_POLICY_EQ,
    AIT_POLICY_NE,
    AIT_POLICY_LT,
    AIT_POLICY_LE,
    AIT_POLICY_GT,
    AIT_POLICY_GE,
} ait_policy_op;

/*
 * A comparison: (argument & mask) op value. A rule applies if all of its comparisons are true.
 * Frozen: arrays are made of it.
 */
typedef struct ait_policy_compare {
    uint8_t arg; /* 0 to 5 */
    uint8_t op;  /* ait_policy_op */
    uint64_t mask;
    uint64_t value;
} ait_policy_compare;

typedef struct ait_policy_rule {
    size_t size; /* of this struct, set by the library */
    int number;
    const char *name; /* of the system call */
    ait_policy_action action;
    size_t n_compares; /* 0: the rule applies to any arguments, if no earlier rule has matched */
    const ait_policy_compare *compares;
} ait_policy_rule;

/*
 * Calls cb for each rule, by number; rules with comparisons come first, in the order in which they
 * are tried. Calls that have no rules and get the policy's fallback are left out. Stops at the
 * first result that is not 0, and returns it.
 */
typedef int (*ait_policy_rule_cb)(const ait_policy_rule *rule, void *userdata);
int ait_policy_foreach_rule(const ait_policy *policy, ait_policy_rule_cb cb, void *userdata);
ait_policy_action ait_policy_fallback(const ait_policy *policy);

/*
 * Calls cb for each note on the policy's text. Notes are not errors: names that only other
 * architectures have or that are unknown, what a profile says in vain, and relatives of a denied
 * call that stay allowed. Stops at the first result
 * that is not 0, and returns it.
 */
typedef int (*ait_policy_note_cb)(const ait_sandbox_problem *note, void *userdata);
int ait_policy_foreach_note(const ait_policy *policy, ait_policy_note_cb cb, void *userdata);
/*
 * Adds a copy of a note. It is for who has just made the policy, such as an ait_policy_import_cb,
 * and has not given it to others yet.
 */
int ait_policy_add_note(ait_policy *policy, const ait_sandbox_problem *note);

/*
 * Writes the policy to out, in format NATIVE or SYSTEMD. Reading the result gives an equal policy.
 * -EOPNOTSUPP: systemd's lists cannot express a call's rules on its arguments, or its action;
 * problem names the call.
 */
int ait_policy_write(const ait_policy *policy, FILE *out, ait_policy_format format,
                     ait_sandbox_problem *problem);

/*
 * Names and numbers on this machine's architecture. -ENOENT: the call is not known. -EOPNOTSUPP: it
 * is known, but not on this architecture.
 */
int ait_syscall_from_name(const char *name);
const char *ait_syscall_name(int number); /* NULL: not known */
int ait_syscall_newest(void);

/* The groups ("@file-system") as systemd names them. index counts from 0; NULL past the last. */
const char *ait_syscall_group_name(size_t index);
/* One line that describes the group; NULL: no such group. */
const char *ait_syscall_group_text(const char *group);
/* Calls cb for each member: a system call or another group ("@..."). -ENOENT: no such group. */
typedef int (*ait_syscall_group_cb)(const char *member, void *userdata);
int ait_syscall_group_foreach(const char *group, ait_syscall_group_cb cb, void *userdata);

AIT_END_DECLS

#endif
