/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the default preset costs: making it, loading it into a worker, and each call that it allows.
 *
 * Times are medians of one interleaved run, printed with their bars; 1 is returned where a bar is
 * missed. Of calls, each process's quickest batch counts, so that who else runs on the machine does
 * not. Needs no privileges.
 */

#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "filter/compile.h"
#include "enter/protect.h"
#include "policy/model.h"
#include "raw.h"
#include "filter/verify.h"

#define LOADS  200
#define ROUNDS 41
#define CALLS  5000 /* a batch */

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), by_size);
    return values[n / 2];
}

static double load(const struct sandbox_filter *filter)
{
    const struct sock_fprog program = {(unsigned short)filter->n,
                                       (struct sock_filter *)filter->program};
    const struct sock_fprog quiet = {(unsigned short)filter->n_quiet, filter->quiet};
    double begin = now();

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        raw_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program) < 0 ||
        (quiet.filter && raw_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &quiet) < 0))
        _exit(1);
    return now() - begin;
}

static double call_many(void)
{
    double best = 1e9;

    for (int batch = 0; batch < 20; batch++) {
        double begin = now();
        for (int i = 0; i < CALLS; i++)
            (void)raw_call(SYS_getppid);
        double took = now() - begin;
        best = took < best ? took : best;
    }
    return best;
}

/* In a child; filter may be NULL. */
static void measure(const struct sandbox_filter *filter, double *ret_load, double *ret_calls)
{
    double *shared =
        mmap(NULL, 2 * sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    if (shared == MAP_FAILED)
        exit(2);
    pid_t pid = fork();
    if (pid == 0) {
        shared[0] = filter ? load(filter) : 0;
        shared[1] = ret_calls ? call_many() : 0;
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        (void)fprintf(stderr, "a measuring child has failed\n");
        exit(2);
    }
    if (ret_load)
        *ret_load = shared[0];
    if (ret_calls)
        *ret_calls = shared[1];
    (void)munmap(shared, 2 * sizeof(double));
}

static int report(const char *what, double value, double bar, const char *unit)
{
    printf("%-48s %8.3f %-6s (at most %g)%s\n", what, value, unit, bar,
           value > bar ? "  MISSED" : "");
    return value > bar;
}

static int bench_making(const ait_policy *policy, struct sandbox_filter *filter)
{
    double compile[21], verify[21];

    for (size_t i = 0; i < 21; i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        filter_done(filter);
        double begin = now();
        if (filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, AIT_SANDBOX_EXEC, filter, &problem) <
            0) {
            (void)fprintf(stderr, "%s\n", problem.message);
            exit(2);
        }
        compile[i] = now() - begin;
        const struct filter_terms terms = {.policy = policy, .exec_key = filter->exec_key};
        begin = now();
        if (filter_verify(&terms, filter->program, filter->n, NULL) < 0)
            exit(2);
        verify[i] = now() - begin;
    }
    printf("%zu instructions, and %zu for designed ENOSYS\n", filter->n, filter->n_quiet);
    printf("%-48s %8.3f ms\n", "compiling and verifying, once per supervisor", median(compile, 21));
    return report("verification of the default preset", median(verify, 21), 100, "ms");
}

static int bench_load(const struct sandbox_filter *filter)
{
    double loads[LOADS];

    for (size_t i = 0; i < LOADS; i++)
        measure(filter, &loads[i], NULL);
    return report("loading it, median of 200 workers", median(loads, LOADS), 0.2, "ms");
}

static int bench_calls(const struct sandbox_filter *filter)
{
    double with[ROUNDS], without[ROUNDS], ratio[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        measure(NULL, NULL, &without[i]);
        measure(filter, NULL, &with[i]);
        ratio[i] = with[i] / without[i];
    }
    double w = median(with, ROUNDS), wo = median(without, ROUNDS);
    printf("getppid: %.1f ns, unfiltered %.1f ns\n", w * 1e6 / CALLS, wo * 1e6 / CALLS);
    return report("an allowed getppid, times an unfiltered one", median(ratio, ROUNDS), 1.3,
                  "times");
}

int main(void)
{
    struct sandbox_filter filter = {0};
    ait_policy *preset, *policy;

    /* What workers get where the kernel has a scope. */
    if (ait_policy_from_preset(&preset, "service", NULL) < 0 ||
        policy_protect(&policy, preset, getpid(), false) < 0)
        return 2;
    int missed = bench_making(policy, &filter);
    missed |= bench_load(&filter);
    missed |= bench_calls(&filter);
    filter_done(&filter);
    (void)ait_policy_unref(policy);
    (void)ait_policy_unref(preset);
    return missed;
}
