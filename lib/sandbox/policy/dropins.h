/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which drop-ins belong to a unit file, as systemd finds them: FILE.conf in the folders NAME.d,
 * for an instance in those of its template, for a name with dashes in those of its prefixes
 * (foo-bar.service: foo-.service.d), and in those of the type (service.d).
 *
 * A file in one of the system's folders for units (/etc/systemd/system, /usr/lib/systemd/system and
 * so on, also below the root of another system) has drop-ins in all of them, one elsewhere only in
 * its own. Of files with the same name the first one counts, and one that is empty or a link to
 * /dev/null hides the others. They are read in the order of their names.
 *
 * What this is not: it does not know other names of a unit (Alias=), unless the file is a link to
 * one, and reads nothing.
 */

struct dropin {
    struct dropin *next;
    const char *base; /* in path */
    char path[];
};

/* *ret is sorted, and may be NULL. -ENOMEM, or what realpath(3) fails with for the unit's folder.
 */
int dropins_find(const char *unit, struct dropin **ret);
struct dropin *dropins_free(struct dropin *dropins);
