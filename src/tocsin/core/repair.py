"""Repair: asks for what is missing, of the origin first, then of any living node; and answers such asks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Final

from tocsin.core.lives import Life
from tocsin.core.messages import MAX_MESSAGE_BYTES, Ask, Fill, encode
from tocsin.core.origin import Origin

__all__ = ["DEGRADED_AFTER", "GIVE_UP_AFTER", "HEEDED", "HOLE_AFTER", "Repair"]

#: A hole younger than this may close by itself: the other rail, a reordered message. Seconds.
HOLE_AFTER: Final = 0.1
#: Seconds between two asks for the same hole.
_RETRY: Final = 0.25
#: A hole older than this makes the origin degraded, in seconds.
DEGRADED_AFTER: Final = 3.0
#: At the latest after this a hole is given up, in seconds (or after the retention, if that is shorter);
#: as long as answers bring anything of its life, they are slow, and it is asked for on.
GIVE_UP_AFTER: Final = 60.0
#: For so long after a node must be down by now others may be told to wait for its answer, in seconds …
_PATIENCE: Final = 2.0
#: … and who hears the origin heeds that for so long.
HEEDED: Final = 10.0
#: How many nodes are asked at a time.
_AT_A_TIME: Final = 3
_RANGES: Final = 3
#: That a node lacks something is believed for so long, in seconds; it may have got it since …
_DENIAL_HOLDS: Final = 2.0
#: … and in a large cluster for as long as it takes to ask everybody, so many a second.
_ASKED_A_SECOND: Final = 6.0
#: Messages in answer to one ask: a bound on what an ask may cost; the asker asks on.
_MAX_PARTS: Final = 16


class Repair:
    """Counts asks, and remembers which have been answered: a copy on another rail is not answered again."""

    def __init__(self, first_number: int = 0) -> None:
        """``first_number`` must be above all numbers of this node's former lives: wall time will do."""
        self._number = first_number
        self._answered: OrderedDict[tuple[str, int], None] = OrderedDict()

    def number(self) -> int:
        """A number for the next ask."""
        self._number += 1
        return self._number

    def first_time(self, sender: str, number: int) -> bool:
        """Whether an ask is not the copy of one that came over another rail."""
        if (sender, number) in self._answered:
            return False
        self._answered[sender, number] = None
        if len(self._answered) > 4096:
            self._answered.popitem(last=False)
        return True

    # -- asking --------------------------------------------------------------------

    def asks(
        self, origin: Origin, life: Life, living: Collection[str], now: float, *, at_once: bool = False
    ) -> Iterator[tuple[str, bytes]]:
        """What to ask now, and whom, for the holes of a life."""
        if life.hole_since is None or (not at_once and now - life.hole_since < HOLE_AFTER):
            return
        if now - life.asked_at < _RETRY:
            return
        targets = self._targets(origin, life, living, now)
        if not targets:
            return
        life.asked_at = now
        life.attempts += 1
        for first, last in life.holes(_RANGES):
            number = self.number()
            for target in targets:
                yield target, encode(Ask, number, life.origin, life.incarnation, first, last)

    @staticmethod
    def _targets(origin: Origin, life: Life, living: Collection[str], now: float) -> list[str]:
        final = life.denials.final(life.accepted + 1, _believed_since(living, now))
        if life.attempts == 0 and origin.name in living and origin.name not in final:
            return [origin.name]
        told = [n for n in origin.holders if n in living]
        order = dict.fromkeys([n for n in (origin.name, *told, *living) if n in living])
        open_ = [n for n in order if n not in final]
        if len(open_) > _AT_A_TIME:
            at = (life.attempts * _AT_A_TIME) % len(open_)
            open_ = (open_ + open_)[at : at + _AT_A_TIME]
        return open_

    @staticmethod
    def hopeless(
        life: Life,
        living: Collection[str],
        not_down: Callable[[], Collection[str]],
        now: float,
        retain: float,
    ) -> int:
        """Up to which number a hole is given up: no living node holds it, or it took too long; 0: not yet.

        Who is only suspected may hold it and be back in a moment: until it is down it counts as living.
        """
        if life.hole_since is None:
            return 0
        tried = life.tried(now)
        if tried >= min(retain, GIVE_UP_AFTER):
            return life.known
        # Who hears the origin itself knows as well as those who wait for it, or for somebody, what to expect.
        since, waiting = _believed_since(living, now), life.origin not in living or tried < HEEDED
        if not living or life.denials.by_all(living, since, waiting=waiting) <= life.accepted:
            return 0
        denied = life.denials.by_all(not_down(), since, waiting=waiting)
        return denied if denied > life.accepted else 0

    # -- answering -----------------------------------------------------------------

    @staticmethod
    def waits(
        life: Life, last: int, others: Collection[str], now: float, limit: float, *, hears: bool
    ) -> bool:
        """Whether this node may have soon what it lacks of a life up to ``last``: not all were asked yet.

        ``limit``: seconds after which who is silent is down. Somebody may be heard and not hear: for such an
        answer nobody waits longer; for that of an origin that this node ``hears`` it does.
        """
        asked = life.denials.asked(life.greatest_missing(last))
        if hears and life.origin not in asked:
            return True
        return life.tried(now) < limit + _PATIENCE and not asked >= set(others)

    @staticmethod
    def answer(ask: Ask, life: Life | None, now: float, *, waiting: bool = False) -> Iterator[bytes]:
        """The parts of the answer to an ask; ``waiting``: this node may have soon what it lacks of it now."""
        life = life or Life(ask.origin, ask.incarnation, 0)
        yield from Repair.fills(life, ask.first, ask.last, now, waiting=waiting)

    @staticmethod
    def fills(life: Life, first: int, last: int, now: float, *, waiting: bool = False) -> Iterator[bytes]:
        """What is held of a life from ``first`` to ``last``, in as many parts as may be."""
        part: list[tuple[int, int, bytes]] = []
        size = parts = 0
        for seq, arrival in life.held(first, last):
            if part and size + len(arrival.event.body) > MAX_MESSAGE_BYTES:
                yield encode(Fill, life.origin, life.incarnation, first, seq - 1, part, waiting)
                first, part, size, parts = seq, [], 0, parts + 1
                if parts == _MAX_PARTS:
                    return
            part.append((seq, max(0, round((now - arrival.born) * 1e6)), arrival.event.body))
            size += len(arrival.event.body) + 16
        yield encode(Fill, life.origin, life.incarnation, first, last, part, waiting)


def _believed_since(living: Collection[str], now: float) -> float:
    return now - max(_DENIAL_HOLDS, len(living) / _ASKED_A_SECOND)
