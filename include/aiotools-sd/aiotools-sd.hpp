/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_AIOTOOLS_SD_HPP
#define AIT_AIOTOOLS_SD_HPP

/*
 * The library for C++17, as a header: scopes, tasks, futures and streams as objects, callables as
 * tasks, and errors as exceptions.
 *
 *     ait::run([] {
 *             ait::scope s(AIT_SCOPE_FAIL_FAST);
 *             s.spawn([] { fetch("a"); });
 *             s.spawn([] { fetch("b"); });
 *             s.exit();
 *     });
 *
 * A call that fails throws std::system_error with the errno. A call that is cancelled throws
 * ait::cancelled, which is no std::exception, so that catch (const std::exception &) does not keep a
 * task from ending. Whoever catches it unwinds soon: each later wait throws again.
 *
 * An exception that leaves a task becomes its result: ait::cancelled is -ECANCELED,
 * std::system_error of the generic or system category its errno, std::bad_alloc -ENOMEM. Any other
 * one ends the process by std::terminate(), as with std::thread.
 *
 * Destructors may wait: that of a scope cancels what is left in it, and waits for its end. All of
 * the C interface can be used beside this.
 */

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <aiotools-sd/aiotools-sd.h>

namespace ait {

/* The task is cancelled, and unwinds. */
class cancelled {};

/* r, if it is no error; else throws what it stands for. */
template <typename T> T check(T r)
{
    if (r >= 0)
        return r;
    if (r == -ECANCELED)
        throw cancelled();
    throw std::system_error(static_cast<int>(-r), std::generic_category());
}

namespace detail {

inline int errno_of(const std::system_error &e) noexcept
{
    const std::error_category &category = e.code().category();
    int value = e.code().value();

    if ((category != std::generic_category() && category != std::system_category()) || value <= 0)
        std::terminate();
    return -value;
}

/* What the callable returns, if that is an int, else 0; what it throws as an errno. */
template <typename F> int call(F &f) noexcept
{
    try {
        if constexpr (std::is_convertible_v<std::invoke_result_t<F &>, int>) {
            return std::invoke(f);
        } else {
            std::invoke(f);
            return 0;
        }
    } catch (const cancelled &) {
        return -ECANCELED;
    } catch (const std::system_error &e) {
        return errno_of(e);
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    }
}

template <typename F> int call_of(void *userdata)
{
    return call(*static_cast<F *>(userdata));
}

/* A task's callable, and where to say that it has been destroyed while its maker still looks. */
template <typename F> struct box {
    F f;
    bool *gone;

    int operator()() { return call(f); }
};

template <typename F> void destroy_box(void *userdata)
{
    auto *b = static_cast<box<F> *>(userdata);

    if (b->gone)
        *b->gone = true;
    delete b;
}

struct unref_task {
    void operator()(ait_task *t) const noexcept { ait_task_unref(t); }
};

struct unref_future {
    void operator()(ait_future *f) const noexcept { ait_future_unref(f); }
};

struct close_stream {
    void operator()(ait_stream *s) const noexcept { ait_stream_close(s); }
};

} // namespace detail

/*
 * Runs f in a new loop of this thread, as ait_run() does, and returns its result, which is a
 * negative errno if an exception has left it.
 */
template <typename F> int run(F &&f, unsigned flags = 0)
{
    using callable = std::remove_reference_t<F>;

    return ait_run(detail::call_of<callable>,
                   const_cast<void *>(static_cast<const void *>(std::addressof(f))), flags);
}

/* A reference to a task. */
class task {
public:
    task() noexcept = default;
    explicit task(ait_task *owned) noexcept : task_(owned) {}

    ait_task *get() const noexcept { return task_.get(); }
    explicit operator bool() const noexcept { return task_ != nullptr; }

    bool is_done() const { return check(ait_task_is_done(get())) > 0; }
    /* Waits for the end of the task, and returns its result, which may be a negative errno. */
    int wait() const
    {
        int result = 0;

        check(ait_task_wait(get(), &result));
        return result;
    }
    /* Waits, and throws what the task has failed with. */
    int result() const
    {
        int r = wait();

        if (r < 0)
            throw std::system_error(-r, std::generic_category());
        return r;
    }
    void cancel() const { check(ait_task_cancel(get())); }
    /* Cancels it and waits for its end. */
    int cancel_and_wait() const
    {
        int result = 0;

        check(ait_cancel_and_wait(get(), &result));
        return result;
    }

private:
    std::unique_ptr<ait_task, detail::unref_task> task_;
};

/*
 * A block that ends when its tasks have ended. It belongs to the task that has made it, and cannot
 * be moved. Left by an exception, or without exit(), it cancels its tasks and waits for them.
 */
class scope {
public:
    explicit scope(unsigned flags = 0) { check(ait_scope_enter(&scope_, flags)); }
    /* With a deadline, usec from now. */
    scope(unsigned flags, uint64_t usec) { check(ait_scope_enter_after(&scope_, flags, usec)); }
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;
    ~scope() { ait_scope_leave(scope_); }

