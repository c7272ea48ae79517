"""A cluster of real replicas and boards in one process, under one seed; network, time, faults are simulated.

One seed is one schedule. Nothing here sleeps or opens a socket: ``world.run(seconds)`` moves virtual time.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tocsin.core import effects as fx
from tocsin.core.board import Board
from tocsin.core.buffer import Buffer, Gap, Page
from tocsin.core.bus import Arrival, Burst, Loss
from tocsin.core.cursor import Cursor, buffer_id
from tocsin.core.errors import CodecError
from tocsin.core.event import Draft, Event, report, seal_all
from tocsin.core.interest import EVERYTHING, Interests
from tocsin.core.joining import JOIN_AT_MOST
from tocsin.core.lasting import LastingBuffer
from tocsin.core.lives import MAX_SEQ, Life
from tocsin.core.messages import Fill, Message, decode
from tocsin.core.origin import CLOSE_AFTER, Origin
from tocsin.core.page import Entry
from tocsin.core.replica import Replica

TICK = 0.05
#: Messages that wait for a node that stands still; what comes then is lost.
INBOX = 200
START = 1_000_000.0
#: An answer is no older than the answerer's next news of what it was asked for, in seconds.
RECENT = 2.1
EPOCH_MS = 1_700_000_000_000


@dataclass
class Network:
    """What lies between the nodes: per rail and direction cut or not; loss, delay, duplication for all."""

    rails: int = 2
    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.001
    jitter: float = 0.002
    cuts: set[tuple[int, str, str]] = field(default_factory=set)
    #: Further loss and delay of single rails: they need not be alike.
    rail_loss: dict[int, float] = field(default_factory=dict)
    rail_delay: dict[int, float] = field(default_factory=dict)

    def cut(self, name: str, rails: tuple[int, ...], others: list[str]) -> None:
        """Cuts ``name`` off on some rails, both directions."""
        for rail in rails:
            for other in others:
                self.cuts |= {(rail, name, other), (rail, other, name)}

    def part(self, *pairs: tuple[str, str]) -> None:
        """Cuts the path between the two of each pair, on all rails, both directions."""
        for one, other in pairs:
            self.cut(one, tuple(range(self.rails)), [other])

    def heal(self) -> None:
        """All cuts end."""
        self.cuts.clear()


class Watched(Replica):
    """A replica of which each hole that it gives up is looked at from above."""

    node: Node

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        #: Who answered what of late: when, and to the ask of which numbers.
        self.answers: list[tuple[float, str, Fill]] = []

    def handle(self, sender: str, message: Message | None, now: float) -> list[fx.Effect]:
        """As ever."""
        if isinstance(message, Fill):
            self.answers = [answer for answer in self.answers if now - answer[0] < RECENT]
            self.answers.append((now, sender, message))
        return super().handle(sender, message, now)

    def answered(self, name: str, life: Life, number: int, now: float) -> bool:
        """Whether a node has said a moment ago what it holds of a number: it may have got it since."""
        return any(
            sender == name
            and now - at < RECENT
            and (fill.origin, fill.incarnation) == (life.origin, life.incarnation)
            and fill.first <= number <= fill.last
            for at, sender, fill in self.answers
        )

    def _give_up(self, origin: Origin, life: Life, now: float, up_to: int = MAX_SEQ) -> None:
        check_given_up(self.node, origin, life, now, up_to)
        super()._give_up(origin, life, now, up_to)


class Node:
    """One life of an agent: replica, board, and the log of all that entered its buffer."""

    def __init__(self, world: World, name: str, *, disk: dict[str, Any]) -> None:
        self.world, self.name, self.disk = world, name, disk
        self.board = Board()
        life = EPOCH_MS + round((world.now - START) * 1000)
        self.buffer = Buffer(buffer_id("sim", name, life), retain=world.retain, max_events=world.max_events)
        #: When each number was given to an event.
        self.numbered: dict[int, float] = {}
        self.entries: list[Arrival | Loss] = []
        self.bases: dict[str, str] = {}
        self.drafts: list[Draft] = []
        self.errors: list[fx.Effect] = []
        self.paused = False
        self.inbox: list[tuple[str, Message | None]] = []
        self.replica = Watched(
            name,
            now=world.now,
            wall_ms=life + world.clock.get(name, 0),
            names=world.names,
            seen=disk.get("seen", ()),
            stored_incarnation=disk.get("incarnation", 0),
            stored_last=disk.get("last", 0),
            retain=world.retain,
            max_events=world.max_events,
            down_after=world.down_after,
            section=lambda origin: (self.board.stamp(origin), self.board.section(origin)),
            alone=world.network.rails == 0,
        )
        self.replica.node = self
        for other in world.names:
            self.board.set_node(self.replica.liveness.resource(other, ""))

    def publish(self, *drafts: Draft) -> list[str]:
        """Publishes events of this node as one; as the agent does, drafts wait until the node is ready."""
        if not self.replica.ready:
            self.drafts += drafts
            return []
        events = seal_all(
            drafts,
            cluster="sim",
            origin=self.name,
            incarnation=self.replica.incarnation,
            seq=self.replica.own.known + 1,
            time="2026-01-01T00:00:00.000000Z",
        )
        arrivals = [Arrival(event, self.world.now) for event in events]
        sequences = [event.sequence for event in events]
        self._enter(arrivals)
        self.world.published.setdefault(sequences[0][:13] + self.name, []).extend(sequences)
        self.do(self.replica.local(arrivals, self.world.now))
        return sequences

    def _enter(self, arrivals: list[Arrival]) -> None:
        now, burst = self.world.now, Burst.of(arrivals, follow=True)
        self.board.fold_burst(burst)
        for number, arrival in zip(self.buffer.extend(burst, now, ""), arrivals, strict=True):
            if now - arrival.born <= self.buffer.retain:  # what is older must leave before its time
                self.numbered[number] = now
        self.entries += arrivals

    def _lose(self, loss: Loss) -> None:
        self.buffer.mark(loss, self.world.now, "")
        self.entries.append(loss)

    def do(self, effects: list[fx.Effect]) -> None:  # noqa: C901, PLR0912
        """Carries out effects as the agent does."""
        for effect in effects:
            match effect:
                case fx.Send(payload, to):
                    self.world.send(self.name, payload, to)
                case fx.Deliver(arrivals):
                    self._enter(arrivals)
                case fx.Lose(loss):
                    self._lose(loss)
                case fx.Base(origin, sequence):
                    self.bases[origin] = sequence
                    self.buffer.base(origin, sequence)
                case fx.Skip(origin, sequence):
                    self.buffer.skip(origin, sequence)
                case fx.ReplaceSection(origin, stamp, _, _) if (
                    origin == self.name and stamp < self.board.stamp(origin)
                ):
                    pass  # what this node has said itself is newer than what a peer remembers
                case fx.ReplaceSection(origin, stamp, resources, later):
                    self.board.replace(origin, stamp, resources)
                    for event in later:
                        self.board.fold(event)
                case fx.Doubt(origin, why):
                    self.board.doubt(origin, why)
                case fx.NodeState(name):
                    self.board.set_node(self.replica.liveness.resource(name, ""))
                case fx.Publish(draft):
                    self.publish(draft)
                case fx.Begin(incarnation, _):
                    self.disk.update(incarnation=incarnation, last=0)
                case fx.Ready():
                    drafts, self.drafts = self.drafts, []
                    for draft in drafts:
                        self.publish(draft)
                    self.do(self.replica.open(self.world.now))
                case _:
                    self.errors.append(effect)

    def held_of(self, name: str, incarnation: int, first: int, last: int) -> list[int]:
        """The numbers in a range of a life that are held here for repair."""
        lives = [self.replica.own] if name == self.name else []
        lives += [life for o in (self.replica.origins.get(name),) if o for life in o.lives.values()]
        return [seq for life in lives if life.incarnation == incarnation for seq, _ in life.held(first, last)]

    def keep(self) -> None:
        """At a clean stop the state directory is told how far this life came."""
        if self.replica.incarnation:
            self.disk["last"] = self.replica.own.known

    def events(self, origin: str = "", type_: str = "") -> list[Event]:
        """The events that entered the buffer of this life."""
        found = [e.event for e in self.entries if isinstance(e, Arrival)]
        return [e for e in found if origin in ("", e.origin) and type_ in ("", e.type)]

    def losses(self) -> list[Loss]:
        """The markers of this life."""
        return [e for e in self.entries if isinstance(e, Loss)]


class World:
    """Nodes, a network and time."""

    def __init__(
        self, count: int = 3, seed: int = 0, *, retain: float = 300.0, down_after: float = 5.0
    ) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.retain, self.down_after = retain, down_after
        self.max_events = 100_000
        self.tick = TICK
        #: Decides whether a node that starts again has lost its state directory; None: it never has.
        self.luck: random.Random | None = None
        self.names = [f"n{i}" for i in range(1, count + 1)]
        self.network = Network()
        self.nodes: dict[str, Node] = {}
        self.disks: dict[str, dict[str, Any]] = {name: {} for name in self.names}
        #: By how many milliseconds the wall clock of a node is wrong.
        self.clock: dict[str, int] = {}
        self.published: dict[str, list[str]] = {}
        self.sent = 0
        self._queue: list[tuple[float, int, str, str, Message | None]] = []

    def start(self, *names: str) -> None:
        """Starts nodes (all of them if none is named)."""
        for name in names or self.names:
            self.nodes[name] = Node(self, name, disk=self.disks[name])

    def kill(self, name: str) -> Node:
        """A node ends without a word."""
        return self.nodes.pop(name)

    def stop(self, name: str) -> Node:
        """A node ends cleanly."""
        node = self.nodes[name]
        node.do(node.replica.goodbye())
        node.keep()
        return self.nodes.pop(name)

    def pause(self, name: str) -> None:
        """A node stands still; what is sent to it waits, as far as there is room."""
        self.nodes[name].paused = True

    def resume(self, name: str) -> None:
        """It goes on, and finds what has waited."""
        node = self.nodes[name]
        node.paused = False
        inbox, node.inbox = node.inbox, []
        for sender, message in inbox:
            node.do(node.replica.handle(sender, message, self.now))

    def send(self, sender: str, payload: bytes, to: str | None) -> None:
        """Puts a message on every rail. It is read once for all who get it: messages are immutable."""
        net, chance, queue = self.network, self.random.random, self._queue
        names = [to] if to else [name for name in self.nodes if name != sender]
        message = _read(payload)
        for rail in range(net.rails):
            loss, cuts = net.loss + net.rail_loss.get(rail, 0.0), net.cuts
            soonest = self.now + net.rail_delay.get(rail, net.delay)
            for name in names:
                if (cuts and (rail, sender, name) in cuts) or chance() < loss:
                    continue
                for _ in range(2 if net.duplicate and chance() < net.duplicate else 1):
                    self.sent += 1
                    at = soonest + chance() * net.jitter
                    heapq.heappush(queue, (at, self.sent, sender, name, message))

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        end = self.now + seconds
        while self.now < end:
            upto = min(self.now + self.tick, end)
            self._hand_out(upto)
            self.now = upto
            for node in list(self.nodes.values()):
                if not node.paused:
                    if effects := node.replica.tick(upto):
                        node.do(effects)
                    if not settled(node.buffer, upto):
                        node.buffer.prune(upto)

    def _hand_out(self, upto: float) -> None:
        """What is on its way arrives, up to a time."""
        queue, nodes = self._queue, self.nodes
        while queue and queue[0][0] <= upto:
            at, _, sender, name, message = heapq.heappop(queue)
            self.now = max(self.now, at)
            node = nodes.get(name)
            if node is None:
                continue
            if not node.paused:
                if effects := node.replica.handle(sender, message, self.now):
                    node.do(effects)
            elif len(node.inbox) < INBOX:
                node.inbox.append((sender, message))

    def emit(self, name: str, subject: str = "x", status: str = "ok", type_: str = "service.started") -> str:
        """Something happens on a node; empty if it waits until the node is ready."""
        published = self.nodes[name].publish(report(type_, subject, status, f"{subject} {status}"))
        return published[0] if published else ""

    def emit_many(self, name: str, said: Sequence[str | None]) -> None:
        """Many things happen on a node at once; ``None``: what is no state of anything."""
        steps = (report("backup.step", f"x{n % 3}", status, "one of many") for n, status in enumerate(said))
        self.nodes[name].publish(*steps)


def _read(payload: bytes) -> Message | None:
    try:
        return decode(payload)
    except CodecError:
        return None


class FileWorld(World):
    """Nodes that hold over a restart what they held: their buffers are kept in files."""

    def start(self, *names: str) -> None:
        """Starts nodes, with what they left."""
        super().start(*names)
        for name in names or self.names:
            node = self.nodes[name]
            held, same = node.disk.pop("held", None), node.disk.pop("clean", "")
            buffer = LastingBuffer(same or node.buffer.id, retain=self.retain, max_events=self.max_events)
            if held is not None:
                buffer.restore(held, {} if same else {node.disk["id"]: held.last}, self.now)
                node.replica.restore(buffer.arrivals(), buffer.seen(), self.now)
            node.entries = list(node.disk.setdefault("entries", []))
            node.bases = dict(node.disk.get("bases", {}))
            node.disk["id"], node.buffer = buffer.id, buffer

    def kill(self, name: str) -> Node:
        """A node ends without a word; its buffer stays in its file."""
        node = super().kill(name)
        assert isinstance(node.buffer, LastingBuffer)
        node.disk.update(held=deepcopy(node.buffer.snapshot()), entries=node.entries)
        node.disk.update(bases=node.bases, seen=list(self.names))
        return node

    def stop(self, name: str) -> Node:
        """A node ends cleanly; its buffer stays, and cursors in it go on."""
        self.nodes[name].do(self.nodes[name].replica.goodbye())
        self.nodes[name].keep()
        node = self.kill(name)
        node.disk["clean"] = node.buffer.id
        return node


def check_order(node: Node) -> None:
    """V2, V3: per origin strictly ascending, so nothing twice and nothing out of order.

    V4: what is told as lost when its life was left is none of what had been handed on.
    """
    last: dict[str, str] = {}
    told: dict[str, set[str]] = {}
    for entry in node.entries:
        name, low, high = (
            (entry.event.origin, entry.event.sequence, entry.event.sequence)
            if isinstance(entry, Arrival)
            else (entry.origin, entry.first, entry.last)
        )
        if isinstance(entry, Arrival):
            told.setdefault(name, set()).add(low)
        elif entry.elsewhere:
            continue  # of what was handed on here it says that others may lack it
        elif entry.late and high <= last.get(name, ""):
            had = [sequence for sequence in told.get(name, ()) if low <= sequence <= high]
            assert not had, f"{node.name}: told as lost, but had: {name} {had}"
            continue
        assert low > last.get(name, ""), f"{node.name}: {name} {low} after {last.get(name)}"
        last[name] = high


def check_given_up(node: Node, origin: Origin, life: Life, now: float, up_to: int) -> None:
    """V1, V4: a hole that is given up is one of which no living node holds anything.

    Living is who is not down to this node, as it cannot look from above. What could not be had in a minute or
    within the retention is given up in any case, and the rest of a former life, and of this node's own
    ones, after what is waited for that (DESIGN.md section 5).
    """
    first, last = life.holes(1)[0]
    last = min(last, up_to)
    replica = node.replica
    tried = now - max(life.hole_since or now, life.filled_at)
    if tried >= min(node.world.retain, 60.0):
        return
    if origin.superseded_at is not None and now - origin.superseded_at >= CLOSE_AFTER:
        return
    if origin.name == node.name and now - replica._started >= JOIN_AT_MOST:
        return
    liveness, period = replica.liveness, replica.period
    living = liveness.not_down(now, period)
    for name, other in node.world.nodes.items():
        if name == node.name or name not in living:
            continue
        has = other.held_of(life.origin, life.incarnation, first, last)
        has = [number for number in has if not replica.answered(name, life, number, now)]
        words = f"{node.name} gives up {life.origin} {first}..{last}, of which {name} holds {has}"
        assert not has, f"{words}; ready {replica.ready}, denied by {life.denials._said}, in {tried:.1f} s"


def held(buffer: Buffer) -> list[Entry]:
    """The events that a buffer has now."""
    return [entry for entry in buffer._entries[buffer._head :] if entry.event is not None]


def settled(buffer: Buffer, now: float) -> bool:
    """Whether there is nothing yet that a buffer would let go of: quicker than to have it look for it."""
    if buffer._aged and buffer._aged[0][0] <= now:
        return False
    if buffer._head == len(buffer._entries):
        return True
    oldest = buffer._entries[buffer._head]
    return oldest.event is not None and oldest.at + buffer.retain > now


class Reader:
    """A monitor reduced to its rules: cursor and seen, short polls, resume on another node.

    It checks each answer, too: a gap is true (V4), and who is told "no more" is at the end (V8), also where
    a filter hid everything (V9).
    """

    def __init__(self, node: Node, interests: Interests = EVERYTHING) -> None:
        self.interests = interests
        page = node.buffer.since(None)
        self.cursor, self.seen = page.cursor, dict(page.seen)
        self.start = dict(page.seen)
        self.told: list[Event] = []
        #: Of each gap what ``seen`` was before and after it.
        self.gaps: list[tuple[str, dict[str, str], dict[str, str]]] = []
        #: What ``seen`` was at each gap that did not say what is lost: anything before may be.
        self.boundless: list[dict[str, str]] = []

        #: When an origin's new life began for this reader: what the serving node had of the old one. What
        #: comes of an old life after that is late: for the journal and a counter (DESIGN.md section 5).
        self.late: list[tuple[str, str, str, set[str]]] = []

    def poll(self, node: Node, limit: int) -> None:
        """One poll of a node, and what follows from its answer."""
        if not node.replica.ready:
            return
        buffer, on = node.buffer, self.interests
        answer: Page | Gap = buffer.since(self.cursor, limit=limit, interests=on)
        if isinstance(answer, Gap) and answer.reason in ("foreign", "restarted"):
            answer = buffer.resume(str(self.cursor), self.seen, limit=limit, interests=on)
        before = dict(self.seen)
        if isinstance(answer, Gap):
            self._check_gap(answer, held(buffer))
        else:
            assert answer.more or answer.cursor == buffer.cursor, f"{answer.cursor} is not the end"
            for entry in answer.entries:
                assert entry.event is not None
                if entry.sequence > self.seen.get(entry.origin, ""):
                    self.told.append(entry.event)
                    self.seen[entry.origin] = entry.sequence
        for origin, sequence in answer.seen.items():
            self.seen[origin] = max(sequence, self.seen.get(origin, ""))
        if isinstance(answer, Gap):
            self.gaps.append((answer.reason, before, dict(self.seen)))
            if not answer.lost:
                self.boundless.append(before)
        self._note_late(node, before)
        self.cursor = answer.cursor

    def _note_late(self, node: Node, before: dict[str, str]) -> None:
        for origin, sequence in self.seen.items():
            old = before.get(origin, "")
            if old and old[:13] != sequence[:13]:
                here = {e.sequence for e in node.events(origin)}
                self.late.append((origin, old[:13], sequence[:13], here))

    def _check_gap(self, gap: Gap, entries: list[Entry]) -> None:
        for origin, (first, last) in gap.lost.items():
            seen = self.seen.get(origin, "")
            for entry in entries:
                missed = entry.origin == origin and max(first, seen + "!") <= entry.sequence <= last
                assert not missed, f"told as lost, but held: {origin} {entry.sequence}"

    def check(self, node: Node, *, backwards: bool = False) -> None:
        """V1, V2, V3 after a last poll of ``node``: each event once, in order, or a gap told of it.

        ``backwards``: lives may have begun below one that this reader had seen and nobody else remembers.
        """
        last: dict[str, str] = {}
        for event in self.told:
            assert event.sequence > last.get(event.origin, ""), f"again: {event.origin} {event.sequence}"
            last[event.origin] = event.sequence
        told = {(e.origin, e.sequence) for e in self.told}
        for event in node.events():
            if event.kind == "node" or not self.interests.matches(event):
                continue  # a report that was no news at the node where this reader was then
            origin, sequence = event.origin, event.sequence
            known = (origin, sequence) in told or sequence <= self.start.get(origin, "")
            excused = (
                any(
                    a.get(origin, "") < sequence <= b.get(origin, "")
                    # An incarnation below one that was seen: a clock set back; told when that is over.
                    or sequence[:13] < a.get(origin, "")[:13] < b.get(origin, "")[:13]
                    for _, a, b in self.gaps
                )
                or any(sequence[:13] < seen.get(origin, "")[:13] for seen in self.boundless)
            )
            late = any(
                o == origin and old <= sequence[:13] < new and sequence not in here
                for o, old, new, here in self.late
            )
            known = known or (backwards and sequence[:13] < self.seen.get(origin, "")[:13])
            assert known or excused or late, f"missed silently: {origin} {sequence} {event.type}"


__all__ = ["Cursor", "FileWorld", "Network", "Node", "Reader", "World", "check_order", "held"]
