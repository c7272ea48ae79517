"""Bounds on what a replica holds for repair."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from tocsin.core.lives import Life

__all__ = ["cap"]

_events, _size = attrgetter("events"), attrgetter("size")


def cap(lives: Sequence[Life], max_events: int, max_bytes: int) -> None:
    """Lets go of what is too much: who holds most gives first, so one node's flood costs only that node."""
    over = sum(map(len, map(_events, lives))) - max_events
    while over > 0:
        biggest = max(lives, key=lambda life: len(life.events))
        over -= biggest.shed(max(1, min(over, len(biggest.events) // 8)))
    while (over := sum(map(_size, lives)) - max_bytes) > 0:
        biggest = max(lives, key=_size)
        count = len(biggest.events)
        biggest.shed(max(1, min(over * count // biggest.size, count // 8)))
