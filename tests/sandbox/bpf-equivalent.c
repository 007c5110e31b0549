/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpf-equivalent.h"

#define WORDS           (sizeof(struct seccomp_data) / sizeof(uint32_t))
#define CONSTRAINTS_MAX 64 /* a word, on one path */

/* (word & mask) op k is, or is not, so. */
struct constraint {
    uint16_t op;
    bool holds;
    uint32_t mask, k;
};

struct word {
    unsigned n;
    struct constraint items[CONSTRAINTS_MAX];
};

/* What is known where the path has come to. */
struct knowledge {
    struct word words[WORDS];
    uint32_t witness[WORDS];
};

struct program {
    const struct sock_filter *code;
    size_t n;
};

/* The accumulator: a word under a mask. */
struct accumulator {
    bool known;
    unsigned word;
    uint32_t mask;
};

struct search {
    struct program a, b;
    struct knowledge k;
    uint32_t answer; /* of a, on its path */
    int result;
};

/* ---- is there a value for a word? ------------------------------------------------------------ */

static bool holds(const struct constraint *c, uint32_t x)
{
    x &= c->mask;
    switch (c->op) {
    case BPF_JEQ:
        return x == c->k;
    case BPF_JGT:
        return x > c->k;
    case BPF_JGE:
        return x >= c->k;
    default:
        return (x & c->k) != 0;
    }
}

/* All values that begin like x, up to the free low bits, are on one side of the constraint: 1 it
 * holds, 0 it does not, -1 both. */
static int decided(const struct constraint *c, uint32_t x, uint32_t free)
{
    uint32_t low = x & c->mask & ~free, high = (x | free) & c->mask;

    switch (c->op) {
    case BPF_JEQ:
        if ((low ^ c->k) & ~(free & c->mask))
            return 0;
        return low == high ? low == c->k : -1;
    case BPF_JGT:
        return low > c->k ? 1 : high <= c->k ? 0 : -1;
    case BPF_JGE:
        return low >= c->k ? 1 : high < c->k ? 0 : -1;
    default:
        return low & c->k ? 1 : high & c->k ? -1 : 0;
    }
}

/* Bits that no constraint looks at stay 0. */
static uint32_t seen_bits(const struct word *word)
{
    uint32_t seen = 0;

    for (unsigned i = 0; i < word->n; i++)
        seen |= word->items[i].mask;
    return seen;
}

static bool find_value(const struct word *word, uint32_t seen, uint32_t x, int bit, uint32_t *ret)
{
    uint32_t free = bit < 0 ? 0 : UINT32_MAX >> (31 - bit);

    for (unsigned i = 0; i < word->n; i++) {
        int side = decided(&word->items[i], x, free);
        if (side >= 0 && side != word->items[i].holds)
            return false;
    }
    if (bit < 0) {
        *ret = x;
        return true;
    }
    return find_value(word, seen, x, bit - 1, ret) ||
           ((seen >> bit & 1) && find_value(word, seen, x | UINT32_C(1) << bit, bit - 1, ret));
}

/* Most often the witness so far will do. */
static bool satisfiable(struct knowledge *k, unsigned word)
{
    const struct word *w = &k->words[word];
    bool good = true;

    for (unsigned i = 0; i < w->n && good; i++)
        good = holds(&w->items[i], k->witness[word]) == w->items[i].holds;
    return good || find_value(w, seen_bits(w), 0, 31, &k->witness[word]);
}

/* ---- paths ----------------------------------------------------------------------------------- */

static void follow(struct search *s, const struct program *p, size_t at, struct accumulator a);

static void arrive(struct search *s, const struct program *p, uint32_t answer)
{
    if (p == &s->a) {
        s->answer = answer;
        follow(s, &s->b, 0, (struct accumulator){0});
    } else if (answer != s->answer)
        s->result = 0;
}

static void branch(struct search *s, const struct program *p, size_t at, struct accumulator a,
                   bool taken)
{
    const struct sock_filter *code = &p->code[at];
    struct word *word = &s->k.words[a.word];
    uint32_t witness = s->k.witness[a.word];

    if (word->n == CONSTRAINTS_MAX) {
        s->result = -E2BIG;
        return;
    }
    word->items[word->n++] = (struct constraint){BPF_OP(code->code), taken, a.mask, code->k};
    if (satisfiable(&s->k, a.word))
        follow(s, p, at + 1 + (taken ? code->jt : code->jf), a);
    if (s->result == 1) {
        word->n--;
        s->k.witness[a.word] = witness;
    }
}

static void follow(struct search *s, const struct program *p, size_t at, struct accumulator a)
{
    for (; s->result == 1; at++) {
        const struct sock_filter *code = &p->code[at];
        if (code->code == (BPF_LD | BPF_W | BPF_ABS))
            a = (struct accumulator){true, code->k / 4, UINT32_MAX};
        else if (code->code == (BPF_ALU | BPF_AND | BPF_K))
            a.mask &= code->k;
        else if (code->code == (BPF_JMP | BPF_JA))
            at += code->k;
        else if (code->code == (BPF_RET | BPF_K)) {
            arrive(s, p, code->k);
            return;
        } else if (BPF_CLASS(code->code) == BPF_JMP && BPF_SRC(code->code) == BPF_K && a.known) {
            branch(s, p, at, a, true);
            if (s->result == 1)
                branch(s, p, at, a, false);
            return;
        } else
            s->result = -EOPNOTSUPP;
    }
}

int bpf_equivalent(const struct sock_filter *a, size_t n_a, const struct sock_filter *b, size_t n_b,
                   struct seccomp_data *ret_difference)
{
    struct search s = {.a = {a, n_a}, .b = {b, n_b}, .result = 1};

    follow(&s, &s.a, 0, (struct accumulator){0});
    if (s.result == 0 && ret_difference)
        memcpy(ret_difference, s.k.witness, sizeof(*ret_difference));
    return s.result;
}
