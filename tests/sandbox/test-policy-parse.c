/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The language: what is right and what it means, what is wrong, where, and what is said about it;
 * bounds; files.
 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy-check.h"
#include "policy/parse.h"
#include "policy/scan.h"

#define HIGH (UINT64_C(1) << 32)

/* ---- what is right --------------------------------------------------------------------------- */

static const struct {
    const char *text;
    struct call_row calls[4];
} right[] = {
    {P, {{"read", {0}, "errno(EPERM)"}}},
    {"\xef\xbb\xbf" P "read\n", {{"read", {0}, "allow"}}},
    {"# a comment\n\n   \t\npolicy 1 # and one more\r\n read\t\r\n",
     {{"read", {0}, "allow"}, {"write", {0}, "errno(EPERM)"}}},
    {P "default allow\nread: errno(EACCES)",
     {{"read", {0}, "errno(EACCES)"}, {"write", {0}, "allow"}}},
    {P "read: errno(13)\nwrite : errno( 4000 )\n",
     {{"read", {0}, "errno(EACCES)"}, {"write", {0}, "errno(4000)"}}},
    {P "read:enosys\nwrite:log\nclose:trap\ndup:kill",
     {{"read", {0}, "enosys"},
      {"write", {0}, "log"},
      {"close", {0}, "trap"},
      {"dup", {0}, "kill"}}},
    {P "read: notify\nwrite: notify(EACCES)\n",
     {{"read", {0}, "notify"}, {"write", {0}, "notify(EACCES)"}}},
    {P "@clock\n@basic-io: kill\n",
     {{"clock_settime", {0}, "allow"}, {"read", {0}, "kill"}, {"openat", {0}, "errno(EPERM)"}}},
    {P "waitpid\nread", {{"read", {0}, "allow"}}},
    /* The kernel reads 32 bits of some arguments: the others are noise. */
    {P "default allow\nioctl arg1 == TIOCSTI: errno(EPERM)",
     {{"ioctl", {0, 0x5412}, "errno(EPERM)"},
      {"ioctl", {0, HIGH | 0x5412}, "errno(EPERM)"},
      {"ioctl", {0, 0x5413}, "allow"}}},
    {P "personality arg0 == -1",
     {{"personality", {UINT32_MAX}, "allow"},
      {"personality", {UINT64_MAX}, "allow"},
      {"personality", {1}, "errno(EPERM)"}}},
    {P "openat arg0 == AT_FDCWD",
     {{"openat", {UINT32_MAX - 99}, "allow"},
      {"openat", {(uint64_t)-100}, "allow"},
      {"openat", {3}, "errno(EPERM)"}}},
    {P "brk arg0 == -1", {{"brk", {UINT32_MAX}, "errno(EPERM)"}, {"brk", {UINT64_MAX}, "allow"}}},
    {P "brk arg0 == 010", {{"brk", {8}, "allow"}, {"brk", {HIGH | 8}, "errno(EPERM)"}}},
    {P "brk arg0 >= 0x10 && arg1 == 2",
     {{"brk", {15, 2}, "errno(EPERM)"},
      {"brk", {16, 2}, "allow"},
      {"brk", {HIGH, 2}, "allow"},
      {"brk", {16, 3}, "errno(EPERM)"}}},
    {P "close arg0 > 2",
     {{"close", {2}, "errno(EPERM)"},
      {"close", {HIGH | 2}, "errno(EPERM)"},
      {"close", {3}, "allow"}}},
    {P "close arg0 <= 2",
     {{"close", {2}, "allow"}, {"close", {HIGH | 2}, "allow"}, {"close", {3}, "errno(EPERM)"}}},
    {P "close arg0 < 2", {{"close", {1}, "allow"}, {"close", {2}, "errno(EPERM)"}}},
    {P "close arg0 != 2", {{"close", {1}, "allow"}, {"close", {HIGH | 2}, "errno(EPERM)"}}},
    {P "socket arg0 == AF_INET && arg1 & 0xf == SOCK_RAW: kill",
     {{"socket", {2, 3}, "kill"},
      {"socket", {2, 0x80003}, "kill"},
      {"socket", {2, 1}, "errno(EPERM)"},
      {"socket", {1, 3}, "errno(EPERM)"}}},
    {P "socket (arg1 & (SOCK_CLOEXEC|SOCK_NONBLOCK)) == SOCK_CLOEXEC|SOCK_NONBLOCK",
     {{"socket", {0, 02004000}, "allow"}, {"socket", {0, 02000000}, "errno(EPERM)"}}},
    {P "clone arg0 & CLONE_NEWUSER|CLONE_NEWNET != 0: kill\nclone",
     {{"clone", {0x10000000}, "kill"},
      {"clone", {0x50000000}, "kill"},
      {"clone", {0x11}, "allow"}}},
    /* Several rules are alternatives; what none meets has the rule without conditions, then the
       group's. */
    {P "socket arg0 == AF_INET\nsocket arg0 == AF_INET6\nsocket: errno(EACCES)",
     {{"socket", {2}, "allow"}, {"socket", {10}, "allow"}, {"socket", {1}, "errno(EACCES)"}}},
    {P "socket arg0 == AF_INET: errno(EACCES)\n@network-io",
     {{"socket", {2}, "errno(EACCES)"}, {"socket", {10}, "allow"}}},
};

