"""What outlives an agent: its incarnation, how it ended, the names it has seen, its board section.

One small JSON file in the state directory, replaced atomically. Without it a node still works: peers
tell it of its former lives, and the wall clock makes its incarnation grow.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, field

from tocsin.core.board import Resource
from tocsin.core.lives import MAX_INCARNATION, MAX_SEQ

__all__ = ["KEEP_NAMES", "State", "StateFile"]

_log = logging.getLogger(__name__)

#: A name that has not been seen for so long is forgotten, in seconds (DESIGN.md section 5, membership).
KEEP_NAMES: Final = 7 * 86_400.0


_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z"


class State(Struct, kw_only=True):
    """The content of the file. Times are wall seconds since the epoch."""

    incarnation: Annotated[int, Meta(ge=0, lt=MAX_INCARNATION)] = 0
    #: The last event of that life, and whether it ended cleanly (else ``last`` is a lower bound).
    last: Annotated[int, Meta(ge=0, le=MAX_SEQ)] = 0
    clean: bool = True
    #: Every other node ever seen, and when last.
    names: dict[Annotated[str, Meta(pattern=_NAME)], float] = field(default_factory=dict)
    #: The sequence up to which ``section`` is true.
    stamp: Annotated[str, Meta(pattern=r"^([0-9]{13}-[0-9]{12})?\Z")] = ""
    section: list[Resource] = field(default_factory=list)


class StateFile:
    """Reads and replaces the file. ``directory`` None: nothing is kept."""

    def __init__(self, directory: Path | None) -> None:
        self.path = directory / "state.json" if directory else None

    def load(self) -> State:
        """The state of the former life. Never fails: an unreadable file is logged and set aside."""
        try:
            state = self.read()
        except (OSError, ValueError) as error:
            _log.error("going on without the state of the former life: %s", error)
            self._set_aside()
            return State(clean=False)
        oldest = time.time() - KEEP_NAMES
        state.names = {name: seen for name, seen in state.names.items() if seen >= oldest}
        return state

    def _set_aside(self) -> None:
        try:
            if self.path is not None:
                self.path.replace(self.path.with_suffix(".unreadable"))
        except OSError as error:
            _log.error("the unreadable file stays where it is: %s", error)

    def save(self, state: State) -> bool:
        """Replaces the file; false, and logged, where that cannot be done."""
        try:
            self.write(state)
        except OSError as error:
            _log.error("going on without a state directory: %s", error)
            return False
        return True

    def read(self) -> State:
        """The state of the former life, empty if there was none. Raises OSError or ValueError, saying why."""
        if self.path is None:
            return State()
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return State()
        try:
            return msgspec.json.decode(content, type=State)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{self.path} cannot be read ({error})") from None

    def write(self, state: State) -> None:
        """Replaces the file: after a crash at any point it has the old content or the new. Raises OSError."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        with new.open("wb") as stream:
            stream.write(msgspec.json.encode(state))
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self.path)
