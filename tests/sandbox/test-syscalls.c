/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy-check.h"
#include "syscalls/syscalls.h"

static void test_names(void **unused)
{
    static const struct {
        const char *name;
        int number;
    } rows[] = {
        {"read", SYS_read},
        {"openat", SYS_openat},
        {"clone", SYS_clone},
        {"rseq", SYS_rseq},
        {"clone3", SYS_clone3},
        {"openat2", 437},
        {"set_mempolicy_home_node", 450},
        {"cachestat", 451},
        {"mseal", 462},
        {"open_tree_attr", 467},
        {"file_setattr", 469},
        {"nosuchcall", -ENOENT},
        {"", -ENOENT},
        {"Read", -ENOENT},
        {"@default", -ENOENT},
        {"waitpid", -EOPNOTSUPP},
        {"s390_runtime_instr", -EOPNOTSUPP},
        {"osf_wait4", -EOPNOTSUPP},
        {NULL, -EINVAL},
    };

    for (size_t i = 0; i < ELEMENTS(rows); i++)
        if (ait_syscall_from_name(rows[i].name) != rows[i].number)
            fail_msg("%s: %d", rows[i].name, ait_syscall_from_name(rows[i].name));
}

static void test_numbers(void **unused)
{
    int n = 0;

    assert_int_equal(ait_syscall_newest(), 469);
    assert_null(ait_syscall_name(-1));
    assert_null(ait_syscall_name(ait_syscall_newest() + 1));
    for (int i = 0; i <= ait_syscall_newest(); i++) {
        const char *name = ait_syscall_name(i);
        /* From 424 on all architectures have the same calls, but for 442 to 447 on some. */
        if (i >= 450)
            assert_non_null(name);
        if (!name)
            continue;
        n++;
        assert_int_equal(ait_syscall_from_name(name), i);
    }
    assert_true(n > 290);
}

static int count(const char *member, void *userdata)
{
    unsigned *n = userdata;

    ++*n;
    if (*member == '@')
        assert_non_null(ait_syscall_group_text(member));
    else
        assert_int_not_equal(ait_syscall_from_name(member), -ENOENT);
    return 0;
}

static int stop(const char *member, void *userdata)
{
    return 7;
}

static void test_groups(void **unused)
{
    unsigned n_groups = 0, n;

    for (const char *name; (name = ait_syscall_group_name(n_groups)); n_groups++) {
        n = 0;
        assert_int_equal(*name, '@');
        assert_true(strlen(ait_syscall_group_text(name)) > 10);
        assert_int_equal(ait_syscall_group_foreach(name, count, &n), 0);
        assert_true(n > 0);
    }
    assert_int_equal(n_groups, 30);
    assert_int_equal(ait_syscall_group_foreach("@nosuch", count, &n), -ENOENT);
    assert_int_equal(ait_syscall_group_foreach(NULL, count, &n), -EINVAL);
    assert_int_equal(ait_syscall_group_foreach("@clock", stop, NULL), 7);
    assert_null(ait_syscall_group_text("@nosuch"));
    assert_null(ait_syscall_group_text(NULL));
}

static int mark(int number, void *userdata)
{
    bool *seen = userdata;

    seen[number] = true;
    return 0;
}

static void test_expand(void **unused)
{
    bool seen[SYSCALL_NEWEST + 1] = {false};

    assert_int_equal(syscall_group_expand("@system-service", mark, seen), 0);
    assert_true(seen[SYS_read] && seen[SYS_socket] && seen[SYS_openat] && seen[SYS_execve]);
    assert_false(seen[SYS_mount] || seen[SYS_ptrace] || seen[SYS_bpf]);
    assert_int_equal(syscall_group_expand("@nosuch", mark, seen), -ENOENT);
    memset(seen, 0, sizeof(seen));
    assert_int_equal(syscall_group_expand("@known", mark, seen), 0);
    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        assert_int_equal(seen[i], ait_syscall_name(i) != NULL);
}

/* ---- against systemd ------------------------------------------------------------------------- */

struct member_search {
    const char *name;
    bool found;
};

static int find_member(const char *member, void *userdata)
{
    struct member_search *search = userdata;

    search->found |= !strcmp(member, search->name);
    return search->found;
}

