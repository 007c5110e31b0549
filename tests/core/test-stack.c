/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stacks: classes, slabs, both kinds of guard, the cache and its trim, and the last words of a task
 * that overflows. */

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "context.h"
#include "state.h"
#include "stack.h"

#define PAGE ((size_t)4096)

/* ---- white box ------------------------------------------------------------------------------- */

static void test_classes(void **unused)
{
    assert_int_equal(stack_class_of(1), 0);
    assert_int_equal(stack_class_of(STACK_CLASS_BASE), 0);
    assert_int_equal(stack_class_of(STACK_CLASS_BASE + 1), 1);
    assert_int_equal(stack_class_of(STACK_DEFAULT_SIZE), 1);
    assert_int_equal(stack_class_of(stack_class_size(STACK_CLASSES - 1)), STACK_CLASSES - 1);
    assert_int_equal(stack_class_of(stack_class_size(STACK_CLASSES - 1) + 1), -EINVAL);
    assert_int_equal(stack_class_of(SIZE_MAX), -EINVAL);
}

/* Whether the kernel refuses to read the page. */
static bool faults(const void *page)
{
    int fds[2];
    bool r;

    assert_int_equal(pipe(fds), 0);
    r = write(fds[1], page, 1) < 0 && errno == EFAULT;
    (void)close(fds[0]);
    (void)close(fds[1]);
    return r;
}

static void check_slot(const struct stacks *s, char *object, unsigned class)
{
    char *bottom = stack_bottom(object, class), *slot = bottom - STACK_GUARD;

    assert_int_equal((uintptr_t)object % 16, 0);
    assert_int_equal((uintptr_t)bottom % PAGE, 0);
    assert_true(object + s->object_size <= slot + stack_class_size(class));
    /* The object and the first frames share one page. */
    assert_true(object >= slot + stack_class_size(class) - PAGE + 64);
    assert_true(faults(slot));
    assert_true(faults(bottom - 1));
    assert_false(faults(bottom));
    bottom[0] = 1;
    memset(object, 0xa5, s->object_size);
}

static void check_guards(struct stacks *s, uint8_t guard)
{
    void *objects[200];
    int r = 0;

    for (unsigned class = 0; class < 4; class ++) {
        for (unsigned i = 0; i < ELEMENTS(objects); i++) {
            objects[i] = stack_alloc(s, class, &r);
            assert_non_null(objects[i]);
            check_slot(s, objects[i], class);
            assert_ptr_equal(stacks_find_guard(s, (char *)stack_bottom(objects[i], class) - 1),
                             objects[i]);
            assert_ptr_equal(
                stacks_find_guard(s, (char *)stack_bottom(objects[i], class) - STACK_GUARD),
                objects[i]);
            assert_null(stacks_find_guard(s, stack_bottom(objects[i], class)));
        }
        assert_int_equal(s->guard, guard);
        for (unsigned i = 0; i < ELEMENTS(objects); i++)
            stack_free(s, class, objects[i]);
    }
    assert_null(stacks_find_guard(s, &r));
    assert_null(stacks_find_guard(s, NULL));
}

static void test_guards_mprotect(void **unused)
{
    struct stacks s;

    assert_int_equal(stacks_init(&s, sizeof(struct ait_task)), 0);
    s.guard = 2; /* as where the advice was refused */
    check_guards(&s, 2);
    stacks_done(&s);
}

static void test_guards_native(void **unused)
{
    struct stacks s;
    void *object;
    int r = 0;

    assert_int_equal(stacks_init(&s, sizeof(struct ait_task)), 0);
    object = stack_alloc(&s, 0, &r);
    assert_non_null(object);
    stack_free(&s, 0, object);
    print_message("guards by %s\n", s.guard == 1 ? "advice" : "mprotect");
    check_guards(&s, s.guard);
    stacks_done(&s);
}

/* Those of later slabs, which are made many at a time where the kernel does that. */
static void test_guards_of_many(void **unused)
{
    enum { MANY = 2048 };
    static char *objects[MANY];
    struct stacks s;
    int r = 0;

    assert_int_equal(stacks_init(&s, sizeof(struct ait_task)), 0);
    for (unsigned i = 0; i < MANY; i++) {
        objects[i] = stack_alloc(&s, 0, &r);
        assert_non_null(objects[i]);
    }
    print_message("guards of many: %s\n", s.guard_many == 1 ? "at once" : "one by one");
    for (unsigned i = 0; i < MANY; i += i < MANY - 256 ? 37 : 1)
        check_slot(&s, objects[i], 0);
    stacks_done(&s);
}

