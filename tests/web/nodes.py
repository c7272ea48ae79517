"""A node for tests of the web: the real buffer, board, bus, and a clock that is set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from tocsin.core.board import Board
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Burst, Bus, Loss
from tocsin.core.event import Draft, report, seal
from tocsin.core.measures import Measures
from tocsin.core.recent import Recent
from tocsin.web.app import App, create_app
from tocsin.web.node import NotReady, Settings

__all__ = ["ID", "LIFE", "Node", "client", "serving"]

ID = "k3f9a.1"
LIFE = 1_790_000_000_000
WALL = "2026-11-23T12:00:00.000000Z"


class Node:
    """One node without rails: what it publishes it numbers itself."""

    def __init__(self, *, buffer: bool = True, retain: float = 300.0, **settings: Any) -> None:
        self.cluster, self.name = "test", "node1"
        self.settings = Settings(**settings)
        self.bus, self.board = Bus(), Board()
        self.buffer = Buffer(ID, retain=retain) if buffer else None
        self.recent, self.measures = Recent(), Measures()
        self.seconds, self.last = 0.0, 0
        self.why_not_ready = ""
        self.are_degraded: tuple[str, ...] = ()
        self.known = {"node1": "http://node1:8340", "node2": "http://node2:8340"}
        self.listens = False
        self.bus.subscribe(self._number)
        self.app: App = create_app(self)

    def _number(self, item: Arrival | Loss) -> None:
        if isinstance(item, Arrival):
            self.board.fold(item.event)
        if self.buffer is not None and isinstance(item, Arrival):
            self.buffer.append(item, self.now(), self.wall())
        elif self.buffer is not None and isinstance(item, Loss):
            self.buffer.mark(item, self.now(), self.wall())

    # -- what the web sees ------------------------------------------------------

    def now(self) -> float:
        """The clock, as the test has set it."""
        return self.seconds

    def wall(self) -> str:
        """Always the same."""
        return WALL

    def publish(self, drafts: Sequence[Draft]) -> list[str]:
        """Seals all, then publishes all."""
        if self.listens:
            raise NotReady("this node listens")
        events = [
            seal(draft, cluster="test", origin=self.name, incarnation=LIFE, seq=self.last + n, time=WALL)
            for n, draft in enumerate(drafts, start=1)
        ]
        self.last += len(events)
        for event in events:
            self.bus.publish(Burst.of([Arrival(event, self.now())]))
        return [event.sequence for event in events]

    def readiness(self) -> str:
        """As the test says."""
        return self.why_not_ready

    def degraded(self) -> tuple[str, ...]:
        """As the test says."""
        return self.are_degraded

    def urls(self) -> dict[str, str]:
        """Two nodes."""
        return self.known

    def feeds(self) -> dict[str, str]:
        """Those that keep a complete buffer."""
        whole = self.buffer is not None and not self.settings.origins
        return {name: url for name, url in self.known.items() if whole or name != self.name}

    def counters(self) -> dict[str, Any]:
        """Some of each form."""
        return {"events_published_total": float(self.last), "rail_sent_total": {'{rail="rail1"}': 3.0}}

    def forget(self, node: str) -> bool:
        """There is one that can be forgotten."""
        return node == "node9"

    # -- what tests do with it --------------------------------------------------

    def happen(self, *types: str, subject: str = "x") -> None:
        """Something happens on this node."""
        for type in types:
            self.publish([report(type, subject, "failed", "it happened")])


def client(node: Node, **options: Any) -> httpx.AsyncClient:
    """A client of the application, in process, under a name that the node knows."""
    transport = httpx.ASGITransport(app=node.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://node1:8340", **options)


@asynccontextmanager
async def serving(app: Callable[..., Any]) -> AsyncIterator[str]:
    """The application under a real server on a free port; gives its URL."""
    config = uvicorn.Config(
        app, port=0, http="httptools", ws="none", lifespan="off", log_config=None, server_header=False
    )
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    task = asyncio.create_task(server.serve(sockets=[socket]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        socket.close()