static bool has_member(const char *group, const char *name)
{
    struct member_search search = {name, false};

    (void)ait_syscall_group_foreach(group, find_member, &search);
    return search.found;
}

/* Calls that systemd 252 does not have in its groups. */
static bool is_newer(const char *name)
{
    static const char *const names[] = {
        "uprobe",        "futex_wait",       "futex_wake",   "futex_requeue",
        "mseal",         "map_shadow_stack", "cachestat",    "statmount",
        "listmount",     "setxattrat",       "getxattrat",   "listxattrat",
        "removexattrat", "open_tree_attr",   "file_getattr", "file_setattr"};

    for (size_t i = 0; i < ELEMENTS(names); i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

struct counted {
    const char *group;
    unsigned n;
};

static int count_older(const char *member, void *userdata)
{
    *(unsigned *)userdata += !is_newer(member);
    return 0;
}

static void end_group(const char *group, unsigned n_listed)
{
    unsigned n = 0;

    if (!*group || !strcmp(group, "@known"))
        return;
    assert_int_equal(ait_syscall_group_foreach(group, count_older, &n), 0);
    if (n != n_listed)
        fail_msg("%s has %u older members, and systemd lists %u", group, n, n_listed);
}

static bool is_systemd_252(void)
{
    FILE *pipe = popen("systemd-analyze --version 2>/dev/null", "r");
    char line[64] = "";

    if (!pipe)
        return false;
    (void)!fgets(line, sizeof(line), pipe);
    (void)pclose(pipe);
    return !strncmp(line, "systemd 252", 11);
}

static void test_like_systemd(void **unused)
{
    char line[256], group[64] = "", name[64];
    unsigned n = 0;

    if (!is_systemd_252()) {
        print_message("SKIP: systemd-analyze of systemd 252 is not installed\n");
        skip();
    }
    FILE *pipe = popen("SYSTEMD_COLORS=0 systemd-analyze syscall-filter", "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof(line), pipe)) {
        if (sscanf(line, " %63s", name) != 1)
            continue;
        if (*line == '@' || *line == '#') {
            end_group(group, n);
            (void)snprintf(group, sizeof(group), "%s", *line == '@' ? name : "");
            n = 0;
            if (*line == '@')
                assert_non_null(ait_syscall_group_text(group));
        } else if (*group && *name != '#') {
            n++;
            if (!has_member(group, name) && strcmp(name, "@obsolete") != 0)
                fail_msg("%s lacks %s", group, name);
        }
    }
    assert_int_equal(pclose(pipe), 0);
}

/* ---- types and suggestions ------------------------------------------------------------------- */

static void test_widths(void **unused)
{
    static const struct {
        const char *name;
        unsigned arg;
        uint64_t bits;
    } rows[] = {
        {"ioctl", 1, UINT32_MAX},         {"ioctl", 2, UINT64_MAX},   {"clone", 0, UINT32_MAX},
        {"mknod", 1, UINT16_MAX},         {"mknod", 2, UINT32_MAX},   {"openat", 2, UINT32_MAX},
        {"openat", 3, UINT16_MAX},        {"brk", 0, UINT64_MAX},     {"fchmodat", 2, UINT16_MAX},
        {"set_mempolicy", 0, UINT32_MAX}, {"add_key", 4, UINT32_MAX}, {"mbind", 2, UINT32_MAX},
    };

    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        int number = ait_syscall_from_name(rows[i].name);
        if (number >= 0)
            assert_int_equal(syscall_argument_mask(number, rows[i].arg), rows[i].bits);
    }
    assert_int_equal(syscall_argument_mask(-1, 0), UINT64_MAX);
    assert_int_equal(syscall_argument_mask(SYSCALL_NEWEST + 1, 0), UINT64_MAX);
}

/* The types that are narrower than a register. Pointers and the others are 64 bits. */
static uint64_t bits_of_type(const char *type)
{
    static const char *const words[] = {
        "int",
        "unsigned int",
        "unsigned",
        "pid_t",
        "uid_t",
        "gid_t",
        "u32",
        "__u32",
        "__s32",
        "clockid_t",
        "timer_t",
        "mqd_t",
        "key_t",
        "rwf_t",
        "key_serial_t",
        "qid_t",
        "enum landlock_rule_type",
    };

    if (strncmp(type, "const ", 6) == 0)
        type += 6;
    if (strcmp(type, "umode_t") == 0)
        return UINT16_MAX;
    for (size_t i = 0; i < ELEMENTS(words); i++)
        if (strcmp(type, words[i]) == 0)
            return UINT32_MAX;
    return UINT64_MAX;
}

/* The names of some functions in the kernel are not those of the calls. */
static int number_of_function(const char *name)
{
    static const char *const others[][2] = {
        {"newfstat", "fstat"}, {"newstat", "stat"},        {"newlstat", "lstat"},
        {"newuname", "uname"}, {"sendfile64", "sendfile"}, {"umount", "umount2"},
    };

    for (size_t i = 0; i < ELEMENTS(others); i++)
        if (strcmp(name, others[i][0]) == 0)
            name = others[i][1];
    return ait_syscall_from_name(name);
}

/* Lines like "field:unsigned int fd;	offset:16;	size:8;	signed:0;", first some that all
 * events have. */
static unsigned check_declaration(FILE *file, const char *name, int number)
{
    char line[512], *type, *end;
    unsigned arg = 0, wrong = 0;

    while (fgets(line, sizeof(line), file)) {
        if (!(type = strstr(line, "field:")) || strstr(type, "common_") ||
            strstr(type, "__syscall_nr"))
            continue;
        type += strlen("field:");
        if ((end = strchr(type, ';')))
            *end = '\0';
        if ((end = strrchr(type, ' ')))
            *end = '\0';
        /* Where the kernel declares a long, and reads the lower half, the table knows better. */
        if (syscall_argument_mask(number, arg) > bits_of_type(type)) {
            print_message("%s: argument %u is %s\n", name, arg, type);
            wrong++;
        }
        arg++;
    }
    return wrong;
}

static unsigned check_declarations(const char *directory, unsigned *ret_checked)
{
    char path[NAME_MAX + 64];
    unsigned wrong = 0;
    struct dirent *entry;
    DIR *dir = opendir(directory);

    while (dir && (entry = readdir(dir))) {
        int number = strncmp(entry->d_name, "sys_enter_", 10) == 0
                         ? number_of_function(entry->d_name + 10)
                         : -1;

        (void)snprintf(path, sizeof(path), "%.40s/%s/format", directory, entry->d_name);
        FILE *file = number >= 0 ? fopen(path, "re") : NULL;
        if (!file)
            continue;
        wrong += check_declaration(file, entry->d_name + 10, number);
        ++*ret_checked;
        (void)fclose(file);
    }
    if (dir)
        (void)closedir(dir);
    return wrong;
}

/* In a mount namespace of its own. The status is 77 if there are no declarations here. */
static int look_at_kernel(void)
{
    char directory[] = "/tmp/widths.XXXXXX", path[64];
    unsigned checked = 0, wrong;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        !mkdtemp(directory))
        return 77;
    int r = mount("none", directory, "tracefs", 0, NULL);
    (void)snprintf(path, sizeof(path), "%s/events/syscalls", directory);
    wrong = r < 0 ? 0 : check_declarations(path, &checked);
    (void)umount2(directory, MNT_DETACH);
    (void)rmdir(directory);
    print_message("%u calls of this kernel\n", checked);
    return checked == 0 ? 77 : wrong > 0;
}

static void test_widths_of_this_kernel(void **unused)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(look_at_kernel());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("SKIP: needs root, and a kernel that traces system calls\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void test_nearest(void **unused)
{
    assert_string_equal(syscall_nearest("opneat"), "openat");
    assert_string_equal(syscall_nearest("sokcet"), "socket");
    assert_string_equal(syscall_nearest("@netwrok-io"), "@network-io");
    assert_null(syscall_nearest("this_is_like_no_call_at_all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_groups),  cmocka_unit_test(test_expand),
        cmocka_unit_test(test_widths),  cmocka_unit_test(test_widths_of_this_kernel),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_like_systemd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
