/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "filter.h"
#include "policy.h"

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "name this architecture's AUDIT_ARCH_ value"
#endif

struct builder {
    scmp_filter_ctx context;
    enum sandbox_preset preset;
    const struct policy_allowed_values *values; /* while these are expanded */
};

static uint32_t action(const struct builder *b, int error)
{
    return b->preset == SANDBOX_PRESET_LOG ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(error);
}

static int add_rule(const struct builder *b, const struct policy_rule *rule)
{
    struct scmp_arg_cmp comparisons[POLICY_MATCHES_MAX];
    unsigned n = 0;

    if (rule->number < 0)
        return 0;
    for (; n < POLICY_MATCHES_MAX && rule->match[n].mask != 0; n++)
        comparisons[n] =
            SCMP_CMP64(rule->match[n].arg, SCMP_CMP_MASKED_EQ, rule->match[n].mask, rule->match[n].value);
    return seccomp_rule_add_exact_array(b->context, action(b, rule->error), rule->number, n, comparisons);
}

static int add_other_value(uint32_t mask, uint32_t value, void *userdata)
{
    const struct builder *b = userdata;
    struct policy_rule rule = {
        .number = b->values->number,
        .error = b->values->error,
        .match = {{b->values->arg, mask, value}},
    };
    return add_rule(b, &rule);
}

static int add_rules(struct builder *b)
{
    for (size_t i = 0; i < policy_service_n_rules; i++) {
        int r = add_rule(b, &policy_service_rules[i]);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < policy_service_n_values; i++) {
        b->values = &policy_service_values[i];
        int r = policy_for_other_values(b->values->values, b->values->n_values, add_other_value, b);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_attributes(const struct builder *b)
{
    uint32_t foreign = b->preset == SANDBOX_PRESET_LOG ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
    int r = seccomp_attr_set(b->context, SCMP_FLTATR_API_SYSRAWRC, 1);

    if (r >= 0)
        r = seccomp_attr_set(b->context, SCMP_FLTATR_ACT_BADARCH, foreign);
    if (r >= 0)
        r = seccomp_attr_set(b->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return r;
}

static int write_head(enum sandbox_preset preset, int fd)
{
    uint32_t foreign = preset == SANDBOX_PRESET_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
    uint32_t newer = preset == SANDBOX_PRESET_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_ERRNO | ENOSYS;
    const struct sock_filter head[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, foreign),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, POLICY_NEWEST_SYSCALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, newer),
    };
    ssize_t n = write(fd, head, sizeof(head));
    if (n < 0)
        return -errno;
    return n == sizeof(head) ? 0 : -EIO;
}

static int build(struct builder *b, int fd, const char **ret_step)
{
    int r = set_attributes(b);

    *ret_step = "seccomp attributes";
    if (r < 0)
        return r;
    *ret_step = "seccomp rules";
    r = add_rules(b);
    if (r < 0)
        return r;
    *ret_step = "writing the seccomp program";
    r = write_head(b->preset, fd);
    if (r < 0)
        return r;
    return seccomp_export_bpf(b->context, fd);
}

int filter_write(enum sandbox_preset preset, int fd, const char **ret_step)
{
    struct builder b = {.preset = preset};

    *ret_step = "seccomp_init";
    b.context = seccomp_init(SCMP_ACT_ALLOW);
    if (!b.context)
        return -ENOMEM;
    int r = build(&b, fd, ret_step);
    seccomp_release(b.context);
    return r;
}

static bool is_designed(const struct policy_rule *rule)
{
    return rule->number >= 0 && rule->error == ENOSYS && rule->match[0].mask == 0;
}

ssize_t filter_quiet(struct sock_filter *ret, size_t size)
{
    size_t n_rules = 0, n = 0;

    for (size_t i = 0; i < policy_service_n_rules; i++)
        n_rules += is_designed(&policy_service_rules[i]);
    if (n_rules + 6 > size)
        return -E2BIG;
    /* Foreign architectures are the other program's: it kills. Jumps lead to the last two instructions. */
    ret[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    ret[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 0, n_rules + 2);
    ret[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    ret[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, POLICY_NEWEST_SYSCALL, n_rules + 1, 0);
    for (size_t i = 0, left = n_rules; i < policy_service_n_rules; i++)
        if (is_designed(&policy_service_rules[i]))
            ret[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                    (uint32_t)policy_service_rules[i].number, left--, 0);
    ret[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    ret[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    return (ssize_t)n;
}
