"""The buffer of an agent: whether it has one, of which nodes, and what it is kept in.

In memory, or in a file that outlives the agent. Whatever it leaves out is on the board all the same, and
the replica holds it for the other nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tocsin.core.buffer import Buffer
from tocsin.core.bus import Burst, Loss
from tocsin.core.cursor import buffer_id
from tocsin.core.event import Draft
from tocsin.core.lasting import LastingBuffer
from tocsin.core.recent import Recent
from tocsin.core.replica import Replica
from tocsin.settings import Config
from tocsin.storage.log_file import LogFile
from tocsin.web.app import App

__all__ = ["Kept", "caps", "make_buffer"]


class Kept(NamedTuple):
    """The buffer, if this node keeps one, and its file, if it has one."""

    buffer: Buffer | None
    file: LogFile | None
    #: The nodes whose events are kept; empty: all.
    origins: frozenset[str] = frozenset()

    def of(self, origin: str) -> Buffer | None:
        """The buffer, if it keeps the events of this origin."""
        return None if self.origins and origin not in self.origins else self.buffer

    def take(self, burst: Burst, recent: Recent, now: float, wall: str) -> None:
        """Numbers what is kept here; everything that arrives is among the recent events for people."""
        if burst.follow or not self.origins:
            self._take(self.of(burst.events[0].origin), burst, recent, now, wall)
            return
        for buffer, group in groupby(burst.arrivals, key=lambda arrival: self.of(arrival.event.origin)):
            self._take(buffer, Burst.of(list(group)), recent, now, wall)

    @staticmethod
    def _take(buffer: Buffer | None, burst: Burst, recent: Recent, now: float, wall: str) -> None:
        events = burst.events
        numbers: Sequence[int] = [0] * len(events)
        if buffer is not None:
            numbers = buffer.extend(burst, now, wall)
            if 0 in numbers:  # a copy, which is no arrival
                events = [event for number, event in zip(numbers, events, strict=True) if number]
                numbers = [number for number in numbers if number]
        if events:
            recent.extend(numbers, events, wall)

    def mark(self, loss: Loss, now: float, wall: str) -> None:
        """Numbers a marker in place of lost events that would have been kept here."""
        if (buffer := self.of(loss.origin)) is not None:
            buffer.mark(loss, now, wall)

    def base(self, origin: str, sequence: str) -> None:
        """Nothing of ``origin`` up to and including ``sequence`` is held here."""
        if (buffer := self.of(origin)) is not None:
            buffer.base(origin, sequence)

    def skip(self, origin: str, sequence: str) -> None:
        """An event of ``origin`` is no news here and gets no number."""
        if (buffer := self.of(origin)) is not None:
            buffer.skip(origin, sequence)

    def revive(self, replica: Replica, recent: Recent, app: App, now: float) -> None:
        """Tells the others what was recovered; nothing of it is an arrival again."""
        buffer = self.buffer
        if not isinstance(buffer, LastingBuffer):
            return
        arrivals = buffer.arrivals()
        replica.restore(arrivals, buffer.seen(), now)
        app.recall(arrival.event for arrival in arrivals)
        for entry in buffer.snapshot().entries:
            if entry.event is not None:
                recent.add(entry.number, entry.event, entry.recordedtime)

    def tend(self, now: float, publish: Callable[[Draft], None]) -> None:
        """Time has passed; call it about every second."""
        if self.buffer is not None:
            self.buffer.prune(now)
        told = self.file.tend(now) if self.file is not None else None
        if told is not None:
            publish(told)

    def counters(self) -> Mapping[str, float]:
        """What is counted, for /metrics."""
        return self.file.counters() if self.file is not None else {}

    def close(self) -> None:
        """Nothing more will be numbered."""
        if self.file is not None:
            self.file.close()


def caps(config: Config) -> dict[str, Any]:
    """How long and how much of the events is held: in the buffer, and by the replica for the other nodes."""
    limits = config.buffer
    return {"retain": limits.retain, "max_events": limits.max_events, "max_bytes": limits.max_bytes}


def make_buffer(config: Config, former_life: int, now: float) -> Kept:
    """The buffer with what its file kept of former lives.

    Its id is new in each life (wall time, or more than the former incarnation), unless the file knows that
    the former one ended well.
    """
    limits = config.buffer
    life = max(former_life + 1, round(time.time() * 1000))
    if not limits.enabled:
        return Kept(None, None)

    origins = frozenset(limits.nodes)

    def id_of(life: int) -> str:
        return buffer_id(config.cluster.name, config.node.name, life)

    if limits.storage == "memory":
        return Kept(Buffer(id_of(life), **caps(config)), None, origins)
    buffer = LastingBuffer(id_of(life), **caps(config))
    directory = Path(limits.directory or config.node.state_dir)
    file = LogFile(directory, buffer, id_of=id_of, life=life, interval=limits.prune_interval)
    file.start(now)
    return Kept(buffer, file, origins)
