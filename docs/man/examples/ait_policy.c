#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <aiotools-sd/policy.h>

static const char text[] = "policy 1\n"
                           "include service\n"
                           "@resources: errno(EACCES)\n"
                           "socket arg0 == AF_VSOCK: errno(EPERM)\n";

int main(void)
{
    AIT_CLEANUP(ait_policy_unrefp) ait_policy *policy = NULL;
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    const uint64_t vsock[6] = {40 /* AF_VSOCK */, 1 /* SOCK_STREAM */};

    if (ait_policy_from_text(&policy, "example", text, strlen(text), &problem) < 0) {
        fprintf(stderr, "%s:%u:%u: %s\n", problem.file, problem.line, problem.column,
                problem.message);
        return 78;
    }
    ait_policy_action action = ait_policy_evaluate(policy, SYS_socket, vsock);
    printf("a socket for vsock: %s\n",
           action.kind == AIT_POLICY_ERRNO ? strerror(action.error) : "allowed");
    return 0;
}
