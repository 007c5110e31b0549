/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Classic BPF as the kernel accepts it for seccomp: a subset of what sockets may load, and words of
 * seccomp_data at fixed offsets.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "bpf.h"

/* Each instruction that seccomp_check_filter() lets through. */
static const uint16_t seccomp_codes[] = {
    BPF_LD | BPF_W | BPF_ABS,
    BPF_LD | BPF_W | BPF_LEN,
    BPF_LDX | BPF_W | BPF_LEN,
    BPF_LD | BPF_IMM,
    BPF_LDX | BPF_IMM,
    BPF_LD | BPF_MEM,
    BPF_LDX | BPF_MEM,
    BPF_ST,
    BPF_STX,
    BPF_MISC | BPF_TAX,
    BPF_MISC | BPF_TXA,
    BPF_ALU | BPF_ADD | BPF_K,
    BPF_ALU | BPF_ADD | BPF_X,
    BPF_ALU | BPF_SUB | BPF_K,
    BPF_ALU | BPF_SUB | BPF_X,
    BPF_ALU | BPF_MUL | BPF_K,
    BPF_ALU | BPF_MUL | BPF_X,
    BPF_ALU | BPF_DIV | BPF_K,
    BPF_ALU | BPF_DIV | BPF_X,
    BPF_ALU | BPF_AND | BPF_K,
    BPF_ALU | BPF_AND | BPF_X,
    BPF_ALU | BPF_OR | BPF_K,
    BPF_ALU | BPF_OR | BPF_X,
    BPF_ALU | BPF_XOR | BPF_K,
    BPF_ALU | BPF_XOR | BPF_X,
    BPF_ALU | BPF_LSH | BPF_K,
    BPF_ALU | BPF_LSH | BPF_X,
    BPF_ALU | BPF_RSH | BPF_K,
    BPF_ALU | BPF_RSH | BPF_X,
    BPF_ALU | BPF_NEG,
    BPF_JMP | BPF_JA,
    BPF_JMP | BPF_JEQ | BPF_K,
    BPF_JMP | BPF_JEQ | BPF_X,
    BPF_JMP | BPF_JGT | BPF_K,
    BPF_JMP | BPF_JGT | BPF_X,
    BPF_JMP | BPF_JGE | BPF_K,
    BPF_JMP | BPF_JGE | BPF_X,
    BPF_JMP | BPF_JSET | BPF_K,
    BPF_JMP | BPF_JSET | BPF_X,
    BPF_RET | BPF_K,
    BPF_RET | BPF_A,
};

static bool code_is_known(uint16_t code)
{
    for (size_t i = 0; i < sizeof(seccomp_codes) / sizeof(seccomp_codes[0]); i++)
        if (seccomp_codes[i] == code)
            return true;
    return false;
}

static bool jump_is_inside(const struct sock_filter *at, size_t left)
{
    if (BPF_OP(at->code) == BPF_JA)
        return at->k < left;
    return at->jt < left && at->jf < left;
}

/* left: how many instructions follow. Offsets are unsigned: jumps only go forward. */
static bool operand_is_valid(const struct sock_filter *at, size_t left)
{
    switch (at->code) {
    case BPF_LD | BPF_W | BPF_ABS:
        return at->k < sizeof(struct seccomp_data) && at->k % 4 == 0;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
        return at->k < BPF_MEMWORDS;
    case BPF_ALU | BPF_DIV | BPF_K:
        return at->k != 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
        return at->k < 32;
    }
    return BPF_CLASS(at->code) != BPF_JMP || jump_is_inside(at, left);
}

/* Which words of memory are written on every way that leads to an instruction: bit per word. */
struct memory_check {
    uint16_t written[BPF_MAXINSNS];
};

static void pass_on(struct memory_check *check, const struct sock_filter *program, size_t i,
                    uint16_t written)
{
    const struct sock_filter *at = &program[i];

    if (BPF_CLASS(at->code) == BPF_RET)
        return;
    if (at->code == (BPF_JMP | BPF_JA)) {
        check->written[i + 1 + at->k] &= written;
        return;
    }
    if (BPF_CLASS(at->code) != BPF_JMP) {
        check->written[i + 1] &= written;
        return;
    }
    check->written[i + 1 + at->jt] &= written;
    check->written[i + 1 + at->jf] &= written;
}

static bool loads_what_was_written(const struct sock_filter *program, size_t n, size_t *ret_at)
{
    struct memory_check check;

    memset(&check, 0xff, sizeof(check));
    check.written[0] = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t written = check.written[i];
        unsigned kind = BPF_CLASS(program[i].code);
        if (kind == BPF_ST || kind == BPF_STX)
            written |= (uint16_t)(1u << program[i].k);
        if ((kind == BPF_LD || kind == BPF_LDX) && BPF_MODE(program[i].code) == BPF_MEM &&
            !(written & 1u << program[i].k)) {
            *ret_at = i;
            return false;
        }
        pass_on(&check, program, i, written);
    }
    return true;
}

