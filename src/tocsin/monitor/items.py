"""What a monitor hands on, one at a time, and where its reader is after each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from tocsin.core.follow import Gap, News, Position

__all__ = ["Event", "Item", "items_of"]

#: A CloudEvent as JSON, with ``number`` and ``recordedtime``.
Event: TypeAlias = dict[str, Any]


class Item(NamedTuple):
    """An event or a gap; None where only the position moved (a filter hid what there was)."""

    what: Event | Gap | None
    #: The reader's position once this item has been handled.
    after: Position


def items_of(news: News, before: Position, after: Position) -> Iterator[Item]:
    """The items of one answer.

    In the middle of an answer the cursor stays where it was and ``seen`` moves on: who goes on from
    there is given the answer again, without what it has handled.
    """
    seen = dict(before.seen or {})
    rest = len(news.events) + (news.gap is not None)
    for event in news.events:
        rest -= 1
        seen[event["origin"]] = event["sequence"]
        # A reader that has only a cursor gets its seen with the end of the answer.
        halfway = Position(before.cursor, None if before.seen is None else dict(seen))
        yield Item(event, halfway if rest else after)
    if news.gap is not None:
        yield Item(news.gap, after)
    elif not news.events and before != after:
        yield Item(None, after)
