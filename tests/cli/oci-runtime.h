/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A reader of container runtimes' profiles of its own: it makes libseccomp's filter of a profile,
 * step by step as runc and crun do for a container without capabilities.
 *
 * It knows nothing of our importer. A profile that is no profile at all fails the test.
 */

#include <jansson.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

struct rule {
    uint32_t action;
    unsigned n;
    struct scmp_arg_cmp compares[6];
};

/* What the profile says about a call. */
struct spoken {
    struct rule *rules;
    size_t n;
    unsigned n_compares;
};

/* What a runtime has. */
struct theirs {
    struct sock_filter program[BPF_MAXINSNS];
    size_t n;
    uint32_t fallback;
    struct spoken *spoken; /* by number */
    unsigned n_flaws;
};

/* Without a program no runtime would take the profile. */
struct theirs *runtime_compile(const json_t *document);
void runtime_forget(struct theirs *theirs);
