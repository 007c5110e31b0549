/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcurl from tasks: each transfer is a call of http_get(), in as many tasks as you like.
 *
 *     recipe-curl URL...
 *
 * All transfers share one multi handle, and so connections and lookups. libcurl says by callbacks
 * which sockets it waits for, and until when: each socket has a task that waits for it, and one
 * more task keeps the time. A callback only notes what is wanted, for libcurl must not be called
 * from it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <aiotools-sd/aiotools-sd.h>

/* ---- what any program with libcurl needs ----------------------------------------------------- */

struct fetcher {
    CURLM *multi;
    ait_scope *scope;   /* of the tasks below */
    ait_event *changed; /* the time was */
    uint64_t due;       /* AIT_USEC_INFINITY: not before something happens */
    int error;          /* a task could not be made */
};

struct watch {
    struct fetcher *fetcher;
    ait_task *task;
    curl_socket_t fd;
    short events;
};

/* Lets libcurl work, and resolves the futures of the transfers that are over. */
static void act(struct fetcher *f, curl_socket_t fd, int what)
{
    ait_future *over = NULL;
    int n;
    CURLMsg *m;

    (void)curl_multi_socket_action(f->multi, fd, what, &n);
    while ((m = curl_multi_info_read(f->multi, &n)))
        if (m->msg == CURLMSG_DONE) {
            (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&over);
            (void)ait_future_resolve(over, (int)m->data.result);
        }
}

static int watch_main(void *userdata)
{
    const struct watch *w = userdata;
    int r;

    while ((r = ait_poll(w->fd, w->events)) >= 0)
        act(w->fetcher, w->fd,
            (r & (POLLIN | POLLHUP) ? CURL_CSELECT_IN : 0) | (r & POLLOUT ? CURL_CSELECT_OUT : 0) |
                (r & POLLERR ? CURL_CSELECT_ERR : 0));
    return r;
}

static void watch_free(void *userdata)
{
    free(userdata);
}

static void watch_end(struct watch *w)
{
    ait_task *task = w->task;

    (void)ait_task_cancel(task); /* the watch is freed with its task */
    ait_task_unref(task);
}

static struct watch *watch_begin(struct fetcher *f, curl_socket_t fd, int what)
{
    struct watch *w = calloc(1, sizeof(*w));
    int r = -ENOMEM;

    if (w) {
        *w = (struct watch){
            .fetcher = f,
            .fd = fd,
            .events =
                (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0)),
        };
        r = ait_scope_spawn(
            f->scope, &w->task, watch_main, w,
            AIT_TASK_OPTIONS(.flags = AIT_TASK_SHIELD, .name = "curl", .destroy = watch_free));
    }
    if (r >= 0)
        return w;
    free(w);
    f->error = r;
    return NULL;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *of_socket)
{
    struct fetcher *f = userdata;
    struct watch *w = NULL;

    (void)easy;
    if (of_socket)
        watch_end(of_socket);
    if (what != CURL_POLL_REMOVE)
        w = watch_begin(f, fd, what);
    (void)curl_multi_assign(f->multi, fd, w);
    return f->error ? -1 : 0;
}

static int on_time(CURLM *multi, long ms, void *userdata)
{
    struct fetcher *f = userdata;

    (void)multi;
    f->due = ms < 0 ? AIT_USEC_INFINITY : ait_now(NULL) + (uint64_t)ms * AIT_USEC_PER_MSEC;
    (void)ait_event_set(f->changed);
    return 0;
}

static int keep_time(void *userdata)
{
    struct fetcher *f = userdata;
    int r = 0;

    while (r >= 0) {
        AIT_SCOPE(wait);

        (void)ait_event_clear(f->changed);
        r = ait_scope_enter(&wait, AIT_SCOPE_MOVE_ON);
        if (r < 0)
            break;
        (void)ait_scope_set_deadline(wait, f->due);
        r = ait_scope_exit(wait, ait_event_wait(f->changed));
        if (r >= 0 && f->due <= ait_now(NULL)) {
            f->due = AIT_USEC_INFINITY;
            act(f, CURL_SOCKET_TIMEOUT, 0);
        }
    }
    return r;
}

