/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads the language: the statements of one text. What a line "include" names is read by whoever
 * reads the file (load.c).
 *
 * Invariants: a file is read whole into memory before its first line is looked at, and is at most
 * POLICY_TEXT_MAX long; nothing but regular files is opened. Includes go at most POLICY_DEPTH_MAX
 * deep, and no file includes itself. A problem names file, line and column.
 *
 * The draft belongs to the caller; a failed parse leaves it fit for draft_done() only.
 */

#include <string.h>
#include <sys/types.h>

#include "draft.h"

#define POLICY_TEXT_MAX  (1024 * 1024)
#define POLICY_LINES_MAX 16384 /* that are rules, over all files of a policy */
#define POLICY_FILES_MAX 64
#define POLICY_DEPTH_MAX 8

/* A text that is being read, and the one that includes it. */
struct reading {
    /* Handles an include at a place. */
    int (*include)(struct draft *draft, const struct reading *from, struct place place,
                   const char *what, bool is_path, ait_sandbox_problem *problem);
    const struct reading *parent;
    const struct source *source;
    const char *path; /* NULL: a text */
    bool preset;
    dev_t device;
    ino_t inode;
    unsigned depth;
};

int policy_parse_text(struct draft *draft, const struct reading *reading, const char *text,
                      size_t length, ait_sandbox_problem *problem);

/* How many bytes of a text are a mark of the order of bytes, which editors put there: 3 or 0. */
static inline size_t text_mark(const char *text, size_t length)
{
    return length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
}

/* "allow", "errno" and so on; false: no such action. */
bool policy_action_kind(const char *name, size_t n, ait_policy_action *ret);
/* A positive errno by its name, or its number in decimal digits; 0: none. */
int policy_errno_from_text(const char *name, size_t n);

/* The presets' text, made by the build. */
struct policy_preset {
    const char *name;
    const char *text;
};
extern const struct policy_preset policy_presets[];
extern const size_t policy_n_presets;
