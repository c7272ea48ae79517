"""A rail over Zenoh; the only file that knows Zenoh. Measured reasons are in DESIGN.md section 5.

One session a rail, so that a dead network stops nothing but its own. One thread a rail does all that may
block: it opens the session (and goes on trying), hands messages to it, and closes it. What arrives is only
put into a bounded inbox by the engine's receive threads.

Messages travel under ``tocsin/<cluster>/<from>/all`` and ``tocsin/<cluster>/<from>/to/<node>``; the sender is
read from the key, never from the payload.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from tocsin.core.errors import RailError
from tocsin.endpoints import Endpoint, parse_endpoint
from tocsin.forwarder.crossing import Inbox, Outbox, Parcel, Tally, hand_over
from tocsin.forwarder.rail import MAX_MESSAGE_BYTES, Deliver, RailStats, check_name

# Closing a dead link blocks one receive thread for as long as its socket lingers. With the default of two
# such threads for all sessions of a process, a dead rail stalls the healthy one too; so there is one for
# each link that may die at the same time. The engine reads this once, when it is loaded.
os.environ.setdefault("ZENOH_RUNTIME", "(rx: (worker_threads: 32))")

import zenoh

__all__ = ["ZenohRail", "left_behind"]

_log = logging.getLogger(__name__)

#: A silent peer is given up after this: milliseconds.
_LEASE: Final = 2000
#: A peer that does not answer is dialled again after this: milliseconds. Not longer: after a cut the next
#: attempt must not wait for TCP, which repeats itself after 1, 3, 7 … seconds. Measured: back 0.3 to 1.8 s
#: after the heal; with 2000 up to 3.3 s.
_DIAL: Final = 1000
#: Pause between two attempts to open the session: the first, and the longest; seconds.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 1.0
#: How often an idle rail looks whether its session is still open, seconds.
_LOOK: Final = 1.0
#: Closing: for what is still queued, and for all of it (the engine's own close may take 10 s), seconds.
_FLUSH_TIME: Final = 0.4
_CLOSE_TIME: Final = 1.0
_WHAT_TO_DO: Final = {
    13: "this user may not use that port: choose one above 1023",
    19: "there is no such network interface (yet)",
    98: "the port is in use: another agent or program runs there, stop it or choose another port",
    99: "this machine does not have that address (yet): is the interface up?",
}


#: Rails whose engine has not finished closing; written by their threads, too.
_behind: set[_Life] = set()


def left_behind() -> bool:
    """Whether an engine still hangs in its close, on a peer that froze a moment ago.

    Such a process should end with :func:`os._exit`: the engine's threads abort while the interpreter ends.
    """
    return bool(_behind)


class ZenohRail:
    """One rail of a node. ``listen`` and ``connect`` are Zenoh endpoints, e.g. ``tcp/10.1.0.1:7447``.

    Raises :exc:`RailError` for an endpoint or a name that cannot be used. An address that this machine does
    not have, or a port in use, is told in :meth:`stats` and tried again, each second at least.
    """

    def __init__(
        self, name: str, *, cluster: str, node: str, listen: str, connect: Iterable[str] = ()
    ) -> None:
        self._name = name
        self._config = _config(name, listen, connect)
        self._place = _Place(
            name, listen, f"tocsin/{check_name(cluster, 'cluster')}", check_name(node, "node")
        )
        self._tally = Tally()
        self._life: _Life | None = None
        self._reason = "not started"

    @property
    def name(self) -> str:
        """As it is shown: ``rail1``, ``rail2`` …"""
        return self._name

    def start(self, deliver: Deliver) -> None:
        """Starts the thread that opens the session."""
        if self._life is not None:
            raise RailError(f"{self._name} is started already")
        loop = asyncio.get_running_loop()
        inbox = Inbox(loop, deliver, self._tally)
        self._life = _Life(self._place, self._config, loop, inbox, self._tally)

    def send(self, payload: bytes, to: str | None = None) -> None:
        """Queues the message for the rail's thread."""
        if len(payload) > MAX_MESSAGE_BYTES or self._life is None or not self._life.take(payload, to):
            self._tally.refused += 1

    def stats(self) -> RailStats:
        """What it did so far. What the engine itself dropped is not in it: the replica sees holes."""
        if self._life is None:
            return self._tally.stats(reason=self._reason)
        return self._tally.stats(reason=self._life.reason, links=self._life.links.copy())

    async def close(self) -> None:
        """Sends what is queued and closes, in a second at most; what then still hangs is left behind."""
        life, self._life = self._life, None
        if life is None:
            return
        self._reason = "closed"
        try:
            async with asyncio.timeout(_CLOSE_TIME):
                await life.end()
        except TimeoutError:
            _behind.add(life)
            if life.over:  # between the time-out and now
                _behind.discard(life)
            _log.warning("%s: the engine did not close within %g s; left behind", self._name, _CLOSE_TIME)


