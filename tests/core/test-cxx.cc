/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Exceptions of C++ belong to the task: a handler, a destructor or a filter may wait while others
 * throw. Each story is told by many tasks at a time, which meet in every order of their waits.
 * Without cmocka, which is C.
 */

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include <aiotools-sd/aiotools-sd.h>

static unsigned failures;

#define CHECK(cond) check(cond, __LINE__, #cond)

static bool check(bool ok, int line, const char *what)
{
    if (!ok) {
        failures++;
        (void)std::fprintf(stderr, "test-cxx.cc:%d: %s\n", line, what);
    }
    return ok;
}

struct story {
    int id, pause; /* in ms, between its steps */
};

static std::string name_of(const story *s)
{
    return "task " + std::to_string(s->id);
}

static void pause(const story *s)
{
    CHECK(ait_sleep(uint64_t(s->pause) * AIT_USEC_PER_MSEC) == 0);
}

static bool is_mine(const std::exception &e, const story *s)
{
    return name_of(s) == e.what();
}

/* Handles, waits, and passes on. */
static int rethrows(void *userdata)
{
    auto *s = static_cast<story *>(userdata);

    try {
        try {
            throw std::runtime_error(name_of(s));
        } catch (...) {
            pause(s);
            throw;
        }
    } catch (const std::exception &e) {
        pause(s);
        CHECK(is_mine(e, s));
    }
    CHECK(!std::current_exception());
    return 0;
}

/* Looks at its exception after each wait, with another one inside. */
static int nests(void *userdata)
{
    auto *s = static_cast<story *>(userdata);

    try {
        throw std::logic_error(name_of(s));
    } catch (...) {
        for (int i = 0; i < 3; i++) {
            try {
                pause(s);
                throw i;
            } catch (int k) {
                pause(s);
                CHECK(k == i);
            }
            try {
                std::rethrow_exception(std::current_exception());
            } catch (const std::exception &e) {
                CHECK(is_mine(e, s));
            }
        }
    }
    return 0;
}

struct guard {
    const story *s;

    explicit guard(const story *of) : s(of)
    {
    }
    guard(const guard &) = delete;
    guard &operator=(const guard &) = delete;
    ~guard()
    {
        CHECK(std::uncaught_exceptions() == 1);
        pause(s);
        CHECK(std::uncaught_exceptions() == 1);
    }
};

/* A destructor waits while the stack is unwound. */
static int unwinds(void *userdata)
{
    auto *s = static_cast<story *>(userdata);

    try {
        guard first(s);
        guard second(s);
        throw std::runtime_error(name_of(s));
    } catch (const std::exception &e) {
        CHECK(std::uncaught_exceptions() == 0);
        CHECK(is_mine(e, s));
    }
    return 0;
}

/* Does nothing of the kind, and sees nothing of it. */
static int looks(void *userdata)
{
    auto *s = static_cast<story *>(userdata);

    for (int i = 0; i < 10; i++) {
        CHECK(std::uncaught_exceptions() == 0);
        CHECK(!std::current_exception());
        CHECK(ait_yield() == 0);
        pause(s);
    }
    return 0;
}

static int throws_inside(void *)
{
    try {
        throw 5;
    } catch (int n) {
        return n;
    }
}

/* Spawns, and calls on the thread's stack, out of a handler. */
static int calls_out(void *userdata)
{
    auto *s = static_cast<story *>(userdata);

    try {
        throw std::runtime_error(name_of(s));
    } catch (const std::exception &) {
        ait_scope *scope = nullptr;
        story child = {s->id, 1};

        CHECK(ait_scope_enter(&scope, 0) == 0);
        CHECK(ait_scope_spawn(scope, nullptr, looks, &child, nullptr) == 0);
        CHECK(ait_scope_spawn(scope, nullptr, rethrows, &child, nullptr) == 0);
        CHECK(ait_call_on_thread_stack(throws_inside, nullptr) == 5);
        CHECK(ait_scope_exit(scope, 0) == 0);
        ait_scope_leave(scope);
        try {
            throw;
        } catch (const std::exception &e) {
            CHECK(is_mine(e, s));
        }
    }
    return 0;
}

static void callback(ait_future *, int, void *)
{
    /* On the loop's stack: what is handled there is what the loop's caller handles. */
    if (std::current_exception())
        try {
            throw;
        } catch (const std::exception &e) {
            CHECK(std::string("main") == e.what());
        }
    CHECK(throws_inside(nullptr) == 5);
}

/* Callbacks run between tasks that handle something. */
static int calls_back(void *userdata)
{
    auto *s = static_cast<story *>(userdata);
    ait_future *f = nullptr;

    CHECK(ait_future_new(&f) == 0);
    CHECK(ait_future_add_callback(f, nullptr, callback, nullptr) == 0);
    try {
        throw std::runtime_error(name_of(s));
    } catch (const std::exception &e) {
        CHECK(ait_future_resolve(f, 0) == 0);
        pause(s);
        CHECK(ait_yield() == 0);
        CHECK(is_mine(e, s));
        CHECK(std::current_exception() != nullptr);
    }
    ait_future_unref(f);
    return 0;
}

/* Is cancelled in its handler, and ends there. */
static int is_cancelled(void *userdata)
{
    auto *s = static_cast<story *>(userdata);

    try {
        throw std::runtime_error(name_of(s));
    } catch (const std::exception &e) {
        CHECK(ait_sleep(AIT_USEC_INFINITY) == -ECANCELED);
        CHECK(is_mine(e, s));
        return -ECANCELED;
    }
}

static const ait_task_fn stories[] = {rethrows,  nests,      unwinds,     looks,
                                      calls_out, calls_back, is_cancelled};

static int all_main(void *)
{
    static story told[200];
    ait_scope *scope = nullptr;
    ait_clock *clock = nullptr;
    const size_t n = sizeof(stories) / sizeof(*stories);

    CHECK(ait_vclock_new(&clock) == 0);
    CHECK(ait_loop_set_clock(ait_loop_current(), clock) == 0);
    ait_clock_unref(clock);
    CHECK(ait_scope_enter(&scope, 0) == 0);
    for (int i = 0; i < 200; i++) {
        told[i] = {i, i * 7 % 11};
        CHECK(ait_scope_spawn(scope, nullptr, stories[size_t(i) % n], &told[i], nullptr) == 0);
    }
    CHECK(ait_scope_cancel_after(scope, AIT_USEC_PER_SEC) == 0);
    CHECK(ait_scope_exit(scope, 0) == 0);
    ait_scope_leave(scope);
    CHECK(!std::current_exception());
    return 0;
}

/* The caller of the loop has an exception of its own. */
int main()
{
    (void)alarm(60);
    try {
        throw std::runtime_error("main");
    } catch (const std::exception &) {
        CHECK(ait_run(all_main, nullptr, 0) == 0);
        try {
            throw;
        } catch (const std::exception &e) {
            CHECK(std::string("main") == e.what());
        }
    }
    CHECK(!std::current_exception());
    CHECK(ait_run(all_main, nullptr, 0) == 0);
    return failures > 0;
}
