/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A policy while it is read: layers, which are files, each put on top of what it includes.
 *
 * Invariants:
 * - A layer holds what one file itself says. In a layer explicit names beat groups, and of groups
 *   the later line wins. draft_put() checks the layer and puts it on top of the draft, which is
 *   what has been included so far.
 * - Rules of one call in the draft with different actions are provably disjoint.
 * - Comparisons are normalised: masks and values fit the argument's width, and none is always or
 *   never true.
 * - Sources (names of files) live as long as the draft; places point to them.
 *
 * A layer owns its rules until draft_put(); then the draft owns them.
 *
 * What this is not: it reads no text and opens no file.
 */

#include <stdbool.h>

#include "model.h"

struct source {
    struct source *next;
    char name[];
};

struct place {
    const struct source *source;
    unsigned line;
    unsigned column;
};

struct draft_rule {
    struct draft_rule *next;
    ait_policy_action action;
    struct place place;
    bool own; /* see struct layer */
    unsigned n_compares;
    ait_policy_compare compares[POLICY_COMPARES_MAX];
};

enum layer_group { LAYER_GROUP_SILENT, LAYER_GROUP_ACTION, LAYER_GROUP_DROP };

struct layer_call {
    enum layer_group group;
    ait_policy_action group_action;
    bool has_action;
    ait_policy_action action;
    struct place action_place;
    bool dropped;
    struct place drop_place;
    struct draft_rule *rules;
    struct draft_rule **end;
    unsigned n_rules;
};

struct layer {
    bool own; /* said by a user in our own language, and not by a preset or an imported list */
    bool has_fallback;
    ait_policy_action fallback;
    struct layer_call calls[SYSCALL_NEWEST + 1];
};

struct draft_call {
    bool said;
    bool named; /* said by the call's name, and not by a group */
    bool own;   /* named, by a layer that is */
    ait_policy_action action;
    struct draft_rule *rules;
};

struct draft {
    struct source *sources;
    struct policy_note *notes;
    unsigned n_notes;
    bool has_fallback;
    ait_policy_action fallback;
    unsigned n_rules; /* that look at arguments, ever read */
    unsigned n_lines; /* with rules, over all files */
    unsigned n_files;
    struct draft_call calls[SYSCALL_NEWEST + 1];
};

void draft_done(struct draft *draft);
const struct source *draft_source(struct draft *draft, const char *name);
/* Adds a note, which is not an error. It is lost if memory is short or there are very many. */
void draft_note(struct draft *draft, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct layer *layer_free(struct layer *layer);
void layer_freep(struct layer **p);

/* Puts the layer on top of the draft, which takes over its rules. */
int draft_put(struct draft *draft, struct layer *layer, ait_sandbox_problem *problem);
/* Adds notes on relatives of denied calls that stay allowed. */
void draft_note_families(struct draft *draft, const struct layer *layer);
int draft_finish(struct draft *draft, const char *name, ait_policy **ret,
                 ait_sandbox_problem *problem);

/* ---- comparisons (compare.c) ----------------------------------------------------------------- */

bool compare_is_ordering(const ait_policy_compare *c);
bool compare_never(const ait_policy_compare *c);
bool compare_always(const ait_policy_compare *c);
/* The two are provably never both true. */
bool compare_contradicts(const ait_policy_compare *a, const ait_policy_compare *b);
bool rule_disjoint(const struct draft_rule *a, const struct draft_rule *b);
/* Whenever b applies, a applies, provably. */
bool rule_covers(const struct draft_rule *a, const struct draft_rule *b);
