"""The feed as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.web.nodes import ID, Node, serving
from tocsin.core.bus import Loss
from tocsin.web import stream

EVENTS = "/api/v1/events"


class Reader:
    """Reads a stream event by event."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines: AsyncIterator[str] = answer.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """The next event: its fields, ``data`` as JSON."""
        fields: dict[str, Any] = {}
        async with asyncio.timeout(3):
            async for line in self._lines:
                if not line:
                    return fields
                name, _, value = line.partition(": ")
                fields[name] = json.loads(value) if name == "data" else value
        raise EOFError

    async def rest(self) -> list[str]:
        """What still comes until the stream ends."""
        async with asyncio.timeout(3):
            return [line async for line in self._lines if line]


async def open_stream(http: httpx.AsyncClient, url: str, query: str = "", **headers: str) -> httpx.Response:
    """Asks for a stream."""
    asked = {"accept": "text/event-stream", **{name.replace("_", "-"): v for name, v in headers.items()}}
    return await http.send(http.build_request("GET", url + EVENTS + query, headers=asked), stream=True)


async def test_a_stream_is_the_feed() -> None:
    """Events carry the cursor behind them as id; what a filter hides moves the position only."""
    node = Node()
    node.happen("service.failed", "adapter.down")
    async with serving(node.app) as url, httpx.AsyncClient() as http:
        answer = await open_stream(http, url, f"?after={ID}:0&on=service.*")
        reader = Reader(answer)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["tocsin-cursor"]
        assert await reader.next() == {"retry": "2000"}

        first = await reader.next()
        assert (first["id"], first["data"]["type"]) == (f"{ID}:1", "service.failed")
        position = await reader.next()
        assert (position["event"], position["id"]) == ("cursor", f"{ID}:2")
        node.happen("service.started")
        assert (await reader.next())["id"] == f"{ID}:3"
        node.bus.lose(Loss("node1", node.buffer.seen()["node1"], "1790000000000-000000000009"))  # type: ignore[union-attr]
        gap = await reader.next()
        assert (gap["event"], gap["id"], gap["data"]["reason"]) == ("gap", f"{ID}:4", "replica")
        await answer.aclose()


async def test_a_browser_that_comes_back_goes_on() -> None:
    """Last-Event-ID counts more than the URL that the browser repeats."""
    node = Node()
    node.happen("service.failed", "service.started")
    async with serving(node.app) as url, httpx.AsyncClient() as http:
        answer = await open_stream(http, url, "?after=0&view=brief", last_event_id=f"{ID}:1")
        reader = Reader(answer)
        await reader.next()
        assert (await reader.next())["data"]["number"] == 2
        await answer.aclose()

        answer = await open_stream(http, url, "?after=0", last_event_id="rubbish")
        reader = Reader(answer)
        await reader.next()
        assert (await reader.next())["data"]["reason"] == "foreign"
        await answer.aclose()


async def test_without_news_the_position_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 15 s a reader learns that the feed lives and where it is."""
    monkeypatch.setattr(stream, "BEAT", 0.05)
    node = Node()
    async with serving(node.app) as url, httpx.AsyncClient() as http:
        reader = Reader(answer := await open_stream(http, url))
        await reader.next()
        for _ in range(3):
            assert (await reader.next())["data"] == {"cursor": f"{ID}:0", "seen": {}, "degraded": []}
        await answer.aclose()


async def test_past_the_slots_a_stream_is_one_answer() -> None:
    """A reader too many gets what there is and is asked to come back later; no error, nobody is lost."""
    node = Node(wait_slots=0)
    node.happen("service.failed")
    async with serving(node.app) as url, httpx.AsyncClient() as http:
        answer = await open_stream(http, url, "?after=0")
        text = (await answer.aread()).decode()

    assert text.startswith("retry: 4000\n\n")
    assert f"id: {ID}:1\n" in text


async def test_a_stream_ends_when_the_node_stops() -> None:
    """At shutdown streams end at once, so that readers go elsewhere."""
    node = Node()
    async with serving(node.app) as url, httpx.AsyncClient() as http:
        answer = await open_stream(http, url)
        reader = Reader(answer)
        await reader.next()
        await reader.next()
        node.app.close()
        await reader.rest()


async def test_who_leaves_frees_its_slot() -> None:
    """A stream that is hung up on ends here too."""
    node = Node()
    async with serving(node.app) as url:
        async with httpx.AsyncClient() as http:
            answer = await open_stream(http, url)
            await Reader(answer).next()
            await answer.aclose()
        async with asyncio.timeout(2):
            while node.app.feed.holding.count:
                await asyncio.sleep(0.01)


async def test_a_stream_may_be_refused() -> None:
    """Before the first byte a stream has the same refusals as a poll."""
    node = Node()
    async with serving(node.app) as url, httpx.AsyncClient() as http:
        assert (await open_stream(http, url, "?nonsense=1")).status_code == 400
        node.why_not_ready = "joining"
        assert (await open_stream(http, url)).status_code == 503
