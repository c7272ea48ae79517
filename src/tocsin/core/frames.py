"""Which frames of a page to refresh, and when (DESIGN.md section 8).

A frame goes by its own cursor: any event of interest with a higher number refreshes it, whether or not
the reader had seen that event elsewhere. The table remembers the events of the last minute, so a frame
that registers late, or whose refresh took long, is compared with what happened meanwhile. A gap, or
another node's buffer, begins the memory anew: frames whose cursor is older are refreshed once.

No I/O; times are seconds of any monotonic clock. Whoever drives it calls :meth:`Frames.take` with the
news of each answer, and :meth:`Frames.ready` at :attr:`Frames.due`; and tells how each refresh ended.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple

from tocsin.core.follow import News
from tocsin.core.interest import Interests

__all__ = ["Frames"]

MEMORY: Final = 60.0  # seconds that an event is remembered
MOST_EVENTS: Final = 10_000  # … and how many at most; what is forgotten counts as missed
QUIET: Final = 0.15  # a burst is over after this
LONGEST_BURST: Final = 1.0  # … or taken as over after this
FLOOR: Final = 0.5  # between two refreshes of one frame
BETWEEN_GAPS: Final = 10.0  # between two refreshes because of gaps
RETRY: Final = 1.0  # after a failed refresh; doubles …
LONGEST_RETRY: Final = 15.0  # … up to this


class _Place(NamedTuple):
    buffer: str
    number: int


class _Remembered(NamedTuple):
    number: int
    type: str
    node: str
    subject: str
    at: float


class _Frame:
    """One frame: what it shows, how fresh it is, when it is to be refreshed."""

    def __init__(self, interests: Interests, place: _Place) -> None:
        self.interests, self.place = interests, place
        self.busy = False
        self.began = _Place("", 0)  # where the monitor was when the refresh began
        self.must = self.burst_began = self.burst_ends = float("inf")
        self.not_before = float("-inf")
        self.fails = 0

    @property
    def due(self) -> float:
        if self.busy:
            return float("inf")
        return max(self.not_before, min(self.must, self.burst_ends))

    def wants(self, event: _Remembered) -> bool:
        return event.number > self.place.number and self.interests.match(
            event.type, event.node, event.subject
        )

    def stir(self, now: float) -> None:
        """An event of interest: refresh when the burst is over."""
        self.burst_began = min(self.burst_began, now)
        self.burst_ends = min(now + QUIET, self.burst_began + LONGEST_BURST)

    def begin(self, here: _Place, now: float) -> None:
        self.busy, self.began = True, here
        self.must = self.burst_began = self.burst_ends = float("inf")
        self.not_before = now + FLOOR

    def retry(self, now: float) -> None:
        self.must = now + min(LONGEST_RETRY, RETRY * 2 ** min(self.fails, 10))
        self.fails += 1


class Frames:
    """The table of frames. ``cursor`` is where the monitor starts, if it knows."""

    def __init__(self, cursor: str = "") -> None:
        self._frames: dict[str, _Frame] = {}
        self._events: deque[_Remembered] = deque()
        #: Where the monitor is, and from which number on its memory is complete.
        self._here = _place(cursor)
        self._since = self._here.number
        self._last_gap = float("-inf")

    @property
    def due(self) -> float:
        """When the next refresh is to begin; infinity: none is planned."""
        return min((frame.due for frame in self._frames.values()), default=float("inf"))

    def ready(self, now: float) -> list[str]:
        """The frames to refresh now. Each is busy until :meth:`refreshed` or :meth:`failed` is called."""
        names = [name for name, frame in self._frames.items() if frame.due <= now]
        for name in names:
            self._frames[name].begin(self._here, now)
        return names

    def register(self, name: str, interests: Interests, cursor: str, now: float) -> None:
        """A frame was loaded, rendered at ``cursor`` ("": unknown, so it is refreshed)."""
        frame = self._frames[name] = _Frame(interests, _place(cursor))
        if self._outdated(frame):
            frame.must = now
        elif any(map(frame.wants, self._events)):
            frame.stir(now)

    def unregister(self, name: str) -> None:
        """A frame was unloaded."""
        self._frames.pop(name, None)

    def refreshed(self, name: str, cursor: str, now: float) -> None:
        """A refresh ended well, rendered at ``cursor``; "" (no frame of ours): at what was known then."""
        if (frame := self._frames.get(name)) is None:
            return
        frame.busy, frame.place = False, _place(cursor) if cursor else frame.began
        if self._outdated(frame):
            frame.retry(now)  # a cache answered, or a node that the monitor has left: not in a loop
            return
        frame.fails = 0
        if any(map(frame.wants, self._events)):
            frame.stir(now)

    def failed(self, name: str, now: float) -> None:
        """A refresh failed: it is tried again."""
        if frame := self._frames.get(name):
            frame.busy = False
            frame.retry(now)

    def take(self, news: News, cursor: str, now: float) -> None:
        """What an answer brought; ``cursor`` is the monitor's after it."""
        here = _place(cursor)
        if news.jumped or here.buffer != self._here.buffer:
            moved = here.buffer != self._here.buffer
            self._here, self._since = here, here.number
            self._events.clear()
            self._begin_anew(now if moved else self._after_gap(now))
            return
        self._here = here
        for event in news.shown:
            self._remember(
                _Remembered(event["number"], event["type"], event["node"], event.get("subject", ""), now), now
            )
        self._forget(now)

    def _begin_anew(self, when: float) -> None:
        for frame in self._frames.values():
            if not frame.busy and self._outdated(frame):
                frame.must = min(frame.must, when)

    def _after_gap(self, now: float) -> float:
        if self._last_gap <= now:  # else one is planned already, and will do
            self._last_gap = max(now, self._last_gap + BETWEEN_GAPS)
        return self._last_gap

    def _remember(self, event: _Remembered, now: float) -> None:
        self._events.append(event)
        for frame in self._frames.values():
            # A busy frame is compared when its refresh ends: its answer may show the event already.
            if not frame.busy and frame.wants(event):
                frame.stir(now)

    def _forget(self, now: float) -> None:
        while self._events and (self._events[0].at < now - MEMORY or len(self._events) > MOST_EVENTS):
            self._since = self._events.popleft().number

    def _outdated(self, frame: _Frame) -> bool:
        """Whether something may have happened since it was rendered that is not remembered."""
        if not self._here.buffer:
            return False  # before the first answer nothing is known: that answer will tell
        return frame.place.buffer != self._here.buffer or frame.place.number < self._since


def _place(cursor: str) -> _Place:
    buffer, _, number = cursor.rpartition(":")
    return _Place(buffer, int(number)) if re.fullmatch("[0-9]{1,18}", number) else _Place(cursor, 0)
