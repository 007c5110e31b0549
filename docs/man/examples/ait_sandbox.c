#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <aiotools-sd/sandbox.h>

int main(void)
{
    AIT_CLEANUP(ait_policy_unrefp) ait_policy *policy = NULL;
    AIT_CLEANUP(ait_sandbox_unrefp) ait_sandbox *sandbox = NULL;
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    const char *step = "";

    if (ait_policy_from_preset(&policy, "strict", &problem) < 0 ||
        ait_sandbox_new(&sandbox, AIT_SANDBOX_OPTIONS(.policy = policy), &problem) < 0) {
        fprintf(stderr, "%s\n", problem.message);
        return 77;
    }
    printf("%s\n", ait_sandbox_text(sandbox));
    fflush(stdout);
    int r = ait_sandbox_enter(sandbox, &step);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", step, strerror(-r));
        return 77;
    }
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0)
        printf("no files from here on: %s\n", strerror(errno));
    return 0;
}
