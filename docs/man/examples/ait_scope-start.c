/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <aiotools-sd/aiotools-sd.h>

/* A service that says when it is ready, and with what: here, its port. */
static int service(void *userdata)
{
    const int *port = userdata;
    int r;

    if (*port == 80)
        return -EADDRINUSE; /* before it has started: the starter's error */
    r = ait_task_started(*port);
    return r < 0 ? r : ait_sleep(AIT_USEC_INFINITY);
}

static int program(void *userdata)
{
    static int ports[] = {80, 8080};
    AIT_SCOPE(services);
    int r;

    r = ait_scope_enter(&services, AIT_SCOPE_FAIL_FAST);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < 2; i++) {
        r = ait_scope_start(services, NULL, service, &ports[i], NULL);
        if (r != -EADDRINUSE)
            break;
        printf("port %d is in use\n", ports[i]);
    }
    if (r >= 0)
        printf("port %d is ready\n", r);
    (void)ait_scope_cancel(services); /* ends the services, which would run for ever */
    return ait_scope_exit(services, r);
}

int main(void)
{
    int r = ait_run(program, NULL, 0);

    if (r < 0)
        fprintf(stderr, "%s\n", strerror(-r));
    return r < 0;
}
