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
from tocsin.core.sequence import incarnation_of, seq_of

__all__ = ["CLOSE_AFTER", "MAX_AHEAD", "SECTION_PATIENCE", "Gate", "Origin"]

#: How long a section is waited for, in seconds.
SECTION_PATIENCE: Final = 2.0
#: When a new life is heard, how long others may still tell of more of the old one, in seconds.
CLOSE_AFTER: Final = 2.0
#: The same while nobody has said how the old life ended: it may hold what nothing here tells of.
_CLOSE_UNTOLD_AFTER: Final = 6.0
#: What comes of a life for so long after a newer one was heard may be late, in seconds; later it lives.
_LATE: Final = 1.0
#: No two announces of it come so much further apart than they are made, in seconds.
_UNEVEN: Final = 0.5
#: For so long at most a life that lives on holds up a newer one, in seconds.
_CONTESTED_AT_MOST: Final = 60.0
#: Lives after the current one that are kept at a time: a bound on what somebody may make up.
MAX_AHEAD: Final = 16
#: Of how many former lives it is remembered where they were left.
_MOST_LEFT: Final = 16


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
    #: Former lives that were left here, the youngest ones: up to which number each was handed on or given up.
    left: dict[int, int] = field(default_factory=dict)
    #: The newest former life of which readers who come from elsewhere were told that they may lack its end.
    warned: int = 0
    #: First contact: it is not known yet where what can be had of it begins.
    fresh: bool = True
    #: While joining: the others are asked what they hold of a former life, which is the current one now.
    recalled: bool = False
    #: Since when a newer life than the current one is known.
    superseded_at: float | None = None
    #: When the current life was announced last by its origin although a newer one was known.
    announced_at: float = float("-inf")
    gate: Gate | None = None
    #: The board section is known to be out of date (it could not be had in time).
    doubtful: bool = False
    #: The least that a section must contain to end the doubt: what was lost is never folded in here.
    owed: str = ""
    #: When others may be asked for the section again, if it is not heard.
    ask_again: float = float("-inf")
    degraded: bool = False
    #: Who announced which life of it, without hearing it: holders to ask.
    holders: dict[str, int] = field(default_factory=dict)

    def get(self, incarnation: int) -> Life | None:
        """One of its lives, if it is known."""
        return self.lives.get(incarnation)

    def begin(self, incarnation: int, now: float) -> Life | None:
        """A life of which nothing was known until now; the first one becomes the current one.

        None if more lives are waiting already than a node can have had.
        """
        if self.current and sum(other > self.current for other in self.lives) >= MAX_AHEAD:
            return None
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
        self.leave(self.current, self.life.accepted)
        self.current = following.incarnation
        self.superseded_at = now if self.next_life() else None

    def leave(self, incarnation: int, last: int) -> None:
        """Of this life nothing is handed on any more; up to this number all was, or was told as lost."""
        self.left[incarnation] = last
        if len(self.left) > _MOST_LEFT:
            del self.left[min(self.left)]

    def left_at(self, incarnation: int) -> int | None:
        """Up to which number a former life was handed on here; None: not known, or it is no former one.

        A life between two that were has not been handed on at all.
        """
        if min(self.left, default=incarnation) < incarnation < self.current:
            return self.left.get(incarnation, 0)
        return self.left.get(incarnation)

    def further_than_told(self) -> tuple[int, int, int] | None:
        """A former life of which more was handed on here than the origin itself says that there was.

        Its incarnation, and the first and last number of that. Who heard nothing else left it earlier.
        """
        previous = self.life.previous
        if not previous or self.warned >= (incarnation := incarnation_of(previous)):
            return None
        left, told = self.left_at(incarnation), seq_of(previous)
        return (incarnation, told + 1, left) if left is not None and told < left else None

    def recall(self, incarnation: int, last: int, now: float) -> None:
        """Begins with a former life, if anybody holds something of it; it ended with number ``last``."""
        self.lives.setdefault(incarnation, Life(self.name, incarnation, 0)).learn(last, now)
        self.leave_out(incarnation)
        self.superseded_at, self.recalled = now, True

    def leave_out(self, incarnation: int) -> None:
        """Begins with this life; of older ones nothing has been handed on."""
        self.lives = {other: life for other, life in self.lives.items() if other >= incarnation}
        self.current = incarnation
        if self.next_life() is None:
            self.superseded_at = None

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

    def announced(self, incarnation: int, now: float) -> None:
        """The origin announces this life: if it is the current one, that is not over, or this comes late."""
        if incarnation == self.current:
            self.announced_at = now

    @property
    def contested(self) -> bool:
        """Whether the current life lives on beside a newer one: two nodes have this name.

        One of them yields. Until then none of the two lives is handed on before it is clear which: the
        events of the newer one would make all that the other tells late.
        """
        return self.superseded_at is not None and self.announced_at - self.superseded_at >= _LATE

    def over(self, now: float, told_by_all: Callable[[float], bool]) -> bool:
        """Whether the current life can be left for the next one."""
        if self.superseded_at is None or (following := self.next_life()) is None:
            return False
        life = self.life
        if life.closed and not life.missing:
            return True
        waited = now - self.superseded_at
        if self.contested and waited < _CONTESTED_AT_MOST:
            waited = now - self.announced_at
        if waited >= (_CLOSE_UNTOLD_AFTER if following.previous is None else CLOSE_AFTER):
            return True
        if self.announced_at > self.superseded_at:
            return not life.missing and told_by_all(self.announced_at + _UNEVEN)
        return not life.missing and told_by_all(self.superseded_at)

    @property
    def true_at(self) -> tuple[int, int] | None:
        """The incarnation and number up to which this node's board has all of it; None: not known here."""
        if self.fresh or self.gate is not None or self.doubtful:
            return None
        return self.current, self.life.accepted

    @property
    def quiet(self) -> bool:
        """Whether the passing of time alone changes nothing here."""
        if self.gate is not None or self.doubtful or self.degraded or self.superseded_at is not None:
            return False
        return self.fresh or self.lives[self.current].hole_since is None

    def sleep(self, seconds: float) -> None:
        """This node itself stood still for so long: that is no time in which anybody was asked."""
        for life in self.lives.values():
            life.said_at += seconds
            if life.hole_since is not None:
                life.hole_since += seconds
        if self.superseded_at is not None:
            self.superseded_at += seconds
        self.announced_at += seconds
        if self.gate is not None:
            self.gate.deadline += seconds

    def prune(self, born_before: float) -> None:
        """Lets go of old accepted events, and of former lives that hold nothing any more."""
        for incarnation, life in list(self.lives.items()):
            life.prune(born_before)
            if incarnation < self.current and not life.events:
                del self.lives[incarnation]
                if incarnation not in self.left:
                    self.leave(incarnation, life.accepted)
