/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/parse.h"
#include "kin.h"
#include "proc.h"
#include "process/children.h"
#include "process/guardian.h"
#include "process/message.h"
#include "process/process-tree.h"

/* A server in small: the test's child becomes the guardian, and its child runs this. */
struct stage {
    const char *name;
    void (*run)(struct guardian *g, int out); /* the supervisor; its return is status 0 */
    bool ordinary_user, worker_user, leader_ends;
};

enum { FAMILIES = 2 };

/* What the supervisor tells the test. */
struct news {
    struct kin families[FAMILIES];
    pid_t supervisor;
};

static const struct stage *on_stage;

static void say(int out, const void *data, size_t n)
{
    if (write(out, data, n) != (ssize_t)n)
        _exit(8);
}

static void become_nobody(void)
{
    if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
        setresuid(65534, 65534, 65534) < 0)
        _exit(2);
    /* As after an exec. */
    (void)prctl(PR_SET_DUMPABLE, 1);
}

static void __attribute__((noreturn)) be_a_server(int out)
{
    struct guardian g = GUARDIAN_INIT;
    struct problem problem;
    sigset_t set;

    (void)sigfillset(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    if (on_stage->ordinary_user)
        become_nobody();
    /* Its last words are not the test's. */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, STDERR_FILENO);
    (void)close(null);
    if (guardian_begin(&g, "test", &problem) < 0)
        _exit(1);
    on_stage->run(&g, out);
    guardian_done(&g);
    _exit(0);
}

/* The pid of the guardian; *ret_in is the read end of what the supervisor says. */
static pid_t start_server(const struct stage *stage, int *ret_in)
{
    int out[2];

    on_stage = stage;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_a_server(out[1]);
    close(out[1]);
    *ret_in = out[0];
    return pid;
}

static void hear(int in, void *data, size_t n)
{
    struct pollfd p = {.fd = in, .events = POLLIN};

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_int_equal(read(in, data, n), n);
}

static int status_of(pid_t guardian)
{
    int status = -1, pidfd = (int)syscall(SYS_pidfd_open, guardian, 0);

    assert_true(has_ended_within(pidfd, WAIT_MS));
    close(pidfd);
    assert_int_equal(waitpid(guardian, &status, 0), guardian);
    return status;
}

static void reap_everything(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* ---- the death of one of them ---------------------------------------------------------------- */

/* As the loop of the server does. */
static void wait_for_the_guardian(struct guardian *g)
{
    (void)poll(&(struct pollfd){.fd = g->pidfd, .events = POLLIN}, 1, -1);
    guardian_mourn();
    while (children_end(NULL, NULL, 4000, NULL) > 0)
        ;
}

static void run_families(struct guardian *g, int out)
{
    static gid_t groups[] = {65534};
    static struct account nobody = {.uid = 65534, .gid = 65534, .groups = groups, .n_groups = 1};
    static struct spawned workers[FAMILIES];
    struct news news = {.supervisor = getpid()};
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 0; i < FAMILIES; i++) {
        spawned_init(&workers[i], "family", NULL);
        workers[i].params.account = on_stage->worker_user ? &nobody : NULL;
        workers[i].argv[2] = on_stage->leader_ends ? "end" : NULL;
        if (kin_start(&workers[i], &news.families[i]) < 0)
            _exit(3);
    }
    say(out, &news, sizeof(news));
    wait_for_the_guardian(g);
    _exit(71);
}

enum who { SUPERVISOR, STOPPED_SUPERVISOR, GUARDIAN, GUARDIAN_OF_STOPPED };

