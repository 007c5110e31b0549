/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "architecture.h"
#include "prove.h"
#include "region.h"

#define VISITS_MAX (1 << 20) /* branches, in case that forgetting does not help */

enum { WORD_NUMBER, WORD_ARCHITECTURE };

/* What the accumulator holds. */
struct content {
    enum { CONTENT_CONSTANT, CONTENT_WORD, CONTENT_UNKNOWN } kind;
    unsigned word;
    uint32_t k; /* the constant, or the mask of the word */
};

/* Rules before it do not hold. If it is settled, it holds itself, or is the end of the list. */
struct position {
    unsigned rule;
    bool settled;
};

struct place {
    size_t at;
    struct content a;
};

/* To be proved for all arguments of a call. */
struct goal {
    struct place place;
    uint32_t number;
    struct position position;
    int result;
    unsigned next; /* with the same instruction; 0: none */
};

/* What functions return beside 0 (proved) and errors: with what is known here it cannot be proved.
 */
#define UNPROVED 1

struct prover {
    const struct proof_terms *terms;
    const struct sock_filter *program;
    size_t n;
    struct proof_gap *gap;
    unsigned visits;

    /* The call that is being proved. */
    bool known, call_is_empty;
    uint32_t number;
    struct proof_call call;

    /* Facts of the path that is being followed, which passes each branch once. */
    struct fact facts[BPF_MAXINSNS];
    unsigned n_facts, n_forgotten;

    struct goal *goals; /* the first is unused */
    unsigned n_goals, size;
    unsigned first[BPF_MAXINSNS]; /* goals, by instruction */
};

static const struct fact *region_of(const struct prover *p)
{
    return p->n_facts > p->n_forgotten ? &p->facts[p->n_facts - 1] : NULL;
}

/* ---- failures -------------------------------------------------------------------------------- */

/* The gap's input is an input of this call. */
static void complete(struct prover *p)
{
    p->gap->data.nr = (int)p->number;
    p->gap->data.arch = NATIVE_ARCHITECTURE;
}

static int unproved(struct prover *p, size_t at, bool not_followed)
{
    p->gap->at = at;
    p->gap->not_followed = not_followed;
    region_pick(region_of(p), &p->gap->data);
    if (p->known)
        complete(p);
    return UNPROVED;
}

static uint32_t wanted_for(const struct prover *p, const struct seccomp_data *data)
{
    uint64_t args[6];

    memcpy(args, data->args, sizeof(args));
    for (unsigned i = 0; i < p->call.n; i++)
        if (policy_rule_holds(p->call.rules[i], args))
            return p->call.answers[i];
    return p->call.otherwise;
}

/* An input that is answered wrongly ends the search; one that does not come here says nothing. */
static int wrong_answer(struct prover *p, size_t at)
{
    p->gap->at = at;
    p->gap->not_followed = false;
    complete(p);
    return bpf_run(p->program, p->n, &p->gap->data) != wanted_for(p, &p->gap->data) ? -EBADMSG
                                                                                    : UNPROVED;
}

/* ---- instructions ---------------------------------------------------------------------------- */

static struct content load(const struct prover *p, uint32_t offset)
{
    unsigned word = offset / sizeof(uint32_t);

    if (p->known && word == WORD_NUMBER)
        return (struct content){.k = p->number};
    if (p->known && word == WORD_ARCHITECTURE)
        return (struct content){.k = NATIVE_ARCHITECTURE};
    return (struct content){CONTENT_WORD, word, UINT32_MAX};
}

static struct content apply_mask(struct content a, uint32_t mask)
{
    a.k &= mask;
    if (a.kind == CONTENT_WORD && a.k == 0)
        return (struct content){.k = 0};
    return a;
}

static struct content execute(const struct prover *p, const struct sock_filter *f, struct content a)
{
    switch (f->code) {
    case BPF_LD | BPF_W | BPF_ABS:
        return load(p, f->k);
    case BPF_LD | BPF_IMM:
        return (struct content){.k = f->k};
    case BPF_ALU | BPF_AND | BPF_K:
        return apply_mask(a, f->k);
    }
    return (struct content){.kind = CONTENT_UNKNOWN};
}

static struct fact fact_of(const struct sock_filter *f, struct content a, bool holds)
{
    return (struct fact){
        .word = a.word, .op = BPF_OP(f->code), .holds = holds, .mask = a.k, .k = f->k};
}

static bool can(const struct prover *p, const struct sock_filter *f, struct content a, bool taken)
{
    struct fact fact = fact_of(f, a, taken);
    uint32_t value;

    fact.before = region_of(p);
    return region_find(&fact, a.word, &value);
}

