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

#include "process/guardian.h"
#include "config/parse.h"
#include "proc.h"
#include "spawned.h"

#define WAIT_MS 20000

/* A copy that any user may execute, wherever the build directory is. */

/* The members of a "family" worker, in the order of `kinds`. */
enum { MEMBERS = 5 };
static const char *const kinds[] = {"leader", "child", "group", "session", "daemon"};

struct family {
    pid_t pids[MEMBERS];
    int pidfds[MEMBERS];
};

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void read_family(struct spawned *s, struct family *f)
{
    char line[64];

    f->pids[0] = s->pid;
    for (int i = 1; i < MEMBERS; i++) {
        spawned_read_line(s, line, sizeof(line));
        for (int k = 1; k < MEMBERS; k++)
            if (strncmp(line, kinds[k], strlen(kinds[k])) == 0)
                f->pids[k] = atoi(strchr(line, '=') + 1);
    }
}

static void hold_family(struct family *f)
{
    for (int i = 0; i < MEMBERS; i++)
        f->pidfds[i] = open_pidfd(f->pids[i]);
}

/* how: "end" lets the leader end at once; NULL lets it stay. */
static void begin_family(struct spawned *s, struct family *f, char *how)
{
    spawned_init(s, "family", NULL);
    s->argv[2] = how;
    assert_int_equal(spawned_start(s), 0);
    read_family(s, f);
    hold_family(f);
}

static void reap_everything(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* All of it gone; what is left is named, and killed. */
static void expect_gone(struct family *f, const char *what)
{
    int survivors = 0;
    for (int i = 0; i < MEMBERS; i++) {
        if (f->pidfds[i] < 0)
            continue;
        if (!has_ended_within(f->pidfds[i], WAIT_MS)) {
            print_error("%s: %s survives\n", what, kinds[i]);
            survivors++;
            (void)syscall(SYS_pidfd_send_signal, f->pidfds[i], SIGKILL, NULL, 0);
        }
        close(f->pidfds[i]);
    }
    assert_int_equal(survivors, 0);
}

/* ---- a supervisor to be killed --------------------------------------------------------------- */

enum { FAMILIES = 2 };

struct stage {
    const char *name;
    bool ordinary_user; /* the supervisor itself is one */
    bool worker_user;   /* --user */
    bool leader_ends;   /* only the descendants are left */
    bool kill_guardian; /* and start another, before */
    bool orderly_stop;  /* the guardian is told to go: nobody is killed by it */
};

/* What the supervisor tells the test. */
struct news {
    struct family families[FAMILIES];
    pid_t guardian;
};

static void become_nobody(void)
{
    if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
        setresuid(65534, 65534, 65534) < 0)
        _exit(2);
    /* As after an exec. */
    (void)prctl(PR_SET_DUMPABLE, 1);
}

static void start_family(const struct stage *stage, struct guardian *g, struct spawned *s,
                         struct family *f)
{
    static gid_t groups[] = {65534};
    static struct account nobody = {.uid = 65534, .gid = 65534, .groups = groups, .n_groups = 1};

    spawned_init(s, "family", NULL);
    s->params.guardian_fd = g->fd;
    s->params.account = stage->worker_user ? &nobody : NULL;
    s->argv[2] = stage->leader_ends ? "end" : NULL;
    if (spawned_start(s) < 0) {
        fprintf(stderr, "%s\n", s->problem.text);
        _exit(3);
    }
    read_family(s, f);
}

static void replace_guardian(struct guardian *g, struct spawned *workers)
{
    kill(g->pid, SIGKILL);
    if (!has_ended_within(g->pidfd, WAIT_MS))
        _exit(4);
    guardian_done(g);
    if (guardian_start(g, "test", NULL) < 0)
        _exit(5);
    for (int i = 0; i < FAMILIES; i++)
        if (guardian_add(g, &workers[i].tree, workers[i].pidfd) < 0)
            _exit(6);
}

