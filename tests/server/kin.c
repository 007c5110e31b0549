/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kin.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

const char *const kin_kinds[MEMBERS] = {"leader", "child", "group", "session", "daemon"};

int kin_start(struct spawned *s, struct kin *f)
{
    char line[64];
    int r = spawned_start(s);

    f->pids[0] = s->pid;
    for (int i = 1; r == 0 && i < MEMBERS; i++) {
        spawned_read_line(s, line, sizeof(line));
        for (int k = 1; k < MEMBERS; k++)
            if (strncmp(line, kin_kinds[k], strlen(kin_kinds[k])) == 0)
                f->pids[k] = atoi(strchr(line, '=') + 1);
    }
    return r;
}

void kin_hold(struct kin *f)
{
    for (int i = 0; i < MEMBERS; i++)
        f->pidfds[i] = (int)syscall(SYS_pidfd_open, f->pids[i], 0);
}

void kin_begin(struct spawned *s, struct kin *f, char *how)
{
    spawned_init(s, "family", NULL);
    s->argv[2] = how;
    assert_int_equal(kin_start(s, f), 0);
    kin_hold(f);
}

void kin_expect_gone(struct kin *f, const char *what)
{
    int survivors = 0;

    for (int i = 0; i < MEMBERS; i++) {
        if (f->pidfds[i] < 0)
            continue;
        if (!has_ended_within(f->pidfds[i], WAIT_MS)) {
            print_error("%s: %s survives\n", what, kin_kinds[i]);
            survivors++;
            (void)syscall(SYS_pidfd_send_signal, f->pidfds[i], SIGKILL, NULL, 0);
        }
        close(f->pidfds[i]);
    }
    assert_int_equal(survivors, 0);
}
