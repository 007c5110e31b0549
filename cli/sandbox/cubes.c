/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cubes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS 6

static int add(struct cubes *cubes, const struct cube *cube)
{
    if (cubes->n == CUBES_MAX)
        return -E2BIG;
    if (cubes->n == cubes->room) {
        size_t room = cubes->room ? 2 * cubes->room : 8;
        struct cube *list = reallocarray(cubes->list, room, sizeof(*list));
        if (!list)
            return -ENOMEM;
        cubes->list = list;
        cubes->room = room;
    }
    cubes->list[cubes->n++] = *cube;
    return 0;
}

void cubes_done(struct cubes *cubes)
{
    free(cubes->list);
    *cubes = (struct cubes){0};
}

int cubes_all(struct cubes *ret)
{
    *ret = (struct cubes){0};
    return add(ret, &(struct cube){0});
}

/* ---- comparisons ---------------------------------------------------------------------------------- */

static int add_one(struct cubes *cubes, unsigned arg, uint64_t mask, uint64_t value)
{
    struct cube cube = {0};

    cube.mask[arg] = mask;
    cube.value[arg] = value;
    return add(cubes, &cube);
}

/* Agrees with value above a bit, and has that bit as it is not in value. */
static int add_branch(struct cubes *cubes, const ait_policy_compare *c, uint64_t mask, uint64_t bit)
{
    uint64_t above = mask & ~(bit | (bit - 1));

    return add_one(cubes, c->arg, above | bit, (c->value & above) | (~c->value & bit));
}

static int add_unequal(struct cubes *cubes, const ait_policy_compare *c, uint64_t mask)
{
    int r = 0;

    for (uint64_t bit = UINT64_C(1) << 63; bit && r >= 0; bit >>= 1)
        if (mask & bit)
            r = add_branch(cubes, c, mask, bit);
    return r;
}

/* From the highest bit on, as long as both are equal. What the mask takes away is 0, and less where value has a 1. */
static int add_ordering(struct cubes *cubes, const ait_policy_compare *c, uint64_t mask)
{
    bool less = c->op == AIT_POLICY_LT || c->op == AIT_POLICY_LE;
    bool equal = c->op == AIT_POLICY_LE || c->op == AIT_POLICY_GE;
    int r = 0;

    for (uint64_t bit = UINT64_C(1) << 63; bit && r >= 0; bit >>= 1) {
        uint64_t above = mask & ~(bit | (bit - 1));

        if (!(mask & bit) && (c->value & bit))
            return less ? add_one(cubes, c->arg, above, c->value & above) : 0;
        if ((mask & bit) && (bool)(c->value & bit) == less)
            r = add_branch(cubes, c, mask, bit);
    }
    return r >= 0 && equal ? add_one(cubes, c->arg, mask, c->value & mask) : r;
}

int cubes_of_compare(struct cubes *ret, const ait_policy_compare *c)
{
    bool inside = (c->value & ~c->mask) == 0;
    struct cubes cubes = {0};
    int r = 0;

    if (c->op == AIT_POLICY_EQ)
        r = inside ? add_one(&cubes, c->arg, c->mask, c->value) : 0;
    else if (c->op == AIT_POLICY_NE)
        r = inside ? add_unequal(&cubes, c, c->mask) : add_one(&cubes, c->arg, 0, 0);
    else
        r = add_ordering(&cubes, c, c->mask);
    if (r < 0)
        cubes_done(&cubes);
    else
        *ret = cubes;
    return r;
}

int cubes_of_opposite(struct cubes *ret, const ait_policy_compare *compare)
{
    static const uint8_t opposites[] = {
        [AIT_POLICY_EQ] = AIT_POLICY_NE, [AIT_POLICY_NE] = AIT_POLICY_EQ, [AIT_POLICY_LT] = AIT_POLICY_GE,
        [AIT_POLICY_LE] = AIT_POLICY_GT, [AIT_POLICY_GT] = AIT_POLICY_LE, [AIT_POLICY_GE] = AIT_POLICY_LT,
    };
    ait_policy_compare opposite = *compare;

    opposite.op = opposites[compare->op];
    return cubes_of_compare(ret, &opposite);
}

