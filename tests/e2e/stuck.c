/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * stuck DIRECTORY: mounts files that hang (../stuck-fs.h) until its standard input ends. Prints
 * "ready"; ends with status 77 if it cannot.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../stuck-fs.h"

int main(int argc, char **argv)
{
    struct stuck_fs fs;
    char byte;
    int r = argc == 2 ? stuck_fs_start(&fs, argv[1]) : -1;

    if (r < 0) {
        (void)fprintf(stderr, "stuck: %s\n", strerror(-r));
        return 77;
    }
    (void)puts("ready");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    stuck_fs_end(&fs, argv[1]);
    return 0;
}
