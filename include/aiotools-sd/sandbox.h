/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SANDBOX_H
#define AIT_SANDBOX_H

/*
 * What a process gives up for good: system calls (seccomp), files and ports (Landlock), capabilities, and with
 * no_new_privs the way back.
 *
 * ait_sandbox_new() does all that can fail for reasons that somebody can mend: it compiles the policy with libseccomp in a
 * forked child, verifies the finished program with an interpreter of our own against the policy, call by call, and opens the
 * paths. A sandbox is complete or absent; it is never changed afterwards, and any number of processes can enter it. Entering
 * fails closed: after an error the process must not go on with what it wanted to do inside.
 *
 * What a filter denies can be explained: with AIT_SANDBOX_DENY_EXPLAIN denied calls come to a listener as events. The listener belongs to one
 * process, and must never be copied: when its holder dies, denied calls then return ENOSYS; with a second holder they would hang.
 *
 * None of this needs a loop or a task; no function here suspends.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/policy.h>

AIT_BEGIN_DECLS

typedef struct ait_sandbox ait_sandbox;
typedef struct ait_explainer ait_explainer;

/* What becomes of what the policy denies by errno. What it answers with ENOSYS stays as it is. */
typedef enum ait_sandbox_deny {
    AIT_SANDBOX_DENY_ERRNO,   /* as the policy says */
    AIT_SANDBOX_DENY_KILL,    /* ends the process */
    AIT_SANDBOX_DENY_LOG,     /* allowed, and told to the audit log */
    AIT_SANDBOX_DENY_EXPLAIN, /* the errno of the policy, and an event */
    AIT_SANDBOX_DENY_LEARN,   /* allowed, and an event: also for what is allowed anyway */
} ait_sandbox_deny;

enum {
    AIT_SANDBOX_KEEP_CAPABILITIES = 1 << 0, /* capabilities stays unread */
    AIT_SANDBOX_SCOPE =
        1 << 1, /* no signals and no abstract sockets to outside, where Landlock can (ABI 6) */
    AIT_SANDBOX_EXEC =
        1 << 2, /* entered just before an exec, which is let through whatever the policy says */
};

typedef struct ait_sandbox_options {
    size_t size;        /* sizeof(ait_sandbox_options) */
    ait_policy *policy; /* NULL: no filter of system calls */
    ait_sandbox_deny deny;

    /* As soon as one of these two is there, files are confined to them; NULL-terminated. read_only allows to execute, too; read_write does not: what
     * is named in both may be written and executed. */
    const char *const *read_only;
    const char *const *read_write;
    /* NULL: any; else the only TCP ports that may be connected to. */
    const uint16_t *connect_ports;
    size_t n_connect_ports;

    /* Bit per capability (1 << CAP_...) that is kept by who has it. Zero keeps none; see AIT_SANDBOX_KEEP_CAPABILITIES. */
    uint64_t capabilities;
    unsigned flags;

    /* 0: nobody; else a process outside, usually the one that supervises, that those inside may neither signal nor re-schedule, and whose process
     * group they may not name for that either: by the policy, for what the kernel leaves open to who runs as its user. Without a policy, and while
     * learning, it stays unread. */
    pid_t protect;
} ait_sandbox_options;

#define AIT_SANDBOX_OPTIONS(...) AIT_OPTIONS_(ait_sandbox_options, __VA_ARGS__)

/* CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, IPC_LOCK, SYS_NICE, SYS_RESOURCE, AUDIT_WRITE: what
 * servers use to bind, to read their files and to become their own user. */
#define AIT_SANDBOX_SERVICE_CAPABILITIES ((uint64_t)0x218045fb)

/*
 * Compiles, verifies, and opens the paths; takes some milliseconds. Borrows what options point to for the call, and takes a reference to the policy.
 * -EOPNOTSUPP: this kernel lacks what an option needs (problem names both); -EBADMSG: the compiled program does not do what the policy says; other errors as the
 * problem says. problem may be NULL.
 */
int ait_sandbox_new(ait_sandbox **ret, const ait_sandbox_options *options,
                    ait_sandbox_problem *problem) AIT_MUST_CHECK;
ait_sandbox *ait_sandbox_ref(ait_sandbox *sandbox);
ait_sandbox *ait_sandbox_unref(ait_sandbox *sandbox);
AIT_DEFINE_CLEANUP_(ait_sandbox, ait_sandbox_unref)

/* What is in force inside, on one line, and what this kernel lacks. Borrowed. */
const char *ait_sandbox_text(const ait_sandbox *sandbox);