static void kill_one(const struct stage *stage, enum who who, int signo)
{
    struct news news;
    int in, status;
    pid_t guardian = start_server(stage, &in);

    hear(in, &news, sizeof(news));
    for (int i = 0; i < FAMILIES; i++)
        kin_hold(&news.families[i]);
    for (int i = 1; i < MEMBERS; i++)
        assert_false(has_ended_within(news.families[0].pidfds[i], 0));
    if (who == STOPPED_SUPERVISOR || who == GUARDIAN_OF_STOPPED)
        assert_int_equal(kill(news.supervisor, SIGSTOP), 0);
    int supervisor = (int)syscall(SYS_pidfd_open, news.supervisor, 0);
    assert_int_equal(kill(who < GUARDIAN ? news.supervisor : guardian, signo), 0);
    status = status_of(guardian);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signo);
    /* All before the end of the guardian, where it was that which has killed. */
    if (who < GUARDIAN)
        for (int i = 0; i < FAMILIES * MEMBERS; i++)
            assert_true(has_ended_within(news.families[i / MEMBERS].pidfds[i % MEMBERS], 0));
    assert_true(has_ended_within(supervisor, WAIT_MS));
    for (int i = 0; i < FAMILIES; i++)
        kin_expect_gone(&news.families[i], stage->name);
    close(supervisor);
    close(in);
    reap_everything();
    assert_int_equal(count_children(), 0);
}

static void nothing_survives(void **state)
{
    static const struct stage stages[] = {
        {"plain", run_families, false, false, false},
        {"leader ended", run_families, false, false, true},
        {"ordinary user", run_families, true, false, false},
        {"ordinary user, leader ended", run_families, true, false, true},
        {"--user", run_families, false, true, false},
        {"--user, leader ended", run_families, false, true, true},
    };
    const char *why_not = spawned_why_not_as_nobody();

    for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
        if (why_not && (stages[i].ordinary_user || stages[i].worker_user)) {
            print_message("# SKIP: %s: %s\n", stages[i].name, why_not);
            continue;
        }
        for (enum who who = SUPERVISOR; who <= GUARDIAN_OF_STOPPED; who++)
            kill_one(&stages[i], who, SIGKILL);
    }
    kill_one(&stages[0], SUPERVISOR, SIGALRM);
    kill_one(&stages[0], SUPERVISOR, SIGUSR1);
}

/* ---- chains ---------------------------------------------------------------------------------- */

enum { CHAINS = 16 };

/* Each generation is in a session of its own, forks the next one and ends. */
static void __attribute__((noreturn)) be_a_chain(void)
{
    for (;;) {
        (void)setsid();
        pid_t pid = fork();
        if (pid != 0)
            _exit(pid < 0); /* where there is no room, the chain has ended */
    }
}

static void run_chains(struct guardian *g, int out)
{
    pid_t self = getpid();

    for (int i = 0; i < CHAINS; i++)
        if (fork() == 0)
            be_a_chain();
    /* Some generations. */
    for (int n = 0; n < 200; n++)
        if (waitpid(-1, NULL, 0) <= 0)
            _exit(4);
    say(out, &self, sizeof(self));
    wait_for_the_guardian(g);
    _exit(71);
}

static void chains_are_outrun(void **state)
{
    static const struct stage stage = {.name = "chains", .run = run_chains};

    for (int guardian_dies = 0; guardian_dies < 2; guardian_dies++) {
        pid_t supervisor;
        int in;
        pid_t guardian = start_server(&stage, &in);

        hear(in, &supervisor, sizeof(supervisor));
        int pidfd = (int)syscall(SYS_pidfd_open, supervisor, 0);
        uint64_t begun = children_now();
        assert_int_equal(kill(guardian_dies ? guardian : supervisor, SIGKILL), 0);
        (void)status_of(guardian);
        assert_true(has_ended_within(pidfd, WAIT_MS));
        print_message("# %d chains: %llu ms\n", CHAINS,
                      (unsigned long long)(children_now() - begun) / 1000);
        close(pidfd);
        close(in);
        reap_everything();
        assert_int_equal(count_children(), 0); /* what had escaped would have come to us */
    }
}

/* ---- while both live ------------------------------------------------------------------------- */

static void run_signals(struct guardian *g, int out)
{
    sigset_t set;

    say(out, &(pid_t){getpid()}, sizeof(pid_t));
    (void)sigfillset(&set);
    for (;;) {
        siginfo_t info;
        int signo = sigwaitinfo(&set, &info);

        say(out, &signo, sizeof(signo));
        if (signo == SIGTERM && info.si_pid == g->pid)
            _exit(42);
    }
}