static void __attribute__((noreturn)) be_a_supervisor(const struct stage *stage, int out)
{
    struct guardian g = GUARDIAN_INIT;
    struct spawned workers[FAMILIES];
    struct news news = {0};

    if (stage->ordinary_user)
        become_nobody();
    if (guardian_become_subreaper() < 0 || guardian_start(&g, "test", NULL) < 0)
        _exit(1);
    for (int i = 0; i < FAMILIES; i++)
        start_family(stage, &g, &workers[i], &news.families[i]);
    if (stage->kill_guardian)
        replace_guardian(&g, workers);
    news.guardian = g.pid;
    if (stage->orderly_stop && guardian_stop(&g) < 0)
        _exit(7);
    if (write(out, &news, sizeof(news)) != sizeof(news))
        _exit(8);
    for (;;)
        pause();
}

static void receive_news(int fd, struct news *news)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_int_equal(read(fd, news, sizeof(*news)), sizeof(*news));
}

static pid_t start_supervisor(const struct stage *stage, struct news *news)
{
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_a_supervisor(stage, out[1]);
    close(out[1]);
    receive_news(out[0], news);
    close(out[0]);
    return pid;
}

static void kill_supervisor(const struct stage *stage)
{
    struct news news;
    pid_t supervisor = start_supervisor(stage, &news);
    int guardian = open_pidfd(news.guardian);

    for (int i = 0; i < FAMILIES; i++)
        hold_family(&news.families[i]);
    for (int i = 1; i < MEMBERS; i++)
        assert_false(has_ended_within(news.families[0].pidfds[i], 0));
    kill(supervisor, SIGKILL);
    assert_int_equal(waitpid(supervisor, NULL, 0), supervisor);
    for (int i = 0; i < FAMILIES; i++)
        expect_gone(&news.families[i], stage->name);
    assert_true(has_ended_within(guardian, WAIT_MS));
    close(guardian);
    reap_everything();
    assert_int_equal(count_children(), 0);
}

static void no_worker_survives(void **state)
{
    static const struct stage stages[] = {
        {.name = "plain"},
        {.name = "leader ended", .leader_ends = true},
        {.name = "second guardian", .kill_guardian = true},
        {.name = "second guardian, leader ended", .kill_guardian = true, .leader_ends = true},
        {.name = "ordinary user", .ordinary_user = true},
        {.name = "ordinary user, leader ended", .ordinary_user = true, .leader_ends = true},
        {.name = "--user", .worker_user = true},
        {.name = "--user, leader ended", .worker_user = true, .leader_ends = true},
    };
    const char *why_not = spawned_why_not_as_nobody();

    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
        if (!why_not || !(stages[i].ordinary_user || stages[i].worker_user))
            kill_supervisor(&stages[i]);
        else
            print_message("# SKIP: %s: %s\n", stages[i].name, why_not);
}

/* ---- killed at any moment -------------------------------------------------------------------- */

#define MARK "AIT_TEST_MARK="

static bool environ_has(const char *pid, const char *mark)
{
    char path[300], buffer[65536];
    (void)snprintf(path, sizeof(path), "/proc/%s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buffer, sizeof(buffer));
    (void)close(fd);
    return n > 0 && memmem(buffer, (size_t)n, mark, strlen(mark));
}

/* Processes that were exec'ed with the mark in their environment: workers and what they have
 * forked. */
static size_t count_marked(const char *mark, bool kill_them)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            environ_has(entry->d_name, mark)) {
            n++;
            if (kill_them)
                (void)kill(atoi(entry->d_name), SIGKILL);
        }
    closedir(dir);
    return n;
}

static void __attribute__((noreturn)) spawn_without_end(int out)
{
    struct guardian g = GUARDIAN_INIT;

    if (guardian_become_subreaper() < 0 || guardian_start(&g, "test", NULL) < 0 ||
        write(out, "x", 1) != 1)
        _exit(1);
    for (int i = 0; i < 50; i++) {
        struct spawned s;
        spawned_init(&s, i % 2 ? "there" : "family", NULL);
        s.params.guardian_fd = g.fd;
        s.argv[2] = i % 4 ? NULL : "end";
        if (spawned_start(&s) < 0)
            _exit(2);
    }
    for (;;)
        pause();
}

