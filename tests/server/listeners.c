/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listeners.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char listen_folder[32];

int make_folder(void **state)
{
    strcpy(listen_folder, "/tmp/test-listen-XXXXXX");
    return mkdtemp(listen_folder) ? 0 : -1;
}

int remove_folder(void **state)
{
    return rmdir(listen_folder);
}

char *in_folder(char *buffer, const char *prefix, const char *name)
{
    sprintf(buffer, "%s%s/%s", prefix, listen_folder, name);
    return buffer;
}

int check_all(struct listen_set *s, unsigned slot, unsigned seat, struct problem *p)
{
    int sum = 0, failed = 0;

    for (size_t i = 0; i < listen_set_count(s); i++) {
        int r = listen_set_check(s, i, slot, seat, false, p);

        failed = r < 0 ? r : failed;
        sum += r > 0 ? r : 0;
    }
    return failed < 0 ? failed : sum;
}

unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

int try_open(const struct given *g, struct listen_set **ret, struct problem *p)
{
    struct listen_options o = {.listen = g->texts, .model = g->model, .n_slots = g->n_slots};

    while (o.n_listen < 4 && g->texts[o.n_listen])
        o.n_listen++;
    return listen_set_open(ret, &o, p);
}

struct listen_set *open_set(const struct given *g)
{
    struct listen_set *s = NULL;
    struct problem p = {0};

    if (try_open(g, &s, &p) < 0)
        fail_msg("%s", p.text);
    return s;
}

struct listen_set *open_one(const char *text, unsigned n_slots)
{
    return open_set(&(struct given){{text}, LISTEN_DEFAULT, n_slots});
}

void assert_refused(const struct given *g, int error, int status, const char *words)
{
    struct listen_set *s = NULL;
    struct problem p = {0};
    unsigned before = count_fds();
    int r = try_open(g, &s, &p);

    if (r != error || p.status != status || !strstr(p.text, words))
        fail_msg("%s...: %d, %d, %s", g->texts[0], r, p.status, p.text);
    assert_null(s);
    assert_int_equal(count_fds(), before);
    assert_true(try_open(g, &s, NULL) < 0);
}

int connect_to(const struct listen_set *s, size_t i)
{
    struct address a;
    int fd;

    assert_int_equal(address_parse(listen_set_address(s, i), &a, NULL), 0);
    fd = socket(a.sa.sa_family, a.type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, &a.sa, a.size) == 0)
        return fd;
    close(fd);
    return -errno;
}

void assert_serves(const struct listen_set *s, size_t i, int listener)
{
    int client = connect_to(s, i), server;

    assert_true(client >= 0);
    server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    close(client);
    close(server);
}