static void signals_are_passed_on(void **state)
{
    static const struct stage stage = {.name = "signals", .run = run_signals};
    static const int passed[] = {SIGINT,  SIGQUIT, SIGHUP,  SIGTTIN,
                                 SIGTTOU, SIGUSR1, SIGUSR2, SIGABRT};
    const int kept[] = {SIGPIPE, SIGALRM, SIGWINCH, SIGTSTP, SIGCONT, SIGRTMIN + 3};
    int in, signo;
    pid_t supervisor;
    pid_t guardian = start_server(&stage, &in);

    hear(in, &supervisor, sizeof(supervisor));
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        assert_int_equal(kill(guardian, kept[i]), 0);
    for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++) {
        assert_int_equal(kill(guardian, passed[i]), 0);
        hear(in, &signo, sizeof(signo));
        assert_int_equal(signo, passed[i]);
    }
    assert_int_not_equal(getsid(guardian), getsid(supervisor));
    assert_int_equal(getsid(supervisor), supervisor);
    assert_int_equal(kill(guardian, SIGTERM), 0);
    assert_int_equal(WEXITSTATUS(status_of(guardian)), 42);
    close(in);
}

static void run_until_told(struct guardian *g, int out)
{
    static int held[2];
    sigset_t set;
    int signo;

    /* What is unknown comes from a newer supervisor. */
    if (guardian_send(g->fd, GUARDIAN_N_KINDS + 7, "what?", (int[]){out}, 1) < 0 ||
        guardian_set_name(g, "another") < 0 || pipe2(held, O_CLOEXEC) < 0 ||
        guardian_hold(g, held[1]) < 0)
        _exit(5);
    close(held[1]);
    say(out, &(pid_t){getpid()}, sizeof(pid_t));
    /* The guardian holds the other end: no end of file. */
    if (poll(&(struct pollfd){.fd = held[0], .events = POLLIN}, 1, 200) != 0)
        _exit(6);
    say(out, "h", 1);
    (void)sigfillset(&set);
    (void)sigwait(&set, &signo);
    if (guardian_hold(g, -1) < 0 ||
        poll(&(struct pollfd){.fd = held[0], .events = POLLIN}, 1, WAIT_MS) != 1)
        _exit(7);
    say(out, "r", 1);
    (void)sigwait(&set, &signo);
}

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

static void guardian_is_small_and_holds_what_it_is_told_to(void **state)
{
    static const struct stage stage = {.name = "until told", .run = run_until_told};
    char byte, path[64], title[256] = "";
    pid_t supervisor;
    int in;
    pid_t guardian = start_server(&stage, &in);

    hear(in, &supervisor, sizeof(supervisor));
    hear(in, &byte, 1);
    if (geteuid() == 0) /* it is not dumpable */
        assert_int_equal(count_fds_of(guardian), 4);
    assert_int_equal(kill(guardian, SIGUSR1), 0);
    hear(in, &byte, 1);
    if (geteuid() == 0)
        assert_int_equal(count_fds_of(guardian), 3);
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)guardian);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(title, sizeof(title), f));
    fclose(f);
    assert_memory_equal(title, "aiotools-sd: guardian of another",
                        strlen(title) < 32 ? strlen(title) : 32);
    print_message("# guardian: VmRSS %ld kB, RssAnon %ld kB\n", read_status_kb(guardian, "VmRSS"),
                  read_status_kb(guardian, "RssAnon"));
    assert_int_equal(kill(guardian, SIGTERM), 0);
    assert_int_equal(status_of(guardian), 0);
    close(in);
    assert_int_equal(count_children(), 0);
}

/* Those that were there before it became a guardian. */
static void strangers_are_spared(void **state)
{
    static const struct stage stage = {.name = "stranger", .run = run_families};
    int out[2], status;
    struct news news;
    pid_t stranger;

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t guardian = fork();
    if (guardian == 0) {
        stranger = fork();
        if (stranger == 0)
            for (;;)
                pause();
        say(out[1], &stranger, sizeof(stranger));
        on_stage = &stage;
        be_a_server(out[1]);
    }
    hear(out[0], &stranger, sizeof(stranger));
    hear(out[0], &news, sizeof(news));
    for (int i = 0; i < FAMILIES; i++)
        kin_hold(&news.families[i]);
    assert_int_equal(kill(news.supervisor, SIGKILL), 0);
    status = status_of(guardian);
    assert_true(WIFSIGNALED(status));
    for (int i = 0; i < FAMILIES; i++)
        kin_expect_gone(&news.families[i], "beside a stranger");
    assert_int_equal(kill(stranger, SIGKILL), 0);
    assert_int_equal(waitpid(stranger, &status, 0), stranger);
    close(out[0]);
    close(out[1]);
    reap_everything();
}

