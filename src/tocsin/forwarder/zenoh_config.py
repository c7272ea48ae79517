"""How the engine is set up, and what its errors mean to an operator; the reasons are in DESIGN.md section 5.

Text and environment only: whoever imports this does not load the engine.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Collection, Iterable
from typing import Final

from tocsin.core.errors import RailError
from tocsin.endpoints import Endpoint, parse_endpoint
from tocsin.forwarder.rail import MAX_MESSAGE_BYTES

__all__ = ["configuration", "make_room", "sentence"]

#: A silent peer is given up after this: milliseconds.
_LEASE: Final = 2000
#: An attempt to dial lasts so long at most: milliseconds. TCP repeats itself after 1 s and then, with older
#: kernels, after 3, 7 … s: a longer attempt would miss the heal, a shorter one a slow network.
_DIAL: Final = 1500
#: Between two attempts, milliseconds: the first pause, and the longest. For ever: one attempt in 2 s for each
#: peer that is gone.
_PAUSE: Final = (250, 500)
#: Receive threads: at least, and at most. One costs 13 kB.
_THREADS: Final = (32, 1024)
_WHAT_TO_DO: Final = {
    13: "this user may not use that port: choose one above 1023",
    19: "there is no such network interface (yet)",
    98: "the port is in use: another agent or program runs there, stop it or choose another port",
    99: "this machine does not have that address (yet): is the interface up?",
}

# Closing a dead link blocks one receive thread for as long as its socket lingers. With the default of two
# such threads for all sessions of a process, a dead rail stalls the healthy one too. The engine reads this
# when it opens its first session.
_OPERATORS_OWN: Final = "ZENOH_RUNTIME" in os.environ
os.environ.setdefault("ZENOH_RUNTIME", f"(rx: (worker_threads: {_THREADS[0]}))")


def make_room(links: int) -> None:
    """Has the engine take receive threads for so many links, which may all die at the same time.

    To be called before the first rail is started. What an operator has set as ``ZENOH_RUNTIME`` stays.
    Measured with 19 peers and one of two rails dead for all: with 2, 16 or 32 threads the other rail stalls
    for 5 s, with two for each link never (docs/rails.md); and nodes that dial each other have two links.
    """
    if not _OPERATORS_OWN:
        least, most = _THREADS
        os.environ["ZENOH_RUNTIME"] = f"(rx: (worker_threads: {min(most, max(least, 2 * links))}))"


def configuration(
    name: str, listen: str, connect: Iterable[str], mode: str = "peer", *, awaited: Collection[str] = ()
) -> str:
    """The engine's configuration; ``mode`` is ``peer``, ``client`` or ``router`` (docs/scale.md).

    ``awaited``: those of ``connect`` that are left to dial this node (:mod:`tocsin.forwarder.dialling`).
    A client does not listen; where ``listen`` is not empty it is the address from which it dials.
    Raises :exc:`RailError` for an endpoint that cannot be read.
    """
    try:
        own = parse_endpoint(listen) if listen or mode != "client" else None
        peers = {peer: parse_endpoint(peer, any_port=False) for peer in connect}
    except ValueError as error:
        raise RailError(f"{name}: {error}") from None
    # The same list on every node is convenient, so a node's own address may be in it.
    others = {text: peer for text, peer in peers.items() if own is None or peer.address != own.address}
    dialled = [
        text if own is None else _bound(text, peer, own)
        for text, peer in others.items()
        if text not in awaited
    ]
    protocols = {end.protocol for end in (own, *peers.values()) if end is not None}
    return json.dumps(
        {
            "mode": mode,
            "listen": {
                "endpoints": [] if mode == "client" else [listen],
                "timeout_ms": 0,
                "exit_on_failure": True,
            },
            "connect": {
                "endpoints": dialled,
                # Without end, in the background. 0 would mean: once, and never again if that fails; so for
                # a client, whose open would not return otherwise: the rail's thread opens it again.
                "timeout_ms": 0 if mode == "client" else -1,
                "exit_on_failure": False,
                "retry": {
                    "period_init_ms": _PAUSE[0],
                    "period_max_ms": _PAUSE[1],
                    "period_increase_factor": 2,
                },
            },
            "open": {"return_conditions": {"connect_scouted": False, "declares": False}},
            "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
            "adminspace": {"enabled": False},
            "transport": {
                "shared_memory": {"enabled": False},
                "unicast": {"max_links": 1, "open_timeout": _DIAL, "accept_timeout": _LEASE},
                "link": {
                    "protocols": sorted(protocols),
                    # 16 batches of 64 KiB a peer, taken when needed: a burst survives on a busy machine.
                    "tx": {"lease": _LEASE, "keep_alive": 4, "queue": {"size": {"data": 16}}},
                    "rx": {"max_message_size": MAX_MESSAGE_BYTES + 4096},
                },
            },
        }
    )


def _bound(text: str, peer: Endpoint, own: Endpoint) -> str:
    """The peer's endpoint, dialled from the rail's own address, so that a rail stays on its network."""
    try:
        here, there = ipaddress.ip_address(own.address.host), ipaddress.ip_address(peer.address.host)
    except ValueError:
        return text
    if peer.options or peer.protocol != "tcp" or here.is_unspecified or here.version != there.version:
        return text
    return f"{text}#bind={own.address._replace(port=0)}"


def sentence(name: str, where: str, error: Exception) -> str:
    """What is wrong, where, and what to do, from the engine's text."""
    text = str(error) or type(error).__name__
    number = re.search(r"os error (\d+)|code: (\d+)", text)
    plain = re.sub(r"\s+at /\S+", "", text)
    what = _WHAT_TO_DO.get(int(number[1] or number[2])) if number else None
    return f"{name}: cannot open {where}: {what or plain}; trying again"
