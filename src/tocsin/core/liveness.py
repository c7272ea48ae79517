"""Who is alive: what this node hears with its own ears, and what it tells about it.

Ears are one thing, what has been *told* (the node's state in this buffer and on this board) another.
Where they differ this node reports it, unless somebody ranked before it does so first: observers rank
by name, the k-th waits k times :data:`TURN` (DESIGN.md section 5, liveness).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tocsin.core.board import Resource
from tocsin.core.event import Draft, Event, report

__all__ = ["STATES", "TURN", "Liveness", "Member"]

#: How long the k-th observer waits, times k, in seconds.
TURN: Final = 0.2
#: Announces that may be missed before a node is suspect.
MISSED: Final = 3
#: Some time for an announce to travel, in seconds.
_SLACK: Final = 0.3

#: state → (event type, status, what the page says)
STATES: Final = {
    "up": ("node.up", "ok", "{name} is up"),
    "suspect": ("node.suspect", "warning", "{name} does not answer; waiting before it is called down"),
    "down": ("node.down", "failed", "{name} is down: no sign of life on any rail"),
    "left": ("node.left", "unknown", "{name} has been stopped"),
    "unknown": ("", "unknown", "{name} has not been heard yet"),
}
_STATE_OF_TYPE: Final = {
    "node.joined": "up",
    "node.up": "up",
    "node.suspect": "suspect",
    "node.down": "down",
    "node.left": "left",
    "node.forgotten": "forgotten",
}


@dataclass(slots=True)
class Member:
    """One node, as heard and as told."""

    name: str
    #: Whether the name has been seen alive before: decides between joined and up.
    seen: bool = False
    # what the ears say
    heard_at: float | None = None
    heard_incarnation: int = 0
    left_incarnation: int = 0
    # what has been told
    state: str = "unknown"
    incarnation: int = 0
    # since when the two differ, and in which direction
    differs: tuple[str, int] | None = None
    differs_since: float = 0.0


class Liveness:
    """The members of the cluster as one of them knows them."""

    def __init__(self, me: str, names: Iterable[str], *, seen: Iterable[str], down_after: float) -> None:
        self.me = me
        self.down_after = down_after
        was_seen = set(seen)
        self.members = {n: Member(n, seen=n in was_seen) for n in {*names, *was_seen} - {me}}
        #: What history tells of this node's own former lives; it is no member to be watched.
        self._myself = Member(me, seen=True)
        self._listening_since: float | None = None
        self._last_tick: float | None = None

    # -- ears --------------------------------------------------------------------

    def heard(self, name: str, incarnation: int, now: float) -> None:
        """A sign of life of another node: an announce, an event, any message of its own."""
        member = self.members.setdefault(name, Member(name))
        if incarnation >= member.heard_incarnation and incarnation > member.left_incarnation:
            member.heard_at, member.heard_incarnation = now, incarnation

    def goodbye(self, name: str, incarnation: int) -> None:
        """A node says that it stops."""
        member = self.members.setdefault(name, Member(name))
        member.left_incarnation = max(member.left_incarnation, incarnation)

    def hears(self, name: str, now: float, period: float) -> bool:
        """Whether a node was heard within the last three announces."""
        member = self.members.get(name)
        return member is not None and self._ears(member, now, period) == "up"

    def living(self, now: float, period: float) -> list[str]:
        """The other nodes heard within the last three announces, by name."""
        return sorted(n for n, m in self.members.items() if self._ears(m, now, period) == "up")

    def _ears(self, member: Member, now: float, period: float) -> str:
        if member.left_incarnation and member.left_incarnation >= member.heard_incarnation:
            return "left"
        since = member.heard_at
        if since is None:
            since = self._listening_since
            if since is None or now - since < self.limit(period):
                return "unknown"
            return "down"
        silence = now - since
        if silence <= MISSED * period + _SLACK:
            return "up"
        return "suspect" if silence < self.limit(period) else "down"

    def limit(self, period: float) -> float:
        """After how many seconds of silence a node is down: scaled with the announce period."""
        return max(self.down_after, (MISSED + 1) * period + _SLACK)

    # -- telling -----------------------------------------------------------------

    def start(self, now: float) -> None:
        """From now on silence means something."""
        self._listening_since = self._last_tick = now

    def tick(self, now: float, period: float) -> Iterator[Draft]:
        """What this node has to report now."""
        if self._listening_since is None:
            return
        self._distrust_self(now, period)
        for member in list(self.members.values()):
            want = self._wanted(member, now, period)
            if want is None:
                member.differs = None
                continue
            if member.differs != want:
                member.differs, member.differs_since = want, now
            if now >= member.differs_since + self._rank(member.name, now, period) * TURN:
                yield self._report(member, *want)

    def _distrust_self(self, now: float, period: float) -> None:
        """A node that was itself paused or starved listens one period before it accuses."""
        gap = now - (self._last_tick if self._last_tick is not None else now)
        self._last_tick = now
        if gap > max(period, 1.0):
            for member in self.members.values():
                if member.heard_at is not None:
                    member.heard_at += gap
            if self._listening_since is not None:
                self._listening_since += gap

    def _wanted(self, member: Member, now: float, period: float) -> tuple[str, int] | None:
        state = self._ears(member, now, period)
        incarnation = max(member.heard_incarnation, member.left_incarnation) or member.incarnation
        if state == "unknown" or (state, incarnation) == (member.state, member.incarnation):
            return None
        if member.state == "left" and state in ("suspect", "down"):
            return None  # it said goodbye; that it is silent is no news
        if incarnation < member.incarnation:
            return None  # a newer life has been told; these ears are behind
        if state == "suspect" and member.state == "down":
            return None  # one announce got through and no other: it has not come back
        return state, incarnation

    def _rank(self, about: str, now: float, period: float) -> int:
        observers = sorted({self.me, *self.living(now, period)} - {about})
        return observers.index(self.me)

    @staticmethod
    def _report(member: Member, state: str, incarnation: int) -> Draft:
        type_, status, words = STATES[state]
        if state == "up" and not member.seen:
            type_, words = "node.joined", "{name} has joined the cluster"
        return report(
            type_,
            member.name,
            status,
            words.format(name=member.name),
            {"state": state, "incarnation": incarnation},
            node=member.name,
        )

    def accept(self, event: Event, now: float, period: float, *, past: bool = False) -> bool:
        """Whether a report about a node enters this buffer: it changes the state, and ears do not object.

        ``past``: it comes from the history that a newcomer fetched; ears know nothing of then.
        """
        state = _STATE_OF_TYPE.get(event.type)
        if state is None:
            return True
        if event.node == self.me and not past:
            return False
        if state == "forgotten":
            return self._forget(event.node, now, period)
        incarnation = _incarnation(event)
        myself = event.node == self.me
        member = self._myself if myself else self.members.setdefault(event.node, Member(event.node))
        if incarnation < member.incarnation or (state, incarnation) == (member.state, member.incarnation):
            return False
        if (
            not past
            and event.origin != self.me
            and self._contradicted(member, state, incarnation, now, period)
        ):
            return False
        member.state, member.incarnation = state, incarnation
        member.seen = member.seen or state in ("up", "left")
        return True

    def _contradicted(self, member: Member, state: str, incarnation: int, now: float, period: float) -> bool:
        ears = self._ears(member, now, period)
        if state in ("suspect", "down"):
            return ears == "up" and incarnation <= member.heard_incarnation
        if state == "up" and incarnation <= max(member.heard_incarnation, member.left_incarnation):
            return ears != "up"
        return False

    def _forget(self, name: str, now: float, period: float) -> bool:
        if self.hears(name, now, period):
            return False
        return self.members.pop(name, None) is not None

    # -- what newcomers are told ---------------------------------------------------

    def told(self) -> dict[str, tuple[str, int]]:
        """name → (state, incarnation) of all others."""
        return {m.name: (m.state, m.incarnation) for m in self.members.values()}

    def learn(self, told: dict[str, tuple[str, int]]) -> list[str]:
        """Takes over what a peer knows of members that nothing has been told of here; their names."""
        news = []
        for name, (state, incarnation) in told.items():
            if name == self.me or state not in STATES:
                continue
            member = self.members.setdefault(name, Member(name))
            if member.state == "unknown" and state != "unknown" and incarnation >= member.incarnation:
                member.state, member.incarnation, member.seen = state, incarnation, True
                news.append(name)
        return news

    def resource(self, name: str, wall: str, incarnation: int = 0) -> Resource:
        """A member as a resource of the board, where no event tells of it; ``incarnation`` of this node."""
        member = self.members.get(name)
        state, incarnation = (member.state, member.incarnation) if member else ("up", incarnation)
        _, status, words = STATES[state]
        return Resource(
            node=name,
            kind="node",
            subject=name,
            status=status,
            summary=words.format(name=name),
            attributes={"state": state, "incarnation": incarnation},
            since=wall,
            updated=wall,
            origin=self.me,
        )


def _incarnation(event: Event) -> int:
    value = event.payload().attributes.get("incarnation", 0)
    return value if isinstance(value, int) else 0
