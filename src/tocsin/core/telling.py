"""What a node tells of itself and of what it holds: bursts of events, entries of an announce."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tocsin.core.bus import Arrival
from tocsin.core.messages import MAX_MESSAGE_BYTES, Entry, Events, encode
from tocsin.core.origin import Origin

__all__ = ["bursts", "entries"]


def bursts(
    origin: str, incarnation: int, first: int, arrivals: Sequence[Arrival], now: float
) -> Iterator[bytes]:
    """Consecutive events, the first with number ``first``, in as few messages as may be."""
    burst: list[tuple[int, bytes]] = []
    size = 0
    for arrival in arrivals:
        body = arrival.event.body
        if burst and size + len(body) > MAX_MESSAGE_BYTES:
            yield encode(Events, origin, incarnation, first, burst)
            first, burst, size = first + len(burst), [], 0
        burst.append((max(0, round((now - arrival.born) * 1e6)), body))
        size += len(body) + 8
    if burst:
        yield encode(Events, origin, incarnation, first, burst)


def entries(origin: Origin | None) -> list[Entry]:
    """What is held here of an origin: one entry for each of its lives that has been handed on."""
    if origin is None or origin.fresh:
        return []
    return [
        Entry(origin.name, life.incarnation, life.first_held, life.accepted)
        for life in origin.lives.values()
        if life.incarnation <= origin.current
    ]
