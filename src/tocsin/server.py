"""The HTTP server of an agent: uvicorn inside the agent's own event loop and life cycle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import uvicorn

from tocsin.core.errors import ConfigError
from tocsin.endpoints import Address
from tocsin.web.app import App
from tocsin.web.connection import Bounds, Connection, Lobby

__all__ = ["Server", "listen", "notify_systemd"]

#: Seconds in which open answers may be finished when the agent stops.
_GRACE: Final = 1
_BACKLOG: Final = 4096
#: Open files that are enough.
_FILES: Final = 65_536
#: Milliseconds after which a client is gone that acknowledges nothing.
_UNHEARD: Final = 30_000
#: Seconds after which the header ``Date`` is renewed.
_DATE: Final = 1.0
#: Longer than the longest time between two polls of a hidden page, so that connections are reused.
_KEEP_ALIVE: Final = 65


def listen(address: Address) -> socket.socket:
    """A listening socket. Raises :exc:`ConfigError` that says what is in the way and what to do."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD)  # accepted ones inherit it
        sock.bind((address.host, address.port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        hint = (
            "another program listens there, maybe another agent; choose another port with --listen HOST:PORT"
        )
        if error.errno != 98:
            hint = "is the address one of this machine's?"
        raise ConfigError(
            f"cannot listen on {address.host}:{address.port}: {os.strerror(error.errno or 0)}",
            key="node.listen",
            hint=hint,
        ) from None
    sock.setblocking(False)
    return sock


def _allow_files() -> None:
    """As many open files as this process may have: each viewer is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Uvicorn(uvicorn.Server):
    stopping: asyncio.Event | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The agent handles signals itself: it must say goodbye on the rails first."""
        yield

    async def main_loop(self) -> None:
        """Renews the date once a second; uvicorn's own loop wakes ten times as often."""
        self.stopping = asyncio.Event()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE):
                    await self.stopping.wait()


class Server:
    """Serves an ASGI application on a socket."""

    def __init__(self, app: Any, bounds: Bounds | None = None) -> None:
        """``app`` is an :class:`App`, or anything else that speaks ASGI, without the short way for polls."""
        _allow_files()
        protocol: Any = partial(Connection, lobby=Lobby(app, bounds)) if isinstance(app, App) else "httptools"
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
            backlog=_BACKLOG,
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    def start(self, sock: socket.socket) -> None:
        """Serves in the background."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[sock]))

    async def stop(self) -> None:
        """Finishes open answers, for a second at most, and closes."""
        self._server.should_exit = True
        if self._server.stopping is not None:
            self._server.stopping.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_GRACE + 0.5)


def notify_systemd(state: str) -> None:
    """Tells systemd (sd_notify(3)) if it asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        sock.send(state.encode())
