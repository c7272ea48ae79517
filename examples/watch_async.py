"""Two watchers in one asyncio program, with a time limit for silence.

python examples/watch_async.py http://node1:8340 http://node2:8340
"""

# ruff: noqa: T201 (an example prints)
from __future__ import annotations

import asyncio
import sys

from tocsin.monitor import AsyncMonitor, Gap

URLS = sys.argv[1:] or ["http://127.0.0.1:8340"]


async def watch(name: str, on: str) -> None:
    """Prints what is of interest; says so when nothing has happened for a minute."""
    async with AsyncMonitor(URLS, on=on) as monitor:
        items = aiter(monitor)
        while True:
            try:
                async with asyncio.timeout(60):  # loses nothing: the request goes on
                    item = await anext(items)
            except TimeoutError:
                print(f"{name}: nothing for a minute; {monitor.state} via {monitor.node}", flush=True)
                continue
            what = (
                f"gap: {item.reason}"
                if isinstance(item, Gap)
                else f"{item['type']} {item.get('subject', '')}"
            )
            print(f"{name}: {what}", flush=True)


async def main() -> None:
    """Both at once."""
    async with asyncio.TaskGroup() as group:
        group.create_task(watch("services", "service.*"))
        group.create_task(watch("network", "adapter.* rail.* node.*"))


if __name__ == "__main__":
    asyncio.run(main())
