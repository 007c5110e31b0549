/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/process-tree.h"
#include "config/parse.h"
#include "proc.h"
#include "kin.h"
#include "spawned.h"

static bool is_one_of(pid_t pid, void *userdata)
{
    const pid_t *pids = userdata;
    for (; *pids; pids++)
        if (*pids == pid)
            return true;
    return false;
}

static void kill_until_none(const struct guardian_tree *tree, pid_t *known)
{
    const struct timespec pause_time = {.tv_nsec = 2000000};
    for (int i = 0; i < 5000; i++) {
        ssize_t left = guardian_tree_kill(tree, is_one_of, known);
        assert_true(left >= 0);
        if (left == 0)
            return;
        nanosleep(&pause_time, NULL);
    }
    fail_msg("processes of the tree do not end");
}

/* A number whose process has died and which names another one now. */
static void reused_number_is_spared(void **state)
{
    struct spawned innocent, dead;
    char line[64], *text;

    spawned_init(&innocent, "there", NULL);
    assert_int_equal(spawned_start(&innocent), 0);
    spawned_read_line(&innocent, line, sizeof(line));
    spawned_init(&dead, "report", NULL);
    assert_int_equal(spawned_start(&dead), 0);
    assert_int_equal(spawned_finish(&dead, &text), 0);
    free(text);

    struct guardian_tree tree = dead.tree;
    tree.pid = innocent.pid;
    tree.start -=
        1000; /* the two may have started within one tick; no number comes round that fast */
    assert_int_equal(guardian_tree_kill(&tree, NULL, NULL), 0);
    assert_false(has_ended_within(innocent.pidfd, 0));
    spawned_done(&innocent);
    spawned_done(&dead);
}

static void tree_kill_finds_all_and_spares_others(void **state)
{
    for (int leader_ends = 0; leader_ends < 2; leader_ends++) {
        struct spawned victim, other;
        struct kin f, g;

        kin_begin(&other, &g, NULL);
        kin_begin(&victim, &f, leader_ends ? "end" : NULL);
        if (leader_ends)
            assert_true(has_ended_within(victim.pidfd, WAIT_MS));

        pid_t known[] = {victim.pid, other.pid, 0};
        kill_until_none(&victim.tree, known);
        kin_expect_gone(&f, "tree_kill");
        for (int i = 0; i < MEMBERS; i++)
            assert_false(has_ended_within(g.pidfds[i], 0));
        /* The leader is left for its owner, the others were reaped. */
        siginfo_t info = {0};
        assert_int_equal(waitid(P_PIDFD, (id_t)victim.pidfd, &info, WEXITED | WNOWAIT), 0);

        kill_until_none(&other.tree, known);
        kin_expect_gone(&g, "tree_kill of the other");
        spawned_done(&victim);
        spawned_done(&other);
        (void)guardian_reap_orphans(is_one_of, &(pid_t){0}, 0, NULL);
        assert_int_equal(count_children(), 0);
    }
}

