/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reports the name of a task that ran off its stack, before the segmentation fault. The handler is
 * installed only if the program has none of its own. It runs on an alternate stack, and then lets
 * the fault take its course.
 */

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "current.h"
#include "overflow.h"

#define ALTERNATE_SIZE ((size_t)64 * 1024)

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static void say_number(size_t n)
{
    char digits[24], *p = digits + sizeof(digits) - 1;

    *p = '\0';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    say(p);
}

static void say_overflow(const struct ait_task *t, const char *before, const char *after)
{
    say("aiotools-sd: stack overflow in task '");
    say(t->name ? t->name : "task");
    say(before);
    say_number(stack_class_size(t->class) / 1024);
    say(after);
}

static void on_fault(int signo, siginfo_t *info, void *ucontext)
{
    struct ait_loop *loop = this_loop;
    struct ait_task *t = loop ? stacks_find_guard(&loop->stacks, info->si_addr) : NULL;

    if (t && t == loop->current)
        say_overflow(t, "': its stack has ", " KiB; spawn it with a larger stack_size\n");
    else if (t && loop->current)
        say_overflow(loop->current,
                     "', or a wild pointer: it touched the guard of another stack; its own has ",
                     " KiB\n");
    else if (t)
        say("aiotools-sd: the guard of a task's stack was touched outside tasks\n");
    /*
     * The instruction runs again, and now ends the process as if there had been no handler. A
     * signal that was sent has no instruction.
     */
    (void)signal(signo, SIG_DFL);
    if (info->si_code <= 0)
        (void)raise(signo);
}

static __thread void *alternate; /* of this thread, made here */

static void alternate_stack(void)
{
    stack_t old;
    void *p;

    if (sigaltstack(NULL, &old) < 0 || !(old.ss_flags & SS_DISABLE))
        return;
    p = mmap(NULL, ALTERNATE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
             -1, 0);
    if (p == MAP_FAILED)
        return;
    if (sigaltstack(&(stack_t){.ss_sp = p, .ss_size = ALTERNATE_SIZE}, NULL) < 0)
        (void)munmap(p, ALTERNATE_SIZE);
    else
        alternate = p;
}

void overflow_handler_leave_thread(void)
{
    stack_t now;

    if (!alternate)
        return;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == alternate &&
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) < 0)
        return; /* we are on it */
    (void)munmap(alternate, ALTERNATE_SIZE);
    alternate = NULL;
}

void overflow_handler_install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;

    if (sigaction(SIGSEGV, NULL, &old) < 0)
        return;
    if (!(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
        (void)sigaction(SIGSEGV, &action, NULL);
    else if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != on_fault)
        return;
    alternate_stack();
}
