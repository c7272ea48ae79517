"""The API beside the feed: publishing, the board, health, metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.core.errors import EventTooLarge
from tocsin.core.event import Draft, Event
from tocsin.core.remembered import Remembered
from tocsin.web import cloudevents, metrics
from tocsin.web.asgi import read_body
from tocsin.web.feed import Feed, not_ready
from tocsin.web.node import Node, NotReady
from tocsin.web.openapi import describe
from tocsin.web.problems import Problem
from tocsin.web.query import parameters

__all__ = ["Api"]

_encode: Final = msgspec.json.Encoder().encode
_Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """The routes, and what publishers have published."""

    def __init__(self, node: Node, feed: Feed) -> None:
        self._node, self._feed = node, feed
        self._remembered = Remembered()
        self._description = _encode(describe())

    def learn(self, events: Iterable[Event]) -> None:
        """Takes in what arrives on the bus."""
        self._remembered.learn(events)

    def routes(self) -> list[Route]:
        """All routes but the feed's."""
        return [
            Route("/api/v1/events", self.publish, methods=["POST"]),
            Route("/api/v1/board", _plain(self.board), methods=["GET"]),
            Route("/api/v1/nodes/{name}/forget", self.forget, methods=["POST"]),
            Route("/metrics", _plain(self.metrics), methods=["GET"]),
            Route("/livez", _plain(self.livez), methods=["GET"]),
            Route("/readyz", _plain(self.readyz), methods=["GET"]),
            Route("/openapi.json", _plain(self.openapi), methods=["GET"]),
        ]

    # -- publishing ----------------------------------------------------------------------------

    async def publish(self, request: Request) -> Response:
        """``POST /api/v1/events``: takes all events or none."""
        _no_parameters(request)
        settings = self._node.settings
        body = await read_body(
            request.scope, request.receive, limit=settings.max_body, seconds=settings.body_timeout
        )
        reason = self._node.readiness()
        if reason:
            raise not_ready(reason)
        headers = request.scope["headers"]
        drafts = cloudevents.read(headers, body, cluster=self._node.cluster, here=self._node.name)
        sequences = self._publish(drafts)
        headers_out = {"tocsin-cursor": str(self._node.buffer.cursor)} if self._node.buffer else {}
        return _json({"sequences": sequences, "origin": self._node.name}, status=202, headers=headers_out)

    def _publish(self, drafts: Sequence[Draft]) -> list[str]:
        """The sequence of each draft: its first one, if it was published before, here or elsewhere."""
        firsts = {(d.source, d.id): self._remembered.first(d.source, d.id) for d in drafts}
        new = {(d.source, d.id): d for d in reversed(drafts) if not firsts[d.source, d.id]}
        ordered = [draft for draft in drafts if new.get((draft.source, draft.id)) is draft]
        try:
            published = self._node.publish(ordered) if ordered else []
        except EventTooLarge as error:
            raise Problem("too-large", str(error)) from None
        except NotReady as error:
            raise not_ready(str(error)) from None
        for draft, sequence in zip(ordered, published, strict=True):
            firsts[draft.source, draft.id] = sequence
        return [firsts[draft.source, draft.id] for draft in drafts]

    async def forget(self, request: Request) -> Response:
        """``POST /api/v1/nodes/{name}/forget``: removes the name of a node that is gone for good."""
        _no_parameters(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem("unsupported-media-type", "send application/json")
        settings = self._node.settings
        await read_body(
            request.scope, request.receive, limit=settings.max_body, seconds=settings.body_timeout
        )
        name = request.path_params["name"]
        try:
            done = self._node.forget(name)
        except NotReady as error:
            raise not_ready(str(error)) from None
        if not done and self._node.board.node(name) is not None:
            raise Problem("conflict", f"{name} is up: only a node that is gone can be forgotten")
        if not done:
            raise Problem("not-found", f"there is no node {name[:80]!r} in this cluster")
        return _json({"forgotten": name})

    # -- the board -----------------------------------------------------------------------------

    async def board(self) -> Response:
        """``GET /api/v1/board``: every resource, with the cursor and seen they are valid at."""
        reason = self._node.readiness()
        if reason:
            raise not_ready(reason)
        buffer = self._node.buffer
        # The cursor first: who reads on from it misses nothing that the resources do not show.
        cursor = str(buffer.cursor) if buffer is not None else None
        seen = buffer.seen() if buffer is not None else {}
        now = datetime.fromisoformat(self._node.wall())
        document = {
            "cluster": self._node.cluster,
            "node": self._node.name,
            "cursor": cursor,
            "seen": seen,
            "degraded": self._node.degraded(),
            "resources": list(self._node.board.resources(now)),
        }
        return _json(document, headers={"tocsin-cursor": cursor} if cursor else {})

    # -- health --------------------------------------------------------------------------------

    async def livez(self) -> Response:
        """``GET /livez``: the agent runs."""
        return Response("ok\n", media_type="text/plain")

    async def readyz(self) -> Response:
        """``GET /readyz``: the history is numbered and the feed answers."""
        reason = self._node.readiness()
        if reason:
            raise not_ready(reason)
        return Response("ok\n", media_type="text/plain")

    async def metrics(self) -> Response:
        """``GET /metrics``: OpenMetrics."""
        return Response(metrics.render(self._node, self._feed), media_type=metrics.MEDIA_TYPE)

    async def openapi(self) -> Response:
        """``GET /openapi.json``: this API, for programs that generate clients."""
        return Response(self._description, media_type="application/json")


def _plain(answer: Callable[[], Awaitable[Response]]) -> _Handler:
    """A route without parameters."""

    async def handler(request: Request) -> Response:
        _no_parameters(request)
        return await answer()

    return handler


def _no_parameters(request: Request) -> None:
    for name, _ in parameters(request.scope["query_string"]):
        raise Problem(
            "bad-request", f"{name[:80]!r} is not known; there are no parameters", parameter=name[:80]
        )


def _json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(value), status_code=status, headers=headers, media_type="application/json")