static void await_exec(pid_t pid)
{
    char path[32], name[32] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    for (int i = 0; i < 5000 && strcmp(name, "sleep\n") != 0; i++) {
        FILE *f = fopen(path, "re");

        if (!f || !fgets(name, sizeof(name), f))
            name[0] = '\0';
        if (f)
            fclose(f);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

/* Its members ignore TERM, not INT. */
static void rest_is_named_and_asked(void **state)
{
    struct spawned victim, other;
    struct process_names names = {0};
    struct kin f, g;
    char part[32];

    kin_begin(&other, &g, "end");
    kin_begin(&victim, &f, "end");
    assert_true(has_ended_within(victim.pidfd, WAIT_MS));

    pid_t known[] = {victim.pid, other.pid, 0};
    assert_int_equal(guardian_tree_signal(&victim.tree, is_one_of, known, SIGTERM), MEMBERS - 1);
    assert_int_equal(guardian_tree_look(&victim.tree, is_one_of, known, &names), MEMBERS - 1);
    assert_int_equal(names.n, MEMBERS - 1);
    for (int i = 1; i < MEMBERS; i++) {
        (void)snprintf(part, sizeof(part), "[%d]", (int)f.pids[i]);
        assert_non_null(strstr(process_names_text(&names), part));
    }
    /* Those that are stopped, too. */
    for (int i = 1; i < MEMBERS; i++)
        assert_int_equal(kill(f.pids[i], SIGSTOP), 0);
    assert_true(guardian_tree_signal(&victim.tree, is_one_of, known, SIGINT) >= 0);
    for (int i = 1; i < MEMBERS; i++)
        assert_true(has_ended_within(f.pidfds[i], WAIT_MS));
    assert_int_equal(guardian_tree_look(&victim.tree, is_one_of, known, NULL), 0);
    for (int i = 1; i < MEMBERS; i++)
        assert_false(has_ended_within(g.pidfds[i], 0));

    kill_until_none(&other.tree, known);
    kin_expect_gone(&f, "signal");
    kin_expect_gone(&g, "signal, the other");
    spawned_done(&victim);
    spawned_done(&other);
    (void)guardian_reap_orphans(is_one_of, &(pid_t){0}, 0, NULL);
    assert_int_equal(count_children(), 0);
}

/* Until the process between the daemon and its worker has ended, it descends from the worker. */
static void await_stray(const struct guardian_tree *tree, pid_t daemon, pid_t *known)
{
    int r = 1;

    for (int ms = 0; r == 1 && ms < WAIT_MS; ms++) {
        r = guardian_tree_has(tree, daemon, is_one_of, known);
        if (r == 1)
            (void)poll(NULL, 0, 1);
    }
    assert_int_equal(r, -ENOLINK);
}

/* By session, token and descent, from any of its processes; and of nobody else. */
static void each_process_has_a_tree(void **state)
{
    for (int leader_ends = 0; leader_ends < 2; leader_ends++) {
        struct spawned one, other;
        struct kin f, g;

        kin_begin(&one, &f, leader_ends ? "end" : NULL);
        kin_begin(&other, &g, NULL);
        if (leader_ends)
            assert_true(has_ended_within(one.pidfd, WAIT_MS));

        pid_t known[] = {one.pid, other.pid, 0};
        struct guardian_tree nameless = other.tree;
        nameless.token[0] = '\0';
        for (int i = 0; i < MEMBERS; i++) {
            assert_int_equal(guardian_tree_has(&one.tree, f.pids[i], is_one_of, known), 1);
            assert_int_equal(guardian_tree_has(&other.tree, g.pids[i], is_one_of, known), 1);
            int r = guardian_tree_has(&one.tree, g.pids[i], is_one_of, known);
            assert_true(r == 0 || (r == -ENOLINK && strcmp(kin_kinds[i], "daemon") == 0));
            if (strcmp(kin_kinds[i], "daemon") == 0)
                await_stray(&nameless, g.pids[i], known);
        }
        assert_int_equal(guardian_tree_has(&one.tree, getpid(), is_one_of, known), 0);
        assert_int_equal(guardian_tree_has(&one.tree, getppid(), is_one_of, known), 0);
        assert_int_equal(guardian_tree_has(&one.tree, INT32_MAX, is_one_of, known), -ESRCH);

        kill_until_none(&one.tree, known);
        kill_until_none(&other.tree, known);
        kin_expect_gone(&f, "one");
        kin_expect_gone(&g, "other");
        spawned_done(&one);
        spawned_done(&other);
        (void)guardian_reap_orphans(is_one_of, &(pid_t){0}, 0, NULL);
        assert_int_equal(count_children(), 0);
    }
}

static bool any_instance(pid_t pid, const char *instance, void *userdata)
{
    return instance != NULL;
}

static bool nobodys(pid_t pid, const char *instance, void *userdata)
{
    return false;
}

/* A daemon that bears no token: nobody's, unless the tree claims it. */
static void strays_are_claimed(void **state)
{
    struct spawned s;
    struct kin f;

    kin_begin(&s, &f, "end");
    assert_true(has_ended_within(s.pidfd, WAIT_MS));

    pid_t known[] = {s.pid, 0};
    struct guardian_tree tree = s.tree;
    (void)strcpy(tree.token, "another");
    tree.is_marked = any_instance;
    /* Two are in its session; the others bear the sign of a worker, which is not this one. */
    assert_int_equal(guardian_tree_look(&tree, is_one_of, known, NULL), 2);
    /* But if that one lives no more, they are strays. */
    tree.is_marked = nobodys;
    assert_int_equal(guardian_tree_look(&tree, is_one_of, known, NULL), MEMBERS - 1);
    kill_until_none(&s.tree, known);
    kin_expect_gone(&f, "family");
    spawned_done(&s);
    (void)guardian_reap_orphans(is_one_of, &(pid_t){0}, 0, NULL);

    for (int claims = 0; claims < 2; claims++) {
        pid_t stray = fork();

        if (stray == 0) {
            char *nothing[] = {NULL};

            (void)setsid();
            (void)execle("/bin/sleep", "sleep", "1000", NULL, nothing);
            _exit(1);
        }
        assert_true(stray > 0);
        await_exec(stray);
        tree = (struct guardian_tree){
            .pid = INT32_MAX, .start = 1, .is_marked = claims ? any_instance : NULL};
        assert_int_equal(guardian_tree_look(&tree, is_one_of, known, NULL), claims);
        tree.start = UINT64_MAX; /* a worker that is younger */
        assert_int_equal(guardian_tree_look(&tree, is_one_of, known, NULL), 0);
        kill(stray, SIGKILL);
        assert_int_equal(waitpid(stray, NULL, 0), stray);
    }
    assert_int_equal(count_children(), 0);
}

static void names_are_bounded(void **state)
{
    struct process_names names = {0};

    for (unsigned i = 0; i < PROCESS_NAMES_SHOWN + 3; i++)
        process_names_add(&names, i == 0 ? getpid() : INT32_MAX);
    assert_int_equal(names.n, PROCESS_NAMES_SHOWN + 3);
    assert_ptr_equal(strstr(process_names_text(&names), "test-process-tr["), names.text);
    assert_non_null(strstr(names.text, ", ?[2147483647] and 3 more"));
}

/* What no pass looks at, as what forks too fast: here because it is claimed to be known. Its leader
 * has ended: as long as that is not reaped, the group goes as a whole; afterwards its number may be
 * another's. */
static void group_goes_while_its_leader_is_not_reaped(void **state)
{
    for (int reaped = 0; reaped < 2; reaped++) {
        struct spawned s;
        struct kin f;

        kin_begin(&s, &f, "end");
        assert_true(has_ended_within(s.pidfd, WAIT_MS));
        if (reaped)
            assert_int_equal(waitpid(s.pid, NULL, 0), s.pid);
        pid_t known[] = {f.pids[1], f.pids[2], f.pids[3], f.pids[4], 0};
        assert_int_equal(guardian_tree_kill(&s.tree, is_one_of, known), 0);
        if (!reaped)
            assert_true(has_ended_within(f.pidfds[1], WAIT_MS));
        for (int i = reaped ? 1 : 2; i < MEMBERS; i++)
            assert_false(has_ended_within(f.pidfds[i], 20));
        kill_until_none(&s.tree, &(pid_t){0});
        kin_expect_gone(&f, "group");
        spawned_done(&s);
        (void)guardian_reap_orphans(NULL, NULL, 0, NULL);
        assert_int_equal(count_children(), 0);
    }
}

/* How often this process has called read(2); -1 where the kernel does not count. */
static long count_reads(void)
{
    char line[64];
    long n = -1;
    FILE *f = fopen("/proc/self/io", "re");

    while (f && n < 0 && fgets(line, sizeof(line), f))
        (void)sscanf(line, "syscr: %ld", &n);
    if (f)
        fclose(f);
    return n;
}

/* A server of many workers: none of them costs anything at another's end. */
static void known_children_are_not_read(void **state)
{
    enum { CHILDREN = 40 };
    pid_t known[CHILDREN + 1] = {0};
    struct guardian_tree none = {.pid = INT32_MAX, .start = 1, .token = "none"};

    if (count_reads() < 0 || access("/proc/thread-self/children", F_OK) < 0)
        skip();
    for (int i = 0; i < CHILDREN; i++) {
        known[i] = fork();
        if (known[i] == 0)
            for (;;)
                pause();
        assert_true(known[i] > 0);
    }
    long before = count_reads();
    ssize_t left = guardian_tree_kill(&none, is_one_of, known);
    ssize_t orphans = guardian_reap_orphans(is_one_of, known, SIGKILL, NULL);
    long reads = count_reads() - before;
    for (int i = 0; i < CHILDREN; i++) {
        kill(known[i], SIGKILL);
        assert_int_equal(waitpid(known[i], NULL, 0), known[i]);
    }
    assert_int_equal(left, 0);
    assert_int_equal(orphans, 0);
    assert_in_range(reads, 1, CHILDREN / 2);
}

static void orphans_are_reaped_and_killed(void **state)
{
    struct spawned s;
    struct kin f;

    kin_begin(&s, &f, "end");
    assert_true(has_ended_within(s.pidfd, WAIT_MS));
    pid_t known[] = {s.pid, 0};
    assert_int_equal(guardian_reap_orphans(is_one_of, known, 0, NULL), MEMBERS - 1);
    while (guardian_reap_orphans(is_one_of, known, SIGKILL, NULL) > 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    kin_expect_gone(&f, "orphans");
    assert_int_equal(guardian_reap_orphans(is_one_of, known, 0, NULL), 0);
    assert_int_equal(count_children(), 1);
    spawned_done(&s);
    assert_int_equal(count_children(), 0);
}

/* ---- set-up ---------------------------------------------------------------------------------- */

/* Orphans of the supervisors that are killed here come to us, and are reaped here. */
static int become_subreaper(void **state)
{
    return guardian_become_subreaper();
}

int main(int argc, char **argv)
{
    spawned_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reused_number_is_spared),
        cmocka_unit_test(tree_kill_finds_all_and_spares_others),
        cmocka_unit_test(rest_is_named_and_asked),
        cmocka_unit_test(each_process_has_a_tree),
        cmocka_unit_test(strays_are_claimed),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(group_goes_while_its_leader_is_not_reaped),
        cmocka_unit_test(known_children_are_not_read),
        cmocka_unit_test(orphans_are_reaped_and_killed),
    };
    return cmocka_run_group_tests(tests, become_subreaper, NULL);
}
