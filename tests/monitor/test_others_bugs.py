"""What hurt the users of comparable systems, played with the Python monitors; see docs/borrowed-bugs.md."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from tests.monitor.feeds import FeedNode, impostor
from tests.web.browser.proxy import Proxy
from tocsin.core import follow
from tocsin.core.sequence import seq_of
from tocsin.monitor import AsyncMonitor, Gap, Monitor


@pytest.fixture
def proxy(one: FeedNode) -> Iterator[Proxy]:
    """A proxy before the first node."""
    proxy = Proxy(one.url)
    yield proxy
    proxy.close()


def numbers(monitor: Monitor, count: int) -> list[int]:
    """The sequence numbers of the next so many events; 0 is a gap."""
    items = islice(monitor, count)
    return [0 if isinstance(item, Gap) else seq_of(item["sequence"]) for item in items]


def asked_for(node: FeedNode, seconds: float) -> int:
    """How often a feed is asked in so many seconds."""
    before = len(node.do("asked"))
    threading.Event().wait(seconds)
    return len(node.do("asked")) - before


def test_a_thousand_events_in_one_millisecond(one: FeedNode) -> None:
    """1,000 events with the same time, in pages of 100: each once, in order (golongpoll 19)."""
    one.events("n1", 1, 1000)
    with Monitor(one.url, after="0", limit=100) as monitor:
        events = [item for item in islice(monitor, 1000) if isinstance(item, dict)]
    assert list(range(1, 1001)) == [seq_of(event["sequence"]) for event in events]
    assert 1 == len({event["time"] for event in events})
    pages = [each for each in one.do("asked") if "limit=100" in each]
    assert len(pages) <= 12


def test_an_event_between_reading_and_the_first_poll(one: FeedNode) -> None:
    """Who has read the state at a cursor, and then follows from there, misses nothing (Mercure)."""
    one.events("n1", 1, 2)
    cursor = one.do("cursor")
    one.do("event", "n1", 3)  # after the state was read, before the monitor asks
    with Monitor(one.url, after=cursor) as monitor:
        assert [3] == numbers(monitor, 1)


@pytest.mark.parametrize("kind", ["future", "foreign", "text"])
def test_a_cursor_that_cannot_be(one: FeedNode, kind: str) -> None:
    """From the future, of another cluster, or no cursor at all: a gap at once, never a hang (stfed 11)."""
    one.events("n1", 1, 3)
    here = one.do("cursor")
    after = {"future": here.replace(":3", ":9999"), "foreign": "zzzzz.1:2", "text": "]'\"<"}[kind]
    began = time.monotonic()
    with Monitor(one.url, after=after) as monitor:
        (gap,) = islice(monitor, 1)
        assert isinstance(gap, Gap)
        assert ("future" if kind == "future" else "foreign") == gap.reason
        assert time.monotonic() - began < 4
        one.do("event", "n1", 4)
        assert [4] == numbers(monitor, 1)


def test_an_evicted_cursor_never_makes_a_client_loop(one: FeedNode) -> None:
    """Evicted again and again: a request or two a second, and calm as soon as it is over (Rancher 5997)."""
    ended = threading.Event()

    def flood() -> None:
        seq = 0
        while not ended.wait(0.02):
            seq += 1
            one.do("event", "n1", seq)
            one.do("prune")

    thread = threading.Thread(target=flood)
    with Monitor(one.url, after=one.do("cursor")) as monitor:
        thread.start()
        reader = threading.Thread(target=lambda: list(islice(monitor, 200)), daemon=True)
        reader.start()
        threading.Event().wait(2)
        ended.set()
        thread.join()
        flooded = len([each for each in one.do("asked") if "after=" in each])
        threading.Event().wait(1.2)
        calm = asked_for(one, 1)
        monitor.close()
        reader.join(10)
    assert flooded <= 8  # one a second, the first ones, and some more for a slow machine
    assert calm <= 2


def test_asleep_for_two_hours(one: FeedNode, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Awake again, the connections dead, all it missed evicted: a gap as soon as it is known (unsee 133)."""
    monkeypatch.setattr(follow, "TIMEOUT", 0.5)
    one.events("n1", 1, 2)
    with Monitor([proxy.url, one.url], after="0", wait=1) as monitor:
        assert [1, 2] == numbers(monitor, 2)
        proxy.deaden()  # what it has open leads nowhere; and two hours later:
        one.events("n1", 3, 9)
        one.do("prune")
        began = time.monotonic()
        (gap,) = islice(monitor, 1)
        assert isinstance(gap, Gap)
        assert "evicted" == gap.reason
        assert ["n1"] == list(gap.lost)
        assert time.monotonic() - began < 8
        one.do("event", "n1", 10)
        assert [10] == numbers(monitor, 1)


async def test_two_monitors_on_one_node(one: FeedNode) -> None:
    """Each gets every event (salt 35798)."""

    async def all_of(monitor: AsyncMonitor) -> list[int]:
        async with monitor:
            items = [item async for item in monitor.catch_up()]
            while len(items) < 60:
                items.append(await anext(aiter(monitor)))
        return [0 if isinstance(item, Gap) else seq_of(item["sequence"]) for item in items]

    one.events("n1", 1, 30)
    readings = [asyncio.create_task(all_of(AsyncMonitor(one.url, after="0"))) for _ in range(2)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(one.events, "n1", 31, 60)
    for reading in readings:
        assert list(range(1, 61)) == await reading


def test_a_proxy_that_buffers(one: FeedNode, proxy: Proxy) -> None:
    """Each answer whole, and late: live, fresh, never stale; held polls work (vaadin 25751)."""
    proxy.delay = 0.3
    states: list[str] = []
    with Monitor(proxy.url, after="0") as monitor:
        monitor.on_state(lambda state, _node: states.append(state))
        for seq in range(1, 5):
            one.do("event", "n1", seq)
            assert [seq] == numbers(monitor, 1)
    assert ["live"] == states


def test_a_proxy_that_cuts_idle_requests(
    one: FeedNode, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy more impatient than the poll: no loop, nothing lost, not stale (Syncthing 8354)."""
    monkeypatch.setattr(follow, "BACKOFF", 0.2)
    proxy.cut = 0.5
    states: list[str] = []
    with Monitor(proxy.url, after="0") as monitor:
        monitor.on_state(lambda state, _node: states.append(state))
        for seq in range(1, 4):
            later = threading.Timer(1.2, one.do, ("event", "n1", seq))  # noqa: TID251 (no agent's loop)
            later.start()
            assert [seq] == numbers(monitor, 1)
            later.join()
    assert proxy.cuts >= 1
    assert "stale" not in states
    assert len(proxy.requests) <= 25


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>please log in</html>"), (204, b"")])
def test_a_captive_proxy(status: int, body: bytes) -> None:
    """What answers everything by itself is no contact: stale, never live (Kuma 1360)."""
    states: list[str] = []
    with impostor(status, {"Content-Type": "text/html"}, body) as url, Monitor(url) as monitor:

        def told(state: str, _node: str) -> None:
            states.append(state)
            if state == "stale":
                monitor.close()

        monitor.on_state(told)
        assert [] == list(monitor)
    assert ["trying", "stale"] == states