/* ---- the variables of the service manager ---------------------------------------------------- */

static void run_variables(struct guardian *g, int out)
{
    const char *listen = getenv("LISTEN_PID"), *watchdog = getenv("WATCHDOG_PID");
    pid_t pids[] = {getpid(), listen ? atoi(listen) : 0, watchdog ? atoi(watchdog) : 0};

    say(out, pids, sizeof(pids));
}

static void variables_name_the_supervisor(void **state)
{
    static const struct stage stage = {.name = "variables", .run = run_variables};

    for (int ours = 0; ours < 2; ours++) {
        pid_t pids[3];
        int out[2];

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        pid_t guardian = fork();
        if (guardian == 0) {
            char text[16];
            (void)snprintf(text, sizeof(text), "%d", ours ? (int)getpid() : 1);
            (void)setenv("LISTEN_PID", text, 1);
            (void)setenv("WATCHDOG_PID", text, 1);
            on_stage = &stage;
            be_a_server(out[1]);
        }
        hear(out[0], pids, sizeof(pids));
        assert_int_equal(pids[1], ours ? pids[0] : 1);
        assert_int_equal(pids[2], ours ? pids[0] : 1);
        assert_int_equal(status_of(guardian), 0);
        close(out[0]);
        close(out[1]);
    }
}

/* ---- what is sent on to the service manager -------------------------------------------------- */

enum { MANY = 60 };

/* More than the manager's queue takes, and the end at once. */
static void run_notify(struct guardian *g, int out)
{
    char text[32];
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        _exit(5);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof(text), "STATUS=%d", i);
        if (guardian_notify(g, text, NULL, 0) < 0)
            _exit(6);
    }
    if (guardian_notify(g, "BARRIER=1", &ends[1], 1) < 0)
        _exit(7);
    (void)close(ends[1]);
    say(out, "x", 1);
    /* The manager closes what it got when it has read all before. */
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    if (poll(&p, 1, WAIT_MS) != 1 || guardian_notify(g, "STOPPING=1", NULL, 0) < 0)
        _exit(8);
}

static int open_manager(char *path, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

    (void)snprintf(path, size, "@ait-test-guardian-%d", (int)getpid());
    memcpy(address.sun_path, path, strlen(path));
    address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
                     0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
    return fd;
}

/* The sender, or -1 in time; a descriptor that came with it is closed. */
static pid_t take_notification(int fd, char *text, size_t size)
{
    union {
        struct cmsghdr alignment;
        char room[256];
    } control;
    struct iovec iov = {text, size - 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = 256};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    pid_t sender = -1;
    int passed;

    if (poll(&p, 1, WAIT_MS) != 1)
        return -1;
    ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    assert_true(n >= 0);
    text[n] = '\0';
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_type == SCM_CREDENTIALS)
            sender = ((struct ucred *)CMSG_DATA(c))->pid;
        if (c->cmsg_type == SCM_RIGHTS) {
            memcpy(&passed, CMSG_DATA(c), sizeof(passed));
            close(passed);
        }
    }
    return sender;
}

static void notifications_come_from_the_guardian_in_order(void **state)
{
    static const struct stage stage = {.name = "notify", .run = run_notify};
    char path[64], text[64], wanted[64], byte;
    int manager = open_manager(path, sizeof(path)), in;

    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    pid_t guardian = start_server(&stage, &in);
    hear(in, &byte, 1);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(wanted, sizeof(wanted), "STATUS=%d", i);
        assert_int_equal(take_notification(manager, text, sizeof(text)), guardian);
        assert_string_equal(text, wanted);
    }
    assert_int_equal(take_notification(manager, text, sizeof(text)), guardian);
    assert_string_equal(text, "BARRIER=1");
    /* Before its end. */
    assert_int_equal(status_of(guardian), 0);
    assert_true(poll(&(struct pollfd){.fd = manager, .events = POLLIN}, 1, 0) == 1);
    assert_int_equal(take_notification(manager, text, sizeof(text)), guardian);
    assert_string_equal(text, "STOPPING=1");
    close(manager);
    close(in);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
}

