"""What one answer of a buffer is to contain: which entries a reader wants, and which are a gap to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from tocsin.core.bus import Loss
from tocsin.core.interest import Interests
from tocsin.core.page import Entry, following, weight
from tocsin.core.sequence import incarnation_of

__all__ = ["MAX_ANSWER", "Ask"]

#: Bytes of events in one answer; with the envelope it stays below 1 MiB.
MAX_ANSWER: Final = (1 << 20) - (1 << 16)
#: Entries looked at for one answer: a filter that hides everything must not hold up the node.
_MAX_SCAN: Final = 10_000


class Ask(Struct, frozen=True):
    """One question, after it has been read."""

    limit: int
    interests: Interests
    #: The bytes of an entry in the answer.
    weigh: Callable[[Entry], int] = weight
    #: What the reader has seen elsewhere: it is left out.
    known: Mapping[str, str] | None = None
    #: Only events born at or after this, by the monotonic clock.
    since: float | None = None
    #: Whether the answer has to be a page: a marker ends it, but is not told yet.
    always_page: bool = False

    def new(self, entry: Entry) -> bool:
        """Whether the reader has not seen this entry yet."""
        return self.known is None or self.known.get(entry.origin, "") < entry.sequence

    def tells(self, entry: Entry) -> bool:
        """Whether the entry is a marker that is a gap to this reader."""
        if entry.marker is None or not self.interests.concerns_origin(entry.origin):
            return False
        # Of what is late ``known`` does not say whether the reader was told.
        return entry.late or self.new(entry)

    def wants(self, entry: Entry) -> bool:
        """Whether the entry is an event that belongs in the answer."""
        event = entry.event
        return (
            event is not None
            and self.new(entry)
            and (self.since is None or entry.born >= self.since)
            and self.interests.matches(event)
        )

    def unseen(self, marker: Loss) -> str:
        """The first lost event that the reader has not seen."""
        seen = self.known.get(marker.origin, "") if self.known is not None else ""
        if seen < marker.first or incarnation_of(seen) != incarnation_of(marker.last):
            return marker.first
        return following(seen)

    @property
    def scan(self) -> int:
        """How many entries to look at: fewer, the more patterns each is held against."""
        return max(_MAX_SCAN // max(1, len(self.interests.patterns) // 4), 100)
