"""The asynchronous monitor: the same as :class:`tocsin.monitor.Monitor` for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self, Unpack

import httpx

from tocsin.core.errors import NoContact
from tocsin.core.follow import Gap, Reply, Request
from tocsin.monitor.items import Event, Item
from tocsin.monitor.reader import Options, Reader
from tocsin.monitor.transport import MAX_BODY, body_of, target_of

__all__ = ["AsyncMonitor"]


class AsyncMonitor(Reader):
    """Reads the feed of a cluster; see :class:`tocsin.monitor.Monitor` for its parameters and promises.

    Handlers may be coroutine functions; they are awaited one after another. ``transport`` replaces
    httpx's own, e.g. to read an application in the same process.
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(urls, **options)
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", **(headers or {})},
            verify=tls if tls is not None else True,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 (one limit for the whole request, in _send)
        )
        self._closed = asyncio.Event()
        self._answers = 0
        #: It outlives a caller that is cancelled (``asyncio.timeout``): the next one gets its reply.
        self._request: asyncio.Task[Reply | NoContact] | None = None

    # -- iterating -------------------------------------------------------------------------------

    def __aiter__(self) -> Items:
        """Events and gaps, for ever; it ends when the monitor is closed."""
        return Items(self, None)

    def catch_up(self) -> Items:
        """What there is now, and then it ends. Without ``patience`` it tries until a feed answers."""
        return Items(self, self._answers + 1)

    async def run(self) -> None:
        """Calls the handlers, until the monitor is closed; a handler's error ends it and comes out here."""
        self._start_handlers()
        try:
            while (item := await self._next()) is not None:
                for call in self._calls(item):
                    result = call()
                    if inspect.isawaitable(result):
                        await result
                self._progress.done(item.after)
        finally:
            self._progress.flush()

    async def _hand(self, until: int | None) -> Event | Gap | None:
        """The next event or gap; the one before counts as handled. None at the end.

        ``until``: it ends when there have been so many answers and the last left nothing to ask for.
        """
        while True:
            self._settle()
            self._handing = await self._next(until)
            if self._handing is None:
                self._progress.flush()
                return None
            if self._handing.what is not None:
                return self._handing.what

    async def _next(self, until: int | None = None) -> Item | None:
        while not self._closed.is_set():
            if self._pending:
                return self._pending.popleft()
            if until is not None and self._answers >= until and self._follow.caught_up:
                return None
            self._progress.flush()
            await self._poll(hold=until is None)
        return None

    async def _poll(self, *, hold: bool) -> None:
        if self._request is None:
            if await self._wait(self._pause()):
                return
            self._request = asyncio.create_task(self._send(self._ask(hold=hold)))
        await asyncio.wait([self._request])
        if not self._closed.is_set():
            request, self._request = self._request, None
            self._take(request.result())
            self._answers += 1

    async def _wait(self, seconds: float) -> bool:
        """Waits; True at once when the monitor is closed."""
        try:
            async with asyncio.timeout(seconds):
                return await self._closed.wait()
        except TimeoutError:
            return False

    async def _send(self, request: Request) -> Reply | NoContact:
        """The reply, or why there is none in time."""
        method = "GET" if request.body is None else "POST"
        url, body = request.node + target_of(request), body_of(request)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(request.timeout),
                self._client.stream(method, url, content=body, headers=headers) as response,
            ):
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_BODY:
                        return NoContact(f"{request.node}: the answer is too large for one of a feed")
                return Reply(response.status_code, response.headers, bytes(content))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            return NoContact(f"{request.node}: {str(error) or type(error).__name__}")

    # -- ending ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Ends iterating and run(); a request under way is given up."""
        self._closed.set()
        if self._request is not None:
            self._request.cancel()
            await asyncio.wait([self._request])
        self._progress.flush()
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Items:
    """An asynchronous iterator over events and gaps."""

    def __init__(self, monitor: AsyncMonitor, until: int | None) -> None:
        self._monitor, self._until = monitor, until

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Gap:
        what = await self._monitor._hand(self._until)  # noqa: SLF001
        if what is None:
            raise StopAsyncIteration
        return what