static void run_flood(struct guardian *g, int out)
{
    char text[1024];
    int r = 0;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 100000 && r == 0; i++)
        r = guardian_notify(g, text, NULL, 0);
    say(out, &r, sizeof(r));
}

/* Nobody waits for a manager that does not read: neither the supervisor nor, for long, the end. */
static void deaf_manager_is_not_waited_for(void **state)
{
    static const struct stage stage = {.name = "flood", .run = run_flood};
    char path[64];
    int manager = open_manager(path, sizeof(path)), in, r;

    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    pid_t guardian = start_server(&stage, &in);
    hear(in, &r, sizeof(r));
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(status_of(guardian), 0);
    close(manager);
    close(in);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
}

/* ---- killed at any moment -------------------------------------------------------------------- */

static void run_without_end(struct guardian *g, int out)
{
    static struct spawned s;

    say(out, &(pid_t){getpid()}, sizeof(pid_t));
    for (int i = 0; i < 50 && !guardian_is_dead(g); i++) {
        spawned_init(&s, i % 2 ? "there" : "family", NULL);
        s.argv[2] = i % 4 ? NULL : "end";
        if (spawned_start(&s) < 0)
            _exit(2);
    }
    wait_for_the_guardian(g);
    _exit(71);
}

static void no_moment_is_wrong(void **state)
{
    static const struct stage stage = {.name = "without end", .run = run_without_end};

    srandom(4711);
    for (int i = 0; i < 24; i++) {
        pid_t supervisor;
        int in;
        pid_t guardian = start_server(&stage, &in);

        hear(in, &supervisor, sizeof(supervisor));
        int pidfd = (int)syscall(SYS_pidfd_open, supervisor, 0);
        nanosleep(&(struct timespec){.tv_nsec = random() % 40000 * 1000}, NULL);
        assert_int_equal(kill(i % 2 ? guardian : supervisor, SIGKILL), 0);
        (void)status_of(guardian);
        assert_true(has_ended_within(pidfd, WAIT_MS));
        close(pidfd);
        close(in);
        reap_everything();
        assert_int_equal(count_children(), 0);
    }
}

/* ---- set-up ---------------------------------------------------------------------------------- */

/* What a server leaves behind comes to us, and is found here. */
static int become_subreaper(void **state)
{
    return guardian_become_subreaper();
}

/* A supervisor that hangs when its guardian dies is ended by the alarm that this sets. */
static void hang(struct guardian *g, int out)
{
    const struct news news = {.supervisor = getpid()};

    guardian_mourning = 1;
    say(out, &news, sizeof(news));
    for (volatile bool forever = true; forever;)
        ;
}

static void hanging_supervisor_is_ended(void **state)
{
    const struct stage stage = {"hangs", hang};
    struct news news;
    int in;
    pid_t guardian = start_server(&stage, &in);

    hear(in, &news, sizeof(news));
    int pidfd = (int)syscall(SYS_pidfd_open, news.supervisor, 0);
    assert_true(pidfd >= 0);
    assert_int_equal(kill(guardian, SIGKILL), 0);
    assert_true(has_ended_within(pidfd, WAIT_MS));
    close(pidfd);
    close(in);
    (void)status_of(guardian);
}

int main(int argc, char **argv)
{
    spawned_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(guardian_is_small_and_holds_what_it_is_told_to),
        cmocka_unit_test(strangers_are_spared),
        cmocka_unit_test(variables_name_the_supervisor),
        cmocka_unit_test(notifications_come_from_the_guardian_in_order),
        cmocka_unit_test(deaf_manager_is_not_waited_for),
        cmocka_unit_test(hanging_supervisor_is_ended),
        cmocka_unit_test(nothing_survives),
        cmocka_unit_test(chains_are_outrun),
        cmocka_unit_test(no_moment_is_wrong),
    };
    return cmocka_run_group_tests(tests, become_subreaper, NULL);
}
