/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists of capabilities, as a table, and names there and back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include <aiotools-sd/sandbox.h>

#include "config/capabilities.h"

#define BIT(number) (UINT64_C(1) << (number))

static void lists(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t set;
    } cases[] = {
        {"all", 0, UINT64_MAX},
        {"none", 0, 0},
        {"service", 0, AIT_SANDBOX_SERVICE_CAPABILITIES},
        {"chown", 0, BIT(CAP_CHOWN)},
        {"CAP_CHOWN", 0, BIT(CAP_CHOWN)},
        {"cap_Chown,net_bind_service", 0, BIT(CAP_CHOWN) | BIT(CAP_NET_BIND_SERVICE)},
        {"CHOWN  CAP_NET_BIND_SERVICE, ", 0, BIT(CAP_CHOWN) | BIT(CAP_NET_BIND_SERVICE)},
        {"checkpoint_restore", 0, BIT(CAP_CHECKPOINT_RESTORE)},
        {"bpf perfmon", 0, BIT(CAP_BPF) | BIT(CAP_PERFMON)},
        {"", -EINVAL, 0},
        {", ,", -EINVAL, 0},
        {"cap_", -EINVAL, 0},
        {"chow", -EINVAL, 0},
        {"chowned", -EINVAL, 0},
        {"chown;kill", -EINVAL, 0},
        {"chown=ep", -EINVAL, 0},
        {"chown,all", -EINVAL, 0},
        {"chown,none", -EINVAL, 0},
        {"~chown", -EINVAL, 0},
        {"0", -EINVAL, 0},
        {"cap_0", -EINVAL, 0},
        {"a_name_that_is_longer_than_any_that_a_capability_has", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t set = 4711;
        const char *why = NULL;
        int r = parse_capabilities(cases[i].text, &set, &why);
        if (r != cases[i].result || set != (r < 0 ? 4711 : cases[i].set) || !why != !(r < 0))
            fail_msg("'%s': %d, %llx", cases[i].text, r, (unsigned long long)set);
    }
}

static void names(void **state)
{
    char text[CAPABILITY_NAME_SIZE];

    assert_string_equal(capability_name(CAP_CHOWN, text), "chown");
    assert_string_equal(capability_name(CAP_SYS_ADMIN, text), "sys_admin");
    assert_string_equal(capability_name(CAP_CHECKPOINT_RESTORE, text), "checkpoint_restore");
    assert_string_equal(capability_name(63, text), "63");
    assert_in_range(capability_count(), CAP_AUDIT_READ + 1, 64);
    for (unsigned i = 0; i <= CAP_CHECKPOINT_RESTORE; i++) {
        uint64_t set = 0;
        assert_int_equal(parse_capabilities(capability_name(i, text), &set, NULL), 0);
        assert_true(set == BIT(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
