/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Static probes (USDT) for perf, bpftrace and SystemTap, provider aiotools_sd: one nop each until
 * somebody attaches; nothing at all where the build has no <sys/sdt.h>, or was told not to (option
 * usdt). The list, with the arguments, is in ait_loop_dump(3).
 *
 * A switch has none: there is a copy of it in each call that suspends.
 */

#ifdef AIT_HAVE_SDT
#include <sys/sdt.h>
#define PROBE1(name, a)       DTRACE_PROBE1(aiotools_sd, name, a)
#define PROBE2(name, a, b)    DTRACE_PROBE2(aiotools_sd, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(aiotools_sd, name, a, b, c)
#else
#define PROBE1(name, a)       ((void)0)
#define PROBE2(name, a, b)    ((void)0)
#define PROBE3(name, a, b, c) ((void)0)
#endif
