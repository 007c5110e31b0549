/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "proc-scan.h"
#include "process-tree.h"

int guardian_become_subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/*
 * As long as one member of a session or group lives, its number is not reused. So if a process of
 * that number lives and is not the leader, the session of that number is another one. now: NULL if
 * there is no such process.
 */
static bool number_is_ours(const struct guardian_tree *tree, const struct scan_process *now)
{
    return tree->start == 0 || !now || now->start == tree->start;
}

/*
 * Kills all at once, also those that fork faster than a pass can scan. Safe as long as only we can
 * reap the leader: until then its number is not reused. While the leader is being started its group
 * may not be its own yet.
 */
static void kill_group(const struct guardian_tree *tree, const struct scan_process *now)
{
    if (tree->start != 0 && now->start == tree->start && now->parent == getpid() &&
        now->group == tree->pid)
        (void)kill(-tree->pid, SIGKILL);
}

static bool bears_number(const struct guardian_tree *tree, const struct scan_process *p)
{
    return p->pid == tree->pid || p->session == tree->pid || p->group == tree->pid;
}

static bool bears_token(const struct guardian_tree *tree, const struct scan_process *p)
{
    char instance[SCAN_INSTANCE_MAX];

    return tree->token[0] && scan_instance(p->pid, instance) && strstr(instance, tree->token);
}

static bool belongs(const struct guardian_tree *tree, const struct scan_process *p, bool by_number)
{
    return (by_number && bears_number(tree, p)) || bears_token(tree, p);
}

struct known {
    guardian_known_fn fn;
    void *userdata;
    pid_t never; /* looked at even if fn claims it */
};

static bool is_known(pid_t pid, void *userdata)
{
    const struct known *known = userdata;
    return pid != known->never && known->fn && known->fn(pid, known->userdata);
}

/* If the kernel does not list children: scans all processes for those whose parents lead to us. */
static int descendants_by_parent(struct scan *scan, struct known *known)
{
    pid_t self = getpid();
    size_t kept = 0;
    int r = scan_everything(scan);

    if (r < 0)
        return r;
    for (size_t i = 0; i < scan->n; i++) {
        struct scan_process *p = &scan->items[i];
        p->marked = p->parent == self && !is_known(p->pid, known);
    }
    scan_mark_descendants(scan);
    for (size_t i = 0; i < scan->n; i++)
        if (scan->items[i].marked) {
            scan->items[kept] = scan->items[i];
            scan->items[kept++].marked = false;
        }
    scan->n = kept;
    return 0;
}

static int descendants(struct scan *scan, struct known *known)
{
    int r = scan_children(scan, getpid(), is_known, known);

    if (r >= 0)
        r = scan_descend(scan, 0);
    if (r != -EOPNOTSUPP)
        return r;
    scan_done(scan);
    return descendants_by_parent(scan, known);
}

static void reap(const struct scan_process *p)
{
    if (p->dead && p->parent == getpid())
        (void)waitpid(p->pid, NULL, WNOHANG);
}

static bool is_helper(const struct scan_process *p)
{
    return p->session == getsid(0);
}

static bool is_stray(const struct guardian_tree *tree, const struct scan_process *p,
                     struct known *known)
{
    char instance[SCAN_INSTANCE_MAX];

    if (!tree->is_marked || p->dead || p->parent != getpid() || p->start < tree->start ||
        is_helper(p) || is_known(p->session, known))
        return false;
    bool has_instance = scan_instance(p->pid, instance);
    return !tree->is_marked(p->pid, has_instance ? instance : NULL, known->userdata);
}

/* The processes of the worker are those that are marked. */
static int find(struct scan *scan, const struct guardian_tree *tree, guardian_known_fn known_fn,
                void *userdata, bool by_number)
{
    struct known known = {.fn = known_fn, .userdata = userdata, .never = tree->pid};
    int r = descendants(scan, &known);

    if (r < 0)
        return r;
    for (size_t i = 0; i < scan->n; i++)
        scan->items[i].marked =
            belongs(tree, &scan->items[i], by_number) || is_stray(tree, &scan->items[i], &known);
    scan_mark_descendants(scan);
    return 0;
}

/* Except the leader. */
static void reap_marked(const struct guardian_tree *tree, const struct scan *scan)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan->items[i].marked && scan->items[i].pid != tree->pid)
            reap(&scan->items[i]);
}

/* The dead have no environment: whose they were, nobody can tell. */
static bool may_have_been(const struct guardian_tree *tree, const struct scan_process *p,
                          struct known *known)
{
    return p->dead && p->parent == getpid() && p->start >= tree->start && !is_helper(p) &&
           !is_known(p->session, known);
}

