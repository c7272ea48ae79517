"""The blocking monitor."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self, Unpack

from tocsin.core.errors import NoContact
from tocsin.core.follow import Gap
from tocsin.monitor.ahead import Ahead
from tocsin.monitor.items import Event, Item
from tocsin.monitor.reader import Options, Reader
from tocsin.monitor.transport import Transport

__all__ = ["Monitor"]


class _Closed:
    """Whether the monitor has been closed, and waiting for it.

    Not :class:`threading.Event`: Ctrl-C in the moment in which that takes its lock again, which it does in
    Python, comes out as a RuntimeError.
    """

    def __init__(self) -> None:
        self._open = threading.Lock()
        self._open.acquire()
        self._once = threading.Lock()

    def set(self) -> None:
        """It is; whoever waits is woken."""
        if self._once.acquire(blocking=False):
            self._open.release()

    def is_set(self) -> bool:
        """Whether it is."""
        return self._once.locked()

    def wait(self, seconds: float) -> bool:
        """Whether it is within so many seconds."""
        if self._open.acquire(timeout=seconds):
            self._open.release()
        return self.is_set()


class Monitor(Reader):
    """Reads the feed of a cluster: each event once, in order per origin, or a :class:`Gap` at once.

    ``urls``: base URLs of nodes; when one fails, the next is resumed exactly where this one was.
    ``on``: interests (``"service.* adapter.down@node2"``); everything by default.
    ``after``: a cursor to go on from, ``"0"`` for all that the node retains; now by default.
    ``since``: instead, the events of the last seconds.
    ``cursor_file``: where the position is kept across restarts; if the file exists, it decides.
    ``limit``: events in one answer; ``interval``, ``wait``: seconds between short polls, and to have an
    answer held, within what the feed offers. ``patience``: seconds without any answer after which
    NoContact is raised; by default it tries for ever. ``ahead``: how many events a thread may read
    ahead while you handle one; 0: the feed is polled only while you wait for the next.
    ``headers``, ``tls``: for the requests.

    Iterating gives events (dicts) and gaps. An event counts as handled when the next is asked for: so
    with a cursor file delivery is *at least once*, and after a crash the last few may be repeated, at most
    those of the last 0.2 s. A reader that is slower than the node's retention is told a gap.
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        ahead: int = 0,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(urls, **options)
        self._transport = Transport(headers or {}, tls)
        self._closed = _Closed()
        self._ahead = Ahead(ahead, self._read_ahead, self._progress.flush) if ahead else None

    # -- iterating -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Event | Gap]:
        """Events and gaps, for ever; it ends when the monitor is closed."""
        return self._handed(self._items())

    def catch_up(self) -> Iterator[Event | Gap]:
        """What there is now, and then it ends: for scripts that run now and then, with a cursor file.

        Without ``patience`` it tries until a feed answers.
        """
        return self._handed(self._polled(until_caught_up=True))

    def run(self) -> None:
        """Calls the handlers, until the monitor is closed.

        What a handler raises ends it and comes out here; the event then counts as not handled.
        """
        self._start_handlers()
        try:
            for item in self._items():
                for call in self._calls(item):
                    call()
                self._progress.done(item.after)
        finally:
            self._progress.flush()

    def _handed(self, items: Iterator[Item]) -> Iterator[Event | Gap]:
        try:
            self._settle()
            for item in items:
                self._handing = item
                if item.what is not None:
                    yield item.what
                self._settle()
        finally:
            self._progress.flush()

    def _items(self) -> Iterator[Item]:
        return self._ahead.items() if self._ahead else self._polled()

    def _polled(self, *, until_caught_up: bool = False) -> Iterator[Item]:
        asked = False
        while not self._closed.is_set():
            if self._pending:
                yield self._pending.popleft()
            elif until_caught_up and asked and self._follow.caught_up:
                return
            else:
                self._progress.flush()
                self._poll(hold=not until_caught_up)
                asked = True

    def _poll(self, *, hold: bool = True) -> None:
        if self._closed.wait(self._pause()):
            return
        try:
            reply = self._transport.send(self._ask(hold=hold))
        except NoContact as error:
            if not self._closed.is_set():
                self._take(error)
        except BaseException:  # Ctrl-C while waiting: who iterates on asks again
            self._take(NoContact("interrupted"))
            raise
        else:
            self._take(reply)

    def _read_ahead(self, ahead: Ahead) -> None:
        """What the thread does."""
        while not self._closed.is_set():
            self._poll()
            while self._pending:
                if not ahead.put(self._pending.popleft()):
                    return

    # -- ending ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends iterating and run(), from whatever thread; a request under way is given up."""
        self._closed.set()
        self._transport.close()
        if self._ahead:
            self._ahead.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._progress.flush()
