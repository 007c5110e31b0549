/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "find-program.h"
#include "lease.h"
#include "program.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The bytes of a script that the kernel reads to find its interpreter (BINPRM_BUF_SIZE). */
#define HEAD_SIZE 256

/* Of a long one not all is shown: the remedy comes behind it. */
#define PATH_SHOWN 240

static int refuse(struct problem *p, int error, const char *program, const char *cause_and_remedy)
{
    return problem_set(p, STATUS_CONFIG, error, "program %s: %s", program, cause_and_remedy);
}

static bool is_absent(int error)
{
    return error == -ENOENT || error == -ENOTDIR;
}

static int describe_file(struct problem *p, int error, const char *path)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
        return refuse(p, error, path, "no such file; check the spelling, or install it");
    case -EISDIR:
        return refuse(p, error, path, "is a directory; name the program inside it");
    case -EINVAL:
        return refuse(p, error, path, "is not a regular file; name a program");
    case -EACCES:
        return problem_set(
            p, STATUS_CONFIG, error,
            "program %s: is not executable; run chmod +x on it, or start it with its interpreter",
            path);
    case -EPERM:
        return refuse(p, error, path,
                      "lies on a file system mounted noexec; move it, or remount with exec");
    case -ELOOP:
        return refuse(p, error, path, "is a loop of symbolic links; correct the link");
    default:
        return problem_set(p, STATUS_CONFIG, error,
                           "program %s: %s; make it accessible to this user", path,
                           strerror(-error));
    }
}

static int check_interpreter(const char *path, const char *interpreter, const char *remedy,
                             struct problem *p)
{
    int r = program_check(interpreter);
    if (r == 0)
        return 0;
    return problem_set(p, STATUS_CONFIG, r, "program %s: its interpreter %s %s; %s", path,
                       interpreter,
                       is_absent(r)   ? "does not exist"
                       : r == -EISDIR ? "is a directory"
                       : r == -EACCES ? "is not executable"
                                      : "cannot be used",
                       remedy);
}

static int check_script(const char *path, char *head, struct problem *p)
{
    char *name = head + 2 + strspn(head + 2, " \t");
    char *end = name + strcspn(name, " \t\n");
    bool carriage_return = end > name && end[-1] == '\r';

    *end = '\0';
    if (*name == '\0')
        return refuse(p, -ENOEXEC, path,
                      "its first line #! names no interpreter; add one, such as #!/bin/sh");
    if (carriage_return && access(name, F_OK) < 0)
        return refuse(p, -ENOENT, path,
                      "its first line ends with a carriage return; save it with Unix line endings");
    /* A relative one depends on the worker's directory. */
    if (name[0] != '/')
        return 0;
    return check_interpreter(path, name, "install it, or correct the first line of the file", p);
}

static int read_interpreter(int fd, const Elf64_Phdr *segment, char *ret, size_t size)
{
    if (segment->p_filesz == 0 || segment->p_filesz >= size)
        return -ENOEXEC;
    ssize_t n = pread(fd, ret, segment->p_filesz, (off_t)segment->p_offset);
    if (n < 0)
        return -errno;
    ret[n] = '\0';
    return 0;
}

/*
 * The dynamic loader that it needs. If that is missing (a program for another libc, or from a
 * container), exec returns ENOENT, which is misleading. Other oddities are left to the kernel.
 */
static int check_elf(const char *path, int fd, const char *head, struct problem *p)
{
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)head;
    char interpreter[512];

    if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_phentsize != sizeof(Elf64_Phdr))
        return 0;
    for (unsigned i = 0; i < elf->e_phnum; i++) {
        Elf64_Phdr segment;
        if (pread(fd, &segment, sizeof(segment), (off_t)(elf->e_phoff + i * sizeof(segment))) !=
            sizeof(segment))
            return 0;
        if (segment.p_type != PT_INTERP)
            continue;
        return read_interpreter(fd, &segment, interpreter, sizeof(interpreter)) < 0
                   ? 0
                   : check_interpreter(
                         path, interpreter,
                         "install the libc it was built for, or build it for this system", p);
    }
    return 0;
}