static void test_right(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(right); i++) {
        ait_policy *policy = parse(right[i].text);
        size_t n = 0;
        while (n < ELEMENTS(right[i].calls) && right[i].calls[n].name)
            n++;
        check_calls(right[i].text, policy, right[i].calls, n);
        ait_policy_unref(policy);
    }
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static const struct {
    const char *text;
    int error;
    unsigned line;
    unsigned column;
    const char *message;
} wrong[] = {
    {"", -EINVAL, 1, 0, "policy 1"},
    {"\n# nothing\n", -EINVAL, 2, 0, "policy 1"},
    {"read\npolicy 1\n", -EINVAL, 1, 1, "the first line must be 'policy 1'"},
    {"policy\n", -EINVAL, 1, 7, "version"},
    {"policy 2\n", -EINVAL, 1, 8, "knows version 1, not '2'"},
    {"policy 1 2\n", -EINVAL, 1, 10, "end of the line is expected"},
    {P "policy 1\n", -EINVAL, 2, 1, "before"},
    {P "default\n", -EINVAL, 2, 8, "an action is expected"},
    {P "default allow\ndefault kill\n", -EINVAL, 3, 1, "there is a line 'default' before"},
    {P "default allow kill\n", -EINVAL, 2, 15, "end of the line is expected, not 'kill'"},
    {P "opneat\n", -EINVAL, 2, 1, "unknown system call 'opneat': is it openat?"},
    {P "  nosuchcallatallanywhere\n", -EINVAL, 2, 3,
     "unknown system call 'nosuchcallatallanywhere'"},
    {P "@netwrok-io\n", -EINVAL, 2, 1, "is it @network-io?"},
    {P "@\n", -EINVAL, 2, 1, "unknown group '@'"},
    {P "!read: allow\n", -EINVAL, 2, 6, "nothing may follow"},
    {P "!read arg0 == 1\n", -EINVAL, 2, 7, "nothing may follow"},
    {P "!\n", -EINVAL, 2, 2, "a system call or a group is expected, but the line ends here"},
    {P "!!read\n", -EINVAL, 2, 2, "a system call or a group is expected, not '!'"},
    {P "read:\n", -EINVAL, 2, 6, "an action is expected"},
    {P "read: deny\n", -EINVAL, 2, 7,
     "an action is expected: allow, errno(NAME), enosys, log, trap, notify or kill, not 'deny'"},
    {P "read: errno\n", -EINVAL, 2, 12, "as in errno(EPERM)"},
    {P "read: errno(\n", -EINVAL, 2, 13, "an error's name"},
    {P "read: errno(EPREM)\n", -EINVAL, 2, 13, "an error's name"},
    {P "read: errno(0)\n", -EINVAL, 2, 13, "from 1 to 4095"},
    {P "read: errno(4096)\n", -EINVAL, 2, 13, "from 1 to 4095"},
    {P "read: errno(1\n", -EINVAL, 2, 14, "')' is expected"},
    {P "read: allow, write\n", -EINVAL, 2, 12, "end of the line is expected"},
    {P "read write\n", -EINVAL, 2, 6, "an argument is expected, arg0 to arg5"},
    {P "read = 1\n", -EINVAL, 2, 6, "':' and an action are expected"},
    {P "read $\n", -EINVAL, 2, 6, "':' and an action are expected"},
    {P "$read\n", -EINVAL, 2, 1, "a system call or a group is expected"},
    {P "7\n", -EINVAL, 2, 1, "a system call or a group is expected"},
    {P "@clock arg0 == 1\n", -EINVAL, 2, 8, "a group takes no conditions"},
    {P "read arg6 == 1\n", -EINVAL, 2, 6, "arg0 to arg5"},
    {P "read arg0\n", -EINVAL, 2, 10, "a comparison is expected"},
    {P "read arg0 = 1\n", -EINVAL, 2, 11, "a comparison is expected"},
    {P "read arg0 ==\n", -EINVAL, 2, 13,
     "a number or a constant is expected, but the line ends here"},
    {P "read arg0 == 1 &&\n", -EINVAL, 2, 18, "an argument is expected"},
    {P "read arg0 == 1 || arg0 == 2\n", -EINVAL, 2, 16, "for 'or' write a second rule"},
    {P "read arg0 == 1 arg1 == 2\n", -EINVAL, 2, 16, "':' and an action are expected"},
    {P "read arg0 == 12abc\n", -EINVAL, 2, 14, "not a number"},
    {P "read arg0 == 09\n", -EINVAL, 2, 14, "not a number"},
    {P "brk arg0 == 0x10000000000000000\n", -EINVAL, 2, 13, "does not fit into 64 bits"},
    {P "brk arg0 == 100000000000000000000000000000000000000000000000\n", -EINVAL, 2, 13,
     "does not fit into 64 bits"},
    {P "brk arg0 == -9223372036854775809\n", -EINVAL, 2, 14, "does not fit into 64 bits"},
    {P "read arg0 == - 1x\n", -EINVAL, 2, 16, "not a number"},
    {P "read arg0 == -EPERM\n", -EINVAL, 2, 15, "a number is expected after '-'"},
    {P "socket arg0 == AF_INTE\n", -EINVAL, 2, 16, "unknown constant 'AF_INTE': is it AF_INET?"},
    {P "socket arg0 == (1|2\n", -EINVAL, 2, 20, "')' is expected"},
    {P "socket arg0 == ((((((((((1))))))))))\n", -EINVAL, 2, 24, "too many parentheses"},
    {P "socket (arg0 == 1)\n", -EINVAL, 2, 14, "')' is expected"},
    {P "socket arg0 & 0 == 0\n", -EINVAL, 2, 15, "a mask of 0"},
    {P "socket arg0 & 0xf == 0x10\n", -EINVAL, 2, 8, "is never true"},
    {P "socket arg0 & 0xf != 0x10\n", -EINVAL, 2, 8, "is always true"},
    {P "brk arg0 < 0\n", -EINVAL, 2, 5, "is never true"},
    {P "brk arg0 >= 0\n", -EINVAL, 2, 5, "is always true"},
    {P "brk arg0 & 0xff > 0xff\n", -EINVAL, 2, 5, "is never true"},
    {P "brk arg0 & 0xff <= 0xff\n", -EINVAL, 2, 5, "is always true"},
    {P "brk arg0 < -1\n", -EINVAL, 2, 12, "compare unsigned"},
    {P "socket arg0 == 0x100000002\n", -EINVAL, 2, 16, "32 bits"},
    {P "socket arg0 & 0x10000000f == 2\n", -EINVAL, 2, 15, "32 bits"},
    {P "socket arg0 == -4294967297\n", -EINVAL, 2, 16, "32 bits"},
    {P "socket arg0 == 1 && arg0 == 2\n", -EINVAL, 2, 21, "never applies"},
    {P "socket arg0 & 1 != 0 && arg0 & 1 == 0\n", -EINVAL, 2, 25, "never applies"},
    {P "socket arg0 == 3 && arg0 & 1 != 1\n", -EINVAL, 2, 21, "never applies"},
    {P "read "
       "arg0==0&&arg1==0&&arg2==0&&arg3==0&&arg4==0&&arg5==0&&arg0==0&&arg1==0&&arg2==0&&arg3==0&&"
       "arg4==0&&arg5==0&&arg0==0\n",
     -E2BIG, 2, 114, "more than 12 conditions"},
    {P "read\n\ninclude service\n", -EINVAL, 4, 1, "before the first rule"},
    {P "include\n", -EINVAL, 2, 8, "a preset or a path is expected"},
    {P "include \"\"\n", -EINVAL, 2, 9, "a preset or a path is expected"},
    {P "include \"a\n", -EINVAL, 2, 9, "not closed"},
    {P "include service strict\n", -EINVAL, 2, 17, "end of the line is expected"},
    {P "include nosuchpreset\n", -ENOENT, 2, 1,
     "include 'nosuchpreset': No such file or directory"},
    {P "include \"service\"\n", -ENOENT, 2, 1, "include 'service'"},
    {"\xef\xbb\xbf\xef\xbb\xbfpolicy 1\n", -EINVAL, 1, 1, "the first line must be"},
    {"\xef\xbb\xbfpolicy 2\n", -EINVAL, 1, 8, ""},
};

