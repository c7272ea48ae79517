"""How the feed writes events and answers. Event bodies are spliced in as their origin encoded them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from tocsin.core.buffer import Buffer, Entry, Gap, Page
from tocsin.web.problems import Problem

__all__ = ["batch", "brief", "document", "full", "gap_problem", "weigh_brief", "window"]

_encode: Final = msgspec.json.Encoder().encode
_REASONS: Final = {
    "evicted": "events after this cursor are no longer held",
    "replica": "this node itself missed events of other nodes",
    "restarted": "the cursor is of an earlier life of this node's buffer",
    "foreign": "the cursor is not one of this buffer",
    "future": "the cursor is beyond the last event of this buffer",
}


def full(entry: Entry) -> bytes:
    """A numbered event as a CloudEvent."""
    assert entry.event is not None
    head = f'{{"number":{entry.number},"recordedtime":"{entry.recordedtime}",'
    return head.encode("ascii") + entry.event.body[1:]


def brief(entry: Entry) -> bytes:
    """What a page needs to decide; encoded once for all viewers."""
    if not entry.brief:
        event = entry.event
        assert event is not None
        entry.brief = _encode(
            {
                "number": entry.number,
                "type": event.type,
                "node": event.node,
                "subject": event.subject,
                "severity": event.severity,
                "origin": event.origin,
                "sequence": event.sequence,
            }
        )
    return entry.brief


def weigh_brief(entry: Entry) -> int:
    """The bytes of an event in brief, in an answer."""
    return len(brief(entry)) + 1


def window(buffer: Buffer, origins: Sequence[str] = ()) -> dict[str, Any]:
    """What the buffer covers: numbers, wall times for people, seconds; the nodes, if it leaves out some."""
    oldest, youngest = buffer.coverage
    found = {
        "first": buffer.first,
        "last": buffer.last,
        "from": oldest or None,
        "to": youngest or None,
        "retain": buffer.retain,
    }
    return found | ({"origins": origins} if origins else {})


def document(
    buffer: Buffer,
    node: str,
    page: Page,
    degraded: Iterable[str],
    *,
    short: bool,
    origins: Sequence[str] = (),
) -> bytes:
    """The JSON of a page. ``origins``: the nodes whose events the buffer keeps; empty: all."""
    head = _encode(
        {
            "buffer": buffer.id,
            "node": node,
            "cursor": str(page.cursor),
            "seen": page.seen,
            "more": page.more,
            "window": window(buffer, origins),
            "degraded": list(degraded),
        }
    )
    events = b",".join(map(brief if short else full, page.entries))
    return b"".join((head[:-1], b',"events":[', events, b"]}"))


def batch(page: Page) -> bytes:
    """The events of a page as a bare CloudEvents batch."""
    return b"[" + b",".join(map(full, page.entries)) + b"]"


def gap_problem(buffer: Buffer, node: str, gap: Gap, origins: Sequence[str] = ()) -> Problem:
    """The problem document of a gap."""
    return Problem(
        "gap",
        _REASONS[gap.reason],
        reason=gap.reason,
        lost=gap.lost,
        cursor=str(gap.cursor),
        seen=gap.seen,
        window=window(buffer, origins),
        buffer=buffer.id,
        node=node,
    )
