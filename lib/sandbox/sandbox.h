/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sandbox as its users see it: a preset is compiled once into a seccomp program, and every worker
 * loads those bytes as its last step before exec.
 *
 * Invariants:
 *  - The program is compiled in a forked child with libseccomp and handed over in a sealed memfd, so the
 *    caller's memory stays flat and nobody can change the program after it was made.
 *  - A program is either complete or absent: a failed compilation leaves the output untouched.
 *  - Denials are reported to the audit log, designed ENOSYS is not: pthread_create() alone meets one a thread.
 *    The kernel logs by filter, so these answers have a small one of their own, loaded last.
 *  - sandbox_enter() makes raw system calls only. It allocates nothing, locks nothing, and does not set
 *    errno, so it may run in a CLONE_VM child. It fails closed: after an error the caller must not exec.
 *
 * Ownership: the caller owns the sandbox_program, which maps the memfd read-only; it must outlive every
 * process that is about to load it. It can be shared by any number of workers.
 *
 * What this is not: no policy files, no Landlock, no reporting of denied calls, and no decision on what
 * happens when it cannot be applied. */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the answers that are meant to send libc to its fallback. */
#define SANDBOX_QUIET_MAX 16

enum sandbox_preset {
    SANDBOX_PRESET_SERVICE, /* what network services need; privileged and dangerous calls denied */
    SANDBOX_PRESET_STRICT,  /* named, not available yet: sandbox_compile() returns -EOPNOTSUPP */
    SANDBOX_PRESET_LOG,     /* as service, but what it denies is allowed and reported to the audit log */
    SANDBOX_PRESET_NONE,    /* no filter, no no_new_privs, capabilities untouched */
};

struct sandbox_program {
    enum sandbox_preset preset;
    const struct sock_filter *filter; /* NULL with SANDBOX_PRESET_NONE */
    size_t n_filter;
    struct sock_filter quiet[SANDBOX_QUIET_MAX]; /* answers ENOSYS where that is by design; not logged */
    size_t n_quiet;
    uint64_t keep_capabilities; /* bit per capability that a root worker keeps */
    size_t map_size;
};

/* Where it failed: a static string ("seccomp filter", "no_new_privs", ...). */
struct sandbox_failure {
    const char *step;
    int error; /* negative errno */
};

/* "service", "strict", "log", "none"; -EINVAL for anything else. */
int sandbox_preset_from_name(const char *name, enum sandbox_preset *ret_preset);
const char *sandbox_preset_name(enum sandbox_preset preset);

/* Waits for a short-lived child (a few milliseconds). ret_failure may be NULL; it is written on failure
 * only. -EOPNOTSUPP: this preset is not available in this version. */
int sandbox_compile(enum sandbox_preset preset, struct sandbox_program *ret_program,
                    struct sandbox_failure *ret_failure);
void sandbox_program_done(struct sandbox_program *program);

/* Two halves, since a change of user lies between them: the first needs the privileges that the second
 * ends. Both return 0 or a negative errno, *ret_step then names the step. */
int sandbox_drop_bounding(const struct sandbox_program *program, const char **ret_step);
int sandbox_enter(const struct sandbox_program *program, const char **ret_step);
