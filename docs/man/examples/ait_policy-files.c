/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A policy from a file, or from a unit file of systemd. */
#include <stdio.h>

#include <aiotools-sd/policy.h>

int main(int argc, char **argv)
{
    AIT_CLEANUP(ait_policy_unrefp) ait_policy *policy = NULL;
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    int r;

    if (argc > 1)
        r = ait_policy_from_file(&policy, argv[1], &problem);
    else
        r = ait_policy_from_systemd(&policy, "a unit", "@system-service\n~@resources", &problem);
    if (r < 0) {
        fprintf(stderr, "%s:%u: %s\n", problem.file, problem.line, problem.message);
        return 78;
    }
    return ait_policy_write(policy, stdout, AIT_POLICY_FORMAT_NATIVE, &problem) < 0;
}
