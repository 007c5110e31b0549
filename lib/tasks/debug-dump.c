/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <aiotools-sd/debug.h>

#include "current.h"
#include "debug.h"
#include "future.h"
#include "now.h"

#define INDENT     2
#define MAX_INDENT 60 /* of however deep a tree */

struct dump {
    struct ait_loop *loop;
    FILE *file;
    unsigned flags;
    uint64_t now;
    int pagemap;
};

/* ---- pieces ---------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/*
 * A place in code: the symbol if there is one, and the arguments for addr2line. back: it is a
 * return address.
 */
static void put_place(struct dump *d, const void *address, bool back)
{
    const char *p = (const char *)address - back;
    Dl_info info;

    if (!dladdr(p, &info) || !info.dli_fname) {
        (void)fprintf(d->file, "%p", address);
        return;
    }
    if (info.dli_sname)
        (void)fprintf(d->file, "%s", info.dli_sname);
    if (info.dli_sname && p != info.dli_saddr)
        (void)fprintf(d->file, "+0x%tx", p - (const char *)info.dli_saddr);
    (void)fprintf(d->file, "%s%s+0x%tx%s", info.dli_sname ? " (" : "", base_name(info.dli_fname),
                  p - (const char *)info.dli_fbase, info.dli_sname ? ")" : "");
}

static void put_time(struct dump *d, uint64_t when)
{
    if (when == AIT_USEC_INFINITY)
        (void)fputs("for ever", d->file);
    else if (when >= d->now)
        (void)fprintf(d->file, "%.3f s", (double)(when - d->now) / 1e6);
    else
        (void)fprintf(d->file, "-%.3f s", (double)(d->now - when) / 1e6);
}

/* ---- what a task waits for ------------------------------------------------------------------- */

static void put_fd(struct dump *d, const struct wait *w)
{
    char path[40], target[80];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)w->value);
    n = readlink(path, target, sizeof(target) - 1);
    (void)fprintf(d->file, "%s of fd %d", w->kind, (int)w->value);
    if (n > 0)
        (void)fprintf(d->file, " (%.*s)", (int)n, target);
}

static void put_sleep(struct dump *d, const struct wait *w)
{
    (void)fputs("sleep: ", d->file);
    put_time(d, w->value);
}

/* A future, which may be a task. */
static void put_future(struct dump *d, const struct wait *w)
{
    struct ait_future *f = (struct ait_future *)w->object;

    if (f->kind == FUTURE_TASK)
        (void)fprintf(d->file, "%s task '%s'", strcmp(w->kind, "future") == 0 ? "end of" : w->kind,
                      ait_task_name(future_task(f)));
    else
        (void)fprintf(d->file, "future %p", w->object);
}

static void put_scope_wait(struct dump *d, const struct wait *w)
{
    const struct ait_scope *s = w->object;

    (void)fprintf(d->file, "%s scope %p", w->kind, w->object);
    if (s->extra && s->extra->name)
        (void)fprintf(d->file, " '%s'", s->extra->name);
}

static void put_code(struct dump *d, const struct wait *w)
{
    (void)fprintf(d->file, "%s of ", w->kind);
    put_place(d, w->object, false);
}

static const struct {
    const char *kind;
    void (*put)(struct dump *d, const struct wait *w);
} waits[] = {
    {"read", put_fd},           {"write", put_fd},
    {"poll", put_fd},           {"sleep", put_sleep},
    {"future", put_future},     {"start of", put_future},
    {"end of", put_scope_wait}, {"children of", put_scope_wait},
    {"offload", put_code},
};

static void put_wait(struct dump *d, const struct wait *w)
{
    for (unsigned i = 0; i < ARRAY_SIZE(waits); i++)
        if (strcmp(waits[i].kind, w->kind) == 0) {
            waits[i].put(d, w);
            return;
        }
    (void)fprintf(d->file, "%s %p", w->kind, w->object);
}

