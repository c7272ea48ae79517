"""An agent inside this process, and two others as processes: what a program does that publishes without HTTP.

The others' progress is read from their feeds.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.agents import Agents, free_port
from benchmarks.table import scratch
from tocsin import logs
from tocsin.agent import Agent
from tocsin.config import load

__all__ = ["Follower", "embedded"]

#: Seconds between two looks at how far a receiver is.
_LOOK = 0.02
#: Events that a buffer may hold: more than arrive within the time that it has to keep them.
_MOST = 1_000_000


class Follower:
    """How far the buffer of another node is: its last number, asked again and again."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self.last = 0

    async def run(self) -> None:
        """Asks until cancelled."""
        reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        question = f"GET /api/v1/events HTTP/1.1\r\nHost: {self._url.netloc}\r\n\r\n".encode()
        try:
            while True:
                writer.write(question)
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                await reader.readexactly(int(fields.get("content-length", "0")))
                self.last = int(fields["tocsin-cursor"].rsplit(":", 1)[1])
                await asyncio.sleep(_LOOK)
        finally:
            writer.close()


@asynccontextmanager
async def embedded(*, retain: float) -> AsyncIterator[tuple[Agent, Agents, list[Follower]]]:
    """The agent here is ``node3``; the others, ``node1`` and ``node2``, are connected on two rails."""
    logs.setup("error")
    settings = f"[buffer]\nretain = {retain:g}\nmax_events = {_MOST}\nmax_bytes = {1000 * _MOST}\n"
    with (
        scratch() as directory,
        Agents(Path(directory), 3, settings=settings, embedded=1) as agents,
    ):
        flags = {
            "cluster.name": "bench",
            "node.name": "node3",
            "node.listen": f"127.0.0.1:{free_port('127.0.0.1')}",
            "rails": agents.rails(2),
            "buffer.retain": retain,
            "buffer.max_events": _MOST,
            "buffer.max_bytes": 1000 * _MOST,
            "log.level": "warning",
        }
        agent = Agent(load(None, {}, flags, default_file=Path("/none")))
        running = asyncio.create_task(agent.run())
        followers = [Follower(url) for url in agents.urls]
        following = [asyncio.create_task(follower.run()) for follower in followers]
        try:
            await _settle(agent)
            yield agent, agents, followers
        finally:
            for task in following:
                task.cancel()
            os.kill(os.getpid(), signal.SIGTERM)  # as an operator stops it
            await running


async def _settle(agent: Agent) -> None:
    async with asyncio.timeout(40):
        while agent.readiness() or len(agent.replica.liveness.living(agent.now(), 1.0)) < 2:
            await asyncio.sleep(0.1)
        while any(rail.stats().peers < 2 for rail in agent.forwarder.rails):
            await asyncio.sleep(0.1)
    await asyncio.sleep(3)
