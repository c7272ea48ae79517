"""The HTTP application of a node: the feed in front, everything else behind a router."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.routing import Router

from tocsin.web import files, pages
from tocsin.web.api import Api
from tocsin.web.asgi import Message, Receive, Scope, Send, send_answer, send_problem
from tocsin.web.feed import Feed
from tocsin.web.node import Node
from tocsin.web.problems import Problem
from tocsin.web.quick import Quick
from tocsin.web.security import Guard, Visit
from tocsin.web.stream import Streams

__all__ = ["App", "create_app"]

_FEED: Final = "/api/v1/events"
_RESUME: Final = "/api/v1/events/resume"
_log = logging.getLogger(__name__)


def create_app(node: Node) -> App:
    """The application of a node. It subscribes to the node's bus: create it after the buffer has."""
    return App(node)


class App:
    """An ASGI application. :meth:`close` answers held requests when the node stops."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.feed = Feed(node)
        self.quick = Quick(self.feed, node)
        self._streams = Streams(self.feed, node)
        self._guard = Guard(node)
        api = Api(node, self.feed)
        node.bus.subscribe_bursts(lambda burst: api.learn(burst.events))
        #: What the buffer has of former lives: posted again, it is not published twice.
        self.recall = api.learn
        node.bus.subscribe_bursts(lambda burst: self.feed.wake(), lambda loss: self.feed.wake())
        self._router = Router([*api.routes(), files.route(), *pages.routes(node)], redirect_slashes=False)

    def is_plain(self, scope: Scope) -> bool:
        """Whether a GET is so plain that only its query matters: what most polls are."""
        return self._guard.is_plain(scope)

    def close(self) -> None:
        """Answers held requests now, and holds none any more."""
        self.feed.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        is_feed = scope["path"] == _FEED or scope["path"] == _RESUME
        answer = _Answer(send)
        visit: Visit | None = None
        try:
            visit = self._guard.admit(scope)
            if visit.preflight is not None:
                await send_answer(answer, 204, visit.preflight)
            elif is_feed and await self._ask_feed(scope, receive, answer, visit):
                pass
            else:
                await self._ask_router(scope, receive, answer, visit)
        except Problem as problem:
            await self._refuse(scope, answer, problem, visit, is_feed=is_feed)
        except HTTPException as error:
            await self._refuse(scope, answer, _of_router(scope, error), visit, is_feed=is_feed)
        except Exception:
            _log.exception("a request failed: %s %s", scope["method"], scope["path"])
            if answer.started:
                raise
            failure = Problem("internal", "the log of this node says more")
            await self._refuse(scope, answer, failure, visit, is_feed=is_feed)

    async def _ask_feed(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> bool:
        """Whether the feed has answered; publishing is behind the router."""
        method = scope["method"]
        if scope["path"] == _RESUME:
            if method != "POST":
                raise Problem("method-not-allowed", f"{method} {_RESUME}", headers=[("allow", "POST")])
            await self.feed.resume(scope, receive, send, visit.cors)
        elif method == "GET":
            if b"text/event-stream" in visit.accept:
                await self._streams.answer(scope, receive, send, visit.cors, visit.last_event_id)
            else:
                await self.feed.get(scope, receive, send, visit.cors, visit.accept)
        elif method == "POST":
            return False
        else:
            raise Problem("method-not-allowed", f"{method} {_FEED}", headers=[("allow", "GET, POST")])
        return True

    async def _ask_router(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                headers += self._guard.headers(scope["path"], (name for name, _ in headers))
                message = {**message, "headers": [*headers, *visit.cors]}
            await send(message)

        scope["app"] = self  # the router then raises where there is no route
        await self._router(scope, receive, dressed)

    async def _refuse(
        self, scope: Scope, answer: _Answer, problem: Problem, visit: Visit | None, *, is_feed: bool
    ) -> None:
        if answer.started:
            raise problem
        cors = visit.cors if visit is not None else ()
        if is_feed:
            await self.feed.refuse(answer, problem, cors)
        else:
            headers = self._guard.headers(scope["path"], ())
            await send_problem(answer, problem, [*headers, *cors])


class _Answer:
    """Sends, and knows whether an answer has begun."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send, self.started = send, False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self.started = True
        await self._send(message)


def _of_router(scope: Scope, error: HTTPException) -> Problem:
    headers = list((error.headers or {}).items())
    if error.status_code == 405:
        return Problem("method-not-allowed", f"{scope['method']} {scope['path']}", headers=headers)
    return Problem("not-found", f"{scope['path'][:200]}", headers=headers)


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """WebSockets are closed; a server that announces its life is answered."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
