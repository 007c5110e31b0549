/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call that may hang is abandoned if its caller is cancelled. Files are replaced, or written in
 * place. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <aiotools-sd/aiotools-sd.h>

static int ask_device(void *userdata)
{
    char *answer = userdata;

    memcpy(answer, "ok\n", 4);
    return 0;
}

static int ask(char *text, size_t n)
{
    char *answer = calloc(1, n); /* not in this frame, which may end first */
    int r, result = 0;

    if (!answer)
        return -ENOMEM;
    r = ait_offload_full(&result, ask_device, answer,
                         AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH, .destroy = free));
    if (r == -ECANCELED)
        return r; /* the answer no longer belongs to us */
    memcpy(text, answer, n);
    free(answer);
    return r < 0 ? r : result;
}

static int program(void *userdata)
{
    const char *path = userdata;
    char text[16];
    int r, fd;

    (void)ait_offload_configure(8, AIT_USEC_PER_SEC);
    r = ask(text, sizeof(text));
    if (r >= 0)
        r = ait_write_file(path, text, strlen(text), 0600);
    if (r < 0)
        return r;
    fd = ait_open(path, O_RDWR, 0);
    if (fd < 0)
        return fd;
    r = ait_pwrite(fd, "OK", 2, 0) == 2 && ait_fdatasync(fd) >= 0 && ait_fsync(fd) >= 0 ? 0 : -EIO;
    if (r >= 0 && ait_pread(fd, text, sizeof(text), 0) != 3)
        r = -EIO;
    (void)ait_close(fd);
    return r;
}

int main(int argc, char **argv)
{
    return argc != 2 || ait_run(program, argv[1], 0) < 0;
}
