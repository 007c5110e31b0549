/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reach.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "find-program.h"
#include "strv.h"
#include "tail.h"

#define NAMED_MAX 4
#define PATH_SIZE 256 /* longer ones are not looked at */

/* What it was told: "no". Landlock never says EPERM to an open. */
#define DENIED    "permission denied"
#define READ_ONLY "read-only file system"
static const char *const denied_words[] = {DENIED, "eacces",       "errno 13",
                                           "(13)", "accessdenied", NULL};
/* Where root would write outside. */
static const char *const read_only_words[] = {READ_ONLY, "erofs", "errno 30", "(30)", NULL};
/* Landlock says neither, and the filter no other, where root changes attributes or opens sockets.
 */
static const char *const refused_words[] = {"operation not permitted", "eperm", "errno 1]", NULL};
/* or "there is none", which is what many make of it. */
static const char *const missing_words[] = {"no such file",
                                            "not found",
                                            "no module named",
                                            "cannot find",
                                            "can't find",
                                            "could not find",
                                            "could not open",
                                            "cannot open",
                                            "can't open",
                                            "failed to open",
                                            "could not load",
                                            "cannot load",
                                            "unable to",
                                            "failed to load",
                                            "temporary directory",
                                            "enoent",
                                            NULL};

/*
 * Below these, files are usually written; below those with `made`, only if they do not exist yet.
 */
static const struct {
    const char *path;
    bool made;
} written[] = {
    {"/var/log", false}, {"/var/lib", false}, {"/var/cache", false}, {"/var/spool", false},
    {"/tmp", true},      {"/var/tmp", true},  {"/dev/shm", true},    {"/run", true},
};

/* One of them is enough. */
static const char *const temporary[] = {"/tmp", "/var/tmp", NULL};

/* What programs speak of without a name. */
static const struct {
    const char *words, *path;
} unnamed[] = {
    {"temporary directory", "/tmp"}, {"temporary directory", "/var/tmp"},
    {"semlock", "/dev/shm"},         {"sem_open", "/dev/shm"},
    {"shm_open", "/dev/shm"},        {"shared memory", "/dev/shm"},
};

/* Without symbolic links */
struct allowed {
    char **read_only, **read_write; /* NULL-terminated */
    char **given;                   /* those of read_only that were given by name */
};

struct reach {
    bool to_write; /* what is considered was to be written */
    struct allowed allowed;
    char directory[PATH_SIZE]; /* of the worker */
    struct named {
        char path[PATH_SIZE], option[PATH_SIZE];
        bool write;
    } named[NAMED_MAX];
    unsigned n_named;
};

/* ---- what it may reach ----------------------------------------------------------------------- */

static int add_real(char ***list, size_t *n, char *const *paths)
{
    int r = 0;

    for (; paths && *paths && r >= 0; paths++) {
        char *real = realpath(*paths, NULL);

        r = real ? strv_append(list, n, real) : 0;
        free(real);
    }
    return r;
}

static int find_allowed(const struct revision *revision, struct allowed *a)
{
    const struct worker_sandbox *s = &revision->sandbox;
    size_t n_read = 0, n_write = 0, n_given = 0;
    int r = add_real(&a->read_only, &n_read, s->need_read_only);

    if (r >= 0)
        r = add_real(&a->read_only, &n_read, s->read_only);
    if (r >= 0)
        r = add_real(&a->given, &n_given, s->read_only);
    if (r >= 0)
        r = add_real(&a->read_write, &n_write, s->need_read_write);
    if (r >= 0)
        r = add_real(&a->read_write, &n_write, s->read_write);
    return r;
}

