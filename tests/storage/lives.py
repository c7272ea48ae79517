"""Lives of a node's buffer in a file, for tests; as a program: one that writes until it is killed.

``python -m tests.storage.lives DIRECTORY COUNT`` numbers events, tends the file often, and prints each
number as soon as it is visible. COUNT 0: without end. What the agent would tell goes to standard error.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from tests.core.made import WALL, arrival
from tocsin.core.cursor import buffer_id
from tocsin.core.event import Draft
from tocsin.core.lasting import LastingBuffer
from tocsin.storage.log_file import LogFile

__all__ = ["Life", "main"]

_never = threading.Event()


class Life:
    """One life: a buffer and its file."""

    def __init__(
        self,
        directory: Path,
        *,
        life: int = 1,
        now: float = 0.0,
        retain: float = 300.0,
        interval: float = 30.0,
    ) -> None:
        self.buffer = LastingBuffer("", retain=retain)
        self.log = LogFile(
            directory,
            self.buffer,
            id_of=lambda number: buffer_id("test", "n1", number),
            life=life,
            interval=interval,
        )
        self.log.start(now)

    def add(self, *seqs: int, origin: str = "a", now: float = 0.0) -> None:
        """Events get their numbers."""
        for seq in seqs:
            self.buffer.append(arrival(origin, seq, born=now, data="x" * 100), now, WALL)

    def crash(self) -> None:
        """The agent is gone, its file as it is."""
        if self.log._writer is not None:
            self.log._writer.end()
        self.log._writer = None
        self.log.close()

    def held(self) -> list[str]:
        """The retained events, as origin and number."""
        return [f"{each.event.origin}{each.event.seq}" for each in self.buffer.arrivals()]

    def tend(self, now: float) -> Draft | None:
        """Tends the file until what that has begun is done."""
        told = self.log.tend(now)
        for _ in range(5):
            if self.log._job is not None:
                self.log._job.wait(10)
            if self.log._writer is not None:
                self.log._writer.append(b"", 10)  # behind whatever was asked of it
            told = self.log.tend(now) or told
        return told


def main(directory: str, count: str) -> None:
    """Numbers events until it is killed."""
    life = Life(Path(directory), life=time.time_ns() // 1_000_000, now=time.monotonic(), interval=0.0)
    print(life.buffer.id, flush=True)
    seq = int(life.buffer.seen().get("a", "-0").rpartition("-")[2])
    numbered = 0
    while not int(count) or numbered < int(count):
        seq, numbered, now = seq + 1, numbered + 1, time.monotonic()
        began = now
        life.add(seq, now=now)
        took = time.monotonic() - began
        life.buffer.retain = 0.05
        life.buffer.prune(now)
        draft = life.log.tend(now)
        if draft is not None:
            print(draft.type, draft.data["summary"], file=sys.stderr, flush=True)
        print(life.buffer.last, seq, f"{took:.6f}", flush=True)
        _never.wait(0.0005)
    life.log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
