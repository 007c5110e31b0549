/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter.h"
#include "policy.h"
#include "sandbox.h"

#define PROGRAM_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const char *const preset_names[] = {
    [SANDBOX_PRESET_SERVICE] = "service",
    [SANDBOX_PRESET_STRICT] = "strict",
    [SANDBOX_PRESET_LOG] = "log",
    [SANDBOX_PRESET_NONE] = "none",
};
#define N_PRESETS (sizeof(preset_names) / sizeof(preset_names[0]))

int sandbox_preset_from_name(const char *name, enum sandbox_preset *ret_preset)
{
    for (size_t i = 0; i < N_PRESETS; i++)
        if (strcmp(name, preset_names[i]) == 0) {
            *ret_preset = (enum sandbox_preset)i;
            return 0;
        }
    return -EINVAL;
}

const char *sandbox_preset_name(enum sandbox_preset preset)
{
    return (size_t)preset < N_PRESETS ? preset_names[preset] : "unknown";
}

/* The child's last step is to seal the file: seals are the proof of its success. */
static void __attribute__((noreturn))
compile_in_child(enum sandbox_preset preset, int fd, struct sandbox_failure *shared)
{
    const char *step = "sealing the seccomp program";
    int r = filter_write(preset, fd, &step);

    if (r >= 0 && fcntl(fd, F_ADD_SEALS, PROGRAM_SEALS) < 0) {
        r = -errno;
        step = "sealing the seccomp program";
    }
    /* Static strings have one address in both processes. */
    *shared = (struct sandbox_failure){.step = step, .error = r};
    _exit(r < 0);
}

static int run_compiler(enum sandbox_preset preset, int fd, struct sandbox_failure *shared)
{
    sigset_t all, before;
    sigfillset(&all);
    int r = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r < 0)
        return r;
    pid_t pid = fork();
    if (pid == 0)
        compile_in_child(preset, fd, shared);
    r = pid < 0 ? -errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        return r;
    /* ECHILD: the caller ignores SIGCHLD, and waitpid has waited all the same. */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

static int map_program(int fd, struct sandbox_program *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t size = (size_t)st.st_size;
    if (size == 0 || size % sizeof(struct sock_filter) != 0 ||
        size / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return -EBADMSG;
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    ret->filter = map;
    ret->n_filter = size / sizeof(struct sock_filter);
    ret->map_size = size;
    return 0;
}

static int compile_into(enum sandbox_preset preset, int fd, struct sandbox_failure *shared,
                        struct sandbox_program *ret, const char **ret_step)
{
    *ret_step = "starting the policy compiler";
    *shared = (struct sandbox_failure){.step = "the policy compiler died", .error = -ECHILD};
    int r = run_compiler(preset, fd, shared);
    if (r < 0)
        return r;
    if (fcntl(fd, F_GET_SEALS) != PROGRAM_SEALS) {
        *ret_step = shared->step;
        return shared->error < 0 ? shared->error : -EIO;
    }
    *ret_step = "reading the seccomp program";
    return map_program(fd, ret);
}

static int compile_filter(enum sandbox_preset preset, struct sandbox_program *ret, const char **ret_step)
{
    *ret_step = "memory for the policy compiler";
    struct sandbox_failure *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    int fd = memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r = fd < 0 ? -errno : compile_into(preset, fd, shared, ret, ret_step);
    if (fd >= 0)
        (void)close(fd);
    (void)munmap(shared, sizeof(*shared));
    return r;
}

static int add_quiet(struct sandbox_program *program, const char **ret_step)
{
    *ret_step = "answers for unknown system calls";
    ssize_t n = filter_quiet(program->quiet, SANDBOX_QUIET_MAX);
    if (n < 0)
        return (int)n;
    program->n_quiet = (size_t)n;
    return 0;
}

static int compile_service(struct sandbox_program *program, const char **ret_step)
{
    program->keep_capabilities = policy_service_capabilities;
    int r = add_quiet(program, ret_step);
    return r < 0 ? r : compile_filter(SANDBOX_PRESET_SERVICE, program, ret_step);
}

static int compile_preset(struct sandbox_program *program, const char **ret_step)
{
    switch (program->preset) {
    case SANDBOX_PRESET_SERVICE:
        return compile_service(program, ret_step);
    case SANDBOX_PRESET_LOG:
        return compile_filter(SANDBOX_PRESET_LOG, program, ret_step);
    case SANDBOX_PRESET_NONE:
        return 0;
    case SANDBOX_PRESET_STRICT:
        *ret_step = "strict is not available in this version; use service";
        return -EOPNOTSUPP;
    }
    *ret_step = "no such preset";
    return -EINVAL;
}

int sandbox_compile(enum sandbox_preset preset, struct sandbox_program *ret_program,
                    struct sandbox_failure *ret_failure)
{
    struct sandbox_program program = {.preset = preset, .keep_capabilities = UINT64_MAX};
    struct sandbox_failure failure = {0};

    failure.error = compile_preset(&program, &failure.step);
    if (failure.error < 0) {
        if (ret_failure)
            *ret_failure = failure;
        return failure.error;
    }
    *ret_program = program;
    return 0;
}

void sandbox_program_done(struct sandbox_program *program)
{
    if (!program)
        return;
    if (program->filter)
        (void)munmap((void *)program->filter, program->map_size);
    *program = (struct sandbox_program){.preset = SANDBOX_PRESET_NONE, .keep_capabilities = UINT64_MAX};
}
