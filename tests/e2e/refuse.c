// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * refuse ERRNO CALL[:ARGUMENT=VALUE]... -- PROGRAM...: runs a program where these calls fail, as in
 * the sandbox of a container. ERRNO is EPERM, ENOSYS or such; ARGUMENT is a number from 0. Calls
 * that this machine's libseccomp or kernel does not know are skipped, since nobody can make them.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number_of(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } all[] = {{"EPERM", EPERM},   {"ENOSYS", ENOSYS}, {"EACCES", EACCES},
               {"ENOLCK", ENOLCK}, {"EMFILE", EMFILE}, {"EROFS", EROFS}};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].number;
    fprintf(stderr, "refuse: %s: unknown\n", name);
    exit(99);
}

static void refuse(scmp_filter_ctx filter, int number, char *what)
{
    char *test = strchr(what, ':');
    unsigned argument = 0;
    unsigned long long value = 0;
    struct scmp_arg_cmp compare = {0};

    if (test) {
        *test = '\0';
        if (sscanf(test + 1, "%u=%llu", &argument, &value) != 2)
            exit(99);
        compare = (struct scmp_arg_cmp){.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
    }
    int call = seccomp_syscall_resolve_name(what);
    if (call == __NR_SCMP_ERROR)
        return;
    int r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)number), call, test != NULL,
                                   &compare);
    if (r < 0) {
        fprintf(stderr, "refuse: %s: %s\n", what, strerror(-r));
        exit(99);
    }
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int number = argc > 1 ? number_of(argv[1]) : 0, i = 2;

    for (; i < argc && strcmp(argv[i], "--") != 0; i++)
        refuse(filter, number, argv[i]);
    if (i + 1 >= argc || !filter || seccomp_load(filter) < 0) {
        fprintf(stderr, "refuse: cannot\n");
        return 99;
    }
    seccomp_release(filter);
    (void)execvp(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 99;
}
