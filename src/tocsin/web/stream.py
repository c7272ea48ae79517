"""The same feed as server-sent events: ``id:`` is the cursor, a gap is an event of its own.

A stream takes a slot like a held poll. Past the slots it is one answer and then ends, and the reader's
EventSource comes back after the interval that ``retry:`` says: short polls by another name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from tocsin.core.buffer import Buffer, Gap, Page
from tocsin.core.cursor import Cursor
from tocsin.web import wire
from tocsin.web.asgi import Headers, Receive, Scope, Send
from tocsin.web.feed import Feed
from tocsin.web.node import Node
from tocsin.web.query import Query

__all__ = ["BEAT", "stream"]

#: Seconds without news after which the reader is told where it is.
BEAT: Final = 15.0
_encode: Final = msgspec.json.Encoder().encode
_TYPE: Final = (b"content-type", b"text/event-stream; charset=utf-8")
#: nginx would collect the stream into blocks.
_UNBUFFERED: Final = (b"x-accel-buffering", b"no")


async def stream(
    feed: Feed, node: Node, scope: Scope, receive: Receive, send: Send, extra: Headers, last_id: str
) -> None:
    """Answers one reader for as long as it stays. Raises :exc:`Problem` before the first byte."""
    buffer = feed.ready()
    query = feed.query(scope["query_string"])
    if last_id:
        # A browser that comes back repeats the URL it began with, and says how far it got.
        query = msgspec.structs.replace(query, after=last_id, cursor=_cursor(last_id), since=None)
    feed.answers["stream"] += 1
    headers = [_TYPE, *feed.headers(buffer.cursor), _UNBUFFERED, *extra]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    retry = int(node.settings.poll_interval * 1000) * (1 if feed.holding.free else 2)
    await _write(send, f"retry: {retry}\n\n".encode())

    found = feed.find(buffer, query)
    while True:
        await _write(send, b"".join(_events(buffer, node, query, found)))
        position = found.cursor
        if isinstance(found, Gap) or found.more:
            found = buffer.since(position, interests=query.interests)
            continue
        if not feed.holding.free:
            break
        if not await feed.holding.wait(query.interests, position.number, BEAT, receive):
            return
        found = buffer.since(position, interests=query.interests)
    await send({"type": "http.response.body", "body": b""})


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
