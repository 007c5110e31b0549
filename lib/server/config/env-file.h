/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * env-file: variables for the workers from a file, in the syntax of systemd's EnvironmentFile=.
 *
 * One NAME=VALUE per line. Empty lines, and lines that begin with '#' or ';', are skipped. A value
 * may stand in single or double quotes, and may then span several lines. A quote inside a word is
 * an ordinary character. Outside quotes a backslash makes the next character literal, and a
 * backslash at the end of a line joins the next line. White space around an unquoted value is
 * dropped. Nothing is expanded.
 */

#include <stddef.h>

#include "problem.h"

#define ENV_FILE_MAX (1u << 20)

/*
 * Appends "NAME=VALUE" to a list, like strv_append(). -EBADMSG: a line is not an assignment; the
 * problem names it. On failure the list may have grown.
 */
int env_file_read(const char *path, char ***list, size_t *n, struct problem *ret_problem);
/* The same of a text that was read; name is what messages call it. */
int env_file_parse(const char *name, const char *text, char ***list, size_t *n,
                   struct problem *ret_problem);
