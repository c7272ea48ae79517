"""The little of ASGI that the feed needs, without a framework in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from tocsin.web.problems import MEDIA_TYPE, Problem

__all__ = [
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "leaving",
    "read_body",
    "send_answer",
    "send_problem",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


async def send_answer(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Sends a whole answer."""
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, problem: Problem, headers: Headers = ()) -> None:
    """Sends a problem, with its own headers and ``headers``."""
    kind = (b"content-type", MEDIA_TYPE.encode())
    await send_answer(send, problem.status, [kind, *problem.headers, *headers], problem.body())


async def read_body(scope: Scope, receive: Receive, *, limit: int, seconds: float) -> bytes:
    """Reads the body of a request: at most ``limit`` bytes within ``seconds``.

    Raises :exc:`Problem`: 413, 408, or 400 where the client left.
    """
    close = [("connection", "close")]
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise Problem("too-large", f"the body has {value.decode()} bytes, at most {limit}", headers=close)
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem("bad-request", "the body is not complete")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise Problem("too-large", f"the body has more than {limit} bytes", headers=close)
                more = message.get("more_body", False)
    except TimeoutError:
        raise Problem("too-slow", f"it did not arrive within {seconds:g} s", headers=close) from None
    return b"".join(parts)


@contextmanager
def leaving(receive: Receive) -> Iterator[asyncio.Future[None]]:
    """A future that is done when the client has left: nothing but ``receive`` tells."""
    task = asyncio.get_running_loop().create_task(_left(receive))
    try:
        yield task
    finally:
        task.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
