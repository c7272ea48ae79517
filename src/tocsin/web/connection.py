"""One connection of a viewer: uvicorn's, with bounds, and a short way for polls.

**Short way.** What a browser sends again and again is the same head with another query. A head that the
application found to be plain is remembered with its connection: the next request that is, byte for byte,
the same but for the query of the feed is answered without being parsed again (:mod:`tocsin.web.quick`).

**Bounds.** A head must be there within ten seconds and 64 KiB. An idle connection is closed after a while.
Who does not read what it is sent is cut off. Past so many connections each answer closes its own, so that
viewers share what there is; past all of them a viewer is sent away with 503 before it costs anything. One
timer looks after all connections.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final, cast

from msgspec import Struct
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tocsin.core.interest import EVERYTHING
from tocsin.web.app import App
from tocsin.web.asgi import Scope
from tocsin.web.problems import Problem
from tocsin.web.quick import Wait

__all__ = ["Bounds", "Connection", "Lobby"]

_GET: Final = b"GET /api/v1/events?"
_VERSION: Final = b" HTTP/1.1\r\n"
_END: Final = b"\r\n\r\n"
_MAX_HEAD: Final = 64 << 10
#: Seconds in which an answer may still be sent to a client that has ended its side.
_LAST: Final = 1.0


def _connections() -> int:
    """How many connections leave enough files for the rails, the disk and the generators."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return 1 << 20
    return files - min(512, files // 4)


class Bounds(Struct, frozen=True, kw_only=True):
    """What connections may cost; seconds and numbers."""

    #: For a head to arrive; without a request; with an answer that is not read.
    head: float = 10.0
    idle: float = 65.0
    stalled: float = 30.0
    #: Between two looks at all connections.
    look: float = 2.0
    #: Connections at once.
    connections: int = 0

    @property
    def crowded(self) -> int:
        """From so many connections on none is kept after its answer."""
        return self.connections * 3 // 4


class Lobby:
    """What all connections of a server share."""

    def __init__(self, app: App, bounds: Bounds | None = None) -> None:
        bounds = bounds or Bounds(connections=_connections())
        self.bounds, self.quick, self.is_plain = bounds, app.quick, app.is_plain
        self.all: set[Connection] = set()
        #: Whether connections are to be closed after their answers.
        self.is_crowded = False
        #: Monotonic seconds, a little behind.
        self.now = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        if self._timer is None:
            self._look()
        self.all.add(connection)
        self.is_crowded = len(self.all) > self.bounds.crowded
        connection.since = self.now
        return len(self.all) <= self.bounds.connections

    def leave(self, connection: Connection) -> None:
        """It is gone."""
        self.all.discard(connection)
        self.is_crowded = len(self.all) > self.bounds.crowded

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        for connection in list(self.all):
            connection.look(self.now)
        self._timer = loop.call_later(self.bounds.look, self._look)


class Connection(HttpToolsProtocol):
    """One connection. It is itself what waits (:class:`tocsin.web.hold.Waiter`) while its poll is held."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        lobby: Lobby,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._lobby, self._quick = lobby, lobby.quick
        self.interests, self.number, self.tick = EVERYTHING, 0, 0
        #: The query of a poll that is held.
        self._held: bytes | None = None
        #: What came after it already.
        self._late = b""
        #: What a plain head was like behind its query, and how long that is.
        self._plain, self._tail = b"", 0
        #: Bytes of a head that is not complete.
        self._head = 0
        self._is_new, self._turned_away = True, False
        #: When the last request was answered or a head began, and since when nothing is read.
        self.since, self._stalled = lobby.now, 0.0

    # -- what comes ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; if it is one too many it is told so once it has asked."""
        super().connection_made(transport)
        self._turned_away = not self._lobby.enter(self)
        if len(self._lobby.all) > self._lobby.bounds.connections + 64:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._lobby.leave(self)
        if self._held is not None:
            self._held = None
            self._quick.feed.holding.drop(self)
            self._quick.feed.answers["left"] += 1
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that ends its side may still read the answer, if that is being made."""
        if self._held is not None or self._is_answered():
            return False
        self.cycle.keep_alive = False
        self.loop.call_later(_LAST, self.transport.close)
        return True

    def data_received(self, data: bytes) -> None:
        """Takes the short way if that is possible."""
        if self._held is not None:
            self._keep(data)
        elif self._turned_away:
            self._turn_away()
        elif not (self._plain and data.endswith(self._plain) and self._ask_quickly(data)):
            self._ask(data)

    def _is_answered(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # there is none before the first request
        return cycle is None or cycle.response_complete

    def _ask_quickly(self, data: bytes) -> bool:
        if self._head or not self.cycle.response_complete or self.flow.write_paused or self._lobby.is_crowded:
            return False
        key, quick = data[len(_GET) : self._tail], self._quick
        if data[: len(_GET)] != _GET or b" " in key:
            return False
        found = quick.wait(key) or quick.look(key, self.server_state.default_headers)
        if isinstance(found, Wait):
            self._held = key
            quick.feed.holding.add(self, found.interests, found.number, found.ticks)
            return True
        if found is None:
            return False
        self.since = self._lobby.now
        quick.feed.answers[found.kind] += 1
        self.transport.write(found.data)
        return True

    def _ask(self, data: bytes) -> None:
        """The long way: parsed, and answered by the application."""
        begins = data.startswith(_GET) and not self._head and self._is_answered()
        super().data_received(data)
        if self._head:
            self._head += len(data)
            if self._head > _MAX_HEAD:
                self.send_400_response("the head of a request is too long")
        elif begins:
            self._plain = self._remembered(data) or self._plain
            self._tail = -len(self._plain)

    def _remembered(self, data: bytes) -> bytes:
        """What is behind the query, if the application would take another head like it as a plain poll."""
        at = data.find(_VERSION)
        is_one = at >= 0 and data.find(_END) == len(data) - len(_END)
        return data[at:] if is_one and self._lobby.is_plain(cast(Scope, self.scope)) else b""

    def _keep(self, data: bytes) -> None:
        """A client that does not wait for its answer: one at a time."""
        self._late += data
        if len(self._late) > _MAX_HEAD:
            self.transport.abort()

    def _turn_away(self) -> None:
        problem = Problem(
            "crowded", "this node has as many connections as it can", headers=[("retry-after", "2")]
        )
        self.transport.write(self._quick.refusal(problem))
        self.transport.close()

    # -- the parser says ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head, self.since = 1, self._lobby.now

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._head, self._is_new = 0, False
        super().on_headers_complete()
        if self._lobby.is_crowded and not self._is_answered():
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused like everything else."""
        if not self.transport.is_closing():
            self.transport.write(self._quick.refusal(Problem("bad-request", msg)))
            self.transport.close()

    # -- what is answered ---------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """An answer of the application is sent."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the lobby looks after that, with one timer for all
        self.since = self._lobby.now

    def release(self) -> None:
        """The poll that is held is answered."""
        key, self._held = self._held, None
        if key is None or self.transport.is_closing():
            return
        self.transport.write(self._quick.conclude(key, self.server_state.default_headers))
        self.since = self._lobby.now
        if self._quick.feed.holding.closed:
            self.transport.close()
        elif self._late:
            late, self._late = self._late, b""
            self.data_received(late)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent."""
        super().pause_writing()
        self._stalled = self._lobby.now

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        self._stalled = 0.0

    # -- bounds -------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Ends the connection where a bound is passed."""
        bounds = self._lobby.bounds
        if self.flow.write_paused:
            if now - self._stalled > bounds.stalled:
                self.transport.abort()
        elif self._head or self._is_new:
            if now - self.since > bounds.head:
                self.transport.close()
        elif self._held is None and self._is_answered():
            idle = min(bounds.idle, bounds.head / 2) if self._lobby.is_crowded else bounds.idle
            if now - self.since > idle:
                self.transport.close()
