/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "architecture.h"
#include "landlock.h"
#include "options.h"
#include "policy/model.h"
#include "protect.h"
#include "policy/problem.h"
#include "root.h"
#include "filter/verify.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define ALL_FLAGS                                                                                  \
    (AIT_SANDBOX_KEEP_CAPABILITIES | AIT_SANDBOX_SCOPE | AIT_SANDBOX_EXEC | AIT_SANDBOX_ROOT |     \
     AIT_SANDBOX_OWN_USER | AIT_SANDBOX_PROTECT_PARENT)

static const char *const deny_words[] = {
    [AIT_SANDBOX_DENY_ERRNO] = "refused",     [AIT_SANDBOX_DENY_KILL] = "fatal",
    [AIT_SANDBOX_DENY_LOG] = "only logged",   [AIT_SANDBOX_DENY_EXPLAIN] = "explained",
    [AIT_SANDBOX_DENY_LEARN] = "only learnt",
};

/* ---- options --------------------------------------------------------------------------------- */

static int read_options(ait_sandbox_options *o, const ait_sandbox_options *options,
                        ait_sandbox_problem *problem)
{
    int r = options ? options_copy(o, sizeof(*o), options) : -EINVAL;

    if (r == -E2BIG)
        return problem_at(problem, r, "", 0, 0,
                          "the options set a member that this version of the library does not "
                          "know; use a newer library");
    if (r < 0 || o->flags & ~(unsigned)ALL_FLAGS || (unsigned)o->deny > AIT_SANDBOX_DENY_LEARN ||
        (o->n_connect_ports > 0 && !o->connect_ports) || o->protect < 0)
        return problem_at(problem, -EINVAL, "", 0, 0,
                          "the options are invalid; set them with AIT_SANDBOX_OPTIONS(), and flags "
                          "to AIT_SANDBOX_... only");
    if (!o->policy && o->deny == AIT_SANDBOX_DENY_EXPLAIN)
        return problem_at(
            problem, -EINVAL, "", 0, 0,
            "without a policy nothing is denied, so there is nothing to explain; set one");
    return 0;
}

/* ---- what this kernel has -------------------------------------------------------------------- */

/* Flags are looked at before the program, which is nowhere: -EFAULT means that they are known. */
static int try_flags(unsigned flags)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno != EFAULT
               ? -errno
               : 0;
}

static int choose_filter_flags(struct ait_sandbox *s, ait_sandbox_problem *problem)
{
    unsigned flags = SECCOMP_FILTER_FLAG_LOG;
    int r;

    if (filter_listens(s->deny))
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    r = try_flags(flags);
    if (r == -ENOSYS || r == -EINVAL)
        return problem_at(
            problem, -EOPNOTSUPP, "", 0, 0, "%s; use a newer kernel, or one that is built with it",
            filter_listens(s->deny) ? "explaining and learning need seccomp's user notification "
                                      "(Linux 5.0), which an outer sandbox may hide"
                                    : "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER, "
                                      "Linux 4.14), or an outer sandbox hides seccomp(2)");
    if (r < 0)
        return problem_at(problem, r, "", 0, 0,
                          "seccomp(2) is refused (%s) by an outer sandbox; let that allow it",
                          strerror(-r));
    /* A call that waits for its answer is then not begun anew by each signal. */
    if (filter_listens(s->deny) && try_flags(flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) >= 0)
        flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    s->filter_flags = flags;
    return 0;
}

/*
 * The quiet filter comes after the main one, which must allow it to be loaded; otherwise intended
 * ENOSYS is logged, too.
 */
static void drop_quiet_that_cannot_be_loaded(struct sandbox_filter *filter)
{
    struct seccomp_data data = {.nr = SYS_seccomp, .args = {SECCOMP_SET_MODE_FILTER}};

    if (filter->n_quiet == 0)
        return;
    data.arch = NATIVE_ARCHITECTURE;
    data.args[5] = filter->exec_key;
    uint32_t action = bpf_run(filter->program, filter->n, &data) & SECCOMP_RET_ACTION_FULL;
    if (action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG)
        filter->n_quiet = 0;
}

static int make_filters(struct ait_sandbox *s, const ait_sandbox_options *o,
                        ait_sandbox_problem *problem)
{
    int r = 0;

    if (o->connect_ports)
        s->n_connect_filter =
            connect_filter_make(s->connect_filter, s->deny == AIT_SANDBOX_DENY_LOG);
    if (!s->policy && s->deny != AIT_SANDBOX_DENY_LEARN && s->n_connect_filter == 0)
        return 0;
    r = choose_filter_flags(s, problem);
    if (r < 0 || (!s->policy && s->deny != AIT_SANDBOX_DENY_LEARN))
        return r;
    r = filter_compile(s->policy, s->deny, s->flags, &s->filter, problem);
    if (r >= 0)
        drop_quiet_that_cannot_be_loaded(&s->filter);
    return r;
}