/* Last in, first out; the array always has room; slots do not overlap. */
static void test_cache(void **unused)
{
    enum { MANY = 500 };
    static char *objects[MANY];
    struct stacks s;
    char *last;
    int r = 0;

    assert_int_equal(stacks_init(&s, 512), 0);
    for (unsigned i = 0; i < MANY; i++) {
        objects[i] = stack_alloc(&s, 1, &r);
        assert_non_null(objects[i]);
        *(unsigned *)objects[i] = i;
        *(unsigned *)stack_bottom(objects[i], 1) = i;
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(*(unsigned *)objects[i], i);
        assert_int_equal(*(unsigned *)stack_bottom(objects[i], 1), i);
        stack_free(&s, 1, objects[i]);
    }
    assert_int_equal(s.classes[1].n_free, s.classes[1].n_slots);
    last = stack_alloc(&s, 1, &r);
    assert_ptr_equal(last, objects[MANY - 1]);
    stack_free(&s, 1, last);
    stacks_done(&s);
    assert_null(s.slabs);
}

static bool resident(void *page)
{
    unsigned char vec = 0;

    assert_int_equal(mincore(page, PAGE, &vec), 0);
    return vec & 1;
}

static char *page_of(void *object)
{
    return (char *)((uintptr_t)object & ~(PAGE - 1));
}

/* What lay unused between two trims is given back; what was in use is not, and all of it works
 * afterwards. */
static void test_trim(void **unused)
{
    enum { MANY = 128, USED = 16 };
    void *objects[MANY];
    unsigned n = 0;
    struct stacks s;
    int r = 0;

    assert_int_equal(stacks_init(&s, 512), 0);
    for (unsigned i = 0; i < MANY; i++) {
        objects[i] = stack_alloc(&s, 1, &r);
        assert_non_null(objects[i]);
        memset(objects[i], 1, 512);
        assert_true(resident(page_of(objects[i])));
    }
    for (unsigned i = 0; i < MANY; i++)
        stack_free(&s, 1, objects[i]);
    assert_true(stacks_worth_trimming(&s));
    stacks_trim(&s); /* from here on who is not used ... */
    for (unsigned i = 0; i < USED; i++)
        objects[i] = stack_alloc(&s, 1, &r);
    for (unsigned i = USED; i-- > 0;)
        stack_free(&s, 1, objects[i]);
    stacks_trim(&s); /* ... is given back here */
    assert_int_equal(s.classes[1].n_free - s.classes[1].n_clean, USED);
    for (unsigned i = 0; i < s.classes[1].n_slots; i++)
        n += resident(page_of(s.classes[1].free[i]));
    assert_int_equal(n, USED);
    for (unsigned i = 0; i < MANY; i++) {
        objects[i] = stack_alloc(&s, 1, &r);
        assert_non_null(objects[i]);
        check_slot(&s, objects[i], 1);
    }
    stacks_done(&s);
}

/* ---- overflow -------------------------------------------------------------------------------- */

static __attribute__((noinline)) unsigned fall(unsigned n)
{
    volatile char frame[1024];

    frame[n % sizeof(frame)] = (char)n;
    return n == UINT32_MAX ? 0 : fall(n + 1) + (unsigned char)frame[0];
}

static int fall_main(void *userdata)
{
    return fall(0) > 0;
}

static int deep_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    if (ait_task_spawn(
            &task, fall_main, NULL,
            AIT_TASK_OPTIONS(.name = "the deep one", .stack_size = *(size_t *)userdata)) < 0)
        return -EIO;
    return ait_task_wait(task, NULL);
}

static int named_main(void *userdata)
{
    return ait_task_set_name(ait_task_current(), "a new name") < 0 ? -EIO : (int)fall(0);
}

