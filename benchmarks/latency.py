"""How long an event takes into the buffers of other nodes at 200 events a second, against raw Zenoh.

An agent in its own process publishes one event after another, without HTTP; at the other two agents
``recordedtime`` less ``time`` is what it took. The baseline is Zenoh and msgspec alone
(:mod:`benchmarks.raw`): from the time in the event until it is decoded. Rounds take turns.

    python -m benchmarks.latency [--seconds 5] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from datetime import datetime
from statistics import median
from typing import Final, NamedTuple

import uvloop

from benchmarks import raw
from benchmarks.agents import pause
from benchmarks.embedded import embedded
from benchmarks.table import Row, alone, show
from tocsin.core.event import report

__all__ = ["main"]

RATE: Final = 200


class Took(NamedTuple):
    """Milliseconds: the median, and what 99 of 100 stay below."""

    p50: float
    p99: float


def _summary(milliseconds: list[float]) -> Took:
    ordered = sorted(milliseconds)
    return Took(median(ordered), ordered[int(len(ordered) * 0.99)])


async def _ours(seconds: float) -> Took:
    count = int(RATE * seconds)
    async with embedded(retain=120) as (agent, agents, _):
        at = time.monotonic()
        for number in range(count):
            agent.publish([report("bench.tick", f"subject{number % 20}", None, "a line of plain words")])
            at += 1 / RATE
            await asyncio.sleep(max(0.0, at - time.monotonic()))
        await asyncio.sleep(1)
        found = [event for node in range(2) for event in agents.events(node, "bench.tick")]
    if len(found) != 2 * count:
        raise RuntimeError(f"of {2 * count} events {len(found)} arrived")
    took = [_time(event["recordedtime"]) - _time(event["time"]) for event in found]
    return _summary([1000 * each for each in took])


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def ours(seconds: float) -> Took:
    """Between two agents' buffers."""
    return uvloop.run(_ours(seconds))


def bare(seconds: float) -> Took:
    """Between bare processes."""
    with raw.peers() as (publisher, peers):
        pause(3)
        at = time.monotonic()
        for _ in range(int(RATE * seconds)):
            publisher.publish(1)
            at += 1 / RATE
            pause(max(0.0, at - time.monotonic()))
        pause(1)
        return _summary([each for peer in peers for each in peer.ask("took")])


def main() -> list[Row]:
    """Measures in turns, and prints the medians of all rounds and their ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, list[Took]] = {"raw": [], "tocsin": []}
    for _ in range(options.rounds):
        for kind, function in (("raw", bare), ("tocsin", ours)):
            found[kind].append(alone(function, options.seconds))
            took = found[kind][-1]
            print(f"{kind}: p50 {took.p50:.2f} ms, p99 {took.p99:.2f} ms", flush=True)
    base, own = (
        Took(median(t.p50 for t in found[kind]), median(t.p99 for t in found[kind])) for kind in found
    )
    return [
        Row(f"raw Zenoh + msgspec at {RATE}/s", f"p50 {base.p50:.2f} ms, p99 {base.p99:.2f} ms"),
        Row(f"Tocsin at {RATE}/s", f"p50 {own.p50:.2f} ms, p99 {own.p99:.2f} ms"),
        Row("p50 to raw", f"{own.p50 / base.p50:.1f}", "≤ 3", own.p50 <= 3 * base.p50),
        Row(
            "p99 to raw", f"{own.p99 / base.p99:.1f}", "≤ 5, or p99 ≤ 2 ms", own.p99 <= max(2.0, 5 * base.p99)
        ),
    ]


if __name__ == "__main__":
    show(main())