static void put_state(struct dump *d, const struct ait_task *t)
{
    switch ((enum task_state)t->state) {
    case TASK_READY:
        (void)fputs("ready", d->file);
        return;
    case TASK_RUNNING:
        (void)fputs("running", d->file);
        return;
    case TASK_ENDED:
        (void)fputs("ended", d->file);
        return;
    default:
        (void)fputs("waits for ", d->file);
        if (t->wait)
            put_wait(d, t->wait);
        else
            (void)fputs("something", d->file);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void put_indent(struct dump *d, unsigned depth)
{
    unsigned n = depth * INDENT;

    (void)fprintf(d->file, "%*s", (int)(n < MAX_INDENT ? n : MAX_INDENT), "");
}

static const struct {
    unsigned flag;
    const char *name;
} scope_flags[] = {
    {AIT_SCOPE_SHIELD, "shield"},       {AIT_SCOPE_SUPERVISOR, "supervisor"},
    {AIT_SCOPE_FAIL_FAST, "fail-fast"}, {AIT_SCOPE_MOVE_ON, "move-on"},
    {AIT_SCOPE_PROPAGATE, "propagate"},
};

/* The properties of a scope, each after a comma. */
static void put_scope(struct dump *d, const struct ait_scope *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(scope_flags); i++)
        if (s->flags & scope_flags[i].flag)
            (void)fprintf(d->file, ", %s", scope_flags[i].name);
    if (s->deadline != AIT_USEC_INFINITY && !s->expired) {
        (void)fputs(", deadline in ", d->file);
        put_time(d, s->deadline);
    }
    if (s->extra && timer_armed(&s->extra->cancel_timer))
        (void)fputs(", to be cancelled", d->file);
    if (s->expired)
        (void)fputs(", expired", d->file);
    if (s->cancel_count > 0)
        (void)fprintf(d->file, ", cancelled %" PRIu32 "x", s->cancel_count);
    if (s->failed)
        (void)fputs(", failed", d->file);
    if (s->aborted)
        (void)fputs(", aborted", d->file);
    if (s->effective && !s->expired && s->cancel_count == 0)
        (void)fputs(", cancelled from outside", d->file);
    if (s->n_errors > 0)
        (void)fprintf(d->file, ", %" PRIu32 " errors", s->n_errors);
}

static void put_task_line(struct dump *d, const struct ait_task *t)
{
    size_t depth, resident;

    (void)fprintf(d->file, "task '%s' %p: ", t->name ? t->name : "task", (const void *)t);
    put_state(d, t);
    put_scope(d, &t->root);
    if (d->flags & AIT_DUMP_STACKS && walk_stack_use(d->pagemap, t, &depth, &resident) == 0)
        (void)fprintf(d->file, ", stack %zu of %zu KiB, %zu resident", depth / 1024,
                      stack_class_size(t->class) / 1024, resident / 1024);
    (void)fputs("; ", d->file);
    put_place(d, (const void *)(uintptr_t)t->entry, false);
    (void)fputs(", spawned at ", d->file);
    put_place(d, t->site, true);
}

static void put_scope_line(struct dump *d, const struct ait_scope *s)
{
    (void)fputs(s->flags & SCOPE_OF_SET ? "task set" : "scope", d->file);
    if (s->extra && s->extra->name)
        (void)fprintf(d->file, " '%s'", s->extra->name);
    (void)fprintf(d->file, " %p: %" PRIu32 " tasks", (const void *)s, s->n_live);
    if (s->state == SCOPE_EXITING && !(s->flags & SCOPE_OF_SET))
        (void)fputs(", leaving", d->file);
    put_scope(d, s);
}

static void put_loop_line(struct dump *d)
{
    struct ait_loop *loop = d->loop;

    (void)fprintf(d->file, "loop %p: %s, %zu tasks, %s %.6f s", (void *)loop,
                  loop->guest ? "guest" : "owned", loop->n_tasks,
                  loop->clock.virtual ? "virtual clock at" : "clock at", (double)d->now / 1e6);
    if (loop->finishing)
        (void)fputs(", finishing", d->file);
    put_scope(d, &loop->root);
}

/* On the thread's stack: printing is deep. */
static int dump(void *userdata)
{
    struct dump *d = userdata;

    for (struct walk w = walk_begin(d->loop); w.scope; walk_next(&w)) {
        put_indent(d, w.depth);
        if (walk_task(&w))
            put_task_line(d, walk_task(&w));
        else if (w.depth > 0)
            put_scope_line(d, w.scope);
        else
            put_loop_line(d);
        (void)fputc('\n', d->file);
    }
    return fflush(d->file) != 0 || ferror(d->file) ? -EIO : 0;
}

AIT_PUBLIC int ait_loop_dump(ait_loop *loop, FILE *file, unsigned flags)
{
    struct dump d = {.loop = loop, .file = file ? file : stderr, .flags = flags, .pagemap = -1};
    int r;

    if (!loop || (flags & ~(unsigned)AIT_DUMP_STACKS))
        return -EINVAL;
    LOOP_CHECK(loop);
    d.now = loop_now(loop);
    if (flags & AIT_DUMP_STACKS)
        d.pagemap = walk_pagemap_open();
    r = ait_call_on_thread_stack(dump, &d);
    if (d.pagemap >= 0)
        (void)close(d.pagemap);
    return r;
}
