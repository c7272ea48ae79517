"""The publisher: gives the events of this node their identity, one after another.

Until the node's incarnation is known and its history is numbered, drafts wait here, bounded; a draft that
does not fit any more is counted, and told as ``agent.events-lost`` as soon as publishing begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from tocsin.core.event import Draft, Event, report, seal_all

__all__ = ["MAX_WAITING", "Publisher"]

#: Drafts that may wait while the node listens and joins, which takes seconds.
MAX_WAITING: Final = 10_000


class Publisher:
    """Numbers the events of one life of this node's agent: 1, 2, 3 …"""

    def __init__(self, cluster: str, node: str) -> None:
        self.cluster, self.node = cluster, node
        self.incarnation = 0
        self.last = 0
        self.lost = 0
        self._waiting: deque[Draft] = deque()

    @property
    def open(self) -> bool:
        """Whether events get their identity at once."""
        return self.incarnation > 0

    def wait(self, draft: Draft) -> None:
        """Keeps a draft until :meth:`begin`."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(draft)
        else:
            self.lost += 1

    def begin(self, incarnation: int, last: int = 0) -> list[Draft]:
        """A life begins behind its event ``last``; returns the drafts that waited, in order."""
        self.incarnation, self.last = incarnation, last
        waiting = list(self._waiting)
        self._waiting.clear()
        if self.lost:
            words = f"{self.lost} events were lost before this node had joined"
            waiting.append(report("agent.events-lost", "publisher", None, words, severity="warning"))
        return waiting

    def seal(self, drafts: Sequence[Draft], time: str) -> list[Event]:
        """Gives all drafts their identity, or none. Raises :exc:`~tocsin.core.errors.EventTooLarge`."""
        events = seal_all(
            drafts,
            cluster=self.cluster,
            origin=self.node,
            incarnation=self.incarnation,
            seq=self.last + 1,
            time=time,
        )
        self.last += len(events)
        return events
