"""The forwarder: sends every event of this node to all others, and publishes theirs here.

The decisions are the replica's (:mod:`tocsin.core.replica`); this file carries them out: it hands
messages to all rails, what arrives to the local bus, and time to the replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from tocsin.core import effects as fx
from tocsin.core.board import Board
from tocsin.core.bus import Arrival, Burst, Bus
from tocsin.core.event import Draft, Event
from tocsin.core.rails import Copies, RailWatch
from tocsin.core.replica import Replica
from tocsin.forwarder.rail import Rail

__all__ = ["TICK", "Forwarder", "Host"]

#: Seconds between two ticks of the replica: the grain of every delay in it.
TICK: Final = 0.05
#: The same of a node without rails, which has nobody to hear or to repair.
_ALONE: Final = 0.25
#: Seconds between two looks at which rails reach which nodes.
_LOOK_EVERY: Final = 0.25


class Host(Protocol):
    """What the forwarder needs of the agent. Called on the event loop's thread."""

    board: Board
    bus: Bus

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> str:
        """Wall time as RFC 3339 text."""

    def publish_report(self, draft: Draft) -> None:
        """Publishes what the replica has to say of other nodes."""

    def base(self, origin: str, sequence: str) -> None:
        """Nothing of ``origin`` up to and including ``sequence`` is held here."""

    def skip(self, origin: str, sequence: str) -> None:
        """An event of ``origin`` is no news here and gets no number."""

    def begin(self, incarnation: int, previous: str) -> None:
        """The incarnation of this life is known."""

    def ready(self) -> None:
        """History is numbered."""

    def clash(self, name: str, *, yields: bool) -> None:
        """Another living node has this node's name; ``yields``: this one stays off the rails."""

    def measured(self, node: str, values: dict[str, float]) -> None:
        """Measured values of another node have come."""

    def late(self, event: Event) -> None:
        """An event of a life that is over came too late to be numbered."""


class Forwarder:
    """Connects one replica with its rails and with the local bus."""

    def __init__(self, replica: Replica, rails: Sequence[Rail], host: Host) -> None:
        self.replica, self.rails = replica, tuple(rails)
        self._host = host
        self.watch = RailWatch([rail.name for rail in self.rails])
        self.copies = Copies([rail.name for rail in self.rails])
        self._pending: list[Arrival] = []
        #: More may be published in this turn of the loop: it leaves at its end.
        self._busy = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_look = 0.0
        host.bus.subscribe_bursts(self._on_bus)

    def start(self) -> None:
        """Opens the rails and begins to listen; needs a running loop."""
        self._loop = asyncio.get_running_loop()
        for rail in self.rails:
            rail.start(partial(self._receive, rail.name))
        self._tick()

    def open(self) -> None:
        """This node's first dump is on its board."""
        self._flush()
        self._do(self.replica.open(self._host.now()))

    async def stop(self) -> None:
        """Says goodbye and closes the rails; takes about a second at most."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush()
        self._do(self.replica.goodbye())
        await asyncio.gather(*(rail.close() for rail in self.rails))

    # -- what comes in -----------------------------------------------------------------

    def _on_bus(self, burst: Burst) -> None:
        if self._loop is None:
            return
        if burst.follow:
            mine = burst.arrivals if self._is_mine(burst.events[0]) else ()
        else:
            mine = [arrival for arrival in burst.arrivals if self._is_mine(arrival.event)]
        if mine:
            self._pending += mine
            self._send_soon()

    def _is_mine(self, event: Event) -> bool:
        # History of a former life of this node may be told by a peer.
        return event.origin == self.replica.me and event.incarnation == self.replica.incarnation

    def _send_soon(self) -> None:
        # The first burst after a quiet turn of the loop leaves at once; what follows in the same turn, and in
        # each turn after one that was not quiet, in as few messages as may be.
        assert self._loop is not None
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._end_turn)
            self._flush()

    def _end_turn(self) -> None:
        self._busy = bool(self._pending)
        if self._busy:
            assert self._loop is not None
            self._loop.call_soon(self._end_turn)
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self._do(self.replica.local(pending, self._host.now()))

    def _receive(self, rail: str, sender: str, payload: bytes) -> None:
        self._flush()
        now = self._host.now()
        self.watch.heard(rail, sender, now)
        self.copies.came(rail, sender, payload, now)
        self._do(self.replica.receive(sender, payload, now))

    def _tick(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(TICK if self.rails else _ALONE, self._tick)
        self._flush()
        now = self._host.now()
        self._do(self.replica.tick(now))
        if now >= self._next_look and self.replica.opened:
            self._next_look = now + _LOOK_EVERY
            self._look_at_rails(now)

    def _look_at_rails(self, now: float) -> None:
        period = self.replica.period
        living = self.replica.liveness.living(now, period)
        for draft in self.watch.tick(living, now, period):
            self._host.publish_report(draft)
        for rail in self.rails:
            rail.look(living, self.watch.awake(rail.name, living, now, period), now, period)

    # -- what is to be done ------------------------------------------------------------

    def _do(self, effects: list[fx.Effect]) -> None:
        delivered: list[fx.Deliver] = []
        for effect in effects:
            if isinstance(effect, fx.Deliver):
                delivered.append(effect)
                continue
            self._deliver(delivered)
            delivered = []
            self._do_other(effect)
        self._deliver(delivered)

    def _deliver(self, delivered: list[fx.Deliver]) -> None:
        """What comes together is published together: all of history, when joining ends."""
        if len(delivered) == 1:
            self._host.bus.publish(Burst.of(delivered[0].arrivals, follow=True))
        elif delivered:
            self._host.bus.publish(Burst.of([each for one in delivered for each in one.arrivals]))

    def _do_other(self, effect: fx.Effect) -> None:
        host = self._host
        match effect:
            case fx.Send(payload, to):
                for rail in self.rails:
                    rail.send(payload, to)
            case fx.Measured(node, values):
                host.measured(node, values)
            case fx.Lose(loss):
                host.bus.lose(loss)
            case fx.Publish(draft):
                host.publish_report(draft)
                self._flush()
            case _:
                self._do_rarely(effect)

    def _do_rarely(self, effect: fx.Effect) -> None:
        """What concerns the board and the buffer beside their events."""
        host = self._host
        match effect:
            case fx.Base(origin, sequence):
                host.base(origin, sequence)
            case fx.Skip(origin, sequence):
                host.skip(origin, sequence)
            case fx.ReplaceSection():
                self._replace(effect)
            case fx.Doubt(origin, why):
                host.board.doubt(origin, why)
            case fx.NodeState(name):
                node = self.replica.liveness.resource(name, host.wall(), self.replica.incarnation)
                host.board.set_node(node)
            case fx.Late(event):
                host.late(event)
            case fx.Clash(name, yields):
                host.clash(name, yields=yields)
            case _:
                self._do_once(effect)

    def _do_once(self, effect: fx.Effect) -> None:
        """What happens once in the life of an agent."""
        match effect:
            case fx.Begin(incarnation, previous):
                self._host.begin(incarnation, previous)
            case fx.Ready():
                self._host.ready()
            case _:
                raise AssertionError(effect)

    def _replace(self, section: fx.ReplaceSection) -> None:
        board = self._host.board
        if section.origin == self.replica.me and section.stamp < board.stamp(section.origin):
            return  # what the state directory kept is newer than what a peer remembers
        board.replace(section.origin, section.stamp, section.resources)
        for event in section.later:
            board.fold(event)
