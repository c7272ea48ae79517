"""The replica: what makes every event of every node reach every node, once, in order. No I/O.

``receive(sender, payload, now) -> effects``, ``local(arrival, now) -> effects``, ``tick(now) -> effects``.
Rails may lose, repeat, delay and reorder what is sent; the guarantee is made here (DESIGN.md section 5):
push on every rail, order per origin with hold-back, announces, fill of holes, markers for what nobody
holds, board sections, joining, liveness. :mod:`~tocsin.core.repair`, :mod:`~tocsin.core.sections` and
:mod:`~tocsin.core.liveness` hold the rules of their part; this file is where messages and time come in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from tocsin.core.board import Resource
from tocsin.core.bus import Arrival, Loss
from tocsin.core.effects import (
    Base,
    Begin,
    Clash,
    Deliver,
    Effect,
    Late,
    Lose,
    Measured,
    NodeState,
    Publish,
    Ready,
    Send,
    Skip,
)
from tocsin.core.errors import CodecError
from tocsin.core.event import Event, decode, report, sequence_of
from tocsin.core.lives import MAX_INCARNATION, Life
from tocsin.core.liveness import Liveness
from tocsin.core.messages import (
    MAX_MESSAGE_BYTES,
    Announce,
    Ask,
    AskSection,
    Entry,
    Events,
    Fill,
    Goodbye,
    Hello,
    Message,
    Section,
    encode,
)
from tocsin.core.messages import decode as decode_message
from tocsin.core.origin import Origin
from tocsin.core.repair import DEGRADED_AFTER, Repair
from tocsin.core.sections import Sections

__all__ = ["Replica"]

#: A node that hears nobody within this time is alone, and ready. Seconds.
_ALONE_AFTER: Final = 3.0
#: Joining ends after this in any case, in seconds.
_JOIN_AT_MOST: Final = 10.0
_HELLO_EVERY: Final = 0.2
#: For so many announces after a new life was heard, the end of the old one is announced too.
_OLD_LIFE_TOLD: Final = 3


class Replica:
    """One node's part in the replication. Every method returns effects, to be done in order, at once."""

    def __init__(
        self,
        me: str,
        *,
        now: float,
        wall_ms: int,
        names: Iterable[str] = (),
        seen: Iterable[str] = (),
        stored_incarnation: int = 0,
        stored_last: int = 0,
        retain: float = 300.0,
        max_events: int = 100_000,
        down_after: float = 5.0,
        alone: bool = False,
        section: Callable[[str], tuple[str, list[Resource]]] = lambda origin: ("", []),
        wall: Callable[[float], str] = lambda now: "",
    ) -> None:
        """``alone``: there are no rails. ``section(origin)`` is the board's stamp and section of an origin."""
        self.me = me
        self._retain, self._max_events = retain, max_events
        self._started, self._wall_ms = now, wall_ms
        self._stored = (stored_incarnation, stored_last)
        self._alone = alone
        self.liveness = Liveness(me, names, seen=seen, down_after=down_after)
        self.origins: dict[str, Origin] = {}
        self.own = Life(me, 0, 0)
        self.counters: Counter[str] = Counter()
        self.ready = self.opened = self.clashed = False
        self.previous = ""
        self.measures: dict[str, float] = {}
        self._repair = Repair(me, wall_ms * 1000)
        self._sections = Sections(self._repair, section)
        self._staged: list[Arrival | Loss] = []
        self._told_of_me = self._stored
        self._announced_at: dict[str, float] = {}
        self._next_announce = self._next_hello = self._next_prune = now
        self._own_name_heard = 0
        self._out: list[Effect] = []
        self._handlers: Final[dict[type[Message], Callable[..., None]]] = {
            Events: self._on_events,
            Announce: self._on_announce,
            Hello: self._on_hello,
            Goodbye: self._on_goodbye,
            Ask: self._on_ask,
            Fill: self._on_fill,
            AskSection: self._on_ask_section,
            Section: self._on_section,
        }

    # -- what comes in ---------------------------------------------------------------

    def receive(self, sender: str, payload: bytes, now: float) -> list[Effect]:
        """A message of another node; ``sender`` is the name that the rail vouches for."""
        self._out = []
        try:
            message = decode_message(payload)
            handler = self._handlers.get(type(message))
            if sender == self.me:
                self._on_own_name()
            elif handler is not None:
                handler(sender, message, now)
        except CodecError:
            self.counters["messages_refused"] += 1
        return self._out

    def local(self, arrivals: list[Arrival], now: float) -> list[Effect]:
        """Events of this node have been published: push them on every rail, in as few messages as may be."""
        self._out = []
        for arrival in arrivals:
            seq = self.own.known + 1
            self.own.add(seq, arrival, now)
            self.own.accepted = seq
            if arrival.event.kind == "node":
                self._judge(arrival.event, now)
        if not self._alone:
            self._push(arrivals, now)
        return self._out

    def tick(self, now: float) -> list[Effect]:
        """Time has passed; call it about every 50 ms."""
        self._out = []
        if not self.incarnation:
            self._listen(now)
        elif not self.ready:
            self._join(now)
        if self.clashed:
            return self._out
        for origin in list(self.origins.values()):
            if origin.name != self.me or not self.ready:
                self._tend(origin, now)
        if self.incarnation:
            self._announce_if_due(now)
        if self.opened:
            for draft in self.liveness.tick(now, self.period):
                self._out.append(Publish(draft))
        if now >= self._next_prune:
            self._prune(now)
        return self._out

    def open(self, now: float) -> list[Effect]:
        """This node's first dump is on its board: its section may be asked for, and silence counts."""
        self._out = []
        self.opened = True
        self.liveness.start(now)
        self._next_announce = now
        self._announce_if_due(now)
        return self._out

    def goodbye(self) -> list[Effect]:
        """A clean stop."""
        if not self.incarnation or self.clashed:
            return []
        return [Send(encode(Goodbye, self.me, self.incarnation, self.own.known))]

    # -- what is known ---------------------------------------------------------------

    @property
    def incarnation(self) -> int:
        """This life's incarnation; 0 while listening."""
        return self.own.incarnation

    @property
    def period(self) -> float:
        """Seconds between two announces: one, and more in clusters of more than 100 nodes."""
        return max(1.0, (len(self._announced_at) + 1) / 100)

    def degraded(self) -> tuple[str, ...]:
        """Origins whose events are incomplete here for more than three seconds."""
        return tuple(sorted(name for name, origin in self.origins.items() if origin.degraded))

    def names(self) -> list[str]:
        """All other nodes that have ever been seen."""
        return sorted(name for name, member in self.liveness.members.items() if member.seen)

    # -- starting --------------------------------------------------------------------

    def _on_own_name(self) -> None:
        # One message may be left over from this node's former life; a second one comes from a living twin.
        self._own_name_heard += 1
        if self._own_name_heard >= 2 and not self.incarnation and not self.clashed:
            self.clashed = True
            self._out.append(Clash(self.me))

    def _listen(self, now: float) -> None:
        if self.clashed:
            return
        if not self._alone and now >= self._next_hello:
            self._next_hello = now + _HELLO_EVERY
            self._out.append(Send(encode(Hello, self.me)))
        if self._alone or now >= self._started + self.period:
            self._begin(now)

    def _begin(self, now: float) -> None:
        wall_ms = self._wall_ms + round((now - self._started) * 1000)
        incarnation, last = max(self._told_of_me, self._stored)
        if incarnation:
            self.previous = sequence_of(incarnation, last)
        self.own = Life(self.me, min(max(incarnation + 1, wall_ms), MAX_INCARNATION), 0)
        if self.me in self.origins:
            for life in self.origins[self.me].lives.values():
                life.closed = True
        self._out.append(Begin(self.incarnation, self.previous))
        self._next_announce = now
        if self._alone:
            self._become_ready(now)

    def _join(self, now: float) -> None:
        living = self.liveness.living(now, self.period)
        waited = now - self._started
        if living and waited < _JOIN_AT_MOST:
            if any(not self._joined(self.origins[name]) for name in self.origins):
                return
            if any(name not in self._announced_at for name in living):
                return
        elif not living and waited < _ALONE_AFTER:
            return
        self._become_ready(now)

    def _joined(self, origin: Origin) -> bool:
        """Whether all that can be had of an origin is here."""
        if origin.fresh:
            return not origin.holders and not self._sections.wanted(origin.name)
        return not origin.life.missing and not self._sections.wanted(origin.name)

    def _become_ready(self, now: float) -> None:
        """Numbers history: by age over all origins, by sequence within each."""
        self._close_own_past(now)
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
                self._enter(item, now, past=True)
        self.ready = True
        for name in self.liveness.learn(self._sections.members):
            self._out.append(NodeState(name))
        self._out.append(NodeState(self.me))
        self._out.append(Ready())

    def _close_own_past(self, now: float) -> None:
        """This life's events come next: what is not here of the former lives is missed for good."""
        past = self.origins.get(self.me)
        if past is not None and not past.fresh:
            while past.life.missing or past.next_life():
                if past.life.missing:
                    self._give_up(past, past.life, now)
                else:
                    past.move_on(now)
                for arrival in past.life.ready():
                    self._hand_on(arrival, now)
        elif self._told_of_me[0]:
            self._out.append(Base(self.me, sequence_of(*self._told_of_me)))

    # -- messages ----------------------------------------------------------------------

    def _on_events(self, sender: str, message: Events, now: float) -> None:
        if sender != message.origin:
            raise CodecError("events of another origin than the sender")
        self.liveness.heard(sender, message.incarnation, now)
        origin, life = self._life(message.origin, message.incarnation, now)
        if life is None:
            self._late(message, now)
            return
        for seq, (age, body) in enumerate(message.events, start=message.first):
            if life.has(seq):
                self.counters["events_duplicate"] += 1
            else:
                self._take(life, seq, age, body, now)
        self._advance(origin, now)

    def _take(self, life: Life, seq: int, age: int, body: bytes, now: float) -> None:
        if not life.plausible(seq):
            self.counters["events_quarantined"] += 1
            return
        event = decode(body)
        if event.origin != life.origin or event.sequence != life.sequence(seq):
            raise CodecError("an event with another identity than its message says")
        life.add(seq, Arrival(event, now - max(age, 0) / 1e6), now)

    def _late(self, message: Events, now: float) -> None:
        for _, body in message.events:
            self.counters["events_late"] += 1
            self._out.append(Late(decode(body)))

    def _on_announce(self, sender: str, message: Announce, now: float) -> None:
        if sender != message.name:
            raise CodecError("an announce for another node than the sender")
        self.liveness.heard(sender, message.incarnation, now)
        self._announced_at[sender] = now
        if message.measures:
            self._out.append(Measured(sender, message.measures))
        origin, life = self._life(sender, message.incarnation, now)
        if life is not None and life.plausible(max(message.last, 1)):
            life.learn(message.last, now)
            if origin.fresh and message.joined:
                base = life.sequence(message.first - 1) if message.first > 1 else message.previous
                self._meet(origin, life, message.first - 1, base, now)
            self._advance(origin, now)
        for entry in message.others:
            self._on_entry(sender, entry, now)

    def _on_entry(self, sender: str, entry: Entry, now: float) -> None:
        """What ``sender`` holds of an origin that it does not hear (or of a life just ended)."""
        if entry.origin == self.me:
            more = (entry.incarnation, entry.last) > self._told_of_me
            self._told_of_me = max(self._told_of_me, (entry.incarnation, entry.last))
            if self.ready or entry.incarnation >= (self.incarnation or MAX_INCARNATION):
                if self.ready and more and entry.incarnation < self.incarnation:
                    # Too late to be numbered before this life; a reader who lacks it must be told.
                    self._out.append(Base(self.me, sequence_of(entry.incarnation, entry.last)))
                return
        origin, life = self._life(entry.origin, entry.incarnation, now)
        if life is None:
            return
        origin.holders[sender] = entry.incarnation
        life.learn(entry.last, now)
        if origin.fresh:
            self._meet(origin, life, entry.first - 1, life.sequence(entry.first - 1), now)
        elif life.accepted > entry.last and not self.liveness.hears(entry.origin, now, self.period):
            self._answer_entry(sender, life, now)
        self._advance(origin, now)

    def _answer_entry(self, sender: str, life: Life, now: float) -> None:
        """The announcer knows less of it than this node: say so, to it alone."""
        entry = Entry(life.origin, life.incarnation, life.first_held, life.accepted)
        self._out.append(Send(self._announce(now, [entry]), sender))

    def _on_hello(self, sender: str, message: Hello, now: float) -> None:
        if self.incarnation and not self.clashed:
            others = self._others(now) + self._entries_of(message.name)
            self._out.append(Send(self._announce(now, others), sender))

    def _on_goodbye(self, sender: str, message: Goodbye, now: float) -> None:
        if sender != message.name:
            raise CodecError("a goodbye for another node than the sender")
        self.liveness.goodbye(sender, message.incarnation)
        origin, life = self._life(sender, message.incarnation, now)
        if life is not None:
            life.learn(message.last, now)
            life.closed = True
            self._advance(origin, now)

    def _on_ask(self, sender: str, message: Ask, now: float) -> None:
        if not self._repair.first_time(sender, message.number):
            return
        life: Life | None = self.own
        if message.origin != self.me or message.incarnation != self.incarnation:
            known = self.origins.get(message.origin)
            life = known.get(message.incarnation) if known else None
        for part in self._repair.answer(message, life, now):
            self._out.append(Send(part, sender))

    def _on_fill(self, sender: str, message: Fill, now: float) -> None:
        origin = self.origins.get(message.origin)
        life = origin.get(message.incarnation) if origin else None
        if origin is None or life is None:
            return
        before = life.accepted
        for seq, age, body in message.events:
            if not life.has(seq):
                self._take(life, seq, age, body, now)
                self.counters["events_filled"] += 1
        if self._repair.denial(message, life):
            life.denied.add(sender)
        self._advance(origin, now)
        if life.accepted > before:
            life.asked_at = float("-inf")  # it goes on: ask for the next range at once

    def _on_ask_section(self, sender: str, message: AskSection, now: float) -> None:
        if message.origin == self.me and not self.opened:
            return
        own = (self.incarnation, self.own.known) if message.origin == self.me else None
        told = self.liveness.told()
        for part in self._sections.answer(sender, message, own, told):
            self._out.append(Send(part, sender))

    def _on_section(self, sender: str, message: Section, now: float) -> None:
        origin = self.origins.get(message.origin)
        section = self._sections.assemble(sender, message)
        if origin is None or section is None or origin.fresh:
            return
        self._out.extend(self._sections.use(origin, section, joining=not self.ready, me=self.me))
        self._advance(origin, now)

    # -- lives ---------------------------------------------------------------------------

    def _life(self, name: str, incarnation: int, now: float) -> tuple[Origin, Life | None]:
        """A life of an origin, begun if it is new; None if it is over and gone."""
        if not 0 < incarnation <= MAX_INCARNATION:
            raise CodecError(f"incarnation {incarnation}")
        origin = self.origins.get(name)
        if origin is None:
            origin = self.origins[name] = Origin(name)
        life = origin.get(incarnation)
        if life is None and incarnation > origin.current:
            life = origin.begin(incarnation, now)
        if life is not None and incarnation < origin.current:
            return origin, None  # left behind: what comes of it now is late
        return origin, life

    def _meet(self, origin: Origin, life: Life, base: int, sequence: str, now: float) -> None:
        """First contact: from here on everything of this origin is handed on."""
        origin.fresh = False
        if life.incarnation != origin.current:
            life = origin.life  # known from somebody else already: begin there
        life.accepted = max(life.accepted, base)
        life.first_held = life.accepted + 1
        life.settle_hole(now)
        if sequence:
            self._out.append(Base(origin.name, sequence))
        self._sections.want(origin, None, now, joining=not self.ready)

    def _advance(self, origin: Origin, now: float) -> None:
        """Hands on all that is next in order, and moves on to the next life where one is over."""
        if self.ready and origin.name == self.me:
            return  # a former life of this node: kept for repair only
        while not origin.fresh and origin.gate is None:
            life = origin.life
            before = life.accepted
            for arrival in life.ready():
                self._hand_on(arrival, now)
            if life.accepted != before:
                life.settle_hole(now)
            if not origin.over(now, self._all_announced_since):
                return
            if life.missing:
                self._give_up(origin, life, now)
            else:
                origin.move_on(now)
                self._sections.want(origin, None, now, joining=not self.ready)

    def _all_announced_since(self, then: float) -> bool:
        living = self.liveness.living(then, self.period)
        return all(self._announced_at.get(name, then) > then for name in living)

    def _hand_on(self, arrival: Arrival, now: float) -> None:
        if not self.ready:
            self._staged.append(arrival)
        else:
            self._enter(arrival, now)

    def _enter(self, arrival: Arrival, now: float, *, past: bool = False) -> None:
        event = arrival.event
        if self._judge(event, now, past=past):
            self._out.append(Deliver(arrival))
        else:
            self._out.append(Skip(event.origin, event.sequence))

    def _judge(self, event: Event, now: float, *, past: bool = False) -> bool:
        """Whether an event enters this buffer: all do, but reports about nodes must be news."""
        if event.kind != "node":
            return True
        if not self.liveness.accept(event, now, self.period, past=past):
            self.counters["reports_suppressed"] += 1
            return False
        if event.type == "node.forgotten":
            self.origins.pop(event.node, None)
            self._announced_at.pop(event.node, None)
        return True

    def _give_up(self, origin: Origin, life: Life, now: float) -> None:
        first, last = life.give_up(now)
        self.counters["events_lost"] += last - first + 1
        loss = Loss(origin.name, life.sequence(first), life.sequence(last))
        if self.ready:
            self._sections.want(origin, loss, now, joining=False)
        else:
            self._staged.append(loss)

    # -- as time passes ------------------------------------------------------------------

    def _tend(self, origin: Origin, now: float) -> None:
        living = self.liveness.living(now, self.period)
        self._out.extend(self._sections.tend(origin, living, now))
        if origin.fresh:
            return
        self._advance(origin, now)
        life = origin.life
        for target, ask in self._repair.asks(origin, life, living, now, at_once=not self.ready):
            self._out.append(Send(ask, target))
        if self._repair.hopeless(life, living, now, self._retain):
            self._give_up(origin, life, now)
            self._advance(origin, now)
        self._note_degraded(origin, now)

    def _note_degraded(self, origin: Origin, now: float) -> None:
        since = origin.life.hole_since
        degraded = since is not None and now - since > DEGRADED_AFTER
        if degraded == origin.degraded or not self.ready:
            return
        origin.degraded = degraded
        type_, status, words = (
            ("agent.degraded", "warning", "events of {0} are incomplete here and are being asked for")
            if degraded
            else ("agent.recovered", "gone", "events of {0} are complete again, or their loss has been told")
        )
        draft = report(type_, f"events of {origin.name}", status, words.format(origin.name))
        self._out.append(Publish(draft))

    def _prune(self, now: float) -> None:
        self._next_prune = now + 1.0
        before = now - self._retain
        for origin in self.origins.values():
            origin.prune(before)
            if self.liveness.hears(origin.name, now, self.period):
                origin.holders.clear()
        self.own.prune(before)
        self._cap()

    def _cap(self) -> None:
        """Bounds memory: the origin that holds most gives first, so one node's flood costs only that node."""
        lives = [self.own, *(life for o in self.origins.values() for life in o.lives.values())]
        over = sum(len(life.events) for life in lives) - self._max_events
        while over > 0:
            biggest = max(lives, key=lambda life: len(life.events))
            over -= biggest.shed(max(1, min(over, len(biggest.events) // 8)))

    # -- what goes out -------------------------------------------------------------------

    def _push(self, arrivals: list[Arrival], now: float) -> None:
        seq = self.own.known - len(arrivals) + 1
        burst: list[tuple[int, bytes]] = []
        size = 0
        for arrival in arrivals:
            body = arrival.event.body
            if burst and size + len(body) > MAX_MESSAGE_BYTES:
                self._out.append(Send(encode(Events, self.me, self.incarnation, seq, burst)))
                seq, burst, size = seq + len(burst), [], 0
            burst.append((max(0, round((now - arrival.born) * 1e6)), body))
            size += len(body) + 8
        if burst:
            self._out.append(Send(encode(Events, self.me, self.incarnation, seq, burst)))

    def _announce_if_due(self, now: float) -> None:
        if self._alone or now < self._next_announce:
            return
        self._next_announce = max(self._next_announce + self.period, now)
        self._out.append(Send(self._announce(now, self._others(now))))

    def _announce(self, now: float, others: list[Entry]) -> bytes:
        own = self.own
        return encode(
            Announce, self.me, own.incarnation, own.first_held, own.known, self.period,
            self.opened, self.previous, others, self.measures,
        )  # fmt: skip

    def _others(self, now: float) -> list[Entry]:
        """Of origins that this node does not hear, and of lives that have just ended, what it holds."""
        told = []
        for origin in self.origins.values():
            ended = origin.superseded_at
            just_ended = ended is not None and now - ended < _OLD_LIFE_TOLD * self.period
            if just_ended or not self.liveness.hears(origin.name, now, self.period):
                told += self._entries_of(origin.name)
        return told

    def _entries_of(self, name: str) -> list[Entry]:
        origin = self.origins.get(name)
        if origin is None or origin.fresh:
            return []
        return [
            Entry(name, life.incarnation, life.first_held, life.accepted)
            for life in origin.lives.values()
            if life.incarnation <= origin.current
        ]
