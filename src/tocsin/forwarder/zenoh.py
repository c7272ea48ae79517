"""A rail over Zenoh; the only file that knows Zenoh. Measured reasons are in DESIGN.md section 5.

One session a rail, so that a dead network stops nothing but its own. One thread a rail does all that may
block: it opens the session (and goes on trying), hands messages to it, and closes it. What arrives is only
put into a bounded inbox by the engine's receive threads.

Messages travel under ``tocsin/<cluster>/<from>/all`` and ``tocsin/<cluster>/<from>/to/<node>``; the sender is
read from the key, never from the payload. Echoes (:mod:`tocsin.core.echoes`) have ``/echo`` at the end and
are answered by the rail's thread, so they tell of the rail and not of how busy the peer's loop is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import zenoh

from tocsin.core.echoes import Echo, Echoes
from tocsin.core.errors import CodecError, RailError
from tocsin.forwarder.crossing import Inbox, Outbox, Parcel, Tally, hand_over, in_thread
from tocsin.forwarder.dialling import Lookout, listening, lower_half
from tocsin.forwarder.lingering import StuckCloses
from tocsin.forwarder.rail import MAX_MESSAGE_BYTES, Deliver, RailStats, check_name
from tocsin.forwarder.sockets import close_at_once
from tocsin.forwarder.zenoh_config import configuration, sentence

__all__ = ["ZenohRail", "left_behind"]

_log = logging.getLogger(__name__)

#: Pause between two attempts to open the session: the first, and the longest; seconds.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 1.0
#: How often an idle rail looks whether its session is still open and has new links, seconds.
_LOOK: Final = 0.25
#: Closing: for what is still queued, and for all of it (the engine's own close may take 10 s), seconds.
_FLUSH_TIME: Final = 0.4
_CLOSE_TIME: Final = 1.0
_LEFT: Final = "%s: the engine did not close within %g s; left behind"
#: Echoes that wait until the loop looks at them.
_MAX_ECHOES: Final = 4096
_stuck = StuckCloses()
#: Threads whose engine has not finished closing; written by them, too.
_behind: set[object] = set()


def left_behind() -> bool:
    """Whether an engine still hangs in its close: such a process should end with :func:`os._exit`."""
    return bool(_behind)


class ZenohRail:
    """One rail of a node. ``listen`` and ``connect`` are Zenoh endpoints, e.g. ``tcp/10.1.0.1:7447``.

    ``mode``: a ``peer`` has a link to every other; a ``client`` has one to a router, the first in ``connect``
    that answers, and is passed on from there; a ``router`` passes on what its clients and other routers send.

    Raises :exc:`RailError` for an endpoint or a name that cannot be used. An address that this machine does
    not have, or a port in use, is told in :meth:`stats` and tried again, each second at least.
    """

    def __init__(
        self,
        name: str,
        *,
        cluster: str,
        node: str,
        listen: str,
        connect: Iterable[str] = (),
        mode: str = "peer",
    ) -> None:
        self._name, self._mode, self._listen, self._connect = name, mode, listen, tuple(connect)
        configuration(name, listen, self._connect, mode)  # says what is wrong with them
        # A router that finds out too late that it has to dial would cut off all its clients.
        self._await(lower_half(listen, self._connect) if mode == "peer" else frozenset())
        where = f"a link to {' or '.join(self._connect)}" if mode == "client" else listen
        self._place = _Place(
            name, where, f"tocsin/{check_name(cluster, 'cluster')}", check_name(node, "node")
        )
        self._tally = Tally(echoes=Echoes(mode))
        self._life: _Life | None = None
        self._inbox: Inbox | None = None
        self._reason = "not started"
        self._asking: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """As it is shown: ``rail1``, ``rail2`` …"""
        return self._name

    def start(self, deliver: Deliver) -> None:
        """Starts the thread that opens the session."""
        if self._life is not None:
            raise RailError(f"{self._name} is started already")
        _stuck.prepare()
        self._inbox = Inbox(asyncio.get_running_loop(), deliver, self._tally)
        self._life = _Life(self._place, self._config, self._inbox, self._tally)

    def send(self, payload: bytes, to: str | None = None) -> None:
        """Queues the message for the rail's thread."""
        if len(payload) > MAX_MESSAGE_BYTES or self._life is None or not self._life.take(payload, to):
            self._tally.refused += 1

    def look(self, living: Iterable[str], awake: Collection[str], now: float, period: float) -> None:
        """Asks for echoes, and closes and opens the session if it hangs while its links look alive."""
        life, echoes = self._life, self._tally.echoes
        _stuck.look(now)
        if life is None or life.reason:
            return
        while life.echoes:
            echoes.came(*life.echoes.popleft())
        places = {place for place, _ in life.links.copy()}
        for peer, number in echoes.look(living, places, self._tally.heard, now, period):
            life.ask(peer, number)
        if hanging := echoes.hanging(awake, now):
            self._reopen(life, f"{self._name} hangs: no echo of {', '.join(hanging[:5])}; opening it again")
        elif self._asking is None and (due := self._lookout.due(life.links.copy(), now)):
            self._asking = asyncio.create_task(self._ask(life, due))

    def _await(self, peers: frozenset[str]) -> None:
        """Leaves it to these peers to dial this node."""
        self._awaited = peers
        self._lookout = Lookout(self._listen, self._connect, peers)
        self._config = configuration(self._name, self._listen, self._connect, self._mode, awaited=peers)

    async def _ask(self, life: _Life, endpoints: list[str]) -> None:
        """Finds out who of the awaited peers is there and does not dial this node, and dials those."""
        sessions = dict.fromkeys(endpoints, "")
        try:
            for text in await listening(self._listen, endpoints):
                sessions[text] = await in_thread(
                    partial(_who_answers, self._name, self._listen, text), _behind
                )
        finally:
            self._asking = None
        found = self._lookout.answered(sessions, life.links.copy(), time.monotonic())
        if found and self._life is life:
            self._await(self._awaited.difference(found))
            self._reopen(life, f"{self._name}: {', '.join(found[:5])} does not dial this node; dialling it")

    def _reopen(self, life: _Life, why: str) -> None:
        # The old session is closed by its own thread, which may take 10 s; the new one does not wait for
        # more than a second of that. What is queued is lost here: the other rails have it, or it is a hole.
        assert self._inbox is not None
        _log.warning("%s", why)
        self._tally.reopened += 1
        life.leave(why)
        if self._mode == "client":  # the router that it had may be what hangs: another one first
            self._connect = (*self._connect[1:], *self._connect[:1])
            self._config = configuration(self._name, self._listen, self._connect, self._mode)
        self._life = _Life(self._place, self._config, self._inbox, self._tally, after=life)

    def stats(self) -> RailStats:
        """What it did so far. What the engine itself dropped is not in it: the replica sees holes."""
        if self._life is None:
            return self._tally.stats(reason=self._reason)
        return self._tally.stats(reason=self._life.reason, links=self._life.links.copy())

    async def close(self) -> None:
        """Sends what is queued and closes, in a second at most; what then still hangs is left behind."""
        life, self._life = self._life, None
        if self._asking is not None:
            self._asking.cancel()
        if life is None:
            return
        self._reason = "closed"
        if self._inbox is not None:
            self._inbox.close()
        try:
            async with asyncio.timeout(_CLOSE_TIME):
                await life.end()
        except TimeoutError:
            life.abandon()
            _log.warning(_LEFT, self._name, _CLOSE_TIME)


