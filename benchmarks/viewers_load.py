"""Viewers as a load: thousands of readers of one feed in one process, each of which counts what it is told.

Each kind asks as a browser does by the contract of the feed (docs/feed.md): short polls on a kept or on a
new connection, held polls, server-sent events, or a reload of the page. None reads JSON: the position is in
the header ``Tocsin-Cursor``, in a stream in ``"number"``, so that the load is not the bottleneck.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.viewers_servers import Server
from tocsin.core.follow import BURST, INTERVAL

__all__ = ["KINDS", "Held", "Reload", "Short", "ShortClosed", "Stream", "Tally", "Viewer"]

_HEAD: Final = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n"
)
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_CURSOR: Final = re.compile(rb"tocsin-cursor: ([^:\r]+):(\d+)", re.IGNORECASE)
_OFFER: Final = re.compile(rb"tocsin-poll: interval=([\d.]+), wait=([\d.]+)", re.IGNORECASE)
_TAG: Final = re.compile(rb"etag: ([^\r]+)", re.IGNORECASE)


class Tally:
    """What all viewers of one measurement were told. Times are those of :func:`time.perf_counter`."""

    def __init__(self) -> None:
        self.answers = self.bytes_in = self.bytes_out = self.failures = 0
        #: Seconds from a request that is not held to its answer.
        self.waits: list[float] = []
        #: Sum of the times at which events 1, 2, 3 … were published, each with all before it.
        self.published: list[float] = [0.0]
        self.told, self.stale = 0, 0.0

    def publish(self, now: float) -> None:
        """The next event is being published."""
        self.published.append(self.published[-1] + now)

    def learn(self, was: int, number: int, now: float) -> None:
        """A viewer knew the events up to ``was`` and now knows those up to ``number``."""
        self.told += number - was
        self.stale += (number - was) * now - (self.published[number] - self.published[was])

    def reset(self) -> None:
        """Counts from now on; events keep their numbers."""
        self.answers = self.bytes_in = self.bytes_out = self.failures = 0
        self.waits.clear()


class Viewer(asyncio.Protocol):
    """One viewer on a connection that is kept; subclasses say what it asks, and when again.

    ``base`` is the number of the buffer before the first event of the measurement.
    """

    interval = INTERVAL
    held = False

    def __init__(self, tally: Tally, port: int, buffer: str, base: int) -> None:
        self.tally, self.port, self.buffer, self.base = tally, port, buffer, base
        self.number = 0
        self.left = b""
        self.transport: Any = None
        self.timer: asyncio.TimerHandle | None = None
        self.asked = 0.0
        self.over = False
        self.again_task: asyncio.Task[None] | None = None
        self.loop = asyncio.get_running_loop()

    # -- what it asks ------------------------------------------------------------------------

    def path(self) -> str:
        """What is asked next."""
        return f"/api/v1/events?after={self.buffer}:{self.base + self.number}&view=brief"

    def request(self, path: str, more: str = "") -> bytes:
        """A request as a browser sends it."""
        host = f"Host: 127.0.0.1:{self.port}\r\n"
        return f"GET {path} HTTP/1.1\r\n{host}{_HEAD}Accept: */*\r\n{more}\r\n".encode()

    async def start(self) -> None:
        """Connects; the first request follows within an interval, as those of many viewers do."""
        await self.loop.create_connection(lambda: self, "127.0.0.1", self.port)
        self.timer = self.loop.call_later(self.interval * random.random(), self.ask)

    def ask(self) -> None:
        """Sends the next request."""
        self.send(self.request(self.path()))

    def send(self, request: bytes) -> None:
        """Sends a request."""
        self.asked = time.perf_counter()
        if self.transport.is_closing():  # the server has ended it: on a new one
            self.timer = self.loop.call_later(self.interval, self.reconnect)
            return
        self.tally.bytes_out += len(request)
        self.transport.write(request)

    def reconnect(self) -> None:
        """Begins again on a new connection."""
        self.left = b""
        self.again_task = self.loop.create_task(self.start())

    def stop(self) -> None:
        """Ends."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
        if self.transport is not None:
            self.transport.abort()

    # -- what it is told ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """A connection that was to be kept is gone."""
        if not self.over:
            self.tally.failures += 1

    def data_received(self, data: bytes) -> None:
        """Takes whole answers from what has come."""
        self.tally.bytes_in += len(data)
        self.left = self.left + data if self.left else data
        while (end := self.left.find(b"\r\n\r\n")) >= 0:
            head = self.left[: end + 2]
            length = _LENGTH.search(head)
            size = int(length[1]) if length is not None else 0
            if len(self.left) < end + 4 + size:
                return
            self.left = self.left[end + 4 + size :]
            self.answered(int(head[9:12]), head, time.perf_counter())

    def answered(self, status: int, head: bytes, now: float) -> None:
        """One answer."""
        self.tally.answers += 1
        if status not in {200, 204}:
            self.tally.failures += 1
        if not self.held:
            self.tally.waits.append(now - self.asked)
        cursor = _CURSOR.search(head)
        if status == 200 and cursor is not None:
            self.know(int(cursor[2]) - self.base, now)
        self.again(status, head, now)

    def know(self, number: int, now: float) -> None:
        """It knows the events up to this one."""
        if number > self.number:
            self.tally.learn(self.number, number, now)
            self.number = number

    def again(self, status: int, head: bytes, now: float) -> None:
        """Plans the next request; the pause is spread a little, as a monitor does."""
        pause = self.interval * (0.9 + 0.2 * random.random())
        self.timer = self.loop.call_later(pause, self.ask)


