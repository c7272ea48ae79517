"""The buffer of an agent and what it is kept in: memory, or a file that outlives the agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tocsin.core.buffer import Buffer
from tocsin.core.cursor import buffer_id
from tocsin.core.event import Draft
from tocsin.core.lasting import LastingBuffer
from tocsin.core.recent import Recent
from tocsin.core.replica import Replica
from tocsin.settings import Config
from tocsin.storage.log_file import LogFile
from tocsin.web.app import App

__all__ = ["Kept", "make_buffer"]


class Kept(NamedTuple):
    """The buffer, if this node keeps one, and its file, if it has one."""

    buffer: Buffer | None
    file: LogFile | None

    def revive(self, replica: Replica, recent: Recent, app: App, now: float) -> None:
        """Tells the others what was recovered; nothing of it is an arrival again."""
        buffer = self.buffer
        if not isinstance(buffer, LastingBuffer):
            return
        arrivals = buffer.arrivals()
        replica.restore(arrivals, buffer.seen(), now)
        app.recall(arrivals)
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


def make_buffer(config: Config, former_life: int, now: float) -> Kept:
    """The buffer with what its file kept of former lives.

    Its id is new in each life (wall time, or more than the former incarnation), unless the file knows that
    the former one ended well.
    """
    limits = config.buffer
    life = max(former_life + 1, round(time.time() * 1000))
    caps: dict[str, Any] = {"max_events": limits.max_events, "max_bytes": limits.max_bytes}
    if not limits.enabled:
        return Kept(None, None)

    def id_of(life: int) -> str:
        return buffer_id(config.cluster.name, config.node.name, life)

    if limits.storage == "memory":
        return Kept(Buffer(id_of(life), retain=limits.retain, **caps), None)
    buffer = LastingBuffer(id_of(life), retain=limits.retain, **caps)
    directory = Path(limits.directory or config.node.state_dir)
    file = LogFile(directory, buffer, id_of=id_of, life=life, interval=limits.prune_interval)
    file.start(now)
    return Kept(buffer, file)
