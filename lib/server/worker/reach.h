/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a worker whose files are confined could not reach. Landlock does not tell: this is read out
 * of what the worker wrote before it ended, and where that names no path, out of where it was
 * started.
 */

#include "revision.h"

#define REACH_TEXT_MAX 1024

/*
 * A clause such as "/srv/app cannot be read; add --read-only=/srv/app". NULL: all that is named can
 * be reached, or files are not confined. Blocks on files.
 */
const char *reach_describe(const struct revision *revision, const char *output,
                           char buffer[static REACH_TEXT_MAX]);
