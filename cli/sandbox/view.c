/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A policy for people: call by call. */
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 100

/* ---- views ----------------------------------------------------------------------------------- */

static int note_rule(const ait_policy_rule *rule, void *userdata)
{
    struct view *view = userdata;

    if (rule->number < 0 || rule->number > view->newest)
        return 0;
    if (rule->n_compares == 0)
        view->calls[rule->number].otherwise = rule->action;
    else
        view->calls[rule->number].n_rules++;
    return 0;
}

static int write_rules(struct view *view, const ait_policy *policy)
{
    size_t size;
    FILE *out = open_memstream(&view->text, &size);

    if (!out)
        return -errno;
    int r = ait_policy_write(policy, out, AIT_POLICY_FORMAT_NATIVE, NULL);
    if (fclose(out) == EOF && r >= 0)
        r = -errno;
    return r;
}

static void count(struct view *view)
{
    for (int i = 0; i <= view->newest; i++) {
        const struct view_call *call = &view->calls[i];

        if (!call->name)
            continue;
        view->n_rules += call->n_rules;
        if (call->n_rules > 0)
            view->n_by_arguments++;
        else if (ait_policy_action_is_denial(call->otherwise))
            view->n_denied++;
        else
            view->n_allowed++;
    }
}

int view_init(struct view *view, const ait_policy *policy)
{
    *view = (struct view){.newest = ait_syscall_newest(), .fallback = ait_policy_fallback(policy)};
    view->calls = calloc((size_t)view->newest + 1, sizeof(*view->calls));
    if (!view->calls)
        return -ENOMEM;
    for (int i = 0; i <= view->newest; i++)
        view->calls[i] =
            (struct view_call){.name = ait_syscall_name(i), .otherwise = view->fallback};
    int r = ait_policy_foreach_rule(policy, note_rule, view);
    if (r >= 0)
        r = write_rules(view, policy);
    if (r < 0) {
        view_done(view);
        return r;
    }
    count(view);
    return 0;
}

void view_done(struct view *view)
{
    free(view->calls);
    free(view->text);
    *view = (struct view){0};
}

bool view_is_first(const struct view *view, int number)
{
    const struct view_call *call = &view->calls[number];

    if (!call->name || call->n_rules > 0)
        return false;
    for (int i = 0; i < number; i++)
        if (view->calls[i].name && view->calls[i].n_rules == 0 &&
            ait_policy_action_is_equal(view->calls[i].otherwise, call->otherwise))
            return false;
    return true;
}

/* A rule with comparisons has a space behind the name, one without has a colon or nothing. */
void view_print_rules(const struct view *view, const char *name, const char *indent, bool with_name)
{
    size_t n = strlen(name);

    for (const char *line = view->text; *line;) {
        size_t length = strcspn(line, "\n");

        if (strncmp(line, name, n) == 0 && line[n] == ' ') {
            const char *text = with_name ? line : line + n + 1;
            printf("%s%.*s%s\n", indent, (int)(length - (size_t)(text - line)), text,
                   memchr(line, ':', length) ? "" : ": allow");
        }
        line += length + (line[length] == '\n');
    }
}

/* ---- columns --------------------------------------------------------------------------------- */

void columns_put(struct columns *columns, const char *word)
{
    size_t n = strlen(word);

    if (columns->at > 0 && columns->at + 1 + n > WIDTH)
        columns_end(columns);
    if (columns->at == 0)
        columns->at = (size_t)printf("%s%s", columns->indent, word);
    else
        columns->at += (size_t)printf(" %s", word);
}

void columns_end(struct columns *columns)
{
    if (columns->at > 0)
        (void)putchar('\n');
    columns->at = 0;
}
