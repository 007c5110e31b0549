# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows of bench-ait on Python's asyncio. Rows, options and output are those of harness.h."""

import argparse
import asyncio
import sys
import time


def sample(prefix, operations, cpu, wall):
    print(f"{prefix}cpu_ns {(time.process_time_ns() - cpu) / operations:.3f}")
    print(f"{prefix}wall_ns {(time.monotonic_ns() - wall) / operations:.3f}")


def clocks():
    return time.process_time_ns(), time.monotonic_ns()


def kilobytes(path, key):
    with open(path, encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(key))


def memory():
    return kilobytes("/proc/self/smaps_rollup", "Rss:"), kilobytes("/proc/self/status", "VmPTE:")


async def spawn_and_join(n, body):
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(body())


async def yield_once():
    await asyncio.sleep(0)


async def end_at_once():
    pass


async def spawn_live(o):
    for _ in range(o.s):
        start = clocks()
        for _ in range(o.r):
            await spawn_and_join(o.n, yield_once)
        sample("", o.n * o.r, *start)


async def spawn_end(o):
    for _ in range(o.s):
        start = clocks()
        for _ in range(o.r):
            await asyncio.create_task(end_at_once())
        sample("", o.r, *start)


async def switch_same(o):
    async def body():
        for _ in range(o.r):
            await asyncio.sleep(0)

    for _ in range(o.s):
        start = clocks()
        await spawn_and_join(o.n, body)
        sample("", o.n * o.r, *start)


async def sleepers(n):
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(n)]
    await asyncio.sleep(0)
    return tasks


async def park(o):
    resident, tables = memory()
    tasks = await sleepers(o.n)
    after, tables_after = memory()
    print(f"resident_bytes {(after - resident) / o.n:.3f}\ntable_bytes {(tables_after - tables) / o.n:.3f}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def cancel(o):
    for _ in range(o.s):
        tasks = await sleepers(o.n)
        start = clocks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sample("", o.n, *start)


async def timers(o):
    seed = 1

    async def body():
        nonlocal seed
        seed = (seed * 1664525 + 1013904223) & 0xffffffff
        await asyncio.sleep((1000 + (seed >> 8) % 99000) / 1e6)

    for number in range(o.s):
        start = clocks()
        await spawn_and_join(o.n, body)
        sample("" if number else "cold_", o.n, *start)


async def echo(_o):
    async def serve(reader, writer):
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


ROWS = {"spawn-live": spawn_live, "spawn-end": spawn_end, "switch-same": switch_same, "park": park, "cancel": cancel,
        "timers": timers, "echo": echo}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("row")
    for name in ("-n", "-r", "-s"):
        parser.add_argument(name, type=int, default=1)
    options = parser.parse_args()
    if options.row not in ROWS:
        return 77
    asyncio.run(ROWS[options.row](options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
