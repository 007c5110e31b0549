/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The C++ interface: what is thrown, what becomes of it at the edge of a task, and what destructors
 * do that wait.
 */

#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <aiotools-sd/aiotools-sd.hpp>

static unsigned n_failures;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                        \
            n_failures++;                                                                          \
        }                                                                                          \
    } while (0)

#define THROWS(type, expression)                                                                   \
    do {                                                                                           \
        bool caught_ = false;                                                                      \
        try {                                                                                      \
            expression;                                                                            \
        } catch (const type &) {                                                                   \
            caught_ = true;                                                                        \
        }                                                                                          \
        CHECK(caught_ && #expression);                                                             \
    } while (0)

static constexpr uint64_t ms = AIT_USEC_PER_MSEC;

/* Counts those that live. */
struct counted {
    static int n;
    counted() { n++; }
    counted(const counted &) { n++; }
    counted(counted &&) noexcept { n++; }
    ~counted() { n--; }
};

int counted::n;

static void results()
{
    ait::scope s(AIT_SCOPE_SUPERVISOR);

    CHECK(s.spawn([] { return 7; }).wait() == 7);
    CHECK(s.spawn([] {}).wait() == 0);
    CHECK(s.spawn([] { ait::check(-EPIPE); }).wait() == -EPIPE);
    CHECK(s.spawn([] { throw std::bad_alloc(); }).wait() == -ENOMEM);
    CHECK(s.spawn([] { throw ait::cancelled(); }).wait() == -ECANCELED);
    THROWS(std::system_error, s.spawn([] { return -EIO; }).result());
    try {
        s.spawn([] { ait::check(-ENOENT); }).result();
        CHECK(false);
    } catch (const std::system_error &e) {
        CHECK(e.code() == std::errc::no_such_file_or_directory);
    }
    s.exit();
}

/* The callable is moved in, and ends with its task: also of one that never begins. */
static void captures()
{
    {
        ait::scope s;
        auto value = std::make_unique<int>(42);
        int seen = 0;

        s.spawn([value = std::move(value), c = counted(), &seen] { seen = *value; });
        CHECK(!value && counted::n == 1);
        s.exit();
        CHECK(seen == 42 && counted::n == 0);
    }
    {
        ait::scope s;
        bool began = false;
        auto t = s.spawn([c = counted(), &began] { began = true; });

        t.cancel();
        s.exit();
        CHECK(!began && counted::n == 0);
    }
    {
        ait::scope s;

        s.cancel();
        THROWS(ait::cancelled, s.spawn([c = counted()] {}));
        CHECK(counted::n == 0);
    }
}

/* Left by an exception, a scope ends its tasks before the frame goes that they refer to. */
static void unwinding()
{
    bool ended = false;

    try {
        std::vector<int> borrowed(3);
        ait::scope s;

        s.start([&] {
            ait::check(ait_task_started(0));
            try {
                ait::sleep(AIT_USEC_INFINITY);
            } catch (const ait::cancelled &) {
                borrowed.at(2) = 1;
                ended = true;
                throw;
            }
        });
        throw std::runtime_error("body");
    } catch (const std::runtime_error &) {
        CHECK(ended);
    }
}

/* A destructor that waits while an exception is on its way, in two tasks at a time. */
struct slow_end {
    ~slow_end()
    {
        ait::scope shield(AIT_SCOPE_SHIELD);

        ait::sleep(2 * ms);
        shield.exit();
    }
};

static void destructors_that_wait()
{
    ait::scope s(AIT_SCOPE_SUPERVISOR);
    auto failing = [](int error) {
        return [error] {
            slow_end slow;

            ait::sleep(1 * ms);
            ait::check(-error);
        };
    };
    auto a = s.spawn(failing(EPIPE)), b = s.spawn(failing(EIO));

    CHECK(a.wait() == -EPIPE);
    CHECK(b.wait() == -EIO);
    s.exit();
}

/* A catch block that waits: the exception of another task does not come between. */
static void catch_blocks_that_wait()
{
    ait::scope s(AIT_SCOPE_FAIL_FAST);

    for (int error : {EPIPE, EIO, ENOENT})
        s.spawn([error] {
            try {
                ait::check(-error);
            } catch (const std::system_error &) {
                ait::sleep(1 * ms);
                try {
                    throw;
                } catch (const std::system_error &again) {
                    CHECK(again.code().value() == error);
                }
            }
        });
    s.exit();
}

static void deadlines()
{
    try {
        ait::scope s(0, 5 * ms);

        try {
            ait::sleep(AIT_USEC_INFINITY);
            CHECK(false);
        } catch (const ait::cancelled &) {
            s.exit(-ECANCELED);
        }
        CHECK(false);
    } catch (const std::system_error &e) {
        CHECK(e.code().value() == ETIME);
    }
    /* Not swallowed by who catches all errors. */
    ait::scope s(AIT_SCOPE_MOVE_ON, 5 * ms);
    bool swallowed = false;
    auto t = s.spawn([&] {
        try {
            ait::sleep(AIT_USEC_INFINITY);
        } catch (const std::exception &) {
            swallowed = true;
        }
    });

    s.exit();
    CHECK(t.is_done() && !swallowed && s.is_expired());
}

static void starting()
{
    ait::scope s(AIT_SCOPE_FAIL_FAST);
    int port = 0;

    auto t = s.start([] { return ait_task_started(8080) < 0 ? -EPROTO : 1; }, &port, "server");
    CHECK(port == 8080 && std::strcmp(ait_task_name(t.get()), "server") == 0);
    THROWS(std::system_error, s.start([c = counted()] { ait::check(-EADDRINUSE); }));
    CHECK(counted::n == 0);
    s.exit();
    CHECK(t.result() == 1);
}

static void futures()
{
    ait::scope s;
    ait::future f;

    s.spawn([f] { f.resolve(-5); });
    CHECK(!f.is_done());
    CHECK(f.await() == -5);
    THROWS(std::system_error, f.resolve(1));
    s.exit();
}

static void streams()
{
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    ait::stream a(fds[0], AIT_STREAM_OPTIONS(.flags = AIT_STREAM_OWN_FD));
    ait::stream b(fds[1], AIT_STREAM_OPTIONS(.flags = AIT_STREAM_OWN_FD));
    ait::scope s;

    s.spawn([&] {
        while (auto line = b.read_line()) {
            b.write(std::string(*line) + "!\n");
            b.flush();
        }
    });
    a.write("hello\n");
    a.flush();
    CHECK(a.read_line() == "hello!");
    a.shutdown();
    s.exit();
}

int main()
{
    static const struct {
        const char *name;
        void (*run)();
    } cases[] = {
        {"results", results},     {"captures", captures},
        {"unwinding", unwinding}, {"destructors_that_wait", destructors_that_wait},
        {"deadlines", deadlines}, {"catch_blocks_that_wait", catch_blocks_that_wait},
        {"starting", starting},   {"futures", futures},
        {"streams", streams},
    };

    for (const auto &c : cases) {
        unsigned before = n_failures;
        int r;

        std::printf("[ RUN      ] %s\n", c.name);
        r = ait::run([&] { c.run(); });
        if (r < 0) {
            std::fprintf(stderr, "%s: %s\n", c.name, std::strerror(-r));
            n_failures++;
        }
        std::printf(n_failures == before ? "[       OK ] %s\n" : "[  FAILED  ] %s\n", c.name);
    }
    return n_failures > 0;
}
