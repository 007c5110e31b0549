/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Proves that a seccomp program answers each of the 2^480 possible inputs as it should.
 *
 * A program has no loops. First all its paths are followed to where arguments begin to matter;
 * what is known there is the architecture and a set of numbers. From there each call is followed
 * with its rules in hand. A branch on an argument splits what is known in two (region.h), until a
 * rule is settled: then what was learned about arguments is forgotten, and the place in the program
 * and the next rule are proved once, however many paths lead there. So the work grows with the
 * length of the program, not with the number of its paths.
 *
 * It knows nothing of how programs are compiled, and does not share the compiler's mistakes. A
 * program that computes with words other than by a mask with constants is not followed, and
 * refused. Forgetting can only refuse a right program, never accept a wrong one.
 */

#include <stddef.h>

#include "bpf.h"
#include "policy/model.h"

/* What a call has to be answered: the first rule that holds decides. */
struct proof_call {
    unsigned n;
    const struct policy_rule *rules[POLICY_RULES_A_CALL + 1];
    uint32_t answers[POLICY_RULES_A_CALL + 1];
    uint32_t otherwise;
};

struct proof_terms {
    void *userdata;
    /*
     * Fills in what the number has to be answered; valid until the next call. Those above the
     * newest are all alike.
     */
    void (*call)(void *userdata, uint32_t number, struct proof_call *ret);
    uint32_t foreign; /* the answer on other architectures */
};

/* Where the proof failed. */
struct proof_gap {
    size_t at;                /* the instruction */
    struct seccomp_data data; /* an input that may arrive there, and may be answered wrongly */
    bool not_followed;        /* the instruction is none that is followed */
};

/* 0: proved. -EBADMSG: not proved, *ret_gap says where. -ENOMEM. The program passed bpf_check(). */
int filter_prove(const struct proof_terms *terms, const struct sock_filter *program, size_t n,
                 struct proof_gap *ret_gap);
