"""What has come in of every origin, and handing it on: in order, once, behind its board section.

The base of :class:`~tocsin.core.replica.Replica`, which decides what messages mean; here is what holds
of all origins: a life that ends, a hole that is given up, a section that is waited for, history that is
numbered at the end of joining (DESIGN.md section 5, receive and board sections).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Final

from tocsin.core.board import Resource
from tocsin.core.bounds import cap
from tocsin.core.bus import Arrival, Loss
from tocsin.core.effects import Base, Effect, Lose, NodeState, Publish, Ready, Send, Skip, add_delivery
from tocsin.core.errors import CodecError
from tocsin.core.event import MAX_EVENT_BYTES, Event, decode, decode_all
from tocsin.core.liveness import MAX_NAMES, Liveness
from tocsin.core.lives import MAX_SEQ, Life
from tocsin.core.origin import CLOSE_AFTER, Origin
from tocsin.core.repair import DEGRADED_AFTER, Repair
from tocsin.core.sections import Sections
from tocsin.core.sequence import incarnation_of, seq_of, sequence_of, sequences_of
from tocsin.core.telling import degraded_report

__all__ = ["Intake"]

#: A silence between two calls that means that this node itself stood still, in seconds.
_STOOD_STILL: Final = 1.0
_plain = attrgetter("event.plain")


class Intake:
    """All origins that this node knows of. Effects are collected in ``_out`` by who is called."""

    def __init__(
        self,
        me: str,
        *,
        now: float,
        names: Iterable[str],
        seen: Iterable[str],
        stored: tuple[int, int],
        stored_clean: bool,
        first_number: int,
        retain: float,
        max_events: int,
        max_bytes: int,
        down_after: float,
        section: Callable[[str], tuple[str, list[Resource]]],
    ) -> None:
        self.me = me
        self._retain, self._max_events, self._max_bytes = retain, max_events, max_bytes
        self.liveness = Liveness(me, names, seen=seen, down_after=down_after)
        self.origins: dict[str, Origin] = {}
        #: Those of them that may not be quiet: whatever changes an origin but time puts it here.
        self._stirred: set[str] = set()
        self.own = Life(me, 0, 0)
        self.counters: Counter[str] = Counter()
        self.ready = False
        self._repair = Repair(first_number)
        self._sections = Sections(self._repair, section)
        self._staged: list[Arrival | Loss] = []
        #: The newest life of this node that anybody tells of, and its last number.
        self._told_of_me = stored
        #: Whether that is how far it came, and not only the least: a clean stop, a file, or others say so.
        self._end_told = stored_clean
        self._announced_at: dict[str, float] = {}
        self._awake_at = now
        self._out: list[Effect] = []

    @property
    def period(self) -> float:
        """Seconds between two announces: one, and more in clusters of more than 100 nodes."""
        count = len(self._announced_at) + 1
        return count / 100 if count > 100 else 1.0  # asked for with each message

    def degraded(self) -> tuple[str, ...]:
        """Origins whose events are incomplete here for more than three seconds."""
        return tuple(sorted(name for name, origin in self.origins.items() if origin.degraded))

    def names(self) -> list[str]:
        """All other nodes that have ever been seen."""
        return sorted(name for name, member in self.liveness.members.items() if member.seen)

    def _wake(self, now: float) -> None:
        """A node that stood still (paused, starved) does not count that time against anybody."""
        still = now - self._awake_at
        self._awake_at = now
        if still > _STOOD_STILL:
            self.liveness.sleep(still, now, self.period)
            self._sections.sleep(still)
            for origin in self.origins.values():
                origin.sleep(still)

    def _take(self, life: Life, seq: int, age: int, body: bytes, now: float) -> None:
        if not life.plausible(seq):
            self.counters["events_quarantined"] += 1
        else:
            life.add(seq, Arrival(_read(life, life.sequence(seq), body), now - max(age, 0) / 1e6), now)

    def _take_burst(self, life: Life, first: int, events: Sequence[tuple[int, bytes]], now: float) -> None:
        """Takes in consecutive events; of those that are known the bytes are not read."""
        known = max(0, min(life.accepted + 1 - first, len(events)))
        self.counters["events_duplicate"] += known
        if known == len(events):
            return
        first, events = first + known, events[known:]
        if life.accepted == life.known == first - 1 and life.plausible(first + len(events) - 1):
            self._take_next(life, events, now)
            return
        for seq, (age, body) in enumerate(events, start=first):
            if seq in life.events:
                self.counters["events_duplicate"] += 1
            else:
                self._take(life, seq, age, body, now)

    def _take_next(self, life: Life, events: Sequence[tuple[int, bytes]], now: float) -> None:
        """Takes in what follows at once on all that is known: as a rule every event comes this way."""
        ages, bodies = zip(*events, strict=True)
        sequences = sequences_of(life.incarnation, life.known + 1, len(events))
        born_at = {age: now - age / 1e6 for age in set(ages)}  # most were published together
        births: Iterable[float] = [born_at[age] for age in ages]
        arrivals = list(map(Arrival, decode_all(bodies, sequences, life.origin), births))
        try:
            for body, sequence, born in () if arrivals else zip(bodies, sequences, births, strict=True):
                arrivals.append(Arrival(_read(life, sequence, body), born))
        finally:  # of a message with an event that is none the events before it count
            life.follow(arrivals, sum(map(len, bodies[: len(arrivals)])))
            life.prune_in_passing(now - self._retain)  # all of a second's flood at once takes long

    # -- what outlived the agent -----------------------------------------------------------

    def restore(self, arrivals: Iterable[Arrival], seen: Mapping[str, str], now: float) -> None:
        """What this node's own buffer holds of former lives, oldest first; before anything else.

        It is not numbered again; others may ask for it; and what is missing behind it is asked for as any
        hole, so that who reads on is told what cannot be had. ``seen``: the last sequence of each origin.
        """
        for arrival in arrivals:
            if arrival.event.type == "node.forgotten":
                self._judge(arrival.event, now, past=True)
            self._past(arrival.event.sequence, arrival.event.origin).take_back(arrival)
        for name, sequence in seen.items():
            if not self.liveness.buried(name, incarnation_of(sequence)):
                self._past(sequence, name).reach(seq_of(sequence))
        if self.me in seen:
            # The state directory may know of more than the buffer could keep.
            self._end_told = True
            self._told_of_me = max(self._told_of_me, (incarnation_of(seen[self.me]), seq_of(seen[self.me])))
            self._past(sequence_of(*self._told_of_me), self.me).learn(self._told_of_me[1], now)
        for origin in self.origins.values():
            origin.current, origin.fresh = max(origin.lives), False
            if origin.name != self.me:
                base = origin.life.sequence(origin.life.accepted)
                self._sections.want(origin, None, now, joining=True, base=base)

    def _past(self, sequence: str, name: str) -> Life:
        origin = self.origins.setdefault(name, Origin(name))
        self._stirred.add(name)
        incarnation = incarnation_of(sequence)
        return origin.lives.setdefault(incarnation, Life(name, incarnation, 0))

    # -- lives ---------------------------------------------------------------------------

    def _life(self, name: str, incarnation: int, now: float) -> tuple[Origin, Life | None]:
        """A life of an origin, begun if it is new; None if it is over and gone."""
        origin = self.origins.get(name)
        if origin is None:
            if len(self.origins) >= MAX_NAMES:
                raise CodecError(f"more than {MAX_NAMES} origins")
            origin = self.origins[name] = Origin(name)
        self._stirred.add(name)
        life = origin.get(incarnation)
        if life is None and incarnation > origin.current:
            life = origin.begin(incarnation, now)
        if life is not None and incarnation < origin.current:
            return origin, None  # left behind: what comes of it now is late
        return origin, life

    def _meet(self, origin: Origin, life: Life, base: int, sequence: str, now: float) -> None:
        """First contact: from here on everything of this origin is handed on."""
        origin.fresh = origin.recalled = False
        if life.incarnation != origin.current:
            origin.leave_out(life.incarnation)  # of older ones nobody has said yet what there is
        life.begin_behind(base, now)
        loss = None
        if sequence and self.ready:
            # There are readers here already, who may come from a node that knew this origin earlier.
            # Number 0 stands for whatever was before: of former lives nobody has said anything.
            loss = Loss(origin.name, sequence_of(incarnation_of(sequence), 0), sequence)
        elif sequence:
            self._out.append(Base(origin.name, sequence))
        self._sections.want(origin, loss, now, joining=not self.ready, base=sequence)

    def _recall(self, origin: Origin, previous: str, now: float) -> bool:
        """A node that is met while joining has lived before: whoever holds what it told then is asked for it.

        Readers may come who lack the end of that life, though others hold it.
        """
        incarnation, last = (incarnation_of(previous), seq_of(previous)) if previous else (0, 0)
        if not 0 < incarnation < origin.newest().incarnation or not Life(origin.name, 1, 0).plausible(last):
            return False
        origin.recall(incarnation, last, now)
        return True

    def _meet_recalled(self, origin: Origin, living: Collection[str], now: float) -> None:
        """Begins with the first event that came of a former life, once all have answered; else at its end."""
        life, since = origin.life, origin.superseded_at
        assert since is not None
        all_lack_it = life.denials.final(life.accepted + 1) >= {*living}
        if life.missing and now - since < CLOSE_AFTER and not all_lack_it:
            return
        base = (life.events.least() or life.known + 1) - 1
        origin.superseded_at = now  # from now on its holes are asked for
        self._meet(origin, life, base, life.sequence(base), now)

    def _advance(self, origin: Origin, now: float) -> None:
        """Hands on all that is next in order, and moves on to the next life where one is over."""
        if self.ready and origin.name == self.me:
            return  # a former life of this node: kept for repair only
        while not origin.fresh and origin.gate is None:
            life = origin.life
            if life.known > life.accepted and (arrivals := life.ready()):
                self._hand_on(arrivals, now)
                life.settle_hole(now)
            if not origin.over(now, self._all_announced_since):
                return
            if life.missing:
                self._give_up(origin, life, now)
            else:
                origin.move_on(now)
                self._warn(origin)
                self._sections.want(origin, None, now, joining=not self.ready)

    def _warn(self, origin: Origin) -> None:
        """Who comes from a node that left a former life earlier lacks what was handed on here of its end."""
        if self.ready and not origin.fresh and (further := origin.further_than_told()) is not None:
            origin.warned, first, last = further
            first_sequence, end = sequence_of(origin.warned, first), sequence_of(origin.warned, last)
            self._out.append(Lose(Loss(origin.name, first_sequence, end, late=True, elsewhere=True)))

    def _all_announced_since(self, then: float) -> bool:
        then += self.period  # before that not all who live are heard, nor have they answered this node
        living = self.liveness.living(then, self.period)
        return all(self._announced_at.get(name, then) > then for name in living)

    def _hand_on(self, arrivals: list[Arrival], now: float) -> None:
        if not self.ready:
            self._staged.extend(arrivals)
        else:
            self._enter(arrivals, now)

    def _enter(self, arrivals: list[Arrival], now: float, *, past: bool = False) -> None:
        if all(map(_plain, arrivals)):
            add_delivery(self._out, arrivals)
            return
        news: list[Arrival] = []
        for arrival in arrivals:
            if self._judge(arrival.event, now, past=past):
                news.append(arrival)
                continue
            if news:
                add_delivery(self._out, news)
                news = []
            self._out.append(Skip(arrival.event.origin, arrival.event.sequence))
        if news:
            add_delivery(self._out, news)

    def _judge(self, event: Event, now: float, *, past: bool = False) -> bool:
        """Whether an event enters this buffer: all do, but reports about nodes must be news."""
        if not event.type.startswith("node") or event.kind != "node":
            return True
        if not self.liveness.accept(event, now, self.period, past=past):
            self.counters["reports_suppressed"] += 1
            return False
        if event.type == "node.forgotten":
            self._forget(event.node)
        return True

    def _forget(self, name: str) -> None:
        origin = self.origins.pop(name, None)
        if origin is not None and origin.degraded:
            self._out.append(Publish(degraded_report(name, degraded=False)))
        self._announced_at.pop(name, None)
        self._sections.forget(name)

    def _give_up(self, origin: Origin, life: Life, now: float, up_to: int = MAX_SEQ) -> None:
        first, last = life.give_up(now, up_to)
        self.counters["events_lost"] += last - first + 1
        loss = Loss(origin.name, life.sequence(first), life.sequence(last))
        if not self.ready:
            self._staged.append(loss)
        if self.ready or origin.name != self.me:
            self._sections.want(origin, loss, now, joining=not self.ready)

    # -- as time passes --------------------------------------------------------------------

    def _tend_all(self, now: float) -> None:
        wanted = self._sections.all_wanted()
        origins, stirred = self.origins, self._stirred
        if stirred:
            stirred -= {name for name in stirred if name not in origins or origins[name].quiet}
        if stirred or wanted:  # who lives is found out once, however many origins wait
            waiting = [o for o in origins.values() if o.name in stirred or o.name in wanted]
            stirred.update(wanted)
            living = dict.fromkeys(self.liveness.living(now, self.period))
            for origin in waiting:
                if origin.name != self.me or not self.ready:
                    self._tend(origin, living, now)

    def _tend(self, origin: Origin, living: Collection[str], now: float) -> None:
        self._out.extend(self._sections.tend(origin, living, now))
        if origin.recalled:
            self._meet_recalled(origin, living, now)
        if origin.fresh and not origin.recalled:
            return
        self._advance(origin, now)
        life = origin.life
        # What comes by way of others only is not on its way on another rail.
        at_once = not self.ready or origin.name not in living
        for target, ask in self._repair.asks(origin, life, living, now, at_once=at_once):
            self._out.append(Send(ask, target))
        if origin.recalled:
            return
        not_down = partial(self.liveness.not_down, now, self.period)
        if origin.gate is None and (
            up_to := self._repair.hopeless(life, living, not_down, now, self._retain)
        ):
            self._give_up(origin, life, now, up_to)
            self._advance(origin, now)
        self._note_degraded(origin, now)

    def _note_degraded(self, origin: Origin, now: float) -> None:
        since = origin.life.hole_since
        degraded = since is not None and now - since > DEGRADED_AFTER
        if degraded == origin.degraded or not self.ready:
            return
        origin.degraded = degraded
        self._out.append(Publish(degraded_report(origin.name, degraded=degraded)))

    # -- joining ends ---------------------------------------------------------------------

    def _become_ready(self, now: float) -> None:
        """Numbers history: by age over all origins, by sequence within each."""
        staged, self._staged = self._staged, []
        reached: dict[str, float] = {}
        keyed = []
        for item in staged:
            name = item.event.origin if isinstance(item, Arrival) else item.origin
            born = item.born if isinstance(item, Arrival) else reached.get(name, now)
            reached[name] = max(born, reached.get(name, born))
            keyed.append((reached[name], item))
        for _, item in sorted(keyed, key=lambda pair: pair[0]):
            if isinstance(item, Loss):
                self._out.append(Lose(item))
            else:
                self._enter([item], now, past=True)
        self.ready = True
        self._out.extend(self._sections.doubt_rest(self.origins))
        self._out.extend(NodeState(name) for name in self.liveness.learn(self._sections.members))
        for origin in self.origins.values():
            self._warn(origin)
        self._out += [NodeState(self.me), Ready()]

    # -- bounds ---------------------------------------------------------------------------

    def _prune(self, now: float) -> None:
        self._next_prune = now + 1.0
        before = now - self._retain
        for origin in self.origins.values():
            origin.prune(before)
            if origin.name in self._announced_at or origin.holders:
                if self.liveness.hears(origin.name, now, self.period):
                    origin.holders.clear()
                else:
                    self._announced_at.pop(origin.name, None)
        self.own.prune(before)
        others = (life for o in self.origins.values() for life in o.lives.values() if life.events)
        cap([self.own, *others], self._max_events, self._max_bytes)


def _read(life: Life, sequence: str, body: bytes) -> Event:
    """An event from its bytes, if it is what its message says. Raises CodecError."""
    if len(body) > MAX_EVENT_BYTES:
        raise CodecError(f"an event of {len(body)} bytes")
    return decode(body, sequence, life.origin)
