"""What a node holds of one origin: its lives, which events are here, and where the holes are.

A life is one incarnation of the origin's agent. Events of a life are *accepted* in order of their
number; what is ahead of a hole is held back. Accepted events stay for repair until they are old.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

from tocsin.core.bus import Arrival
from tocsin.core.denials import Denials
from tocsin.core.sequence import seq_of, sequence_of
from tocsin.core.stretches import Stretch, Stretches

__all__ = ["MAX_INCARNATION", "MAX_JUMP", "MAX_SEQ", "Life"]

MAX_INCARNATION: Final = 10**13 - 1
MAX_SEQ: Final = 10**12 - 1
#: A number further ahead than this is no hole but nonsense (or malice): quarantined and counted.
MAX_JUMP: Final = 10_000_000
#: No copy of an announce is so many seconds late.
_NO_COPY: Final = 10.0
_body = attrgetter("event.body")
#: In passing, nothing is let go of that is not so many seconds too old.
_OVERDUE: Final = 0.01


class Life:
    """One incarnation of one origin, as far as this node knows it."""

    __slots__ = (
        "accepted", "asked_at", "attempts", "closed", "denials", "events", "filled_at", "first_held",
        "hole_since", "incarnation", "known", "origin", "previous", "said", "said_at", "size",
    )  # fmt: skip

    def __init__(self, origin: str, incarnation: int, base: int) -> None:
        self.origin, self.incarnation = origin, incarnation
        #: Everything up to here has been handed on, was given up, or was before our time.
        self.accepted = base
        #: The highest number that is known to exist.
        self.known = base
        #: The lowest number that may still be held here.
        self.first_held = base + 1
        self.events = Stretches()
        #: The bytes of these events.
        self.size = 0
        #: The last sequence before this life, as the origin says; empty: none; None: nobody has said it here.
        self.previous: str | None = None
        #: The origin said goodbye, or another life has begun and this one is over.
        self.closed = False
        #: A number up to which the origin itself said that it had come, and when it said so.
        self.said, self.said_at = 0, float("-inf")
        self.hole_since: float | None = None
        self.asked_at = float("-inf")
        #: When an answer to an ask brought anything.
        self.filled_at = float("-inf")
        self.attempts = 0
        self.denials = Denials()

    # -- taking in -------------------------------------------------------------

    def plausible(self, seq: int, base: int = 0) -> bool:
        """Whether ``seq`` can be a number of this life at all.

        ``base``: whoever tells of it says that nothing up to this number is held any more. So a life of many
        events can be met late, or again after a long cut.
        """
        return 0 < seq <= MAX_SEQ and seq - max(self.accepted, self.known, base) <= MAX_JUMP

    def learn(self, last: int, now: float) -> None:
        """Somebody holds, or the origin has published, events up to ``last``."""
        self.known = max(self.known, last)
        self._note_hole(now)

    def goes_back(self, last: int, now: float) -> bool:
        """The origin says that it has come up to ``last``: whether that is less than it said long before.

        Rails reorder what is on them, and a copy may come later than what was said next, by any number of
        events. But not by so much time: then something is broken, or made up.
        """
        if now - self.said_at < _NO_COPY:
            return False
        back = last < self.said
        self.said, self.said_at = max(last, self.said), now
        return back

    def add(self, seq: int, arrival: Arrival, now: float) -> bool:
        """Takes an event in; False if it is known already or came too late."""
        if seq <= self.accepted or seq in self.events:
            return False
        self.events.add(seq, arrival)
        self.size += len(arrival.event.body)
        self.known = max(self.known, seq)
        if self.hole_since is not None or self.accepted + 1 not in self.events:
            self._note_hole(now)
        return True

    def publish(self, arrivals: Sequence[Arrival]) -> int:
        """Takes in the next events of this node itself, handed on already; returns the first number."""
        first = self.known + 1
        self.follow(arrivals, sum(map(len, map(_body, arrivals))))
        self.accepted = self.known
        return first

    def follow(self, arrivals: Sequence[Arrival], size: int) -> None:
        """Takes in what follows at once on all that is known, where nothing is missing; ``size`` in bytes."""
        first, self.known = self.known + 1, self.known + len(arrivals)
        self.events.extend(first, arrivals, size)
        self.size += size

    def has(self, seq: int) -> bool:
        """Whether the event needs no decoding: it is known or was given up."""
        return seq <= self.accepted or seq in self.events

    def _note_hole(self, now: float) -> None:
        if not self.missing:
            self.hole_since = None
        elif self.hole_since is None:
            self.hole_since = now
            self.attempts = 0
            self.denials.forget(self.accepted)

    def take_back(self, arrival: Arrival) -> None:
        """Takes in the next event that was numbered before this agent began; it is not handed on again."""
        seq = arrival.event.seq
        if not self.events:
            self.first_held = seq
        self.events.add(seq, arrival)
        self.size += len(arrival.event.body)
        self.accepted = self.known = seq

    def reach(self, seq: int) -> None:
        """Everything up to ``seq`` was handed on before this agent began, or is no news."""
        if not self.events:
            self.first_held = seq + 1
        self.accepted = self.known = max(self.known, seq)

    def begin_behind(self, base: int, now: float) -> None:
        """First contact: nothing up to number ``base`` is handed on here, nor held."""
        self.accepted = max(self.accepted, base)
        self.first_held = self.accepted + 1
        for seq in self.events.numbers(0, base):
            self._drop(seq)
        self.settle_hole(now)

    def deny(self, sender: str, first: int, last: int, now: float, *, waiting: bool) -> None:
        """What a node holds of a range has come, and it holds nothing else of it."""
        if not self.missing:
            return
        if first <= self.accepted + 1 <= last:
            self.denials.note(sender, last, now, waiting=waiting)
        elif last > (told := self.denials.up_to(sender)) > self.accepted:
            following = told + len(self.events.following(told + 1, last)) + 1
            if first <= following <= last:
                self.denials.note(sender, last, now, waiting=waiting, more=True)

    # -- handing on ------------------------------------------------------------

    def ready(self) -> list[Arrival]:
        """Hands on what is next in order."""
        found = self.events.following(self.accepted + 1, self.known)
        self.accepted += len(found)
        return found

    def settle_hole(self, now: float) -> None:
        """After handing on: a new hole, if any, is young again."""
        self.hole_since = None
        self._note_hole(now)

    @property
    def missing(self) -> bool:
        """Whether the next event exists but is not here."""
        return self.known > self.accepted and self.accepted + 1 not in self.events

    def before(self, first: int) -> str:
        """The last sequence before number ``first``; empty if the origin says that there was nothing."""
        if first > 1 or self.previous is None or (self.previous and not seq_of(self.previous)):
            return self.sequence(first - 1)  # number 0: whatever was before, how it ended is not known
        return self.previous

    @property
    def last(self) -> int:
        """The last number of which this node has something to tell, also behind a hole."""
        ahead = self.events.greatest() if self.known > self.accepted else None
        return max(self.accepted, ahead or 0)

    def greatest_missing(self, last: int) -> int:
        """The greatest number up to ``last`` that is missing; 0: none is."""
        number = min(last, self.known)
        for held in reversed(self.events.numbers(self.accepted + 1, number)):
            if held < number:
                break
            number = held - 1
        return number if number > self.accepted else 0

    def holes(self, limit: int) -> list[tuple[int, int]]:
        """The first ``limit`` ranges that are missing between what is accepted and what is known."""
        ranges: list[tuple[int, int]] = []
        start = self.accepted + 1
        for seq in self.events.numbers(start, self.known):
            if seq > start:
                ranges.append((start, seq - 1))
                if len(ranges) == limit:
                    return ranges
            start = seq + 1
        if start <= self.known:
            ranges.append((start, self.known))
        return ranges

    def tried(self, now: float) -> float:
        """For how many seconds nothing was had of what is missing."""
        return 0.0 if self.hole_since is None else now - max(self.hole_since, self.filled_at)

    def give_up(self, now: float, up_to: int = MAX_SEQ) -> tuple[int, int]:
        """Gives up the next hole, or what it has of it up to a number; returns the first and last one."""
        first, last = self.holes(1)[0]
        last = min(last, up_to)
        self.accepted = last
        self.settle_hole(now)
        return first, last

    # -- holding for repair ----------------------------------------------------

    def held(self, first: int, last: int) -> Iterator[tuple[int, Arrival]]:
        """The events held here in a range, in order."""
        first, last = max(first, self.first_held), min(last, self.known)
        return self.events.between(first, last)

    def prune(self, born_before: float) -> int:
        """Lets go of accepted events that are old; returns how many."""
        before = len(self.events)
        while self.first_held <= self.accepted:
            stretch = self.events.around(self.first_held)
            oldest = self.events.get(self.first_held) if stretch is None else None
            if stretch is not None:
                if stretch.youngest >= born_before or stretch.stop > self.accepted + 1:
                    break
                self._drop_stretch(stretch)
            elif oldest is not None and oldest.born >= born_before:
                break
            else:
                self._let_go()
        return before - len(self.events)

    def prune_in_passing(self, born_before: float) -> None:
        """The same, where it is worth a look: at each burst of a flood that would cost more than it frees."""
        oldest = self.events.get(self.first_held)
        if oldest is None or oldest.born < born_before - _OVERDUE:
            self.prune(born_before)

    def shed(self, count: int) -> int:
        """Lets go of the oldest accepted events to bound memory; returns how many went.

        Where there are none, of what is furthest ahead behind a hole: it can be asked for again.
        """
        dropped = 0
        while dropped < count and self.events and self.first_held <= self.accepted:
            stretch = self.events.around(self.first_held)
            room = min(self.accepted + 1, self.first_held + count - dropped)
            if stretch is not None and stretch.stop <= room:
                dropped += stretch.stop - stretch.first
                self._drop_stretch(stretch)
            else:
                dropped += self._let_go()
        if dropped < count:
            ahead = self.events.numbers(0, self.known)[dropped - count :]
            dropped += sum(map(self._drop, ahead))
            self.denials.clamp(min(ahead, default=self.known + 1) - 1)
        return dropped

    def _drop_stretch(self, stretch: Stretch) -> None:
        self.events.drop(stretch)
        self.size -= stretch.size
        self.first_held = stretch.stop

    def _drop(self, seq: int) -> bool:
        arrival = self.events.pop(seq)
        self.size -= len(arrival.event.body) if arrival is not None else 0
        return arrival is not None

    def _let_go(self) -> int:
        gone = self._drop(self.first_held)
        if not gone and self.accepted - self.first_held > 2 * len(self.events) + 100:
            # A long hole that was given up: not one by one.
            held = self.events.numbers(self.first_held, self.accepted)
            self.first_held = held[0] if held else self.accepted + 1
            return 0
        self.first_held += 1
        return int(gone)

    def sequence(self, seq: int) -> str:
        """The sequence attribute of event ``seq`` of this life."""
        return sequence_of(self.incarnation, seq)
