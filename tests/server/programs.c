/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "programs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

char directory[64];

static void put(const char *name, const char *contents, mode_t mode)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(contents, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

int make_directory(void **state)
{
    strcpy(directory, "/tmp/test-spawn.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    if (chmod(directory, 0755) < 0)
        return -1;
    put("good", "#!/bin/sh\nexit 0\n", 0755);
    put("plain", "#!/bin/sh\n", 0644);
    put("empty", "", 0755);
    put("nointerp", "#!\nx", 0755);
    put("badinterp", "#! /nonexistent/python9 -u\n", 0755);
    put("dirinterp", "#!/etc\n", 0755);
    put("crlf", "#!/bin/sh\r\nexit 0\r\n", 0755);
    put("text", "exit 0\n", 0755);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/sub", directory);
    return mkdir(path, 0755);
}

int remove_directory(void **state)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    return system(command);
}