static void kill_while_spawning(unsigned microseconds)
{
    char mark[64], byte;
    int out[2];

    (void)snprintf(mark, sizeof(mark), "%d-%u", getpid(), microseconds);
    assert_int_equal(setenv("AIT_TEST_MARK", mark, 1), 0);
    (void)snprintf(mark, sizeof(mark), MARK "%d-%u", getpid(), microseconds);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        spawn_without_end(out[1]);
    assert_int_equal(read(out[0], &byte, 1), 1);
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000L}, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(out[0]);
    (void)close(out[1]);
    for (int waited = 0; count_marked(mark, false) > 0; waited += 5) {
        if (waited >= WAIT_MS)
            fail_msg("killed after %u us: %zu processes survive", microseconds,
                     count_marked(mark, true));
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    reap_everything();
}

static void no_moment_is_wrong(void **state)
{
    srandom(4711);
    for (int i = 0; i < 25; i++)
        kill_while_spawning((unsigned)random() % 40000);
    assert_int_equal(unsetenv("AIT_TEST_MARK"), 0);
}

static void orderly_stop_kills_nobody(void **state)
{
    struct stage stage = {.name = "orderly", .orderly_stop = true};
    struct news news;
    pid_t supervisor = start_supervisor(&stage, &news);
    struct family *f = &news.families[0];
    int guardian = open_pidfd(news.guardian);

    for (int i = 0; i < FAMILIES; i++)
        hold_family(&news.families[i]);
    assert_true(guardian < 0 || has_ended_within(guardian, WAIT_MS));
    kill(supervisor, SIGKILL);
    assert_int_equal(waitpid(supervisor, NULL, 0), supervisor);
    /* The leader has its parent-death signal; the others would have been the guardian's. */
    assert_true(has_ended_within(f->pidfds[0], WAIT_MS));
    for (int i = 1; i < MEMBERS; i++)
        assert_false(has_ended_within(f->pidfds[i], i == 1 ? 300 : 0));
    for (int i = 0; i < FAMILIES; i++)
        for (int k = 1; k < MEMBERS; k++)
            (void)syscall(SYS_pidfd_send_signal, news.families[i].pidfds[k], SIGKILL, NULL, 0);
    for (int i = 0; i < FAMILIES; i++)
        expect_gone(&news.families[i], "after the test");
    if (guardian >= 0)
        close(guardian);
    reap_everything();
}

/* ---- the guardian as such -------------------------------------------------------------------- */

static long read_status_kb(pid_t pid, const char *name)
{
    char *status, value[32];

    assert_int_equal(proc_read_status(pid, &status), 0);
    assert_true(proc_status_value(status, name, value, sizeof(value)));
    free(status);
    return atol(value);
}

static size_t count_fds_of(pid_t pid)
{
    size_t n = 0;
    for (int fd = 0; fd < 64; fd++) {
        char path[64];
        struct stat st;
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
        n += lstat(path, &st) == 0;
    }
    return n;
}

static void guardian_is_small_alone_and_immune(void **state)
{
    struct guardian g = GUARDIAN_INIT;
    size_t fds = count_fds();

    assert_int_equal(guardian_start(&g, "test", NULL), 0);
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        assert_int_equal(kill(g.pid, signals[i]), 0);
    assert_false(has_ended_within(g.pidfd, 100));
    assert_int_equal(getsid(g.pid), g.pid);
    assert_int_equal(count_fds_of(g.pid), 2);
    print_message("# guardian: VmRSS %ld kB, RssAnon %ld kB\n", read_status_kb(g.pid, "VmRSS"),
                  read_status_kb(g.pid, "RssAnon"));
    assert_int_equal(guardian_stop(&g), 0);
    assert_true(has_ended_within(g.pidfd, WAIT_MS));
    assert_null(guardian_done(&g));
    assert_null(guardian_done(NULL));
    assert_int_equal(g.fd, -1);
    assert_int_equal(count_children(), 0);
    assert_int_equal(count_fds(), fds);
}