static int fetcher_begin(struct fetcher *f, ait_scope *scope)
{
    int r;

    *f = (struct fetcher){.multi = curl_multi_init(), .scope = scope, .due = AIT_USEC_INFINITY};
    if (!f->multi)
        return -ENOMEM;
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_time);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    r = ait_event_new(&f->changed);
    return r < 0 ? r
                 : ait_scope_spawn(scope, NULL, keep_time, f,
                                   AIT_TASK_OPTIONS(.flags = AIT_TASK_SHIELD, .name = "curl"));
}

/* After the last transfer. */
static void fetcher_end(struct fetcher *f)
{
    (void)ait_scope_abort(f->scope);
    (void)curl_multi_cleanup(f->multi);
    ait_event_unref(f->changed);
}

/* Runs one transfer to its end; a CURLcode, or a negative errno. Cancelling ends the transfer. */
static int transfer(struct fetcher *f, CURL *easy)
{
    AIT_CLEANUP(ait_future_unrefp) ait_future *over = NULL;
    int r = ait_future_new(&over), code = 0;

    if (r < 0)
        return r;
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, over);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (curl_multi_add_handle(f->multi, easy) != CURLM_OK)
        return -ENOMEM;
    r = ait_await(over, &code);
    (void)curl_multi_remove_handle(f->multi, easy);
    return r < 0 ? r : f->error < 0 ? f->error : code;
}

/* ---- what this one does with it -------------------------------------------------------------- */

struct job {
    struct fetcher *fetcher;
    const char *url;
};

static size_t count(char *data, size_t size, size_t n, void *userdata)
{
    (void)data;
    *(size_t *)userdata += size * n;
    return size * n;
}

static int http_get(void *userdata)
{
    const struct job *job = userdata;
    CURL *easy = curl_easy_init();
    size_t n = 0;
    long status = 0;
    int r = -ENOMEM;
    AIT_SCOPE(limit);

    if (easy) {
        (void)curl_easy_setopt(easy, CURLOPT_URL, job->url);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &n);
        r = ait_scope_enter_after(&limit, 0, 10 * AIT_USEC_PER_SEC);
    }
    if (r >= 0)
        r = ait_scope_exit(limit, transfer(job->fetcher, easy));
    if (r == 0) {
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        printf("%s: %ld, %zu bytes\n", job->url, status, n);
    } else {
        printf("%s: %s\n", job->url, r < 0 ? strerror(-r) : curl_easy_strerror((CURLcode)r));
    }
    curl_easy_cleanup(easy);
    return r == -ECANCELED ? r : 0;
}

static int fetch_all(struct fetcher *f, char *urls[])
{
    struct job jobs[16];
    AIT_SCOPE(transfers);
    int r = ait_scope_enter(&transfers, AIT_SCOPE_FAIL_FAST);

    for (unsigned i = 0; r >= 0 && urls[i] && i < 16; i++) {
        jobs[i] = (struct job){f, urls[i]};
        r = ait_scope_spawn(transfers, NULL, http_get, &jobs[i], NULL);
    }
    return ait_scope_exit(transfers, r);
}

static int program(void *userdata)
{
    struct fetcher f;
    AIT_SCOPE(curl);
    int r = ait_scope_enter(&curl, 0);

    if (r < 0)
        return r;
    r = fetcher_begin(&f, curl);
    if (r >= 0)
        r = fetch_all(&f, userdata);
    fetcher_end(&f);
    return ait_scope_exit(curl, r);
}

int main(int argc, char *argv[])
{
    int r;

    if (argc < 2 || argc > 17) {
        fprintf(stderr, "usage: recipe-curl URL... (at most 16)\n");
        return 2;
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    r = ait_run(program, argv + 1, 0);
    if (r < 0)
        fprintf(stderr, "recipe-curl: %s\n", strerror(-r));
    curl_global_cleanup();
    return r < 0;
}
