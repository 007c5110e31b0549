/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <aiotools-sd/aiotools-sd.h>

static int produce(void *userdata)
{
    static const char *words[] = {"one", "two", "three"};
    int r = 0;

    for (unsigned i = 0; i < 3 && r >= 0; i++) {
        r = ait_sleep(20 * AIT_USEC_PER_MSEC);
        if (r >= 0)
            r = ait_queue_put(userdata, (void *)words[i]);
    }
    return r < 0 ? r : ait_queue_close(userdata);
}

/* Prints what comes, and a dot while nothing does. */
static int consume(ait_queue *words)
{
    void *word;
    int r;

    for (;;) {
        ait_select_case cases[] = {
            AIT_CASE_GET(words, &word),
            AIT_CASE_AFTER(15 * AIT_USEC_PER_MSEC),
        };

        r = ait_select(cases, 2);
        if (r < 0)
            return r;
        if (r == 1)
            printf(".\n");
        else if (cases[0].result == 0)
            return 0; /* the queue is closed */
        else
            printf("%s\n", (const char *)word);
    }
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *words = NULL;
    int r;

    r = ait_queue_new(&words, 1, AIT_QUEUE_BLOCK, NULL);
    if (r >= 0)
        r = ait_task_spawn(NULL, produce, words, NULL);
    return r < 0 ? r : consume(words);
}

int main(void)
{
    int r = ait_run(program, NULL, 0);

    if (r < 0)
        fprintf(stderr, "%s\n", strerror(-r));
    return r < 0;
}