/* ---- killing --------------------------------------------------------------------------------- */

static ssize_t kill_marked(const struct scan *scan)
{
    ssize_t alive = 0;
    for (size_t i = 0; i < scan->n; i++) {
        const struct scan_process *p = &scan->items[i];
        if (!p->marked || p->dead)
            continue;
        alive++;
        (void)scan_kill(p, SIGKILL);
    }
    return alive;
}

/* ---- bursts ---------------------------------------------------------------------------------- */

/*
 * What forks and ends outruns a look at all descendants. It does not outrun a look at the orphans,
 * repeated at once: each of its processes becomes one.
 */
#define BURST 4000 /* us */

struct burst {
    const struct guardian_tree *tree;
    struct known known;
    bool by_number;
    int signo;
    struct scan *asked;        /* each gets the signal once; NULL: each time */
    unsigned n_alive, n_moved; /* in one look */
    unsigned n_hit;            /* in all */
};

static bool contains(const struct scan *scan, const struct scan_process *p)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan->items[i].pid == p->pid && scan->items[i].start == p->start)
            return true;
    return false;
}

/* Remembers it. */
static bool is_asked(struct burst *b, const struct scan_process *p)
{
    if (!b->asked)
        return false;
    if (contains(b->asked, p))
        return true;
    (void)scan_add(b->asked, p->pid);
    return false;
}

static void hit_orphan(pid_t pid, void *userdata)
{
    struct burst *b = userdata;
    struct scan_process p;

    if (pid == b->tree->pid || is_known(pid, &b->known) || scan_read_process(pid, &p) < 0)
        return;
    if (may_have_been(b->tree, &p, &b->known)) {
        b->n_moved += waitpid(pid, NULL, WNOHANG) == pid;
        return;
    }
    if (p.dead || (!belongs(b->tree, &p, b->by_number) && !is_stray(b->tree, &p, &b->known)) ||
        is_asked(b, &p))
        return;
    /* A child that only we reap. */
    (void)kill(pid, b->signo);
    b->n_hit++;
    if (waitpid(pid, NULL, WNOHANG) == pid)
        b->n_moved++;
    else
        b->n_alive++;
}

/*
 * Whether more of them may be left. If only such as may be another worker's come and go, nothing
 * is.
 */
static bool hit_orphans(struct burst *b)
{
    uint64_t end = children_now() + BURST;

    do {
        b->n_alive = b->n_moved = 0;
        if (children_each(hit_orphan, b) < 0)
            break;
        if (b->n_alive > 0 && b->n_moved == 0)
            (void)sched_yield();
    } while (b->n_alive + b->n_moved > 0 && children_now() < end);
    return b->n_hit > 0 && b->n_alive + b->n_moved > 0;
}

static bool is_worth_a_burst(const struct burst *b, const struct scan *scan)
{
    struct known known = b->known;

    for (size_t i = 0; i < scan->n; i++) {
        const struct scan_process *p = &scan->items[i];

        if (p->pid != b->tree->pid && (p->marked || may_have_been(b->tree, p, &known)))
            return true;
    }
    return false;
}

ssize_t guardian_tree_kill(const struct guardian_tree *tree, guardian_known_fn known_fn,
                           void *userdata)
{
    struct scan_process leader;
    bool exists = scan_read_process(tree->pid, &leader) >= 0;
    bool by_number = number_is_ours(tree, exists ? &leader : NULL);
    struct scan scan = {0};

    if (exists)
        kill_group(tree, &leader);
    ssize_t r = find(&scan, tree, known_fn, userdata, by_number);
    if (r >= 0) {
        struct burst burst = {.tree = tree,
                              .known = {known_fn, userdata, -1},
                              .by_number = by_number,
                              .signo = SIGKILL};
        bool any = is_worth_a_burst(&burst, &scan);

        r = kill_marked(&scan);
        reap_marked(tree, &scan);
        /* What they had started are orphans now. */
        if (any && hit_orphans(&burst) && r == 0)
            r = 1;
    }
    scan_done(&scan);
    return r;
}

/* ---- what the leader has left ---------------------------------------------------------------- */

/* Passes that signal what was forked during the one before. */
#define ASK_PASSES_MAX 16

static int find_rest(struct scan *scan, const struct guardian_tree *tree,
                     guardian_known_fn known_fn, void *userdata)
{
    struct scan_process leader;
    bool exists = scan_read_process(tree->pid, &leader) >= 0;

    return find(scan, tree, known_fn, userdata, number_is_ours(tree, exists ? &leader : NULL));
}

