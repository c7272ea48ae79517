"""Which rails reach which nodes: heard on one rail and not on another means that the other is down.

Every announce goes over every rail, so a rail on which a *living* peer is silent for three announces does
not reach it. A peer that is silent on all of them is the business of :mod:`~tocsin.core.liveness`.
One event a rail tells of most peers at once; a minority of them is told of peer by peer. What changes again
and again is told as flapping, and once more when it has settled. A node that stood still itself has heard
nobody meanwhile, and its links may be gone: it listens first, and tells nothing until then.

:class:`Copies` counts what the second and later copies of messages were worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from tocsin.core.event import Draft, report
from tocsin.core.settle import Flapping

__all__ = ["LATE", "SETTLE", "Copies", "CopyCount", "RailWatch"]

#: Announces that may be missed on a rail, and time for one to travel, in seconds.
_MISSED: Final = 3
_SLACK: Final = 0.5
#: A change is told when it has lasted for so many announces. Peers announce at any time of a period, so it
#: takes one until all of them are found silent, or heard again, and links that come back a little more:
#: before that those that are first, or last, look like a minority.
SETTLE: Final = 1.5
#: Whoever was not asked to look for so long stood still itself, in seconds.
_STOOD_STILL: Final = 1.0
#: More than so many changes in so many seconds are flapping, until it was quiet so long.
FLAPPING_CHANGES: Final = 4
FLAPPING_WITHIN: Final = 60.0
FLAPPING_QUIET: Final = 30.0
#: A copy is late if it comes so long after the first one, in seconds.
LATE: Final = 0.1
#: Messages of which the copies are awaited: several seconds of a busy cluster.
_MAX_COPIES: Final = 8192
#: Bytes of either end of a message that it is known by. The first are enough for the longest name of a node
#: (255 bytes) and the numbers that follow it.
_HEAD: Final = 320
_TAIL: Final = 128
#: Names that are remembered as heard: a bound on what invented names can cost.
_MAX_HEARD: Final = 1000

#: Of a rail ("rail1"), or of a rail and a peer ("rail1:node2"), the peers that are not reached.
_States = dict[str, frozenset[str]]


def _limit(period: float) -> float:
    """For how many seconds a peer may be silent on a rail."""
    return _MISSED * period + _SLACK


class RailWatch:
    """The rails of one node."""

    def __init__(self, rails: Sequence[str]) -> None:
        self._heard: dict[str, dict[str, float]] = {rail: {} for rail in rails}
        self._told: _States = {}
        self._since: dict[str, tuple[frozenset[str] | None, float]] = {}
        self._met: dict[str, float] = {}
        self._looked: float | None = None
        self._listens_until = float("-inf")
        self._flapping: Flapping[str] = Flapping(FLAPPING_CHANGES, FLAPPING_WITHIN, FLAPPING_QUIET)

    def heard(self, rail: str, peer: str, now: float) -> None:
        """A message of ``peer`` has come over ``rail``."""
        heard = self._heard[rail]
        if peer in heard or len(heard) < _MAX_HEARD:
            heard[peer] = now

    def awake(self, rail: str, living: Iterable[str], now: float, period: float) -> frozenset[str]:
        """The living peers that are heard on another rail than this one; all, if there is no other."""
        others = [heard for name, heard in self._heard.items() if name != rail]
        limit = _limit(period)
        return frozenset(
            p for p in living if not others or any(now - heard.get(p, 0.0) <= limit for heard in others)
        )

    def silent(self, rail: str, living: Iterable[str], now: float, period: float) -> frozenset[str]:
        """The living peers that are not heard on a rail."""
        limit = _limit(period)
        heard = self._heard[rail]
        return frozenset(p for p in living if now - max(heard.get(p, 0.0), self._met.get(p, now)) > limit)

    def tick(self, living: Sequence[str], now: float, period: float) -> Iterator[Draft]:
        """What has changed for good since the last call; to be called several times a second."""
        self._met = {peer: self._met.get(peer, now) for peer in living}
        for heard in self._heard.values():
            if len(heard) >= _MAX_HEARD:  # names that came and went leave room for new ones
                for peer in heard.keys() - self._met.keys():
                    del heard[peer]
        if not self._listened(now, period):
            return
        states: _States = {}
        for rail in self._heard:
            silent = self.silent(rail, living, now, period)
            if 2 * len(silent) >= max(1, len(living)):
                states[rail] = silent
            else:
                states.update({f"{rail}:{peer}": frozenset({peer}) for peer in silent})
        for subject in {*states, *self._told, *self._since}:
            yield from self._settle(subject, states.get(subject), len(living), now, period)
        for subject, changes in self._flapping.settled(now).items():
            draft = self._draft(subject, len(living))
            yield replace(draft, data={**draft.data, "changes": changes})

    def _listened(self, now: float, period: float) -> bool:
        """Whether this node was awake for as long as a peer may be silent.

        What was told before it stood still holds until then, and what was about to be told begins anew.
        """
        if self._looked is not None and now - self._looked > _STOOD_STILL:
            self._listens_until = now + _limit(period)
            self._since.clear()
        self._looked = now
        return now >= self._listens_until

    def _settle(
        self, subject: str, state: frozenset[str] | None, living: int, now: float, period: float
    ) -> Iterator[Draft]:
        if state == self._told.get(subject):
            self._since.pop(subject, None)
            return
        was, since = self._since.get(subject, (None, now))
        if was != state or subject not in self._since:
            self._since[subject] = (state, now)
            return
        if now - since < SETTLE * period:
            return
        del self._since[subject]
        if state is None:
            del self._told[subject]
        else:
            self._told[subject] = state
        verdict = self._flapping.change(subject, now)
        if verdict == "tell":
            yield self._draft(subject, living)
        elif verdict == "began":
            words = f"{subject} is flapping: it changed {self._flapping.count(subject)} times in a minute"
            attributes = self._draft(subject, living).data.get("attributes")
            yield report("rail.flapping", subject, "warning", words, attributes)

    def _draft(self, subject: str, living: int) -> Draft:
        """The present state of what was told last."""
        state = self._told.get(subject)
        return self._up(subject) if state is None else self._down(subject, state, living)

    @staticmethod
    def _down(subject: str, peers: frozenset[str], living: int) -> Draft:
        names = sorted(peers)
        rail, _, _ = subject.partition(":")
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        everything = len(names) >= living
        words = f"{rail} reaches no node" if everything and living > 1 else f"{rail} does not reach {shown}"
        status = "failed" if ":" not in subject else "warning"
        attributes = {"rail": rail, "peers": names[:200], "silent": len(names)}
        return report("rail.down", subject, status, words, attributes)

    @staticmethod
    def _up(subject: str) -> Draft:
        rail, _, peer = subject.partition(":")
        if peer:
            return report("rail.up", subject, "gone", f"{rail} reaches {peer} again")
        words = f"{rail} reaches all living nodes"
        return report("rail.up", subject, "ok", words, {"rail": rail, "peers": [], "silent": 0})

    def resources(self) -> list[Draft]:
        """The present state of all rails, for the start: nothing is known to be wrong with them."""
        return [self._up(rail) for rail in self._heard]


@dataclass
class CopyCount:
    """Of one rail: the messages that had come before, and those of them that came :data:`LATE`."""

    duplicate: int = 0
    late: int = 0


class Copies:
    """Which messages are copies of what came over another rail before.

    Every message is sent on every rail. The same bytes twice on one rail are no copy, but a new message
    that says the same.
    """

    def __init__(self, rails: Sequence[str]) -> None:
        self.counts = {rail: CopyCount() for rail in rails}
        #: Hash of the message -> when it first came, and the rails on which it has come; the oldest first.
        self._first: dict[int, tuple[float, frozenset[str]]] = {}

    def came(self, rail: str, sender: str, payload: bytes, now: float) -> None:
        """A message has come over ``rail``."""
        if len(self.counts) < 2:
            return
        # Both ends of a long message tell enough of it: whose it is, from which number on, and its news.
        key = hash((sender, len(payload), payload[:_HEAD], payload[-_TAIL:]))
        first, rails = self._first.get(key, (now, frozenset()))
        if not rails or rail in rails:
            self._first.pop(key, None)
            self._first[key] = (now, frozenset({rail}))
            if len(self._first) > _MAX_COPIES:
                del self._first[next(iter(self._first))]
            return
        self._first[key] = (first, rails | {rail})
        self.counts[rail].duplicate += 1
        self.counts[rail].late += now - first >= LATE
