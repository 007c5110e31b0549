/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Texts of the language drawn from a seed: mostly right, sometimes refused for what they mean
 * (rules that conflict, comparisons that never hold), never for how they are written.
 */

#include <stddef.h>
#include <stdint.h>

struct draw {
    uint64_t state;
};

uint64_t draw_below(struct draw *draw, uint64_t n);
/* To be freed. */
char *draw_text(struct draw *draw, size_t *ret_length);

/* What AIT_FUZZ_SECONDS and AIT_FUZZ_SEED say, or what is given. */
unsigned fuzz_milliseconds(unsigned otherwise);
uint64_t fuzz_seed(uint64_t otherwise);
uint64_t now_milliseconds(void);
