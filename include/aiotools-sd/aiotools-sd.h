/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_AIOTOOLS_SD_H
#define AIT_AIOTOOLS_SD_H

/*
 * All headers of libaiotools-sd. Those of libaiotools-sd-sandbox are separate: sandbox.h and
 * policy.h.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/block.h>
#include <aiotools-sd/bus.h>
#include <aiotools-sd/cache.h>
#include <aiotools-sd/clock.h>
#include <aiotools-sd/ctxgroup.h>
#include <aiotools-sd/debug.h>
#include <aiotools-sd/defer.h>
#include <aiotools-sd/future.h>
#include <aiotools-sd/gather.h>
#include <aiotools-sd/interval.h>
#include <aiotools-sd/io.h>
#include <aiotools-sd/local.h>
#include <aiotools-sd/loop.h>
#include <aiotools-sd/offload.h>
#include <aiotools-sd/process.h>
#include <aiotools-sd/queue.h>
#include <aiotools-sd/resolve.h>
#include <aiotools-sd/scope.h>
#include <aiotools-sd/select.h>
#include <aiotools-sd/serve.h>
#include <aiotools-sd/signal.h>
#include <aiotools-sd/stream.h>
#include <aiotools-sd/sync.h>
#include <aiotools-sd/task.h>
#include <aiotools-sd/taskset.h>

#endif