/* ---- text ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void say(struct ait_sandbox *s, const char *format,
                                                      ...)
{
    size_t n = strlen(s->text);
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(s->text + n, sizeof(s->text) - n, format, ap);
    va_end(ap);
}

static void say_capabilities(struct ait_sandbox *s)
{
    if (s->capabilities == UINT64_MAX)
        say(s, "; capabilities untouched");
    else if (s->capabilities == 0)
        say(s, "; no capabilities");
    else
        say(s, "; capabilities limited to %d", __builtin_popcountll(s->capabilities));
}

static void describe(struct ait_sandbox *s, const struct landlock_result *landlock, int abi)
{
    if (s->policy)
        say(s, "system calls by policy %s, what it denies is %s", s->policy->name,
            deny_words[s->deny]);
    else
        say(s, s->deny == AIT_SANDBOX_DENY_LEARN ? "system calls are learnt"
                                                 : "system calls are not limited");
    say_capabilities(s);
    say(s, "; no_new_privs");
    if (landlock->text[0])
        say(s, "; Landlock ABI %d: %s", abi, landlock->text);
    if (landlock->lacking[0])
        say(s, "; %s: %s",
            abi == 0 && landlock_is_refused() ? "landlock_create_ruleset(2) is refused by an outer "
                                                "sandbox (or missing in this kernel)"
                                              : "this kernel lacks",
            landlock->lacking);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* A policy that is learnt from would hand on the number of a process. */
static int protect(struct ait_sandbox *s, pid_t process, bool signals, ait_sandbox_problem *problem)
{
    ait_policy *policy;

    if (process == 0 || !s->policy || s->deny == AIT_SANDBOX_DENY_LEARN)
        return 0;
    int r = policy_protect(&policy, s->policy, process, signals);
    if (r == -ESRCH)
        return problem_at(problem, r, "", 0, 0, "there is no process %d to protect", (int)process);
    if (r == -E2BIG)
        return problem_at(problem, r, "", 0, 0,
                          "the policy has no room for the rules that protect a process; use fewer "
                          "rules that look at arguments");
    if (r < 0)
        return problem_at(problem, r, "", 0, 0, "a process cannot be protected: %s", strerror(-r));
    ait_policy_unref(s->policy);
    s->policy = policy;
    return 0;
}

static int deny_to_root(struct ait_sandbox *s, const char *const *presets,
                        ait_sandbox_problem *problem)
{
    char open[160];
    ait_policy *policy;

    /* A policy that is learnt from would hand on what is denied to root alone. */
    if (!s->policy || s->deny == AIT_SANDBOX_DENY_LEARN)
        return 0;
    int r = policy_add_root(&policy, s->policy, presets, open, sizeof(open));
    if (r < 0)
        return problem_at(problem, r, "", 0, 0,
                          r == -E2BIG ? "the policy has no room for the rules that confine root; "
                                        "use fewer rules that look at arguments"
                                      : "root cannot be confined: out of memory");
    ait_policy_unref(s->policy);
    s->policy = policy;
    if (open[0])
        say(s, ", but the policy names %s: others are reached by that", open);
    return 0;
}

/* What Landlock does not see: files outside are read-only if that can be had, else nobody's. */
static int confine_root(struct ait_sandbox *s, const ait_sandbox_options *o, int abi,
                        ait_sandbox_problem *problem)
{
    const char *presets[4] = {"root"};
    bool paths = o->read_only || o->read_write;
    int why = -EOPNOTSUPP;

    if (!(s->flags & AIT_SANDBOX_ROOT))
        return 0;
    if (paths && mounts_prepare(&s->mounts, o->read_write, &why) < 0)
        return problem_at(problem, -ENOMEM, "", 0, 0, "root cannot be confined: out of memory");
    if (why < 0) {
        presets[1] = "root-files";
        presets[2] = landlock_sees_truncation(abi) ? NULL : "root-truncate";
    }
    say(s, "; root: %s",
        s->mounts.used ? "files outside are read-only, their sockets refused"
        : why < 0      ? "sockets and attributes of files are refused"
                       : "sockets of files are refused");
    if (paths && why < 0)
        say(s, " (no mount namespace: %s)", strerror(-why));
    return deny_to_root(s, presets, problem);
}

