"""The replica: what makes every event of every node reach every node, once, in order. No I/O.

``receive(sender, payload, now) -> effects``, ``local(arrival, now) -> effects``, ``tick(now) -> effects``.
Rails may lose, repeat, delay and reorder what is sent; the guarantee is made here (DESIGN.md section 5):
push on every rail, order per origin with hold-back, announces, fill of holes, markers for what nobody
holds, board sections, joining, liveness. :mod:`~tocsin.core.repair`, :mod:`~tocsin.core.sections` and
:mod:`~tocsin.core.liveness` hold the rules of their part; this file is where messages and time come in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tocsin.core.bus import Arrival
from tocsin.core.effects import Effect, Late, Measured, Publish, Send
from tocsin.core.errors import CodecError
from tocsin.core.event import decode
from tocsin.core.joining import Joining
from tocsin.core.lives import Life
from tocsin.core.messages import (
    Announce,
    Ask,
    AskSection,
    Entry,
    Events,
    Fill,
    Goodbye,
    Heard,
    Hello,
    Message,
    Probe,
    Section,
    encode,
)
from tocsin.core.messages import decode as decode_message
from tocsin.core.origin import Origin
from tocsin.core.sequence import incarnation_of, seq_of
from tocsin.core.telling import better, bursts, entries, later, measured, newest_entry

__all__ = ["Replica"]


class Replica(Joining):
    """One node's part in the replication. Every method returns effects, to be done in order, at once."""

    # -- what comes in ---------------------------------------------------------------

    def receive(self, sender: str, payload: bytes, now: float) -> list[Effect]:
        """A message of another node; ``sender`` is the name that the rail vouches for."""
        try:
            message = decode_message(payload)
        except CodecError:
            message = None
        return self.handle(sender, message, now)

    def handle(self, sender: str, message: Message | None, now: float) -> list[Effect]:
        """The same for who has read the message already, perhaps for many; None: it could not be read."""
        self._out = []
        self._wake(now)
        if self.clashed:
            return self._out
        try:
            if message is None:
                self.counters["messages_refused"] += 1
            elif sender == self.me:
                self._on_own_name(message, now)
            else:
                self._handlers[type(message)](self, sender, message, now)
        except CodecError:
            self.counters["messages_refused"] += 1
        return self._out

    def local(self, arrivals: list[Arrival], now: float) -> list[Effect]:
        """Events of this node have been published: push them on every rail, in as few messages as may be."""
        self._out = []
        first = self.own.publish(arrivals)
        self.own.prune_in_passing(now - self._retain)
        for event in [arrival.event for arrival in arrivals if not arrival.event.plain]:
            self._judge(event, now)
        if not self._alone and not self.clashed:
            for burst in bursts(self.me, self.incarnation, first, arrivals, now):
                self._out.append(Send(burst))
        return self._out

    def tick(self, now: float) -> list[Effect]:
        """Time has passed; call it about every 50 ms."""
        self._out = []
        self._wake(now)
        if self.clashed:
            return self._out
        if not self.incarnation:
            self._listen(now)
        elif not self.ready:
            self._join(now)
        if now >= self._next_announce and self.incarnation:
            self._announce_if_due(now)
        if now >= self._next_look:
            # In large clusters, where announces are rarer, there is less haste to look at everybody.
            self._next_look = now + (self.period - 1.0) / 20
            self._look(now)
        if now >= self._next_prune:
            self._prune(now)
            self._relaying.keep(self._announced_at)
        return self._out

    def _look(self, now: float) -> None:
        self._renew_if_outlived(now)  # first: whatever is published from here on is of the life above
        self._tend_all(now)
        if self.opened:
            period = self.period
            for target, question in self._probing.tick(now, period):
                self._out.append(Send(question, target))
            for draft in self.liveness.tick(now, period):
                self._out.append(Publish(draft))

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

    # -- messages ----------------------------------------------------------------------

    def _on_events(self, sender: str, message: Events, now: float) -> None:
        if sender != message.origin:
            raise CodecError("events of another origin than the sender")
        known = self.origins.get(sender)
        life = known.get(message.incarnation) if known is not None else None
        copied = life is not None and message.last <= life.accepted
        # What cannot be read is refused before it changes anything. Of a copy nothing is read.
        events = [] if copied else message.events
        self.liveness.heard(sender, message.incarnation, now)
        origin, life = self._life(sender, message.incarnation, now)
        if life is None:
            self._late(message)
            return
        if copied:
            self.counters["events_duplicate"] += message.last + 1 - message.first
        else:
            self._take_burst(life, message.first, events, now)
        before = life.accepted
        self._advance(origin, now)
        self._pass_on(sender, life, before, now)

    def _pass_on(self, sender: str, life: Life, before: int, now: float) -> None:
        """Sends what has been accepted of a life on to those who do not hear its origin."""
        if life.accepted == before:
            return
        for target in self._relaying.targets(life.origin, len(self._announced_at)):
            if target != sender:
                for part in self._repair.fills(life, before + 1, life.accepted, now):
                    self._out.append(Send(part, target))

    def _late(self, message: Events) -> None:
        for _, body in message.events:
            self.counters["events_late"] += 1
            self._out.append(Late(decode(body)))
        self._tell_late(message.origin, message.incarnation, message.last)

    def _tell_late(self, name: str, incarnation: int, last: int) -> None:
        """A life that was left here went on up to ``last``: too late to be numbered, but readers are told."""
        origin = self.origins.get(name)
        if origin is None or not self.ready or (left := origin.left_at(incarnation)) is None:
            return
        if last > left and self._credible(Life(name, incarnation, left), last):
            origin.leave(incarnation, last)
            self.counters["events_lost"] += last - left
            self._lose_late(name, incarnation, left, last)

    def _credible(self, life: Life, last: int, base: int = 0) -> bool:
        """Whether a life can have come so far as somebody says; else that is counted and passed over."""
        credible = life.plausible(max(last, 1), base)
        self.counters["numbers_quarantined"] += not credible
        return credible

    def _on_announce(self, sender: str, message: Announce, now: float) -> None:
        if sender != message.name:
            raise CodecError("an announce for another node than the sender")
        if message.first > message.last + 1:
            raise CodecError("an announce of less than nothing")
        self.liveness.heard(sender, message.incarnation, now, message.period)
        self._announced_at[sender] = now
        (self._settled.add if message.joined else self._settled.discard)(sender)
        if message.measures and (measures := measured(message.measures)):
            self._out.append(Measured(sender, measures))
        origin, life = self._life(sender, message.incarnation, now)
        self._on_life(origin, message, now)
        if life is not None and self._credible(life, message.last, message.first - 1):
            # Nothing follows from a number that goes back, whatever it is; that there is one is to be seen.
            self.counters["numbers_quarantined"] += life.goes_back(message.last, now)
            life.learn(message.last, now)
            life.previous = message.previous
            if origin.fresh and message.joined:
                self._first_contact(origin, life, message, now)
            elif not origin.fresh and message.previous:
                self._learn_end(origin, message.previous, now)
            self._advance(origin, now)
        for entry in message.others:
            self._on_entry(sender, entry, now)
        if not message.answer:
            self._help(sender, message, now)

    def _on_life(self, origin: Origin, message: Announce, now: float) -> None:
        """Who lives below a life that is known of is told so; but not of a twin's, while that is heard."""
        origin.announced(message.incarnation, now)
        silent = not self.liveness.hears(origin.name, now, self.period)
        known = message.incarnation, message.last
        if message.incarnation < origin.current:
            self._tell_of_later(origin.name, known, later(origin), now)
        elif silent and message.incarnation == origin.current and origin.contested:
            self._tell_of_later(origin.name, known, [newest_entry(origin)], now)

    def _first_contact(self, origin: Origin, life: Life, message: Announce, now: float) -> None:
        base = life.before(message.first)
        if origin.recalled or (not self.ready and message.first == 1 and self._recall(origin, base, now)):
            return
        self._meet(origin, life, message.first - 1, base, now)

    def _tell_of_later(self, name: str, lives: tuple[int, int], later: list[Entry], now: float) -> None:
        """A node lives in a life below one that is known of, and heard nobody say so when it listened."""
        others, turn = len(self._announced_at), int(now / self.period)
        if self.incarnation and self._relaying.answers(name, name, lives, others, turn):
            self._out.append(Send(self._announce(later, answer=True), name))

    def _learn_end(self, origin: Origin, previous: str, now: float) -> None:
        """A node says what the last event of its former life was: perhaps nobody else ever had it."""
        if incarnation_of(previous) >= origin.current and seq_of(previous):
            _, life = self._life(origin.name, incarnation_of(previous), now)
            if life is not None and self._credible(life, seq_of(previous)):
                life.learn(seq_of(previous), now)
        elif incarnation_of(previous) < origin.current:
            self._tell_late(origin.name, incarnation_of(previous), seq_of(previous))
            self._warn(origin)

    def _help(self, sender: str, message: Announce | Hello, now: float) -> None:
        """Tells a node, it alone, what is known here of origins that it does not hear."""
        if not message.unknown and not message.others:
            self._relaying.told(sender, ())
            return
        known: dict[str, dict[int, int]] = {}
        for entry in message.others:
            known.setdefault(entry.origin, {})[entry.incarnation] = entry.last
        names = dict.fromkeys((*message.unknown, *known))
        names.pop(self.me, None)
        heard = message.ended if isinstance(message, Announce) else ()
        self._relaying.told(sender, names.keys() - {sender, *heard})
        told = []
        for name in names:
            origin, lives = self.origins.get(name), known.get(name, {})
            if origin is None or origin.fresh or not (more := better(origin, lives)):
                continue  # where many start at once, nobody knows anything of most of them
            newest = max(lives.items(), default=(0, 0))
            turn, others = int(now / self.period), len(self._announced_at)
            if name == sender:  # of its former lives it may know less than is held here
                more = [e for e in more if e.incarnation in lives and self._relaying.heeded(sender, name)]
            if more and self._relaying.answers(sender, name, newest, others, turn):
                told += more
        if told and self.incarnation:
            self._out.append(Send(self._announce(told, answer=True), sender))

    def _on_entry(self, sender: str, entry: Entry, now: float) -> None:
        """What ``sender`` holds of an origin that it does not hear (or of a life just ended)."""
        if entry.origin == self.me and self._on_entry_of_mine(entry):
            return
        if self.liveness.hears(entry.origin, now, self.period, entry.incarnation):
            # It tells itself what there is, and is believed before anybody else.
            heard = self.liveness.age(entry.origin, now)[0]
            if entry.incarnation > heard:  # the sender knows of more, and may have no path to it
                self._tell_of_later(entry.origin, (heard, 0), [entry], now)
            self._tell_late(entry.origin, entry.incarnation, entry.last)
            return
        if entry.first > entry.last + 1 or self.liveness.buried(entry.origin, entry.incarnation):
            return
        origin, life = self._life(entry.origin, entry.incarnation, now)
        if life is None:
            self._tell_late(entry.origin, entry.incarnation, entry.last)
        if life is None or not self._credible(life, entry.last, entry.first - 1):
            return
        origin.holders[sender] = entry.incarnation
        life.learn(entry.last, now)
        if life.previous is None:
            life.previous = entry.previous
        if origin.fresh and not origin.recalled:
            self._meet(origin, life, entry.first - 1, life.before(entry.first), now)
        elif not origin.fresh and life.previous:
            self._learn_end(origin, life.previous, now)
        self._advance(origin, now)

    def _on_hello(self, sender: str, message: Hello, now: float) -> None:
        self._settled.discard(sender)
        if self.incarnation:
            others = self._others(now)[0] + entries(self.origins.get(message.name))
            self._out.append(Send(self._announce(others, answer=True), sender))
        self._help(sender, message, now)

    def _on_goodbye(self, sender: str, message: Goodbye, now: float) -> None:
        if sender != message.name:
            raise CodecError("a goodbye for another node than the sender")
        self.liveness.goodbye(sender, message.incarnation)
        origin, life = self._life(sender, message.incarnation, now)
        if life is not None:
            if self._credible(life, message.last):
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
            if life is None and message.origin == self.me and self._twin.near(now, self.period):
                return  # it is the twin's to say: what is not here is not lost
        waiting = (life is None or life.accepted < message.last) and self._waits(sender, message, life, now)
        for part in self._repair.answer(message, life, now, waiting=waiting):
            self._out.append(Send(part, sender))

    def _waits(self, sender: str, ask: Ask, life: Life | None, now: float) -> bool:
        """Whether this node may have soon what it lacks of what is asked for."""
        origin = self.origins.get(ask.origin)
        hears = self.liveness.hears(ask.origin, now, self.period, ask.incarnation)
        if life is None or origin is None or origin.fresh or life.known < ask.last:
            return hears
        others, limit = self.liveness.not_down(now, self.period), self.liveness.limit(self.period)
        return self._repair.waits(life, ask.last, others - {sender}, now, limit, hears=hears)

    def _on_fill(self, sender: str, message: Fill, now: float) -> None:
        origin = self.origins.get(message.origin)
        life = origin.get(message.incarnation) if origin else None
        if origin is None or life is None:
            return
        self._stirred.add(origin.name)
        before = life.accepted
        for seq, age, body in message.events:
            if not life.has(seq):
                self._take(life, seq, age, body, now)
                self.counters["events_filled"] += 1
                life.filled_at = now
        life.deny(sender, message.first, message.last, now, waiting=message.waiting)
        self._advance(origin, now)
        if life.accepted > before:
            life.asked_at = float("-inf")  # it goes on: ask for the next range at once
        if not self.liveness.hears(origin.name, now, self.period):
            self._pass_on(sender, life, before, now)

    def _on_ask_section(self, sender: str, message: AskSection, now: float) -> None:
        origin = self.origins.get(message.origin)
        true_at = origin.true_at if origin and self.ready else None
        if message.origin == self.me:
            true_at = (self.incarnation, self.own.known) if self.opened else None
        elif origin is not None and origin.doubtful:
            return  # events are missing in it, though its stamp has moved on
        # Only newcomers need the members; in a large cluster these are most of the answer.
        told = {} if sender in self._settled else self.liveness.told()
        for part in self._sections.answer(sender, message, true_at, told):
            self._out.append(Send(part, sender))

    def _on_probe(self, sender: str, message: Probe, now: float) -> None:
        if self._repair.first_time(sender, message.number):
            self._out.append(Send(self._probing.answer(message, now), sender))

    def _on_heard(self, sender: str, message: Heard, now: float) -> None:
        self._probing.heard(message, now)

    def _on_section(self, sender: str, message: Section, now: float) -> None:
        origin = self.origins.get(message.origin)
        if origin is None or origin.fresh:
            return
        if sender != origin.name and self.liveness.hears(origin.name, now, self.period):
            return  # it can be asked itself
        section = self._sections.assemble(sender, message, origin, joining=not self.ready)
        if section is None:
            return
        self._out.extend(self._sections.use(origin, section, joining=not self.ready))
        self._advance(origin, now)

    _handlers: ClassVar[dict[type[Message], Callable[..., None]]] = {
        Events: _on_events,
        Announce: _on_announce,
        Hello: _on_hello,
        Goodbye: _on_goodbye,
        Ask: _on_ask,
        Fill: _on_fill,
        AskSection: _on_ask_section,
        Section: _on_section,
        Probe: _on_probe,
        Heard: _on_heard,
    }
