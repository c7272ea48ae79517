"""What a buffer holds of one origin, and what it still knows of what it held.

The entries are in order of number and of sequence at once: an origin's events enter a buffer in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from tocsin.core.bus import Loss
from tocsin.core.page import GONE, Entry, following
from tocsin.core.sequence import incarnation_of, sequence_of

__all__ = ["Held"]

#: Of how many pruned entries of an origin number and sequence are remembered, to say exactly what is lost.
_TRAIL: Final = 256
_SPARE: Final = 1024
_number = attrgetter("number")
_sequence = attrgetter("sequence")
_event = attrgetter("event")
_body = attrgetter("body")


def _count(entries: Sequence[Entry]) -> tuple[int, int]:
    """How many events there are, and their bytes."""
    sizes = list(map(len, map(_body, filter(None, map(_event, entries)))))
    return len(sizes), sum(sizes)


class Held:
    """The retained entries of one origin, oldest first, and its marks."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.entries: list[Entry] = []
        #: The index of the oldest retained entry; those before it are gone.
        self.head = 0
        #: How many events are retained, and their bytes.
        self.events = 0
        self.bytes = 0
        #: Up to here everything got a number, or is known not to be held.
        self.seen = ""
        #: Up to here nothing is retained.
        self.low = ""
        #: What was given up when later events had their numbers already: of all that is missing in it
        #: nothing is retained. Empty: there is none. Who is told of more before it is told of it as well.
        self.late = ("", "")
        #: Whether something that never had a number here counts as gone.
        self.based = False
        #: The number and last sequence of the youngest entry that is not retained any more.
        self.gone = 0
        self.gone_to = ""
        #: The numbers of the youngest late marker, and of the youngest one that is not retained any more.
        self.late_last = self.late_gone = 0
        #: The first sequence that ever had a number here.
        self.begins = ""
        self._trail: deque[tuple[int, str]] = deque(maxlen=_TRAIL)
        self._forgotten = 0

    def hole_before(self, sequence: str) -> str:
        """The first of the sequences that are missing before this one; empty if none is."""
        seq = int(sequence[14:])
        expected = int(self.seen[14:]) + 1 if sequence[:14] == self.seen[:14] else 1
        return sequence_of(incarnation_of(sequence), expected) if seq > expected else ""

    def extend(self, entries: Sequence[Entry], size: int | None = None) -> int:
        """Takes in the origin's next entries, at least one; returns the bytes of their events.

        ``size``: these bytes, where they are known already: then no entry is a marker.
        """
        self.entries += entries
        self.seen = entries[-1].sequence
        if entries[-1].late:
            self.late_last = entries[-1].number
        self.begins = self.begins or (entries[0].marker.first if entries[0].marker else entries[0].sequence)
        events, size = _count(entries) if size is None else (len(entries), size)
        self.events += events
        self.bytes += size
        return size

    def after_number(self, number: int) -> int:
        """The index of the first entry numbered after ``number``."""
        return bisect_right(self.entries, number, lo=self.head, key=_number)

    def seen_at(self, number: int) -> str:
        """What of this origin a reader at ``number`` has been told."""
        index = self.after_number(number)
        return self.entries[index].prev if index < len(self.entries) else self.seen

    def first_beyond(self, sequence: str) -> Entry | None:
        """The first retained entry that a reader who has seen ``sequence`` has not seen."""
        index = bisect_right(self.entries, sequence, lo=self.head, key=_sequence)
        return self.entries[index] if index < len(self.entries) else None

    def oldest_events(self, enough: int, *, by_count: bool) -> list[Entry]:
        """The oldest retained events that follow each other: so many of them, or of so many bytes.

        There must be one. It is alone behind markers that make room as well, joined with its own.
        """
        index = self.head
        while self.entries[index].event is None:
            index += 1
        markers = self.entries[self.run_before(index) : index]
        if len(markers) > 1 or (markers and markers[0].reason == "replica"):
            return [self.entries[index]]
        found: list[Entry] = []
        while enough > 0 and index < len(self.entries):
            entry = self.entries[index]
            if entry.event is None:
                break
            found.append(entry)
            enough -= 1 if by_count else len(entry.event.body)
            index += 1
        return found

    def run_before(self, index: int) -> int:
        """Where the markers begin that are joined with the marker of what is evicted from this index on.

        A late one stays by itself: what it stands for is not next to that.
        """
        while (
            index > self.head and self.entries[index - 1].event is None and not self.entries[index - 1].late
        ):
            index -= 1
        return index

    def discount(self, entry: Entry) -> int:
        """The event of an entry is not retained any more; returns its bytes."""
        assert entry.event is not None
        self.events -= 1
        self.bytes -= len(entry.event.body)
        return len(entry.event.body)

    def take_late(self) -> tuple[Entry, Loss] | None:
        """Takes out the youngest entry if it is a late marker: one more is joined with it."""
        entry = self.entries[-1] if self.head < len(self.entries) else None
        if entry is None or entry.marker is None or not entry.late:
            return None
        del self.entries[-1]
        return entry, entry.marker

    def replace(self, run: int, here: int, marker: Entry) -> None:
        """Puts one marker in place of the entries from index ``run`` to ``here``."""
        self.entries[here] = marker
        if run == self.head:
            self.entries[run:here] = [GONE] * (here - run)  # what is evicted must not stay in memory
            self.head = here  # a flood evicts from this end: no list is copied for each event
            self._compact()
        else:
            del self.entries[run:here]

    def pop(self, count: int = 1) -> int:
        """The oldest entries leave the buffer; returns the bytes of their events."""
        gone = self.entries[self.head : self.head + count]
        self.entries[self.head : self.head + count] = [GONE] * count
        self.head += count
        last = gone[-1]
        self.low = max(self.low, last.sequence)
        self.gone, self.gone_to = last.number, last.sequence
        if self.late_last > self.late_gone:
            self.late_gone = max((entry.number for entry in gone if entry.late), default=self.late_gone)
        self._remember(gone)
        self._compact()
        events, size = _count(gone)
        self.events -= events
        self.bytes -= size
        return size

    def _remember(self, gone: Sequence[Entry]) -> None:
        too_many = len(self._trail) + len(gone) - _TRAIL
        if too_many > 0:
            known = self._trail[too_many - 1][0] if too_many <= len(self._trail) else 0
            self._forgotten = known or gone[too_many - len(self._trail) - 1].number
        young = gone[-_TRAIL:]
        firsts = (entry.marker.first if entry.marker else entry.sequence for entry in young)
        self._trail.extend(zip(map(_number, young), firsts, strict=True))

    def _compact(self) -> None:
        if self.head > _SPARE and self.head * 2 > len(self.entries):
            del self.entries[: self.head]
            self.head = 0

    def forget(self, gone: int, gone_to: str) -> None:
        """A former life held entries up to these, which are not retained; it is not known which."""
        self.gone, self.gone_to, self._forgotten = gone, gone_to, gone

    def lost_after(self, number: int) -> tuple[str, str]:
        """First and last sequence of what a reader at ``number`` can no longer get from before the window.

        Where the exact first one is forgotten, it is the first that was ever here: rather too much.
        """
        first = self.begins
        if number >= self._forgotten:
            first = next(first for gone, first in self._trail if gone > number)
        return first, self.gone_to

    def lost_beyond(self, sequence: str) -> tuple[str, str] | None:
        """First and last sequence of what a reader who has seen ``sequence`` can no longer get, if any."""
        first, last = self.late
        if sequence >= self.low:
            return (max(first, following(sequence)) if sequence else first, last) if sequence < last else None
        # What is late may lie behind much that is held: a late marker that is retained tells of it by itself.
        end = self.low if self.late_last > self.late_gone else max(last, self.low)
        if sequence:
            return following(sequence), end
        # What was before a base, or came too late, may have begun in any life.
        begins = self.begins if self.begins and not self.based else sequence_of(0, 1)
        return begins, end

    def give_up(self, sequence: str) -> None:
        """Nothing up to ``sequence`` is or will be held beyond what is here."""
        index = bisect_right(self.entries, sequence, lo=self.head, key=_sequence)
        if index == self.head:
            self.low = max(self.low, sequence)
        elif self.entries[index - 1].sequence < sequence:
            first, last = self.late
            self.late = (
                min(first or sequence, following(self.entries[index - 1].sequence)),
                max(last, sequence),
            )
        self.based = True
