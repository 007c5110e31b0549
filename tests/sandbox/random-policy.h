/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policies and arguments drawn from a seed: the same seed, the same policy.
 *
 * They are what the parser lets through: rules of one call with different actions exclude each
 * other, and there is at most one comparison of order a call; with RANDOM_TWO_ORDERS it is one
 * more, which libseccomp 2.5.4 compiles wrongly.
 */

#include <stdint.h>

#include "policy/model.h"

#define RANDOM_TWO_ORDERS 1u

/* Under a sanitizer these tests try fewer cases. */
#if defined(__SANITIZE_ADDRESS__)
#define RANDOM_FEWER 1
#elif defined(__has_feature)
#define RANDOM_FEWER __has_feature(address_sanitizer)
#else
#define RANDOM_FEWER 0
#endif

uint64_t random_draw(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t n);
ait_policy *random_policy(uint64_t seed, unsigned flags);

/* Arguments near the constants of the call's rules. */
void random_args(uint64_t *state, const ait_policy *policy, int number, uint64_t ret_args[6]);
