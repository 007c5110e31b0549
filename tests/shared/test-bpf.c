/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bpf.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct seccomp_data sample = {
    .nr = 0x11223344,
    .arch = 0x55667788,
    .instruction_pointer = 0x99aabbccddeeff00,
    .args = {0x0123456789abcdef, 1, 2, 3, 4, 0xfedcba9876543210},
};

#define ST(code, k)      BPF_STMT(code, k)
#define RET_A            BPF_STMT(BPF_RET | BPF_A, 0)
#define RET(k)           BPF_STMT(BPF_RET | BPF_K, k)
#define IMM(k)           BPF_STMT(BPF_LD | BPF_IMM, k)
#define IMX(k)           BPF_STMT(BPF_LDX | BPF_IMM, k)
#define LOAD(k)          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, k)
#define ALU(op, src, k)  BPF_STMT(BPF_ALU | (op) | (src), k)
#define JUMP(op, src, k) BPF_JUMP(BPF_JMP | (op) | (src), k, 0, 1), RET(1), RET(0)

struct run_case {
    const char *name;
    struct sock_filter code[8];
    uint32_t result;
};

static const struct run_case runs[] = {
    {"ret K", {RET(7)}, 7},
    {"ret A, not set", {RET_A}, 0},
    {"imm", {IMM(0xdeadbeef), RET_A}, 0xdeadbeef},
    {"number", {LOAD(0), RET_A}, 0x11223344},
    {"architecture", {LOAD(4), RET_A}, 0x55667788},
    {"pointer, low", {LOAD(8), RET_A}, 0xddeeff00},
    {"pointer, high", {LOAD(12), RET_A}, 0x99aabbcc},
    {"argument 0, low", {LOAD(16), RET_A}, 0x89abcdef},
    {"argument 0, high", {LOAD(20), RET_A}, 0x01234567},
    {"argument 5, high", {LOAD(60), RET_A}, 0xfedcba98},
    {"len", {ST(BPF_LD | BPF_W | BPF_LEN, 0), RET_A}, 64},
    {"len to X", {ST(BPF_LDX | BPF_W | BPF_LEN, 0), ST(BPF_MISC | BPF_TXA, 0), RET_A}, 64},
    {"tax, txa", {IMM(5), ST(BPF_MISC | BPF_TAX, 0), IMM(6), ST(BPF_MISC | BPF_TXA, 0), RET_A}, 5},
    {"st, ld", {IMM(5), ST(BPF_ST, 15), IMM(6), ST(BPF_LD | BPF_MEM, 15), RET_A}, 5},
    {"stx, ldx",
     {IMX(5), ST(BPF_STX, 0), IMX(6), ST(BPF_LDX | BPF_MEM, 0), ST(BPF_MISC | BPF_TXA, 0), RET_A},
     5},
    {"add K", {IMM(UINT32_MAX), ALU(BPF_ADD, BPF_K, 2), RET_A}, 1},
    {"add X", {IMM(3), IMX(4), ALU(BPF_ADD, BPF_X, 0), RET_A}, 7},
    {"sub K", {IMM(1), ALU(BPF_SUB, BPF_K, 2), RET_A}, UINT32_MAX},
    {"sub X", {IMM(4), IMX(3), ALU(BPF_SUB, BPF_X, 0), RET_A}, 1},
    {"mul K", {IMM(0x10001), ALU(BPF_MUL, BPF_K, 0x10001), RET_A}, 0x20001},
    {"mul X", {IMM(6), IMX(7), ALU(BPF_MUL, BPF_X, 0), RET_A}, 42},
    {"div K", {IMM(0xfffffffe), ALU(BPF_DIV, BPF_K, 2), RET_A}, 0x7fffffff},
    {"div X", {IMM(42), IMX(5), ALU(BPF_DIV, BPF_X, 0), RET_A}, 8},
    {"div X, zero",
     {IMM(42), ALU(BPF_DIV, BPF_X, 0), RET(SECCOMP_RET_ALLOW)},
     SECCOMP_RET_KILL_THREAD},
    {"and K", {IMM(0xff00ff), ALU(BPF_AND, BPF_K, 0xfff), RET_A}, 0xff},
    {"and X", {IMM(6), IMX(3), ALU(BPF_AND, BPF_X, 0), RET_A}, 2},
    {"or K", {IMM(0xf0), ALU(BPF_OR, BPF_K, 0xf), RET_A}, 0xff},
    {"or X", {IMM(4), IMX(3), ALU(BPF_OR, BPF_X, 0), RET_A}, 7},
    {"xor K", {IMM(0xff), ALU(BPF_XOR, BPF_K, 0xf), RET_A}, 0xf0},
    {"xor X", {IMM(6), IMX(3), ALU(BPF_XOR, BPF_X, 0), RET_A}, 5},
    {"lsh K", {IMM(3), ALU(BPF_LSH, BPF_K, 31), RET_A}, 0x80000000},
    {"lsh X", {IMM(3), IMX(4), ALU(BPF_LSH, BPF_X, 0), RET_A}, 0x30},
    {"rsh K", {IMM(0x80000000), ALU(BPF_RSH, BPF_K, 31), RET_A}, 1},
    {"rsh X", {IMM(0x30), IMX(4), ALU(BPF_RSH, BPF_X, 0), RET_A}, 3},
    {"neg", {IMM(1), ST(BPF_ALU | BPF_NEG, 0), RET_A}, UINT32_MAX},
    {"ja", {ST(BPF_JMP | BPF_JA, 1), RET(1), RET(2)}, 2},
    {"ja 0", {ST(BPF_JMP | BPF_JA, 0), RET(1), RET(2)}, 1},
    {"jeq K", {IMM(5), JUMP(BPF_JEQ, BPF_K, 5)}, 1},
    {"jeq K, not", {IMM(5), JUMP(BPF_JEQ, BPF_K, 6)}, 0},
    {"jeq X", {IMM(5), IMX(5), JUMP(BPF_JEQ, BPF_X, 0)}, 1},
    {"jeq X, not", {IMM(5), IMX(6), JUMP(BPF_JEQ, BPF_X, 5)}, 0},
    {"jgt K", {IMM(UINT32_MAX), JUMP(BPF_JGT, BPF_K, 0x7fffffff)}, 1},
    {"jgt K, equal", {IMM(5), JUMP(BPF_JGT, BPF_K, 5)}, 0},
    {"jgt X", {IMM(6), IMX(5), JUMP(BPF_JGT, BPF_X, 9)}, 1},
    {"jge K, equal", {IMM(5), JUMP(BPF_JGE, BPF_K, 5)}, 1},
    {"jge K, not", {IMM(4), JUMP(BPF_JGE, BPF_K, 5)}, 0},
    {"jge X", {IMM(5), IMX(5), JUMP(BPF_JGE, BPF_X, 9)}, 1},
    {"jset K", {IMM(6), JUMP(BPF_JSET, BPF_K, 2)}, 1},
    {"jset K, not", {IMM(6), JUMP(BPF_JSET, BPF_K, 9)}, 0},
    {"jset X", {IMM(6), IMX(4), JUMP(BPF_JSET, BPF_X, 9)}, 1},
};