/* Runs fn as main task in a child process; its stderr goes to text. Returns its wait status. */
static int run_forked(ait_task_fn fn, void *userdata, char *text, size_t size)
{
    int fds[2], status = 0;
    size_t n = 0;
    ssize_t k;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would have its own last words */
        _exit(ait_run(fn, userdata, 0) == 0 ? 0 : 1);
    }
    (void)close(fds[1]);
    while (n + 1 < size && (k = read(fds[0], text + n, size - 1 - n)) > 0)
        n += (size_t)k;
    text[n] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_overflow(void **unused)
{
    static const struct {
        size_t stack_size;
        const char *size;
    } rows[] = {{0, "256 KiB"}, {1, "128 KiB"}, {1024 * 1024, "1024 KiB"}};
    char text[4096];

    for (unsigned i = 0; i < ELEMENTS(rows); i++) {
        size_t stack_size = rows[i].stack_size;
        int status = run_forked(deep_main, &stack_size, text, sizeof(text));

        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
        assert_non_null(strstr(text, "stack overflow in task 'the deep one'"));
        assert_non_null(strstr(text, rows[i].size));
    }
    assert_true(WIFSIGNALED(run_forked(named_main, NULL, text, sizeof(text))));
    assert_non_null(strstr(text, "stack overflow in task 'a new name'"));
}

static int other_fault_main(void *userdata)
{
    *(volatile int *)userdata = 1;
    return 0;
}

/* Other faults are not mistaken for one, and still end the process. */
static void test_other_fault(void **unused)
{
    char text[4096];
    int status = run_forked(other_fault_main, (void *)16, text, sizeof(text));

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_null(strstr(text, "stack overflow"));
}

static int kill_main(void *userdata)
{
    (void)kill(getpid(), SIGSEGV);
    return 0;
}

static int far_main(void *userdata)
{
    char *guard = (char *)stack_bottom(ait_task_current(), STACK_DEFAULT_CLASS) - 1;

    *(volatile char *)(guard + STACK_DEFAULT_SIZE) = 1; /* of the slot above */
    return 0;
}

/* A frame that has stepped over its own guard: who did it is named, not whose guard it was. */
static void test_other_guard(void **unused)
{
    char text[4096];
    int status = run_forked(far_main, NULL, text, sizeof(text));

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_non_null(strstr(text, "stack overflow in task 'main', or a wild pointer"));
}

/* A SIGSEGV that somebody sent has no instruction that would fault again. */
static void test_sent_signal(void **unused)
{
    char text[4096];
    int status = run_forked(kill_main, NULL, text, sizeof(text));

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void on_own(int signo)
{
    static const char text[] = "own handler\n";

    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(3);
}

static int own_main(void *userdata)
{
    return raise(SIGSEGV);
}

static int install_main(void *userdata)
{
    return 0;
}

/* A program's own handler stays. */
static void test_own_handler(void **unused)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, on_own);
        (void)ait_run(install_main, NULL, 0);
        (void)ait_run(own_main, NULL, 0);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
}

/* ---- as tasks see it ------------------------------------------------------------------------- */

static int use_stack(void *userdata)
{
    size_t size = *(size_t *)userdata;
    volatile char *p = __builtin_alloca(size);

    for (size_t i = 0; i < size; i += PAGE / 2)
        p[i] = (char)i;
    if (ait_yield() < 0)
        return -EIO;
    for (size_t i = 0; i < size; i += PAGE / 2)
        if (p[i] != (char)i)
            return -EIO;
    return 0;
}

static int sizes_main(void *userdata)
{
    static const size_t sizes[] = {128 << 10, 256 << 10, 512 << 10, 1 << 20, 8 << 20, 128 << 20};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    for (unsigned i = 0; i < ELEMENTS(sizes); i++) {
        /* The frames below, the guard, the task; what the sanitizers add. */
        size_t room = sizes[i] - 32 * 1024;

        CHECK_EQ(ait_scope_start(scope, NULL, use_stack, &room,
                                 AIT_TASK_OPTIONS(.stack_size = sizes[i])),
                 -EPROTO);
    }
    CHECK_EQ(
        ait_scope_spawn(scope, NULL, use_stack, NULL, AIT_TASK_OPTIONS(.stack_size = SIZE_MAX)),
        -EINVAL);
    return ait_scope_exit(scope, 0);
}

static void test_sizes(void **unused)
{
    assert_int_equal(run_virtual(sizes_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),        cmocka_unit_test(test_guards_mprotect),
        cmocka_unit_test(test_guards_native),  cmocka_unit_test(test_other_guard),
        cmocka_unit_test(test_guards_of_many), cmocka_unit_test(test_cache),
        cmocka_unit_test(test_trim),           cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_other_fault),    cmocka_unit_test(test_sent_signal),
        cmocka_unit_test(test_own_handler),    cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
