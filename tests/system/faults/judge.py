"""Judges what readers were told: nothing lost without a gap, nothing repeated, in order, and only true gaps.

Pure functions over notes that :mod:`tests.system.faults.traffic` took; sequences are those of the feed,
``<incarnation>-<seq>``, whose text order is their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tocsin.monitor import Gap

__all__ = ["Accepted", "Told", "Verdict", "covers", "judge"]


class Accepted(NamedTuple):
    """An event that a node took: it answered 202 with this sequence."""

    id: str
    origin: str
    sequence: str
    #: When the answer came, in seconds of the monotonic clock.
    at: float


class Told(NamedTuple):
    """An event as a reader was told it."""

    #: The publisher's identity of the event; empty for what agents generate themselves.
    id: str
    origin: str
    sequence: str
    #: When the reader got it, in seconds of the monotonic clock.
    at: float
    #: How long after it was published the reader's node numbered it, in seconds of the wall clock.
    delay: float


class Verdict(NamedTuple):
    """What is wrong with what one reader was told; empty lists where all is well."""

    lost: list[str]
    repeated: list[str]
    disorder: list[str]
    #: Gaps that were told, and those of them that nothing justifies.
    gaps: list[Gap]
    untrue: list[Gap]

    @property
    def right(self) -> bool:
        """Whether the reader was told everything once and in order, or of each loss."""
        return not (self.lost or self.repeated or self.disorder or self.untrue)


def judge(
    accepted: Iterable[Accepted], told: Sequence[Told | Gap], *, excused: Iterable[str] = ()
) -> Verdict:
    """Judges what a reader was told from before the first event was published until all had come.

    ``excused``: ids of events that died with their origin before anybody else had them.
    """
    events = [each for each in told if isinstance(each, Told)]
    gaps = [each for each in told if isinstance(each, Gap)]
    had = {(each.origin, each.sequence) for each in events} | {each.id for each in events if each.id}
    missed = [each for each in accepted if each.id not in had and each.id not in set(excused)]
    lost = [f"{each.origin}/{each.sequence}" for each in missed if not any(covers(gap, each) for gap in gaps)]
    return Verdict(
        lost, _repeated(events), _disorder(events), gaps, [gap for gap in gaps if not _true(gap, had)]
    )


def covers(gap: Gap, event: Accepted) -> bool:
    """Whether the reader was told by this gap that it may lack the event."""
    if not gap.lost:
        return True
    first, last = gap.lost.get(event.origin, ("~", ""))
    return first <= event.sequence <= last


def _repeated(events: Sequence[Told]) -> list[str]:
    times = Counter(f"{each.origin}/{each.sequence}" for each in events)
    times.update(f"id {each.id}" for each in events if each.id)
    return [name for name, count in times.items() if count > 1]


def _disorder(events: Sequence[Told]) -> list[str]:
    last: dict[str, str] = {}
    found = []
    for each in events:
        if each.sequence < last.get(each.origin, ""):
            found.append(f"{each.origin}/{each.sequence} after {last[each.origin]}")
        last[each.origin] = max(each.sequence, last.get(each.origin, ""))
    return found


def _true(gap: Gap, had: set[tuple[str, str] | str]) -> bool:
    """Whether the reader lacks an event that the gap names. One that names none cannot be refuted."""
    return not gap.lost or any(_lacks(origin, *ends, had) for origin, ends in gap.lost.items())


def _lacks(origin: str, first: str, last: str, had: set[tuple[str, str] | str]) -> bool:
    (life, low), (last_life, high) = first.split("-"), last.split("-")
    if life != last_life:
        return True  # what the earlier life had after `first` is known to nobody
    return any((origin, f"{life}-{seq:012}") not in had for seq in range(int(low), int(high) + 1))