class _Place(NamedTuple):
    """Where a rail is, on the machine and among the keys."""

    name: str
    #: Where it listens, or what it has a link to: words for the operator.
    where: str
    prefix: str
    node: str

    def to(self, node: str | None) -> str:
        """The key under which this node sends to one node, or to all."""
        return f"{self.prefix}/{self.node}/all" if node is None else f"{self.prefix}/{self.node}/to/{node}"

    def key(self, parcel: Parcel) -> str:
        """The key of a message."""
        return f"{self.to(parcel.to)}/echo" if parcel.echo else self.to(parcel.to)

    def heard(self) -> tuple[str, str]:
        """The keys that concern this node."""
        return f"{self.prefix}/*/all", f"{self.prefix}/*/to/{self.node}"

    def echoes(self) -> str:
        """The key of echoes for this node."""
        return f"{self.prefix}/*/to/{self.node}/echo"


class _Life:
    """A rail from start to close: the thread, the session and the queues."""

    def __init__(
        self, place: _Place, config: str, inbox: Inbox, tally: Tally, *, after: _Life | None = None
    ) -> None:
        self._place, self._config, self._inbox, self._tally = place, config, inbox, tally
        self._loop = asyncio.get_running_loop()
        self._after = after
        self._outbox = Outbox()
        #: What came of echoes: (peer, echo, when); an old one makes room for a new one.
        self.echoes: deque[tuple[str, Echo, float]] = deque(maxlen=_MAX_ECHOES)
        self._zid = ""
        self._stop = threading.Event()
        self._stop_at = 0.0
        self._ended: asyncio.Future[None] = self._loop.create_future()
        #: Set when the thread has done its work.
        self.over = threading.Event()
        self._left = False
        #: Why the session is not open; empty if it is.
        self.reason = "opening"
        #: (peer, its address); written by the engine's threads. Two nodes that dial each other at the same
        #: instant have two links.
        self.links: set[tuple[str, str]] = set()
        #: (this end, the other end) of those that are new; written by the engine's threads.
        self._fresh: deque[tuple[str, str]] = deque()
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
        await self._ended

    def ask(self, peer: str, number: int) -> None:
        """Asks a peer for an echo."""
        self._outbox.echo(Echo(False, number, self._zid).encode(), peer)

    def leave(self, why: str) -> None:
        """Sends and delivers nothing more, and has the thread close the session, however long it takes."""
        self._left = True
        self.reason = why
        self._stop.set()
        self._outbox.end()
        self.abandon()

    def abandon(self) -> None:
        """Nobody waits for this one any more."""
        _behind.add(self)
        if self.over.is_set():  # between the caller's look and now
            _behind.discard(self)

    # -- on the rail's own thread ---------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        self._await_former()
        while not self._stop.is_set():
            try:
                with self._open() as session:
                    pause = _FIRST_PAUSE
                    self._pump(session)
            except Exception as error:  # noqa: BLE001 - whatever the engine raises, the rail goes on trying
                self._down(sentence(self._place.name, self._place.where, error))
            self._stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self.over.set()
        _behind.discard(self)
        hand_over(self._loop, self._end)

    def _await_former(self) -> None:
        # The engine frees the port first of all, so this one can open even while that one hangs.
        if self._after is not None and not self._after.over.wait(_CLOSE_TIME):
            self._tally.left_behind += 1
            _log.warning(
                "%s: the engine did not close within %g s; left behind", self._place.name, _CLOSE_TIME
            )
        self._after = None

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _down(self, reason: str) -> None:
        if self._left:
            return
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
            session.declare_subscriber(
                self._place.echoes(), _direct(self._echoed), allowed_origin=zenoh.Locality.REMOTE
            )
            self._zid = str(session.info.zid())
            self._tally.opened += 1
            self.reason = ""
            _log.info("%s: %s is open", self._place.name, self._place.where)
            yield session
        finally:
            session.close()  # type: ignore[no-untyped-call]

    def _pump(self, session: zenoh.Session) -> None:
        # Declared once: publishers that come and go leak in the engine. DROP: a peer that does not take a
        # message within a millisecond does not get it, and delays nobody.
        to_all = session.declare_publisher(self._place.to(None), congestion_control=_DROP)
        while not session.is_closed():
            if self._fresh:
                close_at_once({self._fresh.popleft() for _ in range(len(self._fresh))})
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
                key = self._place.key(parcel)
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
        if sample.kind == zenoh.SampleKind.PUT and not self._left:
            sender = str(sample.key_expr).split("/", 3)[2]
            self._inbox.put(sender, sample.payload.to_bytes())

    def _echoed(self, sample: zenoh.Sample) -> None:
        now = time.monotonic()
        try:
            sender = check_name(str(sample.key_expr).split("/", 3)[2], "sender")
            echo = Echo.decode(sample.payload.to_bytes())
        except (CodecError, RailError) as error:
            _log.debug("%s: not an echo: %s", self._place.name, error)
            return
        self.echoes.append((sender, echo, now))
        if not echo.answer and not self._left:
            self._outbox.echo(Echo(True, echo.number, self._zid).encode(), sender)

    def _link_changed(self, event: zenoh.LinkEvent) -> None:
        change = self.links.add if event.kind == zenoh.SampleKind.PUT else self.links.discard
        change((str(event.link.zid), event.link.dst))
        if event.kind == zenoh.SampleKind.PUT:
            self._fresh.append((event.link.src, event.link.dst))


def _who_answers(name: str, own: str, endpoint: str) -> str:
    """The engine's name of the session at an endpoint; empty if none answers. Takes 1.5 s at most."""
    config = configuration(name, own, [endpoint], "client")
    with contextlib.suppress(zenoh.ZError), zenoh.open(zenoh.Config.from_json5(config)) as session:
        return "".join(str(zid) for zid in session.info.peers_zid() + session.info.routers_zid())
    return ""


_DROP: Final = zenoh.CongestionControl.DROP


def _direct(callback: Callable[[Any], None]) -> zenoh.handlers.Callback[Any]:
    return zenoh.handlers.Callback(callback, indirect=False)
