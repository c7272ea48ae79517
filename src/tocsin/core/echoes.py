"""Echoes: whether a rail carries messages from here to a peer and back, and how long that takes.

An engine may hang while its TCP connection looks alive: its keep-alives pass, messages do not. Silence
alone cannot tell that from a peer with nothing to say, nor see a way that is blocked in one direction. So
each peer is asked for an echo on each rail: when its announce is missing, else every ten seconds.

An echo names the place it comes from, the engine's own name of a session. So it is known which of the
rail's links belongs to which peer: a peer whose link is there but whose echoes are not is one to which the
rail hangs. A peer without a link was cut off; to open the rail again would not help.

Where a rail goes through routers (docs/scale.md), a peer behind one has no link of its own here. Then the
rail hangs only if it carries nothing from anybody: what is wrong behind a router cannot be mended from here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

from tocsin.core.errors import CodecError

__all__ = ["EVERY", "Echo", "Echoes"]

#: Seconds between two echoes of a peer that is heard, and of one that is not.
EVERY: Final = 10.0
AGAIN: Final = 1.0
#: An echo that takes longer is lost, in seconds; one that comes even later still says that the rail works.
_WAIT: Final = 1.0
#: An announce is missing after so many periods and so many seconds.
_MISSING: Final = 1.5
_SLACK: Final = 0.5
#: So many echoes lost in a row say that the rail hangs; so many if the peer is silent everywhere (then it is
#: more likely the peer that has no time) or is heard on this rail (then it is more likely slow than hanging).
_MISSES: Final = 4
_MISSES_IN_DOUBT: Final = 15
#: A rail is not opened again before this, then before twice as long … in seconds; after twice the longest
#: pause without need it starts anew.
_PAUSE: Final = 10.0
_LONGEST_PAUSE: Final = 600.0
#: Whoever was not asked to look for so long was starved itself and blames nobody, in seconds.
_STARVED: Final = 2.0
#: How many round trips of a peer are remembered.
_RECENT: Final = 16
#: How many peers: a bound on what invented names can cost.
_MAX_PEERS: Final = 1000

_ASK, _ANSWER = b"?", b"!"
_HEAD: Final = 9
_MAX_PLACE: Final = 64


class Echo(NamedTuple):
    """One message: a question, or the answer with the same number; ``place`` is where it was sent from."""

    answer: bool
    number: int
    place: str

    def encode(self) -> bytes:
        """The bytes on the rail."""
        return (_ANSWER if self.answer else _ASK) + self.number.to_bytes(8, "big") + self.place.encode()

    @classmethod
    def decode(cls, payload: bytes) -> Echo:
        """Reads one. Raises :exc:`CodecError`."""
        kind, place = payload[:1], payload[_HEAD:]
        if len(payload) < _HEAD or kind not in (_ASK, _ANSWER) or len(place) > _MAX_PLACE:
            raise CodecError("not an echo")
        try:
            return cls(kind == _ANSWER, int.from_bytes(payload[1:_HEAD], "big"), place.decode("ascii"))
        except UnicodeDecodeError:
            raise CodecError("not an echo") from None


@dataclass
class _Peer:
    since: float
    place: str = ""
    asked: float = float("-inf")
    #: Number -> when it was asked; never more than there are seconds in the wait.
    pending: dict[int, float] = field(default_factory=dict)
    misses: int = 0
    #: Whether its announce is missing on this rail.
    silent: bool = False
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))


class Echoes:
    """The echoes of one rail of one node. All times are monotonic seconds.

    ``mode`` is the rail's: ``peer`` (a link to everybody), ``client`` (one link, to a router) or ``router``.
    """

    def __init__(self, mode: str = "peer") -> None:
        self._mode = mode
        #: Echoes asked for, and those that did not come in time.
        self.sent = 0
        self.lost = 0
        self._peers: dict[str, _Peer] = {}
        self._looked: float | None = None
        self._opened = float("-inf")
        self._pause = _PAUSE

    def came(self, peer: str, echo: Echo, at: float) -> None:
        """An echo, or a question for one, came from ``peer`` at ``at``."""
        known = self._peers.get(peer)
        if known is None:
            return
        known.place = echo.place
        if not echo.answer:
            return
        known.misses = 0
        asked = known.pending.pop(echo.number, None)
        if asked is not None:
            known.recent.append(max(0.0, at - asked))

    def look(
        self,
        living: Iterable[str],
        links: Collection[str],
        heard: Mapping[str, float],
        now: float,
        period: float,
    ) -> list[tuple[str, int]]:
        """Which peers to ask now, each with the number to send.

        ``links``: the places to which the rail has links; ``heard``: when each peer was last heard on the
        rail; ``period``: of the announces. To be called several times a second.
        """
        starved = self._looked is not None and now - self._looked > _STARVED
        self._looked = now
        self._know(living, links, now)
        due = []
        for name, peer in self._peers.items():
            self._expire(name, peer, links, heard, now)
            if starved:
                peer.misses = 0
            last = max(heard.get(name, 0.0), peer.since)
            peer.silent = now - last > _MISSING * period + _SLACK
            if now - peer.asked >= (AGAIN if peer.silent or peer.misses else EVERY):
                self.sent += 1
                peer.asked = peer.pending[self.sent] = now
                due.append((name, self.sent))
        return due

    def hanging(self, awake: Collection[str], now: float) -> list[str]:
        """The peers to which the rail hangs, if it is time to open it again; then that is noted.

        ``awake``: the peers that are heard elsewhere, so that it is not they who have no time.
        """
        found = [
            name
            for name, peer in self._peers.items()
            if peer.misses >= (_MISSES if peer.silent and name in awake else _MISSES_IN_DOUBT)
        ]
        if not found or now < self._opened + self._pause:
            return []
        if self._mode != "peer" and not set(awake) <= set(found):
            return []
        quiet = now - self._opened > 2 * _LONGEST_PAUSE
        self._pause = _PAUSE if quiet else min(2 * self._pause, _LONGEST_PAUSE)
        self._opened = now
        for peer in self._peers.values():
            peer.misses = 0
            peer.pending.clear()
        return sorted(found)

    def round_trips(self) -> dict[str, float]:
        """Of each peer that has answered, the median of its recent round trips in seconds."""
        return {name: median(peer.recent) for name, peer in self._peers.items() if peer.recent}

    # -- inside ------------------------------------------------------------------

    def _know(self, living: Iterable[str], links: Collection[str], now: float) -> None:
        alive = set(living)
        kept = {n: p for n, p in self._peers.items() if n in alive or (p.place and p.place in links)}
        for name in alive - kept.keys():
            if len(kept) < _MAX_PEERS:
                kept[name] = self._peers.get(name) or _Peer(since=now)
        self._peers = kept

    def _expire(
        self, name: str, peer: _Peer, links: Collection[str], heard: Mapping[str, float], now: float
    ) -> None:
        late = [number for number, asked in peer.pending.items() if now - asked > _WAIT]
        for number in late:
            del peer.pending[number]
        self.lost += len(late)
        peer.misses += len(late)
        if peer.misses and not self._linked(name, peer, links, heard, now):
            peer.misses = 0

    def _linked(
        self, name: str, peer: _Peer, links: Collection[str], heard: Mapping[str, float], now: float
    ) -> bool:
        if self._mode == "client":
            return bool(links)
        if peer.place or self._mode == "router":
            return peer.place in links
        # It never said where it is. An agent that is older than echoes is heard all the same; a peer that
        # is not heard at all may be behind a link that nobody else claims.
        silent = now - max(heard.get(name, peer.since), peer.since) > _MISSES * AGAIN
        return silent and bool(set(links) - {other.place for other in self._peers.values()})
