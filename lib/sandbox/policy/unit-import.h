/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A unit while it is read. systemd.c reads lines and SystemCallFilter=, unit-settings.c the other
 * settings that make filters in systemd.
 */

#include "draft.h"
#include "unit-lines.h"

#define UNIT_WORD_SIZE  256
#define UNIT_FAMILY_MAX 64

/* What the lists say about a call. */
struct unit_entry {
    bool listed;
    bool has_action;
    ait_policy_action action;
};

/* Settings that are on or off; the names are in unit-settings.c. */
enum unit_switch {
    UNIT_LOCK_PERSONALITY,
    UNIT_MEMORY_DENY_WRITE_EXECUTE,
    UNIT_PRIVATE_DEVICES,
    UNIT_PROTECT_CLOCK,
    UNIT_PROTECT_HOSTNAME,
    UNIT_PROTECT_KERNEL_LOGS,
    UNIT_PROTECT_KERNEL_MODULES,
    UNIT_PROTECT_KERNEL_TUNABLES,
    UNIT_RESTRICT_REALTIME,
    UNIT_RESTRICT_SUID_SGID,
    UNIT_DYNAMIC_USER, /* has the one before in it */
    UNIT_SWITCHES,
};

/* RestrictAddressFamilies= and SystemCallLog=: the first list decides which kind they all are. */
struct unit_families {
    bool has_list;
    bool is_allow_list;
    bool listed[UNIT_FAMILY_MAX];
};

struct unit_log {
    bool has_list;
    bool is_log_list; /* logs what is listed, else what is not */
    bool elsewhere;   /* a call is listed that this architecture lacks */
    bool listed[SYSCALL_NEWEST + 1];
};

struct unit_settings {
    bool on[UNIT_SWITCHES];
    bool has_namespaces;
    unsigned long namespaces; /* that stay */
    struct unit_families families;
    struct unit_log log;
};

struct import {
    struct draft *draft;
    const struct source *source;
    ait_sandbox_problem *problem;
    const char *type; /* of the unit; NULL: not known */
    bool is_unit;     /* what systemd ignores, it ignores; else it is a mistake */
    bool has_refusal;
    ait_policy_action refusal; /* for what is denied without an errno of its own */
    bool has_list;             /* the first one decides which kind they all are */
    bool is_allow_list;
    struct unit_entry entries[SYSCALL_NEWEST + 1];
    struct unit_settings settings;

    /* Where it is. */
    struct unit_lines *lines; /* NULL: nowhere */
    bool in_other;            /* a section that has no such lines */
    bool inverted;
};

struct unit_word {
    const char *at; /* in the line */
    int shown;      /* how much of it messages show */
    char text[UNIT_WORD_SIZE];
    bool has_action;
    ait_policy_action action;
};

/* -EINVAL, with a message about a character of the line. */
int import_fail(struct import *im, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* at may be NULL: about the file. */
void import_note(struct import *im, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Takes the next word from the value, as systemd divides it: a backslash stands for the character
 * behind it; quotes are letters, or with quotes they are left out. 0: there is none. -EBADMSG: the
 * rest is no word.
 */
int import_word(struct import *im, bool quotes, const char **value, struct unit_word *word);
/* With a note that it is ignored, or an error in bare lists. */
int import_unknown(struct import *im, const struct unit_word *word);

/*
 * Groups differ from one systemd to the next. A group that allows has only what systemd 252 and 257
 * both have in it; one that denies (all) has all that either has, and what is newer. So a unit is
 * never looser here than there. -ENOENT: there is no such group.
 */
int import_expand(const char *group, bool all, int (*fn)(int number, void *userdata),
                  void *userdata);

/* The reader of a setting; NULL: it makes no filter. */
typedef int (*unit_reader)(struct import *im, const char *key, const char *value);
unit_reader unit_settings_reader(const char *key);

/* Whether one of them makes a filter. */
bool unit_settings_any(const struct unit_settings *settings);
/* Logs those calls of the layer that are allowed and are to be logged. */
void unit_settings_log(const struct unit_settings *settings, struct layer *layer);
/* Puts their rules on top of the layer, which is in the draft already. Calls that it denies stay as
 * they are: systemd loads the filter of the lists last. */
int unit_settings_put(struct import *im, const ait_policy_action base[SYSCALL_NEWEST + 1]);