static void test_wrong(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        int r = parse_wrong(wrong[i].text, strlen(wrong[i].text), &problem);
        if (r != wrong[i].error || problem.line != wrong[i].line ||
            problem.column != wrong[i].column || !strstr(problem.message, wrong[i].message) ||
            strcmp(problem.file, "text") != 0)
            fail_msg("row %zu: %s%d %s:%u:%u: %s", i, wrong[i].text, r, problem.file, problem.line,
                     problem.column, problem.message);
        ait_policy *policy = NULL;
        assert_int_equal(
            ait_policy_from_text(&policy, NULL, wrong[i].text, strlen(wrong[i].text), NULL), r);
    }
}

static void test_arguments(void **unused)
{
    ait_sandbox_problem small = {.size = 8, .error = 77};
    ait_policy *policy = NULL;

    assert_int_equal(ait_policy_from_text(NULL, "x", P, strlen(P), NULL), -EINVAL);
    assert_int_equal(ait_policy_from_text(&policy, "x", NULL, 1, NULL), -EINVAL);
    assert_int_equal(ait_policy_from_text(&policy, "x", NULL, 0, &small), -EINVAL);
    assert_int_equal(small.error, 77);
    assert_int_equal(ait_policy_from_file(&policy, NULL, NULL), -EINVAL);
    assert_int_equal(ait_policy_from_preset(&policy, NULL, NULL), -EINVAL);
    assert_null(policy);
}

