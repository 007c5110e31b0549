/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* aiotools-sd sandbox groups, show. */
#include "subcommands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "load.h"
#include "view.h"

#define GROUP_DEPTH_MAX 8
#define NAME_COLUMN     30
#define SUGGESTIONS_MAX 1024

struct show_config {
    int from; /* ait_policy_format */
};

static const struct option_spec show_options[] = {
    {"from", 0, "auto|native|systemd|oci", option_word, offsetof(struct show_config, from),
     "language of FILE (auto: decided by its first line)", sandbox_from_words},
    {"help", 'h', NULL, option_stop, 0, "show this help"},
    {0},
};

static const char *architecture(void)
{
    static struct utsname system;

    return uname(&system) < 0 ? "this machine" : system.machine;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static int groups_run(const struct command *command, int argc, char **argv)
{
    const char *name;
    struct problem p;
    int status, n = command_words(command, NULL, argc, argv, &status);

    if (n < 0)
        return status;
    if (n > 0) {
        (void)problem_set(
            &p, STATUS_USAGE, -EINVAL,
            "%s: sandbox groups takes no arguments; sandbox show %s lists what is in a group",
            argv[0], argv[0]);
        return report(&p);
    }
    for (size_t i = 0; (name = ait_syscall_group_name(i)); i++)
        printf("%-18s %s\n", name, ait_syscall_group_text(name));
    return print_done();
}

/* ---- one group ------------------------------------------------------------------------------- */

static int show_members(const char *group, int depth);

struct listing {
    bool groups; /* list these, not calls */
    int depth;
};

static int show_member(const char *member, void *userdata)
{
    const struct listing *l = userdata;
    int number;

    if ((*member == '@') != l->groups)
        return 0;
    if (l->groups) {
        printf("%*s%s\n", 2 * l->depth, "", member);
        return l->depth < GROUP_DEPTH_MAX ? show_members(member, l->depth + 1) : 0;
    }
    number = ait_syscall_from_name(member);
    if (number >= 0)
        printf("%*s%-*s %d\n", 2 * l->depth, "", NAME_COLUMN - 2 * l->depth, member, number);
    else
        printf("%*s%-*s not on %s\n", 2 * l->depth, "", NAME_COLUMN - 2 * l->depth, member,
               architecture());
    return 0;
}

static int show_members(const char *group, int depth) /* NOLINT(misc-no-recursion) */
{
    struct listing l = {.groups = false, .depth = depth};
    int r = ait_syscall_group_foreach(group, show_member, &l);

    l.groups = true;
    return r != 0 ? r : ait_syscall_group_foreach(group, show_member, &l);
}

static int show_group(const char *group)
{
    printf("%s: %s\n\n", group, ait_syscall_group_text(group));
    (void)show_members(group, 1);
    return print_done();
}

/* ---- one system call ------------------------------------------------------------------------- */

struct membership {
    const char *name;
    int depth;
};

static int find_member(const char *member, void *userdata) /* NOLINT(misc-no-recursion) */
{
    struct membership *m = userdata;
    int r;

    if (*member != '@')
        return strcmp(member, m->name) == 0;
    if (m->depth == GROUP_DEPTH_MAX)
        return 0;
    m->depth++;
    r = ait_syscall_group_foreach(member, find_member, m);
    m->depth--;
    return r;
}

static void show_groups_of(const char *name)
{
    const char *group;
    unsigned n = 0;

    printf("groups: ");
    for (size_t i = 0; (group = ait_syscall_group_name(i)); i++) {
        struct membership m = {.name = name};

        if (ait_syscall_group_foreach(group, find_member, &m) == 1)
            printf("%s%s", n++ ? ", " : "", group);
    }
    printf("%s\n", n > 0 ? "" : "none");
}

static int show_in_preset(const char *preset, int number)
{
    ait_policy *policy = NULL;
    struct view view;
    char text[AIT_POLICY_ACTION_SIZE];
    int r = ait_policy_from_preset(&policy, preset, NULL);

    if (r >= 0)
        r = view_init(&view, policy);
    ait_policy_unref(policy);
    if (r < 0)
        return r;
    const struct view_call *call = &view.calls[number];
    printf("%s: %s%s\n", preset, ait_policy_action_text(call->otherwise, text),
           call->n_rules > 0 ? ", but" : "");
    view_print_rules(&view, call->name, "  ", false);
    view_done(&view);
    return 0;
}

static int show_call(const char *name, int number)
{
    static const char *const presets[] = {"service", "strict"};

    if (number < 0)
        printf("%s: not on %s\n", name, architecture());
    else
        printf("%s: system call %d on %s\n", name, number, architecture());
    show_groups_of(name);
    for (size_t i = 0; number >= 0 && i < sizeof(presets) / sizeof(presets[0]); i++) {
        int r = show_in_preset(presets[i], number);
        struct problem p;

        if (r < 0) {
            (void)problem_set(&p, STATUS_OS, r, "preset %s: %s", presets[i], strerror(-r));
            return report(&p);
        }
    }
    return print_done();
}

/* ---- a policy -------------------------------------------------------------------------------- */

static bool is_plain(const struct view_call *call, ait_policy_action action)
{
    return call->name && call->n_rules == 0 && ait_policy_action_is_equal(call->otherwise, action);
}

static void show_calls_with(const struct view *view, ait_policy_action action)
{
    struct columns columns = {.indent = "  "};
    char text[AIT_POLICY_ACTION_SIZE];

    printf("\n%s\n", ait_policy_action_text(action, text));
    for (int i = 0; i <= view->newest; i++)
        if (is_plain(&view->calls[i], action))
            columns_put(&columns, view->calls[i].name);
    columns_end(&columns);
}

/* By the action of the first call that has it. */
static void show_plain_calls(const struct view *view)
{
    for (int i = 0; i <= view->newest; i++)
        if (view_is_first(view, i))
            show_calls_with(view, view->calls[i].otherwise);
}

static void show_calls_by_arguments(const struct view *view)
{
    char text[AIT_POLICY_ACTION_SIZE];

    if (view->n_by_arguments == 0)
        return;
    printf("\nby arguments\n");
    for (int i = 0; i <= view->newest; i++) {
        const struct view_call *call = &view->calls[i];

        if (!call->name || call->n_rules == 0)
            continue;
        view_print_rules(view, call->name, "  ", true);
        printf("  %s: else %s\n", call->name, ait_policy_action_text(call->otherwise, text));
    }
}

static int show_policy(const char *name, ait_policy_format from)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;
    struct view view;
    char text[AIT_POLICY_ACTION_SIZE];
    int r = sandbox_load(&policy, name, from, &problem);

    if (r < 0)
        return sandbox_report(&problem);
    r = view_init(&view, policy);
    ait_policy_unref(policy);
    if (r < 0) {
        struct problem p;

        (void)problem_set(&p, STATUS_OS, r, "%s: %s", name, strerror(-r));
        return report(&p);
    }
    printf("%s: of %u system calls, %u are allowed, %u are denied, and %u depend on their "
           "arguments; others: %s\n",
           name, view.n_allowed + view.n_denied + view.n_by_arguments, view.n_allowed,
           view.n_denied, view.n_by_arguments, ait_policy_action_text(view.fallback, text));
    show_plain_calls(&view);
    show_calls_by_arguments(&view);
    view_done(&view);
    return print_done();
}

