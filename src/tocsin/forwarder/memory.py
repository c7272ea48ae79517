"""The twin of a rail without a network: for tests, with faults to order.

A :class:`MemoryHub` is the network; each node has one :class:`MemoryRail` on it. Messages take the same way
through a bounded inbox as those of the real rail, so ``deliver`` is never called from inside ``send``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from tocsin.core.echoes import Echo
from tocsin.core.errors import RailError
from tocsin.forwarder.crossing import MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES, Inbox, Tally
from tocsin.forwarder.rail import MAX_MESSAGE_BYTES, Deliver, RailStats, check_name

__all__ = ["MemoryHub", "MemoryRail"]


class MemoryHub:
    """A network in memory. Everything on it happens on one event loop."""

    def __init__(self, name: str = "rail1") -> None:
        self.name = name
        self.rails: dict[str, MemoryRail] = {}
        self._cuts: set[tuple[str, str]] = set()
        self._hanging: set[str] = set()

    def cut(self, sender: str, receiver: str = "*", *, one_way: bool = False) -> None:
        """From now on nothing passes between two nodes; ``*`` stands for every other node."""
        self._cuts.add((sender, receiver))
        if not one_way:
            self._cuts.add((receiver, sender))

    def heal(self) -> None:
        """Everything passes again; what was sent meanwhile is lost."""
        self._cuts.clear()

    def hang(self, node: str) -> None:
        """The engine of a node hangs: its links are there, nothing passes, until it is opened again."""
        self._hanging.add(node)

    def opened(self, node: str) -> None:
        """The engine of a node is a new one."""
        self._hanging.discard(node)

    def connected(self, sender: str, receiver: str) -> bool:
        """Whether what ``sender`` sends reaches ``receiver``."""
        return not self._hanging & {sender, receiver} and self.linked(sender, receiver)

    def linked(self, sender: str, receiver: str) -> bool:
        """Whether there is a way, seen from below."""
        return not self._cuts & {(sender, receiver), (sender, "*"), ("*", receiver)}

    def others(self, node: str) -> list[str]:
        """The nodes that are on the network besides ``node``."""
        return [other for other in self.rails if other != node]

    def carry(self, sender: str, receiver: str, payload: bytes) -> None:
        """Brings a message to a node, if there is such a node and a way."""
        rail = self.rails.get(receiver)
        if rail is not None and receiver != sender and self.connected(sender, receiver):
            rail.arrive(sender, payload)


class MemoryRail:
    """One node's end of a :class:`MemoryHub`."""

    def __init__(
        self,
        hub: MemoryHub,
        node: str,
        *,
        max_messages: int = MAX_QUEUED_MESSAGES,
        max_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._hub = hub
        self.node = check_name(node, "node")
        self._limits = {"max_messages": max_messages, "max_bytes": max_bytes}
        self._inbox: Inbox | None = None
        self._tally = Tally()
        self._reason = "not started"

    @property
    def name(self) -> str:
        """The name of the network."""
        return self._hub.name

    def start(self, deliver: Deliver) -> None:
        """Joins the network. Raises :exc:`RailError` if the node is on it already."""
        if self._hub.rails.setdefault(self.node, self) is not self or self._inbox is not None:
            raise RailError(f"{self.name}: a node named {self.node} is on this rail already")
        self._inbox = Inbox(asyncio.get_running_loop(), deliver, self._tally, **self._limits)
        self._tally.opened += 1
        self._hub.opened(self.node)
        self._reason = ""

    def send(self, payload: bytes, to: str | None = None) -> None:
        """Puts the message into the inbox of the receivers that are connected."""
        if self._inbox is None or len(payload) > MAX_MESSAGE_BYTES:
            self._tally.refused += 1
            return
        self._tally.sent += 1
        self._tally.sent_bytes += len(payload)
        for node in self._hub.others(self.node) if to is None else [to]:
            self._hub.carry(self.node, node, payload)

    def arrive(self, sender: str, payload: bytes) -> None:
        """The hub brings a message."""
        if self._inbox is not None:
            self._inbox.put(sender, payload)

    def look(self, living: Iterable[str], awake: Collection[str], now: float, period: float) -> None:
        """Asks for echoes; where there is a way there and back they come at once."""
        if self._inbox is None:
            return
        echoes, connected = self._tally.echoes, self._hub.connected
        for peer, number in echoes.look(living, self._linked(), self._tally.heard, now, period):
            if peer in self._hub.rails and connected(self.node, peer) and connected(peer, self.node):
                echoes.came(peer, Echo(True, number, peer), now)
        if echoes.hanging(awake, now):
            self._tally.reopened += 1
            self._tally.opened += 1
            self._hub.opened(self.node)

    def _linked(self) -> list[str]:
        here, linked = self.node, self._hub.linked
        return [peer for peer in self._hub.others(here) if linked(here, peer) and linked(peer, here)]

    def stats(self) -> RailStats:
        """What it did so far. A peer counts as connected if both directions work."""
        links = [] if self._reason else [(peer, f"memory/{peer}") for peer in self._linked()]
        return self._tally.stats(reason=self._reason, links=links)

    async def close(self) -> None:
        """Leaves the network."""
        if self._inbox is None:
            return
        self._inbox.close()
        self._inbox = None
        self._reason = "closed"
        del self._hub.rails[self.node]
