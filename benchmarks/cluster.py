"""Three real agents on two rails: how long an event takes to the other buffers, and what idling costs.

Latency is the difference of wall clocks of one machine: ``time`` at the origin, ``recordedtime`` in the
other node's buffer. ``python -m benchmarks.cluster``.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from benchmarks.agents import Agents, pause

RATE = 200
SECONDS = 10
IDLE = 20


def latencies(agents: Agents) -> list[float]:
    """Milliseconds from the origin to the two other buffers, at a steady rate of single events."""
    period = 1 / RATE
    at = time.monotonic()
    for number in range(RATE * SECONDS):
        event = {"specversion": "1.0", "source": "/bench", "id": str(number), "type": "bench.tick"}
        agents.emit(0, [event])
        at += period
        pause(max(0.0, at - time.monotonic()))
    pause(0.5)
    found = []
    for node in (1, 2):
        events = agents.events(node, "bench.tick")
        assert len(events) == RATE * SECONDS, f"node{node + 1} has {len(events)}"
        for event in events:
            took = datetime.fromisoformat(event["recordedtime"]) - datetime.fromisoformat(event["time"])
            found.append(took.total_seconds() * 1000)
    return found


def main() -> None:
    """Prints the numbers of docs/performance.md."""
    with tempfile.TemporaryDirectory() as directory, Agents(Path(directory)) as agents:
        pause(10)
        cpu, memory = agents.cpu(IDLE), agents.memory()
        print(f"idle agent: {max(cpu):.2f} % of a core, {max(memory):.0f} MiB resident")
        took = sorted(latencies(agents))
        p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
        print(
            f"event to the other buffers at {RATE}/s: "
            f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {took[-1]:.1f} ms"
        )


if __name__ == "__main__":
    main()