struct sock_filter;
/* The seccomp program made from the policy, verified, for loaders of others (bubblewrap --seccomp): *ret_n instructions of 8 bytes (linux/filter.h). Borrowed. NULL, and
 * *ret_n 0: there is none. */
const struct sock_filter *ait_sandbox_program(const ait_sandbox *sandbox, size_t *ret_n);

/*
 * Enters, for the calling process and all that it will start; there is no way out. -EBUSY: there is a second thread, which Landlock and the capabilities
 * would leave outside. *ret_step (may be NULL) names what failed, a static string.
 * -EINVAL: the sandbox explains; use ait_sandbox_enter_child().
 */
int ait_sandbox_enter(ait_sandbox *sandbox, const char **ret_step) AIT_MUST_CHECK;

/*
 * The same between fork or clone and exec, in two halves: the first (bounding set, no_new_privs, Landlock) with the privileges that a change of user
 * would end, and before descriptors are closed; the second (capabilities, filters) last. Both make raw system calls only, allocate nothing and do
 * not set errno: fit for a child that shares its parent's memory (CLONE_VM, without CLONE_VFORK where it explains). Both return 0 or a negative
 * errno and name the step in *ret_step (may be NULL), a static string.
 *
 * socket: of a pair (SOCK_SEQPACKET or SOCK_STREAM), where the sandbox explains or learns: the listener is sent over it before the second half returns, and
 * ait_explainer_new() takes the other end. Else -1.
 */
int ait_sandbox_prepare_child(const ait_sandbox *sandbox, const char **ret_step) AIT_MUST_CHECK;
int ait_sandbox_enter_child(const ait_sandbox *sandbox, int socket, const char **ret_step) AIT_MUST_CHECK;
/* execve(2) in a way that AIT_SANDBOX_EXEC lets through; returns a negative errno, or not at all. As raw as the above. */
int ait_sandbox_execve(const ait_sandbox *sandbox, const char *path, char *const argv[], char *const envp[]);

/* ---- what was denied ----------------------------------------------------------------------------- */

typedef struct ait_sandbox_event {
    size_t size;      /* of this struct, set by the library */
    pid_t pid;        /* the process */
    pid_t tid;        /* its thread */
    int number;       /* of the system call; below 0 or above ait_syscall_newest(): none that we know */
    const char *name; /* NULL: not known */
    uint64_t args[6];
    uint64_t address;         /* of the instruction */
    char command[32];         /* the thread's name; empty where it has gone */
    ait_policy_action action; /* what it was answered with */
    unsigned
        repeats; /* of the same call by the same thread from the same place right before, not told one by one */
} ait_sandbox_event;

typedef void (*ait_sandbox_event_cb)(ait_explainer *explainer, const ait_sandbox_event *event,
                                     void *userdata);

/*
 * Receives the listener from the other end of the socket pair (waiting for it: the child sends it before it execs) and answers from then on. cb is called for
 * each denied call, after it was answered; not for designed ENOSYS, which is only counted. -ECONNRESET: the child has ended without it.
 */
int ait_explainer_new(ait_explainer **ret, ait_sandbox *sandbox, int socket, ait_sandbox_event_cb cb,
                      void *userdata) AIT_MUST_CHECK;
ait_explainer *ait_explainer_free(ait_explainer *explainer);
AIT_DEFINE_CLEANUP_(ait_explainer, ait_explainer_free)

/* The listener: readable when there is something for ait_explainer_process(). Borrowed. */
int ait_explainer_fd(const ait_explainer *explainer);
/* Answers one call that waits. 1: it did; 0: there was none; -EPIPE: all processes of the sandbox have ended. Does not block. */
int ait_explainer_process(ait_explainer *explainer);

/* Calls cb for each system call that was counted: denied (or seen, while learning), by number. Stops at the first result that is not 0 and returns it. */
typedef int (*ait_explainer_count_cb)(int number, const char *name, ait_policy_action action, uint64_t count,
                                      void *userdata);
int ait_explainer_foreach_count(const ait_explainer *explainer, ait_explainer_count_cb cb, void *userdata);

enum {
    AIT_LEARN_BY_COUNT = 1 << 0, /* the most used first, instead of by group */
};

/*
 * Writes the policy that would have let through what was seen while learning, as text that ait_policy_from_file() reads: the base included, and a line a call
 * with how often it was used. Calls that the sandbox's own policy (without one: "service") restricts by their arguments keep these restrictions, but
 * for those that were in the program's way; what it answers with ENOSYS stays so. title (may be NULL) becomes part of a comment: what was run.
 * -EINVAL: it was not learning.
 */
int ait_explainer_write_policy(const ait_explainer *explainer, FILE *out, const char *title, unsigned flags);

AIT_END_DECLS

#endif
