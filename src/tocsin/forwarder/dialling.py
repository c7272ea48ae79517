"""Who dials whom on a rail, and what happens where the other end does not.

Of two nodes that list each other only one dials, for ever, and the other one listens. If both dialled they
had two links; when a network breaks for about two seconds, one end forgets the peer and its numbering while
the other's second link still seems alive, and what is sent is thrown away as old, for seconds and more.

The one with the higher address dials: a node that is added to a cluster often is not in the lists of those
that run already. Where the lists are one-sided the other way round, the listening end finds out that the
peer is there and does not dial, and begins to: :class:`Lookout`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from tocsin.endpoints import Address, Endpoint, parse_endpoint

__all__ = ["LOOK_EVERY", "Lookout", "dials", "listening", "lower_half"]

#: A peer that listens must dial within this, in seconds; it takes less than three after a cut: its attempts
#: last 1.5 s at most, and it is refused until the lease of its former link is over.
_PATIENCE: Final = 4.0
#: Seconds between two looks at whether a peer listens.
LOOK_EVERY: Final = 2.0
#: Seconds for a connection to a peer that listens.
_CONNECT: Final = 1.0


def dials(own: Endpoint, peer: Endpoint) -> bool:
    """Whether the node that listens at ``own`` is the one that dials ``peer``.

    Both ends must come to opposite answers. Where their texts do not tell (names, an address that stands for
    all, options, another protocol than TCP) both dial.
    """
    try:
        here, there = ipaddress.ip_address(own.address.host), ipaddress.ip_address(peer.address.host)
    except ValueError:
        return True
    plain = own.protocol == peer.protocol == "tcp" and not peer.options
    if not plain or here.is_unspecified or not own.address.port or here.version != there.version:
        return True
    return (int(here), own.address.port) > (int(there), peer.address.port)


def lower_half(listen: str, connect: Iterable[str]) -> frozenset[str]:
    """The endpoints that are expected to dial this node. Raises :exc:`ValueError` as the parser does."""
    if not listen:
        return frozenset()
    own = parse_endpoint(listen)
    peers = {text: parse_endpoint(text) for text in connect}
    return frozenset(
        text for text, peer in peers.items() if peer.address != own.address and not dials(own, peer)
    )


class Lookout:
    """Finds peers that listen and do not dial, among those that should. Times are monotonic seconds.

    A peer is asked only while there is no link with its host, each :data:`LOOK_EVERY` seconds.
    """

    def __init__(self, listen: str, connect: Iterable[str], awaited: Collection[str]) -> None:
        own = parse_endpoint(listen) if listen else None
        peers = {text: parse_endpoint(text) for text in connect}
        mine = own and own.address
        self._hosts = {text: peer.address.host for text, peer in peers.items() if peer.address != mine}
        self._awaited = sorted(set(awaited) & self._hosts.keys())
        #: Since when each of them answers although it has no link; the session that answered.
        self._answers: dict[str, tuple[float, str]] = {}
        self._next = 0.0

    def due(self, links: Iterable[tuple[str, str]], now: float) -> list[str]:
        """The endpoints to ask now. ``links``: (the engine's name of a session, its address)."""
        if now < self._next or not self._awaited:
            return []
        self._next = now + LOOK_EVERY
        linked = Counter(_host(address) for _, address in dict(links).items())
        wanted = Counter(self._hosts.values())
        absent = [text for text in self._awaited if linked[self._hosts[text]] < wanted[self._hosts[text]]]
        self._answers = {text: answer for text, answer in self._answers.items() if text in absent}
        return absent

    def answered(
        self, sessions: Mapping[str, str], links: Iterable[tuple[str, str]], now: float
    ) -> list[str]:
        """What came of asking: endpoint -> session or "". Returns those that will have to be dialled."""
        linked = {session for session, _ in links}
        for text, session in sessions.items():
            if not session or session in linked:
                self._answers.pop(text, None)
            elif self._answers.get(text, (0.0, ""))[1] != session:
                self._answers[text] = (now, session)
        return [text for text, (since, _) in self._answers.items() if now - since >= _PATIENCE]


async def listening(own: str, endpoints: Iterable[str]) -> list[str]:
    """Those of the endpoints that take a TCP connection from this node's own address, within a second."""
    here, taken = parse_endpoint(own).address.host, list(endpoints)
    answers = await asyncio.gather(*(_takes(here, parse_endpoint(text).address) for text in taken))
    return [text for text, answer in zip(taken, answers, strict=True) if answer]


async def _takes(here: str, there: Address) -> bool:
    family = socket.AF_INET6 if ":" in there.host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setblocking(False)
        try:
            sock.bind((here, 0))
            async with asyncio.timeout(_CONNECT):
                await asyncio.get_running_loop().sock_connect(sock, tuple(there))
        except OSError:  # a time limit is one, too
            return False
        return True


def _host(address: str) -> str:
    """The host in an address as the engine writes it: ``tcp/[fe80::1]:7447``."""
    return address.partition("/")[2].rpartition(":")[0].strip("[]")
