"""Held requests: bounded slots, and one shared wake-up for each burst of events.

After a quiet time the first event wakes at once; what follows settles, so that many events wake the readers
sixteen times a second at most. One pass over what is new decides for all interests who has news: requests
with the same interests at the same position share one verdict. Thousands are answered in slices, so that
nothing else in the node waits for them. No request has a timer of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from tocsin.core.buffer import Buffer
from tocsin.core.interest import EVERYTHING, Interests

__all__ = ["SETTLE", "Holding", "Waiter", "Waiting", "ticks"]

#: Seconds between two wake-ups: what comes meanwhile becomes one answer.
SETTLE: Final = 0.06
#: Seconds that the first event after a quiet time has for company: a node's failure is several events.
_LEAD: Final = 0.005
#: Seconds by which a request may be held longer than it asked.
_TICK: Final = 0.1
#: Requests that are answered in one go.
_SLICE: Final = 256


def ticks(seconds: float) -> int:
    """So many ticks are not less: the next one may come at once."""
    return 1 + math.ceil(seconds / _TICK)


class Waiter(Protocol):
    """Who waits. The attributes are the :class:`Holding`'s own."""

    #: What it wants, and up to which number there is nothing for it.
    interests: Interests
    number: int
    #: The tick at which it is let go without news.
    tick: int

    def release(self) -> None:
        """There is news, or the time is over, or the node stops. It is not held any more."""


class Waiting:
    """A :class:`Waiter` to be awaited: ``future`` is done when it is released or cancelled."""

    __slots__ = ("future", "interests", "number", "tick")

    def __init__(self) -> None:
        self.interests, self.number, self.tick = EVERYTHING, 0, 0
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def release(self) -> None:
        """Wakes who awaits it."""
        if not self.future.done():
            self.future.set_result(None)


class Holding:
    """The slots for held requests."""

    def __init__(self, buffer: Callable[[], Buffer | None], slots: int) -> None:
        self._buffer, self._slots = buffer, slots
        self._held: set[Waiter] = set()
        #: Who is let go at which tick.
        self._ticks: dict[int, set[Waiter]] = {}
        self._tick = 0
        self._ticking: asyncio.TimerHandle | None = None
        self._waking: asyncio.TimerHandle | None = None
        self._woken = float("-inf")
        self._going: deque[Waiter] = deque()
        self.closed = False

    @property
    def count(self) -> int:
        """How many slots are taken."""
        return len(self._held)

    @property
    def free(self) -> bool:
        """Whether another request can be held."""
        return not self.closed and len(self._held) < self._slots

    def wake(self) -> None:
        """There is a new number. Cheap, and called for each."""
        if self._waking is None and self._held:
            loop = asyncio.get_running_loop()
            self._waking = loop.call_later(max(_LEAD, self._woken + SETTLE - loop.time()), self._settle)

    def close(self) -> None:
        """Answers all held requests now, and holds no more."""
        self.closed = True
        for timer in (self._waking, self._ticking):
            if timer is not None:
                timer.cancel()
        for waiter in list(self._held):
            self.drop(waiter)
            waiter.release()

    def add(self, waiter: Waiter, interests: Interests, number: int, ticks: int) -> None:
        """Holds until there is news after ``number``, at most so many :func:`ticks`.

        There must be a free slot, and no news as yet.
        """
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(_TICK, self._pass)
        tick = self._tick + ticks
        waiter.interests, waiter.number, waiter.tick = interests, number, tick
        self._held.add(waiter)
        group = self._ticks.get(tick)
        if group is None:
            group = self._ticks[tick] = set()
        group.add(waiter)

    def drop(self, waiter: Waiter) -> None:
        """It is not held any more."""
        self._held.discard(waiter)
        group = self._ticks.get(waiter.tick)
        if group is not None:
            group.discard(waiter)

    async def wait(
        self, interests: Interests, number: int, seconds: float, leaving: asyncio.Future[None]
    ) -> bool:
        """Holds who awaits this like :meth:`add`; False if ``leaving`` is done first."""
        waiting = Waiting()

        def left(_: object) -> None:
            waiting.release()

        leaving.add_done_callback(left)
        self.add(waiting, interests, number, ticks(seconds))
        buffer = self._buffer()
        if buffer is not None and buffer.last > number:
            self.wake()  # numbered between the answer and now
        try:
            await waiting.future
            return not leaving.done()
        finally:
            self.drop(waiting)
            leaving.remove_done_callback(left)

    def _pass(self) -> None:
        """A tick has passed: whose time is over is let go."""
        self._ticking = None
        self._tick += 1
        over = self._ticks.pop(self._tick, set())
        self._held -= over
        self._going.extend(over)
        self._go()
        if self._ticks and not self.closed:
            self._ticking = asyncio.get_running_loop().call_later(_TICK, self._pass)

    def _settle(self) -> None:
        self._waking = None
        buffer = self._buffer()
        if buffer is None:
            return
        self._woken = asyncio.get_running_loop().time()
        last = buffer.last
        found: list[Waiter] = []  # not those who go already: their time is over, and their tick
        verdicts: dict[tuple[str, int], bool] = {}
        for waiter in self._held:
            key = (waiter.interests.text, waiter.number)
            news = verdicts.get(key)
            if news is None:
                news = verdicts[key] = buffer.news(waiter.number, waiter.interests)
            if news:
                found.append(waiter)
            else:
                waiter.number = last
        for waiter in found:
            self.drop(waiter)
        self._going.extend(found)
        self._go()

    def _go(self) -> None:
        for _ in range(min(_SLICE, len(self._going))):
            self._going.popleft().release()
        if self._going:
            asyncio.get_running_loop().call_soon(self._go)
