"""Reading ahead: a thread polls the feed while events are handled."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from tocsin.monitor.items import Item

__all__ = ["Ahead"]


class Ahead:
    """A bounded queue between the thread that reads and whoever handles.

    When ``most`` items wait, the thread stops polling: the feed keeps what follows for its retention,
    and tells a gap after that. Nothing is dropped here.
    """

    def __init__(self, most: int, read: Callable[[Ahead], None], idle: Callable[[], None]) -> None:
        self._most, self._read, self._idle = most, read, idle
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Called by the thread: waits for room; False once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._most)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def items(self) -> Iterator[Item]:
        """Called by whoever handles. Raises what ended the thread, after what it had read."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tocsin monitor", daemon=True)
            self._thread.start()
        while (item := self._next()) is not None:
            yield item
        if self._error is not None and not self._closed:
            raise self._error

    def close(self) -> None:
        """Ends both sides, from whatever thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> Item | None:
        if not self._items:
            self._idle()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items or self._error)
            if self._closed or not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def _run(self) -> None:
        try:
            self._read(self)
        except Exception as error:  # noqa: BLE001 (handed to the other side, which raises it)
            with self._changed:
                self._error = error
                self._changed.notify_all()
