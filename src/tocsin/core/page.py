"""What a buffer holds and what it answers: entries, pages and gaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tocsin.core.bus import Loss
from tocsin.core.cursor import Cursor
from tocsin.core.event import Event
from tocsin.core.sequence import incarnation_of, seq_of, sequence_of

__all__ = ["ENVELOPE", "GONE", "Entry", "Gap", "Page", "following", "furthest", "preceding", "weight"]

#: Bytes that a numbered event has in an answer beside its own.
ENVELOPE: Final = 80


class Entry(Struct, eq=False, gc=False):
    """One number of the buffer: an event, a marker in place of lost events, or nothing any more.

    An entry is never changed once a reader may have it, only replaced in the buffer; ``brief`` is the
    feed's cache of its short encoding.
    """

    number: int
    origin: str
    #: The event's sequence, or the last one that a marker stands for; of a late one that of the entry before.
    sequence: str
    #: The sequence of the same origin before this entry; empty if there was none.
    prev: str
    #: Monotonic seconds: when it got its number, and when the event was born.
    at: float
    born: float
    #: Wall time in RFC 3339, for people.
    recordedtime: str
    event: Event | None = None
    marker: Loss | None = None
    #: Why there is a marker: ``replica`` (it never came here) or ``evicted`` (it had to go).
    reason: str = ""
    brief: bytes = b""

    @property
    def late(self) -> bool:
        """Whether it is the marker of a loss that lies before what its readers have been told already."""
        return self.marker is not None and self.marker.late


#: Stands in a list where a pruned entry was until the list is compacted: its event is not kept.
GONE: Final = Entry(0, "", "", "", 0.0, 0.0, "")


class Page(Struct, frozen=True):
    """Events, oldest first, with the position behind them."""

    entries: tuple[Entry, ...]
    cursor: Cursor
    #: What a reader has been told at ``cursor``: of all origins, or of those that moved.
    seen: dict[str, str]
    #: Whether there is more behind the cursor: ask again at once.
    more: bool


class Gap(Struct, frozen=True):
    """Events may have been missed: refresh, and go on from ``cursor``.

    ``reason``: ``evicted`` or ``replica`` (``lost`` says of which origins, from and to; the cursor is just
    behind it; empty: of what was before); ``restarted``, ``foreign`` or ``future`` (the cursor is no position
    here; the new one is now).
    """

    reason: str
    lost: dict[str, tuple[str, str]]
    cursor: Cursor
    #: Of all origins, at ``cursor``.
    seen: dict[str, str]


def weight(entry: Entry) -> int:
    """The bytes that an entry's event has in an answer."""
    return ENVELOPE + (len(entry.event.body) if entry.event is not None else 0)


def following(sequence: str) -> str:
    """The sequence after this one in the same life."""
    return sequence_of(incarnation_of(sequence), seq_of(sequence) + 1)


def preceding(sequence: str) -> str:
    """The sequence before this one in the same life."""
    return sequence_of(incarnation_of(sequence), seq_of(sequence) - 1)


def furthest(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """The further of two positions of every origin."""
    merged = dict(one)
    for origin, sequence in other.items():
        if sequence > merged.get(origin, ""):
            merged[origin] = sequence
    return merged
