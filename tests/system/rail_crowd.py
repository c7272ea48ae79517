"""A program for test_stall.py: one node of many. It sends a clock on two rails and tells how late others' is.

Arguments: this node's number, how many nodes, messages a second. Says ``together`` when it hears every other
node on both rails; ends when its input ends, and then prints one line of JSON: for each rail a list of
``[when it was sent, how late it was]``, in seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import partial

from tocsin.forwarder.zenoh import ZenohRail, left_behind
from tocsin.forwarder.zenoh_config import make_room

RAILS = (1, 2)
PAYLOAD = bytes(300)
#: Seconds until all hear each other, on a busy machine.
PATIENCE = 90.0


class Ears:
    """What is heard on each rail, from the moment when everybody is heard."""

    def __init__(self, nodes: int) -> None:
        self.missing = {(rail, f"node{number}") for rail in RAILS for number in range(1, nodes + 1)}
        self.heard: dict[int, list[tuple[float, float]]] = {rail: [] for rail in RAILS}
        self.together = asyncio.Event()

    def hear(self, rail: int, sender: str, payload: bytes) -> None:
        """Takes a message: the sender's monotonic clock, which all nodes of this machine share."""
        sent = float(payload.split(b"#")[0])
        if not self.missing:
            self.heard[rail].append((round(sent, 3), round(time.monotonic() - sent, 4)))
            return
        self.missing.discard((rail, sender))
        if not self.missing:
            self.together.set()


async def main(me: int, nodes: int, rate: float) -> None:
    """Sends on both rails until the input ends, then tells."""
    ears, rails = Ears(nodes), []
    make_room(len(RAILS) * (nodes - 1))
    ears.missing -= {(rail, f"node{me}") for rail in RAILS}
    for number in RAILS:
        ends = [f"tcp/10.99.{number}.{node}:7447" for node in range(1, nodes + 1)]
        rail = ZenohRail(f"rail{number}", cluster="test", node=f"node{me}", listen=ends[me - 1], connect=ends)
        rail.start(partial(ears.hear, number))
        rails.append(rail)
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    others = [f"node{number}" for number in range(1, nodes + 1) if number != me]
    said, begun = False, time.monotonic()
    while not end.done():
        known = [peer for peer in others if any((rail, peer) not in ears.missing for rail in RAILS)]
        for rail in rails:
            rail.send(b"%f#" % time.monotonic() + PAYLOAD)
            rail.look(known, known, time.monotonic(), 1.0)
        await asyncio.sleep(1 / rate)
        if ears.together.is_set() and not said:
            print("together", flush=True)
            said = True
        if not said and time.monotonic() > begun + PATIENCE:
            print(f"never heard: {sorted(ears.missing)}", flush=True)
            os._exit(1)  # a thread still reads
    print(json.dumps(ears.heard), flush=True)
    await asyncio.gather(*(rail.close() for rail in rails))
    if left_behind():
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
