/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct problem *p, const char *name, int error)
{
    int status =
        error == -ENOENT || error == -ENOTDIR || error == -EISDIR ? STATUS_CONFIG : STATUS_OS;

    return problem_set(p, status, error, "%s: cannot be written: %s",
                       name ? name : "standard output", strerror(-error));
}

/* A target that exists and cannot be replaced. */
static bool is_special(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 && !S_ISREG(st.st_mode);
}

static int check_folder(const char *name)
{
    char *copy = strdup(name);

    if (!copy)
        return -ENOMEM;
    int r = access(dirname(copy), W_OK | X_OK) < 0 ? -errno : 0;
    free(copy);
    return r;
}

int output_check(const char *name, struct problem *p)
{
    struct stat st;

    if (!name)
        return 0;
    if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
        return fail(p, name, -EISDIR);
    if (is_special(name))
        return access(name, W_OK) < 0 ? fail(p, name, -errno) : 0;
    int r = check_folder(name);
    return r < 0 ? fail(p, name, r) : 0;
}

/* The mode that a new file would have had. */
static mode_t new_mode(const char *target)
{
    struct stat st;
    mode_t mask = umask(0);

    (void)umask(mask);
    return stat(target, &st) == 0 ? st.st_mode & 0777 : 0666 & ~mask;
}

static int open_temporary(struct output *output, const char *name)
{
    output->target = realpath(name, NULL);
    if (!output->target && errno == ENOENT)
        output->target = strdup(name);
    if (!output->target)
        return -errno;
    if (asprintf(&output->temporary, "%s.XXXXXX", output->target) < 0) {
        output->temporary = NULL;
        return -ENOMEM;
    }
    int fd = mkostemp(output->temporary, O_CLOEXEC);
    if (fd < 0) {
        int r = -errno;
        free(output->temporary);
        output->temporary = NULL;
        return r;
    }
    (void)fchmod(fd, new_mode(output->target));
    output->stream = fdopen(fd, "w");
    if (output->stream)
        return 0;
    (void)close(fd);
    return -ENOMEM;
}

int output_open(struct output *output, const char *name, struct problem *p)
{
    int r = 0;

    *output = (struct output){.name = name};
    if (!name)
        output->stream = stdout;
    else if (is_special(name))
        output->stream = fopen(name, "we");
    else
        r = open_temporary(output, name);
    if (r >= 0 && !output->stream)
        r = -errno;
    if (r < 0) {
        output_done(output);
        return fail(p, name, r);
    }
    return 0;
}

int output_commit(struct output *output, struct problem *p)
{
    errno = 0;
    bool bad = fflush(output->stream) == EOF || ferror(output->stream);

    if (!bad && output->temporary)
        bad = fsync(fileno(output->stream)) < 0 || rename(output->temporary, output->target) < 0;
    if (bad)
        return fail(p, output->name, errno > 0 ? -errno : -EIO);
    free(output->temporary);
    output->temporary = NULL;
    return 0;
}

void output_done(struct output *output)
{
    if (output->stream && output->stream != stdout)
        (void)fclose(output->stream);
    if (output->temporary)
        (void)unlink(output->temporary);
    free(output->temporary);
    free(output->target);
    *output = (struct output){0};
}
