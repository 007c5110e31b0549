/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Learn what a program does, enforce that, take a line away: through the public interface, with the
 * compiled filter. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <aiotools-sd/policy.h>
#include <aiotools-sd/sandbox.h>

#define NAMES_MAX 512

/* What one run has brought. */
struct outcome {
    int status; /* of the child; 128 + signal */
    unsigned n_denied;
    char denied[NAMES_MAX][32];
    char *learned;
};

static void on_event(ait_explainer *e, const ait_sandbox_event *event, void *userdata)
{
    struct outcome *o = userdata;

    (void)e;
    if (o->n_denied < NAMES_MAX)
        (void)snprintf(o->denied[o->n_denied], sizeof(o->denied[0]), "%s",
                       event->name ? event->name : "?");
    o->n_denied++;
}

static void __attribute__((noreturn)) child(ait_sandbox *sandbox, int socket, int (*work)(void))
{
    const char *step = "";

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ait_sandbox_prepare_child(sandbox, &step) < 0 ||
        ait_sandbox_enter_child(sandbox, socket, &step) < 0) {
        (void)fprintf(stderr, "sandbox: %s\n", step);
        _exit(99);
    }
    _exit(work());
}

/* Until the child has ended. */
static int serve(ait_explainer *e, pid_t pid)
{
    int status, pidfd = (int)syscall(SYS_pidfd_open, pid, 0), r;
    struct pollfd fds[] = {{.fd = ait_explainer_fd(e), .events = POLLIN},
                           {.fd = pidfd, .events = POLLIN}};

    do {
        assert_true(poll(fds, 2, 60000) > 0);
        while ((r = ait_explainer_process(e)) > 0)
            ;
    } while (r != -EPIPE && !fds[1].revents);
    (void)close(pidfd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void save(const ait_explainer *e, struct outcome *o)
{
    size_t size;
    FILE *out = open_memstream(&o->learned, &size);

    assert_non_null(out);
    assert_int_equal(ait_explainer_write_policy(e, out, "the \ntest", 0), 0);
    (void)fclose(out);
}

static void run(ait_policy *policy, ait_sandbox_deny deny, int (*work)(void), struct outcome *o)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox *sandbox = NULL;
    ait_explainer *e = NULL;
    int pair[2];

    *o = (struct outcome){0};
    int r = ait_sandbox_new(
        &sandbox,
        AIT_SANDBOX_OPTIONS(.policy = policy, .deny = deny, .flags = AIT_SANDBOX_KEEP_CAPABILITIES),
        &problem);
    if (r < 0)
        print_message("%s:%u: %s\n", problem.file, problem.line, problem.message);
    assert_int_equal(r, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        child(sandbox, pair[1], work);
    }
    (void)close(pair[1]);
    r = ait_explainer_new(&e, sandbox, pair[0], deny == AIT_SANDBOX_DENY_LEARN ? NULL : on_event,
                          o);
    (void)close(pair[0]);
    assert_int_equal(r, 0);
    o->status = serve(e, pid);
    if (deny == AIT_SANDBOX_DENY_LEARN)
        save(e, o);
    ait_explainer_free(e);
    ait_sandbox_unref(sandbox);
}

static void enforce(const char *text, int (*work)(void), struct outcome *o)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_policy *policy = NULL;

    int r = ait_policy_from_text(&policy, "learned", text, strlen(text), &problem);
    if (r < 0)
        print_message("learned:%u:%u: %s\n%s", problem.line, problem.column, problem.message, text);
    assert_int_equal(r, 0);
    run(policy, AIT_SANDBOX_DENY_EXPLAIN, work, o);
    ait_policy_unref(policy);
}

/* ---- programs -------------------------------------------------------------------------------- */

static void *thread(void *p)
{
    (void)p;
    (void)sched_yield();
    return NULL;
}

static int use_threads(void)
{
    pthread_t t;

    return pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0 ? 0 : 1;
}

static int use_process(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(7);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7 ? 0 : 2;
}

static int use_files(void)
{
    char directory[] = "/tmp/test-learn-XXXXXX";
    int failed = !mkdtemp(directory);

    failed |= rmdir(directory) < 0;
    int fd = memfd_create("x", MFD_CLOEXEC);
    failed |= fd < 0 || ftruncate(fd, 4096) < 0 || pwrite(fd, "x", 1, 0) != 1;
    (void)close(fd);
    return failed ? 4 : 0;
}

