/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"
#include "config/program.h"
#include "slurp.h"
#include "strv.h"

#define INTERPRETERS_MAX 5 /* as in the kernel */
#define FIRST_LINE_MAX   256

/*
 * Libraries with their data; the files that libc itself reads: names, hosts, times, languages; and
 * whom TLS trusts. Everybody may read them anyway, and nothing in them is secret.
 */
static const char *const always_read[] = {
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/share",
    "/usr/local/share",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/mime.types",
    "/run/systemd/resolve", /* what /etc/resolv.conf leads to is replaced now and then */
    "/run/resolvconf",
    /* not /etc/ssl, for the keys in it */
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
    "/etc/perl", /* it insists on each directory of its path */
    "/dev/random",
    "/dev/urandom",
};

static const char *const always_written[] = {"/dev/null", "/dev/zero", "/dev/full"};

struct needs {
    char **read_only, **read_write;
    size_t n_read_only, n_read_write;
};

struct script {
    char line[FIRST_LINE_MAX];
    const char *interpreter, *argument; /* argument: "" if there is none */
};

/*
 * The first line as the kernel reads it: blanks are spaces and tabs, the name of the interpreter
 * ends at one of them, and the rest is one argument. 0: no script, or one that the kernel would
 * refuse. -EAGAIN: somebody holds a lease on it, so that it may be anything.
 */
static int read_script(const char *path, struct script *ret)
{
    static const char blanks[] = " \t";
    struct stat st;

    /* To open anything else may have an effect. */
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    ssize_t n = read_text(path, ret->line, sizeof(ret->line));
    if (n == -EAGAIN)
        return -EAGAIN;
    if (n < 3 || memcmp(ret->line, "#!", 2) != 0)
        return 0;
    char *begin = ret->line + 2, *end = strchr(begin, '\n');
    begin += strspn(begin, blanks);
    char *name_end = begin + strcspn(begin, " \t\n");
    /* What does not fit may be the beginning of another name. */
    if (name_end == begin || (!end && !*name_end && (size_t)n >= sizeof(ret->line) - 1))
        return 0;
    if (end)
        *end = '\0';
    ret->interpreter = begin;
    ret->argument = *name_end ? name_end + 1 + strspn(name_end + 1, blanks) : name_end;
    *name_end = '\0';
    return 1;
}

/* The program that `#!/usr/bin/env NAME` runs. */
static char *found_by_env(const char *arguments, const struct sandbox_program *program)
{
    char name[FIRST_LINE_MAX], *found = NULL;

    if (strncmp(arguments, "-S", 2) == 0)
        arguments += 2;
    if (sscanf(arguments, "%255s", name) != 1 ||
        spawn_resolve_program(name, program->path, program->directory, &found, NULL) < 0)
        return NULL;
    return found;
}

static char *absolute(const char *name, const struct sandbox_program *program)
{
    char *path;

    if (*name == '/' || !program->directory)
        return strdup(name);
    return asprintf(&path, "%s/%s", program->directory, name) < 0 ? NULL : path;
}

static char *interpreter_of(const char *file, const struct sandbox_program *program,
                            struct needs *needs, int *ret_error)
{
    struct script script;

    *ret_error = read_script(file, &script);
    if (*ret_error <= 0)
        return NULL;
    const char *base = strrchr(script.interpreter, '/');
    if (base && strcmp(base, "/env") == 0) {
        *ret_error = strv_append(&needs->read_only, &needs->n_read_only, script.interpreter);
        return found_by_env(script.argument, program);
    }
    return absolute(script.interpreter, program);
}

static int add_program(struct needs *needs, const struct sandbox_program *program)
{
    char *at = strdup(program->file);
    int r = at ? 0 : -ENOMEM;

    for (int i = 0; at && r >= 0 && i <= INTERPRETERS_MAX; i++) {
        r = strv_append(&needs->read_only, &needs->n_read_only, at);
        char *next = r < 0 ? NULL : interpreter_of(at, program, needs, &r);
        free(at);
        at = next;
    }
    free(at);
    return r;
}

static int add_existing(char ***list, size_t *n, const char *const *paths, size_t n_paths)
{
    int r = 0;

    for (size_t i = 0; i < n_paths && r >= 0; i++)
        if (access(paths[i], F_OK) == 0)
            r = strv_append(list, n, paths[i]);
    return r;
}

int sandbox_needs(const struct sandbox_program *program, char ***ret_read_only,
                  size_t *ret_n_programs, char ***ret_read_write)
{
    struct needs needs = {0};
    int r = add_program(&needs, program);

    *ret_n_programs = needs.n_read_only;
    if (r >= 0)
        r = add_existing(&needs.read_only, &needs.n_read_only, always_read,
                         sizeof(always_read) / sizeof(always_read[0]));
    if (r >= 0)
        r = add_existing(&needs.read_write, &needs.n_read_write, always_written,
                         sizeof(always_written) / sizeof(always_written[0]));
    if (r < 0) {
        strv_free(needs.read_only);
        strv_free(needs.read_write);
        return r;
    }
    *ret_read_only = needs.read_only;
    *ret_read_write = needs.read_write;
    return 0;
}
