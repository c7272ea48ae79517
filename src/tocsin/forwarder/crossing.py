"""Where threads and the event loop meet: bounded both ways, and one line that crosses into the loop.

:class:`Inbox` carries what arrived on other threads to the loop; :class:`Outbox` carries what the loop sends
to the one thread of a rail that may block. Neither waits for the other side: what does not fit is dropped
and counted.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tocsin.core.echoes import Echoes
from tocsin.forwarder.rail import Deliver, RailStats

__all__ = [
    "MAX_QUEUED_BYTES",
    "MAX_QUEUED_MESSAGES",
    "Inbox",
    "Outbox",
    "Parcel",
    "Tally",
    "hand_over",
    "in_thread",
]

#: For each direction of each rail: several seconds of the largest flood that a node can digest.
MAX_QUEUED_MESSAGES: Final = 8192
MAX_QUEUED_BYTES: Final = 32 << 20
#: What the inbox delivers before it lets the loop do something else.
_TURN_MESSAGES: Final = 32
_TURN_BYTES: Final = 256 << 10
#: Answers to echoes that wait for the rail's thread: more than all peers of a large cluster ask at once.
_MAX_ANSWERS: Final = 1024
#: Names that are remembered as heard: a bound on what invented names can cost.
_MAX_HEARD: Final = 1000


@dataclass
class Tally:
    """What a rail counts over all its lives. Each counter is written under one lock or by one thread."""

    opened: int = 0
    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    dropped_in: int = 0
    #: Refused by ``send`` on the loop's thread.
    refused: int = 0
    #: Taken by ``send``, but then not taken by the engine.
    lost: int = 0
    #: Node -> when a message of it was last delivered, by the loop's clock.
    heard: dict[str, float] = field(default_factory=dict)
    reopened: int = 0
    left_behind: int = 0
    echoes: Echoes = field(default_factory=Echoes)

    def stats(self, *, reason: str, links: Iterable[tuple[str, str]] = ()) -> RailStats:
        """The same for the outside. No ``reason``: the rail is up. ``links``: (peer, its address)."""
        peers = dict(links)
        return RailStats(
            up=not reason,
            reason=reason,
            peers=len(peers),
            links=tuple(sorted(peers.values())),
            heard=dict(self.heard),
            opened=self.opened,
            sent=self.sent,
            sent_bytes=self.sent_bytes,
            received=self.received,
            received_bytes=self.received_bytes,
            dropped_out=self.refused + self.lost,
            dropped_in=self.dropped_in,
            echoes=self.echoes.sent,
            echoes_lost=self.echoes.lost,
            reopened=self.reopened,
            left_behind=self.left_behind,
            round_trips=self.echoes.round_trips(),
        )


def hand_over(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> bool:
    """Has ``callback`` called on the loop's thread; False if the loop is closed already."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return False
    return True


async def in_thread(work: Callable[[], str], busy: set[object]) -> str:
    """What ``work`` returns; empty if it fails. ``busy`` holds something for as long as it takes.

    Nobody who ends waits for its thread, unlike for one of the loop's executor.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def run() -> None:
        found = ""
        try:
            found = work()
        finally:
            busy.discard(done)
            hand_over(loop, lambda: None if done.done() else done.set_result(found))

    busy.add(done)
    threading.Thread(target=run, name=in_thread.__name__, daemon=True).start()
    return await done


class Inbox:
    """Messages on their way from any thread to ``deliver`` on the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        tally: Tally,
        *,
        max_messages: int = MAX_QUEUED_MESSAGES,
        max_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._loop, self._deliver, self._tally = loop, deliver, tally
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._items: deque[tuple[str, bytes]] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self._awake = False
        self._closed = False

    def put(self, sender: str, payload: bytes) -> None:
        """Takes a message, on any thread; drops and counts it if the loop is too far behind."""
        with self._lock:
            full = len(self._items) >= self._max_messages or self._bytes + len(payload) > self._max_bytes
            if full or self._closed:
                self._tally.dropped_in += full
                return
            self._items.append((sender, payload))
            self._bytes += len(payload)
            asleep, self._awake = not self._awake, True
        if asleep:
            hand_over(self._loop, self._drain)

    def close(self) -> None:
        """Delivers nothing more."""
        with self._lock:
            self._closed = True
            self._items.clear()
            self._bytes = 0

    def _drain(self) -> None:
        # What deliver raises goes to the loop's exception handler; the messages behind it still come.
        try:
            self._turn()
        finally:
            with self._lock:
                self._awake = bool(self._items)
            if self._awake:
                self._loop.call_soon(self._drain)

    def _turn(self) -> None:
        size = 0
        for _ in range(_TURN_MESSAGES):
            with self._lock:
                if not self._items or size > _TURN_BYTES:
                    return
                sender, payload = self._items.popleft()
                self._bytes -= len(payload)
            size += len(payload)
            self._tally.received += 1
            self._tally.received_bytes += len(payload)
            if sender in self._tally.heard or len(self._tally.heard) < _MAX_HEARD:
                self._tally.heard[sender] = self._loop.time()
            self._deliver(sender, payload)


class Parcel(NamedTuple):
    """A message on its way out; ``to`` None means all. An ``echo`` takes no room from the others."""

    payload: bytes
    to: str | None
    echo: bool = False


class Outbox:
    """Messages on their way from the loop to the one thread that hands them to the engine.

    :meth:`put` and :meth:`end` are for the loop, :meth:`get` is for the thread. Each counter is written
    by one side only, so no lock is needed. :meth:`echo` is for any thread.
    """

    def __init__(self, *, max_messages: int = MAX_QUEUED_MESSAGES, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._queue: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._put_bytes = 0
        self._got_bytes = 0
        self._echoes = 0
        self._lock = threading.Lock()

    def put(self, payload: bytes, to: str | None) -> bool:
        """Takes a message if there is room for it."""
        waiting = self._put_bytes - self._got_bytes
        if self._queue.qsize() >= self._max_messages or waiting + len(payload) > self._max_bytes:
            return False
        self._put_bytes += len(payload)
        self._queue.put(Parcel(payload, to))
        return True

    def echo(self, payload: bytes, to: str) -> None:
        """Takes a question or an answer, on any thread; one too many is lost as on the network."""
        with self._lock:
            if self._echoes < _MAX_ANSWERS:
                self._echoes += 1
                self._queue.put(Parcel(payload, to, echo=True))

    def end(self) -> None:
        """Nothing comes after what is here."""
        self._queue.put(None)

    def get(self, timeout: float) -> Parcel | None:
        """The next message, or None at the end. Raises :exc:`queue.Empty` after ``timeout`` seconds."""
        parcel = self._queue.get(timeout=timeout)
        if parcel is not None and parcel.echo:
            with self._lock:
                self._echoes -= 1
        elif parcel is not None:
            self._got_bytes += len(parcel.payload)
        return parcel