static bool is_rest(const struct guardian_tree *tree, const struct scan_process *p)
{
    return p->marked && !p->dead && p->pid != tree->pid;
}

/* Signals those that are not in `before`. Returns how many these are. */
static size_t ask_new(const struct guardian_tree *tree, const struct scan *scan,
                      const struct scan *before, int signo)
{
    size_t n = 0;

    for (size_t i = 0; i < scan->n; i++) {
        const struct scan_process *p = &scan->items[i];

        if (!is_rest(tree, p) || contains(before, p))
            continue;
        n++;
        (void)scan_kill(p, signo);
        /* A stopped process would not handle the signal. */
        (void)scan_kill(p, SIGCONT);
    }
    return n;
}

static ssize_t count_rest(const struct guardian_tree *tree, const struct scan *scan,
                          struct process_names *names)
{
    ssize_t n = 0;

    for (size_t i = 0; i < scan->n; i++)
        if (is_rest(tree, &scan->items[i])) {
            n++;
            if (names)
                process_names_add(names, scan->items[i].pid);
        }
    return n;
}

/* Those that have come since. */
static void ask_orphans(const struct guardian_tree *tree, struct scan *asked,
                        guardian_known_fn known_fn, void *userdata, int signo)
{
    struct scan_process leader;
    bool exists = scan_read_process(tree->pid, &leader) >= 0;
    struct burst burst = {.tree = tree,
                          .known = {known_fn, userdata, -1},
                          .by_number = number_is_ours(tree, exists ? &leader : NULL),
                          .signo = signo,
                          .asked = asked};

    (void)hit_orphans(&burst);
}

ssize_t guardian_tree_signal(const struct guardian_tree *tree, guardian_known_fn known_fn,
                             void *userdata, int signo)
{
    struct scan before = {0}, scan = {0};
    ssize_t r = 0;

    for (unsigned pass = 0; pass < ASK_PASSES_MAX; pass++) {
        r = find_rest(&scan, tree, known_fn, userdata);
        if (r < 0)
            break;
        size_t n_new = ask_new(tree, &scan, &before, signo);
        r = count_rest(tree, &scan, NULL);
        scan_done(&before);
        before = scan;
        scan = (struct scan){0};
        if (n_new == 0)
            break;
    }
    if (r > 0)
        ask_orphans(tree, &before, known_fn, userdata, signo);
    scan_done(&before);
    scan_done(&scan);
    return r;
}

ssize_t guardian_tree_look(const struct guardian_tree *tree, guardian_known_fn known_fn,
                           void *userdata, struct process_names *names)
{
    struct scan scan = {0};
    ssize_t r = find_rest(&scan, tree, known_fn, userdata);

    if (r >= 0) {
        r = count_rest(tree, &scan, names);
        reap_marked(tree, &scan);
    }
    scan_done(&scan);
    return r;
}

/* ---- single processes ------------------------------------------------------------------------ */

/* A longer chain was built to be long. */
#define GENERATIONS_MAX 64

int guardian_tree_has(const struct guardian_tree *tree, pid_t pid, guardian_known_fn known_fn,
                      void *userdata)
{
    struct known known = {.fn = known_fn, .userdata = userdata, .never = -1};
    struct scan_process leader, p;
    bool exists = scan_read_process(tree->pid, &leader) >= 0;
    bool by_number = number_is_ours(tree, exists ? &leader : NULL), by_token = false;
    int r = scan_read_process(pid, &p);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < GENERATIONS_MAX && p.pid > 1 && p.pid != getpid(); i++) {
        if (by_number && bears_number(tree, &p))
            return 1;
        /* Anybody may set a variable, who has seen it in /proc. */
        by_token = by_token || bears_token(tree, &p);
        if (p.parent == getpid())
            return is_known(p.pid, &known) ? 0 : by_token ? 1 : -ENOLINK;
        if (scan_read_process(p.parent, &p) < 0)
            return 0;
    }
    return 0;
}

ssize_t guardian_reap_orphans(guardian_known_fn known_fn, void *userdata, int signo,
                              struct process_names *names)
{
    struct known known = {.fn = known_fn, .userdata = userdata, .never = -1};
    struct scan scan = {0};
    ssize_t r = descendants(&scan, &known), alive = 0;

    for (size_t i = 0; r >= 0 && i < scan.n; i++) {
        const struct scan_process *p = &scan.items[i];
        reap(p);
        alive += !p->dead;
        if (p->dead)
            continue;
        if (names)
            process_names_add(names, p->pid);
        if (signo > 0)
            (void)scan_kill(p, signo);
    }
    scan_done(&scan);
    return r < 0 ? r : alive;
}