static void dead_guardian_is_noticed(void **state)
{
    struct guardian g = GUARDIAN_INIT;
    struct spawned s;

    assert_int_equal(guardian_start(&g, "test", NULL), 0);
    kill(g.pid, SIGKILL);
    assert_true(has_ended_within(g.pidfd, WAIT_MS));
    spawned_init(&s, "there", NULL);
    s.params.guardian_fd = g.fd;
    assert_int_equal(spawned_start(&s), -EPIPE);
    assert_int_equal(s.problem.status, STATUS_OS);
    assert_non_null(strstr(s.problem.text, "guardian"));
    assert_int_equal(guardian_add(&g, &s.tree, 0), -EPIPE);
    spawned_done(&s);
    guardian_done(&g);
    assert_int_equal(count_children(), 0);
}

/* A number that the guardian was told, whose process has died and which names another one now, must
 * be spared. */
static void reused_number_is_spared(void **state)
{
    struct guardian g = GUARDIAN_INIT;
    struct spawned innocent, dead;
    char line[64], *text;
    int held;

    spawned_init(&innocent, "there", NULL);
    assert_int_equal(spawned_start(&innocent), 0);
    spawned_read_line(&innocent, line, sizeof(line));
    spawned_init(&dead, "report", NULL);
    assert_int_equal(spawned_start(&dead), 0);
    held = fcntl(dead.pidfd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(spawned_finish(&dead, &text), 0);
    free(text);

    struct guardian_tree tree = dead.tree;
    tree.pid = innocent.pid;
    tree.start -=
        1000; /* the two may have started within one tick; no number comes round that fast */
    assert_int_equal(guardian_tree_kill(&tree, NULL, NULL), 0);
    assert_int_equal(guardian_start(&g, "test", NULL), 0);
    assert_int_equal(guardian_add(&g, &tree, held), 0);
    shutdown(g.fd, SHUT_RDWR); /* as if we had died */
    assert_true(has_ended_within(g.pidfd, WAIT_MS));
    assert_false(has_ended_within(innocent.pidfd, 0));
    guardian_done(&g);
    close(held);
    spawned_done(&innocent);
    spawned_done(&dead);
}

/* ---- what the supervisor does itself --------------------------------------------------------- */

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

static void tree_kill_finds_all_and_spares_others(void **state)
{
    for (int leader_ends = 0; leader_ends < 2; leader_ends++) {
        struct spawned victim, other;
        struct family f, g;

        begin_family(&other, &g, NULL);
        begin_family(&victim, &f, leader_ends ? "end" : NULL);
        if (leader_ends)
            assert_true(has_ended_within(victim.pidfd, WAIT_MS));

        pid_t known[] = {victim.pid, other.pid, 0};
        kill_until_none(&victim.tree, known);
        expect_gone(&f, "tree_kill");
        for (int i = 0; i < MEMBERS; i++)
            assert_false(has_ended_within(g.pidfds[i], 0));
        /* The leader is left for its owner, the others were reaped. */
        siginfo_t info = {0};
        assert_int_equal(waitid(P_PIDFD, (id_t)victim.pidfd, &info, WEXITED | WNOWAIT), 0);

        kill_until_none(&other.tree, known);
        expect_gone(&g, "tree_kill of the other");
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
    struct family f, g;
    char part[32];

    begin_family(&other, &g, "end");
    begin_family(&victim, &f, "end");
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
    expect_gone(&f, "signal");
    expect_gone(&g, "signal, the other");
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
        struct family f, g;

        begin_family(&one, &f, leader_ends ? "end" : NULL);
        begin_family(&other, &g, NULL);
        if (leader_ends)
            assert_true(has_ended_within(one.pidfd, WAIT_MS));

        pid_t known[] = {one.pid, other.pid, 0};
        struct guardian_tree nameless = other.tree;
        nameless.token[0] = '\0';
        for (int i = 0; i < MEMBERS; i++) {
            assert_int_equal(guardian_tree_has(&one.tree, f.pids[i], is_one_of, known), 1);
            assert_int_equal(guardian_tree_has(&other.tree, g.pids[i], is_one_of, known), 1);
            int r = guardian_tree_has(&one.tree, g.pids[i], is_one_of, known);
            assert_true(r == 0 || (r == -ENOLINK && strcmp(kinds[i], "daemon") == 0));
            if (strcmp(kinds[i], "daemon") == 0)
                await_stray(&nameless, g.pids[i], known);
        }
        assert_int_equal(guardian_tree_has(&one.tree, getpid(), is_one_of, known), 0);
        assert_int_equal(guardian_tree_has(&one.tree, getppid(), is_one_of, known), 0);
        assert_int_equal(guardian_tree_has(&one.tree, INT32_MAX, is_one_of, known), -ESRCH);

        kill_until_none(&one.tree, known);
        kill_until_none(&other.tree, known);
        expect_gone(&f, "one");
        expect_gone(&g, "other");
        spawned_done(&one);
        spawned_done(&other);
        (void)guardian_reap_orphans(is_one_of, &(pid_t){0}, 0, NULL);
        assert_int_equal(count_children(), 0);
    }
}

/* A daemon that bears no token: nobody's, unless the tree claims it. */
static void strays_are_claimed(void **state)
{
    struct spawned s;
    struct family f;

    begin_family(&s, &f, "end");
    assert_true(has_ended_within(s.pidfd, WAIT_MS));

    pid_t known[] = {s.pid, 0};
    struct guardian_tree tree = s.tree;
    (void)strcpy(tree.token, "another");
    tree.claims_strays = true;
    /* Two are in its session; the others bear the sign of a worker, which is not this one. */
    assert_int_equal(guardian_tree_look(&tree, is_one_of, known, NULL), 2);
    kill_until_none(&s.tree, known);
    expect_gone(&f, "family");
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
        tree = (struct guardian_tree){.pid = INT32_MAX, .start = 1, .claims_strays = claims};
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
    assert_ptr_equal(strstr(process_names_text(&names), "test-guardian["), names.text);
    assert_non_null(strstr(names.text, ", ?[2147483647] and 3 more"));
}

/* What no pass looks at, as what forks too fast: here because it is claimed to be known. Its leader
 * has ended: as long as that is not reaped, the group goes as a whole; afterwards its number may be
 * another's. */
static void group_goes_while_its_leader_is_not_reaped(void **state)
{
    for (int reaped = 0; reaped < 2; reaped++) {
        struct spawned s;
        struct family f;

        begin_family(&s, &f, "end");
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
        expect_gone(&f, "group");
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
    struct family f;

    begin_family(&s, &f, "end");
    assert_true(has_ended_within(s.pidfd, WAIT_MS));
    pid_t known[] = {s.pid, 0};
    assert_int_equal(guardian_reap_orphans(is_one_of, known, 0, NULL), MEMBERS - 1);
    while (guardian_reap_orphans(is_one_of, known, SIGKILL, NULL) > 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    expect_gone(&f, "orphans");
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
        cmocka_unit_test(guardian_is_small_alone_and_immune),
        cmocka_unit_test(dead_guardian_is_noticed),
        cmocka_unit_test(reused_number_is_spared),
        cmocka_unit_test(tree_kill_finds_all_and_spares_others),
        cmocka_unit_test(rest_is_named_and_asked),
        cmocka_unit_test(each_process_has_a_tree),
        cmocka_unit_test(strays_are_claimed),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(group_goes_while_its_leader_is_not_reaped),
        cmocka_unit_test(known_children_are_not_read),
        cmocka_unit_test(orphans_are_reaped_and_killed),
        cmocka_unit_test(no_worker_survives),
        cmocka_unit_test(no_moment_is_wrong),
        cmocka_unit_test(orderly_stop_kills_nobody),
    };
    return cmocka_run_group_tests(tests, become_subreaper, NULL);
}
