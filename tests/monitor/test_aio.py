"""monitor/aio.py against real feeds over HTTP: the same promises as the blocking monitor, for asyncio."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from pathlib import Path

import pytest

from tests.monitor.feeds import FeedNode, impostor
from tests.monitor.test_sync import quick, short
from tocsin.monitor import AsyncMonitor, Event, Gap, NoContact, Refused

__all__ = ["quick"]


async def take(monitor: AsyncMonitor, most: int) -> list[str]:
    """The next so many, in short."""
    got: list[str] = []
    if most:
        async for item in monitor:
            got.append(short(item))
            if len(got) == most:
                break
    return got


async def test_events(one: FeedNode) -> None:
    """Events in pages, then live; leaving the loop loses none."""
    one.events("n1", 1, 10)
    async with AsyncMonitor(one.url, after="0", limit=4) as monitor:
        assert await take(monitor, 6) == [f"n1/{i}" for i in range(1, 7)]
        assert await take(monitor, 4) == [f"n1/{i}" for i in range(7, 11)]
        waiting = asyncio.create_task(take(monitor, 1))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        one.do("event", "n1", 11)
        assert await waiting == ["n1/11"]
        assert time.monotonic() - began < 1


async def test_failover(one: FeedNode, two: FeedNode) -> None:
    """A killed node's place is taken by one that is behind: each event once, and a gap where there is one."""
    one.events("n1", 1, 4)
    two.events("n1", 1, 3)
    async with AsyncMonitor([one.url, two.url], after="0") as monitor:
        assert await take(monitor, 4) == [f"n1/{i}" for i in range(1, 5)]
        one.kill()
        two.events("n1", 4, 5)
        two.do("mark", "n2", 1, 2)
        assert await take(monitor, 2) == ["n1/5", "gap replica"]
        assert monitor.node == two.url


@pytest.mark.usefixtures("quick")
async def test_frozen_node(one: FeedNode, two: FeedNode) -> None:
    """A node that hangs has failed."""
    for node in (one, two):
        node.do("event", "n1", 1)
    async with AsyncMonitor([one.url, two.url], after="0", wait=0.5) as monitor:
        assert await take(monitor, 1) == ["n1/1"]
        one.freeze()
        two.do("event", "n1", 2)
        assert await take(monitor, 1) == ["n1/2"]
        one.thaw()


async def test_cancelling_loses_nothing(one: FeedNode) -> None:
    """Who waits with a time limit again and again gets each event once."""
    got: list[str] = []
    seqs = count(1)
    async with AsyncMonitor(one.url, after="0") as monitor:
        items = aiter(monitor)
        while len(got) < 20:
            one.do("event", "n1", next(seqs))
            try:
                async with asyncio.timeout(0.03):
                    got.append(short(await anext(items)))
            except TimeoutError:
                pass
        assert got == [f"n1/{i}" for i in range(1, 21)]
    assert len(one.do("asked")) < 30


async def test_catch_up(one: FeedNode) -> None:
    """catch_up ends when there is nothing more for now, and asks again when it is called again."""
    one.events("n1", 1, 5)
    async with AsyncMonitor(one.url, after="0", limit=2) as monitor:
        assert [short(item) async for item in monitor.catch_up()] == [f"n1/{i}" for i in range(1, 6)]
        one.do("event", "n1", 6)
        assert [short(item) async for item in monitor.catch_up()] == ["n1/6"]


async def test_handlers(one: FeedNode, tmp_path: Path) -> None:
    """Handlers may be coroutine functions or plain ones; a run with a cursor file goes on where it was."""
    one.events("n1", 1, 2, "service.failed")
    one.do("mark", "n1", 3, 3)
    calls: list[str] = []
    for _ in range(2):
        monitor = AsyncMonitor(one.url, after="0", cursor_file=tmp_path / "cursor")

        @monitor.on("service.*")
        async def slow(event: Event) -> None:
            await asyncio.sleep(0)
            calls.append(short(event))

        @monitor.on("service.*", at_most_once=True)
        def plain(event: Event, monitor: AsyncMonitor = monitor) -> None:
            if short(event) == "n1/4":
                monitor._closed.set()

        @monitor.on_gap
        async def gap(gap: Gap, monitor: AsyncMonitor = monitor) -> None:
            calls.append(gap.reason)
            monitor._closed.set()

        async with monitor:
            await monitor.run()
        one.do("event", "n1", 4, "service.failed")
    assert calls == ["n1/1", "n1/2", "replica", "n1/4"]


async def test_close_ends_a_held_poll(one: FeedNode) -> None:
    """Closing ends whoever waits for an event, and the request."""
    monitor = AsyncMonitor(one.url)
    waiting = asyncio.create_task(take(monitor, 1))
    await asyncio.sleep(0.5)
    await monitor.close()
    assert await asyncio.wait_for(waiting, 1) == []


async def test_refused(one: FeedNode) -> None:
    """What every node refuses is an error."""
    async with AsyncMonitor(one.url, limit=10**6) as monitor:
        with pytest.raises(Refused):
            await take(monitor, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("body", [b"<h1>Log in</h1>", b" " * (9 << 20)])
async def test_impostors(body: bytes) -> None:
    """What is no feed is never live."""
    headers = {"Tocsin-Cursor": "a:1"} if len(body) > 100 else {}
    with impostor(200, headers, body) as url:
        async with AsyncMonitor(url, patience=0.3) as monitor:
            with pytest.raises(NoContact):
                await take(monitor, 1)


@pytest.mark.usefixtures("quick")
async def test_nobody_there(one: FeedNode) -> None:
    """Where nothing listens that is told after a while."""
    one.kill()
    async with AsyncMonitor([one.url, "nonsense"], patience=0.2) as monitor:
        with pytest.raises(NoContact):
            await take(monitor, 1)


def test_imported_late() -> None:
    """The package gives AsyncMonitor when it is asked for, and nothing else by surprise."""
    import tocsin.monitor

    with pytest.raises(AttributeError):
        tocsin.monitor.nothing  # noqa: B018
