"""Arrivals by their number in a life, for repair: those of a flood stay together as they came.

A life is told mostly in bursts, each of which follows at once on the one before. To hold such a stretch as
one thing, and to let go of it as one, costs a fraction of what an entry for each of its events would.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import takewhile
from operator import attrgetter
from typing import Final, NamedTuple

from tocsin.core.bus import Arrival

__all__ = ["Stretch", "Stretches"]

_first, _born = attrgetter("first"), attrgetter("born")
#: Fewer than these are held one by one: that is less to hold.
_SHORT: Final = 4


class Stretch(NamedTuple):
    """Arrivals that follow each other. They leave together, when the youngest of them is old."""

    first: int
    arrivals: Sequence[Arrival]
    #: The bytes of their events.
    size: int
    #: When the youngest was born.
    youngest: float

    @property
    def stop(self) -> int:
        """The number after the last one."""
        return self.first + len(self.arrivals)


class Stretches:
    """Arrivals by number: in stretches, in order of number, and single ones."""

    __slots__ = ("_count", "_single", "_stretches")

    def __init__(self) -> None:
        self._single: dict[int, Arrival] = {}
        self._stretches: list[Stretch] = []
        self._count = 0

    def __len__(self) -> int:
        """How many arrivals are held."""
        return len(self._single) + self._count

    def __contains__(self, number: int) -> bool:
        """Whether the arrival with this number is held."""
        return number in self._single or self.around(number) is not None

    def get(self, number: int) -> Arrival | None:
        """The arrival with this number, if it is held."""
        found = self._single.get(number)
        if found is None and (stretch := self.around(number)) is not None:
            found = stretch.arrivals[number - stretch.first]
        return found

    def around(self, number: int) -> Stretch | None:
        """The stretch that this number is in."""
        index = bisect_right(self._stretches, number, key=_first) - 1
        return self._stretches[index] if index >= 0 and number < self._stretches[index].stop else None

    def add(self, number: int, arrival: Arrival) -> None:
        """Takes in one arrival that is not held."""
        self._single[number] = arrival

    def extend(self, first: int, arrivals: Sequence[Arrival], size: int) -> None:
        """Takes in what follows each other, beyond all that is held in stretches; ``size``: its bytes."""
        if len(arrivals) < _SHORT:
            self._single.update(enumerate(arrivals, start=first))
            return
        self._stretches.append(Stretch(first, arrivals, size, max(map(_born, arrivals))))
        self._count += len(arrivals)

    def pop(self, number: int) -> Arrival | None:
        """Lets go of one; what else its stretch holds is held one by one from then on."""
        if (stretch := self.around(number)) is not None:
            self.drop(stretch)
            self._single.update(enumerate(stretch.arrivals, start=stretch.first))
        return self._single.pop(number, None)

    def drop(self, stretch: Stretch) -> None:
        """Lets go of a stretch."""
        del self._stretches[bisect_right(self._stretches, stretch.first, key=_first) - 1]
        self._count -= len(stretch.arrivals)

    def following(self, first: int, last: int) -> list[Arrival]:
        """From one number on what follows each other without a hole, up to another number at most."""
        found: list[Arrival] = []
        while first <= last:
            if (single := self._single.get(first)) is not None:
                found.append(single)
                first += 1
            elif (stretch := self.around(first)) is not None:
                found += stretch.arrivals[first - stretch.first : last + 1 - stretch.first]
                first = stretch.stop
            else:
                break
        return found

    def between(self, first: int, last: int) -> Iterator[tuple[int, Arrival]]:
        """What is held from ``first`` to ``last``, in order; what is not asked for costs nothing."""
        singles: list[int] | None = None
        while first <= last:
            if (stretch := self.around(first)) is not None:
                begin = first - stretch.first
                yield from enumerate(stretch.arrivals[begin : begin + last + 1 - first], start=first)
                first = stretch.stop
            elif (single := self._single.get(first)) is not None:
                yield first, single
                first += 1
            else:
                # A hole: its size, which others say, must not cost time.
                singles = sorted(self._single) if singles is None else singles
                at, behind = bisect_right(singles, first), bisect_right(self._stretches, first, key=_first)
                nearest = [*singles[at : at + 1], *map(_first, self._stretches[behind : behind + 1])]
                first = min(nearest, default=last + 1)

    def numbers(self, first: int, last: int) -> list[int]:
        """The numbers from ``first`` to ``last`` that are held, in order."""
        if last - first < len(self._single):
            found = [number for number in range(first, last + 1) if number in self._single]
        else:  # most of it is a hole: its size, which others say, must not cost time
            found = [number for number in self._single if first <= number <= last]
        before = max(0, bisect_right(self._stretches, first, key=_first) - 1)
        for stretch in takewhile(lambda stretch: stretch.first <= last, self._stretches[before:]):
            found += range(max(first, stretch.first), min(last + 1, stretch.stop))
        return sorted(found)

    def least(self) -> int | None:
        """The lowest number that is held."""
        return min([*self._single, *(stretch.first for stretch in self._stretches[:1])], default=None)

    def greatest(self) -> int | None:
        """The highest number that is held."""
        return max([*self._single, *(stretch.stop - 1 for stretch in self._stretches[-1:])], default=None)
