"""The entries of a buffer, in order of number: taking in, and letting go by age and for room.

Time is handed in: ``now`` is monotonic seconds, ``recordedtime`` wall time for people.

How long: an entry stays ``retain`` seconds from when it got its number, so that every reader of this
node has that long; but an event that was old when it came leaves at twice ``retain`` of its own age.
An event that has to go earlier than its neighbours leaves a marker in its place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush, nlargest
from itertools import repeat, takewhile
from operator import attrgetter
from typing import Any, Final

from tocsin.core.bus import Arrival, Burst, Loss
from tocsin.core.held import Held
from tocsin.core.page import GONE, Entry, preceding
from tocsin.core.sequence import is_next

__all__ = ["Retained"]

_SPARE: Final = 1024
#: What is so many seconds past its time leaves when others come: all of a flood at once takes too long.
_OVERDUE: Final = 0.05
_number = attrgetter("number")
_origin, _sequence, _born = attrgetter("origin"), attrgetter("sequence"), attrgetter("born")


class Retained:
    """Recent events of all origins, and markers in place of those that are missing."""

    def __init__(
        self,
        *,
        retain: float = 300.0,
        max_events: int = 100_000,
        max_bytes: int = 64 << 20,
    ) -> None:
        self.retain = retain
        self.max_events, self.max_bytes = max_events, max_bytes
        #: The number of the youngest entry; 0 before the first.
        self.last = 0
        #: The bytes of all retained events.
        self.bytes = 0
        #: Events that were not numbered: a copy, or out of order.
        self.refused = 0
        #: Events that had to leave before their time, because of a cap or their own age.
        self.evicted = 0
        self._entries: list[Entry] = []
        self._head = 0
        self._holes = 0
        self._held: dict[str, Held] = {}
        #: Events that were old when they came: (when they must leave, number).
        self._aged: list[tuple[float, int]] = []
        self._now = float("-inf")
        #: Called for each new entry before anybody can see its number. It must not raise.
        self.keep: Callable[[Any], None] | None = None

    # -- what it holds --------------------------------------------------------

    def __len__(self) -> int:
        """How many numbers are in use: events and markers."""
        return len(self._entries) - self._head - self._holes

    @property
    def first(self) -> int:
        """The number of the oldest retained entry; ``last + 1`` if there is none."""
        return self._entries[self._head].number if self._head < len(self._entries) else self.last + 1

    @property
    def coverage(self) -> tuple[str, str]:
        """Wall time of the oldest and the youngest retained entry; empty if there is none."""
        if self._head >= len(self._entries):
            return "", ""
        return self._entries[self._head].recordedtime, self._entries[-1].recordedtime

    def seen(self, number: int | None = None) -> dict[str, str]:
        """What a reader at ``number`` (default: now) has been told, of every origin."""
        if number is None or number >= self.last:
            return {o: held.seen for o, held in self._held.items() if held.seen}
        at = ((origin, held.seen_at(number)) for origin, held in self._held.items())
        return {origin: sequence for origin, sequence in at if sequence}

    # -- what changes it ------------------------------------------------------

    def append(self, arrival: Arrival, now: float, recordedtime: str) -> int:
        """Numbers one event, as :meth:`extend` does."""
        return self.extend(Burst.of((arrival,)), now, recordedtime)[0]

    def extend(self, burst: Burst, now: float, recordedtime: str) -> Sequence[int]:
        """Numbers events that came together; 0 for one that is not newer than what its origin had numbered.

        If events of the same life are missing before one, a marker goes first: a hole is never silent.
        """
        # A clock that seems to go back must not make an old entry outlive the younger ones.
        self._now = max(self._now, now)
        if self._head < len(self._entries) and self._entries[self._head].at + self.retain < now - _OVERDUE:
            self._let_go(self._now)
            self._tidy()
        held = self._of(burst.events[0].origin)
        numbers: Sequence[int]
        if burst.follow and is_next(held.seen, burst.events[0].sequence):
            numbers = self._number(held, burst, recordedtime)
        else:
            numbers = [self._number_one(arrival, now, recordedtime) for arrival in burst.arrivals]
        if len(self) > self.max_events or self.bytes > self.max_bytes:
            self._keep_to_limits()
        return numbers

    def _number_one(self, arrival: Arrival, now: float, recordedtime: str) -> int:
        event = arrival.event
        held = self._of(event.origin)
        if event.sequence <= held.seen:
            self.refused += 1
            return 0
        if missing := held.hole_before(event.sequence):
            self.mark(Loss(event.origin, missing, preceding(event.sequence)), now, recordedtime)
        entry = Entry(
            self.last + 1, event.origin, event.sequence, held.seen, self._now, arrival.born, recordedtime,
            event,
        )  # fmt: skip
        self._age([entry])
        self._add(held, [entry], len(event.body))
        return entry.number

    def _number(self, held: Held, burst: Burst, recordedtime: str) -> range:
        """Numbers events of one origin that follow each other."""
        events, numbers = burst.events, range(self.last + 1, self.last + 1 + len(burst.events))
        sequences, births = list(map(_sequence, events)), list(map(_born, burst.arrivals))
        now, origin, prevs = self._now, held.origin, [held.seen, *sequences[:-1]]
        entries = list(
            map(
                Entry, numbers, repeat(origin), sequences, prevs, repeat(now), births, repeat(recordedtime),
                events,
            )
        )  # fmt: skip
        if now - min(births) > self.retain:
            self._age(entries)
        self._add(held, entries, burst.size)
        return numbers

    def _age(self, entries: Sequence[Entry]) -> None:
        """Those that were old when they came leave before their neighbours do."""
        for entry in entries:
            if entry.at - entry.born > self.retain:
                heappush(self._aged, (entry.born + 2 * self.retain, entry.number))

    def _add(self, held: Held, entries: Sequence[Entry], size: int | None = None) -> None:
        self.last += len(entries)
        self._entries += entries
        self.bytes += held.extend(entries, size)
        if self.keep is not None:
            for entry in entries:
                self.keep(entry)

    def mark(self, loss: Loss, now: float, recordedtime: str) -> int:
        """Numbers a marker in place of lost events.

        Returns 0 if later events of the origin have their numbers already: then who comes from another
        node without them is still told, but nobody who reads here is, unless the loss says that it is late.
        """
        held = self._of(loss.origin)
        late = loss.last <= held.seen
        if late:
            if not loss.elsewhere:
                held.give_up(loss.last)
            if not loss.late:
                return 0
            if (former := held.take_late()) is not None:
                self._empty([former[0]])
                loss = loss._replace(first=min(former[1].first, loss.first))
        self._now = max(self._now, now)
        entry = Entry(
            self.last + 1, loss.origin, max(loss.last, held.seen), held.seen, self._now, now, recordedtime,
            marker=loss._replace(late=late), reason="replica",
        )  # fmt: skip
        self._add(held, [entry])
        return entry.number

    def base(self, origin: str, sequence: str) -> None:
        """States that nothing of ``origin`` up to and including ``sequence`` is or will be held here.

        For a newcomer, before it has readers: who read here would not be told; that is for :meth:`mark`.
        """
        held = self._of(origin)
        held.give_up(sequence)
        held.seen = max(held.seen, sequence)

    def skip(self, origin: str, sequence: str) -> None:
        """States that an event is known and gets no number: a report about a node that is no news here.

        Who reads here has been told the same by somebody else: it is no hole.
        """
        held = self._of(origin)
        held.seen = max(held.seen, sequence)

    def prune(self, now: float) -> int:
        """Lets go of what is past its time; returns of how many entries."""
        before = len(self)
        self._let_go(now)
        while self._aged and self._aged[0][0] <= now:
            number = heappop(self._aged)[1]
            index = self._index_of(number)
            if index is not None and self._entries[index].event is not None:
                self.evicted += 1
                self._evict(self._held[self._entries[index].origin], self._entries[index : index + 1])
        self._tidy()
        return before - len(self)

    # -- inside ---------------------------------------------------------------

    def _of(self, origin: str) -> Held:
        held = self._held.get(origin)
        if held is None:
            held = self._held[origin] = Held(origin)
        return held

    def _index_of(self, number: int) -> int | None:
        index = bisect_left(self._entries, number, lo=self._head, key=_number)
        return index if index < len(self._entries) and self._entries[index].number == number else None

    def _let_go(self, now: float) -> None:
        """What is past its time leaves."""
        entries, retain = self._entries, self.retain
        # By the time at which each leaves, which is in order as the numbers are.
        self._pop(bisect_right(entries, now, lo=self._head, key=lambda entry: entry.at + retain) - self._head)

    def _pop(self, count: int) -> None:
        """The oldest entries leave; what is lost with them the marks of each origin know from then on."""
        gone = self._entries[self._head : self._head + count]
        self._entries[self._head : self._head + count] = [GONE] * count
        self._head += count
        for origin, many in Counter(map(_origin, gone)).items():
            if origin:
                self.bytes -= self._held[origin].pop(many)
            else:
                self._holes -= many

    def _keep_to_limits(self) -> None:
        # What is past its time goes first: nobody has to be told of that.
        self._let_go(self._now)
        self._tidy()  # markers that came to the front make room, too
        while len(self) > self.max_events or self.bytes > self.max_bytes:
            if not self._relieve():
                break
        self._tidy()

    def _relieve(self) -> bool:
        """The oldest events of the origin that holds most go; False if there is no event at all.

        As many at once as are too many, or until another origin holds most.
        """
        by_count = len(self) > self.max_events
        weigh = attrgetter("events" if by_count else "bytes")
        most, *others = nlargest(2, self._held.values(), key=weigh)
        if not most.events:
            return False
        over = len(self) - self.max_events if by_count else self.bytes - self.max_bytes
        ahead = weigh(most) - sum(map(weigh, others))
        gone = most.oldest_events(max(1, min(over, ahead)), by_count=by_count)
        if oldest := self._oldest_of_all(gone):
            self._pop(oldest)
        else:
            self._evict(most, gone)
        self.evicted += oldest or len(gone)
        self._tidy()
        return True

    def _oldest_of_all(self, entries: Sequence[Entry]) -> int:
        """How many of these would leave next anyway: in their places no markers are needed."""
        here = self._entries[self._head : self._head + len(entries)]
        return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(here, entries, strict=False)))

    def _evict(self, held: Held, gone: Sequence[Entry]) -> None:
        """Puts one marker in place of entries that follow each other, and of the markers before them."""
        self.bytes -= sum(held.discount(entry) for entry in gone)
        last = gone[-1]
        here = held.after_number(last.number) - 1
        run = held.run_before(here + 1 - len(gone))
        oldest = held.entries[run]
        first = oldest.marker.first if oldest.marker is not None else oldest.sequence
        marker = Entry(
            last.number, last.origin, last.sequence, oldest.prev, last.at, last.born, last.recordedtime,
            marker=Loss(last.origin, first, last.sequence), reason="evicted",
        )  # fmt: skip
        self._empty(held.entries[run:here])
        held.replace(run, here, marker)
        index = self._index_of(marker.number)
        assert index is not None
        self._entries[index] = marker

    def _empty(self, merged: Sequence[Entry]) -> None:
        """Their numbers stand for nothing any more."""
        entries, index = self._entries, len(self._entries)
        for entry in merged:
            index += 1  # an origin's numbers often follow each other
            if index >= len(entries) or entries[index].number != entry.number:
                found = self._index_of(entry.number)
                assert found is not None
                index = found
            entries[index] = Entry(entry.number, "", "", "", entry.at, entry.born, entry.recordedtime)
            self._holes += 1

    def _tidy(self) -> None:
        """Nothing is kept at the old end that is no event: what it says the origins' marks say as well."""
        entries = self._entries
        while self._head < len(entries) and entries[self._head].reason != "replica" and (
            entries[self._head].event is None
        ):  # fmt: skip
            self._pop(1)
        if self._head > _SPARE and self._head * 2 > len(entries):
            del entries[: self._head]
            self._head = 0
        if self._holes > _SPARE and self._holes * 2 > len(entries):
            self._entries = [entry for entry in entries[self._head :] if entry.origin]
            self._head = self._holes = 0
