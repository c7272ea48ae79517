"""What a node tells of itself and of what it holds: bursts of events, entries of an announce."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Final

from tocsin.core.bus import Arrival
from tocsin.core.event import Draft, report
from tocsin.core.liveness import Liveness
from tocsin.core.member import missing
from tocsin.core.messages import MAX_MESSAGE_BYTES, Entry, Events, encode
from tocsin.core.origin import Origin

__all__ = [
    "better",
    "bursts",
    "degraded_report",
    "entries",
    "entries_of_silent",
    "later",
    "measured",
    "newest_entry",
    "some",
]

#: Measured values that are taken of one announce.
_MOST_MEASURES: Final = 64
#: Unknown nodes that are asked about in one message.
_MOST_UNKNOWN: Final = 16
#: For so many announces after a new life was heard, the end of the old one is announced too.
_OLD_LIFE_TOLD: Final = 3


def bursts(
    origin: str, incarnation: int, first: int, arrivals: Sequence[Arrival], now: float
) -> Iterator[bytes]:
    """Consecutive events, the first with number ``first``, in as few messages as may be."""
    burst: list[tuple[int, bytes]] = []
    size, age, born = 0, 0, now
    for arrival in arrivals:
        body = arrival.event.body
        if burst and size + len(body) > MAX_MESSAGE_BYTES:
            yield encode(Events, origin, incarnation, first, burst)
            first, burst, size = first + len(burst), [], 0
        if arrival.born != born:  # most of a burst were published together
            born, age = arrival.born, max(0, round((now - arrival.born) * 1e6))
        burst.append((age, body))
        size += len(body) + 8
    if burst:
        yield encode(Events, origin, incarnation, first, burst)


def entries(origin: Origin | None) -> list[Entry]:
    """What is held here of an origin: one entry for each of its lives that has been handed on."""
    if origin is None or origin.fresh:
        return []
    return [
        Entry(origin.name, life.incarnation, life.first_held, life.last, life.previous)
        for _, life in sorted(origin.lives.items())  # who begins with a later one takes no earlier one
        if life.incarnation <= origin.current
    ]


def later(origin: Origin) -> list[Entry]:
    """The same for a node that lives in an earlier life; if nothing is held, that there was a later one."""
    return entries(origin) or [newest_entry(origin)]


def newest_entry(origin: Origin) -> Entry:
    """That there is a newest life of an origin, of which nothing need be held here."""
    life = origin.newest()
    return Entry(origin.name, life.incarnation, life.known + 1, life.known, life.previous)


def better(origin: Origin | None, known: Mapping[int, int]) -> list[Entry]:
    """What is held here of an origin beyond what somebody knows: incarnation → last number of each life."""
    newest = max(known, default=0)
    return [
        entry
        for entry in entries(origin)
        if entry.incarnation > newest or entry.last > known.get(entry.incarnation, entry.last)
    ]


def some(names: Sequence[str], after: str) -> list[str]:
    """Some of the names, which are sorted: those after one of them, and on from the beginning."""
    at = bisect_right(names, after)
    return [*names[at:], *names[:at]][:_MOST_UNKNOWN]


def entries_of_silent(
    origins: Iterable[Origin], liveness: Liveness, now: float, period: float
) -> tuple[list[Entry], list[str]]:
    """Of origins that this node does not hear what it holds, and of those of which a life has just ended.

    Also the names of the latter, as far as they are heard.
    """
    told: list[Entry] = []
    ended: list[str] = []
    members, silence = liveness.members, missing(period)
    for origin in origins:
        since, member = origin.superseded_at, members.get(origin.name)
        # Most are heard. Each hello of each of hundreds asks this of all, so it is found out at once.
        heard_at = member.heard_at if member is not None and not member.left_incarnation else None
        if since is None and heard_at is not None and now - heard_at <= silence:
            continue
        if not liveness.hears(origin.name, now, period):
            told += entries(origin)
        elif since is not None and now - since < _OLD_LIFE_TOLD * period:
            told += entries(origin)
            ended.append(origin.name)
    return told, ended


def measured(values: Mapping[str, float]) -> dict[str, float]:
    """Of the values in an announce those that are numbers, and not more than anybody needs."""
    return dict(islice(((name, value) for name, value in values.items() if isfinite(value)), _MOST_MEASURES))


def degraded_report(name: str, *, degraded: bool) -> Draft:
    """That events of a node are incomplete here, or are no more."""
    type_, status, words = (
        ("agent.degraded", "warning", "events of {0} are incomplete here and are being asked for")
        if degraded
        else ("agent.recovered", "gone", "events of {0} are complete again, or their loss has been told")
    )
    return report(type_, f"events of {name}", status, words.format(name))
