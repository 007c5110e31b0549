/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SANDBOX_H
#define AIT_SANDBOX_H

/*
 * Sandboxes: a process gives up system calls (seccomp), files and ports (Landlock), and
 * capabilities for good; no_new_privs closes the way back.
 *
 * ait_sandbox_new() does everything whose failure can be repaired: it compiles the policy with
 * libseccomp in a forked child, verifies the finished program call by call against the policy with
 * an interpreter of its own, and opens the paths. A sandbox is complete or absent. It never changes
 * afterwards, and any number of processes can enter it. Entering fails closed: after an error the
 * process must not continue with what it wanted to run inside.
 *
 * Denied calls can be explained: with AIT_SANDBOX_DENY_EXPLAIN a listener receives them as events.
 * The listener belongs to one process and must never be copied. If its holder dies, denied calls
 * return ENOSYS; with a second holder they would hang.
 *
 * None of this needs a loop or a task, and no function here suspends.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/policy.h>

AIT_BEGIN_DECLS

typedef struct ait_sandbox ait_sandbox;
typedef struct ait_explainer ait_explainer;

/*
 * What happens to calls that the policy denies with an errno. Calls that it answers with ENOSYS are
 * not affected.
 */
typedef enum ait_sandbox_deny {
    AIT_SANDBOX_DENY_ERRNO,   /* as the policy says */
    AIT_SANDBOX_DENY_KILL,    /* ends the process */
    AIT_SANDBOX_DENY_LOG,     /* allowed, and reported to the audit log */
    AIT_SANDBOX_DENY_EXPLAIN, /* the policy's errno, and an event */
    AIT_SANDBOX_DENY_LEARN,   /* allowed, and an event, also for calls that the policy allows */
} ait_sandbox_deny;

enum {
    AIT_SANDBOX_KEEP_CAPABILITIES = 1 << 0, /* the member capabilities is not read */
    AIT_SANDBOX_SCOPE =
        1
        << 1, /* no signals and no abstract sockets to processes outside, if Landlock can (ABI 6) */
    AIT_SANDBOX_EXEC =
        1 << 2, /* entered just before an exec, which is allowed whatever the policy says */
    /*
     * Processes inside may be root, or have its capabilities, and their files are confined. Root
     * reaches other files in ways that Landlock does not see. So the process gets a mount namespace
     * in which all but read_write is read-only, where that is possible (CAP_SYS_ADMIN), and the
     * calls of the preset "root" are denied as well, unless the policy's file names them; without
     * the namespace, also those of "root-files". No calls are denied without a policy, and while
     * learning.
     */
    AIT_SANDBOX_ROOT = 1 << 3,
    /*
     * Processes inside have a user that has processes and files outside, too, and their files are
     * confined: the calls of the preset "root" are denied, unless the policy's file names them.
     * Implied by AIT_SANDBOX_ROOT.
     */
    AIT_SANDBOX_OWN_USER = 1 << 4,
    AIT_SANDBOX_PROTECT_PARENT = 1 << 5, /* with protect: the parent of the caller, too */
};

typedef struct ait_sandbox_options {
    size_t size;        /* sizeof(ait_sandbox_options) */
    ait_policy *policy; /* NULL: system calls are not filtered */
    ait_sandbox_deny deny;

    /*
     * If one of these two is set, files are confined to them. Both end with NULL. read_only also
     * allows execution; read_write does not. A path that is named in both may be written and
     * executed.
     */
    const char *const *read_only;
    const char *const *read_write;
    /* NULL: any; else the only TCP ports that processes may connect to. */
    const uint16_t *connect_ports;
    size_t n_connect_ports;

    /*
     * One bit per capability (1 << CAP_...) that is kept by processes that have it. Zero keeps
     * none; see AIT_SANDBOX_KEEP_CAPABILITIES.
     */
    uint64_t capabilities;
    unsigned flags;

    /*
     * 0: none. Else a process outside, usually the supervisor, that processes inside may neither
     * signal nor reschedule; nor may they name its process group for that. The policy enforces
     * this, for what the kernel allows to processes of the same user. Not read without a policy,
     * and while learning.
     */
    pid_t protect;
} ait_sandbox_options;

#define AIT_SANDBOX_OPTIONS(...) AIT_OPTIONS_(ait_sandbox_options, __VA_ARGS__)

/*
 * CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, IPC_LOCK,
 * SYS_NICE, SYS_RESOURCE, AUDIT_WRITE: what servers use to bind, to read their files and to change
 * to their own user.
 */
#define AIT_SANDBOX_SERVICE_CAPABILITIES ((uint64_t)0x218045fb)

/*
 * Compiles and verifies the policy, and opens the paths; takes some milliseconds. What the options
 * point to is borrowed for the call, except the policy, of which a reference is taken. problem may
 * be NULL. -EOPNOTSUPP: this kernel lacks what an option needs; problem names both. -EBADMSG: the
 * compiled program does not do what the policy says. For other errors see problem.
 */
int ait_sandbox_new(ait_sandbox **ret, const ait_sandbox_options *options,
                    ait_sandbox_problem *problem) AIT_MUST_CHECK;
ait_sandbox *ait_sandbox_ref(ait_sandbox *sandbox);
ait_sandbox *ait_sandbox_unref(ait_sandbox *sandbox);
AIT_DEFINE_CLEANUP_(ait_sandbox, ait_sandbox_unref)

