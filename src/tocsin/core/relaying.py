"""Helping a node to the events of an origin that it does not hear itself (DESIGN.md section 5, announce).

A node lists in its announces the origins that it does not hear. Who knows more of one of them says so,
and passes on what comes in of it, so that where one path between two nodes is cut, the others stand in.
In a large cluster many could help, and about three of them do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

__all__ = ["HELPERS", "Relaying"]

#: About so many nodes help one other with one origin.
HELPERS: Final = 3
#: Announces that nobody may have helped with yet, remembered at a time: a bound on memory.
_REMEMBERED: Final = 4096
#: How often a node is told what it does not take up: more of a former life of its own.
_PATIENCE: Final = 8
_NONE: Final[frozenset[str]] = frozenset()


class Relaying:
    """Who does not hear whom, as they say in their announces, and which of them this node helps."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._lacking: dict[str, frozenset[str]] = {}
        #: Origin → who does not hear it.
        self._deaf: dict[str, set[str]] = {}
        #: (who, origin) → what it knew when it told of it last, and how often that was the same.
        self._told: OrderedDict[tuple[str, str], tuple[tuple[int, int], int]] = OrderedDict()

    def told(self, name: str, origins: Iterable[str]) -> None:
        """A node says that these are the origins that it does not hear."""
        lacking = frozenset(origins)
        was = self._lacking.get(name, _NONE)
        if lacking == was:
            return
        for origin in was - lacking:
            deaf = self._deaf[origin]
            deaf.discard(name)
            if not deaf:
                del self._deaf[origin]
        for origin in lacking - was:
            if origin in self._deaf:
                self._deaf[origin].add(name)
            else:
                self._deaf[origin] = {name}
        if lacking:
            self._lacking[name] = lacking
        else:
            self._lacking.pop(name, None)

    def keep(self, living: Iterable[str]) -> None:
        """Forgets what nodes said that are not heard any more."""
        for name in set(self._lacking).difference(living):
            self.told(name, ())

    def targets(self, origin: str, others: int) -> list[str]:
        """To whom this node passes on what comes of an origin; ``others``: how many nodes could."""
        return [name for name in sorted(self._deaf.get(origin, ())) if self._chosen(name, origin, "", others)]

    def answers(self, name: str, origin: str, known: tuple[int, int], others: int, turn: int) -> bool:
        """Whether it is for this node to tell another what it knows of an origin beyond ``known``.

        ``known`` is the (incarnation, number) that the other told. The choice is another in each ``turn``,
        and twice as many answer each time that nobody did: it may be that only one of them can.
        """
        was, times = self._told.pop((name, origin), (known, -1))
        times = times + 1 if was == known else 0
        self._told[name, origin] = known, times
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return self._chosen(name, origin, str(turn), others >> min(times, 32))

    def heeded(self, name: str, origin: str) -> bool:
        """Whether it may be of use to tell another what is known of an origin: not if it never says more."""
        return self._told.get((name, origin), (None, 0))[1] < _PATIENCE

    def _chosen(self, name: str, origin: str, turn: str, others: int) -> bool:
        """One of about three by lot; the lot is drawn from the names, as the core has no dice."""
        if others <= HELPERS + 1:
            return True
        lot = blake2b(f"{self._me}/{name}/{origin}/{turn}".encode(), digest_size=4).digest()
        return int.from_bytes(lot, "big") % others < HELPERS
