"""The local bus: publish/subscribe inside one agent.

Everything on a node that wants events subscribes here. Subscribers are called in the order in which
they subscribed, each to its end before the next: so the board, which subscribes first, shows an event
before the buffer gives it a number (DESIGN.md section 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tocsin.core.event import Event

__all__ = ["Arrival", "Bus", "Loss"]


class Arrival(NamedTuple):
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
        self._subscribers: list[Callable[[Arrival | Loss], None]] = []

    def subscribe(self, subscriber: Callable[[Arrival | Loss], None]) -> None:
        """Adds a subscriber behind those already there. It must not block and not publish."""
        self._subscribers.append(subscriber)

    def publish(self, item: Arrival | Loss) -> None:
        """Hands an arrival or a loss to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(item)
