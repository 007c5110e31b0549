/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses are looked up once and tried repeatedly. */
#include <netdb.h>

#include <aiotools-sd/aiotools-sd.h>

int connect_for_ever(const char *host, const char *service, int (*talk)(int fd));

int connect_for_ever(const char *host, const char *service, int (*talk)(int fd))
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    int r, fd;

    r = ait_getaddrinfo(&addresses, host, service, &hints);
    while (r >= 0) {
        if (ait_connect_addresses(&fd, addresses, AIT_CONNECT_OPTIONS(.delay = 100000)) >= 0) {
            (void)talk(fd);
            (void)ait_close(fd);
        }
        r = ait_sleep(AIT_USEC_PER_SEC);
        if (r < 0)
            freeaddrinfo(addresses);
    }
    return r;
}
