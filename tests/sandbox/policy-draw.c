/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <time.h>

#include "policy-check.h"
#include "policy-draw.h"
#include "policy/scan.h"
#include "syscalls/syscalls.h"

/* splitmix64 */
static uint64_t draw(struct draw *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t draw_below(struct draw *d, uint64_t n)
{
    return draw(d) % n;
}

static const char *draw_name(struct draw *d)
{
    static const char *const few[] = {"socket", "ioctl", "clone", "brk", "read", "openat"};
    const char *name = NULL;

    if (draw_below(d, 2) == 0)
        return few[draw_below(d, ELEMENTS(few))];
    while (!name)
        name = ait_syscall_name((int)draw_below(d, SYSCALL_NEWEST + 1));
    return name;
}

static void put_action(struct draw *d, FILE *out)
{
    static const char *const actions[] = {"allow",       "errno(EACCES)", "errno(EPERM)", "enosys",
                                          "log",         "trap",          "notify",       "kill",
                                          "errno(4095)", "notify(EIO)"};

    (void)fputs(actions[draw_below(d, ELEMENTS(actions))], out);
}

static uint64_t draw_number(struct draw *d)
{
    switch (draw_below(d, 4)) {
    case 0:
        return draw_below(d, 16);
    case 1:
        return UINT64_C(1) << draw_below(d, 32);
    case 2:
        return draw(d) >> draw_below(d, 64);
    default:
        return draw(d) & UINT32_MAX;
    }
}

static void put_value(struct draw *d, FILE *out, uint64_t mask)
{
    static const char *const formats[] = {"%" PRIu64, "%#" PRIx64, "0%" PRIo64};

    switch (draw_below(d, 6)) {
    case 0:
        (void)fputs(policy_constants[draw_below(d, policy_n_constants)].name, out);
        return;
    case 1:
        (void)fprintf(out, "-%" PRIu64, draw_below(d, 200));
        return;
    default:
        (void)fprintf(out, formats[draw_below(d, ELEMENTS(formats))], draw_number(d) & mask);
    }
}

static void put_compare(struct draw *d, FILE *out)
{
    static const char *const ops[] = {"==", "==", "==", "!=", "<", "<=", ">", ">="};
    static const uint64_t masks[] = {0xf, 0xf000, UINT32_MAX, 0x7e020080, 1};
    uint64_t mask = draw_below(d, 2) ? UINT32_MAX : UINT64_MAX;
    bool masked = draw_below(d, 3) == 0;

    (void)fprintf(out, "arg%u ", (unsigned)draw_below(d, 6));
    if (masked) {
        mask = masks[draw_below(d, ELEMENTS(masks))];
        (void)fprintf(out, "& %#" PRIx64 " ", mask);
    }
    (void)fprintf(out, "%s ", ops[draw_below(d, ELEMENTS(ops))]);
    put_value(d, out, mask);
}

static void put_rule(struct draw *d, FILE *out)
{
    bool group = draw_below(d, 6) == 0;

    (void)fputs(draw_below(d, 12) == 0 ? "!" : "", out);
    (void)fputs(group ? ait_syscall_group_name(draw_below(d, 29)) : draw_name(d), out);
    for (uint64_t n = group ? 0 : draw_below(d, 3), i = 0; i < n; i++) {
        (void)fputs(i ? " && " : " ", out);
        put_compare(d, out);
    }
    if (draw_below(d, 3)) {
        (void)fputs(": ", out);
        put_action(d, out);
    }
    (void)fputs(draw_below(d, 8) ? "\n" : " # why\n\n", out);
}

char *draw_text(struct draw *d, size_t *ret_length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);

    assert_non_null(out);
    (void)fputs(P, out);
    if (draw_below(d, 4) == 0) {
        (void)fputs("default ", out);
        put_action(d, out);
        (void)fputc('\n', out);
    }
    if (draw_below(d, 8) == 0)
        (void)fputs(draw_below(d, 2) ? "include service\n" : "include strict\n", out);
    for (uint64_t n = 1 + draw_below(d, 8); n > 0; n--)
        put_rule(d, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

unsigned fuzz_milliseconds(unsigned otherwise)
{
    const char *text = getenv("AIT_FUZZ_SECONDS");

    return text ? 1000 * (unsigned)strtoul(text, NULL, 10) : otherwise;
}

uint64_t fuzz_seed(uint64_t otherwise)
{
    const char *text = getenv("AIT_FUZZ_SEED");

    return text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t now_milliseconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
