"""What publishers have published: the same (source, id) posted again is not published twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from tocsin.core.event import Event

__all__ = ["MAX_REMEMBERED", "Remembered"]

MAX_REMEMBERED: Final = 100_000


class Remembered:
    """The first sequence of each publisher's (source, id); the least recently used is forgotten first."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._firsts: OrderedDict[tuple[str, str], str] = OrderedDict()

    def __len__(self) -> int:
        """How many pairs are remembered."""
        return len(self._firsts)

    def learn(self, events: Iterable[Event]) -> None:
        """Takes in what arrives on the bus; an event whose id is its sequence is a generator's."""
        for event in [event for event in events if event.id != event.sequence]:
            pair = (event.source, event.id)
            self._firsts.setdefault(pair, event.sequence)
            self._firsts.move_to_end(pair)
            if len(self._firsts) > self._limit:
                self._firsts.popitem(last=False)

    def first(self, source: str, id: str) -> str:
        """The sequence under which this pair was first published; empty if that is not known here."""
        sequence = self._firsts.get((source, id), "")
        if sequence:
            self._firsts.move_to_end((source, id))
        return sequence
