"""The buffer: the recent events a node knows, numbered in order of arrival, pruned by age.

It answers a reader with a page or with a gap, never with silence about a loss (DESIGN.md section 6).
Time is handed in: ``now`` is monotonic seconds, ``recordedtime`` wall time for people.

How long: an entry stays ``retain`` seconds from when it got its number, so that every reader of this
node has that long; but an event that was old when it came leaves at twice ``retain`` of its own age.
An event that has to go earlier than its neighbours leaves a marker in its place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping
from heapq import heappop, heappush
from operator import attrgetter
from typing import Final

from tocsin.core.ask import MAX_ANSWER, Ask
from tocsin.core.bus import Arrival, Loss
from tocsin.core.cursor import Cursor, same_node
from tocsin.core.held import Held
from tocsin.core.interest import EVERYTHING, Interests
from tocsin.core.page import GONE, Entry, Gap, Page, furthest, preceding, weight

__all__ = ["MAX_ANSWER", "Buffer", "Entry", "Gap", "Page"]

_SPARE: Final = 1024
_number = attrgetter("number")
_at = attrgetter("at")


class Buffer:
    """Recent events of all origins, in memory."""

    def __init__(
        self,
        id: str,
        *,
        retain: float = 300.0,
        max_events: int = 100_000,
        max_bytes: int = 64 << 20,
        prior: Collection[str] = (),
    ) -> None:
        self.id, self.retain = id, retain
        self.max_events, self.max_bytes = max_events, max_bytes
        self._prior = frozenset(prior)
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

    # -- what it holds --------------------------------------------------------

    def __len__(self) -> int:
        """How many numbers are in use: events and markers."""
        return len(self._entries) - self._head - self._holes

    @property
    def first(self) -> int:
        """The number of the oldest retained entry; ``last + 1`` if there is none."""
        return self._entries[self._head].number if self._head < len(self._entries) else self.last + 1

    @property
    def cursor(self) -> Cursor:
        """The position behind everything: now."""
        return Cursor(self.id, self.last)

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
        """Numbers an event. Returns 0 for one that is not newer than what its origin had numbered.

        If events of the same life are missing before it, a marker goes first: a hole is never silent.
        """
        event = arrival.event
        held = self._of(event.origin)
        if event.sequence <= held.seen:
            self.refused += 1
            return 0
        missing = held.hole_before(event.sequence)
        if missing:
            self.mark(Loss(event.origin, missing, preceding(event.sequence)), now, recordedtime)
        number = self._add(
            held, event.sequence, now, Entry(0, "", "", "", 0, arrival.born, recordedtime, event=event)
        )
        if self._now - arrival.born > self.retain:
            heappush(self._aged, (arrival.born + 2 * self.retain, number))
        if len(self._entries) > self.max_events or self.bytes > self.max_bytes:
            self._keep_to_limits()
        return number

    def mark(self, loss: Loss, now: float, recordedtime: str) -> int:
        """Numbers a marker in place of lost events.

        Returns 0 if later events of the origin have their numbers already: then who comes from another
        node without them is still told, but nobody who reads here can be.
        """
        held = self._of(loss.origin)
        if loss.last <= held.seen:
            held.give_up(loss.last)
            return 0
        entry = Entry(0, "", "", "", 0, now, recordedtime, marker=loss, reason="replica")
        return self._add(held, loss.last, now, entry)

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
        while self._head < len(self._entries) and self._entries[self._head].at + self.retain <= now:
            self._pop()
        while self._aged and self._aged[0][0] <= now:
            number = heappop(self._aged)[1]
            index = self._index_of(number)
            if index is not None and self._entries[index].event is not None:
                self._evict(index)
        self._tidy()
        return before - len(self)

    # -- what it answers ------------------------------------------------------

    def since(
        self,
        cursor: Cursor | None,
        *,
        limit: int = 1000,
        interests: Interests = EVERYTHING,
        weigh: Callable[[Entry], int] = weight,
    ) -> Page | Gap:
        """What came after ``cursor``; ``seen`` of the origins that moved. Without cursor: now, and no events.

        ``limit``: events in a page. Their bytes, as ``weigh`` says, stay below :data:`MAX_ANSWER`.
        """
        if cursor is None:
            return Page((), self.cursor, self.seen(), more=False)
        reason = self._misplaced(cursor)
        if reason:
            return Gap(reason, {}, self.cursor, self.seen())
        behind = self.first - 1
        lost = {
            origin: held.lost_after(cursor.number)
            for origin, held in (self._held.items() if cursor.number < behind else ())
            if held.gone > cursor.number and interests.concerns_origin(origin)
        }
        if lost:
            return Gap("evicted", lost, Cursor(self.id, behind), self.seen(behind))
        return self._answer(cursor.number, Ask(limit, interests, weigh))

    def window(
        self,
        *,
        limit: int = 1000,
        interests: Interests = EVERYTHING,
        weigh: Callable[[Entry], int] = weight,
    ) -> Page:
        """The oldest retained events, with the full ``seen``: where a reader begins who wants everything."""
        return self._begin(self._head, Ask(limit, interests, weigh, always_page=True))

    def recent(
        self,
        seconds: float,
        now: float,
        *,
        limit: int = 1000,
        interests: Interests = EVERYTHING,
        weigh: Callable[[Entry], int] = weight,
    ) -> Page:
        """The events born in the last ``seconds``, with the full ``seen``."""
        start = bisect_left(self._entries, now - seconds, lo=self._head, key=_at)
        ask = Ask(limit, interests, weigh, since=now - seconds, always_page=True)
        return self._begin(start, ask)

    def resume(
        self,
        after: str,
        seen: Mapping[str, str],
        *,
        limit: int = 1000,
        interests: Interests = EVERYTHING,
        weigh: Callable[[Entry], int] = weight,
    ) -> Page | Gap:
        """What a reader who comes from elsewhere has not seen, or a gap if it is not all here.

        From the lowest number before which ``seen`` covers everything, without what ``seen`` covers.
        ``after``, the reader's last cursor, counts only for one who has lost its ``seen``.
        """
        if not seen and (cursor := self._own(after)) is not None:
            return self.since(cursor, limit=limit, interests=interests, weigh=weigh)
        lost = {
            origin: gone
            for origin, held in self._held.items()
            if interests.concerns_origin(origin) and (gone := held.lost_beyond(seen.get(origin, "")))
        }
        known = furthest(seen, {origin: held.low for origin, held in self._held.items() if held.low})
        firsts = (held.first_beyond(known.get(o, "")) for o, held in self._held.items())
        behind = min((entry.number for entry in firsts if entry is not None), default=self.last + 1) - 1
        if lost:
            return Gap("evicted", lost, Cursor(self.id, behind), furthest(seen, self.seen(behind)))
        return self._answer(behind, Ask(limit, interests, weigh, known=seen))

    def news(self, after: int, interests: Interests) -> bool:
        """Whether anything numbered after ``after`` concerns a reader with these interests."""
        ask = Ask(1, interests)
        start = bisect_right(self._entries, after, lo=self._head, key=_number)
        news = (self._entries[index] for index in range(start, len(self._entries)))
        return any(ask.wants(entry) or ask.tells(entry) for entry in news)

    def _misplaced(self, cursor: Cursor) -> str:
        if cursor.buffer == self.id:
            return "future" if cursor.number > self.last else ""
        if cursor.buffer in self._prior or same_node(cursor.buffer, self.id):
            return "restarted"
        return "foreign"

    def _own(self, text: str) -> Cursor | None:
        try:
            cursor = Cursor.parse(text)
        except ValueError:
            return None
        return cursor if cursor.buffer == self.id else None

    def _begin(self, start: int, ask: Ask) -> Page:
        """A page for a reader that begins: losses before its first event are none of its business."""
        while start < len(self._entries) and self._entries[start].event is None:
            start += 1
        behind = self._entries[start].number - 1 if start < len(self._entries) else self.last
        page = self._answer(behind, ask)
        assert isinstance(page, Page)
        return Page(page.entries, page.cursor, self.seen(page.cursor.number), page.more)

    def _answer(self, after: int, ask: Ask) -> Page | Gap:
        start = bisect_right(self._entries, after, lo=self._head, key=_number)
        stop = min(start + ask.scan, len(self._entries))
        picked: list[Entry] = []
        moved: dict[str, str] = {}
        behind, room = after, MAX_ANSWER
        for index in range(start, stop):
            entry = self._entries[index]
            if ask.tells(entry):
                if not picked and not ask.always_page:
                    return self._gap(index, ask)
                return self._page(picked, entry.number - 1, moved)
            if ask.wants(entry):
                room -= ask.weigh(entry)
                if len(picked) == ask.limit or (picked and room < 0):
                    return self._page(picked, behind, moved)
                picked.append(entry)
            if entry.origin and ask.new(entry):
                moved[entry.origin] = entry.sequence
            behind = entry.number
        return self._page(picked, behind if stop < len(self._entries) else self.last, moved)

    def _page(self, picked: list[Entry], behind: int, moved: dict[str, str]) -> Page:
        return Page(tuple(picked), Cursor(self.id, behind), moved, more=behind < self.last)

    def _gap(self, index: int, ask: Ask) -> Gap:
        """The gap of a marker and of those that follow it at once."""
        reason = self._entries[index].reason
        lost: dict[str, tuple[str, str]] = {}
        behind = 0
        for entry in self._entries[index:]:
            if entry.event is not None:
                break
            if entry.marker is not None and ask.tells(entry):
                first = lost[entry.origin][0] if entry.origin in lost else ask.unseen(entry.marker)
                lost[entry.origin] = first, entry.sequence
            behind = entry.number
        seen = furthest(ask.known or {}, self.seen(behind))
        return Gap(reason, lost, Cursor(self.id, behind), seen)

    # -- inside ---------------------------------------------------------------

    def _of(self, origin: str) -> Held:
        held = self._held.get(origin)
        if held is None:
            held = self._held[origin] = Held(origin)
        return held

    def _add(self, held: Held, sequence: str, now: float, entry: Entry) -> int:
        # A clock that seems to go back must not make an old entry outlive the younger ones.
        self._now = max(self._now, now)
        self.last += 1
        entry.number, entry.at = self.last, self._now
        entry.origin, entry.sequence, entry.prev = held.origin, sequence, held.seen
        self._entries.append(entry)
        self.bytes += held.add(entry)
        return self.last

    def _index_of(self, number: int) -> int | None:
        index = bisect_left(self._entries, number, lo=self._head, key=_number)
        return index if index < len(self._entries) and self._entries[index].number == number else None

    def _pop(self) -> None:
        """The oldest entry leaves; what is lost with it is known from then on by the marks of its origin."""
        entry = self._entries[self._head]
        self._entries[self._head] = GONE
        self._head += 1
        if entry.origin:
            self.bytes -= self._held[entry.origin].pop()
        else:
            self._holes -= 1

    def _keep_to_limits(self) -> None:
        while len(self) > self.max_events or self.bytes > self.max_bytes:
            if not self._relieve():
                break

    def _relieve(self) -> bool:
        """The oldest event of the origin that holds most goes; False if there is no event at all."""
        by_count = len(self) > self.max_events
        most = max(self._held.values(), key=lambda held: held.events if by_count else held.bytes)
        if not most.events:
            return False
        index = self._index_of(most.entries[most.oldest_event()].number)
        assert index is not None
        self._evict(index)
        self._tidy()
        return True

    def _evict(self, index: int) -> None:
        """Puts a marker in place of an event, joined with the markers of its origin just before."""
        entry = self._entries[index]
        held = self._held[entry.origin]
        self.evicted += 1
        self.bytes -= held.discount(entry)
        here = held.after_number(entry.number) - 1
        run = here
        while run > held.head and held.entries[run - 1].marker is not None:
            run -= 1
        oldest = held.entries[run]
        first = oldest.marker.first if oldest.marker is not None else entry.sequence
        marker = Entry(
            entry.number, entry.origin, entry.sequence, oldest.prev, entry.at, entry.born, entry.recordedtime,
            marker=Loss(entry.origin, first, entry.sequence), reason="evicted",
        )  # fmt: skip
        for merged in held.entries[run:here]:
            self._empty(merged)
        held.replace(run, here, marker)
        self._entries[index] = marker

    def _empty(self, entry: Entry) -> None:
        index = self._index_of(entry.number)
        assert index is not None
        self._entries[index] = Entry(entry.number, "", "", "", entry.at, entry.born, entry.recordedtime)
        self._holes += 1

    def _tidy(self) -> None:
        """Nothing is kept at the old end that is no event: what it says the origins' marks say as well."""
        entries = self._entries
        while self._head < len(entries) and entries[self._head].reason != "replica" and (
            entries[self._head].event is None
        ):  # fmt: skip
            self._pop()
        if self._head > _SPARE and self._head * 2 > len(entries):
            del entries[: self._head]
            self._head = 0
        if self._holes > _SPARE and self._holes * 2 > len(entries):
            self._entries = [entry for entry in entries[self._head :] if entry.origin]
            self._head = self._holes = 0
