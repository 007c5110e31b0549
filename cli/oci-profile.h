/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A profile of a container runtime while it is read: the rules of each call, in order, and where
 * the reader is. For the files oci-*.c only; the way in is oci_import().
 *
 * Invariants: rules of one call are in the order of the profile's entries. path is a JSON pointer
 * to what is looked at; whoever enters a key or an index leaves it.
 *
 * The rules belong to the import.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include <aiotools-sd/policy.h>

#define OCI_PATH_SIZE 128
#define OCI_ARGUMENTS 6
#define OCI_COMPARES  12 /* a rule */

/* word tells actions apart that libseccomp tells apart, though they have one meaning here. */
struct oci_action {
    ait_policy_action meaning;
    uint32_t word;
};

/* An entry of the array for one call, or rather its place in the array. */
struct oci_rule {
    struct oci_rule *next;
    size_t entry;
    struct oci_action action;
    size_t n_compares; /* 0: whatever the arguments are */
    ait_policy_compare compares[OCI_COMPARES];
};

struct oci_import {
    const char *name;
    ait_sandbox_problem *problem;
    const char *root;         /* of the profile in the document */
    char path[OCI_PATH_SIZE]; /* of what is looked at; empty: the document */
    struct oci_action fallback;
    int newest;
    struct oci_rule **calls; /* by number, in order */
    FILE *out;
    size_t *entries; /* by line of what is written */
    size_t n_lines;
    ait_sandbox_problem *notes; /* of the policy that will be made */
    size_t n_notes;
};

/* A problem at the path; returns -EINVAL. */
int oci_fail(struct oci_import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What the runtimes pass over, at the path. It is lost if memory is short or there are very many.
 */
void oci_note(struct oci_import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));
void oci_enter_key(struct oci_import *im, const char *key);
void oci_enter_index(struct oci_import *im, size_t index);
int oci_leave(struct oci_import *im, int r);               /* returns r */
void oci_enter_entry(struct oci_import *im, size_t entry); /* wherever the path was */

/* NULL and absent are the same. */
const json_t *oci_get(const json_t *object, const char *key);
/* Runtimes ignore unknown keys; what looks like a misspelt one is refused. */
int oci_check_keys(struct oci_import *im, const json_t *object, const char *const *known);

/* Whether docker's conditions let an entry count: for a process without capabilities, on this
 * architecture and kernel. */
int oci_applies(struct oci_import *im, const json_t *entry, bool *ret);

int oci_make_policy(struct oci_import *im, ait_policy **ret);

/* The bits of an argument that the kernel reads: the others do not count. */
uint64_t oci_bits_of(const char *name, unsigned arg);
/* Makes rules that do not overlap of the call's, none of which is without comparisons. */
int oci_separate(struct oci_import *im, int number);
