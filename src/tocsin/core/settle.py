"""Settling: from many small changes to the few that are worth an event.

Three rules without a clock; every method that needs the time gets ``now``, monotonic seconds.

* :class:`Coalescer` -- a burst about one thing becomes one, when it is quiet or has lasted long enough.
* :class:`Levels` -- a measured value becomes a level, and does not swing at the threshold.
* :class:`Flapping` -- what changes again and again becomes one statement, and one when it has settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

__all__ = ["Coalescer", "Flapping", "Levels", "Verdict"]

K = TypeVar("K", bound=Hashable)

#: What :meth:`Flapping.change` says: tell it, say that flapping began, or keep it to yourself.
Verdict = Literal["tell", "began", "hold"]


class _Burst(NamedTuple):
    first: float
    last: float


class Coalescer(Generic[K]):
    """Collects keys; each is due ``quiet`` seconds after its last touch, at most ``most`` after its first."""

    def __init__(self, quiet: float, most: float) -> None:
        self.quiet, self.most = quiet, most
        self._bursts: dict[K, _Burst] = {}

    def touch(self, key: K, now: float) -> None:
        """Something about ``key`` has changed."""
        burst = self._bursts.get(key)
        self._bursts[key] = _Burst(burst.first if burst else now, now)

    def drop(self, key: K) -> None:
        """Forgets ``key``: nothing about it is pending any more."""
        self._bursts.pop(key, None)

    @property
    def due(self) -> float | None:
        """When :meth:`take` will have something, ``None`` if nothing is pending."""
        return min(map(self._due, self._bursts.values()), default=None)

    def take(self, now: float) -> list[K]:
        """The keys that are due, in the order of their first touch; they are not pending any more."""
        due = [key for key, burst in self._bursts.items() if self._due(burst) <= now]
        for key in due:
            del self._bursts[key]
        return due

    def _due(self, burst: _Burst) -> float:
        return min(burst.last + self.quiet, burst.first + self.most)


class Levels:
    """A value's level, with hysteresis: it rises at a threshold and falls ``margin`` below it.

    ``thresholds`` are ``(value, level)`` in rising order; :attr:`level` is ``""`` below all of them.
    """

    def __init__(self, thresholds: Sequence[tuple[float, str]], margin: float, level: str = "") -> None:
        self._thresholds = tuple(thresholds)
        self._margin = margin
        names = [name for _, name in self._thresholds]
        self._rank = names.index(level) + 1 if level in names else 0

    @property
    def level(self) -> str:
        """The present level."""
        return self._thresholds[self._rank - 1][1] if self._rank else ""

    def update(self, value: float) -> bool:
        """Takes a value; whether the level has changed."""
        before = self._rank
        reached = sum(value >= at for at, _ in self._thresholds)
        still = sum(value > at - self._margin for at, _ in self._thresholds)
        self._rank = max(reached, min(before, still))
        return self._rank != before


class Flapping(Generic[K]):
    """More than ``changes`` changes within ``within`` seconds are flapping, until ``quiet`` without one."""

    def __init__(self, changes: int, within: float, quiet: float) -> None:
        self.changes, self.within, self.quiet = changes, within, quiet
        self._times: dict[K, deque[float]] = {}
        self._swept = 0.0
        #: Of what flaps: how many changes there were, and when the last was.
        self._held: dict[K, tuple[int, float]] = {}

    def change(self, key: K, now: float) -> Verdict:
        """``key`` has changed: what is to be done about it."""
        if key in self._held:
            count, _ = self._held[key]
            self._held[key] = (count + 1, now)
            return "hold"
        self._sweep(now)
        times = self._times.setdefault(key, deque())
        times.append(now)
        while times[0] < now - self.within:
            times.popleft()
        if len(times) <= self.changes:
            return "tell"
        self._held[key] = (len(times), now)
        del self._times[key]
        return "began"

    def _sweep(self, now: float) -> None:
        """Forgets what changed long ago: transient units have a new name each time, and would stay."""
        oldest = now - self.within
        if self._swept < oldest:
            self._swept = now
            self._times = {key: times for key, times in self._times.items() if times[-1] >= oldest}

    def count(self, key: K) -> int:
        """How often ``key`` changed since it began to flap; 0 if it does not."""
        return self._held.get(key, (0, 0.0))[0]

    @property
    def due(self) -> float | None:
        """When :meth:`settled` will have something, ``None`` if nothing flaps."""
        last = min((last for _, last in self._held.values()), default=None)
        return None if last is None else last + self.quiet

    def settled(self, now: float) -> dict[K, int]:
        """What has settled, with the number of its changes; it does not flap any more."""
        done = {key: n for key, (n, last) in self._held.items() if last + self.quiet <= now}
        for key in done:
            del self._held[key]
        return done

    def settle(self, key: K) -> None:
        """``key`` is known to stay as it is: it does not flap, and its changes start to count anew."""
        self._held.pop(key, None)
        self._times.pop(key, None)