/* ---- the command ----------------------------------------------------------------------------- */

static const char *nearest(const char *word)
{
    static const char *words[SUGGESTIONS_MAX];
    static const char *const presets[] = {"service", "strict", "base", "root", "root-files"};
    const char *name;
    size_t n = 0;

    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
        words[n++] = presets[i];
    for (size_t i = 0; (name = ait_syscall_group_name(i)) && n < SUGGESTIONS_MAX - 1; i++)
        words[n++] = name;
    for (int i = 0; i <= ait_syscall_newest() && n < SUGGESTIONS_MAX - 1; i++)
        if ((name = ait_syscall_name(i)))
            words[n++] = name;
    int index = options_nearest(word, words);
    return index < 0 ? NULL : words[index];
}

static int unknown(const char *word)
{
    const char *near = nearest(word);
    const char *what = *word == '@' ? "no such group"
                       : word[strspn(word, "0123456789")] == '\0'
                           ? "no system call has this number"
                           : "no such system call, preset or file";
    struct problem p;

    if (near)
        (void)problem_set(&p, STATUS_CONFIG, -ENOENT, "%s: %s; did you mean %s?", word, what, near);
    else
        (void)problem_set(&p, STATUS_CONFIG, -ENOENT, "%s: %s; sandbox groups lists the groups",
                          word, what);
    return report(&p);
}

static int show_number(const char *word)
{
    char *end;

    errno = 0;
    long number = strtol(word, &end, 10);
    const char *name =
        errno == 0 && number <= ait_syscall_newest() ? ait_syscall_name((int)number) : NULL;
    return name ? show_call(name, (int)number) : unknown(word);
}

static int show_run(const struct command *command, int argc, char **argv)
{
    struct show_config config = {0};
    int status;
    const char *word = command_one_word(command, &config, argc, argv,
                                        "a @group, a system call, a preset or a file", &status);

    if (!word)
        return status;
    if (*word == '@')
        return ait_syscall_group_text(word) ? show_group(word) : unknown(word);
    if (*word && word[strspn(word, "0123456789")] == '\0')
        return show_number(word);
    if (sandbox_is_preset(word))
        return show_policy(word, AIT_POLICY_FORMAT_AUTO);
    int number = ait_syscall_from_name(word);
    if (number >= 0 || number == -EOPNOTSUPP)
        return show_call(word, number);
    return strchr(word, '/') || access(word, F_OK) == 0
               ? show_policy(word, (ait_policy_format)config.from)
               : unknown(word);
}

const struct command groups_command = {
    .name = "groups",
    .parent = "sandbox",
    .arguments = "",
    .summary = "list the groups of system calls",
    .options = help_options,
    .run = groups_run,
    .offers = "-W ''",
};

const struct command show_command = {
    .name = "show",
    .parent = "sandbox",
    .arguments = "[OPTION...] @GROUP|NAME|NUMBER|PRESET|FILE",
    .summary = "show a group, a system call or a policy",
    .options = show_options,
    .run = show_run,
    .offers = "-f -W 'service strict $(aiotools-sd sandbox groups 2>/dev/null | cut -d ' ' -f 1)'",
};
