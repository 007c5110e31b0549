/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_ENV_FILE_H
#define SERVER_ENV_FILE_H

/*
 * env-file: variables of the workers from a file, as EnvironmentFile= of systemd takes them.
 *
 * One NAME=VALUE a line; empty lines, and lines that begin with '#' or ';', are left out. A value may stand in single or double
 * quotes, and then go on over several lines; inside of a word a quote is a character like others. Outside quotes a backslash
 * takes the next character as it is, and a backslash at the end of a line joins the next one to it. White space around an
 * unquoted value is dropped. Nothing is expanded.
 */

#include <stddef.h>

#include "problem.h"

#define ENV_FILE_MAX (1u << 20)

/* Appends "NAME=VALUE" to a list as strv_append() does. -EBADMSG and the line for what is no assignment; on failure the list may have grown. */
int env_file_read(const char *path, char ***list, size_t *n, struct problem *ret_problem);
/* The same of a text that was read; name is what messages call it. */
int env_file_parse(const char *name, const char *text, char ***list, size_t *n, struct problem *ret_problem);

#endif
