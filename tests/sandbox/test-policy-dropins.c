/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Drop-ins of unit files: which are read, in which order, and which hide others. The tables are
 * trees of files below a temporary folder. systemd itself is asked by systemd/units.py.
 */

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy-check.h"

#define ETC "etc/systemd/system/"
#define RUN "run/systemd/system/"
#define LIB "usr/lib/systemd/system/"

#define DENY(call)        "[Service]\nSystemCallFilter=~" call "\n"
#define DENY_AS(call, is) "[Service]\nSystemCallFilter=~" call ":" is "\n"
#define UNIT              DENY("read") "SystemCallErrorNumber=EPERM\n"

struct file {
    const char *path;
    const char *text; /* "-> X": a link */
};

static const struct tree {
    const char *name;
    const char *unit;
    struct file files[8];
    struct call_row calls[5];
} trees[] = {
    {"beside it",
     "x/foo.service",
     {{"x/foo.service", UNIT},
      {"x/foo.service.d/a.conf", DENY("write")},
      {"x/foo.service.d/b.txt", DENY("close")},
      {"x/foo.service.d/.c.conf", DENY("dup")}},
     {{"read", {0}, "errno(EPERM)"},
      {"write", {0}, "errno(EPERM)"},
      {"close", {0}, "allow"},
      {"dup", {0}, "allow"}}},
    {"only beside it",
     "x/foo.service",
     {{"x/foo.service", UNIT}, {ETC "foo.service.d/a.conf", DENY("write")}},
     {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}}},
    {"the order is that of the names",
     LIB "foo.service",
     {{LIB "foo.service", UNIT},
      {ETC "foo.service.d/10.conf", DENY_AS("read", "EACCES")},
      {RUN "foo.service.d/20.conf", DENY_AS("read", "ENOENT")},
      {LIB "foo.service.d/15.conf", DENY_AS("read", "EIO")}},
     {{"read", {0}, "errno(ENOENT)"}}},
    {"a name counts once: /etc before /run before /usr/lib",
     LIB "foo.service",
     {{LIB "foo.service", UNIT},
      {LIB "foo.service.d/10.conf", DENY("write")},
      {RUN "foo.service.d/10.conf", DENY("close")},
      {ETC "foo.service.d/10.conf", DENY("dup")},
      {RUN "foo.service.d/20.conf", DENY("open")},
      {LIB "foo.service.d/20.conf", DENY("close")}},
     {{"write", {0}, "allow"},
      {"close", {0}, "allow"},
      {"dup", {0}, "errno(EPERM)"},
      {"open", {0}, "errno(EPERM)"}}},
    {"masks",
     LIB "foo.service",
     {{LIB "foo.service", UNIT},
      {LIB "foo.service.d/10.conf", DENY("write")},
      {LIB "foo.service.d/20.conf", DENY("close")},
      {LIB "foo.service.d/30.conf", DENY("dup")},
      {RUN "foo.service.d/10.conf", "-> /dev/null"},
      {ETC "foo.service.d/20.conf", ""},
      {ETC "foo.service.d/30.conf", "-> nowhere"}},
     {{"write", {0}, "allow"}, {"close", {0}, "allow"}, {"dup", {0}, "allow"}}},
    {"a prefix, and the type",
     ETC "foo-bar-baz.service",
     {{ETC "foo-bar-baz.service", UNIT},
      {ETC "foo-bar-.service.d/10.conf", DENY("write")},
      {ETC "foo-.service.d/20.conf", DENY("close")},
      {ETC "foo.service.d/40.conf", DENY("open")},
      {LIB "service.d/30.conf", DENY("dup")},
      {LIB "socket.d/50.conf", DENY("open")}},
     {{"write", {0}, "errno(EPERM)"},
      {"close", {0}, "errno(EPERM)"},
      {"dup", {0}, "errno(EPERM)"},
      {"open", {0}, "allow"}}},
    {"an instance has those of its template",
     ETC "foo-a@x-y.service",
     {{ETC "foo-a@.service", UNIT},
      {ETC "foo-a@x-y.service", "-> foo-a@.service"},
      {ETC "foo-a@x-y.service.d/10.conf", DENY("write")},
      {ETC "foo-a@.service.d/20.conf", DENY("close")},
      {ETC "foo-@.service.d/30.conf", DENY("dup")},
      {ETC "foo-a@x-.service.d/40.conf", DENY("open")}},
     {{"write", {0}, "errno(EPERM)"},
      {"close", {0}, "errno(EPERM)"},
      {"dup", {0}, "errno(EPERM)"},
      {"open", {0}, "allow"}}},
    {"a template has its own",
     ETC "foo@.service",
     {{ETC "foo@.service", UNIT},
      {ETC "foo@x.service.d/10.conf", DENY("write")},
      {ETC "foo@.service.d/20.conf", DENY("close")}},
     {{"write", {0}, "allow"}, {"close", {0}, "errno(EPERM)"}}},
    {"another name",
     ETC "other.service",
     {{LIB "foo.service", UNIT},
      {ETC "other.service", "-> ../../../" LIB "foo.service"},
      {ETC "foo.service.d/10.conf", DENY("write")},
      {ETC "other.service.d/20.conf", DENY("close")}},
     {{"read", {0}, "errno(EPERM)"},
      {"write", {0}, "errno(EPERM)"},
      {"close", {0}, "errno(EPERM)"}}},
    {"it resets, and has all",
     "foo.service",
     {{"foo.service", "[Service]\nExecStart=/bin/true\nSystemCallFilter=@system-service\n"},
      {"foo.service.d/a.conf", "[Service]\nSystemCallFilter=\nSystemCallFilter=~write\n"},
      {"foo.service.d/b.conf", "[Service]\nSystemCallErrorNumber=ENOENT\n"}},
     {{"write", {0}, "errno(ENOENT)"}, {"mount", {0}, "allow"}}},
    {"the only list is in a drop-in",
     "foo.service",
     {{"foo.service", "[Service]\nExecStart=/bin/true\n"}, {"foo.service.d/a.conf", DENY("write")}},
     {{"write", {0}, "kill"}, {"read", {0}, "allow"}}},
    {"each begins without a section",
     "foo.service",
     {{"foo.service", UNIT},
      {"foo.service.d/a.conf", "SystemCallFilter=~write\n"},
      {"foo.service.d/b.conf", "[Socket]\nSystemCallFilter=~close\n"}},
     {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}, {"close", {0}, "allow"}}},
    {"the section is that of the type",
     "foo.socket",
     {{"foo.socket", "[Socket]\nSystemCallFilter=~write\n[Service]\nSystemCallFilter=~read\n"},
      {"foo.socket.d/a.conf", "[Socket]\nSystemCallFilter=~close\n"}},
     {{"write", {0}, "kill"}, {"read", {0}, "allow"}, {"close", {0}, "kill"}}},
    {"bare lists and other names have none",
     "foo.lists",
     {{"foo.lists", "~read\n"}, {"foo.lists.d/a.conf", DENY("write")}},
     {{"read", {0}, "errno(EPERM)"}, {"write", {0}, "allow"}}},
};

