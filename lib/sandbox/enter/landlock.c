/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "policy/problem.h"

#define CREATE_VERSION 1U

#define FS_EXECUTE     (UINT64_C(1) << 0)
#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_MAKE_CHAR   (UINT64_C(1) << 6)
#define FS_MAKE_BLOCK  (UINT64_C(1) << 11)
#define FS_FIRST       ((UINT64_C(1) << 13) - 1) /* all of ABI 1 */
#define FS_REFER       (UINT64_C(1) << 13)
#define FS_TRUNCATE    (UINT64_C(1) << 14)
#define FS_IOCTL_DEV   (UINT64_C(1) << 15)
#define FS_OF_FILES    (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_READ_ONLY   (FS_EXECUTE | FS_READ_FILE | FS_READ_DIR)
/*
 * Writable files are not executable unless they are also named as read-only, and devices cannot be
 * made.
 */
#define FS_NOT_WRITING (FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK)

/* The rights of a ruleset that is made for its side effects only; they are allowed everywhere. */
#define FS_OF_NOBODY (FS_MAKE_CHAR | FS_REFER)

#define NET_CONNECT_TCP (UINT64_C(1) << 1)

#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define SCOPE_SIGNAL        (UINT64_C(1) << 1)

#define ABI_REFER     2
#define ABI_TRUNCATE  3
#define ABI_NET       4
#define ABI_IOCTL_DEV 5
#define ABI_SCOPE     6
#define ABI_LOG       7

enum rule_type { RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct net_port_attr {
    uint64_t allowed_access;
    uint64_t port;
};

/* The file rights that each ABI added, and what a kernel without them cannot confine. */
static const struct {
    int abi;
    uint64_t right;
    const char *lacking;
} later_rights[] = {
    {ABI_REFER, FS_REFER, NULL}, /* ABI 1 allows no moves between directories at all */
    {ABI_TRUNCATE, FS_TRUNCATE, "truncate() is not confined (ABI 3)"},
    {ABI_IOCTL_DEV, FS_IOCTL_DEV, "ioctl() on devices is not confined (ABI 5)"},
};

static const struct {
    int abi;
    size_t size;
} attr_sizes[] = {
    {ABI_SCOPE, sizeof(struct ruleset_attr)},
    {ABI_NET, offsetof(struct ruleset_attr, scoped)},
    {1, offsetof(struct ruleset_attr, handled_access_net)},
};

/* Linux 5.13 has it, unless it was built without. */
static bool kernel_should_have_it(void)
{
    struct utsname name;
    unsigned major, minor;

    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 13));
}

bool landlock_is_refused(void)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION) >= 0)
        return false;
    return errno == EPERM || errno == EACCES || (errno == ENOSYS && kernel_should_have_it());
}

bool landlock_sees_truncation(int abi)
{
    return abi >= ABI_TRUNCATE;
}

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

    if (abi < 0)
        return 0;
    return abi > LANDLOCK_ABI_NEWEST ? LANDLOCK_ABI_NEWEST : (int)abi;
}

static void append(char *text, size_t size, const char *what)
{
    size_t n = strlen(text);

    (void)snprintf(text + n, size - n, "%s%s", n > 0 ? ", " : "", what);
}

/* ---- what is to be restricted ---------------------------------------------------------------- */

static uint64_t known_rights(int abi)
{
    uint64_t rights = FS_FIRST;

    for (size_t i = 0; i < sizeof(later_rights) / sizeof(later_rights[0]); i++)
        if (abi >= later_rights[i].abi)
            rights |= later_rights[i].right;
    return rights;
}

