/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reap.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc-scan.h"

int reap_dead(guardian_known_fn is_known, void *userdata, unsigned max, unsigned *ret_n)
{
    unsigned n = 0;
    int r = 1;

    while (r > 0 && n < max) {
        siginfo_t info = {0};

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
            if (errno == EINTR)
                continue;
            r = errno == ECHILD ? 0 : -errno;
        } else if (info.si_pid == 0) {
            r = 0;
        } else if (is_known && is_known(info.si_pid, userdata)) {
            r = -EBUSY;
        } else {
            (void)waitpid(info.si_pid, NULL, WNOHANG);
            n++;
        }
    }
    *ret_n = n;
    return r;
}

struct trial {
    guardian_known_fn is_known;
    void *userdata;
    int n;
};

static bool try_one(pid_t pid, void *userdata)
{
    struct trial *trial = userdata;

    if (!trial->is_known || !trial->is_known(pid, trial->userdata))
        trial->n += waitpid(pid, NULL, WNOHANG) == pid;
    return true; /* there is nothing to read about it */
}

int reap_behind(guardian_known_fn is_known, void *userdata)
{
    struct trial trial = {.is_known = is_known, .userdata = userdata};
    struct scan scan = {0};
    int r = scan_children(&scan, getpid(), try_one, &trial);

    /* The kernel does not list children. */
    if (r == -EOPNOTSUPP && scan_everything(&scan) >= 0) {
        for (size_t i = 0; i < scan.n; i++)
            if (scan.items[i].dead && scan.items[i].parent == getpid())
                (void)try_one(scan.items[i].pid, &trial);
        r = 0;
    }
    scan_done(&scan);
    return r < 0 ? r : trial.n;
}
