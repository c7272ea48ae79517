"""What idling costs: real agents on this machine, on two rails, to which nothing happens.

For 3, 10 and 30 agents (or those given): messages and bytes a second of each, its CPU time, its memory.
``python -m benchmarks.idle [--routers] [COUNT…]``: full mesh, or behind three routers. Simulated clusters
of up to 1,000 nodes: ``python -m benchmarks.idle_simulated``.
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.agents import Agents, pause

COUNTS: Final = (3, 10, 30)
#: Seconds between two starts, until the last one is over, and that are measured.
APART: Final = 1.0
ROUTERS: Final = 3
SETTLE: Final = 30.0
SECONDS: Final = 30.0
_COUNTERS: Final = ("rail_sent", "rail_sent_bytes", "rail_received", "rail_received_bytes")


def counted(agents: Agents, node: int) -> dict[str, float]:
    """What the rails of an agent have sent and received so far."""
    found = dict.fromkeys(_COUNTERS, 0.0)
    for line in agents.client.get(f"{agents.urls[node]}/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        name = name.partition("{")[0].removeprefix("tocsin_").removesuffix("_total")
        if name in found:
            found[name] += float(value)
    return found


def measure(agents: Agents, first: int) -> dict[str, float]:
    """Per agent: messages and bytes a second, per cent of a core, MiB; ``most``: the largest of all.

    The others are medians, from node ``first`` on.
    """
    nodes = range(first, len(agents.urls))
    pause(SETTLE + len(agents.urls))
    began, before = time.monotonic(), [counted(agents, node) for node in nodes]
    cpu = agents.cpu(SECONDS)
    seconds, after = time.monotonic() - began, [counted(agents, node) for node in nodes]
    rates = {
        name: statistics.median(
            (now[name] - was[name]) / seconds for was, now in zip(before, after, strict=True)
        )
        for name in _COUNTERS
    }
    memory = agents.memory()
    return rates | {
        "cpu": statistics.median(cpu[first:]),
        "cpu most": max(cpu),
        "memory": statistics.median(memory[first:]),
        "memory most": max(memory),
    }


def main() -> None:
    """Prints the table of docs/scale.md."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the agents end with it
    routers = ROUTERS if "--routers" in sys.argv else 0
    if routers:
        print(f"{ROUTERS} of them are routers, the others their clients; medians are of the clients")
    print("| agents | sent/s | received/s | received B/s | CPU, median (most) | memory, median (most) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for count in [int(word) for word in sys.argv[1:] if word.isdigit()] or COUNTS:
        with (
            tempfile.TemporaryDirectory() as directory,
            Agents(Path(directory), count, apart=APART, routers=routers) as agents,
        ):
            found = measure(agents, routers)
        print(
            f"| {count} | {found['rail_sent']:.1f} | {found['rail_received']:.1f} "
            f"| {found['rail_received_bytes']:,.0f} "
            f"| {found['cpu']:.2f} % ({found['cpu most']:.2f} %) "
            f"| {found['memory']:.0f} MiB ({found['memory most']:.0f} MiB) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