static int lacks(ait_sandbox_problem *problem, const char *option, int needed, int abi)
{
    if (abi == 0 && landlock_is_refused())
        return problem_at(
            problem, -EOPNOTSUPP, "", 0, 0,
            "%s needs Landlock, and landlock_create_ruleset(2) is refused by an outer sandbox (or "
            "missing in this kernel); allow it there, or leave the option out",
            option);
    if (abi == 0)
        return problem_at(problem, -EOPNOTSUPP, "", 0, 0,
                          "%s needs Landlock, which this kernel does not offer; boot it with "
                          "landlock among its security modules (lsm=), or leave the option out",
                          option);
    return problem_at(problem, -EOPNOTSUPP, "", 0, 0,
                      "%s needs Landlock ABI %d, and this kernel has ABI %d; use a newer kernel, "
                      "or leave the option out",
                      option, needed, abi);
}

static int choose_files(const ait_sandbox_options *o, int abi, struct ruleset_attr *attr,
                        struct landlock_result *result, ait_sandbox_problem *problem)
{
    /* The preset "root" denies both. */
    bool by_policy = o->flags & AIT_SANDBOX_ROOT && o->policy;

    if (!o->read_only && !o->read_write)
        return 0;
    if (abi < 1)
        return lacks(problem, o->read_only ? "read-only" : "read-write", 1, abi);
    attr->handled_access_fs = known_rights(abi);
    append(result->text, sizeof(result->text), "files");
    for (size_t i = 0; i < sizeof(later_rights) / sizeof(later_rights[0]); i++)
        if (abi < later_rights[i].abi && later_rights[i].lacking && !by_policy)
            append(result->lacking, sizeof(result->lacking), later_rights[i].lacking);
    return 0;
}

static int choose_ports(const ait_sandbox_options *o, int abi, struct ruleset_attr *attr,
                        struct landlock_result *result, ait_sandbox_problem *problem)
{
    if (!o->connect_ports)
        return 0;
    if (abi < ABI_NET)
        return lacks(problem, "connect", ABI_NET, abi);
    attr->handled_access_net = NET_CONNECT_TCP;
    append(result->text, sizeof(result->text), "TCP ports");
    return 0;
}

/*
 * Any ruleset keeps its processes from inspecting others. Each ruleset that handles files refuses
 * moves between directories unless it allows them, which ABI 1 cannot.
 */
static void choose_ptrace(int abi, struct ruleset_attr *attr, struct landlock_result *result)
{
    if (attr->handled_access_fs || attr->handled_access_net)
        return;
    if (abi < ABI_REFER) {
        append(result->lacking, sizeof(result->lacking), "ptrace is not confined (ABI 2)");
        return;
    }
    attr->handled_access_fs = FS_OF_NOBODY;
    append(result->text, sizeof(result->text), "ptrace");
}

/* The scope is optional: files and system calls are confined without it. */
static void choose_scope(const ait_sandbox_options *o, int abi, struct ruleset_attr *attr,
                         struct landlock_result *result)
{
    if (!(o->flags & AIT_SANDBOX_SCOPE))
        return;
    if (abi < ABI_SCOPE) {
        append(result->lacking, sizeof(result->lacking),
               "signals and abstract sockets are not confined (ABI 6)");
        choose_ptrace(abi, attr, result);
        return;
    }
    attr->scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    result->signals = true;
    append(result->text, sizeof(result->text), "scope");
}

/* ---- rules ----------------------------------------------------------------------------------- */

static bool is_refusal(int error)
{
    return error == -EPERM || error == -ENOSYS;
}

static int bad_path(ait_sandbox_problem *problem, const char *option, const char *path, int error)
{
    if (is_refusal(error))
        return problem_at(problem, error, path, 0, 0,
                          "%s=%s: landlock_add_rule(2) is refused (%s) by an outer sandbox; let "
                          "that allow it, or leave the option out",
                          option, path, strerror(-error));
    return problem_at(problem, error, path, 0, 0,
                      "%s=%s: %s; name a path that exists and may be opened", option, path,
                      strerror(-error));
}

