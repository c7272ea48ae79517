"""The local bus: publish/subscribe inside one agent.

Everything on a node that wants events subscribes here. Subscribers are called in the order in which
they subscribed, each to its end before the next: so the board, which subscribes first, shows an event
before the buffer gives it a number (DESIGN.md section 2). What comes together is handed on together: a
burst goes to the board as a whole, then to the buffer as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from tocsin.core.event import Event

__all__ = ["Arrival", "Bus", "Loss"]


class Arrival(Struct, frozen=True, gc=False):
    """An event that has arrived at this node."""

    event: Event
    #: When it was born, by this node's monotonic clock, in seconds: arrival minus the age it came with.
    born: float


class Loss(NamedTuple):
    """Events of ``origin`` that no living node holds any more, or that came too late to be numbered.

    ``first`` and ``last`` are sequences, both lost. It becomes a marker in the buffer.
    """

    origin: str
    first: str
    last: str


class Bus:
    """Calls every subscriber for every arrival and every loss, in order."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Sequence[Arrival | Loss]], None]] = []

    def subscribe(self, subscriber: Callable[[Arrival | Loss], None]) -> None:
        """Adds a subscriber behind those already there. It must not block and not publish."""

        def each(items: Sequence[Arrival | Loss]) -> None:
            for item in items:
                subscriber(item)

        self.subscribe_bursts(each)

    def subscribe_bursts(self, subscriber: Callable[[Sequence[Arrival | Loss]], None]) -> None:
        """The same for one that takes what comes together in one call."""
        self._subscribers.append(subscriber)

    def publish(self, *items: Arrival | Loss) -> None:
        """Hands arrivals and losses that come together to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(items)
