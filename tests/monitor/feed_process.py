"""A node's real buffer and feed behind a real HTTP server, as a process that a test tells what happens.

One command a line on standard input, a JSON array like ``["event", "n1", 3]``; one answer a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from types import SimpleNamespace
from typing import Any

import uvicorn

from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Loss
from tocsin.core.cursor import buffer_id
from tocsin.core.event import Draft, seal
from tocsin.core.sequence import sequence_of
from tocsin.web.feed import Feed
from tocsin.web.node import Settings
from tocsin.web.problems import Problem

WALL = "2026-11-23T12:00:00.000000Z"


class FeedProcess:
    """What the commands do."""

    def __init__(self, name: str, incarnation: int, settings: dict[str, Any]) -> None:
        self.buffer = Buffer(buffer_id("test", name, incarnation), retain=settings.pop("retain", 300.0))
        self.reason = ""
        self.requests: list[str] = []
        node = SimpleNamespace(
            name=name,
            buffer=self.buffer,
            settings=Settings(**settings),
            now=time.monotonic,
            readiness=lambda: self.reason,
            degraded=lambda: ("n9",),
            urls=dict,
        )
        self.feed = Feed(node)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application: the feed's two paths."""
        self.requests.append(f"{scope['method']} {scope['path']}?{scope['query_string'].decode()}")
        try:
            if scope["path"] == "/api/v1/events":
                await self.feed.get(scope, receive, send, (), b"")
            else:
                await self.feed.resume(scope, receive, send, ())
        except Problem as problem:
            await self.feed.refuse(send, problem, ())

    def event(self, origin: str, seq: int, type: str = "test.event", node: str = "") -> int:
        """An event arrives."""
        draft = Draft(type=type, subject="s", node=node, data={"summary": f"{origin} {seq}"})
        event = seal(draft, cluster="test", origin=origin, incarnation=1, seq=seq, time=WALL)
        now = time.monotonic()
        number = self.buffer.append(Arrival(event, now), now, WALL)
        self.feed.wake()
        return number

    def mark(self, origin: str, first: int, last: int) -> int:
        """Events are given up."""
        loss = Loss(origin, sequence_of(1, first), sequence_of(1, last))
        number = self.buffer.mark(loss, time.monotonic(), WALL)
        self.feed.wake()
        return number

    def prune(self) -> int:
        """Everything is past its time."""
        return self.buffer.prune(time.monotonic() + self.buffer.retain * 2)

    def ready(self, reason: str) -> str:
        """Says why the node is not ready; "" is ready."""
        self.reason = reason
        return reason

    def asked(self) -> list[str]:
        """The requests so far."""
        return self.requests

    def cursor(self) -> str:
        """Now."""
        return str(self.buffer.cursor)


async def main(port: int, name: str, incarnation: int, settings: dict[str, Any]) -> None:
    """Serves until standard input ends."""
    process = FeedProcess(name, incarnation, settings)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await process(scope, receive, send)

    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command, *arguments = json.loads(line)
        if command == "reset":  # another life, for another test: a process takes a second to start
            process.feed.close()
            process = FeedProcess(name, *arguments)
            answer = None
        else:
            answer = getattr(process, command)(*arguments)
        print(json.dumps(answer), flush=True)
    process.feed.close()
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])))
