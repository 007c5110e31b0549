/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory with programs of every kind, good and bad, open to all users: what the tests of
 * starting share. */

extern char directory[64]; /* while it exists */

/* cmocka's setup and teardown of a group. */
int make_directory(void **state);
int remove_directory(void **state);
