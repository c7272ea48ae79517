"""What idling costs in large clusters: real replicas in one process, on one simulated rail.

Per node: messages and bytes a second on one rail, and the CPU time of the replica alone. What the engine, the
threads and the generators cost beside that: ``python -m benchmarks.idle``. The start is not measured.
``python -m benchmarks.idle_simulated [NODES…]``; a thousand nodes take some minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from tests.simulator import World
from tocsin.core.messages import decode

COUNTS: Final = (10, 100, 1000)


class Measured(World):
    """A world that counts what is sent, and the time that replicas take."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.network.rails = 1
        self.messages = self.bytes = 0
        self.seconds = 0.0
        self.start()
        for node in self.nodes.values():
            for name in ("handle", "tick"):
                setattr(node.replica, name, self._timed(getattr(node.replica, name)))

    def _timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = time.process_time()
            try:
                return work(*arguments)
            finally:
                self.seconds += time.process_time() - began

        return timed

    def send(self, sender: str, payload: bytes, to: str | None) -> None:
        before, began = self.sent, time.process_time()
        decode(payload)
        took = time.process_time() - began
        super().send(sender, payload, to)
        self.messages += self.sent - before
        self.seconds += took * (self.sent - before)  # here it is read once for all, elsewhere by each
        self.bytes += (self.sent - before) * len(payload)


def measure(count: int) -> tuple[float, float, float, float]:
    """Seconds between two announces; messages and bytes received a second; per cent of a core, per node."""
    world = Measured(count)
    period = max(1.0, count / 100)
    world.run(10 + 2 * period)
    world.messages, world.bytes, world.seconds = 0, 0, 0.0
    seconds = max(10.0, period)
    world.run(seconds)
    share = count * seconds
    return period, world.messages / share, world.bytes / share, 100 * world.seconds / share


def main() -> None:
    """Prints the table of docs/scale.md."""
    print("| nodes | announce every | messages received/s | bytes received/s | CPU of the replica |")
    print("| --- | --- | --- | --- | --- |")
    for count in [int(word) for word in sys.argv[1:]] or COUNTS:
        period, messages, size, cpu = measure(count)
        print(
            f"| {count:,} | {period:g} s | {messages:.0f} | {size:,.0f} | {cpu:.2f} % of a core |", flush=True
        )


if __name__ == "__main__":
    main()