static void allowed_done(struct allowed *a)
{
    strv_free(a->read_only);
    strv_free(a->read_write);
    strv_free(a->given);
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    if (n == 1)
        return true;
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_below_any(const char *path, char *const *folders)
{
    while (folders && *folders && !is_below(path, *folders))
        folders++;
    return folders && *folders;
}

static bool can_read(const struct reach *reach, const char *path)
{
    return is_below_any(path, reach->allowed.read_only) ||
           is_below_any(path, reach->allowed.read_write);
}

/* ---- what to add ----------------------------------------------------------------------------- */

/* Too much to give away for one file in it: /etc, /home/me, /var/log, /usr/bin */
static bool is_broad(const char *folder)
{
    static const char *const crowded[] = {"/home", "/usr", "/var"};
    unsigned depth = 0;

    for (const char *p = folder; *p; p++)
        depth += p[0] == '/' && p[1];
    if (depth >= 3)
        return false;
    for (size_t i = 0; i < sizeof(crowded) / sizeof(crowded[0]); i++)
        if (is_below(folder, crowded[i]))
            return true;
    return depth < 2;
}

/* Cuts the last component. */
static void to_parent(char *path)
{
    char *slash = strrchr(path, '/');

    slash[slash == path] = '\0';
}

/* The folder that a file belongs to rather than the file, which is seldom the only one. */
static void choose_option(const struct reach *reach, struct named *named, bool exists)
{
    struct stat st;
    char folder[PATH_SIZE];

    memcpy(named->option, named->path, PATH_SIZE);
    if (exists && stat(named->path, &st) == 0 && S_ISDIR(st.st_mode))
        return;
    memcpy(folder, named->path, PATH_SIZE);
    to_parent(folder);
    if (!named->write && !is_broad(reach->directory) && is_below(folder, reach->directory))
        memcpy(named->option, reach->directory, PATH_SIZE);
    else if (!exists || !is_broad(folder))
        memcpy(named->option, folder, PATH_SIZE);
}

static bool is_temporary(const char *path)
{
    for (const char *const *p = temporary; *p; p++)
        if (strcmp(path, *p) == 0)
            return true;
    return false;
}

static bool is_named(const struct reach *reach, const struct named *n)
{
    for (unsigned i = 0; i < reach->n_named; i++) {
        const struct named *other = &reach->named[i];

        if (is_below(n->option, other->option) && n->write <= other->write)
            return true;
        if (is_temporary(n->option) && is_temporary(other->option))
            return true;
    }
    return false;
}

static void name(struct reach *reach, const char *path, bool write, bool exists)
{
    struct named *n = &reach->named[reach->n_named];

    if (reach->n_named == NAMED_MAX || strlen(path) >= PATH_SIZE)
        return;
    (void)snprintf(n->path, sizeof(n->path), "%s", path);
    n->write = write;
    choose_option(reach, n, exists);
    /* What lies in a folder that a worker may write is refused. */
    if (write && strcmp(reach->directory, n->option) != 0 && is_below(reach->directory, n->option))
        return;
    if (is_named(reach, n))
        return;
    for (unsigned i = reach->n_named; i-- > 0;)
        if (is_below(reach->named[i].option, n->option) && reach->named[i].write <= n->write)
            reach->named[i] = *n, n = &reach->named[i];
    reach->n_named += n == &reach->named[reach->n_named];
}

static bool is_written(const char *path, bool exists)
{
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
        if (is_below(path, written[i].path))
            return !exists || !written[i].made || strcmp(path, written[i].path) == 0;
    return !exists;
}

/* ---- what it named --------------------------------------------------------------------------- */

/* A file that is to be made is looked for as its folder. */
static bool find_real(const char *path, char real[static PATH_MAX], bool *ret_exists)
{
    char folder[PATH_SIZE];
    const char *base = strrchr(path, '/');
    size_t n;

    *ret_exists = realpath(path, real) != NULL;
    if (*ret_exists)
        return true;
    (void)snprintf(folder, sizeof(folder), "%s", path);
    to_parent(folder);
    if (errno != ENOENT || !base[1] || !realpath(folder, real))
        return false;
    n = strlen(real);
    (void)snprintf(real + n, PATH_MAX - n, "%s%s", n == 1 ? "" : "/", base + 1);
    return true;
}

/* Those of each process are different; ours are none of the worker's. */
static bool consider_proc(struct reach *reach, const char *path)
{
    if (!is_below(path, "/proc"))
        return false;
    if (!can_read(reach, "/proc") && reach->n_named < NAMED_MAX) {
        name(reach, "/proc", false, true);
        (void)snprintf(reach->named[reach->n_named - 1].path, PATH_SIZE, "%s", path);
    }
    return true;
}

/* `source`: a position in a program's text, which has been read. */
static void consider(struct reach *reach, const char *path, bool denied, bool source)
{
    char real[PATH_MAX];
    bool exists;

    if (consider_proc(reach, path))
        return;
    if (!find_real(path, real, &exists) || (!exists && !denied))
        return;
    if (is_below_any(real, reach->allowed.read_write))
        return;
    if (!can_read(reach, real))
        name(reach, real, reach->to_write || is_written(real, exists), exists);
    else if (denied && !source && (reach->to_write || is_below_any(real, reach->allowed.given)))
        name(reach, real, true, exists);
}

/* The length of the path that begins here: up to the same quotation mark, or the end of the word.
 */
static size_t path_length(const char *text, const char *end, char before)
{
    const char *stops =
        before == '\'' || before == '"' || before == '`' ? "\n'\"`" : " \t\n\r'\"`,;:()[]{}<>|";
    size_t n = 0;

    while (text + n < end && !strchr(stops, text[n]))
        n++;
    while (n > 1 && strchr("./", text[n - 1]))
        n--;
    return n;
}

static void consider_line(struct reach *reach, const char *line, const char *end, bool denied)
{
    char path[PATH_SIZE];

    for (const char *p = line; p < end; p++) {
        char before = p > line ? p[-1] : ' ';
        size_t n;

        if (*p != '/' || isalnum((unsigned char)before) || strchr("/._~-%@", before))
            continue;
        n = path_length(p, end, before);
        if (n > 1 && n < PATH_SIZE && p[1] != '/') {
            (void)snprintf(path, sizeof(path), "%.*s", (int)n, p);
            consider(reach, path, denied, p[n] == ':' && isdigit((unsigned char)p[n + 1]));
        }
        p += n > 0 ? n - 1 : 0;
    }
}

/* ---- what it named by halves ----------------------------------------------------------------- */

static void consider_read(struct reach *reach, const char *path)
{
    char real[PATH_MAX];

    if (realpath(path, real) && !can_read(reach, real))
        name(reach, real, false, true);
}

static void consider_command(struct reach *reach, const char *word)
{
    char *path = NULL, *refused = NULL;

    if (program_search(word, getenv("PATH"), NULL, &path, &refused) >= 0 && *path == '/')
        consider_read(reach, path);
    free(path);
    free(refused);
}

/* A file of its directory; with `sure`, also one that is to be made there, or a command. */
static void consider_word(struct reach *reach, const char *word, bool sure)
{
    char path[2 * PATH_SIZE];

    (void)snprintf(path, sizeof(path), "%s/%s", reach->directory, word);
    if (access(path, F_OK) == 0)
        consider(reach, path, sure, false);
    else if (sure && !strpbrk(word, "./"))
        consider_command(reach, word);
    else if (sure)
        consider(reach, path, true, false);
}

/* "ls: Permission denied", "Permission denied: 'a.txt'", "Permission denied @ rb_sysopen - a.txt"
 */
static void consider_words(struct reach *reach, const char *line, const char *end)
{
    static const char separators[] = " \t\r\n\"'`,;()[]{}<>|=";
    char word[PATH_SIZE];

    for (const char *p = line; p < end;) {
        size_t n = strcspn(p, separators), k = n;

        if (n > (size_t)(end - p))
            k = n = (size_t)(end - p);
        while (k > 0 && p[k - 1] == ':')
            k--;
        if (k > 0 && k < sizeof(word) && *p != '/') {
            bool quoted = p > line && strchr("\"'`", p[-1]);
            bool named = strncasecmp(p + k, ": " DENIED, strlen(": " DENIED)) == 0 ||
                         strncasecmp(p + k, ": " READ_ONLY, strlen(": " READ_ONLY)) == 0;

            (void)snprintf(word, sizeof(word), "%.*s", (int)k, p);
            consider_word(reach, word, quoted || named || (p >= line + 2 && p[-2] == '-'));
        }
        p += n + 1;
    }
}

static void consider_unnamed(struct reach *reach, const char *output)
{
    for (size_t i = 0; i < sizeof(unnamed) / sizeof(unnamed[0]); i++)
        if (strcasestr(output, unnamed[i].words) && access(unnamed[i].path, F_OK) == 0 &&
            !is_below_any(unnamed[i].path, reach->allowed.read_write))
            name(reach, unnamed[i].path, true, true);
}

static bool has_word(const char *line, const char *end, const char *const *words)
{
    char copy[TAIL_MAX];

    (void)snprintf(copy, sizeof(copy), "%.*s", (int)(end - line), line);
    while (*words && !strcasestr(copy, *words))
        words++;
    return *words;
}

/* With `all`, also the lines that say nothing of a file that could not be had. */
static void read_output(struct reach *reach, const char *output, bool all)
{
    for (const char *line = output; *line;) {
        const char *end = line + strcspn(line, "\n");
        reach->to_write = has_word(line, end, read_only_words);
        bool denied = reach->to_write || has_word(line, end, denied_words);

        if (all || denied || has_word(line, end, missing_words))
            consider_line(reach, line, end, denied);
        if (denied && reach->n_named == 0)
            consider_words(reach, line, end);
        line = end + (*end == '\n');
    }
}

/* ---- where it was started -------------------------------------------------------------------- */

/* A program in DIR/bin has its libraries below DIR. */
static void consider_prefix(struct reach *reach, const char *program)
{
    char prefix[PATH_SIZE];

    if (strlen(program) >= sizeof(prefix))
        return;
    (void)snprintf(prefix, sizeof(prefix), "%s", program);
    to_parent(prefix);
    if (strcmp(strrchr(prefix, '/'), "/bin") == 0 || strcmp(strrchr(prefix, '/'), "/sbin") == 0)
        to_parent(prefix);
    if (!is_broad(prefix))
        consider_read(reach, prefix);
}

static void consider_start(struct reach *reach, const struct revision *revision)
{
    if (strcmp(reach->directory, "/") != 0)
        consider_read(reach, reach->directory);
    consider_prefix(reach, revision->program);
    for (char **arg = revision->config->argv + 1; *arg; arg++)
        if (**arg == '/')
            consider_read(reach, *arg);
}

/* ---- in words -------------------------------------------------------------------------------- */

static void append(char *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(char *buffer, const char *format, ...)
{
    size_t n = strlen(buffer);
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(buffer + n, REACH_TEXT_MAX - n, format, ap);
    va_end(ap);
}

static const char *write_text(const struct reach *reach, char *buffer)
{
    buffer[0] = '\0';
    for (unsigned i = 0; i < reach->n_named; i++)
        append(buffer, "%s%s cannot be %s", i ? ", " : "", reach->named[i].path,
               reach->named[i].write ? "written" : "read");
    for (unsigned i = 0; i < reach->n_named; i++)
        append(buffer, "%s--read-%s=%s", i ? " " : "; add ",
               reach->named[i].write ? "write" : "only", reach->named[i].option);
    return buffer;
}

static bool is_refused_to_user(const struct revision *revision, const char *output)
{
    const char *end = output + strlen(output);

    return (revision->sandbox.root || revision->sandbox.own_user) &&
           has_word(output, end, refused_words) && !has_word(output, end, denied_words) &&
           !has_word(output, end, read_only_words);
}

const char *reach_describe(const struct revision *revision, const char *output,
                           char buffer[static REACH_TEXT_MAX])
{
    struct reach reach = {0};
    char cwd[PATH_SIZE] = "";
    const char *directory = revision->directory ?: getcwd(cwd, sizeof(cwd));

    if (revision->sandbox.identity == 0 || !directory || strlen(directory) >= PATH_SIZE)
        return NULL;
    if (is_refused_to_user(revision, output))
        return revision->sandbox.root
                   ? "root may not open unix sockets then, nor, without a mount namespace, change "
                     "the attributes of files; set --user=USER, or see which call it is by "
                     "--deny=explain and allow it in --policy"
                   : "a worker of the server's own user may not open unix sockets then; see which "
                     "call it is by --deny=explain, and allow it in --policy";
    (void)snprintf(reach.directory, sizeof(reach.directory), "%s", directory);
    if (find_allowed(revision, &reach.allowed) >= 0) {
        read_output(&reach, output, false);
        if (reach.n_named == 0)
            consider_unnamed(&reach, output);
        if (reach.n_named == 0)
            read_output(&reach, output, true);
        if (reach.n_named == 0)
            consider_start(&reach, revision);
    }
    allowed_done(&reach.allowed);
    if (reach.n_named > 0)
        return write_text(&reach, buffer);
    if (!has_word(output, output + strlen(output), denied_words) &&
        !has_word(output, output + strlen(output), read_only_words))
        return NULL;
    return "if it was denied a file, `strace -f -e trace=%file` shows which one; add --read-only= "
           "or --read-write=";
}
