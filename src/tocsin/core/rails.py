"""Which rails reach which nodes: heard on one rail and not on another means that the other is down.

Every announce goes over every rail, so a rail on which a *living* peer is silent for three announces does
not reach it. A peer that is silent on all of them is the business of :mod:`~tocsin.core.liveness`.
One event a rail tells of most peers at once; a minority of them is told of peer by peer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tocsin.core.event import Draft, report

__all__ = ["SETTLE", "RailWatch"]

#: Announces that may be missed on a rail, and time for one to travel, in seconds.
_MISSED: Final = 3
_SLACK: Final = 0.5
#: A change is told when it has lasted for so long, in seconds.
SETTLE: Final = 1.0

#: Of a rail ("rail1"), or of a rail and a peer ("rail1:node2"), the peers that are not reached.
_States = dict[str, frozenset[str]]


class RailWatch:
    """The rails of one node."""

    def __init__(self, rails: Sequence[str]) -> None:
        self._heard: dict[str, dict[str, float]] = {rail: {} for rail in rails}
        self._told: _States = {}
        self._since: dict[str, tuple[frozenset[str] | None, float]] = {}
        self._met: dict[str, float] = {}

    def heard(self, rail: str, peer: str, now: float) -> None:
        """A message of ``peer`` has come over ``rail``."""
        self._heard[rail][peer] = now

    def silent(self, rail: str, living: Iterable[str], now: float, period: float) -> frozenset[str]:
        """The living peers that are not heard on a rail."""
        limit = _MISSED * period + _SLACK
        heard = self._heard[rail]
        return frozenset(p for p in living if now - max(heard.get(p, 0.0), self._met.get(p, now)) > limit)

    def tick(self, living: Sequence[str], now: float, period: float) -> Iterator[Draft]:
        """What has changed for good since the last call."""
        self._met = {peer: self._met.get(peer, now) for peer in living}
        states: _States = {}
        for rail in self._heard:
            silent = self.silent(rail, living, now, period)
            if 2 * len(silent) >= max(1, len(living)):
                states[rail] = silent
            else:
                states.update({f"{rail}:{peer}": frozenset({peer}) for peer in silent})
        for subject in {*states, *self._told, *self._since}:
            yield from self._settle(subject, states.get(subject), len(living), now)

    def _settle(self, subject: str, state: frozenset[str] | None, living: int, now: float) -> Iterator[Draft]:
        if state == self._told.get(subject):
            self._since.pop(subject, None)
            return
        was, since = self._since.get(subject, (None, now))
        if was != state or subject not in self._since:
            self._since[subject] = (state, now)
            return
        if now - since < SETTLE:
            return
        del self._since[subject]
        if state is None:
            del self._told[subject]
            yield self._up(subject)
        else:
            self._told[subject] = state
            yield self._down(subject, state, living)

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