/* 1: jumps, 0: does not, -1: depends. */
static int jumps(const struct prover *p, const struct sock_filter *f, struct content a)
{
    if (a.kind == CONTENT_CONSTANT) {
        struct fact fact = fact_of(f, (struct content){.k = UINT32_MAX}, true);

        return region_has(&fact, 0, a.k);
    }
    if (!can(p, f, a, true))
        return 0;
    return can(p, f, a, false) ? -1 : 1;
}

static size_t target(const struct sock_filter *f, size_t at, bool jump)
{
    return at + 1 + (jump ? f->jt : f->jf);
}

/* Runs up to an answer, or a branch that depends on what is not known. */
static int run(struct prover *p, struct place *place)
{
    for (;;) {
        const struct sock_filter *f = &p->program[place->at];
        int side;

        if (BPF_CLASS(f->code) == BPF_RET)
            return BPF_RVAL(f->code) == BPF_K ? 0 : unproved(p, place->at, true);
        if (BPF_CLASS(f->code) != BPF_JMP) {
            place->a = execute(p, f, place->a);
            place->at++;
        } else if (BPF_OP(f->code) == BPF_JA) {
            place->at += 1 + f->k;
        } else if (BPF_SRC(f->code) != BPF_K || place->a.kind == CONTENT_UNKNOWN) {
            return unproved(p, place->at, true);
        } else if ((side = jumps(p, f, place->a)) < 0) {
            return 0;
        } else {
            place->at = target(f, place->at, side);
        }
    }
}

static bool is_answer(const struct prover *p, const struct place *place)
{
    return BPF_CLASS(p->program[place->at].code) == BPF_RET;
}

/* Takes one side of the branch at which the path has come to. */
static struct place take(struct prover *p, const struct place *branch, bool jump)
{
    const struct sock_filter *f = &p->program[branch->at];
    const struct fact *before = region_of(p);
    struct fact *fact = &p->facts[p->n_facts++];

    *fact = fact_of(f, branch->a, jump);
    fact->before = before;
    return (struct place){target(f, branch->at, jump), branch->a};
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* Passes the rules that cannot hold, up to one that must. */
static struct position settle(const struct prover *p, struct position from)
{
    const struct fact *region = region_of(p);

