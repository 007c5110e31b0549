/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A region: the inputs of a seccomp program for which some facts hold. Exact, except that a search
 * that takes too long counts as a success.
 *
 * A fact is about one of the 16 words of seccomp_data: (word & mask) op k is true, or is not. Facts
 * form a list, the newest first, so that two regions share what they have in common. No fact at all
 * is every input.
 *
 * It makes no system call, allocates nothing, and keeps no state.
 */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/model.h"

#define REGION_WORDS (sizeof(struct seccomp_data) / sizeof(uint32_t))

struct fact {
    const struct fact *before;
    unsigned word;
    uint16_t op; /* BPF_JEQ, BPF_JGT, BPF_JGE or BPF_JSET */
    bool holds;
    uint32_t mask, k;
};

/* Whether all facts about a word hold for this value of it. */
bool region_has(const struct fact *region, unsigned word, uint32_t value);
/* Finds a value of the word. False: there is none, so the region is empty. */
bool region_find(const struct fact *region, unsigned word, uint32_t *ret);
/* Finds an input; meaningless if the region is empty. */
void region_pick(const struct fact *region, struct seccomp_data *ret);

/*
 * Whether the rule holds for some input of the region; *ret (may be NULL) is such an input. The
 * region must not be empty.
 */
bool region_may(const struct fact *region, const struct policy_rule *rule,
                struct seccomp_data *ret);
/* Whether it holds for all of them. */
bool region_must(const struct fact *region, const struct policy_rule *rule);