static int add_path(int ruleset, const char *path, uint64_t rights)
{
    struct path_beneath_attr attr = {.allowed_access = rights};
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC), r = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        r = -errno;
    if (r >= 0 && !S_ISDIR(st.st_mode))
        attr.allowed_access &= FS_OF_FILES;
    attr.parent_fd = fd;
    if (r >= 0 && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) < 0)
        r = -errno;
    (void)close(fd);
    return r;
}

static int add_paths(int ruleset, const char *const *paths, uint64_t rights, const char *option,
                     ait_sandbox_problem *problem)
{
    for (; paths && *paths; paths++) {
        int r = add_path(ruleset, *paths, rights);
        if (r < 0)
            return bad_path(problem, option, *paths, r);
    }
    return 0;
}

static int add_ports(int ruleset, const ait_sandbox_options *o, ait_sandbox_problem *problem)
{
    for (size_t i = 0; i < o->n_connect_ports; i++) {
        struct net_port_attr attr = {.allowed_access = NET_CONNECT_TCP,
                                     .port = o->connect_ports[i]};
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &attr, 0) < 0) {
            int r = -errno;
            return problem_at(
                problem, r, "", 0, 0,
                is_refusal(r)
                    ? "connect=%u: landlock_add_rule(2) is refused (%s) by an outer sandbox; let "
                      "that allow it, or leave the option out"
                    : "connect=%u: %s; this kernel may be built without TCP, leave the option out",
                (unsigned)o->connect_ports[i], strerror(-r));
        }
    }
    return 0;
}

static int add_rules(int ruleset, const ait_sandbox_options *o, uint64_t handled,
                     ait_sandbox_problem *problem)
{
    static const char *const everything[] = {"/", NULL};
    int r;

    if (handled == FS_OF_NOBODY)
        return add_paths(ruleset, everything, handled, "ptrace", problem);
    r = add_paths(ruleset, o->read_only, handled & FS_READ_ONLY, "read-only", problem);
    if (r >= 0)
        r = add_paths(ruleset, o->read_write, handled & ~FS_NOT_WRITING, "read-write", problem);
    return r < 0 ? r : add_ports(ruleset, o, problem);
}

/* ---- the ruleset ----------------------------------------------------------------------------- */

static int create(const struct ruleset_attr *attr, int abi)
{
    size_t size = 0;

    for (size_t i = 0; i < sizeof(attr_sizes) / sizeof(attr_sizes[0]) && size == 0; i++)
        if (abi >= attr_sizes[i].abi)
            size = attr_sizes[i].size;
    int fd = (int)syscall(SYS_landlock_create_ruleset, attr, size, 0);
    if (fd < 0)
        return -errno;
    if (fd > STDERR_FILENO)
        return fd;
    /*
     * If a process was started with a standard stream closed, the ruleset must not take its place.
     */
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), error = errno;
    (void)close(fd);
    return copy < 0 ? -error : copy;
}

int landlock_make(const ait_sandbox_options *options, int abi, struct landlock_result *ret,
                  ait_sandbox_problem *problem)
{
    struct landlock_result result = {.fd = -1};
    struct ruleset_attr attr = {0};
    int r = choose_files(options, abi, &attr, &result, problem);

    if (r >= 0)
        r = choose_ports(options, abi, &attr, &result, problem);
    if (r < 0)
        return r;
    choose_scope(options, abi, &attr, &result);
    if (attr.handled_access_fs || attr.handled_access_net || attr.scoped) {
        result.fd = create(&attr, abi);
        if (result.fd < 0)
            return problem_at(problem, result.fd, "", 0, 0,
                              "Landlock: %s; raise the limit of open files (ulimit -n), or look "
                              "for an outer sandbox that denies it",
                              strerror(-result.fd));
        r = add_rules(result.fd, options, attr.handled_access_fs, problem);
        if (r < 0) {
            (void)close(result.fd);
            return r;
        }
        if (abi >= ABI_LOG && options->flags & AIT_SANDBOX_EXEC)
            result.flags = LANDLOCK_RESTRICT_LOG_NEW_EXEC;
    }
    *ret = result;
    return 0;
}
