"""A buffer that outlives its agent: what it takes in is handed to ``keep``, and can be restored.

The file itself is the business of :mod:`tocsin.storage.log_file`. A restored buffer goes on where its
former life ended: numbers, what every origin was seen up to, and cursors. The cursors of a life that
ended without saying so are good up to the last number that was recovered (``prior``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappush
from typing import Any

from msgspec import Struct

from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Loss
from tocsin.core.cursor import Cursor
from tocsin.core.held import Held
from tocsin.core.page import Entry, following
from tocsin.core.sequence import incarnation_of, sequence_of

__all__ = ["LastingBuffer", "Marks", "Snapshot"]


class Marks(Struct, frozen=True, array_like=True, tag="M"):
    """What a buffer knows of an origin beside the retained entries; the fields are those of ``Held``."""

    origin: str
    seen: str
    low: str
    based: bool
    gone: int
    gone_to: str
    begins: str
    late: tuple[str, str] = ("", "")
    late_gone: int = 0


class Snapshot(Struct, frozen=True):
    """All that a buffer holds at one moment. Entries are never changed, only replaced: it stays true."""

    last: int
    entries: list[Entry]
    marks: list[Marks]


class LastingBuffer(Buffer):
    """Recent events of all origins, in memory and wherever ``keep`` writes them.

    ``keep`` is called for each new entry before anybody can see its number, and for the marks of an
    origin that changed without a number. It must not raise.
    """

    def __init__(
        self, id: str, *, keep: Callable[[Entry | Marks], None] | None = None, **limits: Any
    ) -> None:
        super().__init__(id, **limits)
        self.keep = keep
        #: Former ids of this buffer, each with the last number whose cursor is a position here.
        self.prior: dict[str, int] = {}
        #: Whether it holds what readers of a former life may go on from.
        self.restored = False

    # -- going on ---------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What there is to keep now."""
        entries = [entry for entry in self._entries[self._head :] if entry.origin]
        return Snapshot(self.last, entries, [_marks(held) for held in self._held.values()])

    def arrivals(self) -> list[Arrival]:
        """The retained events, oldest first."""
        entries = self._entries[self._head :]
        return [Arrival(entry.event, entry.born) for entry in entries if entry.event is not None]

    def restore(self, former: Snapshot, prior: Mapping[str, int], now: float) -> None:
        """Takes in what a former life held, before anything else. What is past its time by now is not kept.

        ``prior``: former ids with their last numbers. An entry out of order is left out.
        """
        marks = {each.origin: each for each in former.marks}
        for each in marks.values():
            _restore(self._of(each.origin), each)
        for entry in former.entries:
            self._take_back(entry, marks.get(entry.origin), now)
        for each in marks.values():
            held = self._of(each.origin)
            held.seen = max(held.seen, each.seen)
        self.last, self._now = max(self.last, former.last), max(self._now, now)
        self.restored = self.last > 0 or bool(marks)
        self._keep_to_limits()
        self.prune(now)
        self.prior = {id: last for id, last in prior.items() if last >= self.first - 1}

    def _take_back(self, entry: Entry, marks: Marks | None, now: float) -> None:
        held = self._of(entry.origin)
        if entry.number <= self.last or entry.sequence < held.seen:
            return
        if entry.sequence == held.seen and not entry.late:
            return
        if marks is not None and entry.number <= marks.gone:
            return  # it was past its time already when these marks were written
        # A clock that was set back must not make an entry outlive the others.
        entry.at = self._now = max(self._now, min(entry.at, now))
        entry.born = min(entry.born, entry.at)
        self.last = entry.number
        self._entries.append(entry)
        self.bytes += held.extend([entry])
        if entry.at - entry.born > self.retain:
            heappush(self._aged, (entry.born + 2 * self.retain, entry.number))

    def unheld(self, origin: str, sequence: str) -> Loss | None:
        """What readers of the former life have to be told if nothing up to ``sequence`` can be had.

        None for a buffer that is new, where :meth:`base` says it: nobody has read here.
        """
        held = self._held.get(origin)
        seen = held.seen if held is not None else ""
        if not self.restored or sequence <= seen:
            return None
        # Number 0 stands for whatever was before: of former lives nobody has said anything.
        first = following(seen) if seen else sequence_of(incarnation_of(sequence), 0)
        return Loss(origin, first, sequence)

    # -- what is kept -------------------------------------------------------------

    def mark(self, loss: Loss, now: float, recordedtime: str) -> int:
        """As in :class:`Buffer`; what gets no number is kept too."""
        number = super().mark(loss, now, recordedtime)
        if not number or loss.late:
            self._keep_marks(loss.origin)
        return number

    def base(self, origin: str, sequence: str) -> None:
        """As in :class:`Buffer`; but who read a former life has to be told: a marker."""
        loss = self.unheld(origin, sequence)
        if loss is not None:
            self.mark(loss, self._now, self.coverage[1])
            return
        super().base(origin, sequence)
        self._keep_marks(origin)

    def skip(self, origin: str, sequence: str) -> None:
        """As in :class:`Buffer`."""
        super().skip(origin, sequence)
        self._keep_marks(origin)

    def _keep_marks(self, origin: str) -> None:
        if self.keep is not None:
            self.keep(_marks(self._of(origin)))

    # -- cursors --------------------------------------------------------------------

    def _misplaced(self, cursor: Cursor) -> str:
        if cursor.number <= self.prior.get(cursor.buffer, -1):
            return ""
        return super()._misplaced(cursor)

    def _own(self, text: str) -> Cursor | None:
        try:
            cursor = Cursor.parse(text)
        except ValueError:
            return None
        known = cursor.buffer == self.id or cursor.number <= self.prior.get(cursor.buffer, -1)
        return cursor if known else None


def _marks(held: Held) -> Marks:
    return Marks(
        held.origin, held.seen, held.low, held.based, held.gone, held.gone_to, held.begins, held.late,
        held.late_gone,
    )  # fmt: skip


def _restore(held: Held, marks: Marks) -> None:
    """All but ``seen``: that grows with the entries. How far back numbers can be told apart is forgotten."""
    held.low, held.based, held.begins, held.late = marks.low, marks.based, marks.begins, marks.late
    held.late_gone = marks.late_gone
    held.forget(marks.gone, marks.gone_to)