/* The table is searched by halves: each constant has to be found where it stands. */
static void test_constants(void **unused)
{
    for (size_t i = 0; i < policy_n_constants; i++) {
        const char *name = policy_constants[i].name;
        assert_ptr_equal(policy_constant_find(name, strlen(name)), &policy_constants[i]);
        assert_null(policy_constant_find(name, strlen(name) - 1) == &policy_constants[i] ? name
                                                                                         : NULL);
    }
    assert_null(policy_constant_find("AF_INETX", 8));
    assert_ptr_equal(policy_constant_find("AF_INETX", 7), policy_constant_find("AF_INET", 7));
    assert_null(policy_constant_find("", 0));
}

/* ---- bounds ---------------------------------------------------------------------------------- */

struct bound {
    const char *first;
    const char *format; /* takes the number of the line */
    unsigned n_lines;
    int error;
    unsigned line; /* at which it is refused */
    const char *message;
};

static const struct bound bounds[] = {
    {P, "read\n", 16384, 0, 0, ""},
    {P, "read\n", 100000, -E2BIG, 16386, "more than 16384 rules"},
    {P, "socket arg0 == %u\n", 256, 0, 0, ""},
    {P, "socket arg0 == %u\n", 20000, -E2BIG, 258, "at most 256 for one system call"},
    {P, "# a comment, and no rule %u ......................\n", 19000, 0, 0, ""},
    {P, "# a comment, and no rule %u ......................\n", 22000, -E2BIG, 0,
     "larger than 1048576 bytes"},
};

