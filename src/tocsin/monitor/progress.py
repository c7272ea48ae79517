"""What has been handled so far, and when that is written down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from tocsin.core.follow import Position
from tocsin.monitor.cursor_file import CursorFile
from tocsin.monitor.items import Event

__all__ = ["Progress"]

_log = logging.getLogger(__name__)
#: Seconds between two writes while events pour in: a crash repeats at most what was handled in them.
EVERY: Final = 0.2


class Progress:
    """A reader's position, kept in memory and, if there is a file, on disk."""

    def __init__(self, file: CursorFile | None, clock: Callable[[], float]) -> None:
        self._file, self._clock = file, clock
        saved = file.load() if file else None
        #: Where the file says to go on; None: it does not exist yet.
        self.start = Position(saved.cursor, saved.seen) if saved and saved.cursor else None
        self._begun = dict(saved.begun) if saved else {}
        self._position: Position | None = None
        self._unsaved = False
        self._saved_at = float("-inf")

    def done(self, position: Position) -> None:
        """Everything up to ``position`` has been handled. It is written soon."""
        self._position, self._unsaved = position, True
        if self._clock() >= self._saved_at + EVERY:
            self.flush()

    def flush(self) -> None:
        """Writes now what is not written yet. A full disk is logged, not raised: it only means repeats."""
        if not self._unsaved:
            return
        try:
            self._save()
        except OSError as error:
            _log.warning("the cursor file cannot be written, a restart would repeat events: %s", error)

    def may_begin(self, event: Event) -> bool:
        """Whether at-most-once handlers may be called: not if they were before, in whatever run.

        Written down before it returns; raises OSError where that is impossible.
        """
        origin, sequence = event["origin"], event["sequence"]
        if sequence <= self._begun.get(origin, ""):
            return False
        self._begun[origin] = sequence
        self._save()
        return True

    def _save(self) -> None:
        self._saved_at = self._clock()
        if self._file is not None:
            self._file.save(self._position or self.start or Position("", None), self._begun)
        self._unsaved = False
