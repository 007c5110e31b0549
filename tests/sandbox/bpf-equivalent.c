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
    bool given; /* the witness is all that there is */
    unsigned n;
    struct constraint items[CONSTRAINTS_MAX];
};

/* What is known where the path has come to. */
struct knowledge {
    struct word words[WORDS];
    uint32_t witness[WORDS];
};

/* The accumulator: a word under a mask. */
struct accumulator {
    bool known;
    unsigned word;
    uint32_t mask;
};

/* Where a path is: in which program, and what the programs before it have answered, of a first. */
struct point {
    size_t program;
    uint32_t answers[2];
};

struct search {
    struct bpf_stack a, b;
    struct knowledge k;
    bpf_difference_cb differ;
    void *userdata;
    int result; /* 1: go on */
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

static void follow(struct search *s, struct point point, size_t at, struct accumulator a);

static const struct bpf_program *program_at(const struct search *s, size_t i)
{
    return i < s->a.n ? &s->a.programs[i] : &s->b.programs[i - s->a.n];
}

/* The kernel asks the newest program first, and another one counts only if it is stricter. */
static uint32_t stricter(uint32_t older, uint32_t newer)
{
    return (int32_t)(older & SECCOMP_RET_ACTION_FULL) < (int32_t)(newer & SECCOMP_RET_ACTION_FULL)
               ? older
               : newer;
}

static void compare(struct search *s, const uint32_t answers[2])
{
    struct seccomp_data data;

    if (answers[0] == answers[1])
        return;
    memcpy(&data, s->k.witness, sizeof(data));
    s->result = s->differ(&data, answers[0], answers[1], s->userdata);
}

static void arrive(struct search *s, struct point point, uint32_t answer)
{
    uint32_t *so_far = &point.answers[point.program >= s->a.n];

    *so_far = stricter(*so_far, answer);
    if (++point.program == s->a.n + s->b.n)
        compare(s, point.answers);
    else
        follow(s, point, 0, (struct accumulator){0});
}

static void branch(struct search *s, struct point point, size_t at, struct accumulator a,
                   bool taken)
{
    const struct sock_filter *code = &program_at(s, point.program)->code[at];
    struct word *word = &s->k.words[a.word];
    uint32_t witness = s->k.witness[a.word];
    struct constraint c = {BPF_OP(code->code), taken, a.mask, code->k};

    if (word->given) {
        if (holds(&c, witness) == taken)
            follow(s, point, at + 1 + (taken ? code->jt : code->jf), a);
        return;
    }
    if (word->n == CONSTRAINTS_MAX) {
        s->result = -E2BIG;
        return;
    }
    word->items[word->n++] = c;
    if (satisfiable(&s->k, a.word))
        follow(s, point, at + 1 + (taken ? code->jt : code->jf), a);
    word->n--;
    s->k.witness[a.word] = witness;
}

static void follow(struct search *s, struct point point, size_t at, struct accumulator a)
{
    for (; s->result == 1; at++) {
        const struct sock_filter *code = &program_at(s, point.program)->code[at];
        if (code->code == (BPF_LD | BPF_W | BPF_ABS))
            a = (struct accumulator){true, code->k / 4, UINT32_MAX};
        else if (code->code == (BPF_ALU | BPF_AND | BPF_K))
            a.mask &= code->k;
        else if (code->code == (BPF_JMP | BPF_JA))
            at += code->k;
        else if (code->code == (BPF_RET | BPF_K)) {
            arrive(s, point, code->k);
            return;
        } else if (BPF_CLASS(code->code) == BPF_JMP && BPF_SRC(code->code) == BPF_K && a.known) {
            branch(s, point, at, a, true);
            if (s->result == 1)
                branch(s, point, at, a, false);
            return;
        } else
            s->result = -EOPNOTSUPP;
    }
}

static int search(struct search *s)
{
    const struct point start = {0, {SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW}};

    s->result = 1;
    if (s->a.n + s->b.n > 0)
        follow(s, start, 0, (struct accumulator){0});
    return s->result;
}

static int remember(const struct seccomp_data *data, uint32_t a, uint32_t b, void *userdata)
{
    struct seccomp_data *difference = userdata;

    (void)a;
    (void)b;
    if (difference)
        *difference = *data;
    return 0;
}

int bpf_equivalent(const struct sock_filter *a, size_t n_a, const struct sock_filter *b, size_t n_b,
                   struct seccomp_data *ret_difference)
{
    const struct bpf_program one = {a, n_a}, other = {b, n_b};
    struct search s = {
        .a = {&one, 1}, .b = {&other, 1}, .differ = remember, .userdata = ret_difference};

    return search(&s);
}

int bpf_compare_stacks(struct bpf_stack a, struct bpf_stack b, uint32_t arch, uint32_t number,
                       const uint64_t masks[6], bpf_difference_cb differ, void *userdata)
{
    struct search s = {.a = a, .b = b, .differ = differ, .userdata = userdata};

    s.k.words[0].given = s.k.words[1].given = true;
    s.k.witness[0] = number;
    s.k.witness[1] = arch;
    for (unsigned i = 0; masks && i < 6; i++) {
        s.k.words[4 + 2 * i].given = (uint32_t)masks[i] == 0;
        s.k.words[5 + 2 * i].given = masks[i] >> 32 == 0;
    }
    return search(&s);
}
