/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For modules that run contexts. */

#include <aiotools-sd/defer.h>

/* The result r after an exit has returned k. */
static inline int ctx_combine(int r, int k)
{
    if (k > 0)
        return r < 0 ? 0 : r;
    return k < 0 && r >= 0 ? k : r;
}

static inline int ctx_enter(const ait_ctx *ctx, void **ret_value)
{
    return ctx->enter ? ctx->enter(ctx->userdata, ret_value) : 0;
}

static inline int ctx_exit(const ait_ctx *ctx, int r)
{
    return ctx->exit ? ctx->exit(ctx->userdata, r) : 0;
}
