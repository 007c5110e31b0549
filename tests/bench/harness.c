/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t bench_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void usage(const struct bench_row *rows, const char *program)
{
    fprintf(stderr, "usage: %s ROW [-g] [-n SIZE] [-r REPEATS] [-s SAMPLES]\nrows:", program);
    for (; rows->name; rows++)
        fprintf(stderr, " %s", rows->name);
    fputc('\n', stderr);
    exit(2);
}

static const struct bench_row *find_row(const struct bench_row *rows, const char *name)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, name) == 0)
            return rows;
    return NULL;
}

static void raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

const struct bench_row *bench_parse(struct bench *b, const struct bench_row *rows, int argc,
                                    char **argv)
{
    const struct bench_row *row = argc > 1 ? find_row(rows, argv[1]) : NULL;
    int option;

    if (!row)
        usage(rows, argv[0]);
    *b = (struct bench){.n = 1000, .repeats = 1, .samples = 1};
    optind = 2;
    while ((option = getopt(argc, argv, "gn:r:s:")) >= 0)
        switch (option) {
        case 'g':
            b->guest = true;
            break;
        case 'n':
            b->n = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            b->repeats = strtoull(optarg, NULL, 10);
            break;
        case 's':
            b->samples = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            usage(rows, argv[0]);
        }
    setvbuf(stdout, NULL, _IOLBF, 0);
    raise_fd_limit();
    return row;
}

void bench_begin(struct bench *b)
{
    b->cpu0 = bench_cpu_ns();
    b->wall0 = bench_wall_ns();
}

void bench_end_as(struct bench *b, uint64_t operations, const char *prefix)
{
    uint64_t wall = bench_wall_ns() - b->wall0, cpu = bench_cpu_ns() - b->cpu0;

    printf("%scpu_ns %.3f\n", prefix, (double)cpu / (double)operations);
    printf("%swall_ns %.3f\n", prefix, (double)wall / (double)operations);
}

void bench_end(struct bench *b, uint64_t operations)
{
    bench_end_as(b, operations, "");
}

void bench_value(const char *key, double value)
{
    printf("%s %.3f\n", key, value);
}

/* The number behind `key` in a file of /proc, in bytes. */
static int read_kilobytes(const char *path, const char *key, uint64_t *ret)
{
    FILE *file = fopen(path, "re");
    char line[256];
    int r = -ENODATA;

    if (!file)
        return -errno;
    while (r < 0 && fgets(line, sizeof(line), file))
        if (strncmp(line, key, strlen(key)) == 0 &&
            sscanf(line + strlen(key), " %" SCNu64, ret) == 1)
            r = 0;
    fclose(file);
    if (r == 0)
        *ret *= 1024;
    return r;
}

static uint64_t count_lines(const char *path)
{
    FILE *file = fopen(path, "re");
    uint64_t n = 0;
    int c;

    if (!file)
        return 0;
    while ((c = getc_unlocked(file)) != EOF)
        n += c == '\n';
    fclose(file);
    return n;
}

int bench_memory(struct bench_memory *ret)
{
    struct bench_memory m;
    int r;

    r = read_kilobytes("/proc/self/smaps_rollup", "Rss:", &m.resident);
    if (r < 0)
        return r;
    r = read_kilobytes("/proc/self/status", "VmPTE:", &m.page_tables);
    if (r < 0)
        return r;
    m.mappings = count_lines("/proc/self/maps");
    *ret = m;
    return 0;
}

int bench_grow(uint64_t mebibytes)
{
    size_t size = mebibytes << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -errno;
    (void)madvise(memory, size, MADV_NOHUGEPAGE);
    memset(memory, 1, size);
    return 0;
}

int bench_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd, r;

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    printf("port %d\n", ntohs(address.sin_port));
    return fd;
}

int bench_pingpong_fds(int fds[static 2])
{
    for (unsigned i = 0; i < 2; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fds[i] < 0)
            return -errno;
    }
    return 0;
}
