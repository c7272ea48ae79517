"""A program for :mod:`tests.system.rail_nodes`: a node sends a clock on two rails and tells what it hears.

Arguments: this node's number, how many nodes, messages a second. Prints lines of JSON:

* ``["up", RAIL, NOW]`` when it begins to open a rail;
* ``["heard", RAIL, NODE, LAST, NOW]`` when a node is heard the first time (LAST is 0), or after a silence;
* ``["together"]`` when it hears every other node on every rail;
* ``["end", {…}]`` when its input has ended (:class:`~tests.system.rail_nodes.End`); then waits for a kill.

Times are seconds of the machine's monotonic clock, which all nodes of this machine share.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import partial

from tocsin.forwarder.zenoh import ZenohRail
from tocsin.forwarder.zenoh_config import make_room

RAILS = (1, 2)
SILENCE = 0.3
PADDING = bytes(300)


def tell(*what: object) -> None:
    """Prints a line."""
    print(json.dumps(what), flush=True)


class Ears:
    """When each node was last heard on each rail, and how late the latest message was."""

    def __init__(self, me: int, nodes: int) -> None:
        others = [f"node{number}" for number in range(1, nodes + 1) if number != me]
        self._missing = {(rail, node) for rail in RAILS for node in others}
        self.last: dict[tuple[int, str], float] = {}
        self.latest: dict[tuple[int, str], float] = {}

    def hear(self, rail: int, sender: str, payload: bytes) -> None:
        """Takes a message: the sender's clock."""
        now, key = time.monotonic(), (rail, sender)
        last = self.last.get(key, 0.0)
        self.last[key] = now
        self.latest[key] = max(self.latest.get(key, 0.0), now - float(payload.split(b"#")[0]))
        if now - last > SILENCE:
            tell("heard", rail, sender, round(last, 3), round(now, 3))
        if key in self._missing:
            self._missing.discard(key)
            if not self._missing:
                self.latest.clear()
                tell("together")


async def main(me: int, nodes: int, rate: float) -> None:
    """Sends on both rails until the input ends, and looks at them as an agent does."""
    ears, rails = Ears(me, nodes), []
    make_room(len(RAILS) * (nodes - 1))
    for number in RAILS:
        ends = [f"tcp/10.99.{number}.{node}:7447" for node in range(1, nodes + 1)]
        rail = ZenohRail(f"rail{number}", cluster="test", node=f"node{me}", listen=ends[me - 1], connect=ends)
        tell("up", number, round(time.monotonic(), 3))
        rail.start(partial(ears.hear, number))
        rails.append(rail)
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    stall, next_at = 0.0, time.monotonic()
    while not end.done():
        now = time.monotonic()
        stall, next_at = max(stall, now - next_at), now + 1 / rate
        living = {node for (_, node), last in ears.last.items() if now - last < 5}
        for rail in rails:
            rail.send(b"%f#" % now + PADDING)
            rail.look(living, living, now, 1.0)
        await asyncio.sleep(next_at - time.monotonic())
    told = {
        "last": [[*key, round(last, 3)] for key, last in ears.last.items()],
        "latest": [[*key, round(late, 3)] for key, late in ears.latest.items()],
        "peers": [rail.stats().peers for rail in rails],
        "stall": round(stall, 3),
    }
    tell("end", told)
    await asyncio.sleep(60)  # until it is killed, so that nobody sees another one leave
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
