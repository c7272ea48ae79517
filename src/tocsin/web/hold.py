"""Held requests: bounded slots, and one shared wake-up for each burst of events.

A burst settles for 50 ms, then one pass over what is new decides for all interests who has news. Requests
with the same interests at the same position share one verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tocsin.core.buffer import Buffer
from tocsin.core.interest import Interests
from tocsin.web.asgi import Receive

__all__ = ["SETTLE", "Holding"]

#: Seconds that a burst of events has to become one answer.
SETTLE: Final = 0.05


class _Held:
    """One request that waits; ``number``: up to here there is nothing for it."""

    __slots__ = ("future", "interests", "number")

    def __init__(self, future: asyncio.Future[None], interests: Interests, number: int) -> None:
        self.future, self.interests, self.number = future, interests, number

    def release(self, _: object = None) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Holding:
    """The slots for held requests."""

    def __init__(self, buffer: Callable[[], Buffer | None], slots: int) -> None:
        self._buffer, self._slots = buffer, slots
        self._held: set[_Held] = set()
        self._timer: asyncio.TimerHandle | None = None
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
        """There are new numbers. Cheap, and called for each."""
        if self._timer is None and self._held:
            self._timer = asyncio.get_running_loop().call_later(SETTLE, self._settle)

    def close(self) -> None:
        """Answers all held requests now, and holds no more."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for held in self._held:
            held.release()

    async def wait(self, interests: Interests, number: int, seconds: float, receive: Receive) -> bool:
        """Holds a request until there is news for it after ``number``, at most ``seconds``.

        False if the reader has left meanwhile. There must be a free slot.
        """
        loop = asyncio.get_running_loop()
        held = _Held(loop.create_future(), interests, number)
        # Whoever leaves must free its slot at once: nothing but receive() tells.
        leaving = loop.create_task(_left(receive))
        leaving.add_done_callback(held.release)
        timer = loop.call_later(seconds, held.release)
        self._held.add(held)
        try:
            buffer = self._buffer()
            if buffer is not None and buffer.last > number:
                self.wake()  # numbered between the answer and now
            await held.future
            return not leaving.done()
        finally:
            self._held.discard(held)
            timer.cancel()
            leaving.cancel()

    def _settle(self) -> None:
        self._timer = None
        buffer = self._buffer()
        if buffer is None:
            return
        verdicts: dict[tuple[str, int], bool] = {}
        for held in self._held:
            key = (held.interests.text, held.number)
            news = verdicts.get(key)
            if news is None:
                news = verdicts[key] = buffer.news(held.number, held.interests)
            if news:
                held.release()
            else:
                held.number = buffer.last


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
