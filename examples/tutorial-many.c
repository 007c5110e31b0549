/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

struct job {
    unsigned ms;
    int result;
};

static int work(void *userdata)
{
    const struct job *job = userdata;
    int r = ait_sleep(job->ms * AIT_USEC_PER_MSEC);

    return r < 0 ? r : job->result;
}

static struct job jobs[] = {{30, 1}, {10, 2}, {20, 3}};
static const char *const names[] = {"Alpha", "Beta", "Gamma"};
static const ait_call calls[] = {
    {work, &jobs[0], NULL}, {work, &jobs[1], NULL}, {work, &jobs[2], NULL}};

static int all_of_them(void)
{
    int results[3];
    int r = ait_gather(calls, 3, NULL, results);

    if (r >= 0)
        printf("all: %d %d %d\n", results[0], results[1], results[2]);
    return r;
}

static int the_first(void)
{
    size_t winner;
    int r = ait_race(calls, 3, NULL, &winner, NULL);

    if (r >= 0)
        printf("the first: %s, %d\n", names[winner], r);
    return r;
}

static int each_as_it_ends(void)
{
    AIT_COMPLETION(completion);
    size_t index;
    int r, result;

    r = ait_completion_open(&completion, calls, 3, NULL);
    while (r >= 0 && (r = ait_completion_next(completion, &index, &result)) > 0)
        printf("%s: %d\n", names[index], result);
    return r;
}

static int many(void *userdata)
{
    int r = all_of_them();

    (void)userdata;
    if (r >= 0)
        r = the_first();
    return r < 0 ? r : each_as_it_ends();
}

int main(void)
{
    return ait_run(many, NULL, 0) < 0;
}