static void test_bounds(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(bounds); i++) {
        const struct bound *b = &bounds[i];
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        ait_policy *policy = NULL;
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        (void)fputs(b->first, out);
        for (unsigned k = 0; k < b->n_lines; k++)
            (void)fprintf(out, b->format, k);
        assert_int_equal(fclose(out), 0);
        int r = ait_policy_from_text(&policy, "text", text, n, &problem);
        if (r != b->error || problem.line != b->line || !strstr(problem.message, b->message))
            fail_msg("row %zu: %d, line %u: %s", i, r, problem.line, problem.message);
        ait_policy_unref(policy);
        free(text);
    }
}

/* 17 calls with 256 rules each are more than the whole may have. */
static void test_bound_of_all(void **unused)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    unsigned line = 1;

    (void)fputs(P, out);
    for (int number = 0; line <= POLICY_RULES_MAX + 1; number++)
        for (unsigned k = 0;
             ait_syscall_name(number) && k < POLICY_RULES_A_CALL && line <= POLICY_RULES_MAX + 1;
             k++, line++)
            (void)fprintf(out, "%s arg0 == %u\n", ait_syscall_name(number), k);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(parse_wrong(text, n, &problem), -E2BIG);
    assert_int_equal(problem.line, POLICY_RULES_MAX + 2);
    free(text);
}

static void test_lines(void **unused)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char text[2 * SCAN_LINE_MAX];
    size_t n = (size_t)snprintf(text, sizeof(text), P "read %*s", SCAN_LINE_MAX - 5, "");

    ait_policy_unref(parse(text));
    (void)snprintf(text + n, sizeof(text) - n, " ");
    assert_int_equal(parse_wrong(text, n + 1, &problem), -EINVAL);
    assert_int_equal(problem.line, 2);
    assert_int_equal(problem.column, SCAN_LINE_MAX + 1);
    assert_non_null(strstr(problem.message, "more than 4096"));
}

static void test_nul(void **unused)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    static const char text[] = P "read\nwri\0te\n";

    assert_int_equal(parse_wrong(text, sizeof(text) - 1, &problem), -EINVAL);
    assert_int_equal(problem.line, 3);
    assert_int_equal(problem.column, 4);
    assert_non_null(strstr(problem.message, "NUL"));
}

/* A text need not end with a newline or a NUL; what stands behind it is not read (which the
 * sanitizer watches). */
