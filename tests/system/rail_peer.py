"""A program for test_rails.py: one end of each rail, which sends a clock and says how late the others' is.

Arguments: this node's number, how many nodes, messages a second, seconds. Prints one line of JSON. The first
seconds do not count: two that dial each other at the same instant refuse each other, and try again 2 s later.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial

from tocsin.forwarder.zenoh import ZenohRail

RAILS = (1, 2)
SETTLED = 9.0


class Ears:
    """What is heard of each node on each rail: the longest silence and the latest message, in seconds."""

    def __init__(self) -> None:
        self.counts_from = time.monotonic() + SETTLED
        self.last: dict[str, float] = {}
        self.silence: dict[str, float] = {}
        self.latest: dict[str, float] = {}

    def hear(self, rail: int, sender: str, payload: bytes) -> None:
        """Takes a message: the sender's monotonic clock, which all nodes of this machine share."""
        now, key = time.monotonic(), f"{rail}/{sender}"
        if now >= self.counts_from:
            self.silence[key] = max(self.silence.get(key, 0), now - self.last.get(key, now))
            self.latest[key] = max(self.latest.get(key, 0), now - float(payload.split(b"#")[0]))
        self.last[key] = now


async def main(me: int, nodes: int, rate: float, seconds: float) -> None:
    """Sends on all rails for a while, then tells."""
    ears, rails = Ears(), []
    for number in RAILS:
        ends = [f"tcp/10.99.{number}.{node}:7447" for node in range(1, nodes + 1)]
        rail = ZenohRail(f"rail{number}", cluster="test", node=f"node{me}", listen=ends[me - 1], connect=ends)
        rail.start(partial(ears.hear, number))
        rails.append(rail)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for rail in rails:
            rail.send(b"%f#" % time.monotonic() + bytes(300))
        await asyncio.sleep(1 / rate)
    peers = [rail.stats().peers for rail in rails]
    await asyncio.sleep(2)  # everyone looks before anyone leaves, also where they started one after the other
    for rail in rails:
        await rail.close()
    print(json.dumps({"silence": ears.silence, "latest": ears.latest, "peers": peers}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
