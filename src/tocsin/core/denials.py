"""Who has said that it lacks what is missing of a life here, up to which number, when, and whether for good.

A hole is given up once all who live have said so (:mod:`~tocsin.core.repair`). What is said of one hole holds
for those behind it, too, as far as they were asked for; never for what was not asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Denials"]


class Denials:
    """The answers of other nodes about one life. Times are monotonic seconds."""

    __slots__ = ("_said", "_waiting")

    def __init__(self) -> None:
        #: Name → up to which number it holds nothing that is missing here, and when it said so.
        self._said: dict[str, tuple[int, float]] = {}
        #: Those of them that may have some of it soon: they have not asked everybody yet.
        self._waiting: set[str] = set()

    def note(self, sender: str, up_to: int, now: float, *, waiting: bool, more: bool = False) -> None:
        """A node lacks all that is missing here up to a number; ``waiting``: it may have some of it soon.

        ``more``: what it has said before is part of that; else its last word is what counts.
        """
        if more:
            waiting, now = waiting or sender in self._waiting, self._said[sender][1]
        self._said[sender] = up_to, now
        (self._waiting.add if waiting else self._waiting.discard)(sender)

    def up_to(self, sender: str) -> int:
        """Up to which number a node has said that it lacks what is missing here; 0: it has said nothing."""
        return self._said.get(sender, (0, 0.0))[0]

    def asked(self, number: int) -> set[str]:
        """Who has said that it lacks this number, for good or not."""
        return {name for name, (up_to, _) in self._said.items() if up_to >= number}

    def final(self, number: int, since: float = float("-inf")) -> set[str]:
        """Who has said that it lacks this number, does not wait for it, and has said so ``since`` then."""
        return {name for name in self.asked(number) - self._waiting if self._said[name][1] >= since}

    def by_all(self, names: Iterable[str], since: float, *, waiting: bool = True) -> int:
        """Up to which number all these have said so ``since`` then; 0: not all have.

        ``waiting``: that a node may have some of it soon counts, so what it said is not for good.
        """
        final = self.final(0, since) if waiting else {n for n, (_, at) in self._said.items() if at >= since}
        return min((self._said[name][0] if name in final else 0 for name in names), default=0)

    def clamp(self, number: int) -> None:
        """What was held here beyond this number has been let go of: nobody was asked for that."""
        self._said = {name: (min(up_to, number), at) for name, (up_to, at) in self._said.items()}

    def forget(self, number: int) -> None:
        """All up to this number was had or given up."""
        self._said = {name: said for name, said in self._said.items() if said[0] > number}
        self._waiting.intersection_update(self._said)
