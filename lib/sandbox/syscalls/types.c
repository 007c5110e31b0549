/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <string.h>

#include "syscalls.h"

static const struct {
    const char *name;
    uint8_t bits[6];
} widths[] = {
#include "syscall-widths.inc"
};

static uint16_t by_number[SYSCALL_NEWEST + 1]; /* the line in widths, from 1 on */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void index_widths(void)
{
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        int number = ait_syscall_from_name(widths[i].name);

        if (number >= 0)
            by_number[number] = (uint16_t)(i + 1);
    }
}

uint64_t syscall_argument_mask(int number, unsigned arg)
{
    (void)pthread_once(&once, index_widths);
    if (number < 0 || number > SYSCALL_NEWEST || by_number[number] == 0)
        return UINT64_MAX;
    return UINT64_MAX >> (64 - widths[by_number[number] - 1].bits[arg]);
}