/* The modes of files limit what it changes, not where it connects. */
static int confine_user(struct ait_sandbox *s, ait_sandbox_problem *problem)
{
    if (!(s->flags & AIT_SANDBOX_OWN_USER) || s->flags & AIT_SANDBOX_ROOT)
        return 0;
    say(s, "; own user: sockets of files are refused");
    return deny_to_root(s, (const char *const[]){"root", NULL}, problem);
}

static int make_landlock(struct ait_sandbox *s, const ait_sandbox_options *o,
                         ait_sandbox_problem *problem)
{
    struct landlock_result result;
    int abi = landlock_abi();
    int r = landlock_make(o, abi, &result, problem);

    if (r < 0)
        return r;
    s->ruleset = result.fd;
    s->restrict_flags = result.flags;
    describe(s, &result, abi);
    r = confine_root(s, o, abi, problem);
    if (r >= 0)
        r = confine_user(s, problem);
    if (r >= 0)
        r = protect(s, o->protect, !result.signals, problem);
    if (r >= 0 && o->protect > 0 && o->flags & AIT_SANDBOX_PROTECT_PARENT)
        r = protect(s, getppid(), !result.signals, problem);
    return r;
}

AIT_PUBLIC int ait_sandbox_new(ait_sandbox **ret, const ait_sandbox_options *options,
                               ait_sandbox_problem *problem)
{
    ait_sandbox_options o;
    int r = ret ? read_options(&o, options, problem) : -EINVAL;

    if (r < 0)
        return r;
    struct ait_sandbox *s = calloc(1, sizeof(*s));
    if (!s)
        return problem_at(problem, -ENOMEM, "", 0, 0, "out of memory");
    s->refs = 1;
    s->ruleset = -1;
    s->policy = ait_policy_ref(o.policy);
    s->deny = o.deny;
    s->flags = o.flags;
    s->capabilities = o.flags & AIT_SANDBOX_KEEP_CAPABILITIES ? UINT64_MAX : o.capabilities;
    r = make_landlock(s, &o, problem);
    if (r >= 0)
        r = make_filters(s, &o, problem);
    if (r < 0) {
        ait_sandbox_unref(s);
        return r;
    }
    /* The policy is needed afterwards only if there is a listener. */
    if (!filter_listens(s->deny))
        s->policy = ait_policy_unref(s->policy);
    *ret = s;
    return 0;
}

AIT_PUBLIC ait_sandbox *ait_sandbox_ref(ait_sandbox *sandbox)
{
    if (sandbox)
        __atomic_add_fetch(&sandbox->refs, 1, __ATOMIC_RELAXED);
    return sandbox;
}

AIT_PUBLIC ait_sandbox *ait_sandbox_unref(ait_sandbox *sandbox)
{
    if (!sandbox || __atomic_sub_fetch(&sandbox->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    filter_done(&sandbox->filter);
    mounts_done(&sandbox->mounts);
    if (sandbox->ruleset >= 0)
        (void)close(sandbox->ruleset);
    ait_policy_unref(sandbox->policy);
    free(sandbox);
    return NULL;
}

AIT_PUBLIC const char *ait_sandbox_text(const ait_sandbox *sandbox)
{
    return sandbox->text;
}

AIT_PUBLIC const struct sock_filter *ait_sandbox_program(const ait_sandbox *sandbox, size_t *ret_n)
{
    *ret_n = sandbox->filter.program ? sandbox->filter.n : 0;
    return sandbox->filter.program;
}

/* ---- entering -------------------------------------------------------------------------------- */

/*
 * Asks the kernel first: that needs no /proc, but a sandbox that is already in force may deny it.
 */
static int check_alone(void)
{
    struct stat st;

    if (unshare(CLONE_THREAD) == 0)
        return 0;
    if (errno == EINVAL)
        return -EBUSY;
    if (stat("/proc/self/task", &st) < 0)
        return -errno;
    return st.st_nlink == 3 ? 0 : -EBUSY; /* ".", "..", and a folder a thread */
}

AIT_PUBLIC int ait_sandbox_enter(ait_sandbox *sandbox, const char **ret_step)
{
    int r;

    if (!sandbox || filter_listens(sandbox->deny)) {
        if (ret_step)
            *ret_step = "a sandbox that explains can only be entered by ait_sandbox_enter_child()";
        return -EINVAL;
    }
    r = check_alone();
    if (r < 0) {
        if (ret_step)
            *ret_step = "looking for other threads";
        return r;
    }
    r = ait_sandbox_prepare_child(sandbox, ret_step);
    return r < 0 ? r : ait_sandbox_enter_child(sandbox, -1, ret_step);
}
