"""Who is alive: what this node hears with its own ears, and what it tells about it.

Ears are one thing, what has been *told* (the node's state in this buffer and on this board) another.
Where they differ this node reports it, unless somebody ranked before it does so first: observers rank
by name, the k-th waits k times :data:`TURN` (DESIGN.md section 5, liveness).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tocsin.core.board import Resource
from tocsin.core.event import Draft, Event, report
from tocsin.core.lives import MAX_INCARNATION
from tocsin.core.member import Member, missing

__all__ = ["ASK_FOR", "FORGET_AFTER", "MAX_NAMES", "STATES", "TURN", "Liveness"]

#: How long the k-th observer waits, times k, in seconds.
TURN: Final = 0.2
#: For so long others are asked whether they hear a silent node, before it is called down. Seconds.
ASK_FOR: Final = 1.0
#: Seconds between two such questions: until somebody hears it, and for a node that is down.
_ASK_EVERY: Final = 0.3
_ASK_OF_THE_DOWN: Final = 10.0
#: A name that was silent for so long is removed (one of the configuration never), in seconds.
FORGET_AFTER: Final = 7 * 86400.0
#: A bound on the names that others may make up.
MAX_NAMES: Final = 5000
#: A bound on what another node may call its announce period, in seconds.
_LONGEST_PERIOD: Final = 60.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")

#: state → (event type, status, what the page says)
STATES: Final = {
    "up": ("node.up", "ok", "{name} is up"),
    "suspect": ("node.suspect", "warning", "{name} does not answer; waiting before it is called down"),
    # suspect, and stays so: another node hears it
    "apart": ("node.suspect", "warning", "no direct path from {me} to {name}, which other nodes hear"),
    "down": ("node.down", "failed", "{name} is down: no sign of life on any rail"),
    "left": ("node.left", "unknown", "{name} has been stopped"),
    "unknown": ("", "unknown", "{name} has not been heard yet"),
    "forgotten": ("node.forgotten", "gone", "{name} has not been heard for seven days"),
}
_STATE_OF_TYPE: Final = {
    "node.joined": "up",
    "node.up": "up",
    "node.suspect": "suspect",
    "node.down": "down",
    "node.left": "left",
    "node.forgotten": "forgotten",
}


class Liveness:
    """The members of the cluster as one of them knows them."""

    def __init__(self, me: str, names: Iterable[str], *, seen: Iterable[str], down_after: float) -> None:
        self.me = me
        self.down_after = down_after
        was_seen = set(seen)
        self._configured = frozenset(names)
        names = self._configured
        self.members = {n: Member(n, seen=n in was_seen) for n in sorted({*names, *was_seen} - {me})}
        #: What history tells of this node's own former lives; it is no member to be watched.
        self._myself = Member(me, seen=True)
        self._listening_since: float | None = None
        #: Those who are to be looked at: all but those who are up and told to be (:meth:`_not_as_told`).
        self._odd: list[Member] = []
        #: When of all the others that one was heard that has been silent for longest.
        self._silent_since = float("-inf")
        #: Names that were removed, with the last life known of each: what others still tell of it is old.
        self._forgotten: dict[str, int] = {}

    # -- ears --------------------------------------------------------------------

    def _member(self, name: str) -> Member:
        member = self.members.get(name)
        if member is None:
            member = Member(name)
            if len(self.members) < MAX_NAMES:
                self.members[name] = member
                self._look_anew()
        return member

    def _look_anew(self) -> None:
        """Something else than time has changed a member."""
        self._silent_since = float("-inf")

    def _not_as_told(self, heard_since: float) -> list[Member]:
        """The members but those that are up, as told: of hundreds not all are looked at each time.

        While even the one silent for longest is no more silent than it may be, only a change adds to them.
        """
        if self._silent_since < heard_since:
            self._odd = [m for m in self.members.values() if not m.as_told(heard_since)]
            heard = (m.heard_at for m in self.members.values() if m.heard_at is not None)
            self._silent_since = min((at for at in heard if at >= heard_since), default=heard_since)
        return self._odd

    def heard(self, name: str, incarnation: int, now: float, period: float = 0.0) -> None:
        """A sign of life of another node: an announce (with its period), an event."""
        self._forgotten.pop(name, None)
        member = self._member(name)
        if 0 < period <= _LONGEST_PERIOD:
            member.period = period
        if incarnation != member.heard_incarnation:
            self._look_anew()
        if incarnation >= member.heard_incarnation and incarnation > member.left_incarnation:
            member.heard_at, member.heard_incarnation, member.excused = now, incarnation, 0.0

    def goodbye(self, name: str, incarnation: int) -> None:
        """A node says that it stops."""
        member = self._member(name)
        member.left_incarnation = max(member.left_incarnation, incarnation)
        self._look_anew()

    def hears(self, name: str, now: float, period: float, incarnation: int = 0) -> bool:
        """Whether a node was heard within the last three announces, in no newer life than ``incarnation``."""
        member = self.members.get(name)
        if member is None or (incarnation and incarnation < member.heard_incarnation):
            return False
        return self._ears(member, now, period) == "up"

    def unheard(self, now: float, period: float) -> list[str]:
        """The other nodes that are not heard, by name."""
        return sorted(n for n, m in self.members.items() if self._ears(m, now, period) != "up")

    def living(self, now: float, period: float) -> list[str]:
        """The other nodes heard within the last three announces, by name."""
        return sorted(n for n, m in self.members.items() if self._ears(m, now, period) == "up")

    def not_down(self, now: float, period: float) -> set[str]:
        """The other nodes that are heard, or were a moment ago: what they hold may be had from them."""
        return {n for n, m in self.members.items() if self._ears(m, now, period) in ("up", "suspect")}

    def _ears(self, member: Member, now: float, period: float) -> str:
        if member.left_incarnation and member.left_incarnation >= member.heard_incarnation:
            return "left"
        since = member.heard_at
        if since is None:
            since = self._listening_since
            if since is None or now - since < self.limit(max(period, member.period)):
                return "unknown"
            return "down"
        silence = now - since
        if silence <= missing(period):  # most are; its own period could only make it longer
            return "up"
        period = max(period, member.period)
        if silence <= missing(period):
            return "up"
        return "suspect" if silence < self.limit(period) else "down"

    def _silence(self, member: Member, now: float) -> float:
        since = member.heard_at if member.heard_at is not None else self._listening_since
        return 0.0 if since is None else now - since

    # -- what others hear --------------------------------------------------------

    def age(self, name: str, now: float) -> tuple[int, float]:
        """The life of another node that is heard here, and how long ago in seconds; negative: not heard."""
        member = self.members.get(name)
        if member is None or member.heard_at is None or member.left_incarnation >= member.heard_incarnation:
            return 0, -1.0
        return member.heard_incarnation, now - member.heard_at + member.excused

    def silent(self, now: float, period: float) -> dict[str, float]:
        """The nodes of which the others are to be asked, and after how many seconds again."""
        every = {}
        heard_since = now - missing(period)
        for member in self._not_as_told(heard_since):
            if member.heard_at is not None and member.heard_at >= heard_since:
                continue  # all of them, as a rule, so they are not looked at any closer
            if member.state == "left" or self._ears(member, now, period) not in ("suspect", "down"):
                continue
            if self._silence(member, now) < self.limit(max(period, member.period)) - ASK_FOR:
                continue
            every[member.name] = _ASK_EVERY
            if member.state == "down":
                every[member.name] = _ASK_OF_THE_DOWN * period
            elif self._others_hear(member, now, period):
                every[member.name] = period
        return every

    def others_hear(self, name: str, incarnation: int, at: float) -> None:
        """Another node heard this one at ``at``."""
        member = self.members.get(name)
        if member is not None and incarnation >= max(member.heard_incarnation, member.others_incarnation):
            member.others_at, member.others_incarnation = max(at, member.others_at), incarnation

    def _others_hear(self, member: Member, now: float, period: float) -> bool:
        return now - member.others_at <= missing(max(period, member.period))

    def limit(self, period: float) -> float:
        """After how many seconds of silence a node is down: scaled with the announce period."""
        return max(self.down_after, missing(period) + period)

    # -- telling -----------------------------------------------------------------

    def start(self, now: float) -> None:
        """From now on silence means something."""
        self._listening_since = now

    def sleep(self, seconds: float, now: float, period: float) -> None:
        """This node itself stood still for so long: it heard nobody, and accuses nobody of that."""
        for member in self.members.values():
            member.excuse(seconds, now, period)
        if self._listening_since is not None:
            self._listening_since += seconds

    def tick(self, now: float, period: float) -> Iterator[Draft]:
        """What this node has to report now."""
        if self._listening_since is None:
            return
        observers: list[str] = []
        heard_since = now - missing(period)
        for member in self._not_as_told(heard_since):
            if member.as_told(heard_since):
                continue
            want = self._wanted(member, now, period)
            if want is None:
                member.differs = None
                continue
            if member.differs != want:
                member.differs, member.differs_since = want, now
            observers = observers or sorted({self.me, *self.living(now, period)})
            if now >= member.differs_since + self._rank(member.name, observers) * TURN:
                yield self._report(member, *want)

    def _wanted(self, member: Member, now: float, period: float) -> tuple[str, int] | None:
        if self._expired(member, now):
            return "forgotten", member.incarnation
        state = self._ears(member, now, period)
        incarnation = max(member.heard_incarnation, member.left_incarnation) or member.incarnation
        if state in ("suspect", "down"):
            state = self._doubted(member, state, now, period)
            if state == "apart":
                incarnation = max(incarnation, member.others_incarnation)
        if state == "unknown" or (state, incarnation) == (member.state, member.incarnation):
            return None
        if member.state == "left" and state in ("suspect", "down"):
            return None  # it said goodbye; that it is silent is no news
        if incarnation < member.incarnation:
            return None  # a newer life has been told; these ears are behind
        if state in ("suspect", "apart") and member.state == "down" and not self._heard_since(member, state):
            return None  # one announce got through and no other: it has not come back
        return state, incarnation

    def _doubted(self, member: Member, state: str, now: float, period: float) -> str:
        """What others hear of a node that is silent here: it is no worse than they say."""
        if member.others_incarnation < max(member.heard_incarnation, member.left_incarnation + 1):
            return state
        if self._others_hear(member, now, period):
            return "apart"
        if state == "down" and now - member.others_at < self.limit(max(period, member.period)):
            return "unknown"  # silent for them too, but not for long enough yet
        return state

    @staticmethod
    def _heard_since(member: Member, state: str) -> bool:
        return state == "apart" and member.others_at > member.told_at

    def _expired(self, member: Member, now: float) -> bool:
        if member.name in self._configured:
            return False
        return min(self._silence(member, now), now - member.others_at) >= FORGET_AFTER

    def _rank(self, about: str, observers: list[str]) -> int:
        before = observers[: bisect_left(observers, self.me)]
        return len(before) - (about in before)

    def _report(self, member: Member, state: str, incarnation: int) -> Draft:
        type_, status, words = STATES[state]
        if state == "up" and not member.seen:
            type_, words = "node.joined", "{name} has joined the cluster"
        return report(
            type_,
            member.name,
            status,
            words.format(name=member.name, me=self.me),
            _attributes(state, incarnation),
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
        attributes = event.payload().attributes
        incarnation = _incarnation(attributes)
        if state == "suspect" and attributes.get("path") == "indirect":
            state = "apart"
        if not _NAME.match(event.node) or (state != "up" and self.buried(event.node, incarnation)):
            return False
        member = self._myself if event.node == self.me else self._member(event.node)
        if incarnation < member.incarnation or (state, incarnation) == (member.state, member.incarnation):
            return False
        if (
            not past
            and event.origin != self.me
            and self._contradicted(member, state, incarnation, now, period)
        ):
            return False
        member.state, member.incarnation, member.told_at = state, incarnation, now
        self._look_anew()
        member.seen = member.seen or state in ("up", "left")
        return True

    def _contradicted(self, member: Member, state: str, incarnation: int, now: float, period: float) -> bool:
        ears = self._ears(member, now, period)
        if state in ("suspect", "apart") and member.state == "down" and incarnation == member.incarnation:
            return True  # that it is back only its own signs of life can say
        if state in ("suspect", "apart", "down"):
            if ears == "up":
                return incarnation <= member.heard_incarnation
            return self._others_hear(member, now, period) and incarnation <= member.others_incarnation
        if state == "up" and incarnation <= max(member.heard_incarnation, member.left_incarnation):
            return ears != "up"
        return False

    def _forget(self, name: str, now: float, period: float) -> bool:
        if self.hears(name, now, period):
            return False
        member = self.members.pop(name, None)
        if member is None:
            return False
        self._look_anew()
        self._forgotten[name] = max(member.incarnation, member.heard_incarnation)
        if len(self._forgotten) > MAX_NAMES:
            del self._forgotten[next(iter(self._forgotten))]
        return True

    def buried(self, name: str, incarnation: int) -> bool:
        """Whether the name was removed, and this life of it is none that began since."""
        return incarnation <= self._forgotten.get(name, -1)

    # -- what newcomers are told ---------------------------------------------------

    def told(self) -> dict[str, tuple[str, int]]:
        """Name → (state, incarnation) of all others."""
        return {m.name: (_shown(m.state), m.incarnation) for m in self.members.values()}

    def learn(self, told: dict[str, tuple[str, int]]) -> list[str]:
        """Takes over what a peer knows of members that nothing has been told of here; their names."""
        news = []
        for name, (state, incarnation) in told.items():
            if name == self.me or state not in STATES or self.buried(name, incarnation):
                continue
            member = self._member(name)
            if member.state == "unknown" and state != "unknown" and incarnation >= member.incarnation:
                member.state, member.incarnation, member.seen = state, incarnation, True
                self._look_anew()
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
            summary=words.format(name=name, me=self.me),
            attributes=_attributes(state, incarnation),
            since=wall,
            updated=wall,
            origin=self.me,
        )


def _shown(state: str) -> str:
    """A state as others know it: apart is a matter between two nodes."""
    return "suspect" if state == "apart" else state


def _attributes(state: str, incarnation: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {"state": _shown(state), "incarnation": incarnation}
    return attributes | ({"path": "indirect"} if state == "apart" else {})


def _incarnation(attributes: dict[str, Any]) -> int:
    value = attributes.get("incarnation", 0)
    return value if isinstance(value, int) and 0 <= value <= MAX_INCARNATION else 0
