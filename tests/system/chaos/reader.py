"""Monitors of the chaos run, as a program: ``python -m tests.system.chaos.reader KIND URL…``.

What each was told goes to standard output, a JSON object a line with ``at``, the monotonic clock that all
processes share: ``{"told": "origin/sequence"}``, or ``{"gap": reason, "lost": …, "node": URL}``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tocsin.monitor import AsyncMonitor, Event, Gap, Monitor, key_of

PATH = "/api/v1/events"
#: A filter that hides everything.
NEVER = "never.happens"


def write(**line: Any) -> None:
    """One line of the log."""
    sys.stdout.write(json.dumps({"at": time.monotonic(), **line}) + "\n")
    sys.stdout.flush()


def write_item(what: Event | Gap) -> None:
    """An event or a gap."""
    if isinstance(what, Gap):
        write(gap=what.reason, lost=what.lost, node=what.node)
    else:
        write(told=key_of(what))


async def asynchronous(urls: list[str]) -> None:
    """Iterates over an AsyncMonitor."""
    async with AsyncMonitor(urls, on="test.*") as monitor:
        async for what in monitor:
            write_item(what)


async def filtered(urls: list[str]) -> None:
    """An AsyncMonitor to which everything is hidden; it says where it is."""
    async with AsyncMonitor(urls, on=NEVER) as monitor:

        async def say() -> None:
            while True:
                await asyncio.sleep(0.5)
                write(cursor=monitor.position.cursor, node=monitor.node)

        saying = asyncio.create_task(say())
        async for what in monitor:
            write_item(what)
        saying.cancel()


def blocking(urls: list[str]) -> None:
    """Handlers of a Monitor, with everything of two nodes; the first URL is not the first node's."""
    monitor = Monitor([*urls[1:], urls[0]])

    @monitor.on("test.*@node1 node.* rail.*")
    def one(event: Event) -> None:
        write_item(event)

    @monitor.on("test.*@node2 test.*@node3")
    def other(event: Event) -> None:
        write_item(event)

    monitor.on_gap(write_item)
    monitor.run()


class Stream:
    """A reader of server-sent events, as anybody may write one: it keeps the id, and what it has seen."""

    def __init__(self, urls: list[str]) -> None:
        self.urls, self.at = urls, 0
        self.id, self.seen = "", dict[str, str]()

    async def read(self) -> None:
        """Reads on for ever, at the next node when one fails."""
        limits = httpx.Timeout(5, read=17)  # a stream beats each 15 s
        async with httpx.AsyncClient(timeout=limits, trust_env=False) as client:
            while True:
                try:
                    await self._connect(client)
                except (httpx.HTTPError, OSError):
                    self.at += 1
                await asyncio.sleep(0.5)

    async def _connect(self, client: httpx.AsyncClient) -> None:
        url = self.urls[self.at % len(self.urls)]
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.id} if self.id else {})
        async with client.stream("GET", url + PATH, params={"on": "test.*"}, headers=headers) as answer:
            if answer.status_code != 200:
                self.at += 1
                return
            async for fields in _blocks(answer):
                self.id = fields.get("id", self.id)
                self._take(fields.get("event", "message"), fields.get("data", ""), url)

    def _take(self, kind: str, data: str, url: str) -> None:
        if kind == "gap":
            problem = json.loads(data)
            lost = {o: pair for o, pair in problem["lost"].items() if pair[1] > self.seen.get(o, "")}
            for origin, sequence in problem["seen"].items():
                self.seen[origin] = max(sequence, self.seen.get(origin, ""))
            if lost or not problem["lost"]:
                write(gap=problem["reason"], lost=lost, node=url)
        elif kind == "message" and data:
            event = json.loads(data)
            if event["sequence"] > self.seen.get(event["origin"], ""):
                self.seen[event["origin"]] = event["sequence"]
                write_item(event)


async def _blocks(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            yield fields
            fields = {}
        else:
            name, _, value = line.partition(": ")
            fields[name] = value


class Watch:
    """Follows one node by plain requests: what it numbers, what its window shows, how it takes abuse."""

    def __init__(self, url: str) -> None:
        self.url, self.cursor = url, ""

    async def read(self) -> None:
        """For ever: pages, and each second the whole window and three cursors that mean nothing."""
        async with httpx.AsyncClient(base_url=self.url, timeout=4, trust_env=False) as client:
            looked = 0.0
            while True:
                try:
                    await self._page(client)
                    if time.monotonic() > looked + 1:
                        looked = time.monotonic()
                        await self._window(client)
                        await self._abuse(client)
                except (httpx.HTTPError, OSError):
                    await asyncio.sleep(0.3)

    async def _page(self, client: httpx.AsyncClient) -> None:
        query = {"after": self.cursor, "view": "brief", "wait": "0.5"} if self.cursor else {"view": "brief"}
        answer = await client.get(PATH, params=query)
        if answer.status_code not in (200, 204, 410):
            await asyncio.sleep(0.3)
            return
        after, self.cursor = self.cursor, answer.headers["tocsin-cursor"]
        line: dict[str, Any] = {"watch": self.url, "after": after, "cursor": self.cursor}
        if answer.status_code == 200:
            write(**line, page=_numbered(answer))
        elif answer.status_code == 410:
            gone = answer.json()
            self.cursor = gone["cursor"]
            write(**{**line, "cursor": self.cursor}, reason=gone["reason"], lost=gone["lost"])

    async def _window(self, client: httpx.AsyncClient) -> None:
        began = time.monotonic()
        query = {"after": "0", "view": "brief", "limit": "10000"}
        answer = await client.get(PATH, params=query)
        if answer.status_code == 200:
            cursor = answer.headers["tocsin-cursor"]
            write(watch=self.url, began=began, cursor=cursor, window=_numbered(answer))

    async def _abuse(self, client: httpx.AsyncClient) -> None:
        buffer, _, number = self.cursor.rpartition(":")
        abuses = {
            "future": f"{buffer}:{int(number or 0) + 1_000_000}",
            "foreign": "zzzzz.1:1",
            "text": "]'\"<",
        }
        for kind, cursor in abuses.items():
            answer = await client.get(PATH, params={"after": cursor})
            reason = answer.json().get("reason", "") if answer.status_code == 410 else ""
            write(watch=self.url, abuse=kind, status=answer.status_code, reason=reason)


def _numbered(answer: httpx.Response) -> list[tuple[int, str]]:
    return [(event["number"], key_of(event)) for event in answer.json()["events"]]


async def _watches(urls: list[str]) -> None:
    await asyncio.gather(*(Watch(url).read() for url in urls))


def main(kind: str, *urls: str) -> None:
    """Runs one of the monitors until it is killed."""
    if kind == "sync":
        blocking(list(urls))
        return
    kinds = {"async": asynchronous, "filtered": filtered, "watch": _watches}
    asyncio.run(Stream(list(urls)).read() if kind == "stream" else kinds[kind](list(urls)))


if __name__ == "__main__":
    main(*sys.argv[1:])
