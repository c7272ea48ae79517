"""The feed: the buffer over HTTP. Four answers and no fifth (DESIGN.md section 7).

A bare ASGI application: an idle poll costs a look-up of its query, a comparison, and two ready-made
messages. What is answered to many readers at once is encoded once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tocsin.core.buffer import Buffer, Gap, Page
from tocsin.core.page import weight
from tocsin.web import wire
from tocsin.web.asgi import Headers, Message, Receive, Scope, Send, read_body, send_answer, send_problem
from tocsin.web.elsewhere import check, no_buffer
from tocsin.web.hold import Holding
from tocsin.web.node import MAX_WAIT, Node
from tocsin.web.problems import Problem
from tocsin.web.query import Query, parse_query, parse_resume
from tocsin.web.strict import loads

__all__ = ["BATCH_TYPE", "EMPTY", "Feed", "no_buffer", "not_ready"]

BATCH_TYPE: Final = "application/cloudevents-batch+json"
_JSON: Final = (b"content-type", b"application/json")
_BATCH: Final = (b"content-type", BATCH_TYPE.encode())
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
EMPTY: Final[Message] = {"type": "http.response.body", "body": b""}
#: Queries, and bytes of answers, that are remembered; all are forgotten when there are more.
_MAX_QUERIES: Final = 4096
_MAX_ENCODED: Final = 8 << 20
_MAX_KEY: Final = 2048

_Answer = tuple[int, Sequence[tuple[bytes, bytes]], bytes]


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
        self._encoded: dict[tuple[object, ...], _Answer] = {}
        self._encoded_bytes = 0
        self._state: tuple[object, ...] = ()
        self._idle: dict[bool, Message] = {}
        self._idle_at = -1
        #: The queries that are known to be idle at this number.
        self._idle_queries: set[bytes] = set()
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

    def idle(self, query_string: bytes) -> Message | None:
        """The answer to a poll that was idle before, if it still is: 204."""
        buffer = self._node.buffer
        if (
            query_string not in self._idle_queries
            or buffer is None
            or buffer.last != self._idle_at
            or self._node.readiness()
        ):
            return None
        message = self._idle.get(self.holding.free)
        if message is not None:
            self.answers["nothing"] += 1
        return message

    async def get(self, scope: Scope, receive: Receive, send: Send, extra: Headers, accept: bytes) -> None:
        """Answers one poll. ``extra``: headers for the reader's origin. Raises :exc:`Problem`."""
        buffer = self.ready()
        query = self.query(scope["query_string"])
        cursor = query.cursor
        if (
            cursor is not None
            and cursor.number == buffer.last
            and cursor.buffer == buffer.id
            and not query.wait
            and not query.full_seen
            and b"batch" not in accept
        ):
            await self._send_idle(scope["query_string"], buffer, send, extra)
            return
        if query.wait and cursor is not None:
            found = self.find(buffer, query)
            if isinstance(found, Page) and not found.entries and not found.more:
                number = found.cursor.number
                if self.holding.free and not await self.holding.wait(
                    query.interests, number, query.wait, receive
                ):
                    self.answers["left"] += 1
                    return
                if self.holding.closed and number == buffer.last:
                    raise not_ready("this node is being stopped")  # a monitor then asks another at once
        await self._send_found(scope["query_string"], query, buffer, send, extra, b"batch" in accept)

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

    async def _send_idle(self, key: bytes, buffer: Buffer, send: Send, extra: Headers) -> None:
        self.answers["nothing"] += 1
        if self._idle_at != buffer.last or len(self._idle_queries) >= _MAX_QUERIES:
            self._idle, self._idle_at, self._idle_queries = {}, buffer.last, set()
        if len(key) <= _MAX_KEY:
            self._idle_queries.add(key)
        free = self.holding.free
        message = self._idle.get(free)
        if message is None:
            headers = [(b"tocsin-cursor", str(buffer.cursor).encode()), self.poll, self._cache]
            message = self._idle[free] = {"type": "http.response.start", "status": 204, "headers": headers}
        if extra:
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)
        await send(EMPTY)

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

    async def _send_found(
        self, key: bytes, query: Query, buffer: Buffer, send: Send, extra: Headers, batch: bool
    ) -> None:
        if query.since is not None:
            answer = self._encode(query, buffer, batch)
        else:
            answer = self._shared(key, query, buffer, batch)
        status, headers, body = answer
        await send_answer(send, status, [*headers, self.poll, *extra], body)

    def _shared(self, key: bytes, query: Query, buffer: Buffer, batch: bool) -> _Answer:
        """The same question gets the same bytes until something changes."""
        state = (buffer.id, buffer.first, buffer.last, buffer.evicted, self._node.degraded())
        if state != self._state or self._encoded_bytes > _MAX_ENCODED:
            self._state, self._encoded, self._encoded_bytes = state, {}, 0
        answer = self._encoded.get((key, batch))
        if answer is None:
            answer = self._encoded[key, batch] = self._encode(query, buffer, batch)
            self._encoded_bytes += len(answer[2]) + 1024
        self.answers[_KINDS[answer[0]]] += 1
        return answer

    def _encode(self, query: Query, buffer: Buffer, batch: bool) -> _Answer:
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
        self.answers[_KINDS[status]] += 1
        await send_answer(send, status, [*headers, self.poll, *extra], answer)

    async def refuse(self, send: Send, problem: Problem, extra: Headers) -> None:
        """Sends a refusal, with the headers of the feed."""
        self.answers["refused"] += 1
        await send_problem(send, problem, [*self.headers(), _NOSNIFF, *extra])


_KINDS: Final = {200: "events", 204: "nothing", 410: "gap"}
