"""The last arrivals, for people: a list to read, counts a minute, and how each node has been.

It is no part of delivery (that is the buffer): it holds the last :data:`KEEP` arrivals however old, so
that a page has something to show after a quiet night. All times are wall times of this node's arrival,
RFC 3339 UTC text, so that a node with a wrong clock cannot paint the history of others.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
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
_GRADE: Final = {"warning": 1, "error": 2, "critical": 2}


class Recorded(Struct, frozen=True, gc=False):
    """One arrival. ``number`` is its number in the buffer, 0 where there is none."""

    number: int
    event: Event
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
        self._items: deque[Recorded] = deque(maxlen=KEEP)
        self._minutes: dict[str, list[int]] = {}
        self._bad: dict[str, dict[tuple[str, str], str]] = {}
        self._changes: dict[str, deque[Change]] = {}
        #: How many arrivals there have been: changes with each of them.
        self.total = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, number: int, event: Event, recordedtime: str) -> None:
        """Takes in one arrival."""
        self.extend([(number, event)], recordedtime)

    def extend(self, numbered: Sequence[tuple[int, Event]], recordedtime: str) -> None:
        """Takes in arrivals that came together, each with its number."""
        self.total += len(numbered)
        self._items.extend([Recorded(number, event, recordedtime) for number, event in numbered[-KEEP:]])
        self._count([event.severity for _, event in numbered], recordedtime)
        for event in [event for _, event in numbered if not event.plain]:
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
        for severity, count in Counter(severities).items():
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
        for item in reversed(self._items):
            if len(found) >= limit:
                break
            if (not severities or item.event.severity in severities) and interests.matches(item.event):
                found.append(item)
        return found

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