    ait_scope *get() const noexcept { return scope_; }

    /* Waits for the tasks. Throws as check() does: cancellation, a deadline, a task's error. */
    int exit(int result = 0) { return check(ait_scope_exit(scope_, result)); }

    /* f is moved or copied into the task, and destroyed with it. */
    template <typename F> task spawn(F &&f, const char *name = nullptr)
    {
        return begin(ait_scope_spawn, std::forward<F>(f), name, nullptr);
    }
    /* Waits until the task calls ait_task_started(); *value is what it has given there. */
    template <typename F> task start(F &&f, int *value = nullptr, const char *name = nullptr)
    {
        return begin(ait_scope_start, std::forward<F>(f), name, value);
    }

    void cancel() { check(ait_scope_cancel(scope_)); }
    void abort() { check(ait_scope_abort(scope_)); }
    bool is_expired() const { return check(ait_scope_is_expired(scope_)) > 0; }
    bool is_cancelled() const { return check(ait_scope_is_cancelled(scope_)) > 0; }

private:
    using begin_fn = int (*)(ait_scope *, ait_task **, ait_task_fn, void *,
                             const ait_task_options *);

    template <typename F> task begin(begin_fn fn, F &&f, const char *name, int *value)
    {
        using callable = std::decay_t<F>;
        using box = detail::box<callable>;
        bool gone = false;
        auto owned = std::unique_ptr<box>(new box{std::forward<F>(f), &gone});
        ait_task_options options{};
        ait_task *t = nullptr;

        options.size = sizeof(options);
        options.name = name;
        options.destroy = detail::destroy_box<callable>;
        int r = fn(scope_, &t, detail::call_of<box>, owned.get(), &options);
        task result(t);

        /* Taken by the task, which may have ended, also before it has started. */
        if (gone)
            (void)owned.release();
        else if (r >= 0 || t)
            owned.release()->gone = nullptr;
        check(r);
        if (value)
            *value = r;
        return result;
    }

    ait_scope *scope_ = nullptr;
};

/* A future that is resolved by hand. Copies refer to the same one. */
class future {
public:
    future()
    {
        ait_future *f = nullptr;

        check(ait_future_new(&f));
        future_.reset(f);
    }
    future(const future &other) noexcept : future_(ait_future_ref(other.get())) {}
    future(future &&) noexcept = default;
    future &operator=(future other) noexcept
    {
        future_.swap(other.future_);
        return *this;
    }

    ait_future *get() const noexcept { return future_.get(); }

    void resolve(int result) const { check(ait_future_resolve(get(), result)); }
    bool is_done() const { return check(ait_future_is_done(get())) > 0; }
    /* Waits, and returns what it was resolved with, which may be negative. */
    int await() const
    {
        int result = 0;

        check(ait_await(get(), &result));
        return result;
    }

private:
    std::unique_ptr<ait_future, detail::unref_future> future_;
};

/* A buffered stream. */
class stream {
public:
    /* Over a descriptor, which it closes if options say so. */
    explicit stream(int fd, const ait_stream_options *options = nullptr)
    {
        ait_stream *s = nullptr;

        check(ait_stream_open(&s, fd, options));
        stream_.reset(s);
    }
    /* Takes over a stream of the C interface, such as one over TLS. */
    explicit stream(ait_stream *owned) noexcept : stream_(owned) {}

    ait_stream *get() const noexcept { return stream_.get(); }

    /* Valid until the stream is read again; none at the end of the file. */
    std::optional<std::string_view> read_line()
    {
        char *line = nullptr;
        std::size_t n = 0;

        if (check(ait_stream_read_line(get(), &line, &n)) == 0)
            return std::nullopt;
        return std::string_view(line, n);
    }
    /* 0 is the end of the file. */
    std::size_t read(void *buf, std::size_t n)
    {
        return static_cast<std::size_t>(check(ait_stream_read(get(), buf, n)));
    }
    void write(std::string_view data)
    {
        check(ait_stream_write(get(), data.data(), data.size(), nullptr));
    }
    void flush() { check(ait_stream_flush(get())); }
    void shutdown() { check(ait_stream_shutdown(get())); }

private:
    std::unique_ptr<ait_stream, detail::close_stream> stream_;
};

inline void sleep(uint64_t usec)
{
    check(ait_sleep(usec));
}

inline void yield()
{
    check(ait_yield());
}

} // namespace ait

#endif
