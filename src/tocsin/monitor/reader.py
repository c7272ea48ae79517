"""What the blocking and the asynchronous monitor share: everything but waiting and sending."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypedDict, TypeVar

from tocsin.core.errors import NoContact, Refused
from tocsin.core.follow import Follow, Gap, News, Position, Reply, Request
from tocsin.core.reply import problem
from tocsin.monitor.cursor_file import CursorFile
from tocsin.monitor.handlers import Handlers, text_of
from tocsin.monitor.items import Event, Item, items_of
from tocsin.monitor.progress import Progress

__all__ = ["Options", "Reader"]

_log = logging.getLogger(__name__)
EventHandler = TypeVar("EventHandler", bound=Callable[[Event], Any])
GapHandler = TypeVar("GapHandler", bound=Callable[[Gap], Any])


class Options(TypedDict, total=False):
    """What every monitor takes; see :class:`tocsin.monitor.Monitor` for what it means."""

    on: str | Iterable[str]
    after: str
    since: float | None
    cursor_file: str | os.PathLike[str] | None
    limit: int
    interval: float
    wait: float
    patience: float | None


class Reader:
    """A reader of a feed; its parameters are the :class:`Options`, with their defaults."""

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        on: str | Iterable[str] = "",
        after: str = "",
        since: float | None = None,
        cursor_file: str | os.PathLike[str] | None = None,
        limit: int = 0,
        interval: float = 0.0,
        wait: float = 20.0,
        patience: float | None = None,
    ) -> None:
        self._urls = [urls] if isinstance(urls, str) else list(urls)
        self._on = text_of(on)
        self._progress = Progress(CursorFile(cursor_file) if cursor_file else None, time.monotonic)
        start = self._progress.start or Position(after, None)
        if self._progress.start:
            since = None
        self._options: dict[str, Any] = {"after": start.cursor, "seen": start.seen, "since": since}
        self._options |= {"limit": limit, "interval": interval, "wait": wait}
        self._handlers = Handlers()
        self._patience = patience
        self._started = time.monotonic()
        self._state, self._trouble = "starting", ""
        self._state_hook: Callable[[str, str], Any] | None = None
        #: Received and not handed on yet: it outlives a loop that was left.
        self._pending: deque[Item] = deque()
        #: Handed on, and perhaps not handled yet.
        self._handing: Item | None = None
        self._follow = self._make_follow()

    def _make_follow(self) -> Follow:
        return Follow(self._urls, on=self._on or self._handlers.interests(), **self._options)

    # -- for the user ----------------------------------------------------------------------------

    def on(
        self, interest: str | Iterable[str], *, at_most_once: bool = False
    ) -> Callable[[EventHandler], EventHandler]:
        """Registers the decorated function for events of interest; ``run()`` calls it.

        *At least once* (the default): after a crash it may be called again with an event that it had not
        returned from, or not long before; :func:`tocsin.monitor.key_of` recognises it. *At most once*: it
        is written to the cursor file that the event was begun with, before the function is called; after
        a crash it is not called with that event again.
        """

        def register(call: EventHandler) -> EventHandler:
            self._handlers.add(interest, call, at_most_once=at_most_once)
            return call

        return register

    def on_gap(self, call: GapHandler) -> GapHandler:
        """Registers a function that ``run()`` calls with each :class:`Gap`."""
        self._handlers.gaps.append(call)
        return call

    def on_state(self, call: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
        """Registers a function of (state, node URL), called whenever :attr:`state` has changed."""
        self._state_hook = call
        return call

    @property
    def state(self) -> str:
        """``starting``, ``live``, ``trying``, ``stale`` (no answer in three polls) or ``refused``."""
        return self._follow.state

    @property
    def trouble(self) -> str:
        """Why there was no answer of a feed last time, in words; empty while there are answers."""
        return self._trouble if self._follow.misses else ""

    @property
    def heard(self) -> float | None:
        """When a feed last answered, in seconds of ``time.monotonic()``; None: never."""
        return self._follow.heard

    @property
    def node(self) -> str:
        """The URL of the node that is asked."""
        return self._follow.node

    @property
    def position(self) -> Position:
        """Where the reader is with everything that it has received."""
        return self._follow.position

    @property
    def degraded(self) -> tuple[str, ...]:
        """Names of the nodes of whose events some may be missing for now, as the feed said last."""
        return self._follow.degraded

    # -- for the two monitors --------------------------------------------------------------------

    def _start_handlers(self) -> None:
        """Handlers say what to ask for, so run() decides it."""
        if not self._handlers.events and not self._handlers.gaps:
            raise ValueError("no handler is registered: use @monitor.on(...), or iterate over the monitor")
        if self._follow.heard is None:
            self._follow = self._make_follow()

    def _pause(self) -> float:
        """Seconds until the next request; the last one comes when patience ends, not later."""
        assert self._follow.due is not None
        due = self._follow.due
        if self._patience is not None and self._follow.misses:
            due = min(due, self._silent_since + self._patience)
        return max(0.0, due - time.monotonic())

    def _ask(self, *, hold: bool) -> Request:
        return self._follow.ask(time.monotonic(), hold=hold)

    def _take(self, reply: Reply | NoContact) -> None:
        """What a reply, or the lack of one, brought goes to ``_pending``."""
        before, node = self._follow.position, self._follow.node
        if isinstance(reply, NoContact):
            news = self._follow.failed(time.monotonic(), random.random())  # noqa: S311 (jitter)
        else:
            news = self._follow.answer(reply, time.monotonic(), random.random())  # noqa: S311
        self._pending.extend(items_of(news, before, self._follow.position))
        if self._follow.misses:
            self._trouble = str(reply) if isinstance(reply, NoContact) else _unwanted(node, reply)
        self._say_state()
        self._give_up(news)

    def _say_state(self) -> None:
        if self._follow.state != self._state:
            self._state = self._follow.state
            if self._state_hook:
                self._state_hook(self._state, self._follow.node)

    def _give_up(self, news: News) -> None:
        if news.refused:
            raise Refused(news.refused["status"], news.refused)
        silent = time.monotonic() - self._silent_since
        if self._follow.misses and self._patience is not None and silent >= self._patience:
            raise NoContact(f"no feed has answered for {silent:.0f} s; the last: {self._trouble}")

    @property
    def _silent_since(self) -> float:
        return self._started if self._follow.heard is None else self._follow.heard

    def _settle(self) -> None:
        """What was handed on last counts as handled: the next is asked for."""
        if self._handing is not None:
            self._progress.done(self._handing.after)
            self._handing = None

    def _calls(self, item: Item) -> Iterator[Callable[[], Any]]:
        """The calls of handlers that an item means."""
        what = item.what
        if isinstance(what, Gap):
            if not self._handlers.gaps:
                _log.warning("events may have been missed (%s): %s", what.reason, what.lost)
            for on_gap in self._handlers.gaps:
                yield partial(on_gap, what)
        elif what is not None:
            handlers = self._handlers.of(what)
            begin = any(handler.at_most_once for handler in handlers) and self._progress.may_begin(what)
            for handler in handlers:
                if begin or not handler.at_most_once:
                    yield partial(handler.call, what)


def _unwanted(node: str, reply: Reply) -> str:
    if reply.status in (200, 204, 410):
        return f"{node}: HTTP {reply.status}, but not from a feed"
    detail = problem(reply.body).get("detail")
    return f"{node}: {detail}" if isinstance(detail, str) else f"{node}: HTTP {reply.status}"