class _Place(NamedTuple):
    """Where a rail is, on the machine and among the keys."""

    name: str
    listen: str
    prefix: str
    node: str

    def to(self, node: str | None) -> str:
        """The key under which this node sends to one node, or to all."""
        return f"{self.prefix}/{self.node}/all" if node is None else f"{self.prefix}/{self.node}/to/{node}"

    def heard(self) -> tuple[str, str]:
        """The keys that concern this node."""
        return f"{self.prefix}/*/all", f"{self.prefix}/*/to/{self.node}"


class _Life:
    """A rail from start to close: the thread, the session and the queues."""

    def __init__(
        self, place: _Place, config: str, loop: asyncio.AbstractEventLoop, inbox: Inbox, tally: Tally
    ) -> None:
        self._place, self._config, self._loop, self._inbox, self._tally = place, config, loop, inbox, tally
        self._outbox = Outbox()
        self._stop = threading.Event()
        self._stop_at = 0.0
        self._ended: asyncio.Future[None] = loop.create_future()
        #: Whether the thread has done its work.
        self.over = False
        #: Why the session is not open; empty if it is.
        self.reason = "opening"
        #: (peer, its address); written by the engine's threads. Two nodes that dial each other at the same
        #: instant have two links.
        self.links: set[tuple[str, str]] = set()
        # A daemon: a hanging engine must not keep the process alive.
        threading.Thread(target=self._run, name=place.name, daemon=True).start()

    def take(self, payload: bytes, to: str | None) -> bool:
        """Queues a message; False if it cannot be sent."""
        return not self.reason and self._outbox.put(payload, to)

    async def end(self) -> None:
        """Waits until the thread has sent what is queued and closed the session."""
        self._stop_at = time.monotonic() + _FLUSH_TIME
        self._stop.set()
        self._outbox.end()
        self._inbox.close()
        await self._ended

    # -- on the rail's own thread ---------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            try:
                with self._open() as session:
                    pause = _FIRST_PAUSE
                    self._pump(session)
            except Exception as error:  # noqa: BLE001 - whatever the engine raises, the rail goes on trying
                self._down(_sentence(self._place, error))
            self._stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self.over = True
        _behind.discard(self)
        hand_over(self._loop, self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _down(self, reason: str) -> None:
        if reason != self.reason:
            _log.warning("%s", reason)
        self.reason = reason
        self.links.clear()

    @contextlib.contextmanager
    def _open(self) -> Iterator[zenoh.Session]:
        session = zenoh.open(zenoh.Config.from_json5(self._config))
        try:
            # No queue of the engine's own in between: it would stall the link when it is full.
            session.info.declare_link_events_listener(_direct(self._link_changed), history=True)
            for key in self._place.heard():
                session.declare_subscriber(key, _direct(self._arrived), allowed_origin=zenoh.Locality.REMOTE)
            self._tally.opened += 1
            self.reason = ""
            _log.info("%s: open at %s", self._place.name, self._place.listen)
            yield session
        finally:
            session.close()  # type: ignore[no-untyped-call]

    def _pump(self, session: zenoh.Session) -> None:
        # Declared once: publishers that come and go leak in the engine. DROP: a peer that does not take a
        # message within a millisecond does not get it, and delays nobody.
        to_all = session.declare_publisher(self._place.to(None), congestion_control=_DROP)
        while not session.is_closed():
            try:
                parcel = self._outbox.get(_LOOK)
            except queue.Empty:
                continue
            if parcel is None:
                return
            if self._stop.is_set() and time.monotonic() > self._stop_at:
                self._tally.lost += 1
            elif parcel.to is None:
                self._send(to_all.put, parcel)
            else:
                key = self._place.to(parcel.to)
                self._send(partial(session.put, key, congestion_control=_DROP), parcel)
        self._down(f"{self._place.name}: the engine closed the session; opening it again")

    def _send(self, put: Callable[[bytes], None], parcel: Parcel) -> None:
        try:
            put(parcel.payload)
        except zenoh.ZError as error:
            _log.debug("%s: not sent: %s", self._place.name, error)
            self._tally.lost += 1
        else:
            self._tally.sent += 1
            self._tally.sent_bytes += len(parcel.payload)

    # -- on the engine's threads ----------------------------------------------

    def _arrived(self, sample: zenoh.Sample) -> None:
        if sample.kind == zenoh.SampleKind.PUT:
            sender = str(sample.key_expr).split("/", 3)[2]
            self._inbox.put(sender, sample.payload.to_bytes())

    def _link_changed(self, event: zenoh.LinkEvent) -> None:
        change = self.links.add if event.kind == zenoh.SampleKind.PUT else self.links.discard
        change((str(event.link.zid), event.link.dst))


_DROP: Final = zenoh.CongestionControl.DROP


def _direct(callback: Callable[[Any], None]) -> zenoh.handlers.Callback[Any]:
    return zenoh.handlers.Callback(callback, indirect=False)


def _config(name: str, listen: str, connect: Iterable[str]) -> str:
    """The engine's configuration. Raises :exc:`RailError` for an endpoint that cannot be read."""
    try:
        own = parse_endpoint(listen)
        peers = {peer: parse_endpoint(peer, any_port=False) for peer in connect}
    except ValueError as error:
        raise RailError(f"{name}: {error}") from None
    # The same list on every node is convenient, so a node's own address may be in it.
    dialled = [_bound(text, peer, own) for text, peer in peers.items() if peer.address != own.address]
    return json.dumps(
        {
            "mode": "peer",
            "listen": {"endpoints": [listen], "timeout_ms": 0, "exit_on_failure": True},
            "connect": {
                "endpoints": dialled,
                "timeout_ms": 0,
                "exit_on_failure": False,
                "retry": {"period_init_ms": 250, "period_max_ms": 1000, "period_increase_factor": 2},
            },
            "open": {"return_conditions": {"connect_scouted": False, "declares": False}},
            "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
            "adminspace": {"enabled": False},
            "transport": {
                "shared_memory": {"enabled": False},
                "unicast": {"max_links": 1, "open_timeout": _DIAL, "accept_timeout": _LEASE},
                "link": {
                    "protocols": sorted({own.protocol, *(peer.protocol for peer in peers.values())}),
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


def _sentence(place: _Place, error: Exception) -> str:
    """What is wrong, where, and what to do, from the engine's text."""
    text = str(error) or type(error).__name__
    number = re.search(r"os error (\d+)|code: (\d+)", text)
    plain = re.sub(r"\s+at /\S+", "", text)
    what = _WHAT_TO_DO.get(int(number[1] or number[2])) if number else None
    return f"{place.name}: cannot open {place.listen}: {what or plain}; trying again"