/* Up to the last return: an instruction of zeros is `ld #0`, which no case ends with. */
static size_t length(const struct sock_filter code[8])
{
    size_t n = 8;

    while (n > 0 && code[n - 1].code == 0 && code[n - 1].k == 0 && code[n - 1].jt == 0)
        n--;
    return n;
}

static void instructions_do_what_the_kernel_does(void **state)
{
    for (size_t i = 0; i < N(runs); i++) {
        size_t n = length(runs[i].code);
        if (bpf_check(runs[i].code, n, NULL) < 0)
            fail_msg("%s: refused", runs[i].name);
        uint32_t got = bpf_run(runs[i].code, n, &sample);
        if (got != runs[i].result)
            fail_msg("%s: %#x instead of %#x", runs[i].name, got, runs[i].result);
    }
}

static void steps_are_counted(void **state)
{
    static const struct sock_filter code[] = {IMM(5), JUMP(BPF_JEQ, BPF_K, 5)};
    unsigned steps;

    assert_int_equal(bpf_run_counted(code, N(code), &sample, &steps), 1);
    assert_int_equal(steps, 3);
}

struct refused_case {
    const char *name;
    struct sock_filter code[8];
    size_t at;
};

static const struct refused_case refused[] = {
    {"no return", {IMM(1)}, 0},
    {"falls off the end", {RET(1), IMM(1)}, 1},
    {"ja out of range", {ST(BPF_JMP | BPF_JA, 1), RET(1)}, 0},
    {"ja backward", {IMM(1), ST(BPF_JMP | BPF_JA, (uint32_t)-2), RET(1)}, 1},
    {"jt out of range", {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0), RET(1)}, 0},
    {"jf out of range", {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 255), RET(1)}, 0},
    {"load past the end", {LOAD(64), RET_A}, 0},
    {"load at an odd place", {LOAD(2), RET_A}, 0},
    {"load of a byte", {ST(BPF_LD | BPF_B | BPF_ABS, 0), RET_A}, 0},
    {"load of a half", {ST(BPF_LD | BPF_H | BPF_ABS, 0), RET_A}, 0},
    {"indirect load", {ST(BPF_LD | BPF_W | BPF_IND, 0), RET_A}, 0},
    {"header length", {ST(BPF_LDX | BPF_B | BPF_MSH, 0), RET_A}, 0},
    {"modulo", {ALU(BPF_MOD, BPF_K, 3), RET_A}, 0},
    {"division by 0", {ALU(BPF_DIV, BPF_K, 0), RET_A}, 0},
    {"shift by 32", {ALU(BPF_LSH, BPF_K, 32), RET_A}, 0},
    {"right shift by 32", {ALU(BPF_RSH, BPF_K, 32), RET_A}, 0},
    {"ret X", {ST(BPF_RET | BPF_X, 0)}, 0},
    {"memory 16", {ST(BPF_ST, 16), RET_A}, 0},
    {"memory that was not written", {ST(BPF_LD | BPF_MEM, 0), RET_A}, 0},
    {"memory written on one way only",
     {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0), ST(BPF_ST, 3), ST(BPF_LDX | BPF_MEM, 3), RET_A},
     2},
    {"no instruction", {ST(0xffff, 0), RET_A}, 0},
};

static void what_the_kernel_refuses_is_refused(void **state)
{
    for (size_t i = 0; i < N(refused); i++) {
        size_t n = length(refused[i].code), at = SIZE_MAX;
        if (bpf_check(refused[i].code, n, &at) != -EINVAL || at != refused[i].at)
            fail_msg("%s: refused at %zu instead of %zu", refused[i].name, at, refused[i].at);
    }
    assert_int_equal(bpf_check(runs[0].code, 0, NULL), -EINVAL);
}

static void length_is_bounded(void **state)
{
    static struct sock_filter code[BPF_MAXINSNS + 1];

    for (size_t i = 0; i < N(code); i++)
        code[i] = (struct sock_filter)RET(0);
    assert_int_equal(bpf_check(code, BPF_MAXINSNS, NULL), 0);
    assert_int_equal(bpf_check(code, BPF_MAXINSNS + 1, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_do_what_the_kernel_does),
        cmocka_unit_test(steps_are_counted),
        cmocka_unit_test(what_the_kernel_refuses_is_refused),
        cmocka_unit_test(length_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
