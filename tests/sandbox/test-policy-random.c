/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Random policies: what libseccomp makes of them against the model, for arguments around their
 * constants.
 *
 * AIT_RANDOM_POLICIES: how many; AIT_RANDOM_SEED: the first one's seed, those that follow count
 * upwards. A failing seed reproduces alone with AIT_RANDOM_POLICIES=1. Each process does many, and
 * ends before what libseccomp leaves behind adds up.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "architecture.h"
#include "filter/build.h"
#include "random-policy.h"

#define ORDINARY (RANDOM_FEWER ? 1000 : 20000)
#define CHUNK    1000

struct files {
    int program;
    int scratch;
};

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- one policy ------------------------------------------------------------------------------ */

static int ask(const struct filter_terms *terms, const struct sock_filter *program, size_t n,
               int number, const uint64_t args[6])
{
    struct seccomp_data data = {.nr = number, .arch = NATIVE_ARCHITECTURE};

    memcpy(data.args, args, sizeof(data.args));
    uint32_t wanted = filter_expected(terms, &data), got = bpf_run(program, n, &data);
    if (wanted == got)
        return 0;
    (void)fprintf(stderr,
                  "call %d, arguments %#llx %#llx %#llx %#llx %#llx %#llx: wanted %#x, got %#x\n",
                  number, (unsigned long long)args[0], (unsigned long long)args[1],
                  (unsigned long long)args[2], (unsigned long long)args[3],
                  (unsigned long long)args[4], (unsigned long long)args[5], wanted, got);
    return -EBADMSG;
}

static int ask_call(const struct filter_terms *terms, const struct sock_filter *program, size_t n,
                    int number, unsigned times, uint64_t *state)
{
    uint64_t args[6];
    int r = 0;

    for (unsigned i = 0; i < times && r == 0; i++) {
        random_args(state, terms->policy, number, args);
        if (i % 8 == 0) {
            args[5] = terms->exec_key;
            args[0] |= (uint64_t)terms->send_key << 32;
        }
        r = ask(terms, program, n, number, args);
    }
    return r;
}

static int ask_all(const struct filter_terms *terms, const struct sock_filter *program, size_t n,
                   uint64_t *state)
{
    uint64_t args[6];
    int r = bpf_check(program, n, NULL);

    random_args(state, terms->policy, 0, args);
    for (int number = 0; number <= SYSCALL_NEWEST + 1 && r == 0; number++) {
        unsigned n_rules = number <= SYSCALL_NEWEST ? terms->policy->calls[number].n_rules : 0;
        r = ask(terms, program, n, number, args);
        if (r == 0 && n_rules > 0)
            r = ask_call(terms, program, n, number, 40 * n_rules, state);
    }
    if (r == 0)
        r = ask_call(terms, program, n, SYS_execve, 8, state);
    return r == 0 ? ask_call(terms, program, n, SYS_sendmsg, 8, state) : r;
}

/* Size of the program; or an error, told. */
static ssize_t make(const struct filter_terms *terms, const struct files *files,
                    struct sock_filter code[BPF_MAXINSNS])
{
    char failure[PROGRAM_FAILURE_MAX] = "";

    if (ftruncate(files->program, 0) < 0 || lseek(files->program, 0, SEEK_SET) < 0)
        return -errno;
    int r = program_is_bounded(terms->policy, failure);
    if (r < 0)
        return r;
    r = program_write(terms, files->program, files->scratch, failure);
    if (r < 0) {
        (void)fprintf(stderr, "%s\n", failure);
        return r;
    }
    return pread(files->program, code, BPF_MAXINSNS * sizeof(code[0]), 0) /
           (ssize_t)sizeof(code[0]);
}

static int try_policy(uint64_t seed, const struct files *files)
{
    struct sock_filter code[BPF_MAXINSNS];
    uint64_t state = ~seed;
    struct filter_terms terms = {
        .policy = random_policy(seed, 0),
        .deny = (ait_sandbox_deny)random_below(&state, AIT_SANDBOX_DENY_LEARN),
        .exec_key = random_below(&state, 2) ? random_draw(&state) : 0,
        .send_key = random_below(&state, 2) ? (uint32_t)random_draw(&state) : 0,
    };
    ssize_t n = make(&terms, files, code);
    int r = n < 0 ? (int)n : ask_all(&terms, code, (size_t)n, &state);

    if (r == 0 && seed % 8 == 0)
        r = filter_verify(&terms, code, (size_t)n, NULL);
    (void)ait_policy_unref((ait_policy *)terms.policy);
    return r;
}

/* ---- many of them ---------------------------------------------------------------------------- */

/* Counted over all processes. */
struct counts {
    uint64_t next;
    uint64_t done;
    uint64_t too_large;
    uint64_t failed;
    uint64_t first_failed;
};

static void try_chunk(struct counts *counts, uint64_t begin, uint64_t end)
{
    const struct files files = {memfd_create("program", MFD_CLOEXEC),
                                memfd_create("part", MFD_CLOEXEC)};

    for (uint64_t seed = begin; seed < end; seed++) {
        int r = try_policy(seed, &files);
        if (r == -E2BIG)
            __atomic_add_fetch(&counts->too_large, 1, __ATOMIC_RELAXED);
        else if (r < 0) {
            (void)fprintf(stderr, "AIT_RANDOM_POLICIES=1 AIT_RANDOM_SEED=%llu fails: %s\n",
                          (unsigned long long)seed, strerrordesc_np(-r));
            if (__atomic_add_fetch(&counts->failed, 1, __ATOMIC_RELAXED) == 1)
                counts->first_failed = seed;
        }
        __atomic_add_fetch(&counts->done, 1, __ATOMIC_RELAXED);
    }
    _exit(0);
}

static void work(struct counts *counts, uint64_t first, uint64_t total)
{
    for (;;) {
        uint64_t begin = __atomic_fetch_add(&counts->next, CHUNK, __ATOMIC_RELAXED);
        if (begin >= total || counts->failed != 0)
            _exit(0);
        pid_t pid = fork();
        if (pid == 0)
            try_chunk(counts, first + begin,
                      first + (begin + CHUNK < total ? begin + CHUNK : total));
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            _exit(1);
    }
}

static void run(struct counts *counts, uint64_t first, uint64_t total)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    pid_t pids[64];

    n = n < 1 ? 1 : n > 64 ? 64 : n;
    for (long i = 0; i < n; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            work(counts, first, total);
    }
    for (long i = 0; i < n; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

static void programs_do_what_random_policies_say(void **state)
{
    uint64_t first = setting("AIT_RANDOM_SEED", 1),
             total = setting("AIT_RANDOM_POLICIES", ORDINARY);
    struct counts *counts =
        mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct timespec begin;

    assert_true(counts != MAP_FAILED);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    run(counts, first, total);
    print_message("%llu policies from seed %llu in %.1f s: %llu differ, %llu too large\n",
                  (unsigned long long)counts->done, (unsigned long long)first,
                  seconds_since(&begin), (unsigned long long)counts->failed,
                  (unsigned long long)counts->too_large);
    if (counts->failed != 0)
        fail_msg("seed %llu differs", (unsigned long long)counts->first_failed);
    assert_int_equal(counts->done, total);
    /* Else the test looks at less than it says. */
    assert_true(counts->too_large * 10 <= total);
    (void)munmap(counts, sizeof(*counts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_do_what_random_policies_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
