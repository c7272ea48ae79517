"""Plain polls, answered with bytes that are ready: what most requests of most viewers are.

A viewer's polls differ in nothing but their query. So a connection whose last request was plain (see
:class:`tocsin.web.connection.Connection`) asks here with that query alone, and all viewers at the same
position are given the same bytes. Whatever is special is left to the application.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tocsin.core.buffer import Buffer
from tocsin.core.interest import Interests
from tocsin.web.asgi import Headers
from tocsin.web.feed import KINDS, Feed
from tocsin.web.hold import ticks
from tocsin.web.node import Node
from tocsin.web.problems import MEDIA_TYPE, Problem

__all__ = ["Quick", "Told", "Wait", "whole"]

#: Answers and their bytes that are kept ready; all are forgotten when there are more, and with each event.
_MAX_READY: Final = 4096
_MAX_BYTES: Final = 8 << 20
_PHRASES: Final = {
    200: b"OK", 204: b"No Content", 400: b"Bad Request", 410: b"Gone", 503: b"Service Unavailable",
}  # fmt: skip


class Told(NamedTuple):
    """A whole answer. ``kind`` is how it is counted."""

    kind: str
    data: bytes


class Wait(NamedTuple):
    """There is nothing for these interests up to ``number``: hold it for so many ticks."""

    interests: Interests
    number: int
    ticks: int


def whole(status: int, headers: Headers, body: bytes) -> bytes:
    """An answer of HTTP/1.1 on a connection that is kept."""
    lines = [b"HTTP/1.1 %d %s\r\n" % (status, _PHRASES[status])]
    lines += [b"%s: %s\r\n" % pair for pair in headers]
    if status != 204:
        lines.append(b"content-length: %d\r\n" % len(body))
    return b"".join((*lines, b"\r\n", body))


class Quick:
    """The answers that are ready. They are those of a :class:`Feed`."""

    def __init__(self, feed: Feed, node: Node) -> None:
        self.feed, self._node = feed, node
        #: The verdicts that a query is to be held; each is good for its number.
        self.waits: dict[bytes, Wait] = {}
        #: By whether a slot is free, which answers say; then by query.
        self._looks: dict[bool, dict[bytes, Told]] = {True: {}, False: {}}
        self._ends: dict[bytes, Told] = {}
        self._bytes = 0
        #: For which buffer, and where it began and ended.
        self._buffer: Buffer | None = None
        self._first = self._last = -1
        self._dressing: list[tuple[bytes, bytes]] = []

    def look(self, key: bytes, dressing: list[tuple[bytes, bytes]]) -> Told | Wait | None:
        """What a poll with this query is told now; None: that is for the application to say.

        ``dressing``: the server's own headers, a new list whenever they change.
        """
        if self._node.buffer is not self._buffer or dressing is not self._dressing:
            self._dress(dressing)
        buffer = self._buffer
        if buffer is None or self.feed.holding.closed:
            return None
        if buffer.last != self._last or buffer.first != self._first or self._bytes > _MAX_BYTES:
            self._forget(buffer)
        ready = self._looks[self.feed.holding.free]
        found = ready.get(key) or self._judge(key)
        if isinstance(found, Told):
            if len(ready) >= _MAX_READY:
                ready.clear()
            ready[key] = found
        elif found is not None:
            if len(self.waits) >= _MAX_READY:
                self.waits.clear()
            self.waits[key] = found
        return found

    def wait(self, key: bytes) -> Wait | None:
        """That this query is to be held, if that is known: the answer to most polls of all."""
        found = self.waits.get(key)
        if found is None or self._buffer is None or found.number != self._buffer.last:
            return None
        return found if self._node.buffer is self._buffer and self.feed.holding.free else None

    def conclude(self, key: bytes, dressing: list[tuple[bytes, bytes]]) -> bytes:
        """What a poll that was held is told in the end."""
        if self._node.buffer is not self._buffer or dressing is not self._dressing:
            self._dress(dressing)
        buffer = self._buffer
        if buffer is not None and (buffer.last != self._last or buffer.first != self._first):
            self._forget(buffer)
        found = self._ends.get(key)
        if found is None or self.feed.holding.closed:
            found = self._ends[key] = self._end(key)
        self.feed.answers[found.kind] += 1
        return found.data

    def refusal(self, problem: Problem) -> bytes:
        """A refusal as a whole answer, after which the connection ends."""
        kind = (b"content-type", MEDIA_TYPE.encode())
        headers = [*self._dressing, kind, *problem.headers, *self.feed.headers(), (b"connection", b"close")]
        return whole(problem.status, headers, problem.body())

    def _dress(self, dressing: list[tuple[bytes, bytes]]) -> None:
        """Other headers, once a second. Whether the node is ready is looked at as often."""
        self._dressing = dressing
        self._buffer = self._node.buffer if not self._node.readiness() else None
        if self._buffer is not None:
            self._forget(self._buffer)

    def _forget(self, buffer: Buffer) -> None:
        """What was ready is not true any more. (What is evicted is followed by a new number.)"""
        self._first, self._last, self._bytes = buffer.first, buffer.last, 0
        self.waits.clear()
        self._looks[True].clear()
        self._looks[False].clear()
        self._ends.clear()

    def _judge(self, key: bytes) -> Told | Wait | None:
        try:
            buffer, query = self.feed.ready(), self.feed.query(key)
            if query.since is not None or query.after is None:
                return None  # each of these is answered once to a reader
            found = self.feed.look(key, query, buffer)
        except Problem:
            return None
        if isinstance(found, int):
            return Wait(query.interests, found, ticks(query.wait))
        return self._told(*found)

    def _end(self, key: bytes) -> Told:
        try:
            buffer, query = self.feed.ready(), self.feed.query(key)
            return self._told(*self.feed.conclude(key, query, buffer))
        except Problem as problem:
            return Told("refused", self.refusal(problem))

    def _told(self, status: int, headers: Headers, body: bytes) -> Told:
        data = whole(status, [*self._dressing, *headers, self.feed.poll], body)
        self._bytes += len(data)
        return Told(KINDS[status], data)
