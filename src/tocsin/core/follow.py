"""Following a feed: what to ask next and of whom, what an answer means, what was missed.

A state machine without I/O (DESIGN.md sections 6 to 8). Whoever drives it does three things:

1. waits until :attr:`Follow.due` and takes the request from :meth:`Follow.ask`;
2. sends it, and hands the reply to :meth:`Follow.answer`, or the lack of one to :meth:`Follow.failed`;
3. hands on what the :class:`News` says: events that are new to this reader, or a :class:`Gap`.

The reader's position is a **cursor** (its place in one node's buffer) and **seen** (how far it has
been told of each origin). The cursor makes an idle poll cheap; ``seen`` makes changing nodes exact.
``tests/follow_cases.json`` describes this file and the browser's ``static/monitor.js`` alike.

Times are seconds of any monotonic clock; ``random`` is a number from 0 up to 1, handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct, field

from tocsin.core import reply as read
from tocsin.core.errors import CodecError
from tocsin.core.reply import Reply

__all__ = ["Follow", "Gap", "News", "Position", "Reply", "Request", "key_of"]

INTERVAL: Final = 2.0  # between short polls where a feed offers nothing else
LONGEST_WAIT: Final = 25.0  # the feed refuses more
TIMEOUT: Final = 5.0  # for an answer, beyond the time that it may be held
HIDDEN: Final = 30.0  # between polls while nobody looks
PATH: Final = "/api/v1/events"
SHORTEST: Final = 0.2  # between short polls, whatever a feed offers
BURST: Final = 0.07  # a held poll is not repeated sooner after news: what comes meanwhile is one answer
AFTER_GAP: Final = 1.0  # a gap, or a foreign buffer, is followed by at most one request a second
BACKOFF: Final = 1.0  # after the first failure of a node; doubles …
LONGEST_BACKOFF: Final = 15.0  # … up to this
STALE: Final = 3  # polls without an answer, before "no contact" is said
MOST_NODES: Final = 64  # a bound on the nodes that others may name

_REFUSALS: Final = frozenset({400, 401, 403, 413, 415})
_RESUMABLE: Final = ("foreign", "restarted")


class Request(NamedTuple):
    """One HTTP request to a node. ``body`` is None for GET, the JSON document for POST."""

    node: str
    path: str
    query: dict[str, str]
    body: dict[str, Any] | None
    #: Seconds after which a node that has not answered has failed.
    timeout: float


class Position(NamedTuple):
    """Where a reader is. ``seen`` None: not known yet (the reader has only a cursor)."""

    cursor: str
    seen: dict[str, str] | None


class Gap(Struct, frozen=True):
    """Events may have been missed: refresh what you derived from them.

    ``reason`` is ``evicted`` (read too late), ``replica`` (the node itself missed them), ``restarted``,
    ``foreign`` or ``future`` (the cursor means nothing here). ``lost`` gives per origin the first and
    last sequence that are known to be lost; it may be empty.
    """

    reason: str
    lost: dict[str, tuple[str, str]] = field(default_factory=dict)
    node: str = ""


class News(NamedTuple):
    """What one answer, or the lack of one, means."""

    #: New to this reader, in order: hand them on.
    events: tuple[dict[str, Any], ...] = ()
    #: Everything the answer carried, also what was seen before: frames go by their own cursor.
    shown: tuple[dict[str, Any], ...] = ()
    #: Tell it after the events.
    gap: Gap | None = None
    #: The cursor has left something out that frames may not show yet, be it a gap or not.
    jumped: bool = False
    #: Every node refuses what is asked (RFC 9457 document, with ``status``): asking on is of no use.
    refused: dict[str, Any] | None = None


def key_of(event: Mapping[str, Any]) -> str:
    """The identity of an event in the cluster: the key to recognise one that was handed on before."""
    return f"{event['origin']}/{event['sequence']}"


class Follow:
    """Follows the feed of a cluster through any of its ``nodes`` (base URLs, the first is preferred).

    Without ``after`` it starts at now; ``after="0"`` is the whole window, ``since`` the last seconds.
    ``on``: interests, for the feed to filter by. ``interval`` seconds between short polls, if the feed
    does not ask for longer; ``wait`` the longest time to have an answer held, 0 for short polls only.
    """

    def __init__(
        self,
        nodes: Iterable[str],
        *,
        after: str = "",
        seen: Mapping[str, str] | None = None,
        since: float | None = None,
        on: str = "",
        view: str = "",
        limit: int = 0,
        interval: float = 0.0,
        wait: float = 20.0,
    ) -> None:
        self.nodes: list[str] = []
        for node in nodes:
            self._add(node)
        if not self.nodes:
            raise ValueError("a monitor needs the URL of at least one node")
        self.cursor, self.seen = after, None if seen is None else dict(seen)
        self.node = self.nodes[0]
        #: When to ask next; None while an answer is awaited.
        self.due: float | None = 0.0
        #: When a feed last answered; None: never.
        self.heard: float | None = None
        self.misses = 0
        #: Whether the last answer left nothing to be asked for at once.
        self.caught_up = False
        self.degraded: tuple[str, ...] = ()
        self.hidden = False
        self._since, self._on, self._view, self._limit = since, on, view, limit
        self._interval, self._wait = interval, min(wait, LONGEST_WAIT)
        self._home = ""  # the node whose buffer the cursor is of; unknown at first
        self._foreign = False  # that node said that the cursor is not of its buffer: resume
        self._retain = 0.0
        self._asked = self._gap_asked = float("-inf")
        self._sent: Request | None = None
        self._ready: dict[str, float] = {}  # node -> not to be asked before
        self._fails: dict[str, int] = {}
        self._offers: dict[str, tuple[float, float]] = {}  # node -> (interval, wait)
        self._refusals: dict[str, dict[str, Any]] = {}

    @property
    def position(self) -> Position:
        """Where the reader is once it has handled all news so far."""
        return Position(self.cursor, None if self.seen is None else dict(self.seen))

    @property
    def state(self) -> str:
        """``starting``, ``live``, ``trying`` (an answer or two are missing), ``stale`` or ``refused``."""
        if self._refused:
            return "refused"
        if self.misses >= STALE:
            return "stale"
        if self.misses:
            return "trying"
        return "starting" if self.heard is None else "live"

    @property
    def _refused(self) -> bool:
        return len(self._refusals) == len(self.nodes)

    # -- asking ----------------------------------------------------------------------------------

    def ask(self, now: float, *, hold: bool = True) -> Request:
        """The request to send at :attr:`due`. One call of answer() or failed() follows each.

        ``hold`` False: the answer is wanted at once, even if it is that there is nothing new.
        """
        self.due, self._asked = None, now
        moved = self._foreign or self._home not in ("", self.node)
        # Without seen there is nothing to resume by: the node says "foreign", and that is a gap.
        if moved and self.cursor and self.seen is not None:
            self._sent = self._ask_resume(self.seen)
        else:
            self._sent = self._ask_events(self._may_wait() if hold else 0.0)
        return self._sent

    def _ask_resume(self, seen: dict[str, str]) -> Request:
        body: dict[str, Any] = {"after": self.cursor, "seen": dict(seen)}
        if self._on:
            body["on"] = self._on
        if self._limit:
            body["limit"] = self._limit
        if self._view:
            body["view"] = self._view
        return Request(self.node, PATH + "/resume", {}, body, TIMEOUT)

    def _ask_events(self, wait: float) -> Request:
        query = {
            "after": self.cursor,
            "since": _text(self._since) if self._since is not None and not self.cursor else "",
            "on": self._on,
            "view": self._view,
            "limit": _text(self._limit),
            "seen": "full" if self.seen is None else "",
            "wait": _text(wait),
        }
        return Request(self.node, PATH, {k: v for k, v in query.items() if v}, None, wait + TIMEOUT)

    def _may_wait(self) -> float:
        """Seconds to have the answer held: where this node offered it, and while it answers."""
        if self.hidden or not self.cursor or self.misses:
            return 0.0
        return self._bounded(min(self._wait, self._offers.get(self.node, (0.0, 0.0))[1]))

    def _every(self) -> float:
        """Seconds between short polls."""
        if self.hidden:
            return min(HIDDEN, self._retain / 3) if self._retain else HIDDEN
        return self._bounded(max(self._interval, self._offers.get(self.node, (INTERVAL, 0.0))[0]))

    def _bounded(self, seconds: float) -> float:
        """Always less than the time that the buffer retains."""
        return min(seconds, self._retain / 2) if self._retain else seconds

    # -- what an answer means --------------------------------------------------------------------

    def answer(self, reply: Reply, now: float, random: float) -> News:
        """What the reply to the last request means."""
        headers = reply.headers
        if reply.status in (200, 204, 410) and "tocsin-cursor" in headers:
            try:
                return self._contact(reply, now, random)
            except CodecError:
                return self.failed(now, random)
        if reply.status == 421:
            self._learn(reply.body)
            return self._fail(now, random, LONGEST_BACKOFF)
        if reply.status in _REFUSALS and "problem+json" in headers.get("content-type", ""):
            self._refusals[self.node] = {**read.problem(reply.body), "status": reply.status}
        return self._fail(now, random, read.retry_after(headers.get("retry-after", "")))

    def failed(self, now: float, random: float) -> News:
        """There was no answer in time, or none of a feed."""
        return self._fail(now, random, 0.0)

    def _contact(self, reply: Reply, now: float, random: float) -> News:
        resuming = self._sent is not None and self._sent.body is not None
        news, more, turned_away = News(), False, False
        if reply.status == 200:
            news, more = self._some(read.events(reply.body))
        elif reply.status == 410:
            gone = read.gone(reply.body)
            turned_away = gone.reason in _RESUMABLE and self.seen is not None and not resuming
            news = News() if turned_away else self._gap(gone)
        elif resuming or not self.cursor:
            # To a GET with a cursor, "nothing new" can only mean that cursor.
            self.cursor = reply.headers["tocsin-cursor"]
        self._heard(reply.headers, now)
        self._foreign = turned_away
        if not turned_away:
            self._home = self.node
        self.caught_up = not (turned_away or news.jumped or more)
        if turned_away or news.jumped:
            self.due = self._after_gap(now)
        else:
            self.due = now if more else self._next(bool(news.shown), now, random)
        return news

    def _some(self, page: read.Events) -> tuple[News, bool]:
        seen = dict(self.seen or {})
        new = [event for event in page.events if _advance(seen, event["origin"], event["sequence"])]
        more = page.more and page.cursor != self.cursor
        for origin, sequence in page.seen.items():
            _advance(seen, origin, sequence)
        self.seen, self.cursor = seen, page.cursor
        self.degraded = tuple(page.degraded)
        self._remember(page.window)
        return News(tuple(new), tuple(page.events)), more

    def _gap(self, gone: read.Gone) -> News:
        known = self.seen or {}
        seen = dict(known)
        for origin, sequence in gone.seen.items():
            _advance(seen, origin, sequence)
        self.seen, self.cursor = seen, gone.cursor
        self._remember(gone.window)
        # A node that is behind can lose what this reader had from another: no gap for its handlers.
        lost = {origin: pair for origin, pair in gone.lost.items() if pair[1] > known.get(origin, "")}
        gap = Gap(gone.reason, lost, self.node) if lost or not gone.lost else None
        return News(gap=gap, jumped=True)

    def _remember(self, window: dict[str, Any]) -> None:
        retain = window.get("retain")
        if isinstance(retain, (int, float)) and retain > 0:
            self._retain = float(retain)

    def _heard(self, headers: Mapping[str, str], now: float) -> None:
        self.heard, self.misses = now, 0
        self._fails.clear()
        self._refusals.clear()
        every, wait = read.offer(headers.get("tocsin-poll", ""))
        self._offers[self.node] = max(INTERVAL if every is None else every, SHORTEST), wait

    # -- when to come back, and to whom ----------------------------------------------------------

    def _next(self, news: bool, now: float, random: float) -> float:
        held = self._sent is not None and "wait" in self._sent.query
        if not self._may_wait():
            return now + self._every() * (0.9 + 0.2 * random)
        if not held:
            return now
        # A held poll that came back early without news must not become a busy loop.
        return max(now, self._asked + (BURST if news else self._every()))

    def _after_gap(self, now: float) -> float:
        self._gap_asked = max(now, self._gap_asked + AFTER_GAP)
        return self._gap_asked

    def _fail(self, now: float, random: float, at_least: float) -> News:
        """Another node at once; one that failed not before its own back-off is over."""
        self.misses += 1
        fails = self._fails[self.node] = self._fails.get(self.node, 0) + 1
        pause = min(LONGEST_BACKOFF, BACKOFF * 2 ** min(fails - 1, 10)) * (0.5 + 0.5 * random)
        self._ready[self.node] = now + max(pause, at_least)
        self._offers.pop(self.node, None)
        here = self.nodes.index(self.node)
        ring = self.nodes[here + 1 :] + self.nodes[: here + 1]
        self.node = min(ring, key=lambda node: max(now, self._ready.get(node, now)))
        self.due = max(now, self._ready.get(self.node, now))
        if self._refused:
            return News(refused=next(iter(self._refusals.values())))
        return News()

    def _learn(self, body: bytes) -> None:
        """A node without a buffer names those that have one."""
        for url in read.nodes(body):
            if len(self.nodes) < MOST_NODES:
                self._add(url)

    def _add(self, url: str) -> None:
        if (url := url.rstrip("/")) not in self.nodes:
            self.nodes.append(url)

    def hide(self) -> None:
        """Nobody looks: poll rarely."""
        self.hidden = True

    def show(self, now: float) -> None:
        """Somebody looks again: ask at once."""
        self.hidden = False
        self.wake(now)

    def wake(self, now: float) -> None:
        """The network may be back: ask at once, though not twice a second."""
        self._ready.clear()
        if self.due is not None:
            self.due = min(self.due, max(now, self._asked + AFTER_GAP))


def _advance(seen: dict[str, str], origin: str, sequence: str) -> bool:
    """Moves ``seen`` on, never back; whether it moved."""
    moved = sequence > seen.get(origin, "")
    if moved:
        seen[origin] = sequence
    return moved


def _text(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".") if number else ""