static int use_sockets(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
    /* The last one would wait for ever, had the one before it failed. */
    int failed = fd < 0 || listen(fd, 1) < 0 ||
                 setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(n)) < 0 ||
                 ioctl(fd, FIONBIO, &(int){1}) < 0 || accept4(fd, NULL, NULL, 0) >= 0 ||
                 errno != EAGAIN;

    (void)close(fd);
    return failed ? 8 : 0;
}

static int small_program(void)
{
    return use_threads() | use_process() | use_files() | use_sockets() |
           (personality(0xffffffff) == -1 ? 16 : 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* The name at the beginning of a line that allows something beyond the base, or makes it absent;
 * false: it is another line. */
static bool learned_name(const char *line, char name[32])
{
    size_t n = strcspn(line, " :\n");

    if (n == 0 || n > 31 || line[0] == '#' ||
        strstr(line, "restriction kept") == strpbrk(line, "#") + 2)
        return false;
    (void)snprintf(name, 32, "%.*s", (int)n, line);
    return strcmp(name, "policy") != 0 && strcmp(name, "include") != 0;
}

static bool is_denied(const struct outcome *o, const char *name)
{
    for (unsigned i = 0; i < o->n_denied && i < NAMES_MAX; i++)
        if (strcmp(o->denied[i], name) == 0)
            return true;
    return false;
}

static char *without(const char *text, const char *line)
{
    size_t head = (size_t)(line - text), skip = strcspn(line, "\n") + 1;
    char *copy = malloc(strlen(text) + 1);

    assert_non_null(copy);
    memcpy(copy, text, head);
    strcpy(copy + head, line + skip);
    return copy;
}

static unsigned remove_each(const char *text, int (*work)(void))
{
    static struct outcome o;
    char name[32];
    unsigned n = 0;

    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        if (!learned_name(line, name))
            continue;
        char *rest = without(text, line);
        enforce(rest, work, &o);
        if (!is_denied(&o, name))
            print_message("%.*s: removed, and nothing denied\n", (int)strcspn(line, "\n"), line);
        assert_true(is_denied(&o, name));
        free(rest);
        n++;
    }
    return n;
}

static void learn_then_enforce(void **state)
{
    static struct outcome learned, enforced;

    (void)state;
    assert_int_equal(small_program(), 0);
    run(NULL, AIT_SANDBOX_DENY_LEARN, small_program, &learned);
    assert_int_equal(learned.status, 0);
    if (getenv("SHOW"))
        (void)fputs(learned.learned, stderr);
    enforce(learned.learned, small_program, &enforced);
    for (unsigned i = 0; i < enforced.n_denied; i++)
        print_message("denied: %s\n", enforced.denied[i]);
    assert_int_equal(enforced.n_denied, 0);
    assert_int_equal(enforced.status, 0);
    unsigned n = remove_each(learned.learned, small_program);
    print_message("%u lines, each of them missed\n", n);
    assert_true(n >= 10);
    free(learned.learned);
}

/* A program that needs what the service preset restricts. */
static int needs_more(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    (void)syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0);
    (void)ioctl(-1, TIOCSTI, "x");
    return fd >= 0 || errno != ENOSYS ? 0 : 1;
}

static void what_it_needed_is_open_and_no_more(void **state)
{
    static struct outcome learned, enforced;
    ait_policy *policy = NULL;
    const uint64_t tiocsti[6] = {0, TIOCSTI}, tioclinux[6] = {0, TIOCLINUX},
                   raw[6] = {AF_INET, SOCK_RAW};

    (void)state;
    run(NULL, AIT_SANDBOX_DENY_LEARN, needs_more, &learned);
    if (getenv("SHOW"))
        (void)fputs(learned.learned, stderr);
    enforce(learned.learned, needs_more, &enforced);
    assert_int_equal(enforced.n_denied, 0);
    assert_int_equal(
        ait_policy_from_text(&policy, "learned", learned.learned, strlen(learned.learned), NULL),
        0);
    assert_int_equal(ait_policy_evaluate(policy, SYS_ioctl, tiocsti).kind, AIT_POLICY_ALLOW);
    assert_int_equal(ait_policy_evaluate(policy, SYS_ioctl, tioclinux).kind, AIT_POLICY_ERRNO);
    assert_int_equal(ait_policy_evaluate(policy, SYS_socket, raw).kind, AIT_POLICY_ERRNO);
    ait_policy_unref(policy);
    assert_true(remove_each(learned.learned, needs_more) >= 3);
    free(learned.learned);
}

static void only_learning_can_be_written(void **state)
{
    (void)state;
    assert_int_equal(ait_explainer_write_policy(NULL, stdout, NULL, 0), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learn_then_enforce),
        cmocka_unit_test(what_it_needed_is_open_and_no_more),
        cmocka_unit_test(only_learning_can_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
