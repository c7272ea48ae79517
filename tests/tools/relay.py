"""A bad cable in user space: pairs of TAP devices, with a relay between them that harms what passes.

``python -m tests.tools.relay NAME-A NAME-B [NAME-A NAME-B]…`` makes the devices in its own namespace, says
``ready``, and reads harms from standard input, one JSON document a line; when that ends it says what it did.
A harm: the probabilities ``loss``, ``twice`` (duplication), ``flip`` (of one bit), ``early`` (overtakes what
is delayed), and the seconds ``delay`` and ``jitter``. Both directions are treated alike.

The kernel computes checksums and cuts large segments before a TAP device, so that what arrives with a flipped
bit is what a broken cable delivers.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Final, NamedTuple

__all__ = ["Harm", "Relay"]

_TUNSETIFF: Final = 0x400454CA
_IFF_TAP: Final = 2
_IFF_NO_PI: Final = 0x1000
_LONGEST: Final = 70_000
_SEED: Final = 7
#: Bits are flipped behind the Ethernet header: addresses of the switch stay, everything else is fair game.
_HEADER: Final = 14


class Harm(NamedTuple):
    """What happens to frames: probabilities, and seconds."""

    loss: float = 0.0
    twice: float = 0.0
    flip: float = 0.0
    early: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0


class Relay:
    """Decides about frames; no I/O. ``put`` takes one, ``due`` gives those whose time has come."""

    def __init__(self, seed: int = _SEED) -> None:
        self.harm = Harm()
        self.done: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = 0

    def put(self, way: int, frame: bytes, now: float) -> None:
        """Takes a frame that goes to the device ``way``, at a time in seconds."""
        if self._happens("loss"):
            return
        for _ in range(2 if self._happens("twice") else 1):
            copy = self._flipped(frame) if self._happens("flip") else frame
            delay = self.harm.delay + self.harm.jitter * self._random.random()
            if self._happens("early"):
                delay = 0.0
            self._count += 1
            heapq.heappush(self._waiting, (now + delay, self._count, way, copy))

    def due(self, now: float) -> list[tuple[int, bytes]]:
        """The frames to deliver by now, with the devices they go to."""
        found = []
        while self._waiting and self._waiting[0][0] <= now:
            _, _, way, frame = heapq.heappop(self._waiting)
            found.append((way, frame))
        self.done["delivered"] += len(found)
        return found

    def pause(self, now: float) -> float:
        """Seconds until the next frame is due; a second at most."""
        return max(0.0, min(1.0, self._waiting[0][0] - now)) if self._waiting else 1.0

    def _happens(self, what: str) -> bool:
        happens = self._random.random() < getattr(self.harm, what)
        self.done[what] += happens
        return happens

    def _flipped(self, frame: bytes) -> bytes:
        if len(frame) <= _HEADER:
            return frame
        at = self._random.randrange(_HEADER, len(frame))
        return frame[:at] + bytes([frame[at] ^ (1 << self._random.randrange(8))]) + frame[at + 1 :]


def _device(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return descriptor


def _serve(devices: list[int]) -> Counter[str]:
    """Relays until standard input ends. Devices are pairs: 0 and 1, 2 and 3 …"""
    relay, waits = Relay(), select.poll()
    for descriptor in (0, *devices):
        waits.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in waits.poll(relay.pause(time.monotonic()) * 1000 + 0.5):
            if descriptor == 0:
                line = sys.stdin.readline()
                if not line:
                    return relay.done
                relay.harm = Harm(**json.loads(line))
                print("harming", flush=True)
                continue
            way = devices.index(descriptor) ^ 1
            with suppress(OSError):  # no more for now, or the device is down
                while True:
                    relay.put(way, os.read(descriptor, _LONGEST), time.monotonic())
        for way, frame in relay.due(time.monotonic()):
            with suppress(OSError):  # a device that is down loses frames, as it should
                os.write(devices[way], frame)


def main() -> None:
    """The program."""
    devices = [_device(name) for name in sys.argv[1:]]
    print("ready", flush=True)
    print(json.dumps(_serve(devices)))


if __name__ == "__main__":
    main()