static void test_exact_length(void **unused)
{
    static const char text[] = P "include service\nsocket arg0 == AF_INET: kill\n";

    for (size_t n = 0; n < sizeof(text); n++) {
        char *copy = malloc(n);
        ait_policy *policy = NULL;
        assert_true(copy || n == 0);
        memcpy(copy, text, n);
        int r = ait_policy_from_text(&policy, "text", copy, n, NULL);
        assert_int_equal(r < 0, policy == NULL);
        ait_policy_unref(policy);
        free(copy);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static char directory[] = "/tmp/policy-XXXXXX";

static int make_directory(void **unused)
{
    return mkdtemp(directory) ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *out = fopen(path_of(name), "we");

    assert_non_null(out);
    (void)fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int remove_directory(void **unused)
{
    static const char *const names[] = {"a", "b", "c", "same", "fifo", "sub/d", "big", "secret"};

    for (size_t i = 0; i < ELEMENTS(names); i++)
        (void)unlink(path_of(names[i]));
    for (int i = 0; i <= POLICY_DEPTH_MAX + 1; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)unlink(path_of(name));
    }
    (void)rmdir(path_of("sub"));
    return rmdir(directory);
}

static void file_wrong(const char *name, int error, unsigned line, unsigned column,
                       const char *message)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    int r = ait_policy_from_file(&policy, path_of(name), &problem);

    if (r != error || problem.line != line || problem.column != column ||
        !strstr(problem.message, message))
        fail_msg("%s: %d %s:%u:%u: %s", name, r, problem.file, problem.line, problem.column,
                 problem.message);
}

static void test_files(void **unused)
{
    ait_policy *policy = NULL;

    put("a", P "include b\ninclude \"sub/d\"\nread: log\n");
    put("b", P "default kill\nread: trap\nwrite: trap\n");
    assert_int_equal(mkdir(path_of("sub"), 0700), 0);
    put("sub/d", P "include ../c\n");
    put("c", P "write: enosys\nclose\n");
    assert_int_equal(ait_policy_from_file(&policy, path_of("a"), NULL), 0);
    const struct call_row rows[] = {{"read", {0}, "log"},
                                    {"write", {0}, "enosys"},
                                    {"close", {0}, "allow"},
                                    {"dup", {0}, "kill"}};
    check_calls("files", policy, rows, ELEMENTS(rows));
    ait_policy_unref(policy);
    put("c", P "write: enosys\n\n  close arg0 ==\n");
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    assert_int_equal(ait_policy_from_file(&policy, path_of("a"), &problem), -EINVAL);
    assert_non_null(strstr(problem.file, "sub/../c"));
    assert_int_equal(problem.line, 4);
    assert_int_equal(problem.column, 16);
}

static void test_no_policy(void **unused)
{
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    file_wrong("nosuch", -ENOENT, 0, 0, "No such file");
    file_wrong("", -EISDIR, 0, 0, "a directory");
    file_wrong("fifo", -EINVAL, 0, 0, "not a regular file");
    put("a", P "include fifo\n");
    file_wrong("a", -EINVAL, 2, 1, "not a regular file");
    put("a", P "include .\n");
    file_wrong("a", -EISDIR, 2, 1, "a directory");
    put("a", P "include /dev/zero\n");
    file_wrong("a", -EINVAL, 2, 1, "not a regular file");
    put("secret", P);
    assert_int_equal(chmod(path_of("secret"), 0), 0);
    put("a", P "include secret\n");
    if (geteuid() != 0)
        file_wrong("a", -EACCES, 2, 1, "Permission denied");
    FILE *out = fopen(path_of("big"), "we");
    assert_non_null(out);
    assert_int_equal(ftruncate(fileno(out), 1 << 30), 0);
    assert_int_equal(fclose(out), 0);
    file_wrong("big", -E2BIG, 0, 0, "larger than 1 MiB");
}

static void test_loops(void **unused)
{
    put("a", P "include b\n");
    put("b", P "\ninclude a\n");
    file_wrong("a", -ELOOP, 3, 1, "/a -> ");
    put("a", P "include a\n");
    file_wrong("a", -ELOOP, 2, 1, "/a -> ");
    /* By another name, it is the same file. */
    put("a", P "include same\n");
    assert_int_equal(symlink("a", path_of("same")), 0);
    file_wrong("a", -ELOOP, 2, 1, "/a -> ");
    for (int i = 0; i <= POLICY_DEPTH_MAX + 1; i++) {
        char name[8], text[64];
        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)snprintf(text, sizeof(text), P "include n%d\n", i + 1);
        put(name, i <= POLICY_DEPTH_MAX ? text : P);
    }
    file_wrong("n0", -ELOOP, 2, 1, "nested more than 8 deep");
    ait_policy *policy = NULL;
    assert_int_equal(ait_policy_from_file(&policy, path_of("n1"), NULL), 0);
    ait_policy_unref(policy);
}

/* Each file that includes the next one twice is no loop, but must not take for ever. */
static void test_many(void **unused)
{
    for (int i = 0; i < POLICY_DEPTH_MAX; i++) {
        char name[8], text[64];
        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)snprintf(text, sizeof(text), P "include n%d\ninclude n%d\n", i + 1, i + 1);
        put(name, text);
    }
    put("n8", P);
    file_wrong("n0", -E2BIG, 2, 1, "more than 64 files");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_arguments),    cmocka_unit_test(test_constants),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_bound_of_all),
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_exact_length), cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_policy),    cmocka_unit_test(test_loops),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
