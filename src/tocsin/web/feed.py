"""The feed: the buffer over HTTP. Four answers and no fifth (DESIGN.md section 7).

A bare ASGI application: an idle poll costs a look-up of its query and a comparison, and no JSON. What is
answered to many readers at once is encoded once. Under the product's own server most polls do not even
come here: see ``quick.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tocsin.core.buffer import Buffer, Gap, Page
from tocsin.core.page import weight
from tocsin.web import wire
from tocsin.web.asgi import Headers, Receive, Scope, Send, leaving, read_body, send_answer, send_problem
from tocsin.web.elsewhere import check, no_buffer
from tocsin.web.hold import Holding
from tocsin.web.node import MAX_WAIT, Node
from tocsin.web.problems import Problem
from tocsin.web.query import Query, parse_query, parse_resume
from tocsin.web.strict import loads

__all__ = ["BATCH_TYPE", "KINDS", "Answer", "Feed", "no_buffer", "not_ready"]

BATCH_TYPE: Final = "application/cloudevents-batch+json"
_JSON: Final = (b"content-type", b"application/json")
_BATCH: Final = (b"content-type", BATCH_TYPE.encode())
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
#: Queries, and bytes of answers, that are remembered; all are forgotten when there are more.
_MAX_QUERIES: Final = 4096
_MAX_ENCODED: Final = 8 << 20
_MAX_KEY: Final = 2048

Answer = tuple[int, Sequence[tuple[bytes, bytes]], bytes]
#: What is counted, by the status of an answer.
KINDS: Final = {200: "events", 204: "nothing", 410: "gap"}


def not_ready(reason: str) -> Problem:
    """The answer of a node that has not numbered its history yet."""
    return Problem("not-ready", reason, headers=[("retry-after", "1")])


class Feed:
    """Answers ``GET /api/v1/events`` and ``POST /api/v1/events/resume``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        settings = node.settings
        self.holding = Holding(lambda: node.buffer, settings.wait_slots)
        #: Answers given, by kind.
        self.answers: Counter[str] = Counter()
        self._queries: dict[bytes, Query] = {}
        self._encoded: dict[tuple[object, ...], Answer] = {}
        self._encoded_bytes = 0
        self._state: tuple[object, ...] = ()
        seconds = settings.shared_cache_seconds
        shared = f"public, max-age=0, s-maxage={seconds}" if seconds else "no-store"
        self._cache = (b"cache-control", shared.encode())
        wait = min(settings.poll_wait, MAX_WAIT) if settings.wait_slots else 0
        offer = f"interval={settings.poll_interval:g}, wait={wait:g}"
        # Past the slots readers come back by themselves: half as often, or the node would be shed twice.
        shed = f"interval={2 * settings.poll_interval:g}, wait=0"
        self._polls = {True: (b"tocsin-poll", offer.encode()), False: (b"tocsin-poll", shed.encode())}

    def wake(self) -> None:
        """There are new numbers in the buffer."""
        self.holding.wake()

    def close(self) -> None:
        """The node stops: held requests are answered now, and none is held any more."""
        self.holding.close()

    # -- headers -------------------------------------------------------------------------------

    @property
    def poll(self) -> tuple[bytes, bytes]:
        """The header that offers how to come back."""
        return self._polls[self.holding.free]

    def headers(self, cursor: object = None) -> list[tuple[bytes, bytes]]:
        """The headers of every answer of the feed; without a cursor, those of a refusal."""
        if cursor is None:
            cursor = self._node.buffer.cursor if self._node.buffer is not None else "-"
            return [(b"tocsin-cursor", str(cursor).encode()), self.poll, (b"cache-control", b"no-store")]
        return [(b"tocsin-cursor", str(cursor).encode()), self.poll, self._cache, _NOSNIFF]

    # -- GET -----------------------------------------------------------------------------------

    async def get(self, scope: Scope, receive: Receive, send: Send, extra: Headers, accept: bytes) -> None:
        """Answers one poll. ``extra``: headers for the reader's origin. Raises :exc:`Problem`."""
        buffer = self.ready()
        key, batch = scope["query_string"], b"batch" in accept
        query = self.query(key)
        found = self.look(key, query, buffer, batch=batch)
        if isinstance(found, int):
            with leaving(receive) as left:
                if not await self.holding.wait(query.interests, found, query.wait, left):
                    self.answers["left"] += 1
                    return
            found = self.conclude(key, query, buffer, batch=batch)
        status, headers, body = found
        self.answers[KINDS[status]] += 1
        await send_answer(send, status, [*headers, self.poll, *extra], body)

    def ready(self) -> Buffer:
        """The buffer, if there is one and its history is numbered. Raises :exc:`Problem`."""
        reason = self._node.readiness()
        if reason:
            raise not_ready(reason)
        buffer = self._node.buffer
        if buffer is None:
            raise no_buffer(self._node)
        return buffer

    def query(self, query_string: bytes) -> Query:
        """What the query of a URL asks, if the buffer can have it. Raises :exc:`Problem`."""
        query = self._queries.get(query_string)
        if query is None:
            query = parse_query(query_string)
            check(self._node, query.interests)
            if len(self._queries) >= _MAX_QUERIES:
                self._queries.clear()
            if len(query_string) <= _MAX_KEY:
                self._queries[query_string] = query
        return query

    # -- what a poll is told -------------------------------------------------------------------

    def look(self, key: bytes, query: Query, buffer: Buffer, *, batch: bool = False) -> Answer | int:
        """The answer to a poll, or the number of the buffer after which it waits for news.

        ``key`` is the text of the query. Raises :exc:`Problem`.
        """
        if query.wait and (number := self._quiet(query, buffer)) is not None:
            if self.holding.closed:
                raise not_ready("this node is being stopped")  # a monitor then asks another at once
            if self.holding.free:
                return number
        return self.answer(key, query, buffer, batch=batch)

    def conclude(self, key: bytes, query: Query, buffer: Buffer, *, batch: bool = False) -> Answer:
        """The answer to a poll that was held. Raises :exc:`Problem`."""
        if self.holding.closed and self._quiet(query, buffer) is not None:
            raise not_ready("this node is being stopped")
        return self.answer(key, query, buffer, batch=batch)

    def answer(self, key: bytes, query: Query, buffer: Buffer, *, batch: bool = False) -> Answer:
        """Status, headers without ``Tocsin-Poll``, and body."""
        if not query.full_seen and _is_at_end(query, buffer):
            return 204, [(b"tocsin-cursor", str(buffer.cursor).encode()), self._cache], b""
        if query.since is not None:
            return self._encode(query, buffer, batch)
        return self._shared(key, query, buffer, batch)

    def _quiet(self, query: Query, buffer: Buffer) -> int | None:
        """The number up to which there is nothing for this reader, if that is the last one."""
        if query.cursor is None:
            return None
        if _is_at_end(query, buffer):
            return buffer.last
        found = self.find(buffer, query)
        if isinstance(found, Gap) or found.entries or found.more:
            return None
        return found.cursor.number

    def find(self, buffer: Buffer, query: Query) -> Page | Gap:
        """What the buffer has for a query."""
        weigh = wire.weigh_brief if query.brief else weight
        limit, interests = query.limit, query.interests
        if query.seen is not None:
            after = query.after or ""
            return buffer.resume(after, query.seen, limit=limit, interests=interests, weigh=weigh)
        if query.since is not None:
            now = self._node.now()
            return buffer.recent(query.since, now, limit=limit, interests=interests, weigh=weigh)
        if query.whole:
            return buffer.window(limit=limit, interests=interests, weigh=weigh)
        if query.after is not None and query.cursor is None:
            return Gap("foreign", {}, buffer.cursor, buffer.seen())
        return buffer.since(query.cursor, limit=limit, interests=interests, weigh=weigh)

    def _shared(self, key: bytes, query: Query, buffer: Buffer, batch: bool) -> Answer:
        """The same question gets the same bytes until something changes."""
        state = (buffer.id, buffer.first, buffer.last, buffer.evicted, self._node.degraded())
        if state != self._state or self._encoded_bytes > _MAX_ENCODED:
            self._state, self._encoded, self._encoded_bytes = state, {}, 0
        answer = self._encoded.get((key, batch))
        if answer is None:
            answer = self._encoded[key, batch] = self._encode(query, buffer, batch)
            self._encoded_bytes += len(answer[2]) + 1024
        return answer

    def _encode(self, query: Query, buffer: Buffer, batch: bool) -> Answer:
        found = self.find(buffer, query)
        cursor = (b"tocsin-cursor", str(found.cursor).encode())
        if isinstance(found, Gap):
            problem = wire.gap_problem(buffer, self._node.name, found, self._node.settings.origins)
            kind = (b"content-type", b"application/problem+json")
            return 410, [kind, cursor, (b"cache-control", b"no-store"), _NOSNIFF], problem.body()
        headers = [cursor, self._cache, _NOSNIFF]
        if not found.entries and self._nothing_new(query, found):
            return 204, headers, b""
        if batch:
            return 200, [_BATCH, *headers], wire.batch(found)
        page = found
        if query.full_seen and query.seen is None:
            page = Page(found.entries, found.cursor, buffer.seen(found.cursor.number), found.more)
        body = wire.document(
            buffer,
            self._node.name,
            page,
            self._node.degraded(),
            short=query.brief,
            origins=self._node.settings.origins,
        )
        return 200, [_JSON, *headers], body

    @staticmethod
    def _nothing_new(query: Query, page: Page) -> bool:
        """Whether the reader is where it was: 204. Where it begins it is told its position in full."""
        if query.seen is not None:
            return not page.seen and not page.more
        if query.full_seen:
            return False
        return query.cursor is not None and query.cursor == page.cursor and not page.more

    # -- resume --------------------------------------------------------------------------------

    async def resume(self, scope: Scope, receive: Receive, send: Send, extra: Headers) -> None:
        """Answers a reader that comes from another node. Raises :exc:`Problem`."""
        kind = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Problem("unsupported-media-type", "send application/json")
        settings = self._node.settings
        body = await read_body(scope, receive, limit=settings.max_body, seconds=settings.body_timeout)
        buffer = self.ready()
        try:
            document = loads(body)
        except ValueError as error:
            raise Problem("bad-request", f"the body is not JSON: {error}") from None
        query = parse_resume(document)
        check(self._node, query.interests)
        status, headers, answer = self._encode(query, buffer, batch=False)
        self.answers[KINDS[status]] += 1
        await send_answer(send, status, [*headers, self.poll, *extra], answer)

    async def refuse(self, send: Send, problem: Problem, extra: Headers) -> None:
        """Sends a refusal, with the headers of the feed."""
        self.answers["refused"] += 1
        await send_problem(send, problem, [*self.headers(), _NOSNIFF, *extra])


def _is_at_end(query: Query, buffer: Buffer) -> bool:
    cursor = query.cursor
    return cursor is not None and cursor.number == buffer.last and cursor.buffer == buffer.id
