"""The same feed as server-sent events: ``id:`` is the cursor, a gap is an event of its own.

A stream takes a slot like a held poll. Past the slots it is one answer and then ends, and the reader's
EventSource comes back after the interval that ``retry:`` says: short polls by another name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from tocsin.core.buffer import Buffer, Gap, Page
from tocsin.core.cursor import Cursor
from tocsin.web import wire
from tocsin.web.asgi import Headers, Receive, Scope, Send, leaving
from tocsin.web.feed import Feed
from tocsin.web.node import Node
from tocsin.web.query import Query

__all__ = ["BEAT", "Streams"]

#: Seconds without news after which the reader is told where it is.
BEAT: Final = 15.0
_encode: Final = msgspec.json.Encoder().encode
_TYPE: Final = (b"content-type", b"text/event-stream; charset=utf-8")
#: nginx would collect the stream into blocks.
_UNBUFFERED: Final = (b"x-accel-buffering", b"no")
#: What comes next at so many positions is kept until there is news.
_MAX_STEPS: Final = 64


class _Step(NamedTuple):
    """What a reader is sent, where it is then, and whether there is more at once."""

    data: bytes
    cursor: Cursor
    more: bool


class Streams:
    """Answers readers of streams. What comes next at a position is made once for all who are there."""

    def __init__(self, feed: Feed, node: Node) -> None:
        self._feed, self._node = feed, node
        self._state: tuple[object, ...] = ()
        self._steps: dict[tuple[object, ...], _Step] = {}

    async def answer(self, scope: Scope, receive: Receive, send: Send, extra: Headers, last_id: str) -> None:
        """Answers one reader for as long as it stays. Raises :exc:`Problem` before the first byte."""
        feed = self._feed
        buffer = feed.ready()
        query = feed.query(scope["query_string"])
        if last_id:
            # A browser that comes back repeats the URL it began with, and says how far it got.
            query = msgspec.structs.replace(query, after=last_id, cursor=_cursor(last_id), since=None)
        feed.answers["stream"] += 1
        headers = [_TYPE, *feed.headers(buffer.cursor), _UNBUFFERED, *extra]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        retry = int(self._node.settings.poll_interval * 1000) * (1 if feed.holding.free else 2)
        await _write(send, f"retry: {retry}\n\n".encode())

        step = self._step(buffer, query, feed.find(buffer, query))
        with leaving(receive) as left:
            while True:
                await _write(send, step.data)
                if not step.more:
                    if not feed.holding.free:
                        break
                    if not await feed.holding.wait(query.interests, step.cursor.number, BEAT, left):
                        return
                step = self._next(buffer, query, step.cursor)
        await send({"type": "http.response.body", "body": b""})

    def _next(self, buffer: Buffer, query: Query, cursor: Cursor) -> _Step:
        state = (buffer.last, buffer.first, buffer.evicted)
        if state != self._state or len(self._steps) >= _MAX_STEPS:
            self._state, self._steps = state, {}
        key = (cursor.number, query.interests.text, query.brief)
        step = self._steps.get(key)
        if step is None:
            found = buffer.since(cursor, interests=query.interests)
            step = self._steps[key] = self._step(buffer, query, found)
        return step

    def _step(self, buffer: Buffer, query: Query, found: Page | Gap) -> _Step:
        data = b"".join(_events(buffer, self._node, query, found))
        return _Step(data, found.cursor, isinstance(found, Gap) or found.more)


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _events(buffer: Buffer, node: Node, query: Query, found: Page | Gap) -> Iterator[bytes]:
    if isinstance(found, Gap):
        problem = wire.gap_problem(buffer, node.name, found, node.settings.origins)
        yield b"event: gap\nid: %s\ndata: %s\n\n" % (str(found.cursor).encode(), problem.body())
        return
    encode = wire.brief if query.brief else wire.full
    for entry in found.entries:
        yield b"id: %s:%d\ndata: %s\n\n" % (buffer.id.encode(), entry.number, encode(entry))
    if not found.entries or found.cursor.number != found.entries[-1].number:
        told = {"cursor": str(found.cursor), "seen": found.seen, "degraded": node.degraded()}
        yield b"event: cursor\nid: %s\ndata: %s\n\n" % (str(found.cursor).encode(), _encode(told))


def _cursor(text: str) -> Cursor | None:
    try:
        return Cursor.parse(text)
    except ValueError:
        return None
