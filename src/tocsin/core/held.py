"""What a buffer holds of one origin, and what it still knows of what it held.

The entries are in order of number and of sequence at once: an origin's events enter a buffer in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from operator import attrgetter
from typing import Final

from tocsin.core.event import incarnation_of, sequence_of
from tocsin.core.page import GONE, Entry, following

__all__ = ["Held"]

#: Of how many pruned entries of an origin number and sequence are remembered, to say exactly what is lost.
_TRAIL: Final = 256
_SPARE: Final = 1024
_number = attrgetter("number")
_sequence = attrgetter("sequence")


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
        #: The first sequence that ever had a number here.
        self.begins = ""
        self._trail: deque[tuple[int, str]] = deque(maxlen=_TRAIL)
        self._forgotten = 0

    def hole_before(self, sequence: str) -> str:
        """The first of the sequences that are missing before this one; empty if none is."""
        seq = int(sequence[14:])
        expected = int(self.seen[14:]) + 1 if sequence[:14] == self.seen[:14] else 1
        return sequence_of(incarnation_of(sequence), expected) if seq > expected else ""

    def add(self, entry: Entry) -> int:
        """Takes in the origin's next entry; returns the bytes of its event."""
        self.entries.append(entry)
        self.seen = entry.sequence
        self.begins = self.begins or (entry.marker.first if entry.marker else entry.sequence)
        if entry.event is None:
            return 0
        self.events += 1
        self.bytes += len(entry.event.body)
        return len(entry.event.body)

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

    def oldest_event(self) -> int:
        """The index of the oldest retained event. There must be one."""
        index = self.head
        while self.entries[index].event is None:
            index += 1
        return index

    def discount(self, entry: Entry) -> int:
        """The entry's event, if any, is not retained any more; returns its bytes."""
        if entry.event is None:
            return 0
        self.events -= 1
        self.bytes -= len(entry.event.body)
        return len(entry.event.body)

    def replace(self, run: int, here: int, marker: Entry) -> None:
        """Puts one marker in place of the entries from index ``run`` to ``here``."""
        self.entries[here] = marker
        if run == self.head:
            self.head = here  # a flood evicts from this end: no list is copied for each event
            self._compact()
        else:
            del self.entries[run:here]

    def pop(self) -> int:
        """The oldest entry leaves the buffer; returns the bytes of its event."""
        entry = self.entries[self.head]
        self.entries[self.head] = GONE
        self.head += 1
        self.low = max(self.low, entry.sequence)
        self.gone, self.gone_to = entry.number, entry.sequence
        if len(self._trail) == _TRAIL:
            self._forgotten = self._trail[0][0]
        self._trail.append((entry.number, entry.marker.first if entry.marker else entry.sequence))
        self._compact()
        return self.discount(entry)

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
        if sequence:
            return following(sequence), max(last, self.low)
        # What was before a base, or came too late, may have begun in any life.
        begins = self.begins if self.begins and not self.based else sequence_of(0, 1)
        return begins, max(last, self.low)

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
