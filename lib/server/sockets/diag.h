/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * diag: what the diagnosis of sockets (sock_diag(7), as in ss(8)) knows of a listener and no other
 * call tells.
 */

#include "config/address.h"
#include <stdbool.h>

/*
 * Whether a TCP listener demands signatures (TCP_MD5SIG), so that nobody without its key can
 * connect. False also where it cannot be found out: that takes CAP_NET_ADMIN. It reads of all
 * listeners at the port.
 */
bool diag_has_keys(int fd, const struct address *a);