/* ---- sets ----------------------------------------------------------------------------------------- */

static bool disjoint(const struct cube *a, const struct cube *b)
{
    for (int i = 0; i < ARGUMENTS; i++)
        if ((a->value[i] ^ b->value[i]) & a->mask[i] & b->mask[i])
            return true;
    return false;
}

static struct cube both(const struct cube *a, const struct cube *b)
{
    struct cube r;

    for (int i = 0; i < ARGUMENTS; i++) {
        r.mask[i] = a->mask[i] | b->mask[i];
        r.value[i] = a->value[i] | b->value[i];
    }
    return r;
}

/* Whatever is in b is in a. */
static bool covers(const struct cube *a, const struct cube *b)
{
    for (int i = 0; i < ARGUMENTS; i++)
        if (a->mask[i] & ~b->mask[i] || (a->value[i] ^ b->value[i]) & a->mask[i])
            return false;
    return true;
}

/* Without those that others make superfluous. */
static int add_new(struct cubes *cubes, const struct cube *cube)
{
    for (size_t i = 0; i < cubes->n; i++)
        if (covers(&cubes->list[i], cube))
            return 0;
    for (size_t i = 0; i < cubes->n;) {
        if (covers(cube, &cubes->list[i]))
            cubes->list[i] = cubes->list[--cubes->n];
        else
            i++;
    }
    return add(cubes, cube);
}

int cubes_unite(struct cubes *cubes, const struct cubes *other)
{
    int r = 0;

    for (size_t i = 0; i < other->n && r >= 0; i++)
        r = add_new(cubes, &other->list[i]);
    return r;
}

int cubes_intersect(struct cubes *cubes, const struct cubes *other)
{
    struct cubes result = {0};
    int r = 0;

    for (size_t i = 0; i < cubes->n && r >= 0; i++)
        for (size_t k = 0; k < other->n && r >= 0; k++) {
            struct cube one;

            if (disjoint(&cubes->list[i], &other->list[k]))
                continue;
            one = both(&cubes->list[i], &other->list[k]);
            r = add_new(&result, &one);
        }
    if (r < 0) {
        cubes_done(&result);
        return r;
    }
    cubes_done(cubes);
    *cubes = result;
    return 0;
}

/* ---- fewer ---------------------------------------------------------------------------------------- */

/* The argument in which they differ, by one bit; -1: they are not like that. */
static int differing(const struct cube *a, const struct cube *b, uint64_t *ret_bit)
{
    int found = -1;

    if (memcmp(a->mask, b->mask, sizeof(a->mask)) != 0)
        return -1;
    for (int i = 0; i < ARGUMENTS; i++) {
        uint64_t d = a->value[i] ^ b->value[i];

        if (d == 0)
            continue;
        if (found >= 0 || (d & (d - 1)))
            return -1;
        found = i;
        *ret_bit = d;
    }
    return found;
}

static bool merge_into(struct cubes *cubes, size_t i)
{
    for (size_t k = i + 1; k < cubes->n; k++) {
        uint64_t bit = 0;
        int arg = differing(&cubes->list[i], &cubes->list[k], &bit);

        if (arg < 0)
            continue;
        cubes->list[i].mask[arg] &= ~bit;
        cubes->list[i].value[arg] &= ~bit;
        cubes->list[k] = cubes->list[--cubes->n];
        return true;
    }
    return false;
}

void cubes_merge(struct cubes *cubes)
{
    bool changed;

    do {
        changed = false;
        for (size_t i = 0; i < cubes->n; i++)
            while (merge_into(cubes, i))
                changed = true;
    } while (changed);
}