class Short(Viewer):
    """Asks every two seconds on a connection that is kept."""


class ShortClosed(Viewer):
    """Asks every two seconds, each time on a new connection."""

    async def start(self) -> None:
        """Asks for the first time within an interval."""
        self.timer = self.loop.call_later(self.interval * random.random(), self.ask)

    def ask(self) -> None:
        """Connects first."""
        self.asked = time.perf_counter()
        task = self.loop.create_task(self.loop.create_connection(lambda: self, "127.0.0.1", self.port))
        task.add_done_callback(self.connected)

    def connected(self, task: asyncio.Task[Any]) -> None:
        """The time to connect belongs to the answer's."""
        if not task.cancelled() and task.exception() is not None:
            self.tally.failures += 1
            self.again(0, b"", 0.0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks at once."""
        self.transport = transport
        request = self.request(self.path(), "Connection: close\r\n")
        self.tally.bytes_out += len(request)
        self.transport.write(request)

    def connection_lost(self, error: Exception | None) -> None:
        """As agreed."""
        self.left = b""


class Held(Viewer):
    """Asks to be told, by the rules of the monitor (core/follow.py)."""

    held = True
    interval = 1.0  # within which all connect
    wait = 20.0

    def path(self) -> str:
        """With ``wait`` as far as it was offered."""
        return f"{super().path()}&wait={self.wait:g}" if self.wait else super().path()

    def again(self, status: int, head: bytes, now: float) -> None:
        """At once, but for a pause after news; where nothing is held, as often as the feed says."""
        was_held = self.wait > 0
        every, self.wait = (float(number) for number in _OFFER.search(head).groups())  # type: ignore[union-attr]
        pause = 0.0
        if not self.wait:
            pause = every * (0.9 + 0.2 * random.random())
        elif was_held:
            pause = self.asked + (BURST if status == 200 else every) - now
        if pause > 0:
            self.timer = self.loop.call_later(pause, self.ask)
        else:
            self.ask()


class Stream(Viewer):
    """Reads server-sent events, of the feed or (``pushed``) of nginx with nchan."""

    interval = 1.0
    pushed = False

    def ask(self) -> None:
        """Asks once for all."""
        path = "/sub" if self.pushed else self.path()
        self.send(self.request(path).replace(b"Accept: */*", b"Accept: text/event-stream"))

    def data_received(self, data: bytes) -> None:
        """The last number that has come is where it is."""
        self.tally.bytes_in += len(data)
        at = data.rfind(b'"number":')
        if at >= 0:
            digits = data[at + 9 : at + 20].partition(b",")[0]
            self.tally.answers += 1
            self.know(int(digits) - self.base, time.perf_counter())
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200"):
            self.tally.failures += 1


class Pushed(Stream):
    """The same of nginx with nchan."""

    pushed = True


class Reload(Viewer):
    """Reloads the page, and has its style sheet confirmed as a browser does."""

    interval = 30.0
    tag = b""

    async def start(self) -> None:
        """Opens the page within an interval; only then there is a connection."""
        self.timer = self.loop.call_later(self.interval * random.random(), self.open)

    def open(self) -> None:
        """Opens the page."""
        self.again_task = self.loop.create_task(self.begin())

    async def begin(self) -> None:
        """Connects and asks."""
        await self.loop.create_connection(lambda: self, "127.0.0.1", self.port)
        self.ask()

    def path(self) -> str:
        """The first page."""
        return "/"

    def answered(self, status: int, head: bytes, now: float) -> None:
        """The page, then its style sheet."""
        self.tally.answers += 1
        if status not in {200, 304}:
            self.tally.failures += 1
        cursor = _CURSOR.search(head)
        if cursor is not None:  # the page
            self.tally.waits.append(now - self.asked)
            self.know(int(cursor[2]) - self.base, now)
            known = f"If-None-Match: {self.tag.decode()}\r\n" if self.tag else ""
            self.send(self.request("/static/tocsin.css", known))
            return
        tag = _TAG.search(head)
        self.tag = tag[1] if tag is not None else self.tag
        self.again(status, head, now)


class OftenReload(Reload):
    """Every five seconds."""

    interval = 5.0


class _Lane(asyncio.Protocol):
    """A connection for events to be published, one at a time: nothing is sent before the answer is there."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """An answer."""
        if data.startswith(b"HTTP/1.1 20"):
            self._publisher.taken += 1
            self._publisher.free.append(self)


class Publisher:
    """Publishes the events of one measurement, one by one."""

    def __init__(self, server: Server, tally: Tally) -> None:
        self._server, self._tally = server, tally
        self._lanes: list[_Lane] = []
        self.free: list[_Lane] = []
        self.number = self.taken = 0

    async def _lane(self) -> _Lane:
        if self.free:
            return self.free.pop()
        lane = _Lane(self)
        self._lanes.append(lane)
        await asyncio.get_running_loop().create_connection(lambda: lane, "127.0.0.1", self._server.port)
        return lane

    async def run(self, rate: float, seconds: float) -> None:
        """Publishes for so long, one event in each period, somewhere in it; the same in each run."""
        chance, start = random.Random(1), time.perf_counter()
        for n in range(round(rate * seconds)):
            at = start + (n + chance.random()) / rate
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            lane = await self._lane()
            self.number += 1
            self._tally.publish(time.perf_counter())
            lane.transport.write(self._server.publication(self.number))
        await asyncio.sleep(max(0.0, start + seconds - time.perf_counter()))

    async def stop(self) -> None:
        """Waits for the last answers. Raises RuntimeError where some do not come."""
        for _ in range(300):
            if self.taken == self.number:
                break
            await asyncio.sleep(0.1)
        for lane in self._lanes:
            lane.transport.abort()
        if self.taken != self.number:
            raise RuntimeError(f"{self.number} events were posted, {self.taken} taken")


#: The kinds of viewers by the names that tables have.
KINDS: Final[dict[str, Callable[[Tally, int, str, int], Viewer]]] = {
    "short polls, kept alive": Short,
    "short polls, closed": ShortClosed,
    "held polls": Held,
    "SSE": Stream,
    "nchan SSE": Pushed,
    "reload every 30 s": Reload,
    "reload every 5 s": OftenReload,
}
