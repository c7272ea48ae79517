"""One origin as a replica knows it: its lives in order, and what its next event waits for.

The events of a new life enter the buffer once the old one is complete as far as any living node holds
it, or given up. First contact, a new life and a loss are each followed by the origin's board section:
until it is here (or cannot be had) nothing more of that origin is handed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tocsin.core.bus import Loss
from tocsin.core.lives import Life

__all__ = ["CLOSE_AFTER", "SECTION_PATIENCE", "Gate", "Origin"]

#: How long a section is waited for, in seconds.
SECTION_PATIENCE: Final = 2.0
#: When a new life is heard, how long others may still tell of more of the old one, in seconds.
CLOSE_AFTER: Final = 2.0


@dataclass(slots=True)
class Gate:
    """Nothing of an origin is handed on until its section is here, or the deadline has passed."""

    deadline: float
    #: Numbered as a marker behind the section.
    loss: Loss | None = None
    #: The section must not be older than this to open the gate.
    stamp: str = ""
    asked_at: float = float("-inf")


@dataclass(slots=True)
class Origin:
    """The lives of one origin. ``current`` is the life whose events are being handed on."""

    name: str
    lives: dict[int, Life] = field(default_factory=dict)
    current: int = 0
    #: First contact: it is not known yet where what can be had of it begins.
    fresh: bool = True
    #: Since when a newer life than the current one is known.
    superseded_at: float | None = None
    gate: Gate | None = None
    #: The board section is known to be out of date (it could not be had in time).
    doubtful: bool = False
    degraded: bool = False
    #: Who announced which life of it, without hearing it: holders to ask.
    holders: dict[str, int] = field(default_factory=dict)

    def get(self, incarnation: int) -> Life | None:
        """One of its lives, if it is known."""
        return self.lives.get(incarnation)

    def begin(self, incarnation: int, now: float) -> Life:
        """A life of which nothing was known until now; the first one becomes the current one."""
        life = self.lives[incarnation] = Life(self.name, incarnation, 0)
        if self.current == 0:
            self.current = incarnation
        elif incarnation > self.current and self.superseded_at is None:
            self.superseded_at = now
        return life

    def move_on(self, now: float) -> None:
        """Leaves the current life for the next one."""
        following = self.next_life()
        assert following is not None
        self.life.closed = True
        self.current = following.incarnation
        self.superseded_at = now if self.next_life() else None

    @property
    def life(self) -> Life:
        """The life whose events are being handed on."""
        return self.lives[self.current]

    def next_life(self) -> Life | None:
        """The life after the current one, if one is known."""
        later = [i for i in self.lives if i > self.current]
        return self.lives[min(later)] if later else None

    def newest(self) -> Life:
        """The newest life that is known."""
        return self.lives[max(self.lives)]

    def over(self, now: float, told_by_all: Callable[[float], bool]) -> bool:
        """Whether the current life can be left for the next one."""
        if self.superseded_at is None or self.next_life() is None:
            return False
        life = self.life
        if life.closed and not life.missing:
            return True
        waited = now - self.superseded_at
        if waited >= CLOSE_AFTER:
            return True
        return not life.missing and told_by_all(self.superseded_at)

    def prune(self, born_before: float) -> None:
        """Lets go of old accepted events, and of former lives that hold nothing any more."""
        for incarnation, life in list(self.lives.items()):
            life.prune(born_before)
            if incarnation < self.current and not life.events:
                del self.lives[incarnation]
