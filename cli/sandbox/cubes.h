/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_CUBES_H
#define CLI_CUBES_H

/*
 * Sets of arguments of a system call, as lists of cubes: a cube fixes some bits of each argument (value within mask) and leaves the others free. It is what one rule of masked
 * comparisons can say; each comparison is a list of cubes, and so are unions and intersections.
 *
 * The cubes of a comparison have no member in common, those of a union may. A list owns its cubes.
 */

#include <stddef.h>

#include <aiotools-sd/policy.h>

#define CUBES_MAX 1024 /* in one list */

struct cube {
    uint64_t mask[6];
    uint64_t value[6];
};

struct cubes {
    struct cube *list;
    size_t n;
    size_t room;
};

void cubes_done(struct cubes *cubes);

/* All arguments. */
int cubes_all(struct cubes *ret);
int cubes_of_compare(struct cubes *ret, const ait_policy_compare *compare);
/* All others. */
int cubes_of_opposite(struct cubes *ret, const ait_policy_compare *compare);
/* In place. -E2BIG: more than CUBES_MAX. */
int cubes_unite(struct cubes *cubes, const struct cubes *other);
int cubes_intersect(struct cubes *cubes, const struct cubes *other);
/* Makes one of two that differ in a single bit, as long as there are such. */
void cubes_merge(struct cubes *cubes);

#endif
