"""What the replica wants done: the outside does it in the order given, at once.

``receive(message, now) -> effects``, ``tick(now) -> effects``: the state machine touches no socket, no
clock, no board; these values are all that leaves it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from tocsin.core.board import Resource
from tocsin.core.bus import Arrival, Loss
from tocsin.core.event import Draft, Event
from tocsin.core.sequence import is_next

__all__ = [
    "Base",
    "Begin",
    "Clash",
    "Deliver",
    "Doubt",
    "Effect",
    "Late",
    "Lose",
    "Measured",
    "NodeState",
    "Publish",
    "Ready",
    "ReplaceSection",
    "Send",
    "Skip",
    "add_delivery",
]


class Send(NamedTuple):
    """Send a message on every rail, to one node or to all."""

    payload: bytes
    to: str | None = None


class Deliver(NamedTuple):
    """Events are next in order, each the next one of one life: publish them on the local bus.

    Where an event between two of them was no news here, they are two of these.
    """

    arrivals: list[Arrival]


class Skip(NamedTuple):
    """An event is next in order that is no news here: it gets no number, and is no hole."""

    origin: str
    sequence: str


class Lose(NamedTuple):
    """Events are lost for good: publish the loss on the local bus."""

    loss: Loss


class Base(NamedTuple):
    """Nothing of ``origin`` up to and including ``sequence`` is held here."""

    origin: str
    sequence: str


class ReplaceSection(NamedTuple):
    """Replace an origin's board section, then fold these of its events again that it does not contain."""

    origin: str
    stamp: str
    resources: list[Resource]
    later: list[Event]


class Doubt(NamedTuple):
    """What ``origin`` reported may be out of date, and it cannot be asked."""

    origin: str
    why: str


class NodeState(NamedTuple):
    """The state of a node that no event tells of: known from the configuration, or from peers."""

    name: str


class Publish(NamedTuple):
    """Publish an event of this node: a report about another."""

    draft: Draft


class Begin(NamedTuple):
    """The listening is over: this node's life has this incarnation, and may publish from now on."""

    incarnation: int
    #: The last sequence of the former life as far as anybody knows; empty if there was none.
    previous: str


class Ready(NamedTuple):
    """History is numbered: the feed may answer."""


class Late(NamedTuple):
    """An event of an older life came after that life was closed: for the journal and a counter."""

    event: Event


class Clash(NamedTuple):
    """Another living node has this node's name; ``yields``: this one stays off the rails, else the other."""

    name: str
    yields: bool


class Measured(NamedTuple):
    """Measured values of another node."""

    node: str
    values: dict[str, float]


Effect: TypeAlias = (
    Send
    | Deliver
    | Skip
    | Lose
    | Base
    | ReplaceSection
    | Doubt
    | NodeState
    | Publish
    | Begin
    | Ready
    | Late
    | Clash
    | Measured
)


def add_delivery(effects: list[Effect], arrivals: list[Arrival]) -> None:
    """Events are to be published; if they follow at once on those of the last effect, together with these."""
    before = effects[-1] if effects else None
    if isinstance(before, Deliver) and _follows(arrivals[0].event, before.arrivals[-1].event):
        before.arrivals.extend(arrivals)
    else:
        effects.append(Deliver(arrivals))


def _follows(event: Event, before: Event) -> bool:
    return event.origin == before.origin and is_next(before.sequence, event.sequence)