/* A program that may be executed but not read is beyond this check. */
static int check_contents(const char *path, struct problem *p)
{
    _Alignas(Elf64_Ehdr) char head[HEAD_SIZE + 1] = {0};
    int r = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return errno == EAGAIN ? lease_problem("program ", path, p) : 0;
    ssize_t n = read(fd, head, HEAD_SIZE);
    if (n == 0)
        r = refuse(p, -ENOEXEC, path, "is an empty file; name a program");
    else if (n >= 2 && head[0] == '#' && head[1] == '!')
        r = check_script(path, head, p);
    else if (n >= (ssize_t)sizeof(Elf64_Ehdr) && memcmp(head, ELFMAG, SELFMAG) == 0)
        r = check_elf(path, fd, head, p);
    (void)close(fd);
    return r;
}

static char *join_path(const char *directory, size_t length, const char *name)
{
    char *joined;
    return asprintf(&joined, "%.*s/%s", (int)length, directory, name) < 0 ? NULL : joined;
}

/* As execvp: the first that can be executed; what only resembles it gets into the message. */
/* The usual slips, beside a program that is absent. */
static const char *remedy_of(const char *program)
{
    if (*program == '-')
        return "options of aiotools-sd stand before the --, and the program follows it";
    if (strchr(program, ' '))
        return "write the program and its arguments as separate words, without quotes around all "
               "of them";
    return "install it, or give its path";
}

static int search_path(const char *program, const char *path, const char *working_directory,
                       char **ret, struct problem *p)
{
    char *refused = NULL;
    int r = program_search(program, path, working_directory, ret, &refused);

    if (refused)
        r = describe_file(p, r, refused);
    else if (r == -ENOMEM)
        r = problem_set(p, STATUS_OS, r, "program %s: out of memory", program);
    else if (r < 0)
        r = problem_set(p, STATUS_CONFIG, r, "program %s: not found in PATH (%.*s%s); %s", program,
                        PATH_SHOWN, path, strlen(path) > PATH_SHOWN ? "..." : "",
                        remedy_of(program));
    free(refused);
    return r;
}

static int locate(const char *program, const char *path, const char *working_directory, char **ret,
                  struct problem *p)
{
    if (!strchr(program, '/'))
        return search_path(program, path ? path : DEFAULT_PATH, working_directory, ret, p);
    if (program[0] == '.' && program[1] == '/')
        program += 2;
    char *full = program[0] == '/'
                     ? strdup(program)
                     : join_path(working_directory, strlen(working_directory), program);
    if (!full)
        return problem_set(p, STATUS_OS, -ENOMEM, "program %s: out of memory", program);
    int r = program_check(full);
    if (r < 0) {
        r = describe_file(p, r, full);
        free(full);
        return r;
    }
    *ret = full;
    return 0;
}

static char *absolute_directory(const char *working_directory)
{
    if (working_directory && working_directory[0] == '/')
        return strdup(working_directory);
    char *here = getcwd(NULL, 0);
    if (!here || !working_directory)
        return here;
    char *joined = join_path(here, strlen(here), working_directory);
    free(here);
    return joined;
}

int spawn_resolve_program(const char *program, const char *path, const char *working_directory,
                          char **ret_path, struct problem *ret_problem)
{
    char *full = NULL;

    if (*program == '\0')
        return problem_set(ret_problem, STATUS_CONFIG, -EINVAL,
                           "program: the name is empty; name a program");
    char *directory = absolute_directory(working_directory);
    if (!directory)
        return problem_set(ret_problem, STATUS_OS, -errno,
                           "the working directory: %m; change to one that exists");
    int r = locate(program, path, directory, &full, ret_problem);
    free(directory);
    if (r < 0)
        return r;
    r = check_contents(full, ret_problem);
    if (r < 0) {
        free(full);
        return r;
    }
    *ret_path = full;
    return 0;
}