/* One line that says what is in force inside, and what this kernel lacks. Borrowed. */
const char *ait_sandbox_text(const ait_sandbox *sandbox);

struct sock_filter;
/*
 * The verified seccomp program of the policy, for other loaders (bubblewrap --seccomp): *ret_n
 * instructions of 8 bytes (linux/filter.h). Borrowed. Returns NULL, and *ret_n is 0, if there is
 * none.
 */
const struct sock_filter *ait_sandbox_program(const ait_sandbox *sandbox, size_t *ret_n);

/*
 * Enters the sandbox, for the calling process and all that it starts later; it cannot be left.
 * *ret_step (may be NULL) names what failed, as a static string. -EBUSY: the process has a second
 * thread, to which Landlock and the capabilities would not apply. -EINVAL: the sandbox explains;
 * use ait_sandbox_enter_child().
 */
int ait_sandbox_enter(ait_sandbox *sandbox, const char **ret_step) AIT_MUST_CHECK;

/*
 * The same between fork or clone and exec, in two halves. The first half (bounding set,
 * no_new_privs, Landlock) needs privileges that a change of user would end; call it before that,
 * and before descriptors are closed. Call the second half (capabilities, filters) last. Both make
 * raw system calls only, allocate nothing and do not set errno, so they may run in a child that
 * shares its parent's memory (CLONE_VM, but without CLONE_VFORK if the sandbox explains). Both
 * return 0 or a negative errno, and name the step in *ret_step (may be NULL), a static string.
 *
 * socket is one end of a pair (SOCK_SEQPACKET or SOCK_STREAM) if the sandbox explains or learns;
 * else -1. The listener is sent over it before the second half returns, and ait_explainer_new()
 * takes the other end.
 */
int ait_sandbox_prepare_child(const ait_sandbox *sandbox, const char **ret_step) AIT_MUST_CHECK;
int ait_sandbox_enter_child(const ait_sandbox *sandbox, int socket,
                            const char **ret_step) AIT_MUST_CHECK;
/*
 * execve(2) in the form that AIT_SANDBOX_EXEC allows. Returns a negative errno, or does not return.
 * Makes raw system calls only, like the above.
 */
int ait_sandbox_execve(const ait_sandbox *sandbox, const char *path, char *const argv[],
                       char *const envp[]);

/* ---- what was denied ------------------------------------------------------------------------- */

typedef struct ait_sandbox_event {
    size_t size;      /* of this struct, set by the library */
    pid_t pid;        /* the process */
    pid_t tid;        /* its thread */
    int number;       /* of the system call; below 0 or above ait_syscall_newest(): not known */
    const char *name; /* NULL: not known */
    uint64_t args[6];
    uint64_t address;         /* of the instruction */
    char command[32];         /* the thread's name; empty if it has ended */
    ait_policy_action action; /* the answer that the call got */
    unsigned repeats; /* equal calls right before, by the same thread and from the same place, not
                         reported */
} ait_sandbox_event;

typedef void (*ait_sandbox_event_cb)(ait_explainer *explainer, const ait_sandbox_event *event,
                                     void *userdata);

/*
 * Receives the listener from the other end of the socket pair, and answers from then on. Waits for
 * it: the child sends it before it execs. cb is called for each denied call, after it was answered;
 * intended ENOSYS answers are only counted. -ECONNRESET: the child has ended without sending it.
 */
int ait_explainer_new(ait_explainer **ret, ait_sandbox *sandbox, int socket,
                      ait_sandbox_event_cb cb, void *userdata) AIT_MUST_CHECK;
ait_explainer *ait_explainer_free(ait_explainer *explainer);
AIT_DEFINE_CLEANUP_(ait_explainer, ait_explainer_free)

/* The listener: readable if there is work for ait_explainer_process(). Borrowed. */
int ait_explainer_fd(const ait_explainer *explainer);
/*
 * Answers one waiting call. Returns 1 if there was one, else 0. -EPIPE: all processes of the
 * sandbox have ended. Does not block.
 */
int ait_explainer_process(ait_explainer *explainer);

/*
 * Calls cb, by number, for each system call that was counted: denied, or seen while learning. Stops
 * at the first result that is not 0, and returns it.
 */
typedef int (*ait_explainer_count_cb)(int number, const char *name, ait_policy_action action,
                                      uint64_t count, void *userdata);
int ait_explainer_foreach_count(const ait_explainer *explainer, ait_explainer_count_cb cb,
                                void *userdata);

enum {
    AIT_LEARN_BY_COUNT = 1 << 0, /* the most used calls first, instead of by group */
};

/*
 * Writes the policy that would have allowed what was seen while learning, as text that
 * ait_policy_from_file() reads. It includes the base and has one line per further call, with its
 * number of uses. Calls that the sandbox's own policy (without one: "service") restricts by their
 * arguments keep these restrictions, except for those that denied a call of the program. Its ENOSYS
 * answers are kept. title (may be NULL) becomes part of a comment, to say what was run. -EINVAL:
 * the explainer was not learning.
 */
int ait_explainer_write_policy(const ait_explainer *explainer, FILE *out, const char *title,
                               unsigned flags);

AIT_END_DECLS

#endif
