"""How many events a second one node can publish into the buffers of two others, all on this machine.

Against Zenoh and msgspec alone doing the same push (:mod:`benchmarks.raw`), and NATS JetStream with three
servers that all hold the stream in memory (:mod:`benchmarks.jetstream`). In all three the publisher goes as
fast as the others follow: never more than :data:`WINDOW` events are under way. Rounds take turns; what
counts is the median. A round ends when both others have everything; that time counts too.

    python -m benchmarks.rate [--seconds 10] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Final

import uvloop

from benchmarks import jetstream, raw
from benchmarks.agents import Agents, pause
from benchmarks.embedded import embedded
from benchmarks.table import Row, alone, show
from tocsin.core.event import report

__all__ = ["main"]

#: Events that are published and not yet known to be with the others.
WINDOW: Final = 12_000
#: Seconds that the last events may take.
_DRAIN: Final = 5.0
RETAIN: Final = 2.0


async def _ours(seconds: float) -> float:
    async with embedded(retain=RETAIN) as (agent, agents, followers):
        drafts = [
            report("bench.tick", f"subject{n}", None, "a line of plain words") for n in range(raw.BATCH)
        ]
        before = [follower.last for follower in followers]
        sent, start = 0, time.monotonic()

        def arrived() -> int:
            return min(f.last - was for f, was in zip(followers, before, strict=True))

        while time.monotonic() - start < seconds:
            if sent - arrived() > WINDOW:
                await asyncio.sleep(0.001)
                continue
            for _ in range(10):
                agent.publish(drafts)
                sent += raw.BATCH
            await asyncio.sleep(0)
        end = time.monotonic() + _DRAIN
        while arrived() < sent and time.monotonic() < end:
            await asyncio.sleep(0.005)
        took = time.monotonic() - start
        _complete(sent, arrived(), [_lost(agents, node) for node in range(2)])
        return sent / took


def _lost(agents: Agents, node: int) -> float:
    text = agents.client.get(f"{agents.urls[node]}/metrics").text
    lines = [line for line in text.splitlines() if "events_lost" in line and not line.startswith("#")]
    return sum(float(line.split()[-1]) for line in lines)


def _complete(sent: int, arrived: int, lost: list[float]) -> None:
    if arrived < sent or any(lost):
        raise RuntimeError(f"of {sent} events {arrived} arrived; lost for good: {lost}")


def ours(seconds: float) -> float:
    """Events a second into the buffers of two other agents, each of them there."""
    return uvloop.run(_ours(seconds))


def bare(seconds: float, *, read: bool = True) -> float:
    """Events a second that the slower of two bare receivers has got."""
    with raw.peers(read=read) as (publisher, peers):
        before = [peer.ask("count") for peer in peers]
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if publisher.sent - min(peer.progress.value for peer in peers) > WINDOW:
                pause(0.0005)
                continue
            for _ in range(10):
                publisher.publish(raw.BATCH)
        end = time.monotonic() + _DRAIN
        while min(peer.progress.value for peer in peers) < publisher.sent and time.monotonic() < end:
            pause(0.001)
        took = time.monotonic() - start
        return min(peer.ask("count") - was for peer, was in zip(peers, before, strict=True)) / took


def _bare_unread(seconds: float) -> float:
    return bare(seconds, read=False)


def main() -> list[Row]:
    """Measures in turns, and prints the medians and their ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    kinds: dict[str, Callable[[float], float]] = {"raw": bare, "tocsin": ours}
    if why := jetstream.missing():
        print(f"NATS JetStream is left out: {why}")
    else:
        kinds["jetstream"] = jetstream.rate
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind, function in kinds.items():
            found[kind].append(alone(function, options.seconds))
            print(f"{kind}: {found[kind][-1]:,.0f} events/s", flush=True)
    unread = alone(_bare_unread, options.seconds)
    return _rows({kind: median(rates) for kind, rates in found.items()}, unread)


def _rows(rates: dict[str, float], unread: float) -> list[Row]:
    ratio = rates["tocsin"] / rates["raw"]
    rows = [
        Row("raw Zenoh + msgspec, events/s", f"{rates['raw']:,.0f}"),
        Row("the same, bodies neither made nor read", f"{unread:,.0f}"),
        Row("Tocsin, into two other buffers, events/s", f"{rates['tocsin']:,.0f}"),
        Row("Tocsin to raw", f"{ratio:.2f}", "≥ 0.4", ratio >= 0.4),
    ]
    if "jetstream" in rates:
        ahead = rates["tocsin"] / rates["jetstream"]
        rows += [
            Row("NATS JetStream, three replicas in memory, events/s", f"{rates['jetstream']:,.0f}"),
            Row("Tocsin to JetStream", f"{ahead:.2f}", "> 1", ahead > 1),
        ]
    return rows


if __name__ == "__main__":
    show(main())
