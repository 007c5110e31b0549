/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steering.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define HASH_MAX 96 /* instructions in front of the tree */
/* A leaf takes two instructions, and each but one has a branch of two. */
#define RUNS_MAX ((BPF_MAXINSNS - HASH_MAX) / 4)

/* position p with start <= p stands for index p + delta, up to the next run's start */
struct steering_run {
    uint32_t start;
    uint32_t delta; /* modulo 2^32, as the machine adds */
};

static void emit(struct steering *s, uint16_t code, uint32_t k)
{
    assert(s->n < s->capacity);
    s->code[s->n++] = (struct sock_filter){.code = code, .k = k};
}

static void emit_jump(struct steering *s, uint16_t test, uint32_t k, uint8_t jt, uint8_t jf)
{
    emit(s, BPF_JMP | test | BPF_K, k);
    s->code[s->n - 1].jt = jt;
    s->code[s->n - 1].jf = jf;
}

/* Jumps to what is emitted next, from a BPF_JA at `from`. */
static void land(struct steering *s, size_t from)
{
    s->code[from].k = (uint32_t)(s->n - from - 1);
}

static void emit_tree(struct steering *s, const struct steering_run *runs, unsigned n)
{
    unsigned half = n / 2;
    size_t far;

    if (n == 1) {
        if (runs->delta)
            emit(s, BPF_ALU | BPF_ADD | BPF_K, runs->delta);
        emit(s, BPF_RET | BPF_A, 0);
        return;
    }
    /* Conditional jumps reach 255 instructions, JA any distance. */
    emit_jump(s, BPF_JGE, runs[half].start, 0, 1);
    far = s->n;
    emit(s, BPF_JMP | BPF_JA, 0);
    emit_tree(s, runs, half);
    land(s, far);
    emit_tree(s, runs + half, n - half);
}

/*
 * Finds the runs, and makes room for the whole program. Returns how many of the indices it covers.
 */
static int begin(struct steering *s, const unsigned *indices, unsigned n_indices)
{
    uint32_t i;

    if (n_indices == 0)
        return -EINVAL;
    s->runs = calloc(n_indices, sizeof *s->runs);
    if (!s->runs)
        return -ENOMEM;
    for (i = 0; i < n_indices; i++) {
        uint32_t delta = indices[i] - i;

        if (s->n_runs > 0 && s->runs[s->n_runs - 1].delta == delta)
            continue;
        if (s->n_runs == RUNS_MAX)
            break;
        s->runs[s->n_runs++] = (struct steering_run){.start = i, .delta = delta};
    }

    s->capacity = HASH_MAX + 4 * (size_t)s->n_runs;
    s->code = calloc(s->capacity, sizeof *s->code);
    return s->code ? (int)i : -ENOMEM;
}

/* A holds a number: choose by it. */
static void finish(struct steering *s, int n_indices)
{
    emit(s, BPF_ALU | BPF_MOD | BPF_K, (uint32_t)n_indices);
    emit_tree(s, s->runs, s->n_runs);
}

int steering_random(struct steering *s, const unsigned *indices, unsigned n_indices)
{
    int r = begin(s, indices, n_indices);

    if (r < 0)
        return r;
    emit(s, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
    finish(s, r);
    return 0;
}

void steering_done(struct steering *s)
{
    free(s->code);
    free(s->runs);
    *s = (struct steering){0};
}

/* M[0] = (M[0] ^ word) * an odd constant, where A holds the word */
static void emit_mix(struct steering *s)
{
    emit(s, BPF_LDX | BPF_W | BPF_MEM, 0);
    emit(s, BPF_ALU | BPF_XOR | BPF_X, 0);
    emit(s, BPF_ALU | BPF_MUL | BPF_K, UINT32_C(0x9e3779b1));
    emit(s, BPF_MISC | BPF_TAX, 0);
    emit(s, BPF_ALU | BPF_RSH | BPF_K, 15);
    emit(s, BPF_ALU | BPF_XOR | BPF_X, 0);
    emit(s, BPF_ST, 0);
}

static void emit_mix_word(struct steering *s, uint32_t offset)
{
    emit(s, BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + offset);
    emit_mix(s);
}

/*
 * Source address and port are read from the headers. The packet's own hash is not set on every path
 * (loopback has none). The program sees the packet from its payload on, and the headers only at
 * SKF_NET_OFF. A dual-stack socket gets both families. IPv6 with extension headers is hashed by
 * address alone.
 */
int steering_by_sender(struct steering *s, const unsigned *indices, unsigned n_indices,
                       uint32_t seed)
{
    size_t in6, done, no_port;
    int r = begin(s, indices, n_indices);

    if (r < 0)
        return r;
    emit(s, BPF_LD | BPF_IMM, seed);
    emit(s, BPF_ST, 0);
    emit(s, BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF);
    emit_jump(s, BPF_JGE, 0x60, 0, 1);
    in6 = s->n;
    emit(s, BPF_JMP | BPF_JA, 0);

    emit_mix_word(s, 12);
    emit(s, BPF_LDX | BPF_B | BPF_MSH, (uint32_t)SKF_NET_OFF); /* X = length of the header */
    emit(s, BPF_LD | BPF_H | BPF_IND, (uint32_t)SKF_NET_OFF);
    emit_mix(s);
    done = s->n;
    emit(s, BPF_JMP | BPF_JA, 0);

    land(s, in6);
    for (uint32_t word = 0; word < 4; word++)
        emit_mix_word(s, 8 + 4 * word);
    emit(s, BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF + 6);
    emit_jump(s, BPF_JEQ, IPPROTO_UDP, 1, 0);
    no_port = s->n;
    emit(s, BPF_JMP | BPF_JA, 0);
    emit(s, BPF_LD | BPF_H | BPF_ABS, (uint32_t)SKF_NET_OFF + 40);
    emit_mix(s);

    land(s, no_port);
    land(s, done);
    emit(s, BPF_LD | BPF_MEM, 0);
    finish(s, r);
    return 0;
}
