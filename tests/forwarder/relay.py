"""A wire that misbehaves: TCP to a node goes through it, and it knows as much of the engine as it needs to.

The engine's stream is batches, each with its length in two bytes, little end first.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

__all__ = ["Relay"]

#: A batch with a keep-alive and nothing else.
_ALONE: Final = b"\x01\x00\x04"


class Relay:
    """Relays connections to ``port``. A fault hits the connections that there are; new ones are sound."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._to = port
        self._server: asyncio.Server | None = None
        self._wires: list[_Wire] = []

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for wire in self._wires:
            await wire.close()

    @property
    def endpoint(self) -> str:
        """Where to dial."""
        return f"tcp/127.0.0.1:{self.port}"

    def hang(self) -> None:
        """Keep-alives pass both ways; whatever else is sent becomes one."""
        for wire in self._wires:
            wire.hanging = True

    def freeze(self) -> None:
        """Takes nothing any more from who dialled, and goes on sending it keep-alives."""
        for wire in self._wires:
            wire.freeze()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        self._wires.append(_Wire((reader, writer), there))


class _Wire:
    def __init__(
        self,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.hanging = False
        self._frozen = False
        self._here, self._there = here[1], there[1]
        self._out = asyncio.create_task(self._carry(here[0], there[1]))
        self._tasks = [self._out, asyncio.create_task(self._carry(there[0], here[1]))]

    def freeze(self) -> None:
        self._frozen = True
        for task in self._tasks:
            task.cancel()
        self._tasks.append(asyncio.create_task(self._pretend()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in (self._here, self._there):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(2)
                batch = await reader.readexactly(int.from_bytes(head, "little"))
                # An engine that has something to send keeps the link alive by that alone.
                writer.write(_ALONE if self.hanging else head + batch)
                await writer.drain()
        if not self._frozen:
            writer.close()

    async def _pretend(self) -> None:
        with contextlib.suppress(ConnectionError):
            while not self._here.is_closing():
                self._here.write(_ALONE)
                await asyncio.sleep(0.4)
