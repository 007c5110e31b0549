/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>
#include <stdlib.h>

struct sum {
    const unsigned char *data;
    size_t n;
    unsigned result;
};

static int add_up(void *userdata) /* on a thread */
{
    struct sum *sum = userdata;

    for (size_t i = 0; i < sum->n; i++)
        sum->result = sum->result * 31 + sum->data[i];
    return 0;
}

static int checksum(void *userdata)
{
    struct sum sum = {0};
    void *data;
    int r;

    r = ait_read_file(&data, &sum.n, userdata, 1 << 20);
    if (r < 0)
        return r;
    sum.data = data;
    r = ait_offload(add_up, &sum);
    free(data);
    if (r < 0)
        return r;
    printf("%u\n", sum.result);
    return 0;
}

int main(void)
{
    return ait_run(checksum, "/proc/self/status", 0) < 0;
}
