/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <errno.h>

int notify_sender_check(const struct notify_message *m, const struct family *family,
                        uid_t worker_uid, guardian_known_fn is_known, void *userdata)
{
    int r;

    if (m->pid <= 0)
        return -EPERM;
    if (m->pid == family->tree.pid)
        return NOTIFY_FROM_WORKER;
    r = family_has(family, m->pid, is_known, userdata);
    if (r > 0)
        return NOTIFY_FROM_HELPER;
    if (r == -ENOLINK)
        return NOTIFY_FROM_DAEMON;
    if (r == -ESRCH && m->uid == worker_uid)
        return NOTIFY_FROM_GONE;
    return -EPERM;
}