int bpf_check(const struct sock_filter *program, size_t n, size_t *ret_at)
{
    size_t at = 0;

    if (n == 0 || n > BPF_MAXINSNS)
        goto refused;
    for (at = 0; at < n; at++)
        if (!code_is_known(program[at].code) || !operand_is_valid(&program[at], n - at - 1))
            goto refused;
    at = n - 1;
    if (BPF_CLASS(program[at].code) != BPF_RET || !loads_what_was_written(program, n, &at))
        goto refused;
    return 0;
refused:
    if (ret_at)
        *ret_at = at;
    return -EINVAL;
}

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t word;
    memcpy(&word, (const char *)data + offset, sizeof(word));
    return word;
}

static uint32_t compute(uint16_t code, uint32_t a, uint32_t b)
{
    switch (BPF_OP(code)) {
    case BPF_ADD:
        return a + b;
    case BPF_SUB:
        return a - b;
    case BPF_MUL:
        return a * b;
    case BPF_DIV:
        return a / b;
    case BPF_AND:
        return a & b;
    case BPF_OR:
        return a | b;
    case BPF_XOR:
        return a ^ b;
    case BPF_LSH:
        return a << (b & 31);
    case BPF_RSH:
        return a >> (b & 31);
    default: /* BPF_NEG */
        return -a;
    }
}

static bool jumps(uint16_t code, uint32_t a, uint32_t b)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        return a == b;
    case BPF_JGT:
        return a > b;
    case BPF_JGE:
        return a >= b;
    default: /* BPF_JSET */
        return (a & b) != 0;
    }
}

struct machine {
    uint32_t a, x;
    uint32_t memory[BPF_MEMWORDS];
};

static void load_or_store(struct machine *m, const struct sock_filter *at,
                          const struct seccomp_data *data)
{
    switch (at->code) {
    case BPF_LD | BPF_W | BPF_ABS:
        m->a = load(data, at->k);
        return;
    case BPF_LD | BPF_W | BPF_LEN:
        m->a = sizeof(*data);
        return;
    case BPF_LDX | BPF_W | BPF_LEN:
        m->x = sizeof(*data);
        return;
    case BPF_LD | BPF_IMM:
        m->a = at->k;
        return;
    case BPF_LDX | BPF_IMM:
        m->x = at->k;
        return;
    case BPF_LD | BPF_MEM:
        m->a = m->memory[at->k];
        return;
    case BPF_LDX | BPF_MEM:
        m->x = m->memory[at->k];
        return;
    case BPF_ST:
        m->memory[at->k] = m->a;
        return;
    case BPF_STX:
        m->memory[at->k] = m->x;
        return;
    case BPF_MISC | BPF_TAX:
        m->x = m->a;
        return;
    case BPF_MISC | BPF_TXA:
        m->a = m->x;
        return;
    }
}

static const struct sock_filter *next(const struct machine *m, const struct sock_filter *at)
{
    if (BPF_OP(at->code) == BPF_JA)
        return at + 1 + at->k;
    return at + 1 +
           (jumps(at->code, m->a, BPF_SRC(at->code) == BPF_X ? m->x : at->k) ? at->jt : at->jf);
}

uint32_t bpf_run_counted(const struct sock_filter *program, size_t n,
                         const struct seccomp_data *data, unsigned *ret_steps)
{
    struct machine m = {0};
    unsigned steps = 1;

    for (const struct sock_filter *at = program; at < program + n; steps++)
        switch (BPF_CLASS(at->code)) {
        case BPF_JMP:
            at = next(&m, at);
            break;
        case BPF_RET:
            *ret_steps = steps;
            return BPF_RVAL(at->code) == BPF_A ? m.a : at->k;
        case BPF_ALU: {
            uint32_t b = BPF_SRC(at->code) == BPF_X ? m.x : at->k;
            /* The kernel's answer to a division by zero: the program returns 0, which kills. */
            if (BPF_OP(at->code) == BPF_DIV && b == 0) {
                *ret_steps = steps;
                return SECCOMP_RET_KILL_THREAD;
            }
            m.a = compute(at->code, m.a, b);
            at++;
            break;
        }
        default:
            load_or_store(&m, at, data);
            at++;
        }
    *ret_steps = steps;
    return SECCOMP_RET_KILL_PROCESS; /* not of a program that was checked */
}

uint32_t bpf_run(const struct sock_filter *program, size_t n, const struct seccomp_data *data)
{
    unsigned steps;
    return bpf_run_counted(program, n, data, &steps);
}
