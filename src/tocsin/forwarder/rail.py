"""The port to a rail: one private network between the nodes, seen as "send to all" and "send to one".

A rail may lose, and a message that it loses is a hole that the replica fills (DESIGN.md section 5). What a
rail must do: never block its caller, keep the order of what one node sent, bound every queue, count every
loss it knows of. :mod:`tocsin.forwarder.zenoh` is the real one, :mod:`tocsin.forwarder.memory` its twin; one
suite of tests runs on both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

from tocsin.core.errors import RailError

__all__ = ["MAX_MESSAGE_BYTES", "Deliver", "Rail", "RailStats", "check_name"]

#: A rail refuses to send more in one message, and refuses to receive more: a bound on what a peer can cost.
MAX_MESSAGE_BYTES: Final = 1 << 20

#: Called with the sender's node name and the payload, on the thread of the event loop.
Deliver: TypeAlias = Callable[[str, bytes], None]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


class RailStats(NamedTuple):
    """What a rail did and how it is. Counters only grow, also when the rail is closed and started again."""

    #: Whether the rail is open here; it says nothing about peers.
    up: bool = False
    #: Why it is not up, in words for the operator; empty if it is.
    reason: str = ""
    #: How many peers are connected now.
    peers: int = 0
    #: One address of each, as the engine writes it, sorted.
    links: tuple[str, ...] = ()
    #: When each node was last heard on this rail: seconds of the event loop's clock.
    heard: Mapping[str, float] = {}
    #: How often it was opened.
    opened: int = 0
    #: Messages and bytes handed to the engine. The engine may drop of them what a slow peer does not take.
    sent: int = 0
    sent_bytes: int = 0
    #: Messages and bytes handed to ``deliver``.
    received: int = 0
    received_bytes: int = 0
    #: Messages thrown away here: not up, queue full, larger than :data:`MAX_MESSAGE_BYTES`.
    dropped_out: int = 0
    #: Messages that arrived and were thrown away because the loop did not keep up.
    dropped_in: int = 0
    #: Echoes asked for, and those that did not come within a second.
    echoes: int = 0
    echoes_lost: int = 0
    #: How often it was opened again because it hung, and how many engines did not close in time then.
    reopened: int = 0
    left_behind: int = 0
    #: Of each peer, the median of its recent round trips in seconds.
    round_trips: Mapping[str, float] = {}


class Rail(Protocol):
    """One rail of this node. All of it is called on the event loop's thread; nothing of it blocks."""

    @property
    def name(self) -> str:
        """``rail1``, ``rail2`` … as it is shown."""

    def start(self, deliver: Deliver) -> None:
        """Opens the rail, in the background: what keeps it from being up is in :meth:`stats`.

        It goes on trying. ``deliver`` is called in the order in which each sender sent.
        """

    def send(self, payload: bytes, to: str | None = None) -> None:
        """Hands a message to one node, or to all others if ``to`` is None. Never blocks, never raises."""

    def look(self, living: Iterable[str], awake: Collection[str], now: float, period: float) -> None:
        """Asks for echoes when it is time, and opens the rail again if it hangs (:mod:`tocsin.core.echoes`).

        To be called several times a second. ``living``: the peers that should answer; ``awake``: those that
        are heard on another rail; ``now``: monotonic seconds; ``period``: of the announces, in seconds.
        """

    def stats(self) -> RailStats:
        """What it did so far."""

    async def close(self) -> None:
        """Sends what was handed over, as far as that goes quickly, and closes; takes a second at most."""


def check_name(name: str, what: str) -> str:
    """Returns ``name`` if it may stand in the address of a message. Raises :exc:`RailError`."""
    if not _NAME.match(name):
        raise RailError(
            f"the name of the {what}, {name[:80]!r}, cannot be used on a rail: "
            "letters, digits, '.', '_' and '-' only, a letter or digit first"
        )
    return name
