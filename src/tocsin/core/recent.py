"""The last arrivals, for people: a list to read, counts a minute, and how each node has been.

It is no part of delivery (that is the buffer): it holds the last :data:`KEEP` arrivals however old, so
that a page has something to show after a quiet night. All times are wall times of this node's arrival,
RFC 3339 UTC text, so that a node with a wrong clock cannot paint the history of others.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import Struct

from tocsin.core.board import worst
from tocsin.core.event import Event
from tocsin.core.interest import EVERYTHING, Interests

__all__ = ["HISTORY", "KEEP", "MINUTES", "Change", "Minute", "Recent", "Recorded"]

#: How many arrivals are kept.
KEEP: Final = 1000
#: How many minutes are counted.
MINUTES: Final = 60
#: How many seconds of a node's history are kept.
HISTORY: Final = 6 * 3600
#: A node that changes all the time keeps so many changes; the oldest go first.
_MAX_CHANGES: Final = 2000
_plain, _severity = attrgetter("plain"), attrgetter("severity")
_GRADE: Final = {"warning": 1, "error": 2, "critical": 2}


class Recorded(Struct, frozen=True, gc=False):
    """One arrival. ``number`` is its number in the buffer, 0 where there is none."""

    number: int
    event: Event
    recordedtime: str


class _Burst(NamedTuple):
    """Arrivals that came together: no object for each of them, as thousands come and go in a flood."""

    numbers: Sequence[int]
    events: Sequence[Event]
    recordedtime: str


class Minute(NamedTuple):
    """How many events arrived in the minute that begins at ``start`` (``…THH:MM``), by severity."""

    start: str
    #: info and notice
    info: int = 0
    warning: int = 0
    #: error and critical
    failure: int = 0


class Change(NamedTuple):
    """From ``at`` on a node, with all its resources, was at worst in this ``status``."""

    at: str
    status: str


class Recent:
    """What has arrived lately at this node, of all nodes."""

    def __init__(self) -> None:
        #: What came together, the oldest first; the first one may be needed in part only.
        self._bursts: deque[_Burst] = deque()
        self._length = 0
        self._minutes: dict[str, list[int]] = {}
        self._bad: dict[str, dict[tuple[str, str], str]] = {}
        self._changes: dict[str, deque[Change]] = {}
        #: How many arrivals there have been: changes with each of them.
        self.total = 0

    def __len__(self) -> int:
        return min(self._length, KEEP)

    def add(self, number: int, event: Event, recordedtime: str) -> None:
        """Takes in one arrival."""
        self.extend((number,), (event,), recordedtime)

    def extend(self, numbers: Sequence[int], events: Sequence[Event], recordedtime: str) -> None:
        """Takes in arrivals that came together, as many numbers as events."""
        self.total += len(events)
        self._bursts.append(_Burst(numbers, events, recordedtime))
        self._length += len(events)
        while self._length - len(self._bursts[0].events) >= KEEP:
            self._length -= len(self._bursts.popleft().events)
        self._count(list(map(_severity, events)), recordedtime)
        if not all(map(_plain, events)):
            for event in events:
                payload = event.statement()
                if payload is not None and payload.status is not None:
                    self._follow(event, payload.status, recordedtime)

    def _count(self, severities: Sequence[str], recordedtime: str) -> None:
        minute = recordedtime[:16]
        counts = self._minutes.get(minute)
        if counts is None:
            counts = self._minutes[minute] = [0, 0, 0]
            while len(self._minutes) > MINUTES + 1:
                del self._minutes[next(iter(self._minutes))]
        first = severities[0]  # as a rule that of all: to count its equals is quicker than to count all
        alike = severities.count(first) == len(severities)
        for severity, count in ({first: len(severities)} if alike else Counter(severities)).items():
            counts[_GRADE.get(severity, 0)] += count

    def _follow(self, event: Event, status: str, at: str) -> None:
        node = (event.subject or event.node) if event.kind == "node" else event.node
        if event.kind == "node" and status == "gone":
            self._bad.pop(node, None)
            self._changes.pop(node, None)
            return
        bad = self._bad.setdefault(node, {})
        if status in ("ok", "gone"):
            bad.pop((event.kind, event.subject), None)
        else:
            bad[event.kind, event.subject] = status
        self._change(node, worst(bad.values()), at)

    def _change(self, node: str, status: str, at: str) -> None:
        changes = self._changes.setdefault(node, deque(maxlen=_MAX_CHANGES))
        if changes and changes[-1].status == status:
            return
        changes.append(Change(at, status))
        horizon = _before(at, HISTORY)
        # One change from before the horizon stays: it says how the history begins.
        while len(changes) > 1 and changes[1].at <= horizon:
            changes.popleft()

    # -- what it shows --------------------------------------------------------

    def matching(
        self, interests: Interests = EVERYTHING, limit: int = KEEP, severities: Collection[str] = ()
    ) -> list[Recorded]:
        """The arrivals of interest, newest first; all severities where none is given."""
        found: list[Recorded] = []
        for number, event, recordedtime in islice(self._newest_first(), KEEP):
            if len(found) >= limit:
                break
            if (not severities or event.severity in severities) and interests.matches(event):
                found.append(Recorded(number, event, recordedtime))
        return found

    def _newest_first(self) -> Iterator[tuple[int, Event, str]]:
        for burst in reversed(self._bursts):
            for number, event in zip(reversed(burst.numbers), reversed(burst.events), strict=True):
                yield number, event, burst.recordedtime

    def per_minute(self, wall: str) -> list[Minute]:
        """The last :data:`MINUTES` minutes, oldest first; the one that ``wall`` is in is the last."""
        last = datetime.fromisoformat(wall).astimezone(UTC)
        starts = (last - timedelta(minutes=n) for n in range(MINUTES - 1, -1, -1))
        names = (start.strftime("%Y-%m-%dT%H:%M") for start in starts)
        return [Minute(name, *self._minutes.get(name, (0, 0, 0))) for name in names]

    def history(self, node: str) -> list[Change]:
        """How a node has been, oldest first. Before the first change nothing is known."""
        return list(self._changes.get(node, ()))


def _before(at: str, seconds: float) -> str:
    earlier = datetime.fromisoformat(at).astimezone(UTC) - timedelta(seconds=seconds)
    return earlier.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
