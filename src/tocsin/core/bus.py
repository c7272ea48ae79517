"""The local bus: publish/subscribe inside one agent.

Everything on a node that wants events subscribes here. Subscribers are called in the order in which
they subscribed, each to its end before the next: so the board, which subscribes first, shows an event
before the buffer gives it a number (DESIGN.md section 2). What comes together is handed on together: a
burst goes to the board as a whole, then to the buffer as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from tocsin.core.event import Event

__all__ = ["Arrival", "Burst", "Bus", "Loss"]

_event, _plain, _body = attrgetter("event"), attrgetter("plain"), attrgetter("body")


class Arrival(Struct, frozen=True, gc=False):
    """An event that has arrived at this node."""

    event: Event
    #: When it was born, by this node's monotonic clock, in seconds: arrival minus the age it came with.
    born: float


class Burst(NamedTuple):
    """Arrivals that came together, at least one, and what is known of all of them.

    In a flood each step counts; so nobody on the bus looks at every event for what one look tells of all.
    """

    arrivals: Sequence[Arrival]
    events: Sequence[Event]
    #: Each is the next one of the same life of the same origin.
    follow: bool
    #: None changes a resource or a node.
    plain: bool
    #: The bytes of all events.
    size: int

    @classmethod
    def of(cls, arrivals: Sequence[Arrival], *, follow: bool = False) -> Burst:
        """``follow``: whoever calls knows that it is so; of a single one it always is."""
        events = list(map(_event, arrivals))
        size = sum(map(len, map(_body, events)))
        return cls(arrivals, events, follow or len(events) == 1, all(map(_plain, events)), size)


class Loss(NamedTuple):
    """Events of ``origin`` that no living node holds any more, or that came too late to be numbered.

    ``first`` and ``last`` are sequences, both lost. It becomes a marker in the buffer.
    """

    origin: str
    first: str
    last: str
    #: It is of a former life that was left: later events have their numbers, and yet readers must be told.
    late: bool = False
    #: Nothing of it is lost here, but who comes from another node, which left that life earlier, may lack it.
    elsewhere: bool = False


class Bus:
    """Calls every subscriber for every arrival and every loss, in order."""

    def __init__(self) -> None:
        self._arrived: list[Callable[[Burst], None]] = []
        self._lost: list[Callable[[Loss], None]] = []

    def subscribe(self, subscriber: Callable[[Arrival | Loss], None]) -> None:
        """Adds a subscriber behind those already there. It must not block and not publish."""

        def each(burst: Burst) -> None:
            for arrival in burst.arrivals:
                subscriber(arrival)

        self.subscribe_bursts(each, subscriber)

    def subscribe_bursts(
        self, arrived: Callable[[Burst], None], lost: Callable[[Loss], None] | None = None
    ) -> None:
        """The same for one that takes what comes together in one call; ``lost`` takes losses."""
        self._arrived.append(arrived)
        if lost is not None:
            self._lost.append(lost)

    def publish(self, burst: Burst) -> None:
        """Hands arrivals that come together to all subscribers; of nothing nobody is told."""
        for subscriber in self._arrived if burst.arrivals else ():
            subscriber(burst)

    def lose(self, loss: Loss) -> None:
        """Hands a loss to all subscribers that want to know of any."""
        for subscriber in self._lost:
            subscriber(loss)
