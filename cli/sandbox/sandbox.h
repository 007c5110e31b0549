/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_SANDBOX_COMMANDS_H
#define CLI_SANDBOX_COMMANDS_H

/*
 * What the sub-commands of `aiotools-sd sandbox` share: their words, policies by name, and what a policy does call by call.
 *
 * A policy is named by a preset or by a file; a preset's name is never taken for a file (write ./service). A view is made from a policy and
 * owns what it holds. Functions that return a status have said on stderr what was wrong.
 */

#include <stdbool.h>

#include <aiotools-sd/sandbox.h>

#include "command.h"

/* The languages of --from and --to. */
enum sandbox_format { FORMAT_AUTO, FORMAT_NATIVE, FORMAT_SYSTEMD, FORMAT_OCI, FORMAT_BPF };
extern const char *const sandbox_from_words[]; /* by enum sandbox_format, up to FORMAT_OCI */
int sandbox_take_to(const struct option_spec *spec, const char *text, void *field, const char **ret_why);
extern const char *const sandbox_to_words[];

extern const struct option_spec sandbox_help_options[]; /* --help alone */

/*
 * Options and words in any order; words after "--" are words. Returns the number of words, which are moved to the front of argv (argv[0] is the
 * first of them), or -1 and the exit status: of --help, or of a mistake.
 */
int sandbox_words(const struct command *command, void *target, int argc, char **argv, int *ret_status);
/* The same where there has to be exactly one word, which is a what. */
const char *sandbox_one_word(const struct command *command, void *target, int argc, char **argv,
                             const char *what, int *ret_status);

bool sandbox_is_preset(const char *name);
/* -errno, with the place in problem. */
int sandbox_load(ait_policy **ret, const char *name, enum sandbox_format from, ait_sandbox_problem *problem);
/* Whether the last one was JSON: lines of its notes are not those of the file. */
bool sandbox_was_json(void);
/* "file:line:column: message" as compilers have it. */
void sandbox_print_problem(FILE *file, const ait_sandbox_problem *problem);
/* The same after the command's name; returns the exit status for a policy that cannot be read. */
int sandbox_report(const ait_sandbox_problem *problem);

/* "allow", "errno(EPERM)" and so on. */
#define ACTION_TEXT_SIZE 32
const char *sandbox_action_text(ait_policy_action action, char text[ACTION_TEXT_SIZE]);
bool sandbox_same_action(ait_policy_action a, ait_policy_action b);
bool sandbox_allows(ait_policy_action action);

/* What a policy does with each call. */
struct view_call {
    const char *name;            /* NULL: no call has this number */
    ait_policy_action otherwise; /* where no rule holds */
    unsigned n_rules;
};

struct view {
    int newest;
    ait_policy_action fallback;
    unsigned n_allowed, n_denied, n_by_arguments, n_rules; /* the first three add up to all calls */
    struct view_call *calls;
    char *text; /* the rules in our language, a line each */
};

int view_init(struct view *view, const ait_policy *policy);
void view_done(struct view *view);
/* The rules of a call that look at its arguments, after its name and with their actions, each on a line of its own behind indent. */
void view_print_rules(const struct view *view, const char *name, const char *indent, bool with_name);

/* Words side by side, up to a column; begins with indent. */
struct columns {
    const char *indent;
    size_t at;
};
void columns_put(struct columns *columns, const char *word);
void columns_end(struct columns *columns);

extern const struct option_spec show_options[], check_options[], export_options[], learn_options[],
    explain_options[];
int groups_main(const struct command *command, int argc, char **argv);
int show_main(const struct command *command, int argc, char **argv);
int check_main(const struct command *command, int argc, char **argv);
int export_main(const struct command *command, int argc, char **argv);
int learn_main(const struct command *command, int argc, char **argv);
int explain_main(const struct command *command, int argc, char **argv);

#endif
