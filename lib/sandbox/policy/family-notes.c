/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "draft.h"
#include "syscalls/families.h"
#include "syscalls/syscalls.h"

static bool is_open(const struct draft *draft, int number)
{
    const struct draft_call *call = &draft->calls[number];
    bool fallback_denies = !draft->has_fallback || ait_policy_action_is_denial(draft->fallback);

    if (call->said ? ait_policy_action_is_denial(call->action) : fallback_denies)
        return false;
    for (const struct draft_rule *r = call->rules; r; r = r->next)
        if (ait_policy_action_is_denial(r->action))
            return false;
    return true;
}

/* The place where the layer denies the call by name. */
static const struct place *denied_at(const struct draft *draft, const struct layer *layer,
                                     int number)
{
    if (layer->calls[number].has_action)
        return ait_policy_action_is_denial(layer->calls[number].action)
                   ? &layer->calls[number].action_place
                   : NULL;
    for (const struct draft_rule *r = draft->calls[number].rules; r; r = r->next)
        if (ait_policy_action_is_denial(r->action) && layer->calls[number].n_rules > 0 &&
            r->place.source == draft->calls[number].rules->place.source)
            return &r->place;
    return NULL;
}

static void append(char *list, size_t size, const char *name)
{
    size_t n = strlen(list);

    (void)snprintf(list + n, size - n, "%s%s", n ? ", " : "", name);
}

static void note_family(struct draft *draft, const struct layer *layer, const struct family *family)
{
    const struct place *place = NULL;
    const char *denied = NULL;
    char open[256] = "";

    for (size_t i = 0; i < FAMILY_MEMBERS_MAX && family->members[i]; i++) {
        int number = ait_syscall_from_name(family->members[i]);
        if (number < 0)
            continue;
        if (is_open(draft, number))
            append(open, sizeof(open), family->members[i]);
        else if (!place) {
            place = denied_at(draft, layer, number);
            denied = family->members[i];
        }
    }
    if (place && *open)
        draft_note(draft, *place, "%s is denied, but these calls can still %s: %s", denied,
                   family->purpose, open);
}

void draft_note_families(struct draft *draft, const struct layer *layer)
{
    for (size_t i = 0; i < n_families; i++)
        note_family(draft, layer, &families[i]);
}
