"""The buffer: the recent events a node knows, numbered in order of arrival, pruned by age.

It answers a reader with a page or with a gap, never with silence about a loss (DESIGN.md section 6).
How events get their numbers and how long they stay: :mod:`~tocsin.core.retained`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping
from operator import attrgetter

from tocsin.core.ask import MAX_ANSWER, Ask
from tocsin.core.cursor import Cursor, same_node
from tocsin.core.interest import EVERYTHING, Interests
from tocsin.core.page import Entry, Gap, Page, furthest, weight
from tocsin.core.retained import Retained

__all__ = ["MAX_ANSWER", "Buffer", "Entry", "Gap", "Page"]

_number = attrgetter("number")
_at = attrgetter("at")


class Buffer(Retained):
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
        super().__init__(retain=retain, max_events=max_events, max_bytes=max_bytes)
        self.id = id
        self._prior = frozenset(prior)

    @property
    def cursor(self) -> Cursor:
        """The position behind everything: now."""
        return Cursor(self.id, self.last)

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
            if any(self._held[origin].late_gone > cursor.number for origin in lost):
                lost = {}  # it began before what this reader has been told
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
        late = [held.origin for held in self._held.values() if held.late_gone < held.late_last <= behind]
        if any(map(interests.concerns_origin, late)):  # it would not come by that marker
            return Gap("replica", {}, Cursor(self.id, behind), furthest(seen, self.seen(behind)))
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
        """The gap of a marker and of those that follow it at once.

        Late ones are a gap by themselves, without ``lost``: what is before its ``seen`` a reader takes for
        told.
        """
        reason, late = self._entries[index].reason, self._entries[index].late
        lost: dict[str, tuple[str, str]] = {}
        behind = 0
        for entry in self._entries[index:]:
            if entry.event is not None or entry.late != late:
                break
            if entry.marker is not None and not late and ask.tells(entry):
                first = lost[entry.origin][0] if entry.origin in lost else ask.unseen(entry.marker)
                lost[entry.origin] = first, entry.sequence
            behind = entry.number
        seen = furthest(ask.known or {}, self.seen(behind))
        return Gap(reason, lost, Cursor(self.id, behind), seen)
