/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "region.h"

#define SEARCH_MAX (1 << 16) /* beginnings of a value */

/* ---- one word -------------------------------------------------------------------------------- */

/*
 * All values that begin like x, whatever the free low bits are: 1: (value & mask) op k is true, 0:
 * it is not, -1: it depends.
 */
static int decided(const struct fact *f, uint32_t x, uint32_t free)
{
    uint32_t low = x & f->mask & ~free, high = (x | free) & f->mask;

    switch (f->op) {
    case BPF_JEQ:
        if ((low ^ f->k) & ~(free & f->mask))
            return 0;
        return low == high ? 1 : -1;
    case BPF_JGT:
        return low > f->k ? 1 : high <= f->k ? 0 : -1;
    case BPF_JGE:
        return low >= f->k ? 1 : high < f->k ? 0 : -1;
    default:
        return low & f->k ? 1 : high & f->k ? -1 : 0;
    }
}

bool region_has(const struct fact *region, unsigned word, uint32_t value)
{
    for (const struct fact *f = region; f; f = f->before)
        if (f->word == word && decided(f, value, 0) != f->holds)
            return false;
    return true;
}

/*
 * Looks for a value that begins like x, down from a bit. Bits that no open fact looks at stay 0, so
 * the search branches only where that may matter.
 */
static bool search(const struct fact *region, unsigned word, uint32_t x, int bit, unsigned *left,
                   uint32_t *ret)
{
    uint32_t free = bit < 0 ? 0 : UINT32_MAX >> (31 - bit), open = 0;

    for (const struct fact *f = region; f; f = f->before) {
        int side = f->word == word ? decided(f, x, free) : f->holds;

        if (side < 0)
            open |= f->mask;
        else if (side != f->holds)
            return false;
    }
    *ret = x;
    if ((open & free) == 0 || *left == 0)
        return true;
    (*left)--;
    while (!(open >> bit & 1))
        bit--;
    return search(region, word, x, bit - 1, left, ret) ||
           search(region, word, x | UINT32_C(1) << bit, bit - 1, left, ret);
}

bool region_find(const struct fact *region, unsigned word, uint32_t *ret)
{
    unsigned left = SEARCH_MAX;

    return search(region, word, 0, 31, &left, ret);
}

void region_pick(const struct fact *region, struct seccomp_data *ret)
{
    uint32_t words[REGION_WORDS];

    for (unsigned i = 0; i < REGION_WORDS; i++)
        (void)region_find(region, i, &words[i]);
    memcpy(ret, words, sizeof(words));
}

/* ---- comparisons of the policy --------------------------------------------------------------- */

/*
 * A comparison of 64 bits is a union of cubes, each of which fixes some bits: to be less than a
 * value is to begin like it, up to a bit that is 0 instead of 1. Not to equal a value is to differ
 * in one half or the other. At most one fact about each half.
 */
#define CUBES 65 /* one for each bit, and the value itself */

struct cube {
    unsigned n;
    struct fact facts[2];
};

/* The two halves of an argument, in the order of seccomp_data on a little-endian machine. */
static struct fact fact_about(unsigned arg, bool high, uint64_t mask, uint64_t value, bool holds)
{
    unsigned shift = high ? 32 : 0;

    return (struct fact){.word = 4 + 2 * arg + high,
                         .op = BPF_JEQ,
                         .holds = holds,
                         .mask = (uint32_t)(mask >> shift),
                         .k = (uint32_t)(value >> shift)};
}

/* False: no argument is like that. */
static bool make_equal(unsigned arg, uint64_t mask, uint64_t value, struct cube *ret)
{
    if (value & ~mask)
        return false;
    *ret = (struct cube){
        .n = 2,
        .facts = {fact_about(arg, false, mask, value, true),
                  fact_about(arg, true, mask, value, true)},
    };
    return true;
}

static bool make_unequal(const ait_policy_compare *c, unsigned i, struct cube *ret)
{
    if (i > 1)
        return false;
    *ret = (struct cube){.n = 1, .facts = {fact_about(c->arg, i, c->mask, c->value, false)}};
    return true;
}

static const ait_policy_op opposite[] = {
    [AIT_POLICY_EQ] = AIT_POLICY_NE, [AIT_POLICY_NE] = AIT_POLICY_EQ,
    [AIT_POLICY_LT] = AIT_POLICY_GE, [AIT_POLICY_LE] = AIT_POLICY_GT,
    [AIT_POLICY_GT] = AIT_POLICY_LE, [AIT_POLICY_GE] = AIT_POLICY_LT,
};

/* The i-th cube of what makes the comparison true, or false. False: there is no such cube. */
static bool make_cube(const ait_policy_compare *c, bool wanted, unsigned i, struct cube *ret)
{
    ait_policy_op op = wanted ? c->op : opposite[c->op];
    bool less = op == AIT_POLICY_LT || op == AIT_POLICY_LE;

    if (op == AIT_POLICY_NE)
        return make_unequal(c, i, ret);
    if (i == CUBES - 1)
        return op != AIT_POLICY_LT && op != AIT_POLICY_GT &&
               make_equal(c->arg, c->mask, c->value, ret);
    if (op == AIT_POLICY_EQ || (c->value >> i & 1) != less)
        return false;
    uint64_t beginning = UINT64_MAX << i;
    return make_equal(c->arg, c->mask & beginning, (c->value & beginning) ^ UINT64_C(1) << i, ret);
}

static bool holds_from(const struct fact *region, const struct policy_rule *rule, unsigned i,
                       struct seccomp_data *ret);

/* Whether the i-th comparison and those after it hold in a part of the region. */
static bool holds_within(const struct fact *region, struct cube *cube,
                         const struct policy_rule *rule, unsigned i, struct seccomp_data *ret)
{
    uint32_t value;

    for (unsigned k = 0; k < cube->n; k++) {
        cube->facts[k].before = region;
        region = &cube->facts[k];
        if (!region_find(region, cube->facts[k].word, &value))
            return false;
    }
    return holds_from(region, rule, i, ret);
}

static bool holds_from(const struct fact *region, const struct policy_rule *rule, unsigned i,
                       struct seccomp_data *ret)
{
    struct cube cube;

    if (i == rule->n_compares) {
        if (ret)
            region_pick(region, ret);
        return true;
    }
    for (unsigned k = 0; k < CUBES; k++)
        if (make_cube(&rule->compares[i], true, k, &cube) &&
            holds_within(region, &cube, rule, i + 1, ret))
            return true;
    return false;
}

bool region_may(const struct fact *region, const struct policy_rule *rule, struct seccomp_data *ret)
{
    return holds_from(region, rule, 0, ret);
}

bool region_must(const struct fact *region, const struct policy_rule *rule)
{
    const struct policy_rule nothing = {0};
    struct cube cube;

    for (unsigned i = 0; i < rule->n_compares; i++)
        for (unsigned k = 0; k < CUBES; k++)
            if (make_cube(&rule->compares[i], false, k, &cube) &&
                holds_within(region, &cube, &nothing, 0, NULL))
                return false;
    return true;
}
