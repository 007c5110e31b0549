#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aiotools-sd/sandbox.h>

extern char **environ;

static void denied(ait_explainer *explainer, const ait_sandbox_event *event, void *userdata)
{
    (void)explainer;
    (void)userdata;
    printf("%s (pid %d) was denied %s\n", event->command, (int)event->pid,
           event->name ? event->name : "?");
}

int main(int argc, char **argv)
{
    char *program[] = {(char *)"/usr/bin/unshare", (char *)"--user", (char *)"true", NULL};
    AIT_CLEANUP(ait_policy_unrefp) ait_policy *policy = NULL;
    AIT_CLEANUP(ait_sandbox_unrefp) ait_sandbox *sandbox = NULL;
    AIT_CLEANUP(ait_explainer_freep) ait_explainer *explainer = NULL;
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    int pair[2], r = 0;

    if (argc > 1)
        argv++;
    else
        argv = program;
    if (ait_policy_from_preset(&policy, "service", &problem) < 0 ||
        ait_sandbox_new(&sandbox,
                        AIT_SANDBOX_OPTIONS(.policy = policy, .deny = AIT_SANDBOX_DENY_EXPLAIN,
                                            .capabilities = AIT_SANDBOX_SERVICE_CAPABILITIES,
                                            .flags = AIT_SANDBOX_EXEC),
                        &problem) < 0) {
        fprintf(stderr, "%s\n", problem.message);
        return 77;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return 71;
    pid_t pid = fork();
    if (pid == 0) {
        const char *step = "";
        if (ait_sandbox_prepare_child(sandbox, &step) == 0 &&
            ait_sandbox_enter_child(sandbox, pair[1], &step) == 0)
            ait_sandbox_execve(sandbox, argv[0], argv, environ);
        _exit(127);
    }
    close(pair[1]);
    if (pid > 0 && ait_explainer_new(&explainer, sandbox, pair[0], denied, NULL) == 0) {
        struct pollfd wait = {.fd = ait_explainer_fd(explainer), .events = POLLIN};
        while (r >= 0 && poll(&wait, 1, -1) > 0)
            r = ait_explainer_process(explainer);
    }
    close(pair[0]);
    return waitpid(pid, NULL, 0) == pid ? 0 : 71;
}
