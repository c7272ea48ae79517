"""Events for the tests of the core: real ones, sealed like an agent's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tocsin.core.bus import Arrival, Burst, Loss
from tocsin.core.event import Draft, Event, seal
from tocsin.core.page import Entry, following
from tocsin.core.sequence import sequence_of

__all__ = ["LIFE", "WALL", "arrival", "burst", "event", "loss", "seqs"]

LIFE = 1_790_000_000_000
WALL = "2026-11-23T12:00:00.000000Z"


def event(origin: str, seq: int, type: str = "service.failed", *, life: int = LIFE, **draft: Any) -> Event:
    """Event ``seq`` of ``origin``."""
    made = Draft(type=type, **draft)
    return seal(made, cluster="test", origin=origin, incarnation=life, seq=seq, time=WALL)


def arrival(
    origin: str, seq: int, type: str = "service.failed", *, born: float = 0.0, **more: Any
) -> Arrival:
    """The same as it arrives, born at ``born``."""
    return Arrival(event(origin, seq, type, **more), born)


def burst(arrivals: Sequence[Arrival]) -> Burst:
    """Arrivals that come together; whether they follow each other is found out here."""
    events = [arrival.event for arrival in arrivals]
    follow = all((b.origin, b.sequence) == (a.origin, following(a.sequence)) for a, b in pairwise(events))
    return Burst.of(arrivals, follow=follow)


def loss(origin: str, first: int, last: int, *, life: int = LIFE) -> Loss:
    """The loss of some events of ``origin``."""
    return Loss(origin, sequence_of(life, first), sequence_of(life, last))


def seqs(entries: Iterable[Entry]) -> list[str]:
    """What a page contains, as ``origin`` and number: ``["a1", "b1"]``."""
    return [f"{e.origin}{int(e.sequence[14:])}" for e in entries]