    for (; !from.settled && from.rule < p->call.n; from.rule++) {
        if (!region_may(region, p->call.rules[from.rule], NULL))
            continue;
        from.settled = region_must(region, p->call.rules[from.rule]);
        return from;
    }
    from.settled = true;
    return from;
}

static bool same_position(struct position a, struct position b)
{
    return a.rule == b.rule && a.settled == b.settled;
}

/*
 * Whether an answer is right for the whole region. Where a rule may hold, its answer must be this
 * one, and so must that of the rest.
 */
static int check_answer(struct prover *p, size_t at, struct position from)
{
    const struct fact *region = region_of(p);
    uint32_t answer = p->program[at].k;
    unsigned i = from.rule;

    for (; !from.settled && i < p->call.n; i++) {
        bool may = region_may(region, p->call.rules[i], &p->gap->data);

        if (may && p->call.answers[i] != answer)
            return wrong_answer(p, at);
        if (may && region_must(region, p->call.rules[i]))
            return 0;
    }
    if (answer == (i < p->call.n ? p->call.answers[i] : p->call.otherwise))
        return 0;
    region_pick(region, &p->gap->data);
    return wrong_answer(p, at);
}

/* ---- one call -------------------------------------------------------------------------------- */

static int find_goal(const struct prover *p, const struct goal *goal)
{
    for (unsigned i = p->first[goal->place.at]; i != 0; i = p->goals[i].next) {
        const struct goal *other = &p->goals[i];

        if (other->number == goal->number && same_position(other->position, goal->position) &&
            other->place.a.kind == goal->place.a.kind &&
            other->place.a.word == goal->place.a.word && other->place.a.k == goal->place.a.k)
            return other->result;
    }
    return -ENOENT;
}

static int keep_goal(struct prover *p, const struct goal *goal)
{
    if (p->n_goals + 1 >= p->size) {
        unsigned size = p->size ? 2 * p->size : 512;
        struct goal *goals = reallocarray(p->goals, size, sizeof(*goals));

        if (!goals)
            return -ENOMEM;
        p->goals = goals;
        p->size = size;
    }
    unsigned i = ++p->n_goals;
    p->goals[i] = *goal;
    p->goals[i].next = p->first[goal->place.at];
    p->first[goal->place.at] = i;
    return goal->result;
}

static int follow(struct prover *p, struct place place, struct position position);

/* From here, with any arguments. */
static int prove(struct prover *p, struct place place, struct position position)
{
    struct goal goal = {.place = place, .number = p->number, .position = position};
    unsigned forgotten = p->n_forgotten;
    int r = find_goal(p, &goal);

    if (r != -ENOENT)
        return r;
    p->n_forgotten = p->n_facts;
    goal.result = follow(p, place, settle(p, position));
    p->n_forgotten = forgotten;
    return goal.result < 0 ? goal.result : keep_goal(p, &goal);
}

/*
 * What was learned about arguments has mostly served its purpose once it has settled a rule.
 * UNPROVED: it has not, and is kept.
 */
static int forget(struct prover *p, struct place place, struct position before, struct position now)
{
    return same_position(before, now) ? UNPROVED : prove(p, place, now);
}

static int follow_jump(struct prover *p, const struct place *branch, struct position position)
{
    const unsigned before = p->n_facts;
    const struct place place = take(p, branch, true);
    const struct position now = settle(p, position);
    int r = forget(p, place, position, now);

    if (r == UNPROVED)
        r = follow(p, place, now);
    p->n_facts = before;
    return r;
}

static int follow(struct prover *p, struct place place, struct position position)
{
    const unsigned before = p->n_facts;
    int r;

    while ((r = run(p, &place)) == 0) {
        if (is_answer(p, &place)) {
            r = check_answer(p, place.at, position);
            break;
        }
        if (p->visits++ == VISITS_MAX)
            return -E2BIG;
        r = follow_jump(p, &place, position);
        if (r != 0)
            break;
        place = take(p, &place, false);
        const struct position was = position;
        position = settle(p, was);
        r = forget(p, place, was, position);
        if (r != UNPROVED)
            break;
    }
    p->n_facts = before;
    return r;
}

static int prove_call(struct prover *p, uint32_t number, struct place place)
{
    if (p->number != number || p->call_is_empty)
        p->terms->call(p->terms->userdata, number, &p->call);
    p->call_is_empty = false;
    p->number = number;
    p->known = true;
    int r = prove(p, place, (struct position){0});
    p->known = false;
    return r;
}

/* ---- numbers and architectures --------------------------------------------------------------- */

static int arrive_foreign(struct prover *p, const struct place *place)
{
    struct fact foreign = {region_of(p), WORD_ARCHITECTURE, BPF_JEQ,
                           false,        UINT32_MAX,        NATIVE_ARCHITECTURE};
    uint32_t value;

    if (!region_find(&foreign, WORD_ARCHITECTURE, &value) ||
        (is_answer(p, place) && p->program[place->at].k == p->terms->foreign))
        return 0;
    region_pick(&foreign, &p->gap->data);
    p->gap->at = place->at;
    return UNPROVED;
}

/* No number above the newest is known, so none of them may have arguments that matter. */
static int arrive_above(struct prover *p, const struct place *place)
{
    struct fact above = {region_of(p), WORD_NUMBER, BPF_JGT, true, UINT32_MAX, SYSCALL_NEWEST};
    uint32_t number;

    if (!region_find(&above, WORD_NUMBER, &number))
        return 0;
    p->terms->call(p->terms->userdata, number, &p->call);
    p->call_is_empty = true;
    if (is_answer(p, place) && p->program[place->at].k == p->call.otherwise)
        return 0;
    region_pick(&above, &p->gap->data);
    p->gap->at = place->at;
    p->gap->data.arch = NATIVE_ARCHITECTURE;
    return UNPROVED;
}

/* At an answer, or where arguments begin to matter. */
static int arrive(struct prover *p, const struct place *place)
{
    const struct fact *region = region_of(p);
    int r = arrive_foreign(p, place);

    if (r != 0 || !region_has(region, WORD_ARCHITECTURE, NATIVE_ARCHITECTURE))
        return r;
    r = arrive_above(p, place);
    for (uint32_t number = 0; number <= SYSCALL_NEWEST && r == 0; number++)
        if (region_has(region, WORD_NUMBER, number))
            r = prove_call(p, number, *place);
    return r;
}

static int follow_numbers(struct prover *p, struct place place)
{
    unsigned before = p->n_facts;
    int r = run(p, &place);

    if (r != 0)
        return r;
    if (is_answer(p, &place) || place.a.word > WORD_ARCHITECTURE) {
        r = arrive(p, &place);
    } else {
        r = follow_numbers(p, take(p, &place, true));
        p->n_facts = before;
        if (r == 0)
            r = follow_numbers(p, take(p, &place, false));
    }
    p->n_facts = before;
    return r;
}

int filter_prove(const struct proof_terms *terms, const struct sock_filter *program, size_t n,
                 struct proof_gap *ret_gap)
{
    /* Given back at once, and not taken for a reason to keep larger blocks from now on. */
    struct prover *p =
        mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct place begin = {.at = 0};
    int r;

    *ret_gap = (struct proof_gap){0};
    if (p == MAP_FAILED)
        return -ENOMEM;
    p->terms = terms;
    p->program = program;
    p->n = n;
    p->gap = ret_gap;
    p->call_is_empty = true;
    r = follow_numbers(p, begin);
    free(p->goals);
    (void)munmap(p, sizeof(*p));
    return r == UNPROVED ? -EBADMSG : r;
}