static void make(const char *root, const struct file *file)
{
    char path[512];

    assert_true(snprintf(path, sizeof(path), "%s/%s", root, file->path) < (int)sizeof(path));
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    }
    if (!strncmp(file->text, "-> ", 3)) {
        assert_int_equal(symlink(file->text + 3, path), 0);
        return;
    }
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(file->text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void check_tree(const struct tree *tree)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char root[] = "/tmp/dropins.XXXXXX", path[512];
    ait_policy *policy = NULL;
    size_t n = 0;

    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < ELEMENTS(tree->files) && tree->files[i].path; i++)
        make(root, &tree->files[i]);
    (void)snprintf(path, sizeof(path), "%s/%s", root, tree->unit);
    int r = ait_policy_load(&policy, path, AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem);
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    if (r < 0)
        fail_msg("%s: %s: %s", tree->name, problem.file, problem.message);
    while (n < ELEMENTS(tree->calls) && tree->calls[n].name)
        n++;
    check_calls(tree->name, policy, tree->calls, n);
    ait_policy_unref(policy);
}

static void test_trees(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(trees); i++)
        check_tree(&trees[i]);
}

static int append(const ait_sandbox_problem *note, void *userdata)
{
    char *notes = userdata;
    size_t n = strlen(notes);
    const char *base = strrchr(note->file, '/');

    (void)snprintf(notes + n, 4096 - n, "%s:%u: %s\n", base ? base + 1 : note->file, note->line,
                   note->message);
    return 0;
}

/* Notes and errors name the drop-in, and each that was read has a note. */
static void test_messages(void **unused)
{
    static const struct file files[] = {
        {"foo.service", UNIT}, {"foo.service.d/a.conf", "[Service]\nSystemCallFilter=reed\n"}};
    static const struct file broken = {"foo.service.d/b.conf", "[Service\n"};
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char root[] = "/tmp/dropins.XXXXXX", path[512], notes[4096] = "";
    ait_policy *policy = NULL;

    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < ELEMENTS(files); i++)
        make(root, &files[i]);
    (void)snprintf(path, sizeof(path), "%s/foo.service", root);
    assert_int_equal(ait_policy_load(&policy, path, AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem),
                     0);
    (void)ait_policy_foreach_note(policy, append, notes);
    policy = ait_policy_unref(policy);
    make(root, &broken);
    assert_int_equal(ait_policy_load(&policy, path, AIT_POLICY_FORMAT_AUTO, NULL, NULL, &problem),
                     -EINVAL);
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    assert_non_null(strstr(notes, "a.conf:0: this drop-in of the unit has been read"));
    assert_non_null(strstr(notes, "a.conf:2: unknown system call 'reed'"));
    assert_non_null(strstr(problem.file, "foo.service.d/b.conf"));
    assert_int_equal(problem.line, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trees),
                                       cmocka_unit_test(test_messages)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
